//! `[mount]` and `[swap]`: file systems and swap areas.

use serde::Deserialize;
use toml::Spanned;

use super::Millis;
use crate::mounting::{Fsck, meaning};

/// `[mount]`: a file system and its place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Device, `LABEL=…` and the like, folder, file, or what the type wants.
    pub what: Spanned<String>,
    /// The place.
    #[serde(rename = "where")]
    pub at: Spanned<String>,
    /// Type of file system; the default is what is found on the device.
    #[serde(rename = "type", default = "auto")]
    pub kind: String,
    /// Options of mount(8).
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether it is checked first.
    #[serde(default)]
    pub fsck: Fsck,
    /// The groups that it is enabled in go on without it.
    #[serde(default = "yes")]
    pub optional: bool,
    /// How long mounting may take, and waiting for the device if `[ready]` does not say.
    #[serde(default = "patience")]
    pub timeout: Millis,
    /// It is taken out of sight at once when it is to stop, and goes with its last user.
    #[serde(default)]
    pub lazy: bool,
    /// It is taken away though a server does not answer.
    #[serde(default)]
    pub force: bool,
    /// A device that can only be read is a failure.
    #[serde(default)]
    pub rw_only: bool,
    /// Permissions of the place if it has to be made, octal.
    pub mkdir_mode: Option<Spanned<String>>,
}

/// `[swap]`: an area to swap to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Device, `LABEL=…` and the like, or file.
    pub what: Spanned<String>,
    /// Areas of higher priority are filled first, 0 to 32767.
    pub priority: Option<Spanned<u16>>,
    /// Options of swapon(8).
    #[serde(default)]
    pub options: Vec<String>,
    /// How long to wait for the device, and to begin.
    #[serde(default = "patience")]
    pub timeout: Millis,
}

fn auto() -> String {
    "auto".to_owned()
}

fn yes() -> bool {
    true
}

fn patience() -> Millis {
    Millis(30_000)
}

/// Highest priority of a swap area (`SWAP_FLAG_PRIO_MASK`).
pub(crate) const HIGHEST: u16 = 32_767;

/// A place in the tree: absolute, written in one way only, and not the root.
pub(crate) fn is_place(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|path| path.split('/'));
    parts.is_some_and(|mut parts| parts.all(|part| !part.is_empty() && part != "." && part != ".."))
}

impl Mount {
    /// What is wrong although every single value is fine: the key, and words.
    pub(super) fn wrong(&self) -> Vec<(&'static str, &'static str)> {
        let mut wrong = Vec::new();
        if self.what.get_ref().is_empty() {
            wrong.push((
                "mount.what",
                "expected a device, a path, or a word such as \"tmpfs\"",
            ));
        }
        if !is_place(self.at.get_ref()) {
            let words = "expected an absolute path such as \"/srv/data\", without a / at its end, and not /";
            wrong.push(("mount.where", words));
        }
        if self.options.iter().any(|option| option.contains(',')) {
            wrong.push(("mount.options", "one option each: [\"noatime\", \"nodev\"]"));
        }
        if self.options.iter().any(|option| option == "remount") {
            wrong.push(("mount.options", "remount is nothing that a unit can be"));
        }
        let meaning = meaning(self.options.iter().map(String::as_str));
        if meaning.bind.is_some() && !self.what.get_ref().starts_with('/') {
            wrong.push(("mount.what", "expected an absolute path: it is to be bound"));
        }
        let mode = self.mkdir_mode.as_ref();
        if mode.is_some_and(|mode| super::octal(mode.get_ref()).is_none()) {
            wrong.push((
                "mount.mkdir_mode",
                "expected octal permissions such as \"0755\"",
            ));
        }
        if self.timeout == Millis::OFF {
            wrong.push((
                "mount.timeout",
                "expected an end: it would be waited for for ever",
            ));
        }
        wrong
    }
}

impl Swap {
    /// As [`Mount::wrong`].
    pub(super) fn wrong(&self) -> Vec<(&'static str, &'static str)> {
        let mut wrong = Vec::new();
        let what = crate::mounting::path_of(self.what.get_ref());
        if !what.starts_with('/') {
            wrong.push((
                "swap.what",
                "expected a device, a file, or LABEL=NAME and the like",
            ));
        }
        let priority = self.priority.as_ref();
        if priority.is_some_and(|priority| *priority.get_ref() > HIGHEST) {
            wrong.push(("swap.priority", "expected 0 to 32767"));
        }
        if self.timeout == Millis::OFF {
            wrong.push((
                "swap.timeout",
                "expected an end: it would be waited for for ever",
            ));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use crate::units::parse;

    fn complaint(text: &str) -> String {
        match parse("a.toml", &format!("schema = 1\n{text}\n")) {
            Ok(_) => String::new(),
            Err(wrong) => wrong.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_mistake_names_its_line_and_the_reason() {
        let mount = |more: &str| {
            complaint(&format!(
                "kind = \"mount\"\n[mount]\nwhat = \"LABEL=x\"\nwhere = \"/srv\"\n{more}"
            ))
        };
        for (more, words) in [
            ("options = [\"ro,noatime\"]", "a.toml:6:11: one option each"),
            ("options = [\"remount\"]", "remount is nothing"),
            (
                "options = [\"bind\"]",
                "a.toml:4:8: expected an absolute path: it is to be bound",
            ),
            ("mkdir_mode = \"9\"", "a.toml:6:14: expected octal"),
            ("timeout = \"off\"", "expected an end"),
            ("fsck = \"always\"", "unknown value \"always\""),
            ("option = []", "did you mean \"options\"?"),
            (
                "[exec]\nstart = \"/x\"",
                "a.toml:6:1: a mount runs no commands",
            ),
        ] {
            let shown = mount(more);
            assert!(shown.contains(words), "{more}\n{shown}");
        }
        assert_eq!(mount("options = [\"x-a\", \"ro\"]\nfsck = \"force\""), "");
        for place in ["/", "srv", "/srv/", "/a//b", "/a/../b", ""] {
            let shown = complaint(&format!(
                "kind = \"mount\"\n[mount]\nwhat = \"tmpfs\"\nwhere = \"{place}\""
            ));
            assert!(
                shown.contains("a.toml:5:9: expected an absolute path"),
                "{place}: {shown}"
            );
        }
        for (text, words) in [
            ("kind = \"mount\"", "a mount needs a [mount] table"),
            ("kind = \"swap\"", "a swap needs a [swap] table"),
            (
                "[exec]\nstart = \"/x\"\n[swap]\nwhat = \"/s\"",
                "a [swap] table needs kind = \"swap\"",
            ),
            (
                "kind = \"swap\"\n[swap]\nwhat = \"s\"",
                "a.toml:4:8: expected a device",
            ),
            (
                "kind = \"swap\"\n[swap]\nwhat = \"/s\"\npriority = 40000",
                "a.toml:5:12: expected 0 to 32767",
            ),
            (
                "[exec]\nstart = \"/x\"\n[deps]\ndevices = [\"sda\"]\nmounts = [\"srv\"]",
                "a.toml:5:12: expected an absolute path",
            ),
            (
                "kind = \"group\"\n[deps]\ndevices = [\"/dev/sda\"]",
                "a group or container waits for no device",
            ),
        ] {
            let shown = complaint(text);
            assert!(shown.contains(words), "{text}\n{shown}");
        }
    }
}

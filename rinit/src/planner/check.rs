//! The linter: the same reading and compiling as at boot, a look at the files that units name, and a list of what is wrong.

use std::os::unix::fs::PermissionsExt;

use rootspec::compile::Severity;
use rootspec::lint::{Context, Found, lint};
use rootspec::paths;
use rootspec::plan::{BOOT_BAD, BOOT_GOOD, KEEP_PLAN, ROLL_BACK};
use rootspec::protocol::units::Checked;

use crate::folders::Places;
use crate::gather::gather;
use crate::seen;

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    /// Folders of unit files; none: those that are read at boot.
    dirs: Vec<String>,
    /// A root that does not run.
    root: Option<String>,
    /// The answer for programs.
    json: bool,
}

/// Filled at boot, whatever a root holds there.
const VOLATILE: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

impl Ask {
    /// From the words behind `--check`; `None`: they make no sense.
    pub(crate) fn from_words(words: &[&str]) -> Option<Self> {
        let mut ask = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--json" => ask.json = true,
                "--root" => ask.root = Some((*words.next()?).to_owned()),
                option if option.starts_with('-') => return None,
                dir => ask.dirs.push(dir.to_owned()),
            }
        }
        Some(ask)
    }
}

/// Text to show, and whether there is no error.
///
/// # Errors
/// The root cannot be entered.
pub(crate) fn run(ask: &Ask) -> sys::error::Result<(String, bool)> {
    if let Some(root) = &ask.root {
        sys::switchroot::chroot(root)?;
    }
    let checked = check(&ask.dirs, ask.root.is_some());
    let good = checked.errors().next().is_none();
    let text = if ask.json {
        let json = serde_json::to_string(&checked).unwrap_or_default();
        format!("{json}\n")
    } else {
        checked.text()
    };
    Ok((text, good))
}

fn check(dirs: &[String], asleep: bool) -> Checked {
    let places = if dirs.is_empty() {
        Places::default()
    } else {
        Places::of(dirs)
    };
    let read = gather(&places, seen::facts());
    let look: fn(&str) -> Found = if asleep {
        |path| look(path, true)
    } else {
        |path| look(path, false)
    };
    // The last folder is the packages' own; of folders that were named, all are meant.
    let packaged = match places.units.split_last() {
        Some((last, _)) if dirs.is_empty() => std::slice::from_ref(last),
        _ => &[],
    };
    let context = Context {
        look,
        path: sys::process::PATH,
        default_group: &read.settings.default_group,
        packaged,
        started: &[BOOT_GOOD, BOOT_BAD, KEEP_PLAN, ROLL_BACK],
    };
    let mut problems = lint(&read.files, &read.compiled, &context);
    problems.splice(0..0, read.compiled.problems);
    problems.sort_by_key(|problem| problem.severity == Severity::Warning);
    Checked {
        units: u32::try_from(read.compiled.plan.units.len()).unwrap_or(u32::MAX),
        problems: problems.iter().map(|problem| problem.told()).collect(),
    }
}

/// What is at a path. In a root that does not run, `asleep`, what deployments share is not there either.
fn look(path: &str, asleep: bool) -> Found {
    let below = |dir: &str| {
        path.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let shared = |(_, dir): &(&str, &str)| below(&format!("/{dir}"));
    if VOLATILE.into_iter().any(below) || (asleep && paths::store::SHARED.iter().any(shared)) {
        return Found::Unknown;
    }
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Found::Program,
        Ok(_) => Found::Other,
        // What may not be looked at may be there.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Found::Unknown,
        Err(_) => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_or_refused() {
        let ask = Ask::from_words(&["--json", "--root", "/mnt", "a"]).unwrap();
        assert_eq!((ask.json, ask.root.as_deref()), (true, Some("/mnt")));
        assert_eq!(ask.dirs, ["a"]);
        for words in [&["--root"][..], &["--jsn"]] {
            assert!(Ask::from_words(words).is_none(), "{words:?}");
        }
    }

    #[test]
    fn what_is_filled_at_boot_or_shared_cannot_be_told() {
        assert_eq!(look("/run/x", false), Found::Unknown);
        assert_eq!(look("/runner", false), Found::Nothing);
        assert_eq!(look("/var/nothing-here", false), Found::Nothing);
        assert_eq!(look("/var/nothing-here", true), Found::Unknown);
        assert_eq!(look("/bin/sh", true), Found::Program);
        assert_eq!(look("/etc/passwd", true), Found::Other);
    }

    #[test]
    fn errors_come_before_warnings_and_the_sum_is_last() {
        let dir = std::env::temp_dir().join(format!("rinit-check-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        write(
            "default.toml",
            "schema = 1\nkind = \"group\"\n[deps]\nwants = [\"gone\"]\n",
        );
        write("gone.toml", "schema = 1\n[exec]\nstart = \"/no/program\"\n");
        write("wrong.toml", "schema = 1\nkind = \"srevice\"\n");
        let dirs = [dir.display().to_string()];
        let checked = check(&dirs, false);
        let text = checked.text();
        let at = |words: &str| text.find(words).unwrap_or(usize::MAX);
        assert!(
            at("error: ") < at("did you mean \"service\"?")
                && at("did you mean") < at("warning: ")
                && at("warning: ") < at("/no/program does not exist"),
            "{text}"
        );
        assert!(
            text.ends_with("2 units can be used, 1 error, 1 warning\n"),
            "{text}"
        );
        let wrong = &checked.problems[0];
        assert_eq!((wrong.line, wrong.column), (Some(2), Some(8)));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

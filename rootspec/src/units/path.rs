//! `[[path]]`: what happens in the file system and starts a unit.

use serde::Deserialize;
use toml::Spanned;

use super::{Millis, Names, TriggerLimit, octal};
use crate::UnitName;

/// Most paths of one unit, in all its entries: what the process that looks at them can be told at once.
pub(super) const MOST: usize = 32;
/// Longest path, in bytes (`PATH_MAX` with its NUL).
const LONGEST: usize = 4095;

/// One entry of `[[path]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// It exists.
    pub exists: Names,
    /// Something exists whose name fits.
    pub glob: Names,
    /// It was written to, made, replaced or removed.
    pub changed: Names,
    /// As changed, and with every single write.
    pub modified: Names,
    /// A folder with something in it.
    pub not_empty: Names,
    /// The folders are made first.
    pub mkdir: bool,
    /// Permissions of these, octal.
    pub mode: Option<Spanned<String>>,
    /// More starts than this, and it rests.
    pub limit: TriggerLimit,
    /// The unit that is started; the default is this one.
    pub unit: Option<Spanned<UnitName>>,
}

impl Path {
    /// All paths, with their key.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, &[String])> {
        vec![
            ("exists", &self.exists.0),
            ("glob", &self.glob.0),
            ("changed", &self.changed.0),
            ("modified", &self.modified.0),
            ("not_empty", &self.not_empty.0),
        ]
    }

    /// How many paths.
    pub(super) fn count(&self) -> usize {
        self.all().into_iter().map(|(_, paths)| paths.len()).sum()
    }

    /// What is wrong although every single value is fine: the key (none: the whole), and words.
    pub(super) fn wrong(&self) -> Vec<(String, &'static str)> {
        let mut wrong = Vec::new();
        for (key, paths) in self.all() {
            for (number, path) in paths.iter().enumerate() {
                if let Some(words) = wrong_path(key, path) {
                    wrong.push((format!("{key}.{number}"), words));
                }
            }
        }
        if self.count() == 0 {
            let words = "nothing is watched: say exists, glob, changed, modified or not_empty";
            wrong.push((String::new(), words));
        }
        let mode = self.mode.as_ref();
        if mode.is_some_and(|mode| octal(mode.get_ref()).is_none()) {
            let words = "expected octal permissions such as \"0755\"";
            wrong.push(("mode".to_owned(), words));
        }
        if mode.is_some() && !self.mkdir {
            wrong.push(("mode".to_owned(), "nothing is made: add mkdir = true"));
        }
        if self.limit.pause == Millis::OFF {
            let words = "expected an end of the pause: the path would be dead for good";
            wrong.push(("limit.pause".to_owned(), words));
        }
        wrong
    }
}

fn wrong_path(key: &str, path: &str) -> Option<&'static str> {
    let plain = path.starts_with('/') && !path.contains('\0') && path.len() <= LONGEST;
    let mut parts = path.split('/').skip(1);
    if !plain || path.ends_with('/') || parts.any(|part| matches!(part, "" | "." | "..")) {
        return Some("expected an absolute path without a / at its end, without . and ..");
    }
    let (folder, name) = path.rsplit_once('/')?;
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    match key {
        "glob" if is_wild(folder) || name.contains('[') || !is_wild(name) => {
            Some("expected * or ? in the last part of the path, and nowhere else")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::units::parse;

    fn complaint(path: &str) -> String {
        let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[[path]]\n{path}\n");
        match parse("a.toml", &text) {
            Ok(_) => String::new(),
            Err(wrong) => wrong.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_mistake_names_its_line_and_the_reason() {
        for (path, words) in [
            ("", "a.toml:4:1: nothing is watched"),
            (
                "exists = \"run/a\"",
                "a.toml:5:10: expected an absolute path",
            ),
            (
                "exists = [\"/a\",\n\"/b/../c\"]",
                "a.toml:6:1: expected an absolute path",
            ),
            ("changed = \"/a/\"", "expected an absolute path"),
            ("changed = \"/\"", "expected an absolute path"),
            ("exists = \"/a//b\"", "expected an absolute path"),
            ("glob = \"/a/b\"", "expected * or ? in the last part"),
            ("glob = \"/a*/b*\"", "expected * or ? in the last part"),
            ("glob = \"/a/[b]*\"", "expected * or ? in the last part"),
            (
                "exists = \"/a\"\nmode = \"0700\"",
                "a.toml:6:8: nothing is made",
            ),
            (
                "not_empty = \"/a\"\nmkdir = true\nmode = \"9\"",
                "octal permissions",
            ),
            (
                "exists = \"/a\"\nlimit = { pause = \"off\" }",
                "an end of the pause",
            ),
            ("exist = \"/a\"", "did you mean \"exists\"?"),
            ("exists = 5", "a text or a list"),
            ("exists = \"/a\"\nunit = \"a/b\"", "no unit name"),
        ] {
            let shown = complaint(path);
            assert!(shown.contains(words), "{path}\n{shown}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("\"/a{n}\"")).collect();
        let shown = complaint(&format!("exists = [{}]", many.join(", ")));
        assert!(shown.contains("at most 32"), "{shown}");
    }

    #[test]
    fn the_usual_forms_are_taken() {
        for path in [
            "exists = \"/run/a\"\nglob = \"/spool/*.job\"",
            "not_empty = \"/spool/a\"\nmkdir = true\nmode = \"0700\"",
            "changed = [\"/etc/a\", \"/etc/b\"]\nunit = \"b\"\nlimit = { count = 5 }",
        ] {
            assert_eq!(complaint(path), "", "{path}");
        }
    }
}

//! A request in the words of the command line, for people who read what was done. Pure.

use rootspec::protocol::store::method;
use serde_json::Value;

/// Longest text, in bytes; a command with thousands of words is cut.
const LONGEST: usize = 600;
/// Never words of the command line.
const SILENT: [&str; 5] = ["dry_run", "only", "keep", "frozen", "terminal"];

/// The verb of a method that changes the store, and what follows it without an option.
fn verb(name: &str, given: &Value) -> (&'static str, &'static [&'static str]) {
    let has = |key: &str| given.get(key).is_some_and(|value| !value.is_null());
    match name {
        method::NEW => ("snap new", &["name"]),
        method::DELETE => ("snap delete", &["targets"]),
        method::UNDELETE => ("snap undelete", &["targets"]),
        method::COLLECT => ("snap gc", &[]),
        method::LABEL if has("name") => ("snap rename", &["target", "name"]),
        method::LABEL => ("snap note", &["target", "note"]),
        method::KEEP if given.get("keep") == Some(&Value::Bool(false)) => {
            ("snap unkeep", &["targets"])
        }
        method::KEEP => ("snap keep", &["targets"]),
        method::FREEZE if given.get("frozen") == Some(&Value::Bool(false)) => {
            ("snap unfreeze", &["target"])
        }
        method::FREEZE => ("snap freeze", &["target"]),
        method::REBASE => ("rebase", &["target"]),
        method::SYNC => ("sync", &["target"]),
        method::REVERT => ("snap revert", &["target"]),
        method::RUN => ("run", &["target"]),
        method::ETC_MERGE => ("etc merge", &["target"]),
        method::ETC_RESTORE => ("etc restore", &["paths"]),
        method::ETC_SAVE => ("etc save", &["target"]),
        method::SHELL if has("session") => ("session resume", &["session"]),
        method::SHELL => ("shell", &["target"]),
        method::KEEP_SESSION => ("session keep", &["session"]),
        method::DROP_SESSIONS => ("session drop", &["sessions"]),
        method::DEPLOY => ("deploy", &["target"]),
        method::BOOT_OK => ("boot-ok", &[]),
        method::ROLLBACK => ("rollback", &["target"]),
        method::INIT => ("store init", &[]),
        method::DOCTOR => ("doctor", &[]),
        _ => ("another request", &[]),
    }
}

/// The verb alone.
pub(super) fn verb_of(name: &str, given: &Value) -> &'static str {
    verb(name, given).0
}

/// The whole request: verb, targets, options, and a command behind `--`.
pub(super) fn of(name: &str, given: &Value) -> String {
    let (verb, first) = verb(name, given);
    let mut words = vec![verb.to_owned()];
    for key in first {
        words.extend(given.get(key).map(plain).unwrap_or_default());
    }
    for (key, value) in given.as_object().into_iter().flatten() {
        let is_policy = name == method::COLLECT && key == "keep";
        let silent = SILENT.contains(&key.as_str()) && !is_policy;
        if !silent && key != "argv" && !first.contains(&key.as_str()) {
            words.extend(option(key, value));
        }
    }
    if let Some(argv) = given.get("argv") {
        words.push("--".to_owned());
        words.extend(plain(argv));
    }
    cut(words.join(" "), LONGEST)
}

/// Shortens a text to at most `longest` bytes and the sign that something is missing.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let end = (0..=longest).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// Values as words.
fn plain(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(plain).collect(),
        Value::String(text) => vec![quoted(text)],
        Value::Number(number) => vec![number.to_string()],
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}

fn option(key: &str, value: &Value) -> Vec<String> {
    // The one option that is called otherwise in the request.
    let name = match key {
        "tries" => "--try".to_owned(),
        key => format!("--{}", key.replace('_', "-")),
    };
    match value {
        Value::Bool(true) => vec![name],
        Value::Null | Value::Bool(false) => Vec::new(),
        value => [vec![name], plain(value)].concat(),
    }
}

/// A word as a shell would read it back.
fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || "@%+=:,./_~-".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_read_like_the_commands_that_made_them() {
        for (name, given, words) in [
            (
                method::NEW,
                json!({"name": "web", "note": "before it", "top": true}),
                "snap new web --note 'before it' --top",
            ),
            (
                method::DELETE,
                json!({"targets": ["2", "web"], "recursive": true, "now": false}),
                "snap delete 2 web --recursive",
            ),
            (
                method::LABEL,
                json!({"target": "2", "name": "new"}),
                "snap rename 2 new",
            ),
            (
                method::LABEL,
                json!({"target": "2", "note": "it's", "name": null}),
                r"snap note 2 'it'\''s'",
            ),
            (
                method::KEEP,
                json!({"targets": ["2"], "keep": false}),
                "snap unkeep 2",
            ),
            (
                method::KEEP,
                json!({"targets": ["2"], "keep": true}),
                "snap keep 2",
            ),
            (
                method::COLLECT,
                json!({"keep": "last=3", "only": [4, 5]}),
                "snap gc --keep last=3",
            ),
            (
                method::RUN,
                json!({"target": "1", "argv": ["sh", "-c", "echo \"a b\""], "name": "x"}),
                "run 1 --name x -- sh -c 'echo \"a b\"'",
            ),
            (
                method::DEPLOY,
                json!({"target": "web", "tries": 3, "replace_menu": true}),
                "deploy web --replace-menu --try 3",
            ),
            (
                method::BOOT_OK,
                json!({"reject": ""}),
                "boot-ok --reject ''",
            ),
            (
                method::REBASE,
                json!({"target": "web", "onto": "base", "recursive": true, "leave": null}),
                "rebase web --onto base --recursive",
            ),
            (method::ROLLBACK, json!({}), "rollback"),
            (method::DOCTOR, json!({"fix": true}), "doctor --fix"),
        ] {
            assert_eq!(of(name, &given), words);
        }
    }

    #[test]
    fn long_commands_are_cut_between_characters() {
        let given = json!({"target": "1", "argv": ["ä".repeat(5000)]});
        let words = of(method::RUN, &given);
        assert!(words.len() <= LONGEST + '…'.len_utf8() && words.ends_with("ä…"));
        assert_eq!(cut("abc".into(), 3), "abc");
    }
}

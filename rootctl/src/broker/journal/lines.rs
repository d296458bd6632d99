//! The format of the journal: one JSON object per line. A line that cannot be read costs that line alone. Pure.

use anyhow::{Context, Result};
use rootspec::protocol::store::Operation;
use serde::{Deserialize, Serialize};

/// Version written by this program.
const SCHEMA: u32 = 1;
/// Most unreadable lines that are named one by one.
const MOST_NAMED: usize = 5;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    operation: &'a Operation,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The operations, oldest first.
    pub(super) operations: Vec<Operation>,
    /// What could not be read, for people.
    pub(super) unreadable: Vec<String>,
    /// The last line has no end: something was cut off.
    pub(super) torn: bool,
}

/// A line, with its end.
pub(super) fn render(operation: &Operation) -> Result<String> {
    let line = Line {
        schema: SCHEMA,
        operation,
    };
    let text = serde_json::to_string(&line).context("cannot write a line of the journal")?;
    Ok(format!("{text}\n"))
}

/// Reads the bytes of `file`.
pub(super) fn read(file: &str, bytes: &[u8]) -> Read {
    let mut read = Read {
        torn: bytes.last().is_some_and(|last| *last != b'\n'),
        ..Read::default()
    };
    let mut bad = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match one(line) {
            Ok(operation) => read.operations.push(operation),
            Err(why) => bad.push(format!("{file}, line {}: {why}", number + 1)),
        }
    }
    let more = bad.len().saturating_sub(MOST_NAMED);
    bad.truncate(MOST_NAMED);
    read.unreadable = bad;
    if more > 0 {
        let text = format!("{file}: {more} more lines cannot be read");
        read.unreadable.push(text);
    }
    read
}

fn one(line: &[u8]) -> Result<Operation, String> {
    let version: Version = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if version.schema != SCHEMA {
        return Err(format!(
            "it has format {}, this version knows {SCHEMA} only",
            version.schema
        ));
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::protocol::store::By;

    fn operation(words: &str) -> Operation {
        Operation {
            time: 1,
            by: By::Request,
            uid: Some(0),
            words: words.to_owned(),
            ..Operation::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_bad_line_costs_itself_alone() {
        let (first, last) = (operation("snap new \"a\"\nb"), operation("deploy 2"));
        let mut text = render(&first).unwrap().into_bytes();
        text.extend(b"\xff\xfe garbage\n\n{\"schema\":9,\"new\":true}\n{\"schema\":1}\n");
        text.extend(render(&last).unwrap().into_bytes());
        let read = read("log", &text);
        assert_eq!(read.operations, [first, last]);
        assert_eq!(read.unreadable.len(), 3, "{:?}", read.unreadable);
        assert!(read.unreadable[0].starts_with("log, line 2: "));
        assert!(
            read.unreadable[1].contains("format 9"),
            "{:?}",
            read.unreadable
        );
        assert!(!read.torn);
    }

    #[test]
    fn a_torn_last_line_is_known_as_such() {
        let whole = render(&operation("x")).unwrap();
        let read = read("log", &whole.as_bytes()[..whole.len() - 9]);
        assert!(read.torn && read.operations.is_empty() && read.unreadable.len() == 1);
        assert_eq!(super::read("log", b""), Read::default());
    }

    #[test]
    fn a_file_of_nothing_but_garbage_is_told_in_few_words() {
        let read = read("log", &b"x\n".repeat(1000));
        assert_eq!(read.unreadable.len(), MOST_NAMED + 1);
        assert_eq!(
            read.unreadable[MOST_NAMED],
            "log: 995 more lines cannot be read"
        );
    }

    #[test]
    fn lines_of_the_first_version_are_read_for_ever() {
        let line = br#"{"schema":1,"time":1795293600,"boot_id":"b","booted":1,"by":"request","uid":1001,"user":"berta","cgroup":"/rinit/sshd","words":"deploy 2","error":"no room","ids":[2],"made":[3],"gone":[4],"before":{"good":1},"after":{"good":2,"previous":1,"trial":{"id":2,"phase":"armed","attempts":0,"tries_max":2}}}"#;
        let read = read("log", line);
        let id = |n| rootspec::SnapshotId::new(n);
        let [only] = read.operations.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(
            (only.uid, only.user.as_deref()),
            (Some(1001), Some("berta"))
        );
        let after = only.after.as_ref().unwrap();
        assert_eq!((after.good, after.previous), (id(2), id(1)));
        assert_eq!(after.trial.as_ref().unwrap().phase, "armed");
        assert_eq!(only.before.as_ref().unwrap().trial, None);
    }
}

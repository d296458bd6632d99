//! Edit sessions of [`super::store`]: a writable copy of a snapshot that somebody works in, until it is kept as a new
//! snapshot or dropped.

use serde::{Deserialize, Serialize};

use super::store::DiffCount;
use crate::SnapshotId;

/// Work in a copy of a snapshot. Exactly one of `target` and `session` is given.
///
/// When the call is made with `more`, one `Progress` reply has the stream `terminal` and carries a descriptor
/// (`SCM_RIGHTS`): what the programs inside have for standard input and output. With `terminal` it is the master of a
/// pseudo-terminal, else a socket. Closing it, or the connection, ends what runs inside; the session stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shell {
    /// Begin a session: what to copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Go on with this session: its number, or the name it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The command, passed on untouched; absent: the shell that root has there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The terminal of the person; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// Name of the new snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A terminal, as programs need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// `TERM`: its name in terminfo(5).
    pub term: String,
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// What ran in a session has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellEnded {
    /// The session, which is still there; absent in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Exit status, 128 + signal if a signal ended it; absent in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// What would be done; only in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number: that of the snapshot it becomes when it is kept.
    pub id: SnapshotId,
    /// The snapshot it began as a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotId>,
    /// Name that the snapshot gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Note that the snapshot gets.
    pub note: String,
    /// When it began, in seconds since 1970 (UTC).
    pub created: u64,
    /// User id of whoever began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Somebody works in it now.
    pub open: bool,
    /// The command of `Run` that it was made for; it ends with that command, and nothing else can be done with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What differs from the snapshot it was copied from; absent: that one is gone, or the session is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<DiffCount>>,
    /// What is wrong with it; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl Session {
    /// Whether anything was changed in it, as far as that is known.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let nothing =
            |count: &DiffCount| count.added + count.removed + count.modified + count.renamed == 0;
        self.changes
            .as_ref()
            .is_some_and(|all| all.iter().all(nothing))
    }
}

/// All sessions, or some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// By number.
    pub sessions: Vec<Session>,
}

/// Make a session a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepSession {
    /// Its number, or the name it was given.
    pub session: String,
    /// Another name for the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A session became a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionKept {
    /// The new snapshot.
    pub id: SnapshotId,
    /// What would be done; only in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// Throw sessions away, for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropSessions {
    /// Their numbers, or the names they were given.
    pub sessions: Vec<String>,
    /// Only say which it would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

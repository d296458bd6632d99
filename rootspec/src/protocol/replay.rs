//! Changes of snapshots of [`super::store`], made once more somewhere else: rebase, sync and revert.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// Make what was changed in a snapshot once more, on another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebase {
    /// Whose change, as typed.
    pub target: String,
    /// On which one, as typed.
    pub onto: String,
    /// Also the changes of all that was made from it, each on the new one of what it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<bool>,
    /// What was changed differently on both sides is left as it is there, and named in the answer; else it is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Make what was made from older versions of a snapshot once more on the newest one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The newest version, as typed.
    pub target: String,
    /// The older version; the default is all older snapshots of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// As in [`Rebase`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Undo what was changed in a snapshot, in a copy of a later one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revert {
    /// Whose change, as typed.
    pub target: String,
    /// In a copy of which; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Name of the new snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// As in [`Rebase`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Changes were made once more, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// In the order they were made.
    pub snapshots: Vec<ReplayedOne>,
}

/// One new snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedOne {
    /// Whose change it has, or lacks.
    pub of: SnapshotId,
    /// Of which one it is a copy.
    pub onto: SnapshotId,
    /// Its number.
    pub id: SnapshotId,
    /// How many paths were changed; absent in a dry run where that shows only when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<u64>,
    /// Paths that were left as they are there, written as in [`crate::path_text`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

//! Snapshots: listed, made, called, kept, deleted and brought back.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// Which snapshots to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Those in the trash instead of those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
}

/// All snapshots, or some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// By id.
    pub snapshots: Vec<Snapshot>,
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Nearest ancestor that still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// Seconds since 1970 (UTC).
    pub created: u64,
    /// A line for people.
    pub note: String,
    /// How it was made.
    pub origin: String,
    /// Kernel release; absent: it cannot be deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Any of `booted`, `next`, `good`, `previous`, `trial`, `failed`, `pinned`, `image`, `unfrozen`; of one in the trash `deleted`.
    pub marks: Vec<String>,
    /// What is wrong with it; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// When it was deleted, in seconds since 1970 (UTC); only of one in the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
}

/// A new snapshot as a copy of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct New {
    /// What to copy; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its place in the tree is beside the one it is copied from; without a word it is below that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<bool>,
    /// Its place in the tree is below this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// It stands on its own in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its id.
    pub id: SnapshotId,
    /// What would be done; only in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// Another name or note for a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// As typed.
    pub target: String,
    /// Its new name; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its new note; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Only say whether it could be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Keep snapshots, or keep them no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// As typed.
    pub targets: Vec<String>,
    /// False: they may be deleted again.
    pub keep: bool,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What is kept now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Those that were named.
    pub ids: Vec<SnapshotId>,
    /// All that are kept.
    pub all: Vec<SnapshotId>,
}

/// Let a snapshot be changed in place, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// As typed.
    pub target: String,
    /// False: it may be changed.
    pub frozen: bool,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Whether a snapshot may be changed now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Its id.
    pub id: SnapshotId,
    /// False: it may be changed.
    pub frozen: bool,
    /// What was done, or would be; nothing: it was so already.
    pub steps: Vec<String>,
}

/// Snapshots to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// As typed.
    pub targets: Vec<String>,
    /// Also everything below them in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<bool>,
    /// For good, at once; then those in the trash may be named as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Only say what would be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Their ids.
    pub ids: Vec<SnapshotId>,
}

/// Snapshots to bring back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelete {
    /// Number, name or unique prefix of a name of a deleted one.
    pub targets: Vec<String>,
    /// Only say what would come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

//! What the garbage collection takes, and what it leaves.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// Delete what no rule keeps, and throw away what was deleted long ago.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect {
    /// What stays: `last=N,daily=N,weekly=N,monthly=N,trash=DAYS`; what is not named is 0, the trash keeps its days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// For good, at once, the whole trash included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Nothing but these, which a plan named before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<SnapshotId>>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What was collected, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// The policy that counted.
    pub policy: String,
    /// All snapshots by id, then all that were in the trash.
    pub snapshots: Vec<CollectedOne>,
}

/// What a collection does with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is left alone.
    Stays,
    /// It is deleted, and can be brought back.
    Trash,
    /// It is thrown away for good.
    Purge,
}

/// What becomes of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedOne {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds since 1970 (UTC).
    pub created: u64,
    /// When it was deleted, of one in the trash; 0: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// What that is.
    pub verdict: Fate,
    /// Why.
    pub why: String,
}

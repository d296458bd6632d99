//! A command in a copy of a snapshot.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// A command to run in a copy of a snapshot; success publishes the copy as a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What to copy.
    pub target: String,
    /// The command: passed on untouched, no shell.
    pub argv: Vec<String>,
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

/// The command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The new snapshot; absent when the command failed and its work was thrown away.
    pub id: Option<SnapshotId>,
    /// Exit status of the command, 128 + signal if a signal ended it; 0 in a dry run.
    pub status: i32,
    /// What would be done; only in a dry run, where `id` is the number it would get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

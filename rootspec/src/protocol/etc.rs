//! The part of [`super::store`] about the live `/etc` of deployments. Paths are absolute and written as in
//! [`crate::path_text`].

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// What was changed in a live `/etc` since its snapshot was booted first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcDiff {
    /// Whose; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only what lies at or below one of these paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcChanges {
    /// Whose `/etc` it is.
    pub id: SnapshotId,
    /// Changes against what that snapshot ships, by path.
    pub changes: Vec<EtcChange>,
    /// Files that an earlier merge put beside ours, because both sides had changed them: `NAME.rootctl-new`.
    pub undecided: Vec<String>,
}

/// One path that is not as the snapshot ships it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcChange {
    /// Where.
    pub path: String,
    /// `added`, `removed` or `modified`, seen from the snapshot.
    pub change: String,
}

/// What a merge would conflict in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcConflicts {
    /// The snapshot whose first boot is foretold; the default is `@next`, if that was never booted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What is not decided, and what will have to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcForetold {
    /// Files that earlier merges put beside ours in the live `/etc`.
    pub undecided: Vec<String>,
    /// The snapshot whose first boot is foretold; absent: none will merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SnapshotId>,
    /// Whose `/etc` it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotId>,
    /// What its first boot will do, in order.
    pub steps: Vec<EtcStep>,
}

impl EtcForetold {
    /// Whether anything waits for a person's decision.
    #[must_use]
    pub fn needs_decision(&self) -> bool {
        !self.undecided.is_empty() || self.steps.iter().any(|step| step.conflict)
    }
}

/// One step of a merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcStep {
    /// `remove`, `folder`, `properties`, `take`, `accounts` (merged by line), `beside` (ours stays, the other one is put beside
    /// it) or `note`.
    pub action: String,
    /// What it is done to; empty for a note.
    pub path: String,
    /// Both sides have changed it, differently.
    pub conflict: bool,
    /// What a note says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Put paths of a live `/etc` back to what the snapshot ships.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcRestore {
    /// Whose; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which; a folder means all that is below it.
    pub paths: Vec<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Make a new snapshot that ships the live `/etc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcSave {
    /// Whose; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
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

/// A live `/etc` was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcSaved {
    /// The new snapshot.
    pub id: SnapshotId,
    /// What it ships otherwise than the one it was copied from.
    pub changes: Vec<EtcChange>,
}

/// Bring what was changed in one live `/etc` into that of another deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcMerge {
    /// Into whose.
    pub target: String,
    /// From whose; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What both have changed differently stays there, and the other one is put beside it. Without this a conflict changes
    /// nothing and is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What a merge did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcMerged {
    /// Into whose `/etc`.
    pub id: SnapshotId,
    /// From whose.
    pub from: SnapshotId,
    /// The steps, in order.
    pub steps: Vec<EtcStep>,
}

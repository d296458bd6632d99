//! What was done to the store.

use serde::{Deserialize, Serialize};

use super::TrialStatus;
use crate::SnapshotId;

/// Which operations to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// At most so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only those that this snapshot has to do with; it need not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The oldest first.
    pub operations: Vec<Operation>,
    /// How many older ones were left out because of `lines`.
    pub earlier: u64,
    /// Lines of the journal that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// One operation that changed the store, or failed. The same in the journal on disk, where a version stands before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// When it began, in seconds since 1970 (UTC).
    pub time: u64,
    /// Kernel's boot id of the system on which it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The running snapshot of this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<SnapshotId>,
    /// Who did it.
    pub by: By,
    /// User id of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its control group; under `rinit` it names the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The request in the words of the command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Why it failed; absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All snapshots it has to do with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<SnapshotId>,
    /// Snapshots that are there since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<SnapshotId>,
    /// Snapshots that are not there any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<SnapshotId>,
    /// What boots, before; absent: the same as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Standing>,
    /// What boots, after; absent: the record could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Standing>,
}

/// Who did something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The broker, because somebody asked.
    #[default]
    Request,
    /// The broker, which finished what was left undone.
    Broker,
    /// Not the broker: the boot stage, or an operation whose line was lost with the power.
    Elsewhere,
}

/// What boots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The last confirmed good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<SnapshotId>,
    /// The one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SnapshotId>,
    /// The trial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
}

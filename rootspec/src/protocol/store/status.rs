//! What runs, what boots next, what is wrong.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// The store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The running snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<SnapshotId>,
    /// How its root is put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Why it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What boots next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SnapshotId>,
    /// The last confirmed good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<SnapshotId>,
    /// The one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SnapshotId>,
    /// The trial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
    /// The loader whose menu is written: `grub`, `limine` or `none`.
    pub loader: String,
    /// Number of snapshots.
    pub snapshots: u32,
    /// Number of edit sessions, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// What an administrator should know, each with the next command.
    pub warnings: Vec<String>,
}

/// Where a trial stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Which snapshot.
    pub id: SnapshotId,
    /// `armed`, `trying` or `failed`.
    pub phase: String,
    /// Times it was entered.
    pub attempts: u8,
    /// Times it may be entered.
    pub tries_max: u8,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

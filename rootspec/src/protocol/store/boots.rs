//! What boots: tried, judged, gone back to.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;
use crate::protocol::units::UnitProblem;

/// Make a snapshot the next one to boot, on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Which.
    pub target: String,
    /// How many tries it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u8>,
    /// Mode as on the kernel command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
    /// Errors in its units do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<bool>,
    /// Try another kernel even where the loader starts it again and again if it stops early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_no_return: Option<bool>,
}

/// What a deploy did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The snapshot.
    pub id: SnapshotId,
    /// The steps, in order.
    pub steps: Vec<String>,
    /// What is wrong with its units; of a rollback nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<UnitProblem>,
}

/// Judge the running snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootOk {
    /// Why it is not good; absent: it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<String>,
}

/// Go back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// To which snapshot; the default is the one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
}

//! Descriptors that a unit leaves with `rinit` for its next run.

use serde::{Deserialize, Serialize};

/// Most descriptors that a unit may leave. With its sockets they stay below 1024, which is as far as ordinary programs
/// are allowed to count.
pub(super) const MOST: u16 = 512;

/// `[fdstore]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FdStore {
    /// How many it may leave.
    pub max: u16,
    /// For how long they are kept.
    pub keep: Keep,
}

/// For how long they are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Until its run is over.
    No,
    /// Until it is down or has failed for good.
    #[default]
    Restart,
    /// As long as there is the unit.
    Always,
}

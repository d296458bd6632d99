//! The boot report: written by the boot stage to `/run/rootctl/boot.toml`, read by `rinit` and `rootctl`.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;
use crate::toml_value::{self, Mistake};

/// What the boot stage chose, mounted and noticed. Times are milliseconds since the kernel started (CLOCK_BOOTTIME).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootReport {
    /// Version of this format.
    pub schema: u32,
    /// The snapshot that was mounted; absent where the root is no snapshot of a store.
    pub snapshot: Option<SnapshotId>,
    /// The snapshot the command line asked for, when that was another one.
    pub requested: Option<SnapshotId>,
    /// Mode in the words of the command line (`ro`, `tmpfs`, `persist:dev`, …).
    pub mode: String,
    /// Why this snapshot was chosen, in words.
    pub reason: String,
    /// True when the boot fell back from what was asked for.
    pub degraded: bool,
    /// Number of this try, from 1; absent on an ordinary boot.
    pub try_number: Option<u8>,
    /// How many tries there are; absent on an ordinary boot.
    pub tries_max: Option<u8>,
    /// File system UUID of the device the store is on.
    pub root_uuid: Option<String>,
    /// Device node the store was found on.
    pub root_device: Option<String>,
    /// Kernel's boot id.
    pub boot_id: String,
    /// When `/init` started.
    pub started_ms: u64,
    /// When the root device had been found.
    pub found_ms: u64,
    /// When the new root was complete.
    pub assembled_ms: u64,
    /// What an administrator should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl BootReport {
    /// Version written by this program.
    pub const SCHEMA: u32 = 1;

    /// The report as TOML text.
    ///
    /// # Errors
    /// Only if a value cannot be written as TOML, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// The text is no boot report; unknown keys are ignored.
    pub fn from_toml(text: &str) -> Result<Self, Mistake> {
        toml_value::from_text(text)
    }

    /// True on a counted try of a new snapshot.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.try_number.is_some()
    }
}

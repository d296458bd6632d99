//! The boot report: written by the boot stage to `/run/rootctl/boot.toml`, read by `rinit` and `rootctl`.
//!
//! It begins with lines `KEY = NUMBER` and no others, so that PID 1 gets what it needs without a parser of TOML.

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
    /// Number of this try, from 1; absent on an ordinary boot.
    pub try_number: Option<u8>,
    /// How many tries there are; absent on an ordinary boot.
    pub tries_max: Option<u8>,
    /// Mode in the words of the command line (`ro`, `tmpfs`, `persist:dev`, …). The first that is no number: [`Numbers`]
    /// ends with it.
    pub mode: String,
    /// Why this snapshot was chosen, in words.
    pub reason: String,
    /// True when the boot fell back from what was asked for.
    pub degraded: bool,
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
}

/// The numbers that a boot report begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// [`BootReport::snapshot`].
    pub snapshot: Option<SnapshotId>,
    /// [`BootReport::try_number`].
    pub try_number: Option<u8>,
}

impl Numbers {
    /// From the text of a boot report. `None`: it is none, or damaged before their end.
    #[must_use]
    pub fn of_report(text: &str) -> Option<Self> {
        let mut numbers = Self::default();
        let mut lines = text.lines();
        lines.next().filter(|line| line.starts_with("schema = "))?;
        for line in lines {
            let (key, value) = line.split_once(" = ")?;
            match key {
                "snapshot" => numbers.snapshot = Some(value.parse().ok()?),
                "try_number" => numbers.try_number = Some(value.parse().ok()?),
                "mode" => return Some(numbers),
                _ => _ = value.parse::<u64>().ok()?,
            }
        }
        None
    }

    /// True on a counted try of a new snapshot.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.try_number.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(try_number: Option<u8>) -> BootReport {
        BootReport {
            schema: BootReport::SCHEMA,
            snapshot: SnapshotId::new(7),
            requested: SnapshotId::new(8),
            try_number,
            tries_max: try_number,
            mode: "ro".into(),
            reason: "it lies:\ntry_number = 9\n".into(),
            degraded: false,
            root_uuid: None,
            root_device: None,
            boot_id: "x".into(),
            started_ms: 1,
            found_ms: 2,
            assembled_ms: 3,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_numbers_come_before_all_text_and_are_read_without_toml() {
        for try_number in [None, Some(2)] {
            let text = report(try_number).to_toml().unwrap();
            let numbers = Numbers::of_report(&text).unwrap();
            assert_eq!(numbers.snapshot, SnapshotId::new(7), "{text}");
            assert_eq!(numbers.try_number, try_number, "{text}");
            let end = text.find("mode = ").unwrap();
            for cut in 0..end {
                assert_eq!(Numbers::of_report(&text[..cut]), None, "cut at {cut}");
            }
        }
        for damaged in ["", "damaged", "schema = 1\nsnapshot = x\nmode = \"ro\"\n"] {
            assert_eq!(Numbers::of_report(damaged), None, "{damaged}");
        }
    }
}

//! Records of logs as JSON, one object a line: what `rootctl logs --json` prints.

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// UTC, RFC 3339 with milliseconds.
    pub time: String,
    /// First 8 digits of the kernel's boot id.
    pub boot: String,
    /// Snapshot; absent: none of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u32>,
    /// Number of the try; absent: it was none.
    #[serde(default, rename = "try", skip_serializing_if = "Option::is_none")]
    pub try_number: Option<u32>,
    /// Priority as syslog(3) counts, 0 to 7; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Whose log it is in.
    pub unit: String,
    /// It goes on where the record before it of the same unit ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
    /// What was said; control characters and bytes that are no UTF-8 as `\xNN`.
    pub text: String,
}

impl From<&Record<'_>> for LogRecord {
    fn from(record: &Record<'_>) -> Self {
        Self {
            time: record.time.to_owned(),
            boot: record.boot.to_owned(),
            snapshot: record.snapshot.parse().ok(),
            try_number: record.try_number.parse().ok(),
            priority: record.priority,
            unit: record.unit.to_owned(),
            continued: record.continued,
            text: record.text.to_owned(),
        }
    }
}

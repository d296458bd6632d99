//! `over/NAME.toml`: which snapshot the writable root `over/NAME` of the mode `persist` was made from.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;
use crate::spot::{Spot, read_toml};

/// Largest file that is read, in bytes.
pub const MAX_SIZE: usize = 4096;

/// The content of `over/NAME.toml`. Written before the subvolume is made, so one without the other is no overlay yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// Version of the format.
    pub schema: u32,
    /// The snapshot it was made from.
    pub base: SnapshotId,
    /// When it was made, in seconds since 1970 (UTC).
    pub created: u64,
}

impl Over {
    /// Version written by this program.
    pub const SCHEMA: u32 = 1;

    /// The text of the file.
    ///
    /// # Errors
    /// Only if a value cannot be written as TOML, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// The text is damaged or has a newer format.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Spot> {
        read_toml(file, text, Self::SCHEMA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_future_format_is_named() {
        let over = Over {
            schema: Over::SCHEMA,
            base: SnapshotId::new(3).unwrap(),
            created: 1_700_000_000,
        };
        let text = over.to_toml().unwrap();
        assert_eq!(Over::from_toml("f", &text).unwrap(), over);
        let newer = text.replace("schema = 1", "schema = 2");
        let error = Over::from_toml("f", &newer).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}

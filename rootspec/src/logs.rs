//! What PID 1 tells its logger: which log, and the rules it is kept by.

use serde::{Deserialize, Serialize};

/// How the log of one unit is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// More lines than this are dropped; absent: no bound.
    pub rate: Option<Rate>,
    /// A file of so many bytes is turned over.
    pub size: u64,
    /// So many old files are kept.
    pub keep: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            rate: None,
            size: 1 << 20,
            keep: 3,
        }
    }
}

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Lines.
    pub count: u32,
    /// Milliseconds.
    pub window: u64,
}

/// One log that is handed to the logger; the end of a pipe to read from goes with it. The same number again is the same
/// log under other rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: Box<str>,
    /// The console gets a copy.
    pub console: bool,
    /// Absent: the usual rules.
    pub rules: Option<Box<Rules>>,
}

impl Handover {
    /// Longest binary form: a name, and some numbers.
    pub const MOST: usize = 512;

    /// The binary form. Both sides are one program, so it has no version.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // The encoder fails for want of memory alone; then it is no handover, and the log waits in its pipe.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the binary form; `None`: it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handover_round_trips_and_a_cut_one_is_none() {
        let rules = Rules {
            rate: Some(Rate {
                count: 5,
                window: 1000,
            }),
            ..Rules::default()
        };
        let what = Handover {
            id: 7,
            name: "getty@tty1".into(),
            console: true,
            rules: Some(Box::new(rules)),
        };
        let bytes = what.to_bytes();
        assert_eq!(Handover::from_bytes(&bytes), Some(what));
        for length in 0..bytes.len() {
            assert_eq!(Handover::from_bytes(&bytes[..length]), None);
        }
        let longest = Handover {
            id: u32::MAX,
            name: "x".repeat(128).into(),
            console: true,
            rules: Some(Box::new(Rules {
                size: u64::MAX,
                ..Rules::default()
            })),
        };
        assert!(longest.to_bytes().len() <= Handover::MOST);
    }
}

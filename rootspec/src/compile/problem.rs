//! What is wrong with which unit.

use std::fmt;

use crate::UnitName;
use crate::spot::Spot;

/// Something that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The unit it is about, if it is about one.
    pub unit: Option<Box<str>>,
    /// Place and reason.
    pub spot: Spot,
}

impl Problem {
    /// A problem of one unit.
    #[must_use]
    pub fn about(unit: &UnitName, spot: Spot) -> Self {
        Self {
            unit: Some(unit.as_str().into()),
            spot,
        }
    }

    /// A problem of no unit in particular, with what `file` is about.
    #[must_use]
    pub fn of(file: &str, words: impl Into<String>) -> Self {
        Self {
            unit: None,
            spot: Spot::whole(file, words),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spot.fmt(f)
    }
}

//! What is wrong with which unit.

use std::fmt;

use crate::UnitName;
use crate::protocol::units::{ERROR, UnitProblem, WARNING};
use crate::spot::Spot;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A unit, or the system, does not work like this.
    Error,
    /// It is probably not meant like this.
    Warning,
}

/// Something that could not be used, or looks wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
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
            severity: Severity::Error,
            unit: Some(unit.as_str().into()),
            spot,
        }
    }

    /// A problem of no unit in particular, with what `file` is about.
    #[must_use]
    pub fn of(file: &str, words: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            unit: None,
            spot: Spot::whole(file, words),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(self) -> Self {
        let severity = Severity::Warning;
        Self { severity, ..self }
    }

    /// The same as an error.
    #[must_use]
    pub fn error(self) -> Self {
        let severity = Severity::Error;
        Self { severity, ..self }
    }

    /// As it is told to other programs.
    #[must_use]
    pub fn told(&self) -> UnitProblem {
        let place = self.spot.place();
        let number = |at: usize| u32::try_from(at).ok();
        let severity = match self.severity {
            Severity::Error => ERROR,
            Severity::Warning => WARNING,
        };
        UnitProblem {
            severity: severity.to_owned(),
            unit: self.unit.as_deref().map(str::to_owned),
            file: Some(self.spot.file().to_owned()).filter(|file| !file.is_empty()),
            line: place.and_then(|(line, _)| number(line)),
            column: place.and_then(|(_, column)| number(column)),
            message: self.spot.message().to_owned(),
            shown: self.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spot.fmt(f)
    }
}

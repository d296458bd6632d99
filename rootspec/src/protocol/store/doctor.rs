//! Rules of the layout, held against what is there.

use serde::{Deserialize, Serialize};

/// A look at everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// First put in order what every change puts in order, and read the boot files on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<bool>,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// True if something does not work, or will not.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let mut all = self.checks.iter().flat_map(|check| &check.findings);
        all.any(|finding| finding.severity == Severity::Error)
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What: `record`, `boot menu`, `snapshot 3`, …
    pub name: String,
    /// What was found; nothing: all is well.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What, where, why.
    pub message: String,
    /// The command to run next, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or will not.
    Error,
    /// Something is odd and stops nothing.
    Warning,
}

impl Severity {
    /// The word for people, as in the answer.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

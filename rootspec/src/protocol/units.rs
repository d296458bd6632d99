//! What is wrong with the units of a root: the answer of the linter, `rinit-plan --check --json`, and of the broker, who asks it.

use serde::{Deserialize, Serialize};

/// Severity of what keeps a unit, or the system, from working.
pub const ERROR: &str = "error";
/// Severity of what is probably not meant so.
pub const WARNING: &str = "warning";

/// What the linter found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Number of units that can be used.
    pub units: u32,
    /// What is wrong, errors first.
    pub problems: Vec<UnitProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitProblem {
    /// [`ERROR`] or [`WARNING`].
    pub severity: String,
    /// The unit, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The file it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// All of it for people: place, message, line and caret.
    pub shown: String,
}

impl Checked {
    /// What must not be so, without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &UnitProblem> {
        self.problems.iter().filter(|p| p.severity == ERROR)
    }

    /// All of it in words for people, each problem with its severity, and a last line that sums up.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&problem.text());
            text.push('\n');
        }
        let errors = self.errors().count();
        let warnings = self.problems.len().saturating_sub(errors);
        let count = |number: usize, what: &str| match number {
            1 => format!("1 {what}"),
            other => format!("{other} {what}s"),
        };
        text.push_str(&match (errors, warnings) {
            (0, 0) => format!("{} units, nothing wrong\n", self.units),
            _ => format!(
                "{} units can be used, {}, {}\n",
                self.units,
                count(errors, "error"),
                count(warnings, "warning")
            ),
        });
        text
    }
}

impl UnitProblem {
    /// The problem in words for people.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {}", self.severity, self.shown)
    }
}

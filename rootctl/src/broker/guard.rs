//! Answers that are no: what kind of no, the reason, the next command.

use std::fmt;

use rootspec::protocol::init::Problem;
use rootspec::protocol::store::error;

/// What kind of no; decides the exit code of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It did not work out; nothing changed.
    Failed,
    /// The request makes no sense.
    Usage,
    /// A rule says no.
    Refused,
    /// Somebody else is changing the store.
    Busy,
    /// Two sides differ, and a person has to decide.
    Conflict,
}

/// A no in words. Travels inside `anyhow::Error`, as the error itself or as context around a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    kind: Kind,
    reason: String,
    next: Option<String>,
}

impl Guard {
    fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            next: None,
        }
    }

    /// It did not work out.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::new(Kind::Failed, reason)
    }

    /// The request makes no sense.
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::new(Kind::Usage, reason)
    }

    /// A rule says no.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::new(Kind::Refused, reason)
    }

    /// Somebody else is at it.
    pub(crate) fn busy(reason: impl Into<String>) -> Self {
        Self::new(Kind::Busy, reason)
    }

    /// A person has to decide.
    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, reason)
    }

    /// Names the command to run next.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// As an error.
    pub(crate) fn err<T>(self) -> anyhow::Result<T> {
        Err(self.into())
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Guard {}

/// An error and its causes in one line, each fact once.
pub(crate) fn words(error: &anyhow::Error) -> String {
    sys::chain(error.as_ref())
}

/// The error reply for an error: its name and its parameters.
pub(crate) fn reply(error: &anyhow::Error) -> (&'static str, Problem) {
    let guard = error.downcast_ref::<Guard>();
    let name = match guard.map_or(Kind::Failed, |guard| guard.kind) {
        Kind::Failed => error::FAILED,
        Kind::Usage => error::USAGE,
        Kind::Refused => error::REFUSED,
        Kind::Busy => error::BUSY,
        Kind::Conflict => error::CONFLICT,
    };
    let problem = Problem {
        reason: words(error),
        next: guard.and_then(|guard| guard.next.clone()),
    };
    (name, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_guard_is_found_as_the_error_and_as_context() {
        let plain = Guard::refused("no").next("do").err::<()>().unwrap_err();
        let around = std::fs::read("/no/file")
            .context(Guard::refused("no").next("do"))
            .context("while deploying")
            .unwrap_err();
        for error in [plain, around] {
            let (name, problem) = reply(&error);
            assert_eq!(
                (name, problem.next.as_deref()),
                (error::REFUSED, Some("do"))
            );
        }
    }

    #[test]
    fn other_errors_are_failures_with_all_their_causes() {
        let error = std::fs::read("/no/file")
            .context("cannot read it")
            .unwrap_err();
        let (name, problem) = reply(&error);
        assert_eq!(name, error::FAILED);
        assert_eq!(problem.reason, "cannot read it: No such file or directory");
    }
}

//! What failed, on which object, and why.

use std::fmt;
use std::io;
use std::path::Path;

/// A failed system call in words: "cannot {op} {object}"; the reason is in `source()`.
#[derive(Debug)]
pub struct SysError {
    /// What was being done, as a verb: `mount`, `open`.
    pub op: &'static str,
    /// To what.
    pub object: String,
    /// The kernel's answer.
    pub source: io::Error,
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, SysError>;

impl SysError {
    /// The error of doing `op` to `object`.
    pub fn new(op: &'static str, object: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self {
            op,
            object: object.as_ref().display().to_string(),
            source: source.into(),
        }
    }

    /// An error that no system call reported: the object itself is wrong, as `why` says.
    pub fn invalid(op: &'static str, object: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Self::new(
            op,
            object,
            io::Error::new(io::ErrorKind::InvalidData, why.into()),
        )
    }

    /// The kernel's error number, if a system call reported it.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// True when the object is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.op, self.object)
    }
}

impl std::error::Error for SysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Says what a failed call was about: `file.sync_all().cannot("sync", path)?`.
pub trait Cannot<T> {
    /// Turns the error into a [`SysError`] about doing `op` to `object`.
    ///
    /// # Errors
    /// The error given, with its context.
    fn cannot(self, op: &'static str, object: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> Cannot<T> for std::result::Result<T, E> {
    fn cannot(self, op: &'static str, object: impl AsRef<Path>) -> Result<T> {
        self.map_err(|error| SysError::new(op, object, error))
    }
}

/// Joins an error and its causes into one line, each fact once: "cannot open /x: No such file or directory".
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = plain(&cause.to_string());
        // Some libraries repeat their cause in their own words.
        if !line.ends_with(&words) {
            line.push_str(": ");
            line.push_str(&words);
        }
        next = cause.source();
    }
    line
}

/// Drops the number that `std` puts behind the kernel's words: people need the words.
fn plain(words: &str) -> String {
    match words.find(" (os error ") {
        Some(at) => words.get(..at).unwrap_or(words).to_owned(),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_says_each_fact_once() {
        let error = std::fs::read("/nowhere/at/all")
            .cannot("read", "/nowhere/at/all")
            .unwrap_err();
        assert_eq!(
            chain(&error),
            "cannot read /nowhere/at/all: No such file or directory"
        );
        assert!(error.is_absent() && error.errno() == Some(2));
    }
}

//! Plans that were compiled before this boot: after a good one, or when the snapshot was deployed. They are looked for in
//! the loader's child, as that asks file systems.

use rootspec::stored::{MAX_SIZE, Stored};

use crate::seen;

/// What `rinit-plan` would answer, without asking it: nothing has changed that the plan was compiled from.
///
/// # Errors
/// In words, why it must be asked.
pub(crate) fn unchanged(path: &str) -> Result<Vec<u8>, String> {
    let bytes = read(path)?;
    parse(&bytes)?.for_boot(&seen::facts(), seen::found)
}

/// The plan at `path`, whatever has changed since. To be asked for a path in memory only.
///
/// # Errors
/// In words: it is none, damaged, or of another snapshot.
pub(crate) fn as_deployed(path: &str) -> Result<Vec<u8>, String> {
    let bytes = read(path)?;
    parse(&bytes)?.of_snapshot(&seen::facts())
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    sys::fs::read_own(path, MAX_SIZE).map_err(|error| sys::chain(&error))
}

fn parse(bytes: &[u8]) -> Result<Stored<'_>, String> {
    Stored::from_bytes(bytes).map_err(|why| why.to_string())
}

//! The plan that was kept after a good boot, if nothing has changed since that it was compiled from. Looked for in the
//! loader's child, as it asks file systems, and decodes what a disk has stored.

use rootspec::stored::{MAX_SIZE, Stored};

use crate::seen;

/// What `rinit-plan` would answer, without asking it.
///
/// # Errors
/// In words, why it must be asked.
pub(crate) fn unchanged(path: &str) -> Result<Vec<u8>, String> {
    let bytes = sys::fs::read_own(path, MAX_SIZE).map_err(|error| sys::chain(&error))?;
    let stored = Stored::from_bytes(&bytes).map_err(|why| why.to_string())?;
    stored.for_boot(&seen::facts(), seen::found)
}

//! How much room a file system has, and reading what is really on the disk.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::Advice;

use crate::error::{Cannot, Result};

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What ordinary programs can still use.
    pub free: u64,
    /// Files take whole units of this size.
    pub unit: u64,
}

/// The room on the file system that holds `path`.
///
/// # Errors
/// `path` is absent.
pub fn of(path: impl AsRef<Path>) -> Result<Space> {
    let path = path.as_ref();
    let found = rustix::fs::statvfs(path).cannot("ask for the free space of", path)?;
    let unit = found.f_frsize.max(1);
    Ok(Space {
        total: found.f_blocks.saturating_mul(unit),
        free: found.f_bavail.saturating_mul(unit),
        unit,
    })
}

/// Makes the kernel forget its cached pages of an open file that is already synced, so that the next read shows what
/// the medium really holds.
///
/// # Errors
/// The descriptor is no file.
pub fn forget_cached(file: impl AsFd) -> Result<()> {
    rustix::fs::fadvise(file, 0, None, Advice::DontNeed).cannot("drop the cache of", "a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_part_of_the_whole() {
        let space = of("/").unwrap();
        assert!(space.free <= space.total && space.unit >= 512);
        assert!(of("/no/such/place").unwrap_err().is_absent());
    }
}

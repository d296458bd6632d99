//! Subvolumes through btrfsutil. The library reports what it was doing and leaves the kernel's reason in `errno`; both
//! belong into a message ("no space left" above all).

use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use btrfsutil::subvolume::{
    DeleteFlags, SnapshotFlags, Subvolume, SubvolumeIterator, SubvolumeIteratorFlags,
};
use sys::btrfs::Access;

/// Adds `errno`, read at once, to an error of the library.
fn explained<T>(result: btrfsutil::Result<T>, doing: &str, path: &Path) -> Result<T> {
    let errno = io::Error::last_os_error();
    result.map_err(|error| {
        anyhow!(errno)
            .context(error.to_string())
            .context(format!("cannot {doing} {}", path.display()))
    })
}

/// Creates an empty subvolume.
pub(crate) fn create(path: &Path) -> Result<()> {
    explained(Subvolume::create(path, None), "create the subvolume", path)?;
    Ok(())
}

/// Makes a snapshot of one subvolume.
pub(crate) fn snapshot(source: &Path, target: &Path, access: Access) -> Result<()> {
    let origin = explained(Subvolume::get(source), "use the subvolume", source)?;
    let flags = match access {
        Access::ReadOnly => Some(SnapshotFlags::READ_ONLY),
        Access::ReadWrite => None,
    };
    explained(
        origin.snapshot(target, flags, None),
        "make the snapshot",
        target,
    )?;
    Ok(())
}

/// Seals or opens a subvolume; durable after a commit.
pub(crate) fn set_access(path: &Path, access: Access) -> Result<()> {
    let found = explained(Subvolume::get(path), "use the subvolume", path)?;
    explained(
        found.set_ro(access == Access::ReadOnly),
        "seal the subvolume",
        path,
    )
}

/// True if `path` is a subvolume's root.
pub(crate) fn is_subvolume(path: &Path) -> bool {
    Subvolume::is_subvolume(path).is_ok()
}

/// Deletes a subvolume and those inside it.
pub(crate) fn delete(path: &Path) -> Result<()> {
    // A sealed subvolume lets go of those inside it only after it was opened again.
    let inner = SubvolumeIterator::new(path, SubvolumeIteratorFlags::POST_ORDER);
    let inner = explained(inner, "list the subvolumes in", path)?;
    if inner.count() > 0 {
        set_access(path, Access::ReadWrite)?;
    }
    let found = explained(Subvolume::get(path), "use the subvolume", path)?;
    explained(
        found.delete(DeleteFlags::RECURSIVE),
        "delete the subvolume",
        path,
    )
}

/// What a subvolume is.
pub(crate) fn info(path: &Path) -> Result<sys::btrfs::Subvolume> {
    let fd = sys::fs::open_dir(path)?;
    if !sys::btrfs::is_subvolume(&fd) {
        return Err(anyhow!("{} is no subvolume", path.display()));
    }
    sys::btrfs::info(&fd).with_context(|| format!("cannot describe {}", path.display()))
}

/// Deletes whatever is at `path`: a subvolume, a folder that may hold some, a file. Absent is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let removing = || format!("cannot remove {}", path.display());
    let found = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(removing)?,
    };
    if !found.is_dir() {
        return std::fs::remove_file(path).with_context(removing);
    }
    if is_subvolume(path) {
        return delete(path);
    }
    for entry in std::fs::read_dir(path).with_context(removing)? {
        remove_tree(&entry.with_context(removing)?.path())?;
    }
    std::fs::remove_dir(path).with_context(removing)
}

//! Roots that are relied on are read-only. Mode `rw` leaves one writable, and the boot stage falls back to none that anybody
//! may have changed.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use sys::btrfs::Access;

use crate::progress::Progress;
use crate::session::Session;
use crate::store::subvol;

/// What sealing would do; `None`: nothing, the root is read-only, or an image.
pub(crate) fn step(session: &Session, id: SnapshotId) -> Result<Option<String>> {
    let is_image = session.whole(id)?.image.is_some();
    if is_image || subvol::info(&root(session, id))?.access == Access::ReadOnly {
        return Ok(None);
    }
    Ok(Some(format!(
        "make the root of snapshot {id} read-only again: mode rw, or somebody, had made it writable"
    )))
}

/// Makes a root read-only from now on, durably.
pub(crate) fn seal(session: &Session, id: SnapshotId, progress: &mut Progress<'_>) -> Result<()> {
    let Some(words) = step(session, id)? else {
        return Ok(());
    };
    progress.step(&words);
    subvol::set_access(&root(session, id), Access::ReadOnly)?;
    session.store.commit()
}

fn root(session: &Session, id: SnapshotId) -> std::path::PathBuf {
    session.store.snapshot(id).join(names::ROOT)
}

//! The writable copy of a snapshot in which something is done: made, and published as a snapshot or thrown away. Shells and
//! `rootctl run` work in nothing else.

use anyhow::Result;
use rootspec::meta::Origin;
use rootspec::paths::store as names;
use rootspec::{SnapshotId, SnapshotName};
use sys::btrfs::Access;

use crate::boot_files;
use crate::copy::{may_be_copied, must_have_room};
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::edits::{self, Edit, Wishes};
use crate::store::publish::{Draft, Facts, Place};
use crate::store::{subvol, trash};

/// Room that work in a copy usually takes, in bytes; below it the work is refused instead of failing half-way.
const ROOM: u64 = 64 << 20;
/// Most copies at once: each holds on to what its snapshot had, and people forget them.
const MOST: usize = 64;

/// What the snapshot is told to be.
#[derive(Debug)]
pub(crate) struct Told {
    /// Its name.
    pub(crate) name: Option<SnapshotName>,
    /// A line for people.
    pub(crate) note: String,
    /// How it was made.
    pub(crate) origin: Origin,
}

/// Can a copy of the snapshot be made?
pub(crate) fn may_be_made(session: &Session, from: SnapshotId) -> Result<()> {
    may_be_copied(session, from)?;
    must_have_room(&session.store, ROOM)?;
    let open = edits::ids(&session.store)?.len();
    if open >= MOST {
        return Guard::refused(format!(
            "there are {open} sessions, as many as there may be"
        ))
        .next("rootctl session list, then rootctl session drop SESSION")
        .err();
    }
    Ok(())
}

/// Makes it. It is ours until the edit is dropped, with the store locked or not.
pub(crate) fn make(session: &Session, from: SnapshotId, wishes: Wishes) -> Result<Edit> {
    may_be_made(session, from)?;
    let parent = session.whole(from)?.clone();
    let etc_base = session.etc_base(&parent);
    let draft = Draft::new(&session.store, session.lock()?, session.next_id()?)?;
    let source = session.store.snapshot(from).join(names::ROOT);
    subvol::snapshot(&source, &draft.root(), Access::ReadWrite)?;
    Edit::begin(&session.store, draft, (parent, etc_base), wishes)
}

/// Checks what was done, and publishes it. If that cannot be, the copy stays as it is, and its owner decides.
pub(crate) fn publish(
    session: &mut Session,
    edit: &Edit,
    told: Told,
    progress: &mut Progress<'_>,
) -> Result<SnapshotId> {
    let record = edit.record.clone();
    let new = number(session, record.id)?;
    progress.step("check the new root");
    let meta = {
        let dir = edit.dir().to_owned();
        let draft = Draft::of_work(&session.store, session.lock()?, new, dir)?;
        let folder = source(session, record.from.id);
        let kernel = boot_files::of_changed(
            &draft,
            &record.from,
            record.built_from,
            folder.as_deref(),
            progress,
        )?;
        progress.step(&format!("publish snapshot {new}"));
        draft.publish(Facts {
            name: told.name,
            note: told.note,
            origin: told.origin,
            kernel: Some(kernel),
            etc_base: record.etc_base,
            redoes: None,
            place: Place::BelowSource,
            source: Some(record.from),
        })?
    };
    session.published(meta);
    Ok(new)
}

/// The number of the copy; another one if something else has that already.
pub(crate) fn number(session: &Session, id: SnapshotId) -> Result<SnapshotId> {
    let is_used = session.entries.iter().any(|entry| entry.id == id)
        || trash::ids(&session.store)?.contains(&id);
    if is_used { session.next_id() } else { Ok(id) }
}

/// The folder of the snapshot that was copied, with its kernel and initramfs, deleted or not.
fn source(session: &Session, from: SnapshotId) -> Option<std::path::PathBuf> {
    let places = [
        session.store.snapshot(from),
        trash::folder(&session.store, from),
    ];
    places
        .into_iter()
        .find(|dir| dir.join(names::INITRD).exists() && dir.join(names::KERNEL).exists())
}

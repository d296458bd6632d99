//! Deleted snapshots. A snapshot is deleted by one rename into `trash/`, and comes back by one rename; its number is used up
//! either way. The live `/etc` it had as a deployment goes along: it lies in the folder, where it cannot be met by others.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use rootspec::spot::read_toml;
use rootspec::target::Target;
use serde::{Deserialize, Serialize};

use super::list::{self, Entry};
use super::{Store, StoreLock, subvol};
use crate::guard::Guard;
use crate::progress::point;
use crate::roles;

/// Largest `gone.toml` that is read, in bytes.
const LIMIT: u64 = 4096;

/// A deleted snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Trashed {
    /// As it was, and is.
    pub(crate) entry: Entry,
    /// When it was deleted, in seconds since 1970; `None`: nobody knows.
    pub(crate) deleted: Option<u64>,
}

/// The content of `gone.toml`.
#[derive(Serialize, Deserialize)]
struct Gone {
    schema: u32,
    deleted: u64,
}

impl Gone {
    const SCHEMA: u32 = 1;
}

/// Folder of a deleted snapshot.
pub(crate) fn folder(store: &Store, id: SnapshotId) -> PathBuf {
    store.path(names::TRASH).join(id.to_string())
}

/// Numbers of the deleted snapshots, in order. A store that never had one has no such folder.
pub(crate) fn ids(store: &Store) -> Result<Vec<SnapshotId>> {
    let dir = store.path(names::TRASH);
    let listing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(listing)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.with_context(listing)?.file_name();
        ids.extend(
            name.to_str()
                .and_then(|name| name.parse::<SnapshotId>().ok()),
        );
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The deleted snapshots, by id.
pub(crate) fn all(store: &Store) -> Result<Vec<Trashed>> {
    let one = |id| {
        let dir = folder(store, id);
        let gone = sys::fs::read_text(dir.join(names::GONE), LIMIT).ok();
        let gone = gone.and_then(|text| read_toml::<Gone>(names::GONE, &text, Gone::SCHEMA).ok());
        Trashed {
            entry: list::read(&dir, id),
            deleted: gone.map(|gone| gone.deleted),
        }
    };
    Ok(ids(store)?.into_iter().map(one).collect())
}

/// Finds a deleted snapshot by number, name or unique prefix of a name.
pub(crate) fn find(store: &Store, target: &str) -> Result<Trashed> {
    let mut all = all(store)?;
    let candidates: Vec<_> = all.iter().map(|one| one.entry.candidate()).collect();
    let wanted: Target = target.parse().map_err(roles::refusal)?;
    let found = wanted.resolve(&candidates, |_role| None);
    let at = found
        .ok()
        .and_then(|id| all.iter().position(|one| one.entry.id == id));
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => Guard::failed(format!("there is no deleted snapshot {target}"))
            .next("rootctl snap list --deleted")
            .err(),
    }
}

/// Deletes snapshots, one rename each, all durable at the end.
pub(crate) fn bury(store: &Store, all: &[SnapshotId], _lock: &StoreLock) -> Result<()> {
    sys::fs::make_dir(store.path(names::TRASH), 0o700)?;
    let deleted = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let gone = Gone {
        schema: Gone::SCHEMA,
        deleted,
    };
    let text = toml::to_string(&gone).context("cannot write gone.toml")?;
    for id in all {
        let (from, to) = (store.snapshot(*id), folder(store, *id));
        let note = from.join(names::GONE);
        std::fs::write(&note, &text).with_context(|| format!("cannot write {}", note.display()))?;
        sys::fs::rename_new(&from, &to)?;
        point("D1")?;
        move_if_there(store.etc(*id), to.join(names::GONE_ETC))?;
        point("D2")?;
    }
    store.commit()
}

/// Brings a deleted snapshot back, durably.
pub(crate) fn restore(store: &Store, id: SnapshotId, _lock: &StoreLock) -> Result<()> {
    let from = folder(store, id);
    // First: a snapshot without its /etc would be taken for one that never booted.
    move_if_there(from.join(names::GONE_ETC), store.etc(id))?;
    store.commit()?;
    point("U1")?;
    let to = store.snapshot(id);
    sys::fs::rename_new(&from, &to)?;
    point("U2")?;
    drop(std::fs::remove_file(to.join(names::GONE)));
    store.commit()
}

/// Throws a deleted snapshot away: out of sight in one step, then piece by piece. What a cut leaves is in `tmp/`.
pub(crate) fn purge(store: &Store, id: SnapshotId, _lock: &StoreLock) -> Result<()> {
    let grave = store.path(names::TMP).join(format!("gone-{id}"));
    subvol::remove_tree(&grave)?;
    sys::fs::rename_new(folder(store, id), &grave)?;
    sys::fs::sync_dir(store.path(names::TRASH))?;
    point("D3")?;
    subvol::remove_tree(&grave)
}

/// After a cut: an `/etc` that was on its way belongs to where its snapshot is.
pub(crate) fn settle(store: &Store, _lock: &StoreLock) -> Result<()> {
    for id in ids(store)? {
        let to = folder(store, id).join(names::GONE_ETC);
        if !store.snapshot(id).exists() {
            move_if_there(store.etc(id), to)?;
        }
    }
    Ok(())
}

fn move_if_there(from: PathBuf, to: PathBuf) -> Result<()> {
    if from.symlink_metadata().is_ok() {
        sys::fs::rename_new(from, to)?;
    }
    Ok(())
}

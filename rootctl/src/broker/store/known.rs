//! What a list says of the snapshots, kept in `/run` while nothing about them changes: ten thousand of them are not read for
//! each list. Nothing but lists looks there; whatever decides what boots, and every change, reads the snapshots themselves.
//!
//! btrfs tells what changed: it writes the number of the running transaction into every tree block it touches, so that one
//! search finds the blocks of the top level that are not older than what is kept. Whose items lie in one is read again, and so
//! is every folder that is new or another one, and everything that is damaged. What was written into a file in place, without
//! the file getting shorter first, is in the tree once the kernel has committed it, at most half a minute later.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::{run, store as names};
use serde::{Deserialize, Serialize};
use sys::btrfs_search::{Key, Search};

use super::Store;
use super::list::{self, Entry, living_parent};

/// Largest file that is read, in bytes: ten times what ten thousand snapshots take.
const LIMIT: u64 = 32 << 20;
/// Fewer snapshots than this are read each time: that takes no longer.
const FEWEST: usize = 32;
/// Version of the file. Another one is made anew; nobody but us reads it.
const VERSION: u32 = 1;

/// What a list says of a snapshot, without its roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Its id.
    pub(crate) id: SnapshotId,
    /// Its name.
    pub(crate) name: Option<String>,
    /// Nearest ancestor that still exists.
    pub(crate) parent: Option<SnapshotId>,
    /// Seconds since 1970 (UTC).
    pub(crate) created: u64,
    /// A line for people.
    pub(crate) note: String,
    /// How it was made.
    pub(crate) origin: String,
    /// Kernel release.
    pub(crate) kernel: Option<String>,
    /// Its root is an image.
    pub(crate) is_image: bool,
    /// It may be changed in place.
    pub(crate) is_unfrozen: bool,
    /// What is wrong with it; of what is kept nothing is.
    pub(crate) damage: Option<String>,
}

impl Line {
    /// Of a snapshot that was read; `parent`: its nearest ancestor that exists.
    pub(crate) fn of(entry: &Entry, parent: Option<SnapshotId>) -> Self {
        let meta = entry.meta.as_ref();
        let origin = meta.map(|m| match m.origin.detail.as_str() {
            "" => m.origin.kind.clone(),
            detail => format!("{}: {detail}", m.origin.kind),
        });
        let kernel = meta.and_then(|m| m.kernel.as_ref());
        Self {
            id: entry.id,
            name: meta.and_then(|m| m.name.as_ref()).map(ToString::to_string),
            parent,
            created: meta.map_or(0, |m| m.created),
            note: meta.map(|m| m.note.clone()).unwrap_or_default(),
            origin: origin.unwrap_or_default(),
            kernel: kernel.map(|k| k.release.clone()),
            is_image: meta.is_some_and(|m| m.image.is_some()),
            is_unfrozen: entry.unfrozen.is_some(),
            damage: entry.damage.clone(),
        }
    }
}

/// What tells a store from every other one, as long as the machine runs.
#[derive(Debug)]
pub(crate) struct KnownBy {
    /// UUID of the file system.
    pub(crate) uuid: String,
    /// Number of the mount: what is mounted again may have been elsewhere meanwhile. `None`: nothing is kept.
    pub(crate) mount: Option<u64>,
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    mount: u64,
    /// What was written in this transaction, or later, may not be in it.
    since: u64,
    /// By id, in order.
    snapshots: Vec<Known>,
}

/// One snapshot that was whole when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    line: Line,
    /// The snapshot it was made from, there or not.
    made_from: Option<SnapshotId>,
    /// Inode number of its folder.
    folder: u64,
    /// Those of the files in it that were looked at.
    files: Vec<u64>,
}

/// What a list says of all snapshots, in the order of their numbers.
pub(crate) fn all(store: &Store, known_by: &KnownBy) -> Result<Vec<Line>> {
    let file = Path::new(run::LISTS).join(&known_by.uuid);
    // Before anything is read. The top level was last committed in this transaction: what is written from now on, and what
    // is in memory only, belongs to a later one.
    let committed = sys::btrfs::open(store.top()).and_then(sys::btrfs::info);
    let folders = folders(store)?;
    let mount = known_by.mount.filter(|_| folders.len() >= FEWEST);
    let kept = mount.and_then(|mount| load(&file, mount));
    let (mut usable, moment) = match kept.map(|kept| (touched(store, kept.since), kept)) {
        Some((Ok(touched), kept)) => (usable(kept.snapshots, &folders, &touched), kept.since),
        Some((Err(_), _)) | None => (BTreeMap::new(), 0),
    };
    let exists = |id: SnapshotId| folders.contains_key(&id);
    let (mut known, mut others) = (Vec::with_capacity(folders.len()), Vec::new());
    let mut is_news = false;
    for (id, folder) in &folders {
        if let Some(one) = usable.remove(id) {
            known.push(one);
            continue;
        }
        is_news = true;
        match read(store, *id, *folder, exists) {
            Ok(one) => known.push(one),
            Err(line) => others.push(*line),
        }
    }
    let kept = Kept {
        version: VERSION,
        mount: mount.unwrap_or_default(),
        since: committed.map_or(0, |found| found.generation.saturating_add(1)),
        snapshots: known,
    };
    if mount.is_some() && kept.since != 0 && (is_news || kept.since != moment) {
        // It saves work, no more: without it the next one reads all again.
        drop(save(&file, &kept));
    }
    let mut lines: Vec<Line> = kept.snapshots.into_iter().map(|one| one.line).collect();
    lines.extend(others);
    lines.sort_by_key(|line| line.id);
    Ok(lines)
}

/// The snapshots' folders with their inode numbers. Folders whose name is no id are not ours and left out.
fn folders(store: &Store) -> Result<BTreeMap<SnapshotId, u64>> {
    let dir = store.path(names::SNAPS);
    let listing = || format!("cannot list {}", dir.display());
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(&dir).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        folders.extend(id.map(|id| (id, entry.ino())));
    }
    Ok(folders)
}

/// Numbers of the top level's inodes that have items in blocks which are not older than `since`.
fn touched(store: &Store, since: u64) -> Result<HashSet<u64>> {
    let top = sys::btrfs::open(store.top())?;
    let mut touched = HashSet::new();
    Search::new().each(
        &top,
        Key::first(0)..=Key::last(u64::MAX),
        since,
        |key, _| {
            touched.insert(key.object);
        },
    )?;
    Ok(touched)
}

/// Which of what is kept still holds, when there are these `folders`, and these inodes may have been touched.
fn usable(
    kept: Vec<Known>,
    folders: &BTreeMap<SnapshotId, u64>,
    touched: &HashSet<u64>,
) -> BTreeMap<SnapshotId, Known> {
    let before: HashSet<SnapshotId> = kept.iter().map(|one| one.line.id).collect();
    // Ancestors have lower numbers: what came or went below may be the nearest one, or have been.
    let came = folders.keys().find(|id| !before.contains(id));
    let is_certain = |one: &Known| match one.made_from {
        Some(from) if folders.contains_key(&from) => one.line.parent == Some(from),
        Some(_) => {
            came.is_none_or(|came| *came > one.line.id)
                && one.line.parent.is_none_or(|id| folders.contains_key(&id))
        }
        None => one.line.parent.is_none(),
    };
    let holds = |one: &Known| {
        folders.get(&one.line.id) == Some(&one.folder)
            && !touched.contains(&one.folder)
            && !one.files.iter().any(|file| touched.contains(file))
            && is_certain(one)
    };
    let held = kept.into_iter().filter(holds);
    held.map(|one| (one.line.id, one)).collect()
}

/// Reads one snapshot; an error is what a list says of one that cannot be kept.
fn read(
    store: &Store,
    id: SnapshotId,
    folder: u64,
    exists: impl Fn(SnapshotId) -> bool,
) -> Result<Known, Box<Line>> {
    let entry = list::one(store, id);
    let line = Line::of(&entry, living_parent(&entry, exists));
    let (None, None, Some(meta)) = (&entry.damage, &entry.remark, &entry.meta) else {
        return Err(Box::new(line));
    };
    match files(store, id, folder) {
        Some(files) => Ok(Known {
            line,
            made_from: meta.parent,
            folder,
            files,
        }),
        None => Err(Box::new(line)),
    }
}

/// Numbers of the files that make a snapshot what it is; `None` where one lies in another subvolume, or is a link: what
/// becomes of those, the top level's tree does not tell.
fn files(store: &Store, id: SnapshotId, folder: u64) -> Option<Vec<u64>> {
    let dir = store.snapshot(id);
    let top = store.top().symlink_metadata().ok()?.dev();
    let own = dir.symlink_metadata().ok()?;
    if !own.is_dir() || own.dev() != top || own.ino() != folder {
        return None;
    }
    let mut numbers = Vec::new();
    for name in [names::META, names::LABEL, names::KERNEL, names::INITRD] {
        let Ok(found) = dir.join(name).symlink_metadata() else {
            continue;
        };
        if !found.is_file() || found.dev() != top {
            return None;
        }
        numbers.push(found.ino());
    }
    Some(numbers)
}

fn load(file: &PathBuf, mount: u64) -> Option<Kept> {
    let bytes = sys::fs::read_own(file, LIMIT).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    (kept.version == VERSION && kept.mount == mount).then_some(kept)
}

fn save(file: &Path, kept: &Kept) -> Result<()> {
    let dir = file.parent().context("a file has a folder")?;
    std::fs::create_dir_all(dir.parent().unwrap_or(dir)).context("cannot make a folder")?;
    sys::fs::make_dir(dir, 0o700)?;
    sys::fs::write_atomic(file, &serde_json::to_vec(kept)?, 0o600)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    /// Snapshot `n`, made from `from`, shown below `parent`; its folder has the number 10 * n, its file one more.
    fn known(n: u32, from: Option<u32>, parent: Option<u32>) -> Known {
        Known {
            line: Line {
                id: id(n),
                name: None,
                parent: parent.map(id),
                created: 0,
                note: String::new(),
                origin: String::new(),
                kernel: None,
                is_image: false,
                is_unfrozen: false,
                damage: None,
            },
            made_from: from.map(id),
            folder: u64::from(n) * 10,
            files: vec![u64::from(n) * 10 + 1],
        }
    }

    /// Which ones of 1, 3 (from 1), 4 (from 2, which is gone, so below 1) and 5 (from 4) still hold.
    fn hold(folders: &[(u32, u64)], touched: &[u64]) -> Vec<u32> {
        let kept = vec![
            known(1, None, None),
            known(3, Some(1), Some(1)),
            known(4, Some(2), Some(1)),
            known(5, Some(4), Some(4)),
        ];
        let folders = folders.iter().map(|(n, inode)| (id(*n), *inode)).collect();
        let held = usable(kept, &folders, &touched.iter().copied().collect());
        held.keys().map(|id| id.get()).collect()
    }

    #[test]
    fn what_was_touched_or_is_another_folder_is_read_again() {
        let all = [(1, 10), (3, 30), (4, 40), (5, 50)];
        assert_eq!(hold(&all, &[]), [1, 3, 4, 5]);
        assert_eq!(hold(&all, &[40, 51, 7]), [1, 3]);
        assert_eq!(hold(&[(1, 10), (3, 31), (4, 40), (5, 50)], &[]), [1, 4, 5]);
    }

    #[test]
    fn a_parent_that_came_or_went_is_looked_for_again() {
        assert_eq!(hold(&[(1, 10), (3, 30), (5, 50)], &[]), [1, 3]);
        assert_eq!(hold(&[(3, 30), (4, 40), (5, 50)], &[]), [5]);
        let back = [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)];
        assert_eq!(hold(&back, &[]), [1, 3, 5]);
        let newer = [(1, 10), (3, 30), (4, 40), (5, 50), (6, 60)];
        assert_eq!(hold(&newer, &[]), [1, 3, 4, 5]);
    }
}

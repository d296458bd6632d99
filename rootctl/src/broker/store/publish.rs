//! A snapshot under work in `tmp/ID`, sealed and renamed into place. After a cut it is there whole, or not at all.
//!
//! Several at once are put into one folder, which one rename makes `ready/`: from then on all of them are published, and what
//! is left to do is moving them to where they belong.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rootspec::meta::{Kernel, Meta, Origin};
use rootspec::paths::store as names;
use rootspec::{SnapshotId, SnapshotName};
use sys::btrfs::Access;

use super::{Store, StoreLock, subvol, write_synced};
use crate::progress::point;

/// A snapshot that nobody sees yet.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    store: &'a Store,
    id: SnapshotId,
    dir: PathBuf,
    unpublished: Unpublished,
}

/// What becomes of a draft that is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unpublished {
    /// It is thrown away.
    Goes,
    /// It stays where it is.
    Stays,
}

/// What a snapshot is told to be when it is published.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The one it was copied from.
    pub(crate) source: Option<Meta>,
    /// Its place in the tree.
    pub(crate) place: Place,
    /// Its name.
    pub(crate) name: Option<SnapshotName>,
    /// A line for people.
    pub(crate) note: String,
    /// How it was made.
    pub(crate) origin: Origin,
    /// Its kernel.
    pub(crate) kernel: Option<Kernel>,
    /// Whose `/etc` its first boot merges forward.
    pub(crate) etc_base: Option<SnapshotId>,
    /// The snapshot whose change it has once more.
    pub(crate) redoes: Option<SnapshotId>,
}

/// Where a snapshot is shown in the tree.
#[derive(Debug)]
pub(crate) enum Place {
    /// Below the one it was copied from.
    BelowSource,
    /// Below this one.
    Below(Box<Meta>),
    /// Beside the one it was copied from.
    BesideSource,
    /// On its own.
    Top,
}

impl<'a> Draft<'a> {
    /// Makes the folder `tmp/ID`, empty.
    pub(crate) fn new(store: &'a Store, _lock: &StoreLock, id: SnapshotId) -> Result<Self> {
        let dir = store.path(names::TMP).join(id.to_string());
        subvol::remove_tree(&dir)?;
        sys::fs::make_dir(&dir, 0o700)?;
        Ok(Self {
            store,
            id,
            dir,
            unpublished: Unpublished::Goes,
        })
    }

    /// A draft of somebody else's work in the folder `dir`, which stays there if it is not published. What an earlier try
    /// left beside the root is removed.
    pub(crate) fn of_work(
        store: &'a Store,
        _lock: &StoreLock,
        id: SnapshotId,
        dir: PathBuf,
    ) -> Result<Self> {
        for file in [names::META, names::KERNEL, names::INITRD] {
            subvol::remove_tree(&dir.join(file))?;
        }
        subvol::set_access(&dir.join(names::ROOT), Access::ReadWrite)?;
        Ok(Self {
            store,
            id,
            dir,
            unpublished: Unpublished::Stays,
        })
    }

    /// Moves what was made so far to `to`, durably: it is no draft any more.
    pub(crate) fn move_to(mut self, to: &Path) -> Result<()> {
        self.store.commit()?;
        sys::fs::rename_new(&self.dir, to)?;
        self.unpublished = Unpublished::Stays;
        sys::fs::sync_dir(to.parent().unwrap_or(to))?;
        Ok(())
    }

    /// The number it gets.
    pub(crate) fn id(&self) -> SnapshotId {
        self.id
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its root: to be made by the caller, as a subvolume.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join(names::ROOT)
    }

    /// Seals the root, writes the meta file, syncs, renames into place, syncs again.
    pub(crate) fn publish(self, facts: Facts) -> Result<Meta> {
        self.seal(facts)?.publish()
    }

    /// Seals the root and writes the meta file; it is complete, and nobody sees it yet. Not durable before it is published.
    pub(crate) fn seal(self, facts: Facts) -> Result<Sealed<'a>> {
        let uuid = self.seal_root()?;
        let meta = meta_of(self.id, uuid, facts);
        self.describe(meta)
    }

    /// The same for a snapshot that is published already and gets another root and boot files.
    pub(crate) fn seal_again(self, published: Meta, kernel: Kernel) -> Result<Sealed<'a>> {
        let uuid = self.seal_root()?;
        self.describe(Meta {
            uuid,
            kernel: Some(kernel),
            ..published
        })
    }

    /// Seals the root and gives its UUID.
    fn seal_root(&self) -> Result<String> {
        let root = self.root();
        subvol::set_access(&root, Access::ReadOnly)?;
        point("S5-sealed")?;
        Ok(subvol::info(&root)?.uuid.to_string())
    }

    fn describe(self, meta: Meta) -> Result<Sealed<'a>> {
        let text = meta.to_toml().context("cannot write the meta file")?;
        if text.len() > rootspec::meta::MAX_SIZE {
            let (bytes, most) = (text.len(), rootspec::meta::MAX_SIZE);
            anyhow::bail!(
                "the meta file would have {bytes} bytes, at most {most} are read: use a shorter note"
            );
        }
        write_synced(&self.dir.join(names::META), text.as_bytes())?;
        Ok(Sealed { draft: self, meta })
    }
}

/// A draft that is complete.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    draft: Draft<'a>,
    meta: Meta,
}

impl Sealed<'_> {
    /// What it will be.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.draft.dir
    }

    /// Syncs, takes the place of the published snapshot of this number, syncs again, and removes the other one.
    pub(crate) fn replace(self) -> Result<Meta> {
        let store = self.draft.store;
        store.commit()?;
        point("S6-synced")?;
        sys::fs::exchange(&self.draft.dir, store.snapshot(self.draft.id))?;
        sys::fs::sync_dir(store.path(names::SNAPS))?;
        point("S7-published")?;
        // In the draft's folder lies what was there before; it goes with the draft.
        Ok(self.meta)
    }

    /// Syncs, renames into place, syncs again.
    fn publish(mut self) -> Result<Meta> {
        let store = self.draft.store;
        store.commit()?;
        point("S6-synced")?;
        let snaps = store.path(names::SNAPS);
        sys::fs::rename_new(&self.draft.dir, snaps.join(self.draft.id.to_string()))?;
        self.draft.unpublished = Unpublished::Stays;
        sys::fs::sync_dir(&snaps)?;
        point("S7-published")?;
        Ok(self.meta)
    }
}

/// Publishes all of them, or, if that fails or is cut off, none.
pub(crate) fn publish_all(
    store: &Store,
    mut all: Vec<Sealed<'_>>,
    lock: &StoreLock,
) -> Result<Vec<Meta>> {
    if all.len() == 1 {
        return all.into_iter().map(Sealed::publish).collect();
    }
    let folder = store.path(names::TMP).join(names::READY);
    subvol::remove_tree(&folder)?;
    sys::fs::make_dir(&folder, 0o700)?;
    for sealed in &mut all {
        let draft = &mut sealed.draft;
        let to = folder.join(draft.id.to_string());
        sys::fs::rename_new(&draft.dir, &to)?;
        // If it comes to nothing, it still goes.
        draft.dir = to;
    }
    store.commit()?;
    point("S6-synced")?;
    sys::fs::rename_new(&folder, store.path(names::READY))?;
    for sealed in &mut all {
        sealed.draft.unpublished = Unpublished::Stays;
    }
    sys::fs::sync_dir(store.dir())?;
    point("S8-decided")?;
    finish(store, lock)?;
    Ok(all.into_iter().map(|sealed| sealed.meta).collect())
}

/// Moves what was published together to where it belongs; also after a cut. Gives the number of snapshots.
pub(crate) fn finish(store: &Store, _lock: &StoreLock) -> Result<u32> {
    let ready = store.path(names::READY);
    let listing = || format!("cannot list {}", ready.display());
    let entries = match std::fs::read_dir(&ready) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other.with_context(listing)?,
    };
    let mut moved = 0;
    for entry in entries {
        let entry = entry.with_context(listing)?;
        let to = store.path(names::SNAPS).join(entry.file_name());
        sys::fs::rename_new(entry.path(), to)?;
        point("S9-moved")?;
        moved += 1;
    }
    std::fs::remove_dir(&ready).with_context(|| format!("cannot remove {}", ready.display()))?;
    store.commit()?;
    point("S7-published")?;
    Ok(moved)
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.unpublished == Unpublished::Goes {
            // What cannot be removed now is removed when the store is opened for the next change.
            drop(subvol::remove_tree(&self.dir));
        }
    }
}

fn meta_of(id: SnapshotId, uuid: String, facts: Facts) -> Meta {
    let source = facts.source.as_ref();
    let with = |meta: &Meta, older: &[SnapshotId]| -> Vec<SnapshotId> {
        std::iter::once(meta.id)
            .chain(older.iter().copied())
            .collect()
    };
    let mut lineage = match (&facts.place, source) {
        (Place::Below(parent), _) => with(parent, &parent.lineage),
        (Place::BelowSource, Some(source)) => with(source, &source.lineage),
        (Place::BesideSource, Some(source)) => source.lineage.clone(),
        (Place::Top, _) | (_, None) => Vec::new(),
    };
    let mut copied = source.map_or_else(Vec::new, |source| with(source, source.content()));
    let parent = lineage.first().copied();
    // Bounded, so that the file stays small: nobody goes back further.
    if copied == lineage {
        copied.clear();
        lineage.truncate(256);
    } else {
        copied.truncate(128);
        lineage.truncate(128);
    }
    Meta {
        schema: Meta::SCHEMA,
        id,
        uuid,
        parent,
        lineage,
        copied,
        redoes: facts.redoes,
        name: facts.name,
        created: now(),
        note: facts.note,
        cmdline: facts.source.map(|meta| meta.cmdline).unwrap_or_default(),
        etc_base: facts.etc_base,
        origin: facts.origin,
        kernel: facts.kernel,
        image: None,
    }
}

/// Seconds since 1970 (UTC).
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rootspec::meta::BootFile;

    /// A snapshot's meta as tests need it: its boot files are told apart by the id.
    pub(crate) fn meta(n: u32) -> Meta {
        let file = |kind: &str| BootFile {
            blake2b: format!("{kind}{n:06x}").repeat(16),
            size: 1000 + u64::from(n),
        };
        Meta {
            schema: 1,
            id: SnapshotId::new(n).unwrap(),
            uuid: "u".into(),
            parent: None,
            lineage: vec![],
            copied: vec![],
            name: None,
            created: 0,
            note: String::new(),
            cmdline: String::new(),
            etc_base: None,
            redoes: None,
            origin: Origin {
                kind: "import".into(),
                detail: String::new(),
            },
            kernel: Some(Kernel {
                release: "6.1".into(),
                vmlinuz: file("a0"),
                initrd: file("b0"),
            }),
            image: None,
        }
    }

    fn copy(n: u32, source: &Meta, place: Place) -> Meta {
        let facts = Facts {
            source: Some(source.clone()),
            place,
            name: None,
            note: String::new(),
            origin: meta(1).origin,
            kernel: None,
            etc_base: None,
            redoes: None,
        };
        meta_of(SnapshotId::new(n).unwrap(), String::new(), facts)
    }

    #[test]
    fn a_copy_remembers_its_ancestors_nearest_first_and_not_without_end() {
        let mut last = meta(1);
        for n in 2..600 {
            last = copy(n, &last, Place::BelowSource);
        }
        assert_eq!(last.lineage.len(), 256);
        assert_eq!(last.lineage[0].get(), 598);
        assert!(last.to_toml().unwrap().len() < rootspec::meta::MAX_SIZE);
        let other = copy(600, &last, Place::Below(Box::new(last.clone())));
        assert!(
            other.copied.is_empty(),
            "that is where it is without a word"
        );
        let beside = copy(600, &last, Place::BesideSource);
        assert!(beside.to_toml().unwrap().len() < rootspec::meta::MAX_SIZE);
    }

    #[test]
    fn a_copy_placed_elsewhere_remembers_both_lines() {
        let numbers = |all: &[SnapshotId]| all.iter().map(|id| id.get()).collect::<Vec<_>>();
        let two = copy(2, &meta(1), Place::BelowSource);
        let three = copy(3, &meta(1), Place::BelowSource);
        let beside = copy(4, &two, Place::BesideSource);
        assert_eq!(
            (numbers(&beside.lineage), numbers(beside.content())),
            (vec![1], vec![2, 1])
        );
        let below = copy(5, &two, Place::Below(Box::new(three)));
        assert_eq!(
            (numbers(&below.lineage), numbers(below.content())),
            (vec![3, 1], vec![2, 1])
        );
        let top = copy(6, &two, Place::Top);
        assert_eq!((top.parent, numbers(top.content())), (None, vec![2, 1]));
        let child = copy(7, &below, Place::BelowSource);
        assert_eq!(
            (numbers(&child.lineage), numbers(child.content())),
            (vec![5, 3, 1], vec![5, 2, 1])
        );
    }
}

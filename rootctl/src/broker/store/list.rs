//! What snapshots there are. One damaged snapshot never hides the others.

use std::path::Path;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::{self, Image, Meta};
use rootspec::paths::store as names;
use rootspec::target::Candidate;

use super::label::{Label, Unfrozen};
use super::{Store, subvol};

/// One snapshot folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its id: the folder's name.
    pub(crate) id: SnapshotId,
    /// What it is, if that can be read.
    pub(crate) meta: Option<Meta>,
    /// What is wrong with it.
    pub(crate) damage: Option<String>,
    /// What is odd about it, though it can be used.
    pub(crate) remark: Option<String>,
    /// It may be changed in place.
    pub(crate) unfrozen: Option<Unfrozen>,
}

impl Entry {
    /// For resolving targets; a damaged one is found by its number.
    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id,
            name: self.meta.as_ref().and_then(|m| m.name.clone()),
            lineage: self
                .meta
                .as_ref()
                .map(|m| m.lineage.clone())
                .unwrap_or_default(),
        }
    }
}

/// All snapshots, by id. Folders whose name is no id are not ours and left out.
pub(crate) fn all(store: &Store) -> Result<Vec<Entry>> {
    let dir = store.path(names::SNAPS);
    let listing = || format!("cannot list {}", dir.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(listing)? {
        let name = entry.with_context(listing)?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        entries.push(read(&store.snapshot(id), id));
    }
    entries.sort_by_key(|entry| entry.id);
    Ok(entries)
}

/// One published snapshot.
pub(crate) fn one(store: &Store, id: SnapshotId) -> Entry {
    read(&store.snapshot(id), id)
}

/// Reads and checks the snapshot in a folder.
pub(super) fn read(dir: &Path, id: SnapshotId) -> Entry {
    let mut meta = match read_meta(dir, id) {
        Ok(meta) => meta,
        Err(error) => {
            return Entry {
                id,
                meta: None,
                damage: Some(crate::guard::words(&error)),
                remark: None,
                unfrozen: None,
            };
        }
    };
    let damage = check(dir, &meta)
        .err()
        .map(|error| crate::guard::words(&error));
    let (unfrozen, remark) = match Label::read(dir) {
        Ok(label) => (label.and_then(|label| label.put_on(&mut meta)), None),
        Err(error) => (None, Some(crate::guard::words(&error))),
    };
    Entry {
        id,
        meta: Some(meta),
        damage,
        remark,
        unfrozen,
    }
}

fn read_meta(dir: &Path, id: SnapshotId) -> Result<Meta> {
    let path = dir.join(names::META);
    let text = sys::fs::read_text(&path, meta::MAX_SIZE as u64)?;
    Ok(Meta::from_toml(&path.display().to_string(), &text, id)?)
}

/// Does the folder hold what the meta file says?
fn check(dir: &Path, meta: &Meta) -> Result<()> {
    match meta.image {
        None => {
            let found = subvol::info(&dir.join(names::ROOT))?;
            if found.uuid.to_string() != meta.uuid {
                anyhow::bail!(
                    "{} is another subvolume than the one published ({}, expected {})",
                    dir.join(names::ROOT).display(),
                    found.uuid,
                    meta.uuid
                );
            }
        }
        Some(image) => {
            let name = match image {
                Image::Squashfs => names::ROOT_SQUASHFS,
                Image::Erofs => names::ROOT_EROFS,
            };
            must_have(&dir.join(name), None)?;
        }
    }
    if let Some(kernel) = &meta.kernel {
        must_have(&dir.join(names::KERNEL), Some(kernel.vmlinuz.size))?;
        must_have(&dir.join(names::INITRD), Some(kernel.initrd.size))?;
    }
    Ok(())
}

fn must_have(file: &Path, size: Option<u64>) -> Result<()> {
    let found = file
        .symlink_metadata()
        .with_context(|| format!("cannot look at {}", file.display()))?;
    match size {
        Some(size) if found.len() != size => anyhow::bail!(
            "{} has {} bytes, {size} were published",
            file.display(),
            found.len()
        ),
        _ => Ok(()),
    }
}

/// Nearest ancestor that still exists: the tree survives deleted inner nodes.
pub(crate) fn living_parent(
    entry: &Entry,
    exists: impl Fn(SnapshotId) -> bool,
) -> Option<SnapshotId> {
    let meta = entry.meta.as_ref()?;
    meta.parent
        .iter()
        .chain(&meta.lineage)
        .copied()
        .find(|id| *id != entry.id && exists(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn entry(n: u32, lineage: &[u32]) -> Entry {
        let mut found = meta(n);
        found.parent = lineage.first().map(|n| id(*n));
        found.lineage = lineage.iter().map(|n| id(*n)).collect();
        Entry {
            id: id(n),
            meta: Some(found),
            damage: None,
            remark: None,
            unfrozen: None,
        }
    }

    #[test]
    fn deleted_parents_are_skipped() {
        let all = [entry(1, &[]), entry(4, &[3, 2, 1])];
        let exists = |id| all.iter().any(|entry| entry.id == id);
        assert_eq!(living_parent(&all[1], exists), Some(id(1)));
        assert_eq!(living_parent(&all[0], exists), None);
    }
}

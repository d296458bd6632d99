//! The shared `/var`, `/home` and `/root`: filled once from the first root, and given what later snapshots bring.
//!
//! A package that was installed in a snapshot has its folders in that snapshot's `/var`; the running system sees the
//! shared one. So what it lacks is added when the snapshot is deployed. Nothing that exists is ever touched.

use std::path::{Component, Path};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::paths::store as names;

use super::add::{self, Added};
use super::copy::copy;
use crate::progress::point;
use crate::store::{Store, StoreLock, subvol};

/// Makes the shared subvolumes that are absent, from the folders of a root. Returns the names of those made. Each appears
/// complete, by one rename; what a cut leaves is in `tmp/`.
pub(crate) fn make_shared(
    store: &Store,
    _lock: &StoreLock,
    root: &Path,
) -> Result<Vec<&'static str>> {
    let mut made = Vec::new();
    for (name, folder) in names::SHARED {
        let target = store.top().join(name);
        if target.exists() {
            continue;
        }
        let draft = store.path(names::TMP).join(name);
        subvol::remove_tree(&draft)?;
        subvol::create(&draft)?;
        point("I3")?;
        copy(&root.join(folder), &draft, &|_| true)?;
        store.commit()?;
        point("I4")?;
        sys::fs::rename_new(&draft, &target)?;
        made.push(name);
    }
    Ok(made)
}

/// Adds to the shared `/var` what the snapshot's own has and it lacks.
pub(crate) fn add_missing(store: &Store, id: SnapshotId) -> Result<Added> {
    let Some((shared, folder)) = names::SHARED.iter().find(|(_, folder)| *folder == "var") else {
        return Ok(Added::default());
    };
    let source = store.snapshot(id).join(names::ROOT).join(folder);
    let target = store.top().join(shared);
    if !source.is_dir() || !target.is_dir() {
        return Ok(Added::default());
    }
    let wanted = |path: &Path| belongs(path, || source.join(path).is_dir());
    add::add_missing(&source, &target, &wanted, &|| store.commit())
}

/// Folders everywhere; files not from logs and caches, and nothing below what is made anew by its owner.
fn belongs(path: &Path, is_dir: impl Fn() -> bool) -> bool {
    let parts: Vec<&str> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    match parts.as_slice() {
        ["tmp", _, ..] | ["lib", "apt", "lists", _, ..] | ["lib", "dpkg", _, ..] => false,
        ["log" | "cache", _, ..] => is_dir(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_logs_are_added_and_the_logs_are_not() {
        let is = |path: &str, dir: bool| belongs(Path::new(path), || dir);
        assert!(is("log/nginx", true) && is("lib/nginx/state", false) && is("www", true));
        assert!(!is("log/nginx/access.log", false) && !is("cache/apt/pkgcache.bin", false));
        assert!(!is("lib/apt/lists/x", true) && !is("tmp/x", true) && is("tmp", true));
    }
}

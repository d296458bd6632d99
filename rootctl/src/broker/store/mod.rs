//! The store on btrfs: its layout, its lock, its settings.
//!
//! | open | for |
//! |---|---|
//! | `list` | what snapshots there are, and what is wrong with them |
//! | `known` | what a list says of them, kept while nothing about them changes |
//! | `label` | a name and a note given after publishing |
//! | `trash` | deleted snapshots: moved there, back, or thrown away |
//! | `edits` | edit sessions: begun, locked, listed, dropped |
//! | `publish` | a snapshot under work, sealed and renamed into place |
//! | `settings` | `settings.toml`: loader, command line, mode |
//! | `subvol` | subvolumes through btrfsutil |

pub(crate) mod edits;
pub(crate) mod known;
pub(crate) mod label;
pub(crate) mod list;
pub(crate) mod publish;
pub(crate) mod settings;
pub(crate) mod subvol;
pub(crate) mod trash;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use sys::fs::FileLock;

use crate::guard::Guard;

/// An open store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    top: PathBuf,
    dir: PathBuf,
}

/// Permission to change the store: whoever holds it is alone. Given back when dropped.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _lock: FileLock,
}

impl Store {
    /// Opens the store below the mounted top level `top`. Reads one file.
    pub(crate) fn open(top: &Path) -> Result<Self> {
        let store = Self::at(top);
        let format = store.dir.join(names::FORMAT);
        let text = match sys::fs::read_text(&format, 64) {
            Err(error) if error.is_absent() => {
                return Guard::failed(format!("{} holds no store", top.display()))
                    .next("rootctl --root DIR --esp DIR store init --import ROOT")
                    .err();
            }
            other => other?,
        };
        if text.trim() != names::FORMAT_VERSION {
            return Guard::refused(format!(
                "the store in {} has format {:?}, this version knows {} only",
                store.dir.display(),
                text.trim(),
                names::FORMAT_VERSION
            ))
            .next("update rootctl")
            .err();
        }
        Ok(store)
    }

    /// The store that is, or will be, below `top`. Does not touch the disk.
    pub(crate) fn at(top: &Path) -> Self {
        Self {
            top: top.to_owned(),
            dir: top.join(names::DIR),
        }
    }

    /// The top level of the file system.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// The store's own folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file or folder of the store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Folder of a published snapshot.
    pub(crate) fn snapshot(&self, id: SnapshotId) -> PathBuf {
        self.top.join(rootspec::paths::snapshot_dir(id))
    }

    /// The live `/etc` of a deployment.
    pub(crate) fn etc(&self, id: SnapshotId) -> PathBuf {
        self.top.join(rootspec::paths::etc_dir(id))
    }

    /// Takes the lock, or says who holds it.
    pub(crate) fn lock(&self, verb: &str) -> Result<StoreLock> {
        let path = self.path(names::LOCK);
        match FileLock::try_take(&path)? {
            Some(lock) => Ok(self.locked(lock, verb)),
            None => {
                let who = sys::fs::read_text(&path, 256).unwrap_or_default();
                let who = who.trim();
                let who = if who.is_empty() {
                    "another rootctl"
                } else {
                    who
                };
                Guard::busy(format!("the store is being changed by {who}"))
                    .next("wait for it, then repeat the command")
                    .err()
            }
        }
    }

    /// Takes the lock as soon as it is free: for work that would be lost otherwise.
    pub(crate) fn lock_when_free(&self, verb: &str) -> Result<StoreLock> {
        let lock = FileLock::take(self.path(names::LOCK))?;
        Ok(self.locked(lock, verb))
    }

    fn locked(&self, lock: FileLock, verb: &str) -> StoreLock {
        // For the next one's message only: a lock without words is a lock all the same.
        let words = format!("process {}: {verb}\n", std::process::id());
        drop(std::fs::write(self.path(names::LOCK), words));
        StoreLock { _lock: lock }
    }

    /// Throws away whatever lies in `tmp/`: work that a crash interrupted.
    pub(crate) fn clear_tmp(&self, _lock: &StoreLock) -> Result<u32> {
        let tmp = self.path(names::TMP);
        let mut thrown_away = 0;
        let entries =
            std::fs::read_dir(&tmp).with_context(|| format!("cannot list {}", tmp.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("cannot list {}", tmp.display()))?
                .path();
            subvol::remove_tree(&path)?;
            thrown_away += 1;
        }
        Ok(thrown_away)
    }

    /// Commits everything done so far on this btrfs.
    pub(crate) fn commit(&self) -> Result<()> {
        Ok(sys::btrfs::sync(sys::btrfs::open(&self.dir)?)?)
    }
}

/// Writes a file that nobody reads before a later rename makes it visible, and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let writing = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create_new(path).with_context(writing)?;
    file.write_all(bytes).with_context(writing)?;
    file.sync_all().with_context(writing)
}

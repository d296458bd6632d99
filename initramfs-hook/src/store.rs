//! The store on the found device: its two small records, and what is wrong with a snapshot.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rootspec::meta::{self, Image, Meta};
use rootspec::paths::{self, store as names};
use rootspec::state::{self, State, StateRead};
use rootspec::stored;
use rootspec::{SnapshotId, cmdline::Mode};
use sys::btrfs::{self, Access};
use sys::mount::{Attributes, Mount, Reach, Request, Unmount, unmount};

use crate::device::Root;
use crate::say::Voice;
use crate::select::Candidate;

/// Where the top level is mounted while the tree is put together. Only root may look, and it is gone afterwards.
const TOP: &str = "/run/rootctl/top";

/// The open store. The top level of its file system stays mounted until this is hidden or dropped.
#[derive(Debug)]
pub struct Store {
    top: OwnedFd,
    /// What was read from the state record.
    pub read: StateRead,
}

impl Store {
    /// Mounts the top level of the file system on `root` and reads the state record.
    ///
    /// # Errors
    /// There is no store on it, or the file system cannot be mounted.
    pub fn open(root: &Root, degraded: bool, voice: &mut Voice) -> Result<Self> {
        let node = root.node.display().to_string();
        let mount = mount_top(&node, degraded, voice)?;
        sys::fs::make_dir("/run/rootctl", 0o755)?;
        sys::fs::make_dir(TOP, 0o700)?;
        // Left over by a start of this program that was killed.
        unmount(TOP, Unmount::Detach).ok();
        mount.attach(sys::fs::here(), TOP)?;
        let top = sys::fs::open_dir(TOP)?;
        let format = format!("{}/{}", names::DIR, names::FORMAT);
        let mut store = Self {
            top,
            read: StateRead::from_bytes(&[]),
        };
        check_format(&store, &format).with_context(|| format!("cannot use the store on {node}"))?;
        store.read = read_state(&store);
        for damage in &store.read.damage {
            voice.warn(format!("state record: {damage}"));
        }
        if store.read.state.is_none() {
            voice.warn(
                "there is no readable state record: the command line is obeyed, no try is counted; \
                 run `rootctl status` for the next step",
            );
        }
        Ok(store)
    }

    /// The record that counts, if there is one.
    #[must_use]
    pub fn state(&self) -> Option<&State> {
        self.read.state.as_ref()
    }

    /// Everything known of snapshot `id`. `mode` matters because `rw` needs no sealed root.
    #[must_use]
    pub fn candidate(&self, id: SnapshotId, mode: &Mode) -> Candidate {
        // The first line has file, line and reason; the picture below it is for `rootctl snap show`.
        let words = |error: anyhow::Error| {
            let chain = sys::chain(error.as_ref());
            chain.lines().next().unwrap_or_default().to_owned()
        };
        match self.meta(id) {
            Ok(meta) => Candidate {
                id,
                problem: self.check_root(id, &meta, mode).err().map(words),
                meta: Some(meta),
            },
            Err(error) => Candidate {
                id,
                meta: None,
                problem: Some(words(error)),
            },
        }
    }

    /// All published snapshots, by id.
    #[must_use]
    pub fn candidates(&self, mode: &Mode) -> Vec<Candidate> {
        let dir = Path::new(TOP).join(names::DIR).join(names::SNAPS);
        let Ok(entries) = std::fs::read_dir(dir) else {
            return Vec::new();
        };
        let mut ids: Vec<SnapshotId> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| self.candidate(id, mode)).collect()
    }

    fn meta(&self, id: SnapshotId) -> Result<Meta> {
        let dir = paths::snapshot_dir(id);
        if !sys::fs::exists_at(&self.top, &dir) {
            return Err(anyhow!("it does not exist"));
        }
        let file = format!("{dir}/{}", names::META);
        let limit = u64::try_from(meta::MAX_SIZE).unwrap_or(u64::MAX);
        let text = sys::fs::read_text_at(&self.top, &file, limit)?;
        Ok(Meta::from_toml(&file, &text, id)?)
    }

    /// Copies the boot plan that was compiled when the snapshot was deployed to where `rinit` looks for it. What is in it
    /// is for `rinit` to judge.
    ///
    /// # Errors
    /// It is there, and cannot be read or copied.
    pub fn pass_plan_on(&self, id: SnapshotId) -> Result<()> {
        let file = format!("{}/{}", paths::snapshot_dir(id), names::PLAN);
        let bytes = match sys::fs::read_at(&self.top, &file, stored::MAX_SIZE) {
            Err(error) if error.is_absent() => return Ok(()),
            other => other?,
        };
        // In memory: nothing to sync, and no reader yet. Nobody else may write it: rinit would not believe it.
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        file.open(paths::run::PLAN)
            .and_then(|mut file| file.write_all(&bytes))
            .with_context(|| format!("cannot write {}", paths::run::PLAN))
    }

    /// The snapshot's root is there, is the one its meta file is about, and nobody can have changed it.
    fn check_root(&self, id: SnapshotId, meta: &Meta, mode: &Mode) -> Result<()> {
        let dir = paths::snapshot_dir(id);
        if let Some(image) = meta.image {
            let file = format!("{dir}/{}", image_name(image));
            return if sys::fs::exists_at(&self.top, &file) {
                Ok(())
            } else {
                Err(anyhow!("its image {file} is missing"))
            };
        }
        let root = sys::fs::open_dir_at(&self.top, format!("{dir}/{}", names::ROOT))
            .context("its root is missing")?;
        if !btrfs::is_subvolume(&root) {
            return Err(anyhow!("its root is no subvolume"));
        }
        let found = btrfs::info(&root)?;
        if !same_uuid(&meta.uuid, &found.uuid.to_string()) {
            return Err(anyhow!(
                "its root has UUID {}, its {} says {}: it was exchanged",
                found.uuid,
                names::META,
                meta.uuid
            ));
        }
        if found.access == Access::ReadWrite && *mode != Mode::Rw {
            return Err(anyhow!(
                "its root is writable: somebody may have changed it"
            ));
        }
        Ok(())
    }

    /// Overwrites the other slot of the state record, durably.
    ///
    /// # Errors
    /// A slot was written by a newer version, or the disk does not take it.
    pub fn write_state(&mut self, next: &State) -> Result<()> {
        if self.read.from_the_future {
            return Err(anyhow!(
                "the state record was written by a newer rootctl and stays as it is"
            ));
        }
        let (offset, slot) = next.to_slot()?;
        let file = format!("{}/{}", names::DIR, names::STATE);
        sys::fs::write_slot_at(&self.top, file, offset, &slot)?;
        self.read.state = Some(next.clone());
        Ok(())
    }

    /// Takes the top level out of the tree of mounts, for good. The store can still be read and written from here, but not
    /// by path.
    pub fn hide(&mut self) {
        // Detached: mounts made from it keep the file system, nobody keeps the top level.
        unmount(TOP, Unmount::Detach).ok();
        std::fs::remove_dir(TOP).ok();
    }

    /// The path of something in the top level, as other processes could use it while the store is open.
    #[must_use]
    pub fn path(&self, below: &str) -> std::path::PathBuf {
        Path::new(TOP).join(below)
    }
}

impl AsFd for Store {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.hide();
    }
}

/// The name of an image in its snapshot's directory.
#[must_use]
pub fn image_name(image: Image) -> &'static str {
    match image {
        Image::Squashfs => names::ROOT_SQUASHFS,
        Image::Erofs => names::ROOT_EROFS,
    }
}

fn same_uuid(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    plain(one) == plain(other)
}

fn check_format(store: &Store, format: &str) -> Result<()> {
    let text = sys::fs::read_text_at(store, format, 64)
        .context("there is no store in its top level; `rootctl store init` makes one")?;
    if text.trim() == names::FORMAT_VERSION {
        return Ok(());
    }
    Err(anyhow!(
        "its layout is {:?}, this version knows {} only: update the initramfs",
        text.trim(),
        names::FORMAT_VERSION
    ))
}

fn read_state(store: &Store) -> StateRead {
    let file = format!("{}/{}", names::DIR, names::STATE);
    let limit = u64::try_from(state::FILE_SIZE * 2).unwrap_or(u64::MAX);
    match sys::fs::read_at(store, file, limit) {
        Ok(bytes) => StateRead::from_bytes(&bytes),
        Err(error) => StateRead {
            state: None,
            damage: vec![sys::chain(&error)],
            from_the_future: false,
        },
    }
}

/// Mounts the top level: writable, else read-only, else with an older tree of the file system.
fn mount_top(node: &str, degraded: bool, voice: &mut Voice) -> Result<Mount> {
    let tries: [&[(&str, Option<&str>)]; 3] = [
        &[],
        &[("ro", None)],
        &[("ro", None), ("rescue", Some("usebackuproot"))],
    ];
    let mut first_error = None;
    for extra in tries {
        let mut options = vec![("subvolid", Some("5"))];
        options.extend(extra);
        if degraded {
            options.push(("degraded", None));
        }
        let request = Request {
            kind: "btrfs",
            source: node,
            options: &options,
            // An ordinary boot writes nothing, not even that it read. Copies of this mount inherit what is set here.
            attributes: Attributes::NO_ATIME,
        };
        match (Mount::new(&request), &first_error) {
            (Ok(mount), None) => return Ok(mount),
            (Ok(mount), Some(error)) => {
                voice.warn(format!("{error}; it is mounted read-only"));
                return Ok(mount);
            }
            (Err(error), None) => first_error = Some(sys::chain(&error)),
            (Err(_), Some(_)) => {}
        }
    }
    Err(anyhow!(first_error.unwrap_or_default()))
}

/// True if the btrfs on `node` holds a store; looks through a read-only mount that nobody else sees.
#[must_use]
pub fn is_on(node: &Path) -> bool {
    let request = Request {
        kind: "btrfs",
        source: &node.display().to_string(),
        options: &[("subvolid", Some("5")), ("ro", None)],
        attributes: Attributes::READ_ONLY,
    };
    let format = format!("{}/{}", names::DIR, names::FORMAT);
    Mount::new(&request).is_ok_and(|top| sys::fs::exists_at(&top, format))
}

/// A detached copy of a folder or subvolume of the store.
///
/// # Errors
/// It is absent.
pub fn part(store: &Store, path: &str) -> sys::error::Result<Mount> {
    let part = Mount::copy_of(store, path, Reach::One)?;
    part.keep_access_times()?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_compared_without_dashes_and_case() {
        assert!(same_uuid("AABB-ccdd", "aabbccdd") && !same_uuid("aa", "ab"));
    }
}

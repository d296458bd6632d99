//! Builds states of the disk out of a recording, each as a file of its own that shares its blocks with the others.

use super::cuts::Cut;
use super::log::{Entry, Kind, Log};
use crate::disk::Disk;
use crate::disk::btrfs::{Loop, Mounted};
use crate::paths::Scratch;
use crate::run;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Room of the file system that holds the copies; its file is sparse.
const ROOM: u64 = 16 << 30;

/// A disk that goes through its recording once more.
#[derive(Debug)]
pub struct Replay {
    log: Log,
    layout: Disk,
    /// What is durable, as a file.
    image: PathBuf,
    /// So many requests are in it.
    applied: usize,
    // The order of dropping: unmounted before its image goes.
    mounted: Mounted,
    _folder: Scratch,
}

impl Replay {
    /// Begins with the disk as it was before.
    ///
    /// # Errors
    /// When there is no room, or no btrfs on this kernel (its copies share blocks).
    pub fn new(before: &Disk, log: Log) -> Result<Self> {
        let folder = Scratch::new("replay")?;
        let room = folder.join("room");
        File::create(&room)
            .and_then(|file| file.set_len(ROOM))
            .with_context(|| format!("cannot make {}", room.display()))?;
        run::quiet(run::command("mkfs.btrfs", ["--quiet"]).arg(&room))?;
        let mounted = Mounted::new(
            Loop::attach(&room, 0, ROOM)?,
            "btrfs",
            "noatime",
            &folder.join("copies"),
        )?;
        let image = mounted.path().join("durable");
        let layout = before.copy_to(&image)?;
        Ok(Self {
            log,
            layout,
            image,
            applied: 0,
            mounted,
            _folder: folder,
        })
    }

    /// The recording.
    pub fn entries(&self) -> &[Entry] {
        &self.log.entries
    }

    /// The bytes of one request.
    ///
    /// # Errors
    /// When the log is cut short.
    pub fn data(&self, entry: &Entry) -> Result<Vec<u8>> {
        self.log.data(entry)
    }

    /// The disk after this cut. Cuts must come in their order; the disk is gone with the next one.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn state(&mut self, cut: &Cut) -> Result<Disk> {
        let durable = open(&self.image)?;
        while self.applied < cut.durable {
            self.apply(&durable, self.applied, None)?;
            self.applied += 1;
        }
        let copy = self.mounted.path().join("state");
        let state =
            File::create(&copy).with_context(|| format!("cannot make {}", copy.display()))?;
        rustix::fs::ioctl_ficlone(&state, &durable)
            .context("cannot share the blocks of an image")?;
        for at in &cut.landed {
            let torn = cut.torn.filter(|_| cut.landed.last() == Some(at));
            self.apply(&state, *at, torn)?;
        }
        Ok(self.layout.at(&copy))
    }

    fn apply(&self, image: &File, at: usize, torn: Option<u64>) -> Result<()> {
        let entry = self
            .log
            .entries
            .get(at)
            .context("there is no such request")?;
        if entry.kind == Kind::Flush {
            return Ok(());
        }
        let mut bytes = self.log.data(entry)?;
        if let Some(torn) = torn {
            bytes.truncate(usize::try_from(torn).unwrap_or(usize::MAX));
        }
        image
            .write_all_at(&bytes, entry.offset)
            .context("cannot write to an image")
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true);
    options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

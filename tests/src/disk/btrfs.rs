//! The btrfs partition of an image, mounted on the host through a loop device at its offset.

use super::Disk;
use super::gpt::Purpose;
use crate::{run, say};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A loop device over a part of a file; detached when dropped.
#[derive(Debug)]
pub struct Loop {
    device: PathBuf,
}

impl Loop {
    /// Attaches `bytes` bytes of `file` from byte `offset` on.
    ///
    /// # Errors
    /// When losetup fails: not root, or no loop device is free.
    pub fn attach(file: &Path, offset: u64, bytes: u64) -> Result<Self> {
        let mut attach = run::command("losetup", ["--find", "--show"]);
        attach
            .arg("--offset")
            .arg(offset.to_string())
            .arg("--sizelimit")
            .arg(bytes.to_string());
        let device = run::output(attach.arg(file))?;
        Ok(Self {
            device: PathBuf::from(device.trim()),
        })
    }

    /// The device node.
    pub fn device(&self) -> &Path {
        &self.device
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Err(why) = run::quiet(run::command("losetup", ["--detach"]).arg(&self.device)) {
            say::error(&format!("{why:#}"));
        }
    }
}

/// A file system mounted by us; unmounted when dropped, before its loop device is detached.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
    // Kept for its drop, which must come after ours.
    _device: Option<Loop>,
}

impl Mounted {
    /// Mounts a loop device on the folder `at`, which is made when absent.
    ///
    /// # Errors
    /// When the folder cannot be made or mount fails.
    pub fn new(device: Loop, kind: &str, options: &str, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)
            .with_context(|| format!("cannot make the folder {}", at.display()))?;
        run::quiet(
            run::command("mount", ["-t", kind, "-o", options])
                .arg(device.device())
                .arg(at),
        )?;
        Ok(Self {
            at: at.to_path_buf(),
            _device: Some(device),
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(why) = run::quiet(run::command("umount", ["--recursive"]).arg(&self.at)) {
            say::error(&format!("{why:#}"));
        }
    }
}

/// The id of a subvolume, as `btrfs subvolume show` prints it.
///
/// # Errors
/// When the folder is no subvolume.
pub fn subvolume_uuid(folder: &Path) -> Result<String> {
    let text = run::output(run::command("btrfs", ["subvolume", "show"]).arg(folder))?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("UUID:"));
    Ok(line
        .with_context(|| format!("{} has no id", folder.display()))?
        .trim()
        .to_owned())
}

/// Makes an empty btrfs on the image's Linux partition.
///
/// # Errors
/// When the loop device cannot be attached or mkfs.btrfs fails.
pub fn format(disk: &Disk, label: &str) -> Result<()> {
    let device = attach(disk)?;
    run::quiet(
        run::command("mkfs.btrfs", ["--quiet", "--force", "--label", label]).arg(device.device()),
    )
}

/// The id of the image's btrfs, as `root=UUID=` takes it.
///
/// # Errors
/// When there is no btrfs on the partition.
pub fn uuid(disk: &Disk) -> Result<String> {
    uuid_at(disk.path(), disk.partition(Purpose::Linux)?.offset)
}

/// The id of the btrfs that begins at byte `offset` of a file.
///
/// # Errors
/// When there is none.
pub fn uuid_at(file: &Path, offset: u64) -> Result<String> {
    use std::fmt::Write;
    use std::os::unix::fs::FileExt;
    // The super block lies 64 KiB into the file system and holds the id at byte 32 (btrfs on-disk format).
    let image = fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let mut head = [0u8; 72];
    image
        .read_exact_at(&mut head, offset + 64 * 1024)
        .with_context(|| format!("cannot read {}", file.display()))?;
    anyhow::ensure!(
        &head[64..] == b"_BHRfS_M",
        "there is no btrfs in the image {}",
        file.display()
    );
    let mut text = String::new();
    for (place, byte) in head[32..48].iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        write!(text, "{byte:02x}").context("cannot write an id")?;
    }
    Ok(text)
}

/// Mounts the top level (subvolume 5) of the image's btrfs.
///
/// # Errors
/// When the loop device cannot be attached or mount fails.
pub fn mount(disk: &Disk, at: &Path) -> Result<Mounted> {
    Mounted::new(attach(disk)?, "btrfs", "subvolid=5,noatime", at)
}

fn attach(disk: &Disk) -> Result<Loop> {
    let partition = disk.partition(Purpose::Linux)?;
    Loop::attach(disk.path(), partition.offset, partition.bytes)
}

//! A small store on a btrfs image, laid out by hand from the shared types: so that the boot stage is tested
//! against the layout, and not against what our own broker happens to write.

use crate::disk::btrfs::{self, Loop, Mounted};
use crate::paths::Scratch;
use crate::run;
use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::{BootFile, Image, Kernel, Meta, Origin};
use rootspec::paths::store as names;
use rootspec::state::{FILE_SIZE, State, StateRead};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Room for a handful of tiny roots; btrfs needs about 110 MiB for itself.
const BYTES: u64 = 256 * 1024 * 1024;

/// The image. It holds the snapshots 1 (good before) and 2 (good).
#[derive(Debug)]
pub struct StoreImage {
    file: PathBuf,
    /// The file system's label, unlike any other on this host.
    pub label: String,
    folder: Scratch,
}

impl StoreImage {
    /// Makes the image.
    ///
    /// # Errors
    /// When the file system cannot be made or filled.
    pub fn new() -> Result<Self> {
        let folder = Scratch::new("store")?;
        let file = folder.join("image");
        fs::File::create(&file)
            .and_then(|image| image.set_len(BYTES))
            .with_context(|| format!("cannot make {}", file.display()))?;
        let label = format!("t{}", crate::paths::unique());
        run::quiet(run::command("mkfs.btrfs", ["--quiet", "--label", &label]).arg(&file))?;
        let image = Self {
            file,
            label,
            folder,
        };
        image.edit(|top| {
            lay_out(top)?;
            add_snapshot(top, 1)?;
            add_snapshot(top, 2)?;
            let state = State {
                good: id(2),
                previous: id(1),
                next_id: 3,
                ..State::empty()
            };
            write_state(top, &state)
        })?;
        Ok(image)
    }

    /// The image's file, to be a machine's disk.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Mounts the top level while `work` runs.
    ///
    /// # Errors
    /// When it cannot be mounted, or the work's own.
    pub fn edit<T>(&self, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let top = Mounted::new(
            self.attach()?,
            "btrfs",
            "subvolid=5",
            &self.folder.join("top"),
        )?;
        work(top.path())
    }

    /// A loop device over the image.
    ///
    /// # Errors
    /// When none is free.
    pub fn attach(&self) -> Result<Loop> {
        Loop::attach(&self.file, 0, BYTES)
    }

    /// The state record as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn state(&self) -> Result<StateRead> {
        self.edit(|top| {
            let file = top.join(names::DIR).join(names::STATE);
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(StateRead::from_bytes(&bytes))
        })
    }
}

/// The number as an id; none for 0.
pub fn id(number: u32) -> Option<SnapshotId> {
    SnapshotId::new(number)
}

/// Name of the file that takes all room.
pub const BALLAST: &str = "ballast";

/// Takes all room for data, so that not even one block of a file can be written anew.
///
/// # Errors
/// When that ends for another reason than want of room.
pub fn fill(top: &Path) -> Result<()> {
    let file = top.join(BALLAST);
    let mut ballast =
        fs::File::create(&file).with_context(|| format!("cannot make {}", file.display()))?;
    for bytes in [1 << 20, 64 << 10, 4 << 10] {
        let piece = vec![b'x'; bytes];
        loop {
            // Only what is on the disk takes room for sure.
            match ballast.write_all(&piece).and_then(|()| ballast.sync_data()) {
                Ok(()) => {}
                Err(why) if why.kind() == ErrorKind::StorageFull => break,
                Err(why) => {
                    return Err(why).with_context(|| format!("cannot fill {}", file.display()));
                }
            }
        }
    }
    Ok(())
}

fn lay_out(top: &Path) -> Result<()> {
    let store = top.join(names::DIR);
    for folder in [names::SNAPS, names::ETC, names::OVER, names::TMP] {
        let folder = store.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write(
        &store.join(names::FORMAT),
        format!("{}\n", names::FORMAT_VERSION).as_bytes(),
    )?;
    write(&store.join(names::STATE), &[0; FILE_SIZE])?;
    write(&store.join(names::LOCK), b"")?;
    for (subvolume, _) in names::SHARED {
        run::quiet(run::command("btrfs", ["subvolume", "create"]).arg(top.join(subvolume)))?;
    }
    Ok(())
}

/// Publishes a tiny sealed root as snapshot `number`.
///
/// # Errors
/// When the subvolume cannot be made.
pub fn add_snapshot(top: &Path, number: u32) -> Result<()> {
    let folder = top
        .join(names::DIR)
        .join(names::SNAPS)
        .join(number.to_string());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let root = folder.join(names::ROOT);
    run::quiet(run::command("btrfs", ["subvolume", "create"]).arg(&root))?;
    fill_root(&root, number)?;
    run::quiet(
        run::command("btrfs", ["property", "set", "-t", "subvol"])
            .arg(&root)
            .args(["ro", "true"]),
    )?;
    write_meta(&folder, &meta(number, btrfs::subvolume_uuid(&root)?, None)?)
}

/// Publishes a tiny root as snapshot `number`, packed as an image.
///
/// # Errors
/// When the image cannot be made.
pub fn add_image_snapshot(top: &Path, number: u32, image: Image) -> Result<()> {
    let folder = top
        .join(names::DIR)
        .join(names::SNAPS)
        .join(number.to_string());
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let scratch = Scratch::new("image")?;
    fill_root(&scratch.join("root"), number)?;
    let mut pack = match image {
        Image::Squashfs => {
            let mut pack = run::command(
                "mksquashfs",
                [scratch.join("root"), folder.join(names::ROOT_SQUASHFS)],
            );
            pack.args(["-quiet", "-no-progress"]);
            pack
        }
        Image::Erofs => run::command(
            "mkfs.erofs",
            [folder.join(names::ROOT_EROFS), scratch.join("root")],
        ),
    };
    run::quiet(&mut pack)?;
    // The boot stage leaves the image's own checksum to btrfs.
    write_meta(&folder, &meta(number, "0".repeat(64), Some(image))?)
}

/// What a root needs to be handed over to, and a word to know it by.
fn fill_root(root: &Path, number: u32) -> Result<()> {
    for folder in [
        "usr/bin", "etc", "var", "home", "root", "tmp", "dev", "proc", "sys", "run",
    ] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write(
        &root.join("etc/word"),
        format!("snapshot {number}\n").as_bytes(),
    )?;
    let init = root.join("usr/bin/rinit");
    write(&init, b"#!/bin/sh\n")?;
    run::quiet(run::command("chmod", ["0755"]).arg(init))
}

fn meta(number: u32, uuid: String, image: Option<Image>) -> Result<Meta> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the kernel's release")?;
    let file = || BootFile {
        blake2b: "0".repeat(128),
        size: 1,
    };
    Ok(Meta {
        schema: Meta::SCHEMA,
        id: id(number).context("a snapshot has no number")?,
        uuid,
        parent: None,
        lineage: Vec::new(),
        copied: Vec::new(),
        name: None,
        created: 1_700_000_000,
        note: String::new(),
        cmdline: String::new(),
        etc_base: None,
        redoes: None,
        origin: Origin {
            kind: "import".into(),
            detail: String::new(),
        },
        // The same kernel for all of them, the one that runs: else none is fallen back to.
        kernel: Some(Kernel {
            release: release.trim().to_owned(),
            vmlinuz: file(),
            initrd: file(),
        }),
        image,
    })
}

fn write_meta(folder: &Path, meta: &Meta) -> Result<()> {
    write(
        &folder.join(names::META),
        meta.to_toml()
            .context("cannot write a meta file")?
            .as_bytes(),
    )
}

/// Writes the slot of this record.
///
/// # Errors
/// When it cannot be written.
pub fn write_state(top: &Path, state: &State) -> Result<()> {
    let (offset, slot) = state.to_slot().map_err(|why| anyhow::anyhow!("{why}"))?;
    let file = top.join(names::DIR).join(names::STATE);
    let open = fs::File::options().write(true).open(&file);
    open.and_then(|open| open.write_all_at(&slot, offset))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

//! Disk images: a sparse file with a GPT, a BIOS boot partition, a FAT ESP and one btrfs.
//!
//! - [`gpt`]: the partition table;
//! - [`fat`]: the ESP, filled with mtools because a host kernel may have no vfat;
//! - [`btrfs`]: the btrfs partition, mounted through a loop device at its offset, because a host kernel
//!   may scan no partitions.

pub mod btrfs;
pub mod fat;
pub mod gpt;

use anyhow::{Context, Result};
use fat::Fat;
use gpt::{Partition, Purpose, Wanted};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const MIB: u64 = 1024 * 1024;

/// The sizes of an image. The file is sparse: only what is written takes room.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// The EFI system partition, in MiB; FAT32 needs at least 34.
    pub esp_mib: u64,
    /// The btrfs partition, in MiB.
    pub root_mib: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            esp_mib: 260,
            root_mib: 3072,
        }
    }
}

/// A disk image and where its parts lie.
#[derive(Debug, Clone)]
pub struct Disk {
    path: PathBuf,
    partitions: Vec<Partition>,
    volume_id: u32,
}

impl Disk {
    /// Makes a new image file: table, an empty FAT32 on the ESP; the btrfs partition stays blank until
    /// [`btrfs::format`].
    ///
    /// # Errors
    /// When the file cannot be written or mkfs.fat fails.
    pub fn create(path: &Path, sizes: Sizes) -> Result<Self> {
        let wanted = [
            Wanted {
                purpose: Purpose::BiosBoot,
                name: "bios",
                bytes: MIB,
            },
            Wanted {
                purpose: Purpose::Esp,
                name: "ESP",
                bytes: sizes.esp_mib * MIB,
            },
            Wanted {
                purpose: Purpose::Linux,
                name: "rootctl",
                bytes: sizes.root_mib * MIB,
            },
        ];
        let mut random = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
        let mut ids = [[0u8; 16]; 5];
        for id in &mut ids {
            random.read_exact(id).context("cannot read /dev/urandom")?;
        }
        let [disk_id, volume, rest @ ..] = ids;
        let mut rest = rest.into_iter();
        let (partitions, bytes) = gpt::place(&wanted, || rest.next().unwrap_or_default());
        let image = File::create(path)
            .with_context(|| format!("cannot make the image {}", path.display()))?;
        image
            .set_len(bytes)
            .with_context(|| format!("cannot give {} its size", path.display()))?;
        gpt::write(&image, &partitions, disk_id)?;
        let [a, b, c, d, ..] = volume;
        let disk = Self {
            path: path.to_path_buf(),
            partitions,
            volume_id: u32::from_le_bytes([a, b, c, d]),
        };
        disk.esp()?.format("ESP", disk.volume_id)?;
        Ok(disk)
    }

    /// The image file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partition with this purpose.
    ///
    /// # Errors
    /// When the image has none.
    pub fn partition(&self, purpose: Purpose) -> Result<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.purpose == purpose)
            .with_context(|| {
                format!(
                    "the image {} has no partition for {purpose:?}",
                    self.path.display()
                )
            })
    }

    /// The number of a partition in the table, from 1.
    ///
    /// # Errors
    /// When the image has none with this purpose.
    pub fn number(&self, purpose: Purpose) -> Result<usize> {
        self.partition(purpose)?;
        Ok(self
            .partitions
            .iter()
            .take_while(|partition| partition.purpose != purpose)
            .count()
            + 1)
    }

    /// The FAT file system on the ESP.
    ///
    /// # Errors
    /// When the image has no ESP.
    pub fn esp(&self) -> Result<Fat> {
        let partition = self.partition(Purpose::Esp)?;
        Ok(Fat::new(&self.path, partition.offset, partition.bytes))
    }

    /// The id of the ESP's file system as loaders and blkid show it: `1234-ABCD`.
    pub fn esp_uuid(&self) -> String {
        format!(
            "{:04X}-{:04X}",
            self.volume_id >> 16,
            self.volume_id & 0xFFFF
        )
    }

    /// The same parts in another file.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            ..self.clone()
        }
    }

    /// Copies the image, holes kept, to another file: one prepared disk serves many tests.
    ///
    /// # Errors
    /// When cp fails.
    pub fn copy_to(&self, path: &Path) -> Result<Self> {
        let mut copy = crate::run::command("cp", ["--sparse=always", "--reflink=auto"]);
        crate::run::quiet(copy.arg(&self.path).arg(path))?;
        Ok(self.at(path))
    }
}

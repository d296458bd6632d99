//! Block devices: what the kernel lists, what is on them, how their partitions are called.
//!
//! Parsers take bytes; the thin part at the end reads them. Nothing here needs udev.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::btrfs::Uuid;
use crate::error::{Cannot, Result};
use crate::gpt;

/// Where a btrfs has its first superblock, in bytes (`BTRFS_SUPER_INFO_OFFSET`).
const BTRFS_AT: u64 = 64 * 1024;
/// Bytes read at the start of a device and at [`BTRFS_AT`].
const BLOCK: usize = 4096;

/// What is on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A btrfs, or one device of it.
    Btrfs(BtrfsSuper),
    /// A squashfs image.
    Squashfs,
    /// An erofs image.
    Erofs,
    /// Something else we know by name only (`ext`, `xfs`, `vfat`, `luks`).
    Other(&'static str),
}

/// What a btrfs superblock tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtrfsSuper {
    /// UUID of the file system.
    pub uuid: Uuid,
    /// Its label; empty when it has none.
    pub label: String,
    /// How many devices it has.
    pub devices: u64,
}

/// Reads a btrfs superblock (`struct btrfs_super_block`, on-disk format of the kernel's `fs/btrfs`).
///
/// The checksum is left to the kernel: a damaged superblock must still be found, so that its mount error is seen.
#[must_use]
pub fn btrfs_superblock(block: &[u8]) -> Option<BtrfsSuper> {
    if block.get(64..72)? != b"_BHRfS_M" {
        return None;
    }
    let label = block.get(299..299 + 256)?;
    let length = label.iter().position(|byte| *byte == 0).unwrap_or(256);
    Some(BtrfsSuper {
        uuid: Uuid(*block.get(32..)?.first_chunk()?),
        label: String::from_utf8_lossy(label.get(..length)?).into_owned(),
        devices: u64::from_le_bytes(*block.get(136..)?.first_chunk()?),
    })
}

/// Names what starts with these bytes: images, and file systems a person may want to know of.
#[must_use]
pub fn content_of_start(start: &[u8]) -> Option<Content> {
    let has = |at: usize, magic: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(magic));
    let known: [(usize, &[u8], Content); 8] = [
        (0, b"hsqs", Content::Squashfs),
        (1024, &0xe0f5_e1e2_u32.to_le_bytes(), Content::Erofs),
        (0, b"LUKS\xba\xbe", Content::Other("luks")),
        (0, b"XFSB", Content::Other("xfs")),
        (1080, &[0x53, 0xef], Content::Other("ext")),
        (82, b"FAT32   ", Content::Other("vfat")),
        (54, b"FAT16   ", Content::Other("vfat")),
        (54, b"FAT12   ", Content::Other("vfat")),
    ];
    known
        .into_iter()
        .find(|(at, magic, _)| has(*at, magic))
        .map(|(_, _, content)| content)
}

/// A block device as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockDevice {
    /// Kernel's name: `vda2`.
    pub name: String,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Size in bytes; 0 for an empty drive or an unused loop device.
    pub size: u64,
    /// Bytes of a logical block of the disk.
    pub block_size: u64,
    /// For a partition: the disk it is on, and its number there.
    pub partition: Option<(String, u32)>,
}

impl BlockDevice {
    /// Its device node, as devtmpfs names it.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        node_of(&self.name)
    }
}

/// The device node for a kernel name: `cciss!c0d0` is `/dev/cciss/c0d0`.
#[must_use]
pub fn node_of(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

/// Major and minor number of a device node, or of what a link leads to; `None`: it is no block device.
#[must_use]
pub fn number_of(node: impl AsRef<Path>) -> Option<(u32, u32)> {
    let found = rustix::fs::stat(node.as_ref()).ok()?;
    let is_block = rustix::fs::FileType::from_raw_mode(found.st_mode).is_block_device();
    let number = found.st_rdev;
    is_block.then(|| (rustix::fs::major(number), rustix::fs::minor(number)))
}

/// Lists the block devices below `class` (`/sys/class/block`), sorted by name. Devices that vanish meanwhile are left
/// out.
///
/// # Errors
/// The folder cannot be listed: sysfs is not mounted.
pub fn list(class: impl AsRef<Path>) -> Result<Vec<BlockDevice>> {
    let class = class.as_ref();
    let entries = std::fs::read_dir(class).cannot("list", class)?;
    let mut devices: Vec<_> = entries
        .filter_map(|entry| describe(class, entry.ok()?.file_name().to_str()?))
        .collect();
    devices.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(devices)
}

fn describe(class: &Path, name: &str) -> Option<BlockDevice> {
    let dir = class.join(name);
    let value = |file: &str| -> Option<String> {
        let text = crate::fs::read_text(dir.join(file), 256).ok()?;
        Some(text.trim().to_owned())
    };
    let (major, minor) = parse_number(&value("dev")?)?;
    // The kernel counts in 512 bytes whatever the disk's block size is.
    let size = value("size")?.parse::<u64>().ok()?.checked_mul(512)?;
    let partition = value("partition").and_then(|number| {
        let real = dir.canonicalize().ok()?;
        let disk = real.parent()?.file_name()?.to_str()?.to_owned();
        Some((disk, number.parse().ok()?))
    });
    let queue = if partition.is_some() {
        "../queue/logical_block_size"
    } else {
        "queue/logical_block_size"
    };
    // For a partition the link has to be resolved first, or `..` would mean the class folder.
    let real = dir.canonicalize().unwrap_or_else(|_vanished| dir.clone());
    let block_size = crate::fs::read_text(real.join(queue), 64)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(512);
    Some(BlockDevice {
        name: name.to_owned(),
        number: (major, minor),
        size,
        block_size,
        partition,
    })
}

fn parse_number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Looks what is on a device or image: at most two blocks are read.
///
/// # Errors
/// It cannot be opened or read.
pub fn probe(node: impl AsRef<Path>) -> Result<Option<Content>> {
    let node = node.as_ref();
    let file = File::open(node).cannot("open", node)?;
    if let Some(found) = btrfs_superblock(&read_block(&file, BTRFS_AT).cannot("read", node)?) {
        return Ok(Some(Content::Btrfs(found)));
    }
    let start = read_block(&file, 0).cannot("read", node)?;
    Ok(content_of_start(&start))
}

/// The partitions of a disk with names and UUIDs, from its GPT (or an old MBR).
///
/// # Errors
/// It cannot be opened or read, or its GPT is damaged in both copies.
pub fn partitions(disk: &BlockDevice) -> Result<Vec<gpt::Partition>> {
    let node = disk.node();
    let file = File::open(&node).cannot("open", &node)?;
    gpt::read(&file, disk.size, disk.block_size).cannot("read the partition table of", &node)
}

/// Reads one block; a device that ends earlier gives fewer bytes.
fn read_block(file: &File, at: u64) -> std::io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK];
    let mut filled = 0;
    while let Some(room) = block.get_mut(filled..).filter(|room| !room.is_empty()) {
        let offset = at.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(room, offset) {
            Ok(0) => break,
            Ok(length) => filled = filled.saturating_add(length),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    block.truncate(filled);
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    fn superblock(label: &str) -> Vec<u8> {
        let mut block = vec![0; 4096];
        block[32..48].copy_from_slice(&[0x5a; 16]);
        block[64..72].copy_from_slice(b"_BHRfS_M");
        block[136] = 2;
        block[299..299 + label.len()].copy_from_slice(label.as_bytes());
        block
    }

    #[test]
    fn a_btrfs_superblock_gives_uuid_label_and_number_of_devices() {
        let found = btrfs_superblock(&superblock("system")).unwrap();
        assert_eq!((found.label.as_str(), found.devices), ("system", 2));
        assert_eq!(
            found.uuid.to_string(),
            "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a"
        );
    }

    #[test]
    fn cut_or_foreign_blocks_are_no_btrfs() {
        let whole = superblock("x");
        for length in [0, 64, 71, 72, 140, 299, 554] {
            assert_eq!(btrfs_superblock(&whole[..length]), None, "{length}");
        }
        assert_eq!(btrfs_superblock(&[0; 4096]), None);
    }

    #[test]
    fn a_label_without_end_mark_is_taken_whole() {
        let found = btrfs_superblock(&superblock(&"l".repeat(256))).unwrap();
        assert_eq!(found.label.len(), 256);
    }

    #[test]
    fn images_are_told_by_their_first_bytes() {
        assert_eq!(content_of_start(b"hsqs...."), Some(Content::Squashfs));
        let mut erofs = vec![0; 2048];
        erofs[1024..1028].copy_from_slice(&[0xe2, 0xe1, 0xf5, 0xe0]);
        assert_eq!(content_of_start(&erofs), Some(Content::Erofs));
        assert_eq!(content_of_start(b""), None);
    }

    #[test]
    fn a_file_is_probed_as_a_device_is() {
        let dir = TestDir::new("probe");
        let mut image = vec![0; 64 * 1024];
        image.extend(superblock("demo"));
        std::fs::write(dir.join("i"), image).unwrap();
        std::fs::write(dir.join("short"), b"x").unwrap();
        assert!(matches!(
            probe(dir.join("i")).unwrap(),
            Some(Content::Btrfs(_))
        ));
        assert_eq!(probe(dir.join("short")).unwrap(), None);
    }

    #[test]
    fn a_listing_tells_disks_from_partitions() {
        let dir = TestDir::new("class");
        let disk = dir.join("devices/vda");
        std::fs::create_dir_all(disk.join("vda2")).unwrap();
        std::fs::create_dir_all(disk.join("queue")).unwrap();
        std::fs::create_dir_all(dir.join("class")).unwrap();
        for (file, text) in [
            ("dev", "254:0\n"),
            ("size", "2048\n"),
            ("queue/logical_block_size", "4096\n"),
            ("vda2/dev", "254:2\n"),
            ("vda2/size", "1024\n"),
            ("vda2/partition", "2\n"),
        ] {
            std::fs::write(disk.join(file), text).unwrap();
        }
        std::os::unix::fs::symlink(&disk, dir.join("class/vda")).unwrap();
        std::os::unix::fs::symlink(disk.join("vda2"), dir.join("class/vda2")).unwrap();
        let found = list(dir.join("class")).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].block_size, found[0].partition.as_ref()),
            (4096, None)
        );
        assert_eq!(found[1].partition, Some(("vda".into(), 2)));
        assert_eq!(
            (found[1].block_size, found[1].size, found[1].number),
            (4096, 1024 * 512, (254, 2))
        );
    }

    #[test]
    fn odd_kernel_names_become_nodes_in_folders() {
        assert_eq!(node_of("cciss!c0d0"), Path::new("/dev/cciss/c0d0"));
    }
}

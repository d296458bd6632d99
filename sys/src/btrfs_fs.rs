//! A whole btrfs: its UUID, and which mount of it a descriptor is in.

use std::os::fd::AsFd;

use linux_raw_sys::btrfs::btrfs_ioctl_fs_info_args;
use linux_raw_sys::ioctl::BTRFS_IOC_FS_INFO;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::ioctl::{Updater, ioctl};

use crate::btrfs::Uuid;
use crate::error::{Cannot, Result};

/// The UUID of the file system that holds the descriptor: what `root=UUID=` means.
///
/// # Errors
/// It is not on a btrfs.
pub fn uuid(fd: impl AsFd) -> Result<Uuid> {
    // SAFETY: the structure is integers and arrays of them, for which all bits zero are valid.
    let mut found: btrfs_ioctl_fs_info_args = unsafe { std::mem::zeroed() };
    // SAFETY: FS_INFO reads and fills one btrfs_ioctl_fs_info_args, which is what it gets.
    let call = unsafe { Updater::<{ BTRFS_IOC_FS_INFO }, _>::new(&mut found) };
    // SAFETY: the same promise; the structure outlives the call.
    unsafe { ioctl(fd, call) }.cannot("ask for the UUID of", "the btrfs")?;
    Ok(Uuid(found.fsid))
}

/// The number of the mount that holds the descriptor, which no other mount gets until the machine starts anew
/// (`STATX_MNT_ID_UNIQUE` of `statx(2)`); `None` before Linux 6.8.
#[must_use]
pub fn mount_number(fd: impl AsFd) -> Option<u64> {
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let found = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, UNIQUE).ok()?;
    let is_known = found.stx_mask & UNIQUE.bits() != 0;
    is_known.then_some(found.stx_mnt_id)
}

//! btrfs subvolumes by ioctl: made, copied, sealed, deleted, described.
//!
//! Numbers and structures are the kernel's (`linux/btrfs.h`, through `linux-raw-sys`). Creating and snapshotting commit
//! the transaction themselves: what they return is durable. Renames and [`set_read_only`] need [`sync`] or `fsync`.

use std::ffi::{OsStr, c_char};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use linux_raw_sys::btrfs::{
    btrfs_ioctl_get_subvol_info_args, btrfs_ioctl_vol_args, btrfs_ioctl_vol_args_v2,
};
use linux_raw_sys::ioctl as op;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Cannot, Result, SysError};
use crate::ioctl;

/// `BTRFS_SUPER_MAGIC` as `statfs` reports it.
const MAGIC: i64 = 0x9123_683e;
/// `BTRFS_SUBVOL_RDONLY`: the flag of snapshot creation and of GETFLAGS/SETFLAGS.
const SUBVOL_RDONLY: u64 = 1 << 1;
/// `BTRFS_ROOT_SUBVOL_RDONLY`: the same property as a root item's flag, which GET_SUBVOL_INFO reports. Another bit.
const ROOT_ITEM_RDONLY: u64 = 1;
/// Id of a file system's top level.
pub const TOP_LEVEL: u64 = 5;

/// A subvolume's or file system's UUID; shown in lower case with dashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The UUID, or `None` when it is not set (all zero).
    #[must_use]
    pub fn known(self) -> Option<Self> {
        (self.0 != [0; 16]).then_some(self)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a subvolume may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    ReadWrite,
    /// It is sealed.
    ReadOnly,
}

/// What a subvolume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Its id.
    pub id: u64,
    /// The id of the subvolume it lies in; 0 for the top level.
    pub parent_id: u64,
    /// Its UUID.
    pub uuid: Uuid,
    /// The UUID of the subvolume it is a snapshot of.
    pub parent_uuid: Option<Uuid>,
    /// The UUID of the subvolume it was received from.
    pub received_uuid: Option<Uuid>,
    /// Whether it is sealed.
    pub access: Access,
    /// Transaction of its last change.
    pub generation: u64,
    /// Transaction of the last change of a file in it.
    pub changed_in: u64,
    /// Transaction in which it was made; what it shares with the subvolume it is a snapshot of is not younger.
    pub made_in: u64,
    /// When it was made, in seconds since 1970 (UTC).
    pub created: u64,
}

/// True if the descriptor is on a btrfs.
#[must_use]
pub fn is_btrfs(fd: impl AsFd) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|found| found.f_type == MAGIC)
}

/// Opens the folder or subvolume `path`, whose file system must be btrfs.
///
/// # Errors
/// It cannot be opened, or lies on another file system.
pub fn open(path: impl AsRef<Path>) -> Result<OwnedFd> {
    let fd = crate::fs::open_dir(path.as_ref())?;
    if is_btrfs(&fd) {
        Ok(fd)
    } else {
        Err(SysError::invalid("use", path, "it is not on a btrfs"))
    }
}

/// Creates an empty subvolume `name` in the folder `dir`.
///
/// # Errors
/// The name is taken or illegal, or the kernel refuses (`ENOSPC`, `EROFS`, …).
pub fn create(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name.as_ref();
    let arguments = named_v2(name)?;
    // SAFETY: SUBVOL_CREATE_V2 reads one btrfs_ioctl_vol_args_v2, which is what it gets.
    let result = unsafe { ioctl::set::<{ op::BTRFS_IOC_SUBVOL_CREATE_V2 }, _>(dir, arguments) };
    result.cannot("create subvolume", name)
}

/// Makes a snapshot of the subvolume `source` as `name` in the folder `dir`.
///
/// # Errors
/// `source` is no subvolume, the name is taken or illegal, or the kernel refuses.
pub fn snapshot(
    source: impl AsFd,
    dir: impl AsFd,
    name: impl AsRef<OsStr>,
    access: Access,
) -> Result<()> {
    let name = name.as_ref();
    let mut arguments = named_v2(name)?;
    arguments.fd = i64::from(source.as_fd().as_raw_fd());
    if access == Access::ReadOnly {
        arguments.flags = SUBVOL_RDONLY;
    }
    // SAFETY: SNAP_CREATE_V2 reads one btrfs_ioctl_vol_args_v2; its `fd` is open for the time of the call.
    let result = unsafe { ioctl::set::<{ op::BTRFS_IOC_SNAP_CREATE_V2 }, _>(dir, arguments) };
    result.cannot("make snapshot", name)
}

/// Deletes the subvolume `name` in the folder `dir`. A sealed one too; one that holds other subvolumes not.
///
/// # Errors
/// It is absent, no subvolume, in use as a mount, or holds subvolumes (`ENOTEMPTY`).
pub fn delete(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name.as_ref();
    let arguments = named_v2(name)?;
    // SAFETY: SNAP_DESTROY_V2 reads one btrfs_ioctl_vol_args_v2.
    let result = unsafe { ioctl::set::<{ op::BTRFS_IOC_SNAP_DESTROY_V2 }, _>(dir, arguments) };
    result.cannot("delete subvolume", name)
}

/// Describes the subvolume that holds the descriptor.
///
/// # Errors
/// It is not on a btrfs, or the kernel is older than 4.18.
pub fn info(fd: impl AsFd) -> Result<Subvolume> {
    // SAFETY: GET_SUBVOL_INFO fills one btrfs_ioctl_get_subvol_info_args.
    let result = unsafe {
        ioctl::get::<{ op::BTRFS_IOC_GET_SUBVOL_INFO }, btrfs_ioctl_get_subvol_info_args>(fd)
    };
    let found = result.cannot("describe", "the subvolume")?;
    Ok(Subvolume {
        id: found.treeid,
        parent_id: found.parent_id,
        uuid: Uuid(found.uuid),
        parent_uuid: Uuid(found.parent_uuid).known(),
        received_uuid: Uuid(found.received_uuid).known(),
        access: if found.flags & ROOT_ITEM_RDONLY == 0 {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        },
        generation: found.generation,
        changed_in: found.ctransid,
        made_in: found.otransid,
        created: found.otime.sec,
    })
}

/// True if `fd` is the root of a subvolume: its inode number is 256 (`BTRFS_FIRST_FREE_OBJECTID`).
#[must_use]
pub fn is_subvolume(fd: impl AsFd) -> bool {
    let fd = fd.as_fd();
    is_btrfs(fd) && rustix::fs::fstat(fd).is_ok_and(|found| found.st_ino == 256)
}

/// Seals or opens a subvolume. Durable after [`sync`].
///
/// # Errors
/// `fd` is no subvolume's root, or the kernel refuses.
pub fn set_access(fd: impl AsFd, access: Access) -> Result<()> {
    let fd = fd.as_fd();
    // SAFETY: SUBVOL_GETFLAGS fills one u64.
    let result = unsafe { ioctl::get::<{ op::BTRFS_IOC_SUBVOL_GETFLAGS }, u64>(fd) };
    let old = result.cannot("read the flags of", "the subvolume")?;
    let new = match access {
        Access::ReadOnly => old | SUBVOL_RDONLY,
        Access::ReadWrite => old & !SUBVOL_RDONLY,
    };
    if new == old {
        return Ok(());
    }
    // SAFETY: SUBVOL_SETFLAGS reads one u64.
    let result = unsafe { ioctl::set::<{ op::BTRFS_IOC_SUBVOL_SETFLAGS }, _>(fd, new) };
    result.cannot("change the flags of", "the subvolume")
}

/// Commits the running transaction: everything done so far survives a power cut.
///
/// # Errors
/// The disk reports an error.
pub fn sync(fd: impl AsFd) -> Result<()> {
    // SAFETY: SYNC takes no argument.
    let result = unsafe { ioctl::act::<{ op::BTRFS_IOC_SYNC }>(fd) };
    result.cannot("sync", "the btrfs")
}

/// Opens `/dev/btrfs-control`, which exists once the btrfs module is loaded.
///
/// # Errors
/// It is absent or not accessible.
pub fn control() -> Result<OwnedFd> {
    let path = "/dev/btrfs-control";
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).cannot("open", path)
}

/// Tells the kernel that `device` holds a part of a btrfs.
///
/// # Errors
/// There is no btrfs on it.
pub fn scan_device(control: impl AsFd, device: impl AsRef<Path>) -> Result<()> {
    let device = device.as_ref();
    let arguments = named(device.as_os_str())?;
    // SAFETY: SCAN_DEV reads one btrfs_ioctl_vol_args.
    let result = unsafe { ioctl::set::<{ op::BTRFS_IOC_SCAN_DEV }, _>(control, arguments) };
    result.cannot("register", device)
}

/// True when all devices of the btrfs on `device` are known to the kernel. Registers `device` itself.
///
/// # Errors
/// There is no btrfs on it.
pub fn devices_ready(control: impl AsFd, device: impl AsRef<Path>) -> Result<bool> {
    let device = device.as_ref();
    let arguments = named(device.as_os_str())?;
    let call = ReadyCheck(arguments);
    // SAFETY: DEVICES_READY reads one btrfs_ioctl_vol_args and answers with its return value; see `ReadyCheck`.
    let result = unsafe { rustix::ioctl::ioctl(control, call) };
    result.cannot("ask for the other devices of", device)
}

/// DEVICES_READY returns 0 or 1 as the call's value, which rustix' own patterns throw away.
struct ReadyCheck(btrfs_ioctl_vol_args);

// SAFETY: the opcode belongs to the argument type, and nothing is written through a shared pointer.
unsafe impl rustix::ioctl::Ioctl for ReadyCheck {
    type Output = bool;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        op::BTRFS_IOC_DEVICES_READY
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        std::ptr::from_mut(&mut self.0).cast()
    }

    unsafe fn output_from_ptr(
        answer: rustix::ioctl::IoctlOutput,
        _argument: *mut rustix::ffi::c_void,
    ) -> rustix::io::Result<bool> {
        Ok(answer == 0)
    }
}

fn named(name: &OsStr) -> Result<btrfs_ioctl_vol_args> {
    let mut arguments = btrfs_ioctl_vol_args {
        fd: 0,
        name: [0; 4088],
    };
    fill(&mut arguments.name, name)?;
    Ok(arguments)
}

fn named_v2(name: &OsStr) -> Result<btrfs_ioctl_vol_args_v2> {
    // SAFETY: the structure is integers and arrays of them, for which all bits zero are valid.
    let mut arguments: btrfs_ioctl_vol_args_v2 = unsafe { std::mem::zeroed() };
    if name.as_bytes().contains(&b'/') {
        return Err(SysError::new("name a subvolume", name, Errno::INVAL));
    }
    // SAFETY: every variant of the union is valid for every bit pattern; `name` is the one these calls read.
    let room = unsafe { &mut arguments.__bindgen_anon_2.name };
    fill(room, name)?;
    Ok(arguments)
}

/// Copies a name with its end mark into the kernel's array.
fn fill(room: &mut [c_char], name: &OsStr) -> Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() >= room.len() {
        return Err(SysError::new("name a subvolume", name, Errno::NAMETOOLONG));
    }
    for (to, from) in room.iter_mut().zip(bytes) {
        *to = c_char::from_ne_bytes([*from]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_shown_in_lower_case_with_dashes() {
        let uuid = Uuid(std::array::from_fn(|n| 0xa0 + u8::try_from(n).unwrap()));
        assert_eq!(uuid.to_string(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
        assert_eq!(Uuid([0; 16]).known(), None);
    }

    #[test]
    fn names_the_kernel_cannot_take_are_refused_here() {
        for bad in ["", "a/b", "a\0b", &"x".repeat(4040)] {
            assert!(named_v2(OsStr::new(bad)).is_err(), "{bad:?}");
        }
        assert!(named_v2(OsStr::new("root")).is_ok());
    }
}

//! Making things that `std` cannot: device nodes and fifos, and giving files their owner, times and attributes.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::error::{Cannot, Result};

/// What kind of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Character device: major, minor.
    Character(u32, u32),
    /// Block device: major, minor.
    Block(u32, u32),
    /// Named pipe.
    Fifo,
}

/// Makes a node that only its owner may use; set owner and mode afterwards.
///
/// # Errors
/// The path exists, or we may not (`EPERM` in many containers).
pub fn make(path: impl AsRef<Path>, node: Node) -> Result<()> {
    let path = path.as_ref();
    let (kind, device) = match node {
        Node::Character(major, minor) => {
            (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
        }
        Node::Block(major, minor) => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        Node::Fifo => (FileType::Fifo, 0),
    };
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).cannot("create", path)
}

/// Gives a file, folder or link itself an owner.
///
/// # Errors
/// As lchown(2).
pub fn set_owner(path: impl AsRef<Path>, user: u32, group: u32) -> Result<()> {
    let path = path.as_ref();
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(CWD, path, Some(user), Some(group), flags).cannot("set the owner of", path)
}

/// Sets the mode of what is no link; set the owner before, because a change of owner takes set-user-id away.
///
/// # Errors
/// As chmod(2).
pub fn set_mode(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    rustix::fs::chmod(path, Mode::from_raw_mode(mode & 0o7777)).cannot("set the mode of", path)
}

/// Sets the time of last change of a file, folder or link itself, in seconds since 1970 (UTC).
///
/// # Errors
/// As utimensat(2).
pub fn set_modified(path: impl AsRef<Path>, seconds: u64) -> Result<()> {
    let path = path.as_ref();
    let time = Timespec {
        tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .cannot("set the times of", path)
}

/// Sets an extended attribute of a file, folder or link itself.
///
/// # Errors
/// As lsetxattr(2).
pub fn set_attribute(path: impl AsRef<Path>, name: impl AsRef<OsStr>, value: &[u8]) -> Result<()> {
    let path = path.as_ref();
    rustix::fs::lsetxattr(path, name.as_ref(), value, XattrFlags::empty())
        .cannot("set an attribute of", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    #[test]
    fn a_fifo_gets_its_mode_and_time() {
        let dir = TestDir::new("node");
        make(dir.join("f"), Node::Fifo).unwrap();
        set_mode(dir.join("f"), 0o640).unwrap();
        set_modified(dir.join("f"), 1_000_000).unwrap();
        let found = dir.join("f").symlink_metadata().unwrap();
        assert!(found.file_type().is_fifo());
        assert_eq!((found.mode() & 0o7777, found.mtime()), (0o640, 1_000_000));
        assert!(make(dir.join("f"), Node::Fifo).is_err());
    }
}

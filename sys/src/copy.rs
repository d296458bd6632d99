//! Copying one entry of a folder with everything that belongs to it: content, mode, owner, times, extended attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::{Cannot, Result, SysError};

/// Largest extended attribute or list of names, in bytes (`XATTR_SIZE_MAX`).
const XATTR_ROOM: usize = 64 * 1024;

/// A file, link, folder or node by its folder and name.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The folder, open.
    pub dir: BorrowedFd<'a>,
    /// Path below it.
    pub name: &'a Path,
}

impl<'a> Entry<'a> {
    /// The entry `name` of the folder `dir`.
    pub fn new(dir: BorrowedFd<'a>, name: &'a Path) -> Self {
        Self { dir, name }
    }

    /// A path to it that does not follow a link at its end.
    fn path(&self) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.dir.as_raw_fd())).join(self.name)
    }

    fn stat(&self) -> Result<Stat> {
        rustix::fs::statat(self.dir, self.name, AtFlags::SYMLINK_NOFOLLOW)
            .cannot("look at", self.name)
    }
}

/// Copies `from` to `to`, which must not exist: a file (sharing its blocks where the file system can), link, folder
/// without its content, fifo, or device node. Needs `/proc`. Not durable until the file system is synced.
///
/// # Errors
/// `to` exists, or any of its parts cannot be copied; what was made until then stays.
pub fn copy(from: Entry<'_>, to: Entry<'_>) -> Result<()> {
    let found = from.stat()?;
    let mode = Mode::from_raw_mode(found.st_mode & 0o7777);
    let private = Mode::from_raw_mode(0o600);
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => copy_content(from, to)?,
        FileType::Directory => {
            rustix::fs::mkdirat(to.dir, to.name, Mode::from_raw_mode(0o700))
                .cannot("create", to.name)?;
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from.dir, from.name, Vec::new())
                .cannot("read link", from.name)?;
            rustix::fs::symlinkat(target.as_c_str(), to.dir, to.name).cannot("create", to.name)?;
        }
        FileType::Socket => {
            let why = "a socket belongs to the process that made it";
            return Err(SysError::invalid("copy", from.name, why));
        }
        kind => {
            rustix::fs::mknodat(to.dir, to.name, kind, private, found.st_rdev)
                .cannot("create", to.name)?;
        }
    }
    copy_metadata(from, to, &found, mode)
}

/// Gives `to` the owner, mode, times and extended attributes of `from`.
///
/// # Errors
/// One of them cannot be read or set.
pub fn copy_properties(from: Entry<'_>, to: Entry<'_>) -> Result<()> {
    let found = from.stat()?;
    copy_metadata(
        from,
        to,
        &found,
        Mode::from_raw_mode(found.st_mode & 0o7777),
    )
}

fn copy_metadata(from: Entry<'_>, to: Entry<'_>, found: &Stat, mode: Mode) -> Result<()> {
    let owner = rustix::fs::Uid::from_raw(found.st_uid);
    let group = rustix::fs::Gid::from_raw(found.st_gid);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(to.dir, to.name, Some(owner), Some(group), flags)
        .cannot("set the owner of", to.name)?;
    // The mode comes after the owner, because a change of owner takes set-user-id away.
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(to.dir, to.name, mode, AtFlags::empty())
            .cannot("set the mode of", to.name)?;
    }
    // And file capabilities, which are such an attribute, come after both.
    copy_xattrs(from, to)?;
    let times = Timestamps {
        last_access: timespec(found.st_atime, found.st_atime_nsec),
        last_modification: timespec(found.st_mtime, found.st_mtime_nsec),
    };
    rustix::fs::utimensat(to.dir, to.name, &times, flags).cannot("set the times of", to.name)
}

fn timespec(seconds: i64, nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    }
}

fn copy_content(from: Entry<'_>, to: Entry<'_>) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let source: File = rustix::fs::openat(from.dir, from.name, flags, Mode::empty())
        .cannot("open", from.name)?
        .into();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target: File = rustix::fs::openat(to.dir, to.name, flags, Mode::from_raw_mode(0o600))
        .cannot("create", to.name)?
        .into();
    copy_bytes(&source, &target).cannot("copy", from.name)
}

/// Copies all bytes of an open file into an empty one: shared blocks, else in the kernel, else through memory.
///
/// # Errors
/// The disk is full or reports an error.
pub fn copy_bytes(mut source: &File, mut target: &File) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    loop {
        match rustix::fs::copy_file_range(source, None, target, None, 1 << 30) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            // Nothing was copied yet when the pair of file systems is refused, and offsets are where they were.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    io::copy(&mut source, &mut target)?;
    target.flush()
}

fn copy_xattrs(from: Entry<'_>, to: Entry<'_>) -> Result<()> {
    let (from, to) = (from.path(), to.path());
    let mut room = vec![MaybeUninit::uninit(); XATTR_ROOM];
    let names = match rustix::fs::llistxattr(&from, &mut room[..]) {
        Ok((names, _)) => names.to_vec(),
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(SysError::new("list attributes of", from, error)),
    };
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        let (value, _) = rustix::fs::lgetxattr(&from, name, &mut room[..])
            .cannot("read an attribute of", &from)?;
        rustix::fs::lsetxattr(&to, name, value, rustix::fs::XattrFlags::empty())
            .cannot("set an attribute of", &to)?;
    }
    Ok(())
}

/// The extended attributes of an entry, by name; empty where the file system has none. Needs `/proc`.
///
/// # Errors
/// They cannot be read.
pub fn xattrs(entry: Entry<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = entry.path();
    let mut room = vec![MaybeUninit::uninit(); XATTR_ROOM];
    let names = match rustix::fs::llistxattr(&path, &mut room[..]) {
        Ok((names, _)) => names.to_vec(),
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(SysError::new("list attributes of", path, error)),
    };
    let mut all = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name_os: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        let (value, _) = rustix::fs::lgetxattr(&path, name_os, &mut room[..])
            .cannot("read an attribute of", &path)?;
        all.push((name.to_vec(), value.to_vec()));
    }
    all.sort();
    Ok(all)
}

/// Copies a file to an absent or existing path by name, replacing it in one step. Not durable by itself.
///
/// # Errors
/// The source is absent, or the target's folder is not writable.
pub fn copy_file(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let copied = copy(
        Entry::new(CWD.as_fd(), from),
        Entry::new(CWD.as_fd(), &temporary),
    )
    .and_then(|()| std::fs::rename(&temporary, to).cannot("replace", to));
    if copied.is_err() {
        drop(std::fs::remove_file(&temporary));
    }
    copied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_copy_has_content_mode_and_times() {
        let dir = TestDir::new("copy");
        std::fs::write(dir.join("a"), vec![9; 300_000]).unwrap();
        rustix::fs::chmod(dir.join("a"), Mode::from_raw_mode(0o4751)).unwrap();
        copy_file(dir.join("a"), dir.join("b")).unwrap();
        let (a, b) = (
            dir.join("a").metadata().unwrap(),
            dir.join("b").metadata().unwrap(),
        );
        assert_eq!(
            (a.mode(), a.mtime(), a.mtime_nsec()),
            (b.mode(), b.mtime(), b.mtime_nsec())
        );
        assert_eq!(std::fs::read(dir.join("b")).unwrap(), vec![9; 300_000]);
    }

    #[test]
    fn links_are_copied_as_links() {
        let dir = TestDir::new("copylink");
        std::os::unix::fs::symlink("nowhere/at all", dir.join("a")).unwrap();
        let fd = crate::fs::open_dir(dir.path()).unwrap();
        copy(
            Entry::new(fd.as_fd(), Path::new("a")),
            Entry::new(fd.as_fd(), Path::new("b")),
        )
        .unwrap();
        assert_eq!(
            std::fs::read_link(dir.join("b")).unwrap(),
            Path::new("nowhere/at all")
        );
    }

    #[test]
    fn an_existing_target_is_never_overwritten() {
        let dir = TestDir::new("copyover");
        std::fs::write(dir.join("a"), b"a").unwrap();
        std::fs::write(dir.join("b"), b"b").unwrap();
        let fd = crate::fs::open_dir(dir.path()).unwrap();
        let result = copy(
            Entry::new(fd.as_fd(), Path::new("a")),
            Entry::new(fd.as_fd(), Path::new("b")),
        );
        assert_eq!(result.unwrap_err().errno(), Some(libc::EEXIST));
    }
}

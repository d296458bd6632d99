//! Files that must survive a power cut, and the barriers they need.
//!
//! The rules come from replayed power cuts: btrfs keeps what was renamed after `fsync` of file and folder; FAT does not,
//! and needs [`exchange`] of two complete files with [`fat_barrier`] before and after.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Cannot, Result, SysError};

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// It cannot be opened or read, or is larger.
pub fn read(path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
    read_at(CWD, path, limit)
}

/// Reads a whole file of at most `limit` bytes, `path` being relative to the folder `dir`.
///
/// # Errors
/// It cannot be opened or read, or is larger.
pub fn read_at(dir: impl AsFd, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    // Opening a pipe would wait for its writer, for ever if there is none (fifo(7)); for files this changes nothing.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let fd = rustix::fs::openat(dir, path, flags, Mode::empty()).cannot("open", path)?;
    read_open(fd, path, limit)
}

fn read_open(fd: OwnedFd, path: &Path, limit: u64) -> Result<Vec<u8>> {
    // Most files that we read are small: one read for them, not one for every doubling of the room.
    let room = usize::try_from(limit).unwrap_or(usize::MAX).min(4096);
    let mut bytes = Vec::with_capacity(room);
    // One byte more than allowed tells "exactly full" from "too large".
    File::from(fd)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .cannot("read", path)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= limit) {
        Ok(bytes)
    } else {
        let why = format!("it has more than {limit} bytes");
        Err(SysError::invalid("read", path, why))
    }
}

/// As [`read`], as UTF-8 text.
///
/// # Errors
/// As [`read`], or the bytes are no text.
pub fn read_text(path: impl AsRef<Path>, limit: u64) -> Result<String> {
    read_text_at(CWD, path, limit)
}

/// As [`read_at`], as UTF-8 text.
///
/// # Errors
/// As [`read_at`], or the bytes are no text.
pub fn read_text_at(dir: impl AsFd, path: impl AsRef<Path>, limit: u64) -> Result<String> {
    let bytes = read_at(dir, path.as_ref(), limit)?;
    String::from_utf8(bytes).map_err(|e| SysError::invalid("read", path, e.to_string()))
}

/// Reads a whole file of at most `limit` bytes that nobody but this user, or root, can have written: whoever may write it
/// may tell us anything.
///
/// # Errors
/// As [`read`]; it is no ordinary file, a link has its name, or others own it or may write it.
pub fn read_own(path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).cannot("open", path)?;
    let found = rustix::fs::fstat(&fd).cannot("look at", path)?;
    let refused = |why: &str| Err(SysError::invalid("read", path, why.to_owned()));
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return refused("it is no ordinary file");
    }
    let us = rustix::process::geteuid().as_raw();
    if found.st_uid != 0 && found.st_uid != us || found.st_mode & 0o022 != 0 {
        return refused("others own it, or may write it");
    }
    read_open(fd, path, limit)
}

/// Times and size of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Type and permissions.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Content last changed: seconds since 1970, nanoseconds.
    pub modified: (i64, u32),
    /// Anything last changed: seconds since 1970, nanoseconds.
    pub changed: (i64, u32),
}

/// The stamp of what is at a path, links followed; `None`: nothing is.
///
/// # Errors
/// It cannot be looked at, for another reason than its absence.
pub fn stamp(path: impl AsRef<Path>) -> Result<Option<Stamp>> {
    let path = path.as_ref();
    let found = match rustix::fs::stat(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        other => other.cannot("look at", path)?,
    };
    let nanos = |value| u32::try_from(value).unwrap_or_default();
    Ok(Some(Stamp {
        mode: found.st_mode,
        size: u64::try_from(found.st_size).unwrap_or_default(),
        modified: (found.st_mtime, nanos(found.st_mtime_nsec)),
        changed: (found.st_ctime, nanos(found.st_ctime_nsec)),
    }))
}

/// The current folder, for the `…_at` functions: an absolute path ignores it.
#[must_use]
pub fn here() -> BorrowedFd<'static> {
    CWD
}

/// So often a path is looked for again when it was moved about meanwhile.
const RACES: u32 = 10_000;

/// Finds `path` as a process would whose root is the folder `root`: no link leads out of it. The descriptor serves for
/// looking and mounting, not for reading.
///
/// # Errors
/// It is absent, or the kernel is older than 5.6.
pub fn find_in_root(root: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT;
    let mut tries: u32 = 0;
    loop {
        match rustix::fs::openat2(&root, path.as_ref(), flags, Mode::empty(), resolve) {
            // Something was renamed or mounted anywhere meanwhile, so that `..` might have led out (openat2(2)).
            Err(Errno::AGAIN) if tries < RACES => tries = tries.saturating_add(1),
            found => return found.cannot("find", path),
        }
    }
}

/// Opens a file for reading whose path from the folder `dir` has no link in it. Never waits (a fifo opens at once), and
/// leaves no time of access behind.
///
/// # Errors
/// It is absent, a link is on the way, or the kernel is older than 5.6.
pub fn open_plain(dir: impl AsFd, path: impl AsRef<Path>) -> Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOATIME;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let path = path.as_ref();
    rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve)
        .map(File::from)
        .cannot("open", path)
}

/// Reads a small text whose folder `top` is on a file system that answers, and whose path below that others may have
/// arranged: no link is followed, no other file system entered, nothing waited for.
///
/// # Errors
/// It is absent, no plain file, larger than `limit` bytes or no text.
pub fn read_plain_below(top: &str, path: &str, limit: u64) -> Result<String> {
    let shown = || format!("{top}/{path}");
    let top_dir = open_dir(top)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let opened = rustix::fs::openat2(&top_dir, path, flags, Mode::empty(), resolve);
    let file = File::from(opened.cannot("open", shown())?);
    let found = rustix::fs::fstat(&file).cannot("read", shown())?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(SysError::invalid("read", shown(), "it is no plain file"));
    }
    let mut text = String::new();
    let wanted = limit.saturating_add(1);
    let length = file.take(wanted).read_to_string(&mut text);
    let length = length.cannot("read", shown())?;
    if u64::try_from(length).unwrap_or(u64::MAX) > limit {
        return Err(SysError::invalid("read", shown(), "it is too large"));
    }
    Ok(text)
}

/// True if the descriptor is a file that may be executed by somebody.
#[must_use]
pub fn is_program(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
            && found.st_mode & 0o111 != 0
    })
}

/// True if the descriptor is a folder.
#[must_use]
pub fn is_dir(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

/// Opens a folder to work relative to it.
///
/// # Errors
/// It is absent or no folder.
pub fn open_dir(path: impl AsRef<Path>) -> Result<OwnedFd> {
    open_dir_at(CWD, path)
}

/// Opens a folder relative to another one.
///
/// # Errors
/// It is absent or no folder.
pub fn open_dir_at(dir: impl AsFd, path: impl AsRef<Path>) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, path.as_ref(), flags, Mode::empty()).cannot("open", path)
}

/// As [`open_dir_at`], for a tree in which others may change names: no link is followed in any part of `path`, and `path`
/// does not lead out of `dir`. `None` if no folder can be reached that way: it is absent, or a part of it is a link or
/// no folder.
///
/// # Errors
/// What openat2(2) reports otherwise; the kernel is older than 5.6.
pub fn open_dir_beneath(dir: impl AsFd, path: impl AsRef<Path>) -> Result<Option<OwnedFd>> {
    let path = path.as_ref();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        other => other.map(Some).cannot("open", path),
    }
}

/// Replaces `path` so that after a power cut it is whole, old or new, on btrfs and similar file systems (not FAT).
///
/// Writes a temporary name beside it, syncs, renames, syncs the folder. `mode` is the new file's mode.
///
/// # Errors
/// Any of the steps; the temporary file is removed then.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<()> {
    let path = path.as_ref();
    let temporary = beside(path)?;
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| std::fs::rename(&temporary, path).cannot("replace", path));
    if written.is_err() {
        // Best effort: the failure itself is what the caller must hear about.
        drop(std::fs::remove_file(&temporary));
    }
    written?;
    sync_dir(parent(path))
}

/// A hidden name in the same folder that nobody else uses: the process id is part of it.
fn beside(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| SysError::invalid("replace", path, "it has no file name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .cannot("create", path)?;
    // The process' umask must not decide the mode of a file that other programs read.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).cannot("set the mode of", path)?;
    file.write_all(bytes).cannot("write", path)?;
    file.sync_all().cannot("sync", path)
}

/// Adds to the end of a file, in one write that is not waited for on its way to the disk. An absent file is made, with
/// `mode`. What is written only in part is taken back.
///
/// # Errors
/// It is no ordinary file, a link has its name, or it cannot be written whole.
pub fn append(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<()> {
    let path = path.as_ref();
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    // Whatever else has the name: nothing is waited for, and no link is followed.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(mode))
        .cannot("open", path)?
        .into();
    let before = file.metadata().cannot("look at", path)?;
    if !before.is_file() {
        return Err(SysError::invalid("write", path, "it is no ordinary file"));
    }
    let written = rustix::io::write(&file, bytes).cannot("write", path)?;
    if written < bytes.len() {
        // Best effort: half a line is skipped by whoever reads it.
        drop(file.set_len(before.len()));
        let why = format!("only {written} of {} bytes went through", bytes.len());
        return Err(SysError::invalid("write", path, why));
    }
    Ok(())
}

/// Overwrites a part of an existing file in place and waits until it is on the disk; the file is never truncated.
///
/// # Errors
/// The file is absent, cannot be written, or the disk reports an error.
pub fn write_slot(path: impl AsRef<Path>, offset: u64, bytes: &[u8]) -> Result<()> {
    write_slot_at(CWD, path, offset, bytes)
}

/// As [`write_slot`], `path` being relative to the folder `dir`.
///
/// # Errors
/// As [`write_slot`].
pub fn write_slot_at(
    dir: impl AsFd,
    path: impl AsRef<Path>,
    offset: u64,
    bytes: &[u8],
) -> Result<()> {
    let path = path.as_ref();
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file: File = rustix::fs::openat(dir, path, flags, Mode::empty())
        .cannot("open", path)?
        .into();
    file.write_all_at(bytes, offset).cannot("write", path)?;
    file.sync_data().cannot("sync", path)
}

/// Exchanges two existing files in one step (`RENAME_EXCHANGE`; vfat has it since Linux 6.0).
///
/// # Errors
/// One is absent, or the file system cannot exchange (`EINVAL`).
pub fn exchange(one: impl AsRef<Path>, other: impl AsRef<Path>) -> Result<()> {
    let (one, other) = (one.as_ref(), other.as_ref());
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).cannot(
        "exchange",
        format!("{} and {}", one.display(), other.display()),
    )
}

/// Renames, and fails if `to` exists already.
///
/// # Errors
/// `EEXIST` if `to` is there; what rename(2) reports.
pub fn rename_new(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
        .cannot("rename", format!("{} to {}", from.display(), to.display()))
}

/// What became of a move to a place where others may change names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is there.
    Yes,
    /// Something else is there, or its folder is absent, no folder, or behind a link.
    Taken,
    /// The folder is on another file system or subvolume.
    Elsewhere,
}

/// Moves `path` below the folder `from` to the same path below `to`, if nothing is there. No link is followed in `to`.
///
/// # Errors
/// What rename(2) and openat2(2) report, except for the reasons that [`Placed`] names.
pub fn place_new(from: impl AsFd, to: impl AsFd, path: impl AsRef<Path>) -> Result<Placed> {
    let path = path.as_ref();
    let Some(dir) = open_dir_beneath(to, parent(path))? else {
        return Ok(Placed::Taken);
    };
    let name = path.file_name().unwrap_or_default();
    match rustix::fs::renameat_with(from, path, dir, name, RenameFlags::NOREPLACE) {
        // The second if the folder was removed while we held it.
        Err(Errno::EXIST | Errno::NOENT) => Ok(Placed::Taken),
        Err(Errno::XDEV) => Ok(Placed::Elsewhere),
        other => other
            .map(|()| Placed::Yes)
            .cannot("move to its place", path),
    }
}

/// Makes everything written so far below the file system of folder `dir` survive a power cut, FAT included.
///
/// On FAT neither half is enough: `syncfs` writes without flushing the disk's cache, and `fsync` flushes but skips a
/// directory entry whose inode background writeback has already cleaned.
///
/// # Errors
/// The disk reports an error.
pub fn fat_barrier(dir: impl AsRef<Path>) -> Result<()> {
    fat_barrier_at(CWD, dir)
}

/// As [`fat_barrier`], `path` being relative to the folder `dir`.
///
/// # Errors
/// As [`fat_barrier`].
pub fn fat_barrier_at(dir: impl AsFd, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let fd = open_dir_at(dir, path)?;
    rustix::fs::syncfs(&fd).cannot("sync the file system of", path)?;
    rustix::fs::fsync(&fd).cannot("sync", path)
}

/// Makes the names in a folder survive a power cut.
///
/// # Errors
/// It is no folder, or the disk reports an error.
pub fn sync_dir(dir: impl AsRef<Path>) -> Result<()> {
    let dir = dir.as_ref();
    rustix::fs::fsync(open_dir(dir)?).cannot("sync", dir)
}

/// Creates a folder with exactly this mode, whatever the umask says; an existing one is left as it is.
///
/// # Errors
/// The parent is absent or not writable, or something else has that name.
pub fn make_dir(path: impl AsRef<Path>, mode: u32) -> Result<()> {
    let path = path.as_ref();
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) => {
            rustix::fs::chmod(path, Mode::from_raw_mode(mode)).cannot("set the mode of", path)
        }
        Err(rustix::io::Errno::EXIST) if path.is_dir() => Ok(()),
        Err(error) => Err(SysError::new("create", path, error)),
    }
}

/// Opens a file for reading, `path` being relative to the folder `dir`.
///
/// # Errors
/// It is absent or not readable.
pub fn open_file_at(dir: impl AsFd, path: impl AsRef<Path>) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(dir, path.as_ref(), flags, Mode::empty())
        .map(File::from)
        .cannot("open", path)
}

/// True if `path` below `dir` exists; a link counts as what it points at.
#[must_use]
pub fn exists_at(dir: impl AsFd, path: impl AsRef<Path>) -> bool {
    rustix::fs::statat(dir, path.as_ref(), AtFlags::empty()).is_ok()
}

/// True if anything has this name; a link does, wherever it leads.
///
/// # Errors
/// It cannot be looked at, for another reason than its absence.
pub fn has_name(dir: impl AsFd, name: impl AsRef<Path>) -> Result<bool> {
    let name = name.as_ref();
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        other => other.map(|_| true).cannot("look at", name),
    }
}

/// An exclusive lock on a file, given back when dropped or when the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock if it is free; `None` when somebody else holds it.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn try_take(path: impl AsRef<Path>) -> Result<Option<Self>> {
        Self::lock(path.as_ref(), FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn take(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::lock(path, FlockOperation::LockExclusive)?
            .ok_or_else(|| SysError::invalid("lock", path, "somebody else holds it"))
    }

    /// Takes the lock unless somebody holds it; waits for those who only ask ([`FileLock::is_taken`]). Two that call this at
    /// once may wait for each other's lock: another lock must rule that out.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn take_unless_held(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        if let Some(lock) = Self::try_take(path)? {
            return Ok(Some(lock));
        }
        // Beside those who ask there is room, beside a holder there is none.
        match Self::lock(path, FlockOperation::NonBlockingLockShared)? {
            Some(asked) => {
                drop(asked);
                Self::take(path).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whether somebody holds the lock at `path`; a file that is absent nobody holds.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn is_taken(path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        if !path.exists() {
            return Ok(false);
        }
        // Shared: two that only ask do not meet each other.
        Ok(Self::lock(path, FlockOperation::NonBlockingLockShared)?.is_none())
    }

    fn lock(path: &Path, how: FlockOperation) -> Result<Option<Self>> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .cannot("open", path)?;
        loop {
            match rustix::fs::flock(&file, how) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(SysError::new("lock", path, error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() {
        let dir = TestDir::new("limit");
        std::fs::write(dir.join("f"), [7; 100]).unwrap();
        assert_eq!(read(dir.join("f"), 100).unwrap().len(), 100);
        let error = read(dir.join("f"), 99).unwrap_err();
        assert_eq!(error.source.to_string(), "it has more than 99 bytes");
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = TestDir::new("atomic");
        for text in ["old", "new"] {
            write_atomic(dir.join("f"), text.as_bytes(), 0o640).unwrap();
        }
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_slot_is_written_in_place_and_the_rest_stays() {
        let dir = TestDir::new("slot");
        std::fs::write(dir.join("f"), b"aaaabbbbcc").unwrap();
        write_slot(dir.join("f"), 4, b"XXXX").unwrap();
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"aaaaXXXXcc");
        assert!(
            write_slot(dir.join("absent"), 0, b"x")
                .unwrap_err()
                .is_absent()
        );
    }

    #[test]
    fn lines_are_added_to_ordinary_files_and_to_nothing_else() {
        let dir = TestDir::new("append");
        let file = dir.join("f");
        append(&file, b"one\n", 0o600).unwrap();
        append(&file, b"two\n", 0o600).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"one\ntwo\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::os::unix::fs::symlink(&file, dir.join("link")).unwrap();
        let pipe = dir.join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        // With a reader it could be written to.
        let _reader = read_end(&pipe);
        for other in [dir.join("link"), pipe, dir.path().to_owned()] {
            append(&other, b"x", 0o600).unwrap_err();
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"one\ntwo\n");
    }

    fn read_end(pipe: &Path) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, pipe, flags, Mode::empty()).unwrap()
    }

    #[test]
    fn a_link_does_not_lead_out_of_a_root() {
        let dir = TestDir::new("inroot");
        std::fs::create_dir(dir.join("bin")).unwrap();
        write_new(&dir.join("bin/true"), b"", 0o755).unwrap();
        std::os::unix::fs::symlink("/bin/true", dir.join("init")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.join("out")).unwrap();
        let root = open_dir(dir.path()).unwrap();
        assert!(is_program(find_in_root(&root, "/init").unwrap()));
        assert!(find_in_root(&root, "/out").unwrap_err().is_absent());
        assert!(is_dir(find_in_root(&root, "../../..").unwrap()));
    }

    #[test]
    fn a_link_is_not_followed_below_a_folder() {
        let dir = TestDir::new("beneath");
        let at = |path: &str| dir.join(path);
        for folder in ["in/real", "out", "new/real", "new/link"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::os::unix::fs::symlink(at("out"), at("in/link")).unwrap();
        std::os::unix::fs::symlink("real", at("in/short")).unwrap();
        let inside = open_dir(at("in")).unwrap();
        assert!(has_name(&inside, "link").unwrap() && !has_name(&inside, "absent").unwrap());
        let is_reached = |path: &str| open_dir_beneath(&inside, path).unwrap().is_some();
        assert!(is_reached("real") && is_reached("."));
        for bad in ["link", "short", "../out", "/", "absent"] {
            assert!(!is_reached(bad), "{bad}");
        }
        let new = open_dir(at("new")).unwrap();
        for (path, placed) in [
            ("real/f", Placed::Yes),
            ("real/f", Placed::Taken),
            ("link/f", Placed::Taken),
            ("absent", Placed::Yes),
        ] {
            std::fs::write(at("new").join(path), "x").unwrap();
            assert_eq!(place_new(&new, &inside, path).unwrap(), placed, "{path}");
        }
        assert_eq!(std::fs::read_dir(at("out")).unwrap().count(), 0);
        assert!(at("new/real/f").exists() && at("in/absent").exists());
    }

    #[test]
    fn renames_elsewhere_do_not_disturb_the_search() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let dir = TestDir::new("races");
        let root = open_dir(dir.path()).unwrap();
        let (one, other) = (dir.join("one"), dir.join("other"));
        std::fs::create_dir(&one).unwrap();
        let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let steps = "../".repeat(100);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::fs::rename(&one, &other).unwrap();
                    std::fs::rename(&other, &one).unwrap();
                    begun.store(true, Ordering::Relaxed);
                }
            });
            while !begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let missed = (0..50_000).find_map(|_| find_in_root(&root, &steps).err());
            done.store(true, Ordering::Relaxed);
            assert!(missed.is_none(), "{missed:?}");
        });
    }

    #[test]
    fn exchanged_files_keep_both_contents() {
        let dir = TestDir::new("exchange");
        std::fs::write(dir.join("a"), b"1").unwrap();
        std::fs::write(dir.join("b"), b"2").unwrap();
        exchange(dir.join("a"), dir.join("b")).unwrap();
        fat_barrier(dir.path()).unwrap();
        assert_eq!(std::fs::read(dir.join("a")).unwrap(), b"2");
    }

    #[test]
    fn a_lock_is_given_once_and_again_after_it_was_dropped() {
        let dir = TestDir::new("lock");
        let first = FileLock::try_take(dir.join("l")).unwrap();
        assert!(first.is_some() && FileLock::try_take(dir.join("l")).unwrap().is_none());
        assert!(FileLock::is_taken(dir.join("l")).unwrap());
        assert!(!FileLock::is_taken(dir.join("absent")).unwrap());
        assert!(FileLock::take_unless_held(dir.join("l")).unwrap().is_none());
        drop(first);
        assert!(FileLock::try_take(dir.join("l")).unwrap().is_some());
        let asks = FileLock::lock(&dir.join("l"), FlockOperation::NonBlockingLockShared);
        let asks = asks.unwrap().unwrap();
        let path = dir.join("l");
        let waits = std::thread::spawn(move || FileLock::take_unless_held(path).unwrap());
        drop(asks);
        assert!(waits.join().unwrap().is_some());
    }
}

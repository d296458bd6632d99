//! Walking and changing a tree relative to an open folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::copy::{Entry, copy, copy_properties, xattrs};
use crate::error::{Cannot, Result};

/// Deepest folder that is listed: real ones end long before, and the stack is bounded.
const DEPTH: u32 = 64;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file.
    File {
        /// In bytes.
        size: u64,
        /// Time of its last change: seconds since 1970 and nanoseconds.
        modified: (i64, u32),
    },
    /// A folder.
    Dir,
    /// A link, with what it points at.
    Link(Vec<u8>),
    /// A socket.
    Socket,
    /// A device node or fifo: its type bits and its device number.
    Node(u32, u64),
}

/// What is known of an entry without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number, and time of the last change of anything about it: equal in two snapshots of one btrfs subvolume
    /// means that nothing about it was changed.
    pub identity: (u64, i64, u32),
}

impl Look {
    /// True for a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// True for an ordinary file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

/// Names in a folder, sorted, without `.` and `..`.
///
/// # Errors
/// It cannot be read.
pub fn names(dir: impl AsFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).cannot("list", "a folder")? {
        let entry = entry.cannot("list", "a folder")?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort();
    Ok(names)
}

/// Looks at an entry; a link is the entry, not what it points at.
///
/// # Errors
/// It is absent.
pub fn look(dir: impl AsFd, path: impl AsRef<Path>) -> Result<Look> {
    let (dir, path) = (dir.as_fd(), path.as_ref());
    let found = rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW).cannot("look at", path)?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Kind::File {
            size: u64::try_from(found.st_size).unwrap_or_default(),
            modified: (
                found.st_mtime,
                u32::try_from(found.st_mtime_nsec).unwrap_or_default(),
            ),
        },
        FileType::Directory => Kind::Dir,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(dir, path, Vec::new()).cannot("read link", path)?;
            Kind::Link(target.into_bytes())
        }
        FileType::Socket => Kind::Socket,
        _ => Kind::Node(found.st_mode & 0o170_000, found.st_rdev),
    };
    Ok(Look {
        kind,
        mode: found.st_mode & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        identity: (
            found.st_ino,
            found.st_ctime,
            u32::try_from(found.st_ctime_nsec).unwrap_or_default(),
        ),
    })
}

/// Lists a tree, by path below its root; the root itself is the empty path. Parents come before children. Of folders that
/// lie deeper than 64 levels only the name is listed.
///
/// # Errors
/// A part of it cannot be read.
pub fn list(root: impl AsFd) -> Result<BTreeMap<PathBuf, Look>> {
    let mut all = BTreeMap::new();
    all.insert(PathBuf::new(), look(&root, ".")?);
    list_below(&root, Path::new(""), 0, &mut all)?;
    Ok(all)
}

fn list_below(
    dir: impl AsFd,
    path: &Path,
    depth: u32,
    all: &mut BTreeMap<PathBuf, Look>,
) -> Result<()> {
    for name in names(&dir)? {
        let name = Path::new(OsStr::from_bytes(&name));
        let found = look(&dir, name)?;
        let descend = found.is_dir() && depth < DEPTH;
        all.insert(path.join(name), found);
        if descend {
            let child = crate::fs::open_dir_at(&dir, name)?;
            list_below(&child, &path.join(name), depth.saturating_add(1), all)?;
        }
    }
    Ok(())
}

/// Whether two trees have equal extended attributes at `path`, and, with a limit in bytes for `content`, files of equal
/// content. What cannot be read, or is larger, counts as different.
#[must_use]
pub fn same(one: impl AsFd, other: impl AsFd, path: &Path, content: Option<u64>) -> bool {
    let place = or_dot(path);
    let attributes = |dir| xattrs(Entry::new(dir, place)).ok();
    let (mine, theirs) = (attributes(one.as_fd()), attributes(other.as_fd()));
    if mine.is_none() || mine != theirs {
        return false;
    }
    let Some(limit) = content else {
        return true;
    };
    match (
        crate::fs::read_at(one, path, limit),
        crate::fs::read_at(other, path, limit),
    ) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// The root of a tree is the empty path here, which system calls do not take.
#[must_use]
pub fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// Gives the folder at `path` the properties it has in `from`; makes it if it is not there.
///
/// # Errors
/// It cannot be read or made.
pub fn copy_dir(from: impl AsFd, to: impl AsFd, path: &Path) -> Result<()> {
    let place = or_dot(path);
    let (source, target) = (
        Entry::new(from.as_fd(), place),
        Entry::new(to.as_fd(), place),
    );
    if crate::fs::exists_at(&to, place) {
        copy_properties(source, target)
    } else {
        copy(source, target)
    }
}

/// Deletes what is at `path`. What is absent is fine, and a folder in which something lies stays.
///
/// # Errors
/// It cannot be deleted for another reason.
pub fn remove_if_empty(dir: impl AsFd, path: &Path) -> Result<()> {
    match remove(dir, path) {
        Err(error) if error.is_absent() || error.errno() == Some(libc::ENOTEMPTY) => Ok(()),
        done => done,
    }
}

/// Deletes an entry: a file, or a folder if it is empty.
///
/// # Errors
/// It is absent, or a folder that is not empty (`ENOTEMPTY`).
pub fn remove(dir: impl AsFd, path: impl AsRef<Path>) -> Result<()> {
    let (dir, path) = (dir.as_fd(), path.as_ref());
    let how = match look(dir, path)?.kind {
        Kind::Dir => AtFlags::REMOVEDIR,
        Kind::File { .. } | Kind::Link(_) | Kind::Socket | Kind::Node(..) => AtFlags::empty(),
    };
    rustix::fs::unlinkat(dir, path, how).cannot("delete", path)
}

/// Renames within a tree, replacing what is there.
///
/// # Errors
/// As rename(2).
pub fn rename(dir: impl AsFd, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (dir, to) = (dir.as_fd(), to.as_ref());
    rustix::fs::renameat(dir, from.as_ref(), dir, to).cannot("replace", to)
}

/// Creates a file that nobody else may read yet; fails if it exists.
///
/// # Errors
/// It exists, or the folder is absent.
pub fn create(dir: impl AsFd, path: impl AsRef<Path>) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(dir, path.as_ref(), flags, Mode::from_raw_mode(0o600))
        .map(File::from)
        .cannot("create", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn entries_are_told_apart_and_removed_by_kind() {
        let dir = TestDir::new("tree");
        std::fs::create_dir_all(dir.join("d/e")).unwrap();
        std::fs::write(dir.join("f"), b"abc").unwrap();
        std::os::unix::fs::symlink("d", dir.join("l")).unwrap();
        let fd = crate::fs::open_dir(dir.path()).unwrap();
        assert_eq!(
            names(&fd).unwrap(),
            [b"d".to_vec(), b"f".to_vec(), b"l".to_vec()]
        );
        assert!(matches!(
            look(&fd, "f").unwrap().kind,
            Kind::File { size: 3, .. }
        ));
        assert_eq!(look(&fd, "l").unwrap().kind, Kind::Link(b"d".to_vec()));
        assert!(remove(&fd, "d").is_err());
        remove_if_empty(&fd, Path::new("d")).unwrap();
        remove_if_empty(&fd, Path::new("absent")).unwrap();
        let all = list(&fd).unwrap();
        let paths: Vec<_> = all.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["", "d", "d/e", "f", "l"]);
        assert!(same(&fd, &fd, Path::new("f"), Some(3)) && same(&fd, &fd, Path::new(""), None));
        assert!(!same(&fd, &fd, Path::new("f"), Some(2)), "it is larger");
        assert!(!same(&fd, &fd, Path::new("absent"), None));
        for path in ["d/e", "d", "l", "f"] {
            remove(&fd, path).unwrap();
        }
        assert!(names(&fd).unwrap().is_empty());
    }
}

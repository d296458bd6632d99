//! What a tree holds, with everything that tells one version of a file from another.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sys::copy::{Entry, xattrs};
use sys::tree::{Kind, Look};

/// Deepest folder that is followed: real ones end long before, and the stack is bounded.
const DEPTH: u32 = 64;

/// A tree: what lies at each path below its root. The root itself is the empty path. Parents come before children.
pub type Listing = BTreeMap<PathBuf, Stamp>;

/// One version of a file, link, folder or node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, sorted.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stamp {
    /// True for a folder.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// True for an ordinary file.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }
}

/// Lists a tree.
///
/// # Errors
/// A part of it cannot be read.
pub fn read(root: &OwnedFd) -> Result<Listing> {
    let mut listing = Listing::new();
    listing.insert(PathBuf::new(), stamp(root, Path::new("."))?);
    walk(root, root, Path::new(""), 0, &mut listing)?;
    Ok(listing)
}

fn walk(root: &OwnedFd, dir: &OwnedFd, path: &Path, depth: u32, all: &mut Listing) -> Result<()> {
    for name in sys::tree::names(dir)? {
        let below = path.join(OsStr::from_bytes(&name));
        let found = stamp(root, &below)?;
        let descend = found.is_dir() && depth < DEPTH;
        all.insert(below.clone(), found);
        if descend {
            let child = sys::fs::open_dir_at(root, &below)?;
            walk(root, &child, &below, depth + 1, all)?;
        }
    }
    Ok(())
}

fn stamp(root: &OwnedFd, path: &Path) -> Result<Stamp> {
    let Look {
        kind,
        mode,
        uid,
        gid,
    } = sys::tree::look(root, path)?;
    Ok(Stamp {
        kind,
        mode,
        uid,
        gid,
        xattrs: xattrs(Entry::new(root.as_fd(), path))?,
    })
}

/// True if both files can be read and hold the same bytes.
pub fn same_content(one: Option<&OwnedFd>, other: Option<&OwnedFd>, path: &Path) -> bool {
    /// Larger files are not configuration: they count as different.
    const LIMIT: u64 = 8 << 20;
    let bytes = |dir: Option<&OwnedFd>| sys::fs::read_at(dir?, path, LIMIT).ok();
    match (bytes(one), bytes(other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => false,
    }
}

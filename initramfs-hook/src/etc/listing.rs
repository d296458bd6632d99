//! What a tree holds: enough to tell at a glance what cannot have changed, and the closer look for the rest.

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
/// Larger files are not configuration: they count as different when their times differ.
const LARGEST: u64 = 8 << 20;

/// A tree: what lies at each path below its root. The root itself is the empty path. Parents come before children.
pub type Listing = BTreeMap<PathBuf, Look>;

/// Lists a tree.
///
/// # Errors
/// A part of it cannot be read.
pub fn read(root: &OwnedFd) -> Result<Listing> {
    let mut listing = Listing::new();
    listing.insert(PathBuf::new(), sys::tree::look(root, ".")?);
    walk(root, Path::new(""), 0, &mut listing)?;
    Ok(listing)
}

fn walk(dir: &OwnedFd, path: &Path, depth: u32, all: &mut Listing) -> Result<()> {
    for name in sys::tree::names(dir)? {
        let name = Path::new(OsStr::from_bytes(&name));
        let found = sys::tree::look(dir, name)?;
        let descend = found.kind == Kind::Dir && depth < DEPTH;
        all.insert(path.join(name), found);
        if descend {
            let child = sys::fs::open_dir_at(dir, name)?;
            walk(&child, &path.join(name), depth + 1, all)?;
        }
    }
    Ok(())
}

/// What a closer look has to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closer {
    /// The extended attributes.
    Attributes,
    /// Those and the content of two files.
    Content,
}

/// Takes the closer look at `path` in two trees. What cannot be read counts as different: then nothing of it is lost.
#[must_use]
pub fn same(one: &OwnedFd, other: &OwnedFd, path: &Path, closer: Closer) -> bool {
    let attributes = |dir: &OwnedFd| xattrs(Entry::new(dir.as_fd(), or_dot(path))).ok();
    let content = |dir: &OwnedFd| sys::fs::read_at(dir, path, LARGEST).ok();
    let equal = |one: Option<_>, other| one.is_some() && one == other;
    equal(attributes(one), attributes(other))
        && match closer {
            Closer::Attributes => true,
            Closer::Content => match (content(one), content(other)) {
                (Some(one), Some(other)) => one == other,
                (None, _) | (_, None) => false,
            },
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

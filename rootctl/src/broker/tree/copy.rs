//! A folder with all below it. Files share their blocks where source and target are on one btrfs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sys::copy::Entry;

/// Deeper trees than this are no root file system; the limit bounds the stack.
const DEPTH: usize = 200;

/// A copy under way.
struct Job<'a> {
    source: &'a Path,
    target: &'a Path,
    device: u64,
    wanted: &'a dyn Fn(&Path) -> bool,
    /// Files with more than one name: where the first one went.
    linked: BTreeMap<u64, PathBuf>,
    count: u64,
}

/// Copies everything in folder `source` into the new and empty folder `target`, which gets the properties of `source`.
/// Nobody else may write to `target` meanwhile. Stays on `source`'s file system; sockets are left out. `wanted` is asked
/// with the path relative to `source`. Returns the number of things made. Not durable before a commit.
pub(crate) fn copy(source: &Path, target: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<u64> {
    let from = sys::fs::open_dir(source)?;
    let to = sys::fs::open_dir(target)?;
    let mut job = Job::new(source, target, wanted)?;
    job.folder(Path::new(""), &from, &to, 0)
        .with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
    let here = Path::new(".");
    sys::copy::copy_properties(Entry::new(from.as_fd(), here), Entry::new(to.as_fd(), here))?;
    Ok(job.count)
}

/// As [`copy`], for the one thing at `path` below `source`, to the same place below `target`, where its folder exists.
pub(crate) fn copy_one(
    source: &Path,
    target: &Path,
    path: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<u64> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let from = sys::fs::open_dir(source.join(folder))?;
    let to = sys::fs::open_dir(target.join(folder))?;
    let mut job = Job::new(source, target, wanted)?;
    job.entry(path, &from, &to, 0)
        .with_context(|| format!("cannot copy {}", source.join(path).display()))?;
    Ok(job.count)
}

/// Is the thing at `path` copied at all? Not if it is on another file system than `device`, or a socket.
pub(crate) fn look(path: &Path, device: u64) -> Result<Option<Metadata>> {
    let found = path
        .symlink_metadata()
        .with_context(|| format!("cannot look at {}", path.display()))?;
    let left_out = found.dev() != device || found.file_type().is_socket();
    Ok((!left_out).then_some(found))
}

/// The file system of a folder.
pub(crate) fn device(folder: &Path) -> Result<u64> {
    let found = folder
        .metadata()
        .with_context(|| format!("cannot look at {}", folder.display()))?;
    Ok(found.dev())
}

impl<'a> Job<'a> {
    fn new(source: &'a Path, target: &'a Path, wanted: &'a dyn Fn(&Path) -> bool) -> Result<Self> {
        Ok(Self {
            source,
            target,
            device: device(source)?,
            wanted,
            linked: BTreeMap::new(),
            count: 0,
        })
    }

    fn folder(&mut self, below: &Path, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<()> {
        if depth > DEPTH {
            bail!("{} is nested too deeply", below.display());
        }
        for name in names(&self.source.join(below))? {
            let path = below.join(&name);
            if (self.wanted)(&path) {
                self.entry(&path, from, to, depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<()> {
        match look(&self.source.join(path), self.device)? {
            None => Ok(()),
            Some(found) if found.is_dir() => self.inner_folder(path, from, to, depth),
            Some(found) => self.other(path, &found, from, to),
        }
    }

    fn inner_folder(
        &mut self,
        path: &Path,
        from: &OwnedFd,
        to: &OwnedFd,
        depth: usize,
    ) -> Result<()> {
        let name = name_of(path);
        let (source, target) = (Entry::new(from.as_fd(), name), Entry::new(to.as_fd(), name));
        sys::copy::copy(source, target)?;
        self.count += 1;
        let (inner_from, inner_to) = (
            sys::fs::open_dir_at(from, name)?,
            sys::fs::open_dir_at(to, name)?,
        );
        self.folder(path, &inner_from, &inner_to, depth + 1)?;
        // Filling a folder changed its times.
        Ok(sys::copy::copy_properties(source, target)?)
    }

    /// A file, link, fifo or node.
    fn other(&mut self, path: &Path, found: &Metadata, from: &OwnedFd, to: &OwnedFd) -> Result<()> {
        self.count += 1;
        if found.nlink() > 1 {
            if let Some(first) = self.linked.get(&found.ino()) {
                let target = self.target.join(path);
                return std::fs::hard_link(self.target.join(first), &target)
                    .with_context(|| format!("cannot link {}", target.display()));
            }
            self.linked.insert(found.ino(), path.to_owned());
        }
        let name = name_of(path);
        sys::copy::copy(Entry::new(from.as_fd(), name), Entry::new(to.as_fd(), name))?;
        Ok(())
    }
}

fn name_of(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// Names in a folder, sorted: a copy is made in the same order everywhere.
pub(crate) fn names(dir: &Path) -> Result<Vec<OsString>> {
    let listing = || format!("cannot list {}", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(listing)? {
        names.push(entry.with_context(listing)?.file_name());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;
    use std::os::unix::fs::PermissionsExt;

    fn sample(dir: &TestDir) -> PathBuf {
        let source = dir.path().join("source");
        std::fs::create_dir_all(source.join("a/b")).unwrap();
        std::fs::write(source.join("a/f"), "text").unwrap();
        std::fs::hard_link(source.join("a/f"), source.join("a/b/g")).unwrap();
        std::os::unix::fs::symlink("../nowhere", source.join("a/l")).unwrap();
        let closed = std::fs::Permissions::from_mode(0o2751);
        std::fs::set_permissions(source.join("a/b"), closed).unwrap();
        sys::node::make(source.join("p"), sys::node::Node::Fifo).unwrap();
        sys::node::set_modified(source.join("a"), 1_000_000).unwrap();
        source
    }

    #[test]
    fn a_copy_keeps_links_modes_and_times() {
        let dir = TestDir::new("tree-copy");
        let source = sample(&dir);
        let target = dir.path().join("target");
        std::fs::create_dir(&target).unwrap();
        assert_eq!(copy(&source, &target, &|_| true).unwrap(), 6);
        let look = |path: &str| target.join(path).symlink_metadata().unwrap();
        assert_eq!(look("a/f").ino(), look("a/b/g").ino());
        assert_eq!(look("a/b").mode() & 0o7777, 0o2751);
        assert_eq!(look("a").mtime(), 1_000_000);
        assert_eq!(
            std::fs::read_link(target.join("a/l")).unwrap(),
            Path::new("../nowhere")
        );
        assert!(look("p").file_type().is_fifo());
        assert!(
            copy(&source, &target, &|_| true).is_err(),
            "target is not new"
        );
    }
}

//! A folder with all below it. Files share their blocks where source and target are on one btrfs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sys::copy::Entry;

/// What happens to a name that the target has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is an error: the target is new.
    Refuse,
    /// The target's stays, and if both are folders, the copy goes on inside.
    Keep,
}

/// Deeper trees than this are no root file system; the limit bounds the stack.
const DEPTH: usize = 200;

/// A copy under way.
struct Job<'a> {
    source: &'a Path,
    target: &'a Path,
    device: u64,
    existing: Existing,
    wanted: &'a dyn Fn(&Path) -> bool,
    /// Files with more than one name: where the first one went.
    linked: BTreeMap<u64, PathBuf>,
    count: u64,
}

/// Copies everything in folder `source` into the existing folder `target`, which gets the properties of `source` if it
/// is new ([`Existing::Refuse`]). Stays on `source`'s file system; sockets are left out. `wanted` is asked with the path
/// relative to `source`. Returns the number of things made. Not durable before a commit.
pub(crate) fn copy(
    source: &Path,
    target: &Path,
    existing: Existing,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<u64> {
    let from = sys::fs::open_dir(source)?;
    let to = sys::fs::open_dir(target)?;
    let found = source
        .metadata()
        .with_context(|| format!("cannot look at {}", source.display()))?;
    let mut job = Job {
        source,
        target,
        device: found.dev(),
        existing,
        wanted,
        linked: BTreeMap::new(),
        count: 0,
    };
    job.folder(Path::new(""), &from, &to, 0)
        .with_context(|| format!("cannot copy {} to {}", source.display(), target.display()))?;
    if existing == Existing::Refuse {
        let here = Path::new(".");
        sys::copy::copy_properties(Entry::new(from.as_fd(), here), Entry::new(to.as_fd(), here))?;
    }
    Ok(job.count)
}

impl Job<'_> {
    fn folder(&mut self, below: &Path, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<()> {
        if depth > DEPTH {
            bail!("{} is nested too deeply", below.display());
        }
        for name in names(&self.source.join(below))? {
            let path = below.join(&name);
            if !(self.wanted)(&path) {
                continue;
            }
            let found = self
                .source
                .join(&path)
                .symlink_metadata()
                .with_context(|| format!("cannot look at {}", path.display()))?;
            if found.dev() != self.device || found.file_type().is_socket() {
                continue;
            }
            if found.is_dir() {
                self.inner_folder(&path, from, to, depth)?;
            } else {
                self.other(&path, &found, from, to)?;
            }
        }
        Ok(())
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
        let there = self.target.join(path).symlink_metadata();
        let is_new = match &there {
            Ok(found) if self.existing == Existing::Keep => {
                if !found.is_dir() {
                    return Ok(());
                }
                false
            }
            _ => {
                sys::copy::copy(source, target)?;
                self.count += 1;
                true
            }
        };
        let (inner_from, inner_to) = (
            sys::fs::open_dir_at(from, name)?,
            sys::fs::open_dir_at(to, name)?,
        );
        self.folder(path, &inner_from, &inner_to, depth + 1)?;
        if is_new {
            // Filling a folder changed its times.
            sys::copy::copy_properties(source, target)?;
        }
        Ok(())
    }

    /// A file, link, fifo or node.
    fn other(
        &mut self,
        path: &Path,
        found: &std::fs::Metadata,
        from: &OwnedFd,
        to: &OwnedFd,
    ) -> Result<()> {
        let target = self.target.join(path);
        if self.existing == Existing::Keep && target.symlink_metadata().is_ok() {
            return Ok(());
        }
        self.count += 1;
        if found.nlink() > 1 {
            if let Some(first) = self.linked.get(&found.ino()) {
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
fn names(dir: &Path) -> Result<Vec<OsString>> {
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
        assert_eq!(
            copy(&source, &target, Existing::Refuse, &|_| true).unwrap(),
            6
        );
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
            copy(&source, &target, Existing::Refuse, &|_| true).is_err(),
            "target is not new"
        );
    }

    #[test]
    fn what_the_target_has_stays_and_the_rest_is_added() {
        let dir = TestDir::new("tree-keep");
        let source = sample(&dir);
        let target = dir.path().join("target");
        std::fs::create_dir_all(target.join("a")).unwrap();
        std::fs::write(target.join("a/f"), "mine").unwrap();
        std::fs::write(target.join("a/b"), "a file where the other has a folder").unwrap();
        let added = copy(&source, &target, Existing::Keep, &|path| {
            path != Path::new("p")
        })
        .unwrap();
        assert_eq!(added, 1, "only the link was missing");
        assert_eq!(std::fs::read_to_string(target.join("a/f")).unwrap(), "mine");
        assert!(!target.join("p").exists());
    }
}

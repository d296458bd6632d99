//! Adding to a live tree what it lacks. Services own folders in it and may change names there at any time, and the power
//! may go at any time. So what is missing is copied into a folder that only root can enter, made durable, and then each
//! thing is moved to its place as a whole. Nothing that exists is replaced, and no link is followed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sys::fs::Placed;

use super::copy::{self, copy_one};
use crate::progress::point;
use crate::store::subvol::remove_tree;

/// Where additions are made, in the tree itself: a rename does not leave a subvolume. Gone when nothing is under way.
const WORKSHOP: &str = ".rootctl-new";
/// Deeper trees than this are no root file system; the limit bounds the stack.
const DEPTH: usize = 200;

/// What was added, and what was not because its place is on another file system or subvolume.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// Number of things moved into place, each with all below it.
    pub(crate) count: usize,
    /// Paths that found no place.
    pub(crate) left_out: Vec<PathBuf>,
}

/// Adds to the folder `target`, which is root's, what `source` has and it lacks. `wanted` is asked with paths relative to
/// `source`; `commit` makes everything written so far durable. Cut off anywhere, it is done again from the start and ends
/// the same way.
pub(crate) fn add_missing(
    source: &Path,
    target: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    commit: &dyn Fn() -> Result<()>,
) -> Result<Added> {
    let workshop = target.join(WORKSHOP);
    remove_tree(&workshop)?;
    let to = sys::fs::open_dir(target)?;
    let mut search = Search {
        source,
        device: copy::device(source)?,
        wanted,
        missing: Vec::new(),
    };
    search.folder(Path::new(""), &to, 0)?;
    if search.missing.is_empty() {
        return Ok(Added::default());
    }
    sys::fs::make_dir(&workshop, 0o700)?;
    let added = make(source, &workshop, &search.missing, wanted)
        .and_then(|()| commit())
        .and_then(|()| {
            point("V2")?;
            place(&workshop, &to, search.missing)
        });
    // What found no place in the end is thrown away, after a failure too.
    let removed = remove_tree(&workshop);
    point("V4")?;
    let added = added.with_context(|| format!("cannot add to {}", target.display()))?;
    removed?;
    commit()?;
    Ok(added)
}

/// Looks for what the target lacks: the tops of it, in order.
struct Search<'a> {
    source: &'a Path,
    device: u64,
    wanted: &'a dyn Fn(&Path) -> bool,
    missing: Vec<PathBuf>,
}

impl Search<'_> {
    fn folder(&mut self, below: &Path, to: &OwnedFd, depth: usize) -> Result<()> {
        if depth > DEPTH {
            bail!("{} is nested too deeply", below.display());
        }
        for name in copy::names(&self.source.join(below))? {
            let path = below.join(&name);
            if !(self.wanted)(&path) {
                continue;
            }
            let Some(ours) = copy::look(&self.source.join(&path), self.device)? else {
                continue;
            };
            // Two looks at a name may see two things, so the folder is opened before anything is asked about it.
            let inner = match ours.is_dir() {
                true => sys::fs::open_dir_beneath(to, &name)?,
                false => None,
            };
            match inner {
                Some(inner) => self.folder(&path, &inner, depth + 1)?,
                None if sys::fs::has_name(to, &name)? => {}
                None => self.missing.push(path),
            }
        }
        Ok(())
    }
}

/// Copies everything that is missing into the workshop, each under its own path.
fn make(
    source: &Path,
    workshop: &Path,
    missing: &[PathBuf],
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<()> {
    for path in missing {
        let folder = workshop.join(path.parent().unwrap_or(Path::new("")));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        copy_one(source, workshop, path, wanted)?;
        point("V1")?;
    }
    Ok(())
}

fn place(workshop: &Path, to: &OwnedFd, missing: Vec<PathBuf>) -> Result<Added> {
    let from = sys::fs::open_dir(workshop)?;
    let mut added = Added::default();
    for path in missing {
        match sys::fs::place_new(from.as_fd(), to.as_fd(), &path)? {
            Placed::Yes => added.count += 1,
            // Somebody made it, or took its folder away, since we looked: it is theirs.
            Placed::Taken => {}
            Placed::Elsewhere => added.left_out.push(path),
        }
        point("V3")?;
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Source and target folders in `dir`.
    fn pair(dir: &TestDir) -> (PathBuf, PathBuf) {
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        std::fs::create_dir_all(source.join("a/b")).unwrap();
        std::fs::write(source.join("a/b/f"), "text").unwrap();
        std::fs::hard_link(source.join("a/b/f"), source.join("a/b/g")).unwrap();
        symlink("../nowhere", source.join("a/l")).unwrap();
        std::fs::create_dir_all(&target).unwrap();
        (source, target)
    }

    fn add(source: &Path, target: &Path) -> Added {
        add_missing(source, target, &|_| true, &|| Ok(())).unwrap()
    }

    #[test]
    fn what_the_target_has_stays_and_the_rest_is_added() {
        let dir = TestDir::new("add");
        let (source, target) = pair(&dir);
        std::fs::create_dir_all(target.join("a")).unwrap();
        std::fs::write(target.join("a/b"), "a file where we have a folder").unwrap();
        assert_eq!(add(&source, &target).count, 1, "only the link was missing");
        assert!(target.join("a/b").is_file());
        std::fs::remove_file(target.join("a/b")).unwrap();
        assert_eq!(add(&source, &target).count, 1, "a folder is one thing");
        assert_eq!(
            std::fs::read_to_string(target.join("a/b/g")).unwrap(),
            "text"
        );
        assert_eq!(add(&source, &target), Added::default());
        let names = std::fs::read_dir(&target).unwrap().count();
        assert_eq!(names, 1, "nothing of the work stays");
    }

    #[test]
    fn what_an_interrupted_run_left_is_thrown_away_and_done_again() {
        let dir = TestDir::new("add-again");
        let (source, target) = pair(&dir);
        std::fs::create_dir_all(target.join(WORKSHOP).join("a/b")).unwrap();
        std::fs::write(target.join(WORKSHOP).join("a/b/f"), "te").unwrap();
        assert_eq!(add(&source, &target).count, 1);
        assert_eq!(
            std::fs::read_to_string(target.join("a/b/f")).unwrap(),
            "text"
        );
    }

    #[test]
    fn a_copy_that_fails_leaves_the_target_as_it_was() {
        let dir = TestDir::new("add-fails");
        let (source, target) = pair(&dir);
        std::fs::create_dir(target.join("a")).unwrap();
        let full = || bail!("the disk is full");
        let error = add_missing(&source, &target, &|_| true, &full).unwrap_err();
        assert!(format!("{error:#}").contains("the disk is full"));
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(target.join("a")).unwrap().count(), 0);
    }

    /// The owner of `target/a` swaps its folder `b` for a link that leads out, again and again.
    #[test]
    fn a_link_that_appears_under_way_leads_nowhere() {
        let dir = TestDir::new("add-race");
        let (source, target) = pair(&dir);
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let (real, link) = (target.join("a/b"), target.join("a/x"));
        std::fs::create_dir_all(&real).unwrap();
        symlink(&outside, &link).unwrap();
        let held = std::fs::File::open(&real).unwrap();
        let own = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let stop = Arc::new(AtomicBool::new(false));
        let swapper = std::thread::spawn({
            let (stop, real, link) = (stop.clone(), real.clone(), link.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    sys::fs::exchange(&real, &link).unwrap();
                }
            }
        });
        let outcome = (0..2_000).try_for_each(|_| {
            let added = add_missing(&source, &target, &|_| true, &|| Ok(()))?;
            for name in ["f", "g"] {
                drop(std::fs::remove_file(own.join(name)));
            }
            let escaped = std::fs::read_dir(&outside)?.count();
            anyhow::ensure!(escaped == 0, "something was written through the link");
            anyhow::ensure!(
                added.left_out.is_empty(),
                "{:?} found no place",
                added.left_out
            );
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        swapper.join().unwrap();
        outcome.unwrap();
    }
}

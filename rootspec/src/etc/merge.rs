//! The decision of a merge: which changes lead from the old `/etc` to the new one. Pure.
//!
//! *base* is what the old snapshot ships, *ours* the old deployment's live `/etc`, *theirs* what the new snapshot ships.
//! The result begins as a copy of *ours*, and the steps make the changes from *base* to *theirs* to it:
//!
//! | upstream | here | result |
//! |---|---|---|
//! | unchanged | anything | as it is here |
//! | changed, new or deleted | unchanged | as upstream |
//! | changed | changed to the same | as it is here |
//! | changed | changed to something else | as it is here; upstream's beside it as `NAME.rootctl-new` |
//! | changed | deleted | stays deleted |
//! | deleted | changed | as it is here |
//! | accounts changed | accounts changed | merged by line (see `accounts`) |

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::accounts;
use super::stamp::{Alike, Closer, Listing, Stamp};

/// Ending of upstream's version beside a file that was changed here too.
pub const BESIDE: &str = ".rootctl-new";

/// Files that belong to this machine rather than to a version of the system: kept whenever they are there.
pub const OF_THE_MACHINE: [&str; 4] = ["machine-id", "resolv.conf", "adjtime", "mtab"];

/// One of the three trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What the old snapshot ships.
    Base,
    /// The old deployment's live tree.
    Ours,
    /// What the new snapshot ships.
    Theirs,
}

/// One change to the result. Paths are below `/etc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Delete a file, or a folder if nothing is left in it.
    Remove(PathBuf),
    /// Make upstream's folder, with its properties.
    MakeDir(PathBuf),
    /// Take upstream's properties for a folder.
    Properties(PathBuf),
    /// Take upstream's file, link or node, replacing what is there.
    Take(PathBuf),
    /// Put upstream's file beside ours.
    Beside(PathBuf),
    /// Merge the lines of an account file.
    Accounts(PathBuf),
    /// Nothing can be done but say so.
    Note(String),
}

/// Takes the closer look at two versions that may be the same: extended attributes, and content where times differ.
pub type Same<'a> = &'a mut dyn FnMut(Side, Side, &Path, Closer) -> bool;

/// Decides.
pub fn merge(base: &Listing, ours: &Listing, theirs: &Listing, same: Same<'_>) -> Vec<Step> {
    let mut plan = Plan {
        base,
        ours,
        theirs,
        same,
        dirs: ours
            .iter()
            .map(|(path, stamp)| (path.clone(), stamp.is_dir()))
            .collect(),
        removals: Vec::new(),
        steps: Vec::new(),
    };
    let all: BTreeSet<&PathBuf> = base
        .keys()
        .chain(ours.keys())
        .chain(theirs.keys())
        .collect();
    for path in all {
        plan.decide(path);
    }
    // Children before their folders, and all before something else takes their place.
    let mut steps: Vec<Step> = plan.removals.into_iter().rev().map(Step::Remove).collect();
    steps.extend(plan.steps);
    steps
}

struct Plan<'a> {
    base: &'a Listing,
    ours: &'a Listing,
    theirs: &'a Listing,
    same: Same<'a>,
    /// What the result holds so far: true for a folder.
    dirs: HashMap<PathBuf, bool>,
    removals: Vec<PathBuf>,
    steps: Vec<Step>,
}

impl Plan<'_> {
    fn decide(&mut self, path: &Path) {
        let (base, ours, theirs) = (
            self.base.get(path),
            self.ours.get(path),
            self.theirs.get(path),
        );
        if self.equal((Side::Base, base), (Side::Theirs, theirs), path) {
            return;
        }
        if ours.is_some() && OF_THE_MACHINE.iter().any(|name| path == Path::new(name)) {
            return;
        }
        if self.equal((Side::Ours, ours), (Side::Base, base), path) {
            self.follow(path, ours, theirs);
        } else if !self.equal((Side::Ours, ours), (Side::Theirs, theirs), path) {
            self.keep(path, ours, theirs);
        }
    }

    /// Unchanged here: upstream's change is taken.
    fn follow(&mut self, path: &Path, ours: Option<&Stamp>, theirs: Option<&Stamp>) {
        match (ours, theirs) {
            (_, None) => self.remove(path),
            (None, Some(new)) => self.add(path, new),
            (Some(old), Some(new)) if old.is_dir() && new.is_dir() => {
                self.steps.push(Step::Properties(path.to_owned()));
            }
            (Some(old), Some(new)) if old.is_dir() => {
                // Files that were added here must not vanish with the folder.
                if self.has_own_files(path) {
                    self.steps.push(Step::Note(format!(
                        "/etc/{} is no folder any more; it stays one, because files were added to it",
                        path.display()
                    )));
                } else {
                    self.remove(path);
                    self.add(path, new);
                }
            }
            (Some(_), Some(new)) if new.is_dir() => {
                self.remove(path);
                self.add(path, new);
            }
            (Some(_), Some(_)) => self.steps.push(Step::Take(path.to_owned())),
        }
    }

    /// Changed on both sides, differently: ours stays.
    fn keep(&mut self, path: &Path, ours: Option<&Stamp>, theirs: Option<&Stamp>) {
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            // Deleted here: stays deleted. Deleted upstream: ours stays.
            return;
        };
        match (ours.is_dir(), theirs.is_dir()) {
            (true, true) => {}
            (false, false) if accounts::is_one(path) && ours.is_file() && theirs.is_file() => {
                self.steps.push(Step::Accounts(path.to_owned()));
            }
            (false, false) => self.steps.push(Step::Beside(path.to_owned())),
            (true, false) => self.steps.push(Step::Note(format!(
                "/etc/{} is a folder here and a file upstream: the folder stays",
                path.display()
            ))),
            (false, true) => self.steps.push(Step::Note(format!(
                "/etc/{} is a file here and a folder upstream: the file stays",
                path.display()
            ))),
        }
    }

    fn remove(&mut self, path: &Path) {
        self.dirs.remove(path);
        self.removals.push(path.to_owned());
    }

    /// Adds upstream's version of something the result does not have, with the folders it lies in.
    fn add(&mut self, path: &Path, new: &Stamp) {
        if !self.make_parents(path) {
            return;
        }
        self.dirs.insert(path.to_owned(), new.is_dir());
        self.steps.push(match new.is_dir() {
            true => Step::MakeDir(path.to_owned()),
            false => Step::Take(path.to_owned()),
        });
    }

    /// True when the result has all folders above `path`, after making those that were deleted here.
    fn make_parents(&mut self, path: &Path) -> bool {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for dir in above {
            match self.dirs.get(dir) {
                Some(true) => {}
                // Something else stands in the way here; that it does was noted where it was decided, or is wanted.
                Some(false) => return false,
                None => {
                    self.dirs.insert(dir.to_owned(), true);
                    self.steps.push(Step::MakeDir(dir.to_owned()));
                }
            }
        }
        true
    }

    fn has_own_files(&self, dir: &Path) -> bool {
        let below = self.ours.range(dir.to_owned()..).skip(1);
        below
            .take_while(|(path, _)| path.starts_with(dir))
            .any(|(path, _)| !self.base.contains_key(path))
    }

    fn equal(
        &mut self,
        one: (Side, Option<&Stamp>),
        other: (Side, Option<&Stamp>),
        path: &Path,
    ) -> bool {
        equal(one, other, path, self.same)
    }
}

/// Whether two sides have the same at `path`; asks for a closer look only where the stamps cannot tell.
fn equal(
    (one_side, one): (Side, Option<&Stamp>),
    (other_side, other): (Side, Option<&Stamp>),
    path: &Path,
    same: Same<'_>,
) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_none() && other.is_none();
    };
    match one.alike(other) {
        Alike::Yes => true,
        Alike::No => false,
        Alike::Perhaps(closer) => same(one_side, other_side, path, closer),
    }
}

/// Paths that were changed from *base* to *theirs* and that no step brings to *ours*, where they are something else: what
/// was deleted or changed there too, differently. A folder that stays because of what was added to it is none.
pub fn left_out(
    base: &Listing,
    ours: &Listing,
    theirs: &Listing,
    steps: &[Step],
    same: Same<'_>,
) -> Vec<PathBuf> {
    let done: BTreeSet<&Path> = steps
        .iter()
        .filter(|step| !step.is_conflict())
        .filter_map(Step::path)
        .collect();
    let all: BTreeSet<&PathBuf> = base.keys().chain(theirs.keys()).collect();
    let mut left = Vec::new();
    for path in all {
        let (old, here, new) = (base.get(path), ours.get(path), theirs.get(path));
        let stays = new.is_none() && here.is_some_and(Stamp::is_dir);
        if stays
            || done.contains(path.as_path())
            || equal((Side::Base, old), (Side::Theirs, new), path, same)
            || equal((Side::Ours, here), (Side::Theirs, new), path, same)
        {
            continue;
        }
        left.push(path.clone());
    }
    left
}

/// How a live `/etc` differs from the one its snapshot ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It is only here.
    Added,
    /// It is only in the snapshot.
    Removed,
    /// Both have it, differently.
    Modified,
}

/// What was changed in *ours* since *base*, by path. What is below a folder that only one of them has is listed too.
pub fn changes(base: &Listing, ours: &Listing, same: Same<'_>) -> Vec<(PathBuf, Difference)> {
    let all: BTreeSet<&PathBuf> = base.keys().chain(ours.keys()).collect();
    let mut changes = Vec::new();
    for path in all {
        let (old, new) = (base.get(path), ours.get(path));
        if equal((Side::Base, old), (Side::Ours, new), path, same) {
            continue;
        }
        let difference = match (old, new) {
            (None, _) => Difference::Added,
            (Some(_), None) => Difference::Removed,
            (Some(_), Some(_)) => Difference::Modified,
        };
        changes.push((path.clone(), difference));
    }
    changes
}

impl Step {
    /// The path it is about, below `/etc`; a note has none.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Remove(path)
            | Self::MakeDir(path)
            | Self::Properties(path)
            | Self::Take(path)
            | Self::Beside(path)
            | Self::Accounts(path) => Some(path),
            Self::Note(_) => None,
        }
    }

    /// True where both sides have changed the same thing differently, and somebody has to decide.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Beside(_) | Self::Note(_))
    }

    /// One word for what is done.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Remove(_) => "remove",
            Self::MakeDir(_) => "folder",
            Self::Properties(_) => "properties",
            Self::Take(_) => "take",
            Self::Beside(_) => "beside",
            Self::Accounts(_) => "accounts",
            Self::Note(_) => "note",
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;

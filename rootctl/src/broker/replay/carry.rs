//! A change, from one tree to another, made to a third one. The decision is that of the boot stage for `/etc`
//! (`rootspec::etc::merge`), where it also merges account files by line; here nothing is put beside anything, and what does not
//! fit is told.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::etc::merge::{Step, left_out, merge};
use rootspec::path_text::escape;

use super::Change;
use crate::etc::{Three, Tree, apply};

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// How many paths were changed.
    pub(super) changes: u64,
    /// What was changed differently on both sides and stays as it is, from the root.
    pub(super) left: Vec<String>,
}

/// A part of a root that is merged by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `/etc`, by its own rules.
    Etc,
    /// Everything else.
    Rest,
}

const ETC: &str = "etc";

impl Part {
    /// Where it lies.
    fn place(self) -> PathBuf {
        match self {
            Self::Etc => Path::new("/").join(ETC),
            Self::Rest => PathBuf::from("/"),
        }
    }
}

/// Makes the change to the tree at `result`.
pub(super) fn carry(change: &Change, result: &Path) -> Result<Carried> {
    let mut carried = Carried::default();
    for part in [Part::Rest, Part::Etc] {
        let Some((three, steps)) = decide(part, change, result, &mut carried)? else {
            continue;
        };
        apply(&steps, &three, &three.ours.dir, &part.place())?;
        let place = part.place();
        let place = place.strip_prefix("/").unwrap_or(&place);
        link_again(&steps, &three.theirs, &result.join(place))?;
    }
    Ok(carried)
}

/// Files with several names were taken once for each name: they become one file again.
fn link_again(steps: &[Step], theirs: &Tree, result: &Path) -> Result<()> {
    let mut first: BTreeMap<u64, &Path> = BTreeMap::new();
    for step in steps {
        let Step::Take(path) = step else { continue };
        let Some(stamp) = theirs.listing.get(path).filter(|stamp| stamp.is_file()) else {
            continue;
        };
        let Some(other) = first.get(&stamp.identity.0) else {
            first.insert(stamp.identity.0, path);
            continue;
        };
        let linking = || format!("cannot link {} to {}", path.display(), other.display());
        let place = result.join(path);
        std::fs::remove_file(&place).with_context(linking)?;
        std::fs::hard_link(result.join(other), &place).with_context(linking)?;
    }
    Ok(())
}

/// What making the change to the tree at `ours` would do.
pub(super) fn foretell(change: &Change, ours: &Path) -> Result<Carried> {
    let mut carried = Carried::default();
    for part in [Part::Rest, Part::Etc] {
        decide(part, change, ours, &mut carried)?;
    }
    Ok(carried)
}

/// The steps for one part, which are counted; `None` where one of the three has no such part.
fn decide(
    part: Part,
    change: &Change,
    ours: &Path,
    carried: &mut Carried,
) -> Result<Option<(Three, Vec<Step>)>> {
    let (Some(base), Some(ours), Some(theirs)) = (
        open(part, &change.base)?,
        open(part, ours)?,
        open(part, &change.theirs)?,
    ) else {
        return Ok(None);
    };
    let three = Three {
        base: Some(base),
        ours,
        theirs,
    };
    let Some(base) = &three.base else {
        return Ok(None);
    };
    let (base, ours, theirs) = (&base.listing, &three.ours.listing, &three.theirs.listing);
    let mut same = |one, other, path: &Path, closer| three.same(one, other, path, closer);
    let mut steps = merge(base, ours, theirs, &mut same);
    // What would be put beside stays, and is named.
    steps.retain(|step| !step.is_conflict());
    let left = left_out(base, ours, theirs, &steps, &mut same);
    carried
        .left
        .extend(left.iter().map(|path| shown(part, path)));
    let changed: BTreeSet<&Path> = steps.iter().filter_map(Step::path).collect();
    carried.changes += changed.len() as u64;
    Ok(Some((three, steps)))
}

fn open(part: Part, root: &Path) -> Result<Option<Tree>> {
    let reading = || format!("cannot read {}", root.display());
    match part {
        Part::Etc => {
            let etc = root.join(ETC);
            let is_there = etc.symlink_metadata().is_ok_and(|found| found.is_dir());
            is_there
                .then(|| Tree::open(&etc).with_context(reading))
                .transpose()
        }
        Part::Rest => {
            let mut tree = Tree::open(root).with_context(reading)?;
            // A folder it is in all three, and a part of its own; anything else is merged here.
            let is_dir = tree
                .listing
                .get(Path::new(ETC))
                .is_some_and(|etc| etc.is_dir());
            tree.listing
                .retain(|path, _| !(is_dir && path.starts_with(ETC)));
            Ok(Some(tree))
        }
    }
}

fn shown(part: Part, path: &Path) -> String {
    escape(part.place().join(path).as_os_str().as_bytes())
}

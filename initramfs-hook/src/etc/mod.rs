//! A deployment's own `/etc`: one writable subvolume per snapshot, made at the snapshot's first boot.
//!
//! | open | for |
//! |---|---|
//! | `listing` | what a tree holds, with everything that tells one version of a file from another |
//! | `rootspec::etc` | the decision: what changes from the old `/etc` to the new one. Pure; `rootctl etc` foretells it |
//! | `apply` | carrying the decision out |
//!
//! The old `/etc` is copied as a btrfs snapshot, and what the new snapshot ships differently from the old one is applied
//! to the copy. A cut on the way leaves `ID.new`, which the next boot throws away and makes again.

pub mod apply;
pub mod listing;

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::etc::merge::{Side, merge};
use rootspec::etc::stamp::{Closer, Listing};
use rootspec::meta::Meta;
use rootspec::paths::{self, store as names};
use rootspec::state::State;
use sys::btrfs::{self, Access};
use sys::mount::Mount;

use crate::say::Voice;
use crate::store::{Store, part};

/// The `/etc` of a snapshot, detached; made first if this is the snapshot's first boot.
///
/// # Errors
/// It cannot be made: the disk is full or damaged.
pub fn of_deployment(store: &Store, meta: &Meta, voice: &mut Voice) -> Result<Mount> {
    let path = paths::etc_dir(meta.id);
    if !sys::fs::exists_at(store, &path) {
        let id = meta.id;
        make(store, meta, voice).with_context(|| format!("cannot make /etc of snapshot {id}"))?;
    }
    Ok(part(store, &path)?)
}

/// The three trees of a merge, open.
struct Trees {
    base: Option<OwnedFd>,
    ours: OwnedFd,
    theirs: OwnedFd,
}

fn make(store: &Store, meta: &Meta, voice: &mut Voice) -> Result<()> {
    let all = store.path(&format!("{}/{}", names::DIR, names::ETC));
    sys::fs::make_dir(&all, 0o700)?;
    let dir = sys::fs::open_dir(&all)?;
    let (name, unfinished) = (meta.id.to_string(), format!("{}.new", meta.id));
    if sys::fs::exists_at(&dir, &unfinished) {
        btrfs::delete(&dir, &unfinished)?;
    }
    let theirs = shipped(store, meta.id)?;
    match base_of(store, meta, voice) {
        Some(base) => {
            let ours = sys::fs::open_dir_at(store, paths::etc_dir(base))?;
            btrfs::snapshot(&ours, &dir, &unfinished, Access::ReadWrite)?;
            let trees = Trees {
                base: shipped(store, base).ok(),
                ours,
                theirs,
            };
            if trees.base.is_none() {
                voice.warn(format!(
                    "snapshot {base} is gone: /etc keeps all that it had, and gets only new files of {}",
                    meta.id
                ));
            }
            let result = sys::fs::open_dir_at(&dir, &unfinished)?;
            merge_into(&result, &trees, voice)?;
        }
        None => {
            btrfs::create(&dir, &unfinished)?;
            let result = sys::fs::open_dir_at(&dir, &unfinished)?;
            apply::copy_tree(&theirs, &result)?;
        }
    }
    btrfs::sync(&dir)?;
    sys::fs::rename_new(all.join(&unfinished), all.join(&name))?;
    Ok(sys::fs::sync_dir(&all)?)
}

/// Whose `/etc` is merged forward; says so when it is not the one that was meant.
fn base_of(store: &Store, meta: &Meta, voice: &mut Voice) -> Option<SnapshotId> {
    let has = |id: SnapshotId| sys::fs::exists_at(store, paths::etc_dir(id));
    let named = meta.etc_base?;
    let found = choose(named, store.state(), has);
    if found != Some(named) {
        let instead = match found {
            Some(other) => format!("that of snapshot {other} is taken over"),
            None => "there is no other, so it begins as shipped".to_owned(),
        };
        let id = meta.id;
        voice.warn(format!(
            "/etc of snapshot {named}, which snapshot {id} was to take over, is not there: {instead}"
        ));
    }
    found
}

/// The named base; where it has no `/etc`, the system that is known to work. What an administrator did there is worth more
/// than an `/etc` without any of it: accounts, keys, networks.
fn choose(
    named: SnapshotId,
    state: Option<&State>,
    has: impl Fn(SnapshotId) -> bool,
) -> Option<SnapshotId> {
    let good = state.and_then(|state| state.good);
    let previous = state.and_then(|state| state.previous);
    let order = [Some(named), good, previous];
    order.into_iter().flatten().find(|id| has(*id))
}

/// `/etc` as a snapshot ships it.
fn shipped(store: &Store, id: SnapshotId) -> Result<OwnedFd> {
    let path = format!("{}/{}/etc", paths::snapshot_dir(id), names::ROOT);
    Ok(sys::fs::open_dir_at(store, path)?)
}

fn merge_into(result: &OwnedFd, trees: &Trees, voice: &mut Voice) -> Result<()> {
    let base = match &trees.base {
        Some(base) => listing::read(base)?,
        None => Listing::new(),
    };
    let (ours, theirs) = (listing::read(&trees.ours)?, listing::read(&trees.theirs)?);
    let tree = |side| match side {
        Side::Base => trees.base.as_ref(),
        Side::Ours => Some(&trees.ours),
        Side::Theirs => Some(&trees.theirs),
    };
    let mut same = |one: Side, other: Side, path: &Path, closer: Closer| {
        let pair = tree(one).zip(tree(other));
        pair.is_some_and(|(one, other)| listing::same(one, other, path, closer))
    };
    let steps = merge(&base, &ours, &theirs, &mut same);
    apply::apply(&steps, trees.base.as_ref(), &trees.theirs, result, voice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    #[test]
    fn the_named_base_comes_first_then_what_is_known_to_work() {
        let state = State {
            good: Some(id(2)),
            previous: Some(id(1)),
            ..State::empty()
        };
        let chosen = |there: &[u32]| {
            let has = |id: SnapshotId| there.contains(&id.get());
            choose(id(3), Some(&state), has).map(SnapshotId::get)
        };
        assert_eq!(chosen(&[1, 2, 3, 4]), Some(3));
        assert_eq!(chosen(&[1, 2, 4]), Some(2));
        assert_eq!(chosen(&[1, 4]), Some(1));
        assert_eq!(chosen(&[4]), None);
        assert_eq!(choose(id(3), None, |other| other != id(3)), None);
    }
}

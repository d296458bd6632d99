//! What the first boot of a snapshot will merge, and merging by hand what was changed in one deployment into another.

use std::path::Path;

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::etc::merge::{Step, merge as decide};
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use rootspec::protocol::etc::{EtcConflicts, EtcForetold, EtcMerge, EtcMerged, EtcStep};
use sys::btrfs::Access;

use super::apply::apply;
use super::trees::{Three, Tree, open_live, open_shipped, shown, undecided, whose};
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::session::Session;
use crate::store::subvol;

/// What waits for a decision in the live `/etc`, and what the first boot of a snapshot will leave to be decided.
pub(crate) fn foretell(session: &Session, ask: &EtcConflicts) -> Result<EtcForetold> {
    let target = match &ask.target {
        Some(target) => Some(session.resolve(target)?),
        None => session.roles().next,
    };
    let has_own = |id: &SnapshotId| session.store.etc(*id).is_dir();
    let target = target.filter(|id| !has_own(id));
    // Where nothing runs and nothing was booted, nothing is undecided.
    let undecided = match whose(session, None) {
        Ok(live) => undecided(&open_live(session, live)?),
        Err(_) => Vec::new(),
    };
    let mut foretold = EtcForetold {
        undecided,
        target,
        from: None,
        steps: Vec::new(),
    };
    if let Some(id) = target {
        let meta = session.whole(id)?;
        foretold.from = base_of(session, meta);
        if let Some(from) = foretold.from {
            let three = Three {
                base: open_shipped(session, from).ok(),
                ours: open_live(session, from)?,
                theirs: open_shipped(session, id)?,
            };
            foretold.steps = steps(&three).iter().map(answer).collect();
        }
    }
    Ok(foretold)
}

/// Whose `/etc` the first boot takes over: as the boot stage chooses.
fn base_of(session: &Session, meta: &Meta) -> Option<SnapshotId> {
    let named = meta.etc_base?;
    let state = session.record.state();
    let order = [
        Some(named),
        state.and_then(|state| state.good),
        state.and_then(|state| state.previous),
    ];
    order
        .into_iter()
        .flatten()
        .find(|id| session.store.etc(*id).is_dir())
}

fn steps(three: &Three) -> Vec<Step> {
    let nothing = rootspec::etc::stamp::Listing::new();
    let base = three.base.as_ref().map_or(&nothing, |base| &base.listing);
    decide(
        base,
        &three.ours.listing,
        &three.theirs.listing,
        &mut |one, other, path, closer| three.same(one, other, path, closer),
    )
}

fn answer(step: &Step) -> EtcStep {
    EtcStep {
        action: step.word().to_owned(),
        path: step.path().map(shown).unwrap_or_default(),
        conflict: step.is_conflict(),
        note: match step {
            Step::Note(words) => Some(words.clone()),
            _ => None,
        },
    }
}

/// Brings what was changed in the `/etc` of `from` into that of `target`.
///
/// What `from` was shipped with is what both began with: a file that `target` has as it was shipped there follows, one that
/// was changed there stays, and is a conflict if it was changed in both.
pub(crate) fn merge(
    session: &mut Session,
    ask: &EtcMerge,
    progress: &mut Progress<'_>,
) -> Result<EtcMerged> {
    let id = whose(session, Some(&ask.target))?;
    let from = whose(session, ask.from.as_deref())?;
    if id == from {
        return Guard::usage(format!("both are the /etc of snapshot {id}"))
            .next("rootctl etc merge TARGET --from OTHER")
            .err();
    }
    if session.booted() == Some(id) {
        return Guard::refused(format!(
            "snapshot {id} is running: its /etc is not exchanged under the programs that use it"
        ))
        .next("rootctl etc diff, and change the files by hand")
        .err();
    }
    let three = Three {
        base: Some(open_shipped(session, from)?),
        ours: open_live(session, id)?,
        theirs: open_live(session, from)?,
    };
    let steps = steps(&three);
    let merged = EtcMerged {
        id,
        from,
        steps: steps.iter().map(answer).collect(),
    };
    if ask.dry_run == Some(true) || steps.is_empty() {
        return Ok(merged);
    }
    if ask.beside != Some(true) {
        must_agree(&merged)?;
    }
    exchange(session, id, &three, &steps, progress)?;
    Ok(merged)
}

fn must_agree(merged: &EtcMerged) -> Result<()> {
    let conflicts = merged.steps.iter().filter(|step| step.conflict);
    let words: Vec<&str> = conflicts
        .map(|step| step.note.as_deref().unwrap_or(&step.path))
        .collect();
    if words.is_empty() {
        return Ok(());
    }
    let (id, from) = (merged.id, merged.from);
    let few: Vec<&str> = words.iter().take(20).copied().collect();
    Guard::conflict(format!(
        "{} changed in the /etc of both {from} and {id}, differently: {}; nothing was changed",
        words.len(),
        few.join(", ")
    ))
    .next(format!("rootctl etc merge {id} --from {from} --beside"))
    .err()
}

/// Changes a copy, then puts it in the place of the old one in one step. What a cut leaves is thrown away at the next
/// first boot, or by hand.
fn exchange(
    session: &Session,
    id: SnapshotId,
    three: &Three,
    steps: &[Step],
    progress: &mut Progress<'_>,
) -> Result<()> {
    let _lock = session.lock()?;
    let place = session.store.etc(id);
    let copy = session.store.path(names::TMP).join(format!("etc-{id}"));
    subvol::remove_tree(&copy)?;
    progress.step(&format!("merge into a copy of the /etc of snapshot {id}"));
    subvol::snapshot(&place, &copy, Access::ReadWrite)?;
    point("M1")?;
    let result = Tree::open(&copy)?.dir;
    apply(steps, three, &result, Path::new("/etc"))?;
    drop(result);
    session.store.commit()?;
    point("M2")?;
    sys::fs::exchange(&copy, &place)?;
    session.store.commit()?;
    point("M3")?;
    subvol::remove_tree(&copy)
}

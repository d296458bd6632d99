//! `snap unfreeze` and `snap freeze`: a snapshot that may be changed in place, for a while. It is marked, its root is writable,
//! nothing is made from it, and it is never what boots by default.
//!
//! Freezing publishes what its root holds by then: a sealed copy with boot files that fit takes the place of the whole folder by
//! one exchange, so that after a cut it is unfrozen or frozen, and its boot files are those of its root in either case.

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Freeze, Frozen};
use sys::btrfs::Access;

use crate::boot_files;
use crate::copy::{may_be_copied, must_have_room};
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::session::Session;
use crate::store::label::{Label, Unfrozen};
use crate::store::publish::{Draft, now};
use crate::store::{edits, subvol, trash};

/// Freezes or unfreezes, or says what would be done.
pub(crate) fn freeze(
    session: &mut Session,
    ask: &Freeze,
    progress: &mut Progress<'_>,
) -> Result<Frozen> {
    let id = session.resolve(&ask.target)?;
    session.whole(id)?;
    let dry_run = ask.dry_run == Some(true);
    let steps = match (ask.frozen, session.is_unfrozen(id)) {
        (true, false) => Vec::new(),
        (true, true) => seal(session, id, dry_run, progress)?,
        (false, _) => open(session, id, dry_run, progress)?,
    };
    Ok(Frozen {
        id,
        frozen: ask.frozen,
        steps,
    })
}

/// Unfreezes. Done once more after a cut, it finishes what was begun.
fn open(
    session: &mut Session,
    id: SnapshotId,
    dry_run: bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<String>> {
    let dir = session.store.snapshot(id);
    let root = dir.join(names::ROOT);
    let marked = session.is_unfrozen(id);
    if marked && subvol::info(&root)?.access == Access::ReadWrite {
        return Ok(Vec::new());
    }
    if !marked {
        may_be_copied(session, id)?;
    }
    nothing_relies_on(session, id)?;
    nothing_is_made_from(session, id)?;
    let steps = vec![format!(
        "mark snapshot {id} as unfrozen and make its root writable"
    )];
    if dry_run {
        return Ok(steps);
    }
    tell(&steps, progress);
    if !marked {
        let meta = session.whole(id)?;
        let mark = Unfrozen {
            since: now(),
            built_from: boot_files::built_from(&root, meta.kernel.as_ref()),
        };
        // The mark first: a root that can be written to is never without it.
        Label::of(meta, Some(mark.clone())).write(&dir, session.lock()?)?;
        point("U1-marked")?;
        for entry in session.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.unfrozen = Some(mark.clone());
        }
    }
    subvol::set_access(&root, Access::ReadWrite)?;
    session.store.commit()?;
    point("U2-open")?;
    Ok(steps)
}

/// Freezes.
fn seal(
    session: &mut Session,
    id: SnapshotId,
    dry_run: bool,
    progress: &mut Progress<'_>,
) -> Result<Vec<String>> {
    // Its root goes, and another one takes its place: whoever runs from it would lose the ground.
    nothing_runs_from(session, id)?;
    let writable_mode = session
        .settings()?
        .modes
        .get(&id.to_string())
        .is_some_and(|mode| mode == "rw");
    let mut steps = Vec::new();
    if writable_mode {
        steps.push(format!("forget that snapshot {id} is deployed in mode rw"));
    }
    steps.push(format!(
        "check what snapshot {id} holds now, and publish it under the same number, read-only"
    ));
    if dry_run {
        return Ok(steps);
    }
    must_have_room(&session.store, 0)?;
    tell(&steps, progress);
    if writable_mode {
        // Before it is sealed: the next deploy would open it again.
        let mut settings = session.settings()?.clone();
        settings.modes.remove(&id.to_string());
        settings.save(&session.store, session.lock()?)?;
        session.settings = Ok(settings);
        point("F1-mode")?;
    }
    let meta = {
        let published = session.whole(id)?.clone();
        let mark = session.entry(id)?.unfrozen.clone();
        let dir = session.store.snapshot(id);
        let draft = Draft::new(&session.store, session.lock()?, id)?;
        subvol::snapshot(&dir.join(names::ROOT), &draft.root(), Access::ReadOnly)?;
        point("F2-copied")?;
        let before = mark.and_then(|mark| mark.built_from);
        let kernel = boot_files::of_changed(&draft, &published, before, Some(&dir), progress)
            .with_context(|| {
                format!("what snapshot {id} holds now cannot be a snapshot; it stays unfrozen")
            })?;
        draft.seal_again(published, kernel)?.replace()?
    };
    for entry in session.entries.iter_mut().filter(|entry| entry.id == id) {
        entry.meta = Some(meta.clone());
        (entry.unfrozen, entry.remark) = (None, None);
    }
    Ok(steps)
}

fn tell(steps: &[String], progress: &mut Progress<'_>) {
    for step in steps {
        progress.step(step);
    }
}

/// What runs, boots next, is fallen back to, is kept, or is what everything began with is not changed in place.
fn nothing_relies_on(session: &Session, id: SnapshotId) -> Result<()> {
    nothing_runs_from(session, id)?;
    let roles = session.roles();
    let state = session.record.need()?;
    let (why, next) = if [state.good, state.previous, state.confirming].contains(&Some(id)) {
        (
            "is good, was good before, or is becoming the default",
            format!("rootctl snap new --from {id}, and unfreeze the copy"),
        )
    } else if state.pins.contains(&id) {
        ("is kept", format!("rootctl snap unkeep {id}"))
    } else if roles.base == Some(id) {
        (
            "is the base",
            format!("rootctl snap new --from {id}, and unfreeze the copy"),
        )
    } else {
        return Ok(());
    };
    Guard::refused(format!("snapshot {id} {why} and stays frozen"))
        .next(next)
        .err()
}

/// Neither does it run, nor is it about to.
fn nothing_runs_from(session: &Session, id: SnapshotId) -> Result<()> {
    if session.booted() == Some(id) {
        return Guard::refused(format!("snapshot {id} is running"))
            .next("boot another one, then repeat the command")
            .err();
    }
    let trial = session
        .record
        .state()
        .and_then(|state| state.trial.as_ref());
    if trial.is_some_and(|trial| trial.id == id && trial.is_pending()) {
        return Guard::refused(format!("snapshot {id} is on trial and boots next"))
            .next("rootctl rollback, then repeat the command")
            .err();
    }
    Ok(())
}

/// What was changed in a snapshot is told from the one it was made from, which therefore stays as it is.
fn nothing_is_made_from(session: &Session, id: SnapshotId) -> Result<()> {
    let refuse = |who: String, next: String| {
        Guard::refused(format!(
            "{who} was made from snapshot {id}, which therefore stays frozen"
        ))
        .next(next)
        .err()
    };
    let copy = format!("rootctl snap new --from {id}, and unfreeze the copy");
    let waits = |meta: &rootspec::meta::Meta| {
        meta.content().contains(&id)
            || meta.etc_base == Some(id) && !session.store.etc(meta.id).exists()
    };
    if let Some(meta) = session.metas().find(|meta| meta.id != id && waits(meta)) {
        return refuse(format!("snapshot {}", meta.id), copy);
    }
    for one in edits::all(&session.store)? {
        let from = one.record.as_ref().ok().map(|record| &record.from);
        if from.is_some_and(|from| from.id == id || from.content().contains(&id)) {
            return refuse(format!("session {}", one.id), copy);
        }
    }
    for gone in trash::all(&session.store)? {
        let meta = gone.entry.meta.as_ref();
        if meta.is_some_and(|meta| meta.content().contains(&id)) {
            let next = format!("{copy}; or rootctl snap delete --now {}", gone.entry.id);
            return refuse(format!("deleted snapshot {}", gone.entry.id), next);
        }
    }
    Ok(())
}

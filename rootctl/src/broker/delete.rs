//! `snap delete`: never what runs, boots next or is kept; never a number a second time. What is deleted lies in the trash
//! until somebody wants its room.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::protocol::store::{Delete, Deleted};
use rootspec::state::State;
use rootspec::trial::Phase;

use crate::guard::Guard;
use crate::session::Session;
use crate::store::list::living_parent;
use crate::store::trash;

/// Deletes snapshots, or says which would be.
pub(crate) fn delete(session: &mut Session, ask: &Delete) -> Result<Deleted> {
    let now = ask.now == Some(true);
    let (living, buried) = named(session, ask, now)?;
    for id in &living {
        may_go(*id, session)?;
        nobody_merges_from(*id, &living, session)?;
    }
    let mut ids = living.clone();
    ids.extend(&buried);
    if ids.is_empty() {
        return Guard::usage("no snapshot was named").err();
    }
    if ask.dry_run != Some(true) {
        if !living.is_empty() {
            bury(session, &living)?;
        }
        if now {
            purge(session, &ids)?;
        }
    }
    Ok(Deleted { ids })
}

/// The snapshots that are meant: those that are there, and those in the trash, which only a deletion for good can mean.
fn named(session: &Session, ask: &Delete, now: bool) -> Result<(Vec<SnapshotId>, Vec<SnapshotId>)> {
    let (mut living, mut buried) = (Vec::new(), Vec::new());
    for target in &ask.targets {
        match session.resolve(target) {
            Ok(id) if ask.recursive == Some(true) => living.extend(with_all_below(id, session)),
            Ok(id) => living.push(id),
            Err(error) if now => match trash::find(&session.store, target) {
                Ok(found) => buried.push(found.entry.id),
                Err(_) => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    for ids in [&mut living, &mut buried] {
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
    }
    Ok((living, buried))
}

/// A snapshot and everything below it in the tree.
fn with_all_below(id: SnapshotId, session: &Session) -> Vec<SnapshotId> {
    let mut below: BTreeMap<SnapshotId, Vec<SnapshotId>> = BTreeMap::new();
    for entry in &session.entries {
        if let Some(above) = living_parent(entry, |id| session.entry(id).is_ok()) {
            below.entry(above).or_default().push(entry.id);
        }
    }
    let mut all = vec![id];
    let mut at = 0;
    while let Some(above) = all.get(at).copied() {
        let found = below.remove(&above).unwrap_or_default().into_iter();
        // Every other one is in one list only.
        all.extend(found.filter(|other| *other != id));
        at += 1;
    }
    all
}

/// Moves snapshots into the trash. Their numbers are used up, and a failed trial of theirs is over.
pub(crate) fn bury(session: &mut Session, ids: &[SnapshotId]) -> Result<()> {
    let state = session.record.need()?;
    let after = after(state, ids);
    if after != *state {
        session.write_state(after)?;
    }
    trash::bury(&session.store, ids, session.lock()?)?;
    session.entries.retain(|entry| !ids.contains(&entry.id));
    Ok(())
}

/// Throws away what is in the trash.
pub(crate) fn purge(session: &mut Session, ids: &[SnapshotId]) -> Result<()> {
    forget_modes(session, ids)?;
    for id in ids {
        trash::purge(&session.store, *id, session.lock()?)?;
    }
    Ok(())
}

/// Is there a rule that says no?
pub(crate) fn may_go(id: SnapshotId, session: &Session) -> Result<()> {
    let state = session.record.need()?;
    let roles = session.roles();
    let refuse = |why: &str, next: &str| {
        Guard::refused(format!("snapshot {id} {why} and stays"))
            .next(next)
            .err()
    };
    if roles.booted == Some(id) {
        return refuse("is running", "boot another one first");
    }
    if roles.base == Some(id) {
        return refuse("is the base", "rootctl snap tree");
    }
    if kept(state).contains(&id) {
        return refuse(
            "is good, was good before, is on trial or is pinned",
            "rootctl status",
        );
    }
    Ok(())
}

/// A snapshot that never booted takes the changes of its base's `/etc` along at its first boot: until then they stay.
fn nobody_merges_from(id: SnapshotId, going: &[SnapshotId], session: &Session) -> Result<()> {
    let waits = |meta: &&Meta| {
        meta.etc_base == Some(id)
            && !going.contains(&meta.id)
            && !session.store.etc(meta.id).exists()
    };
    match session.metas().find(waits) {
        Some(meta) => Guard::refused(format!(
            "snapshot {id} stays: the first boot of snapshot {} takes over its /etc",
            meta.id
        ))
        .next(format!("rootctl snap delete {} {id}", meta.id))
        .err(),
        None => Ok(()),
    }
}

/// What must stay. A failed trial is only remembered, not needed.
fn kept(state: &State) -> Vec<SnapshotId> {
    let mut state = state.clone();
    state.trial = state.trial.filter(|trial| trial.phase != Phase::Failed);
    state.kept()
}

fn forget_modes(session: &mut Session, ids: &[SnapshotId]) -> Result<()> {
    let mut settings = session.settings()?.clone();
    let before = settings.modes.len();
    settings
        .modes
        .retain(|id, _| !ids.iter().any(|gone| gone.to_string() == *id));
    if settings.modes.len() != before {
        settings.save(&session.store, session.lock()?)?;
        session.settings = Ok(settings);
    }
    Ok(())
}

fn after(state: &State, ids: &[SnapshotId]) -> State {
    let highest = ids.iter().map(|id| id.get()).max().unwrap_or(0);
    let mut after = state.clone();
    after.next_id = after.next_id.max(highest.saturating_add(1));
    after.trial = after.trial.filter(|trial| !ids.contains(&trial.id));
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::trial::{Trial, reject};

    #[test]
    fn numbers_of_the_deleted_are_used_up_and_their_failed_trial_is_forgotten() {
        let id = |n| SnapshotId::new(n).unwrap();
        let state = State {
            good: Some(id(1)),
            next_id: 2,
            trial: Some(Trial::armed(id(5), 1)),
            ..State::empty()
        };
        assert!(kept(&state).contains(&id(5)));
        let failed = reject(&state, id(5), "no").unwrap();
        assert!(!kept(&failed).contains(&id(5)));
        let after = after(&failed, &[id(3), id(5)]);
        assert_eq!((after.next_id, after.trial), (6, None));
    }
}

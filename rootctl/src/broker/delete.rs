//! `snap delete`: never what runs, boots next or is kept; never a number a second time.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Delete, Deleted};
use rootspec::state::State;
use rootspec::trial::Phase;

use crate::guard::Guard;
use crate::progress::point;
use crate::session::Session;
use crate::store::subvol;

/// Deletes snapshots, or says which would be.
pub(crate) fn delete(session: &mut Session, ask: &Delete) -> Result<Deleted> {
    let mut ids = Vec::new();
    for target in &ask.targets {
        let id = session.resolve(target)?;
        may_go(id, session)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    for id in &ids {
        nobody_merges_from(*id, &ids, session)?;
    }
    if ids.is_empty() {
        return Guard::usage("no snapshot was named").err();
    }
    if ask.dry_run != Some(true) {
        remember(session, &ids)?;
        for id in &ids {
            remove(session, *id)?;
        }
    }
    Ok(Deleted { ids })
}

fn may_go(id: SnapshotId, session: &Session) -> Result<()> {
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

/// Writes down what must outlive the snapshots: their numbers are used up, their trial and mode are over.
fn remember(session: &mut Session, ids: &[SnapshotId]) -> Result<()> {
    let state = session.record.need()?;
    let after = after(state, ids);
    if after != *state {
        session.write_state(after)?;
    }
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

/// Out of sight in one step, then piece by piece; what a cut leaves is in `tmp/`.
fn remove(session: &mut Session, id: SnapshotId) -> Result<()> {
    let _lock = session.lock()?;
    let grave = session.store.path(names::TMP).join(format!("gone-{id}"));
    subvol::remove_tree(&grave)?;
    std::fs::rename(session.store.snapshot(id), &grave)
        .map_err(|error| sys::SysError::new("move away", session.store.snapshot(id), error))?;
    sys::fs::sync_dir(session.store.path(names::SNAPS))?;
    point("D1");
    session.entries.retain(|entry| entry.id != id);
    subvol::remove_tree(&session.store.etc(id))?;
    subvol::remove_tree(&grave)
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

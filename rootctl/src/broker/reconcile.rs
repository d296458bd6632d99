//! What every change does first: finish what a power cut interrupted, so that record, menu and loader agree again.
//!
//! Nothing here may stop the change itself: what cannot be put right now is said and left. `doctor --fix` does this alone,
//! and reads the boot files on the ESP as well.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::state::State;
use rootspec::trial;

use crate::confirm::make_default;
use crate::deploy::{apply, plan};
use crate::esp;
use crate::guard::words;
use crate::oneshot::OneShot;
use crate::progress::{Progress, log};
use crate::session::Session;
use crate::store::{edits, list, publish, trash};

/// How boot files on the ESP are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// By name and size.
    Names,
    /// Whole: what the menu names is hashed.
    Contents,
}

/// Puts the store and the ESP in order.
pub(crate) fn reconcile(session: &mut Session, progress: &mut Progress<'_>) -> Result<()> {
    put_in_order(session, Look::Names, progress)
}

/// The same, with the content of the boot files, which may take a while.
pub(crate) fn fix(session: &mut Session, progress: &mut Progress<'_>) -> Result<()> {
    put_in_order(session, Look::Contents, progress)
}

fn put_in_order(session: &mut Session, look: Look, progress: &mut Progress<'_>) -> Result<()> {
    // Before everything else: these are snapshots.
    match publish::finish(&session.store, session.lock()?) {
        Ok(0) => {}
        Ok(count) => {
            progress.step(&format!("finish publishing {count} snapshots"));
            session.entries = list::all(&session.store)?;
        }
        Err(error) => log(&format!(
            "published snapshots stay aside: {}",
            words(&error)
        )),
    }
    let mut unfinished = 0;
    match session.store.clear_tmp(session.lock()?) {
        Ok(count) => unfinished += count,
        Err(error) => log(&format!("leftovers stay: {}", words(&error))),
    }
    if let Err(error) = trash::settle(&session.store, session.lock()?) {
        log(&format!("the trash is not in order: {}", words(&error)));
    }
    match edits::settle(&session.store, session.lock()?) {
        Ok(count) => unfinished += count,
        Err(error) => log(&format!("the sessions are not in order: {}", words(&error))),
    }
    if unfinished > 0 {
        progress.step(&format!("threw away {unfinished} unfinished snapshots"));
    }
    if let Err(error) = both_slots(session, progress) {
        log(&format!(
            "the state record keeps one slot: {}",
            words(&error)
        ));
    }
    if let Err(error) = agree(session, look, progress) {
        let why = words(&error);
        log(&format!("menu and record were not compared: {why}"));
        progress.step(&format!("the menu was not compared with the record: {why}"));
    }
    Ok(())
}

/// A record with one damaged slot has no second one to fall back to: it is written once more.
fn both_slots(session: &mut Session, progress: &mut Progress<'_>) -> Result<()> {
    let Some(state) = session.record.state().cloned() else {
        return Ok(());
    };
    if session.record.damage().is_empty() {
        return Ok(());
    }
    progress.step("write the state record anew: a slot was damaged");
    session.write_state(state)
}

fn agree(session: &mut Session, look: Look, progress: &mut Progress<'_>) -> Result<()> {
    let Some(state) = session.record.state().cloned() else {
        return Ok(());
    };
    if let Some(id) = state.confirming {
        progress.step(&format!("finish making snapshot {id} the default"));
        return make_default(session, id, progress);
    }
    if !session.site.has_esp() {
        return Ok(());
    }
    let settings = session.settings()?.clone();
    let esp_dir = session.site.esp()?;
    let facts = esp::look(esp_dir.path(), &settings)?;
    // What the loader was told under another store's menu says nothing of our trial.
    facts.may_be_written(&session.site.claim())?;
    let one_shot = OneShot::of(
        state.trial.as_ref(),
        &settings,
        esp_dir.path(),
        &session.site,
    );
    let state = match settle(&state, session.booted(), one_shot.as_ref())? {
        Some(after) => {
            if let Some(reason) = after.trial.as_ref().and_then(|t| t.reason.as_deref()) {
                progress.step(&format!("record that the trial failed: {reason}"));
            }
            session.write_state(after.clone())?;
            after
        }
        None => state,
    };
    let plan = plan::plan(
        &state,
        session.metas(),
        &settings,
        &session.site.claim(),
        &facts,
    )?;
    let fits = facts.live.as_deref() == Some(plan.text.as_str());
    if !fits {
        progress.step("write the menu anew: it did not fit the record");
    }
    let complete = plan.copies.iter().all(|copy| copy.present);
    if !fits || !complete || look == Look::Contents {
        apply::arrange(
            &session.store,
            &plan,
            (&session.site, esp_dir.path()),
            &settings,
            progress,
        )?;
    }
    if state.menu != plan.state.menu {
        session.write_state(plan.state.clone())?;
    }
    let open = state.trial.as_ref().is_some_and(trial::Trial::is_pending);
    if let (Some(one_shot), false) = (&one_shot, open) {
        one_shot.clear()?;
    }
    crate::deploy::collect(session, &plan, esp_dir.path())
}

/// The record as it will be written when a trial has ended and only the loader knows. Looks and writes nothing.
pub(crate) fn foresee(session: &Session) -> Option<State> {
    let state = session.record.state()?;
    let open = state.trial.as_ref().filter(|trial| trial.is_pending())?;
    if Some(open.id) == session.booted() || !session.site.has_esp() {
        return None;
    }
    let settings = session.settings.as_ref().ok()?;
    let esp_dir = session.site.esp().ok()?;
    let one_shot = OneShot::of(Some(open), settings, esp_dir.path(), &session.site);
    settle(state, session.booted(), one_shot.as_ref()).ok()?
}

/// Ends a trial that the loader will not enter again, seen from another snapshot.
fn settle(
    state: &State,
    booted: Option<SnapshotId>,
    one_shot: Option<&OneShot>,
) -> Result<Option<State>> {
    let (Some(trial), Some(booted), Some(one_shot)) = (&state.trial, booted, one_shot) else {
        return Ok(None);
    };
    if trial.phase == trial::Phase::Failed || trial.id == booted {
        return Ok(None);
    }
    let left = one_shot.tries_left(trial.id)?;
    Ok(verdict(state, trial, left))
}

/// What an open trial means that is not running, with `left` tries at the loader.
fn verdict(state: &State, open: &trial::Trial, left: u8) -> Option<State> {
    let reason = match (left, open.attempts) {
        (1.., _) => return None,
        (0, 0) => {
            "it was never entered: its kernel did not reach the initramfs, or it was not told to the loader"
        }
        (0, _) => "it was entered and not confirmed",
    };
    trial::reject(state, open.id, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::trial::{Phase, Trial};

    #[test]
    fn a_trial_the_loader_will_not_enter_again_has_failed() {
        let id = |n| SnapshotId::new(n).unwrap();
        let mut open = Trial::armed(id(2), 2);
        let state = |trial: &Trial| State {
            good: Some(id(1)),
            trial: Some(trial.clone()),
            ..State::empty()
        };
        assert_eq!(verdict(&state(&open), &open, 1), None);
        let never = verdict(&state(&open), &open, 0).unwrap().trial.unwrap();
        assert!(never.phase == Phase::Failed && never.reason.unwrap().contains("never entered"));
        open.attempts = 1;
        let entered = verdict(&state(&open), &open, 0).unwrap().trial.unwrap();
        assert!(entered.reason.unwrap().contains("not confirmed"));
    }
}

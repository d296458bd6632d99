//! Making a snapshot the default: after a trial that proved good, or because a person says so.

use std::path::Path;

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::BootOk;
use rootspec::state::State;
use rootspec::trial;

use crate::deploy::{apply, collect, plan};
use crate::esp;
use crate::guard::Guard;
use crate::oneshot::OneShot;
use crate::progress::{Progress, point};
use crate::seal;
use crate::session::Session;
use crate::store::settings::Settings;

/// Judges the running snapshot.
pub(crate) fn boot_ok(
    session: &mut Session,
    ask: &BootOk,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let Some(booted) = session.booted() else {
        return Guard::refused("the running system was not booted from a snapshot of this store")
            .next("rootctl status")
            .err();
    };
    if let Some(reason) = &ask.reject {
        return reject(session, booted, reason, progress);
    }
    if session.is_unfrozen(booted) {
        return ran_unfrozen(session, booted, progress);
    }
    match judge(session.record.state(), booted) {
        Verdict::Confirm => make_default(session, booted, progress),
        Verdict::AlreadyGood => {
            progress.step(&format!("snapshot {booted} is good already"));
            Ok(())
        }
        Verdict::No(guard) => guard.err(),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Confirm,
    AlreadyGood,
    No(Guard),
}

/// Only a trial is confirmed by having booted: whoever picked an old snapshot in the menu did not make it the default.
fn judge(state: Option<&State>, booted: SnapshotId) -> Verdict {
    let Some(state) = state else {
        // The record was lost; the snapshot that runs is the best that is known.
        return Verdict::Confirm;
    };
    if state.good == Some(booted) {
        return Verdict::AlreadyGood;
    }
    let next = format!("rootctl rollback {booted} makes it the default");
    match state.trial.as_ref().filter(|trial| trial.id == booted) {
        Some(trial) if trial.phase != trial::Phase::Failed => Verdict::Confirm,
        Some(trial) => {
            let why = trial.reason.as_deref().unwrap_or("no reason was given");
            Verdict::No(
                Guard::refused(format!(
                    "the trial of snapshot {booted} was judged bad: {why}"
                ))
                .next(next),
            )
        }
        None => Verdict::No(
            Guard::refused(format!("snapshot {booted} runs, but it is not on trial")).next(next),
        ),
    }
}

/// An unfrozen snapshot ran as it should. Its trial is over, and what boots by default stays what it was.
fn ran_unfrozen(session: &mut Session, id: SnapshotId, progress: &mut Progress<'_>) -> Result<()> {
    let state = session.record.need()?;
    let verdict = judge(Some(state), id);
    let on_trial = state.trial.as_ref().is_some_and(|trial| trial.id == id);
    match (verdict, state.good) {
        (Verdict::No(guard), _) if on_trial => return guard.err(),
        (Verdict::Confirm, Some(good)) => make_default(session, good, progress)?,
        (Verdict::Confirm, None) => {
            return Guard::refused(format!(
                "snapshot {id} is unfrozen and cannot be the default, and there is no good one"
            ))
            .next("rootctl rollback N (one that is frozen)")
            .err();
        }
        (Verdict::AlreadyGood | Verdict::No(_), _) => {}
    }
    progress.step(&format!(
        "snapshot {id} is unfrozen: it ran, and the default stays what it was"
    ));
    Ok(())
}

fn reject(
    session: &mut Session,
    id: SnapshotId,
    reason: &str,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let Some(after) = trial::reject(session.record.need()?, id, reason) else {
        return Guard::refused(format!(
            "snapshot {id} runs, but it has no open trial to fail"
        ))
        .next("rootctl rollback makes the one before the default")
        .err();
    };
    progress.step(&format!("record that the trial of snapshot {id} failed"));
    session.write_state(after)?;
    crate::reconcile::reconcile(session, progress)?;
    // The loader must not enter it once more. If the ESP cannot be reached, the boot stage still turns it away.
    if let (Ok(esp_dir), Ok(settings)) = (session.site.esp(), session.settings()) {
        let trial = session
            .record
            .state()
            .and_then(|state| state.trial.as_ref());
        if let Some(one_shot) = OneShot::of(trial, settings, esp_dir.path(), &session.site) {
            one_shot.clear()?;
        }
    }
    Ok(())
}

/// The record when `id` has become the default. An open trial of another snapshot ends; a failed one keeps its reason.
pub(crate) fn after(before: &State, id: SnapshotId) -> State {
    let mut after = trial::end_confirm(before, id);
    after.trial = after.trial.filter(|trial| !trial.is_pending());
    after
}

/// What would be done to make `id` the default.
pub(crate) fn plan_default(
    session: &Session,
    id: SnapshotId,
    esp_dir: &Path,
    settings: &Settings,
) -> Result<(State, plan::Plan)> {
    session.whole(id)?;
    session.must_be_frozen(id, "be the default")?;
    let before = match session.record.state() {
        Some(state) => state.clone(),
        None => State {
            next_id: session.next_id()?.get(),
            ..State::empty()
        },
    };
    let facts = esp::look(esp_dir, settings)?;
    let plan = plan::plan(
        &after(&before, id),
        session.metas(),
        settings,
        &session.site.claim(),
        &facts,
    )?;
    Ok((before, plan))
}

/// Makes `id` the default: steps C1 to C6. Cut off anywhere, the next change rolls it forward.
pub(crate) fn make_default(
    session: &mut Session,
    id: SnapshotId,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let settings = session.settings()?.clone();
    let esp_dir = session.site.esp()?;
    let (before, plan) = plan_default(session, id, esp_dir.path(), &settings)?;
    seal::seal(session, id, progress)?;
    progress.step(&format!(
        "C1 record that snapshot {id} is becoming the default"
    ));
    session.write_state(trial::begin_confirm(&before, id))?;
    point("C1")?;
    progress.step(&format!(
        "C2 make snapshot {id} the first entry of the menu"
    ));
    apply::arrange(
        &session.store,
        &plan,
        (&session.site, esp_dir.path()),
        &settings,
        progress,
    )?;
    point("C2")?;
    progress.step(&format!("C3 record that snapshot {id} is good"));
    session.write_state(plan.state.clone())?;
    point("C3")?;
    if let Some(one_shot) = OneShot::of(
        before.trial.as_ref(),
        &settings,
        esp_dir.path(),
        &session.site,
    ) {
        progress.step("C4 take back what the loader was told to try");
        one_shot.clear()?;
    }
    point("C4")?;
    progress.step("C6 remove boot files that no entry names");
    collect(session, &plan, esp_dir.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::trial::Trial;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn on_trial() -> State {
        State {
            good: Some(id(1)),
            previous: Some(id(4)),
            trial: Some(Trial::armed(id(2), 2)),
            ..State::empty()
        }
    }

    #[test]
    fn only_a_trial_is_confirmed_by_booting() {
        let state = on_trial();
        assert_eq!(judge(Some(&state), id(2)), Verdict::Confirm);
        assert_eq!(judge(Some(&state), id(1)), Verdict::AlreadyGood);
        assert!(matches!(judge(Some(&state), id(4)), Verdict::No(_)));
        let failed = trial::reject(&state, id(2), "sshd").unwrap();
        let Verdict::No(guard) = judge(Some(&failed), id(2)) else {
            panic!("confirmed")
        };
        assert!(guard.to_string().contains("judged bad: sshd"), "{guard}");
        assert_eq!(judge(None, id(7)), Verdict::Confirm);
    }

    #[test]
    fn going_back_ends_an_open_trial_and_remembers_a_failed_one() {
        let back = after(&on_trial(), id(4));
        assert_eq!(
            (back.good, back.previous, back.trial),
            (Some(id(4)), Some(id(1)), None)
        );
        let failed = trial::reject(&on_trial(), id(2), "sshd").unwrap();
        assert!(after(&failed, id(4)).trial.is_some());
        assert_eq!(after(&failed, id(2)).trial, None);
    }
}

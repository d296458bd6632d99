//! The counted try of a new snapshot, as a pure state machine.
//!
//! | phase | who enters it | when |
//! |---|---|---|
//! | `armed` | `rootctl deploy` | menu and one-shot are written; nothing was booted yet |
//! | `trying` | boot stage | it has arrived in the snapshot and counted the try, durably |
//! | `failed` | boot stage, `rinit`, `rootctl` | tries used up, or the gate said no |
//!
//! Success has no phase: confirming removes the trial. Whatever is not confirmed boots the good snapshot again without
//! a write, because the default entry was never moved.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;
use crate::limine::MenuPlace;
use crate::state::State;

/// Tries given when nobody says otherwise.
pub const DEFAULT_TRIES: u8 = 2;

/// A snapshot on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which snapshot.
    pub id: SnapshotId,
    /// How often it may be entered without a person's help.
    pub tries_max: u8,
    /// How often it was entered.
    pub attempts: u8,
    /// Where the trial stands.
    pub phase: Phase,
    /// Why it failed, in words.
    pub reason: Option<String>,
    /// Kernel boot ids of the attempts: tells a retry from a second look at the same boot.
    #[serde(default)]
    pub boot_ids: Vec<String>,
    /// Set where the loader forgets nothing by itself: the trial is armed by making it the menu's default, and the boot
    /// stage puts the good one back there before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disarm: Option<MenuPlace>,
}

/// Where a trial stands; the table at the top says who moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Ready for its first boot.
    Armed,
    /// Entered at least once, no verdict yet.
    Trying,
    /// Not good; kept in the record so that `status` can say why.
    Failed,
}

impl Trial {
    /// A trial that was just armed. At least one try is given.
    #[must_use]
    pub fn armed(id: SnapshotId, tries_max: u8) -> Self {
        let tries_max = tries_max.max(1);
        Self {
            id,
            tries_max,
            attempts: 0,
            phase: Phase::Armed,
            reason: None,
            boot_ids: Vec::new(),
            disarm: None,
        }
    }

    /// True until it was judged bad; the last try counts, while it runs. (Success has no phase.)
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.phase != Phase::Failed
    }

    /// True while another try may start.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Failed && self.attempts < self.tries_max
    }
}

/// What the boot stage has to do when it arrives in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// An ordinary boot: nothing is written.
    Ordinary,
    /// Write this record durably, then go on.
    Try(State),
    /// All tries are used up: write this record, then leave this snapshot.
    UsedUp(State),
    /// The trial was judged bad before: leave this snapshot, nothing to write.
    AlreadyFailed,
}

/// Decides what arriving in snapshot `id` means for the record.
///
/// `boot_id` is the kernel's boot id. Does not touch the disk.
#[must_use]
pub fn arrive(state: &State, id: SnapshotId, boot_id: &str) -> Arrival {
    let Some(trial) = state.trial.as_ref().filter(|trial| trial.id == id) else {
        return Arrival::Ordinary;
    };
    // Somebody may have confirmed it and died before the trial was cleared.
    if state.good == Some(id) || state.confirming == Some(id) {
        return Arrival::Ordinary;
    }
    if trial.phase == Phase::Failed {
        // What was good before, or is pinned, has its own entry in the menu: entered by that, it is no try.
        let own_entry = state.previous == Some(id) || state.pins.contains(&id);
        return if own_entry {
            Arrival::Ordinary
        } else {
            Arrival::AlreadyFailed
        };
    }
    let mut next = State {
        seq: state.seq.saturating_add(1),
        ..state.clone()
    };
    if let Some(trial) = next.trial.as_mut() {
        if trial.attempts >= trial.tries_max {
            trial.phase = Phase::Failed;
            trial.reason = Some(format!("not confirmed within {} tries", trial.tries_max));
            return Arrival::UsedUp(next);
        }
        trial.attempts = trial.attempts.saturating_add(1);
        trial.phase = Phase::Trying;
        trial.boot_ids.push(boot_id.to_owned());
    }
    Arrival::Try(next)
}

/// The record after the trial was judged bad; `None` when there is no open trial of `id`.
#[must_use]
pub fn reject(state: &State, id: SnapshotId, reason: &str) -> Option<State> {
    let trial = state
        .trial
        .as_ref()
        .filter(|t| t.id == id && t.phase != Phase::Failed)?;
    let reason = reason.chars().take(200).collect();
    let failed = Trial {
        phase: Phase::Failed,
        reason: Some(reason),
        ..trial.clone()
    };
    Some(State {
        seq: state.seq.saturating_add(1),
        // A confirmation that was cut off must not be finished any more.
        confirming: state.confirming.filter(|confirming| *confirming != id),
        trial: Some(failed),
        ..state.clone()
    })
}

/// The record with which a confirmation of `id` begins.
#[must_use]
pub fn begin_confirm(state: &State, id: SnapshotId) -> State {
    State {
        seq: state.seq.saturating_add(1),
        confirming: Some(id),
        ..state.clone()
    }
}

/// The record with which a confirmation of `id` ends: `id` is good, the former good one is the previous one, and the
/// trial is over if it was about `id`.
#[must_use]
pub fn end_confirm(state: &State, id: SnapshotId) -> State {
    let previous = if state.good == Some(id) {
        state.previous
    } else {
        state.good
    };
    State {
        seq: state.seq.saturating_add(1),
        good: Some(id),
        previous,
        confirming: None,
        trial: state.trial.clone().filter(|trial| trial.id != id),
        ..state.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn on_trial(tries: u8) -> State {
        State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), tries)),
            ..State::empty()
        }
    }

    #[test]
    fn an_ordinary_boot_writes_nothing() {
        assert_eq!(arrive(&on_trial(2), id(1), "b"), Arrival::Ordinary);
    }

    #[test]
    fn a_snapshot_is_entered_exactly_as_often_as_allowed() {
        for tries in 1..5 {
            let mut state = on_trial(tries);
            let mut entered = 0;
            while let Arrival::Try(next) = arrive(&state, id(2), "b") {
                entered += 1;
                state = next;
            }
            assert_eq!(entered, tries);
            let Arrival::UsedUp(last) = arrive(&state, id(2), "b") else {
                panic!("still open")
            };
            assert_eq!(arrive(&last, id(2), "b"), Arrival::AlreadyFailed);
            assert_eq!(last.good, Some(id(1)), "the default never moved");
        }
    }

    #[test]
    fn a_confirmed_snapshot_is_no_longer_counted() {
        let state = begin_confirm(&on_trial(2), id(2));
        assert_eq!(arrive(&state, id(2), "b"), Arrival::Ordinary);
        let done = end_confirm(&state, id(2));
        assert_eq!(
            (done.good, done.previous, done.trial),
            (Some(id(2)), Some(id(1)), None)
        );
    }

    #[test]
    fn confirming_the_good_one_again_keeps_the_previous_one() {
        let once = end_confirm(&on_trial(2), id(2));
        assert_eq!(end_confirm(&once, id(2)).previous, Some(id(1)));
    }

    #[test]
    fn a_failed_trial_of_what_was_good_before_can_still_be_entered_by_its_own_entry() {
        let before = State {
            previous: Some(id(2)),
            ..on_trial(1)
        };
        let state = reject(&before, id(2), "late").unwrap();
        assert_eq!(arrive(&state, id(2), "b"), Arrival::Ordinary);
    }

    #[test]
    fn a_rejection_ends_a_confirmation_that_was_cut_off() {
        let state = reject(&begin_confirm(&on_trial(1), id(2)), id(2), "late").unwrap();
        assert_eq!((state.confirming, state.good), (None, Some(id(1))));
        assert_eq!(arrive(&state, id(2), "b"), Arrival::AlreadyFailed);
    }

    #[test]
    fn the_last_try_is_pending_while_it_runs_and_no_other_may_start() {
        let Arrival::Try(state) = arrive(&on_trial(1), id(2), "b") else {
            panic!("refused")
        };
        let trial = state.trial.unwrap();
        assert!(trial.is_pending() && !trial.is_open());
    }

    #[test]
    fn a_rejected_trial_keeps_its_reason_and_is_not_entered_again() {
        let state = reject(&on_trial(3), id(2), "web was not ready in 60 s").unwrap();
        assert_eq!(arrive(&state, id(2), "b"), Arrival::AlreadyFailed);
        assert!(reject(&state, id(2), "again").is_none());
    }
}

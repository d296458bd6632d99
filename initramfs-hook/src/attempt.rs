//! The counted try of a snapshot: written down before anything that can hang, and judged when something failed.

use anyhow::{Context, Result, anyhow, bail};
use rootspec::SnapshotId;
use rootspec::state::State;
use rootspec::trial::{self, Arrival};
use sys::efivar::{self, EfiVariables, LOADER, PERSISTENT, Variable};
use sys::mount::{Attributes, Unmount, mount, unmount};

use crate::modules::Loader;
use crate::say::Voice;
use crate::store::Store;

/// Longest reason that is kept in the record, in characters: a slot has room for it whatever else it holds.
const REASON: usize = 200;
/// "The one-shot entry is honoured" among `LoaderFeatures` (Boot Loader Interface).
const ONE_SHOT: u64 = 1 << 3;

/// What kind of boot this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// An ordinary one.
    Ordinary,
    /// A counted try.
    Try {
        /// Its number, from 1.
        number: u8,
        /// How many there are.
        max: u8,
    },
}

/// Counts the try, if `id` is on trial. After this returned a [`Entry::Try`], the disk has it. `marked`: the menu says
/// that it is one, which counts when there is no record to ask.
///
/// # Errors
/// The trial is over, or the try cannot be written down: then this snapshot must not be entered.
pub fn enter(store: &mut Store, id: SnapshotId, boot_id: &str, marked: bool) -> Result<Entry> {
    let Some(state) = store.state() else {
        if marked {
            bail!(
                "the try of snapshot {id} cannot be counted, because there is no readable state record, and uncounted \
                 it is not entered; rootctl.count=0 on its command line enters it"
            );
        }
        return Ok(Entry::Ordinary);
    };
    match trial::arrive(state, id, boot_id) {
        Arrival::Ordinary => Ok(Entry::Ordinary),
        Arrival::Try(next) => {
            store.write_state(&next).with_context(|| {
                format!("cannot count the try of snapshot {id}, and uncounted it is not entered")
            })?;
            let trial = next.trial.as_ref();
            Ok(Entry::Try {
                number: trial.map_or(1, |trial| trial.attempts),
                max: trial.map_or(1, |trial| trial.tries_max),
            })
        }
        Arrival::UsedUp(next) => {
            let reason = reason_of(&next);
            store.write_state(&next)?;
            bail!("the trial of snapshot {id} is over: {reason}")
        }
        Arrival::AlreadyFailed => {
            bail!(
                "the trial of snapshot {id} has failed: {}",
                reason_of(state)
            )
        }
    }
}

fn reason_of(state: &State) -> String {
    let reason = state.trial.as_ref().and_then(|trial| trial.reason.clone());
    reason.unwrap_or_else(|| "no reason was recorded".to_owned())
}

/// The record after a try that failed here: with tries left the trial stays open, and says what happened.
#[must_use]
pub fn after_failure(state: &State, id: SnapshotId, reason: &str) -> Option<State> {
    let trial = state.trial.as_ref().filter(|trial| trial.id == id)?;
    if !trial.is_open() {
        return trial::reject(state, id, reason);
    }
    let mut trial = trial.clone();
    trial.reason = Some(reason.chars().take(REASON).collect());
    Some(State {
        seq: state.seq.saturating_add(1),
        trial: Some(trial),
        ..state.clone()
    })
}

/// Writes down why a try failed, as well as it goes: the reboot that follows leads to the good snapshot in any case.
pub fn record_failure(store: &mut Store, id: SnapshotId, reason: &str, voice: &mut Voice) {
    let Some(next) = store
        .state()
        .and_then(|state| after_failure(state, id, reason))
    else {
        return;
    };
    if let Err(error) = store.write_state(&next) {
        voice.warn(format!("the reason is not recorded: {error:#}"));
    }
}

/// Asks an EFI loader to start this entry once more, for the try after this one. GRUB counts by itself; on a machine
/// without EFI there is nothing to do.
pub fn arm_next(entry: Entry, loader: &Loader, voice: &mut Voice) {
    let Entry::Try { number, max } = entry else {
        return;
    };
    if number >= max || !std::path::Path::new("/sys/firmware/efi").is_dir() {
        return;
    }
    // Only a later try is lost when this fails.
    if let Err(error) = with_variables(loader, repeat_entry) {
        voice.warn(format!("the next try is not armed: {error:#}"));
    }
}

fn with_variables(loader: &Loader, act: fn(&EfiVariables) -> Result<()>) -> Result<()> {
    if let Some(variables) = EfiVariables::of_this_machine() {
        return act(&variables);
    }
    if let Some(problem) = loader.load_file_systems(&["efivarfs"]).into_iter().next() {
        bail!(problem);
    }
    let attributes = Attributes::NO_SUID
        .and(Attributes::NO_DEV)
        .and(Attributes::NO_EXEC);
    mount("efivarfs", efivar::DIR, attributes, "")?;
    let result = EfiVariables::of_this_machine().map_or(Ok(()), |variables| act(&variables));
    // The system mounts it itself, where and if it wants.
    unmount(efivar::DIR, Unmount::Detach).ok();
    result
}

/// Makes the entry that was selected for this boot the one-shot entry of the next.
fn repeat_entry(variables: &EfiVariables) -> Result<()> {
    let Some(selected) = variables.read("LoaderEntrySelected", LOADER)? else {
        // GRUB, or a loader without this interface.
        return Ok(());
    };
    let features = variables.read("LoaderFeatures", LOADER)?.and_then(|found| {
        let bytes = *found.data.first_chunk()?;
        Some(u64::from_le_bytes(bytes))
    });
    if features.unwrap_or(0) & ONE_SHOT == 0 {
        return Err(anyhow!("the boot loader does not know one-shot entries"));
    }
    let name = efivar::from_utf16(&selected.data);
    if name.is_empty() {
        return Err(anyhow!(
            "the boot loader does not say which entry it started"
        ));
    }
    let value = Variable {
        attributes: PERSISTENT,
        data: efivar::to_utf16(&name),
    };
    Ok(variables.write("LoaderEntryOneShot", LOADER, &value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::trial::{Phase, Trial};

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn tried(attempts: u8, tries_max: u8) -> State {
        let mut trial = Trial::armed(id(2), tries_max);
        trial.attempts = attempts;
        trial.phase = Phase::Trying;
        State {
            trial: Some(trial),
            ..State::empty()
        }
    }

    #[test]
    fn a_failure_with_tries_left_keeps_the_trial_open_and_says_why() {
        let next = after_failure(&tried(1, 2), id(2), "no root").unwrap();
        let trial = next.trial.unwrap();
        assert_eq!(
            (trial.phase, trial.reason.as_deref(), next.seq),
            (Phase::Trying, Some("no root"), 1)
        );
    }

    #[test]
    fn a_failure_of_the_last_try_ends_the_trial() {
        let trial = after_failure(&tried(2, 2), id(2), "no root")
            .unwrap()
            .trial
            .unwrap();
        assert_eq!(
            (trial.phase, trial.reason.as_deref()),
            (Phase::Failed, Some("no root"))
        );
    }

    #[test]
    fn other_snapshots_leave_no_trace_and_long_reasons_are_cut() {
        assert_eq!(after_failure(&tried(1, 2), id(1), "x"), None);
        let next = after_failure(&tried(1, 2), id(2), &"é".repeat(900)).unwrap();
        assert_eq!(next.trial.unwrap().reason.unwrap().chars().count(), REASON);
    }

    #[test]
    fn the_selected_entry_is_armed_again_only_where_the_loader_honours_it() {
        let dir = std::env::temp_dir().join(format!("boot-efi-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let variables = EfiVariables::at(&dir);
        let set = |name: &str, data: Vec<u8>| {
            let value = Variable {
                attributes: PERSISTENT,
                data,
            };
            variables.write(name, LOADER, &value).unwrap();
        };
        let armed = || variables.read("LoaderEntryOneShot", LOADER).unwrap();
        repeat_entry(&variables).unwrap();
        assert_eq!(armed(), None);
        set("LoaderEntrySelected", efivar::to_utf16("rootctl 7"));
        assert!(repeat_entry(&variables).is_err() && armed().is_none());
        set("LoaderFeatures", 0x200f_u64.to_le_bytes().to_vec());
        repeat_entry(&variables).unwrap();
        assert_eq!(armed().unwrap().data, efivar::to_utf16("rootctl 7"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

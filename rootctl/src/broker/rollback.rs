//! Going back by hand. Going back by itself needs no code: the default was never moved.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{Deployed, Rollback};
use rootspec::state::State;

use crate::confirm::{make_default, plan_default};
use crate::guard::Guard;
use crate::progress::Progress;
use crate::seal;
use crate::session::Session;

/// Makes an earlier snapshot the default, or says what would be done.
pub(crate) fn rollback(
    session: &mut Session,
    ask: &Rollback,
    progress: &mut Progress<'_>,
) -> Result<Deployed> {
    let id = match &ask.target {
        Some(target) => session.resolve(target)?,
        None => back_to(session.record.need()?)?,
    };
    let settings = session.settings()?.clone();
    let steps = {
        let esp_dir = session.site.esp()?;
        let (_before, plan) = plan_default(session, id, esp_dir.path(), &settings)?;
        let mut steps = Vec::from_iter(seal::step(session, id)?);
        steps.push(format!(
            "C1 record that snapshot {id} is becoming the default"
        ));
        steps.extend(plan.steps());
        steps.push(format!("C3 record that snapshot {id} is good"));
        steps.push("C4 take back what the loader was told to try".into());
        steps.push("C6 remove boot files that no entry names".into());
        steps
    };
    if ask.dry_run != Some(true) {
        make_default(session, id, progress)?;
    }
    Ok(Deployed {
        id,
        steps,
        problems: Vec::new(),
    })
}

/// Where to without a target: an open trial is called off, else the one that was good before comes back.
fn back_to(state: &State) -> Result<SnapshotId> {
    let trial = state.trial.as_ref().filter(|trial| trial.is_pending());
    let target = match trial {
        Some(_) => state.good,
        None => state.previous,
    };
    target.ok_or_else(|| {
        Guard::refused("there is no snapshot that was good before")
            .next("rootctl snap tree, then rootctl rollback N")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::trial::Trial;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    #[test]
    fn an_open_trial_is_called_off_first() {
        let mut state = State {
            good: Some(id(2)),
            previous: Some(id(1)),
            ..State::empty()
        };
        assert_eq!(back_to(&state).unwrap(), id(1));
        state.trial = Some(Trial::armed(id(3), 2));
        assert_eq!(back_to(&state).unwrap(), id(2));
        state = rootspec::trial::reject(&state, id(3), "no").unwrap();
        assert_eq!(back_to(&state).unwrap(), id(1));
        assert!(back_to(&State::empty()).is_err());
    }
}

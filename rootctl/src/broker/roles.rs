//! Who is booted, next, good; what a target resolves to.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::state::State;
use rootspec::target::{Role, Target, TargetError};

use crate::guard::Guard;
use crate::store::list::Entry;

/// Who has which role now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Roles {
    /// The running snapshot.
    pub(crate) booted: Option<SnapshotId>,
    /// What boots next.
    pub(crate) next: Option<SnapshotId>,
    /// The last confirmed good one.
    pub(crate) good: Option<SnapshotId>,
    /// The one that was good before.
    pub(crate) previous: Option<SnapshotId>,
    /// The first one imported.
    pub(crate) base: Option<SnapshotId>,
}

impl Roles {
    /// From the record, the boot report's snapshot and what there is.
    pub(crate) fn new(
        state: Option<&State>,
        booted: Option<SnapshotId>,
        entries: &[Entry],
    ) -> Self {
        let good = state.and_then(|state| state.confirming.or(state.good));
        let trial = state.and_then(|state| state.trial.as_ref());
        Self {
            booted,
            next: trial
                .filter(|trial| trial.is_open())
                .map_or(good, |trial| Some(trial.id)),
            good,
            previous: state.and_then(|state| state.previous),
            base: entries.iter().map(|entry| entry.id).min(),
        }
    }

    fn of(&self, role: Role) -> Option<SnapshotId> {
        match role {
            Role::Booted => self.booted,
            Role::Next => self.next,
            Role::Good => self.good,
            Role::Prev => self.previous,
            Role::Base => self.base,
        }
    }

    /// Finds the snapshot that is meant.
    pub(crate) fn resolve(&self, text: &str, entries: &[Entry]) -> Result<SnapshotId> {
        let target: Target = text.parse().map_err(refusal)?;
        let all: Vec<_> = entries.iter().map(Entry::candidate).collect();
        let id = target
            .resolve(&all, |role| self.of(role))
            .map_err(refusal)?;
        // An ancestor may have been deleted; its number is still in the lineage.
        if all.iter().any(|candidate| candidate.id == id) {
            return Ok(id);
        }
        Guard::failed(format!("{text} is snapshot {id}, which was deleted"))
            .next("rootctl snap tree")
            .err()
    }
}

/// An unusable target as a no.
pub(crate) fn refusal(error: TargetError) -> Guard {
    let words = error.to_string();
    match error {
        TargetError::Malformed(_) | TargetError::Ambiguous(..) => Guard::usage(words),
        // The words name the next command themselves.
        TargetError::Unknown(_) => Guard::failed(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;
    use rootspec::trial::Trial;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn entries(all: &[u32]) -> Vec<Entry> {
        let entry = |n: &u32| Entry {
            id: id(*n),
            meta: Some(meta(*n)),
            damage: None,
            remark: None,
            unfrozen: None,
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn an_open_trial_is_next_and_a_failed_one_is_not() {
        let mut state = State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), 2)),
            ..State::empty()
        };
        assert_eq!(Roles::new(Some(&state), None, &[]).next, Some(id(2)));
        state = rootspec::trial::reject(&state, id(2), "no").unwrap();
        assert_eq!(Roles::new(Some(&state), None, &[]).next, Some(id(1)));
        state.confirming = Some(id(3));
        assert_eq!(Roles::new(Some(&state), None, &[]).good, Some(id(3)));
    }

    #[test]
    fn targets_resolve_and_refusals_name_the_next_command() {
        let all = entries(&[1, 3]);
        let roles = Roles::new(None, Some(id(3)), &all);
        assert_eq!(roles.resolve("@booted", &all).unwrap(), id(3));
        assert_eq!(roles.resolve("@base", &all).unwrap(), id(1));
        for bad in ["2", "@good", "../../etc", "x\ny", ""] {
            assert!(roles.resolve(bad, &all).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_deleted_ancestor_is_named_as_deleted() {
        let mut all = entries(&[5]);
        all[0].meta.as_mut().unwrap().lineage = vec![id(4)];
        let roles = Roles::new(None, None, &all);
        let error = roles.resolve("5~1", &all).unwrap_err().to_string();
        assert!(error.contains("snapshot 4, which was deleted"), "{error}");
    }
}

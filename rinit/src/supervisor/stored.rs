//! How long descriptors are kept that a unit left for its next run.

use rootspec::plan::{FdStore, Keep, Unit};

use super::{Action, Core, State, UnitId};

impl Core {
    /// Its run is over.
    pub(super) fn forget_after_run(&mut self, unit: UnitId) {
        let FdStore { max, keep } = self.unit(unit).fdstore;
        if max > 0 && keep == Keep::No {
            self.actions.push(Action::Forget(unit));
        }
    }

    /// It has entered this state.
    pub(super) fn forget_at(&mut self, unit: UnitId, state: State) {
        let FdStore { max, keep } = self.unit(unit).fdstore;
        let rests = matches!(state, State::Down | State::Failed);
        if max > 0 && rests && keep != Keep::Always {
            self.actions.push(Action::Forget(unit));
        }
    }

    /// Its definition is another one now.
    pub(super) fn forget_by(&mut self, unit: UnitId, before: &Unit) {
        let now = self.unit(unit).fdstore;
        if before.fdstore.max > 0 && now.max == 0 {
            self.actions.push(Action::Forget(unit));
        } else if before.fdstore.keep == Keep::Always {
            let state = self.records.at(unit).state;
            self.forget_at(unit, state);
        }
    }
}

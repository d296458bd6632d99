//! What a machine remembers, as a value that outlives this program, and the machine made of it again.
//!
//! Everything is named by unit name: the next program may have another plan. What follows from plan and records is not
//! held: who depends on whom, which deadline is next, who waits for quiet.

use std::collections::BTreeMap;

use rootspec::plan::{Plan, Unit};
use serde::{Deserialize, Serialize};

use super::model::{Clock, Listen};
use super::{Action, Core, Record, State, UnitId, Wish};

/// The machine without its plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeldCore {
    /// All units.
    pub(crate) units: Vec<(String, Record)>,
    /// Units whose files are gone.
    gone: Vec<String>,
    /// The system goes down.
    closing: bool,
}

impl Core {
    /// Everything to go on from. To be asked for when all actions have been taken.
    pub(crate) fn hold(&self) -> HeldCore {
        let name = |unit| self.unit(unit).name.to_string();
        let units = self.records.iter();
        HeldCore {
            units: units
                .map(|(unit, record)| (name(unit), record.clone()))
                .collect(),
            gone: self.gone.iter().copied().map(name).collect(),
            closing: self.closing,
        }
    }

    /// Definitions that wait for their units' processes to end.
    pub(crate) fn successors(&self) -> impl Iterator<Item = (UnitId, &Unit)> {
        self.successors.iter().map(|(unit, next)| (*unit, next))
    }

    /// Goes on from what was held. A unit that the plan does not have is left out.
    pub(crate) fn resume(
        plan: Plan,
        successors: BTreeMap<UnitId, Unit>,
        held: HeldCore,
        now: u64,
    ) -> Self {
        let mut core = Self::new(plan, now);
        core.successors = successors;
        core.closing = held.closing;
        let gone = held.gone.iter();
        core.gone = gone.filter_map(|name| core.plan.find(name)).collect();
        for (name, record) in held.units {
            if let Some(unit) = core.plan.find(&name) {
                *core.records.at_mut(unit) = record;
                core.pick_up(unit);
            }
        }
        let all: Vec<UnitId> = core.records.iter().map(|(unit, _)| unit).collect();
        core.busy = all.iter().map(|unit| core.holds_up(*unit)).sum();
        for unit in all {
            core.enqueue(unit);
        }
        core
    }

    /// What a record stands for beside itself.
    fn pick_up(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        // Whoever looked told the program before; it is looked again.
        if std::mem::take(&mut record.checking) {
            let [state, _, _] = &mut record.deadlines;
            *state = None;
        }
        let [state, idle, socket] = record.deadlines;
        let all = [
            (Clock::State, state),
            (Clock::Idle, idle),
            (Clock::Socket, socket),
        ];
        let care = record.care.as_deref();
        let cares = [
            (Clock::Ask, care.and_then(|care| care.due)),
            (Clock::Watchdog, care.and_then(|care| care.watchdog)),
            (Clock::Life, care.and_then(|care| care.life)),
        ];
        for (clock, due) in all.into_iter().chain(cares) {
            self.timers.extend(due.map(|due| (due, unit, clock)));
        }
        if self.records.at(unit).listen == Listen::Armed {
            self.actions.push(Action::Arm(unit));
        }
    }

    /// A process of it was found that nothing is known about: it was started a moment before a crash. It counts as what it
    /// was to become, so that it is not started twice.
    pub(super) fn found_running(&mut self, unit: UnitId) {
        let starting = super::model::Step::Main(0);
        let oneshot = matches!(self.unit(unit).work, rootspec::plan::Work::Oneshot(_));
        let record = self.records.at_mut(unit);
        record.wish = Wish::Up;
        record.main = true;
        match record.state {
            State::Starting(_) | State::Up | State::Stopping(_) => {}
            State::Down | State::Waiting | State::Backoff | State::Failed if oneshot => {
                self.set_state(unit, State::Starting(starting), String::new());
            }
            State::Down | State::Waiting | State::Backoff | State::Failed => {
                self.set_state(unit, State::Up, String::new());
                self.arrived(unit);
            }
        }
    }
}

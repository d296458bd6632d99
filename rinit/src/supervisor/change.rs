//! Another plan takes the place of the running one. First it is said what that would do, then exactly that is done.
//!
//! A process that runs keeps the definition it was started from until it has ended, so it is stopped as it was started. What
//! units have to do with each other changes at once for all. What was not named in the steps is not touched.

use std::collections::{BTreeMap, BTreeSet};

use rootspec::changeover::{Aligned, Cost, align, differences};
use rootspec::plan::{Plan, Unit, Work};
use rootspec::protocol::init::{Deed, Step};

use super::model::{Clock, Listen};
use super::{Action, Core, State, UnitId, Wish, model, ties};

/// Another plan, and what it would do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changeover {
    aligned: Aligned,
    /// One step per unit that is concerned, by unit.
    pub(crate) steps: BTreeMap<UnitId, Step>,
}

impl Changeover {
    /// The units that will move.
    pub(crate) fn moving(&self) -> Vec<UnitId> {
        let moves = |step: &Step| matches!(step.deed, Deed::Start | Deed::Restart | Deed::Stop);
        let all = self.steps.iter().filter(|(_, step)| moves(step));
        all.map(|(unit, _)| *unit).collect()
    }
}

/// A step in the making.
struct Draft {
    deed: Deed,
    why: Vec<String>,
}

impl Core {
    /// What it would do to put `new` in the place of the running plan.
    pub(crate) fn changeover(&self, new: Plan) -> Changeover {
        let aligned = align(&self.plan, new);
        let mut drafts: BTreeMap<UnitId, Draft> = BTreeMap::new();
        for (unit, definition) in (0..).zip(&aligned.plan.units) {
            if let Some((deed, why)) = self.outlook(unit, definition, &aligned) {
                let why = vec![why];
                drafts.insert(unit, Draft { deed, why });
            }
        }
        for (unit, why) in self.newly_wanted(&aligned) {
            let draft = drafts.entry(unit).or_insert(Draft {
                deed: Deed::Start,
                why: Vec::new(),
            });
            draft.deed = Deed::Start;
            draft.why.push(why);
        }
        let name = |unit: UnitId| {
            let found = usize::try_from(unit)
                .ok()
                .and_then(|at| aligned.plan.units.get(at));
            found
                .map(|found| found.name.to_string())
                .unwrap_or_default()
        };
        let steps = drafts.into_iter().map(|(unit, draft)| {
            let step = Step {
                unit: name(unit),
                deed: draft.deed,
                why: draft.why.join("; "),
            };
            (unit, step)
        });
        Changeover {
            steps: steps.collect(),
            aligned,
        }
    }

    /// What becomes of one unit; `None`: it stays as it is.
    fn outlook(&self, unit: UnitId, new: &Unit, aligned: &Aligned) -> Option<(Deed, String)> {
        let is_known = usize::try_from(unit).is_ok_and(|at| at < self.plan.units.len());
        if aligned.gone.contains(&unit) {
            if self.gone.contains(&unit) {
                return None;
            }
            let deed = if self.is_active(unit) {
                Deed::Stop
            } else {
                Deed::Remove
            };
            return Some((deed, "its file is gone".to_owned()));
        }
        if !is_known || self.gone.contains(&unit) {
            return Some((Deed::Add, "its file is new".to_owned()));
        }
        if aligned.kept.contains(&unit) {
            return Some((Deed::Keep, "its file cannot be used now".to_owned()));
        }
        let last = self
            .successors
            .get(&unit)
            .unwrap_or_else(|| self.unit(unit));
        let found = differences(last, new);
        let what: Vec<&str> = found.iter().map(|difference| difference.what).collect();
        if what.is_empty() {
            return None;
        }
        let what = format!("{} changed", what.join(", "));
        // A connection is served as it was begun.
        let stays = last.serves().is_none()
            && match last.work {
                Work::Service(_) | Work::Container(_) => true,
                Work::Group | Work::Oneshot(_) => false,
            };
        let costly = found
            .iter()
            .any(|difference| difference.cost == Cost::Restart);
        if costly && stays && self.is_active(unit) {
            return Some((Deed::Restart, what));
        }
        let what = if costly && self.is_active(unit) {
            format!("{what}, from its next start on")
        } else {
            what
        };
        Some((Deed::Update, what))
    }

    /// Units that those which are to be up did not need or want so far, each with why.
    fn newly_wanted(&self, aligned: &Aligned) -> Vec<(UnitId, String)> {
        let mut all = Vec::new();
        for (unit, new) in (0..).zip(&aligned.plan.units) {
            let leaves = aligned.gone.contains(&unit) || aligned.kept.contains(&unit);
            if leaves || self.records.at(unit).wish == Wish::Down {
                continue;
            }
            let old = self.unit(unit);
            for (others, verb) in [(&new.needs, "needs"), (&new.wants, "wants")] {
                let known =
                    |other: &&UnitId| old.wants.contains(other) || old.needs.contains(other);
                let is_down = |other: &&UnitId| self.records.at(**other).wish == Wish::Down;
                for other in others
                    .iter()
                    .filter(|other| !known(other) && is_down(other))
                {
                    all.push((*other, format!("{} {verb} it", new.name)));
                }
            }
        }
        all
    }

    fn is_active(&self, unit: UnitId) -> bool {
        let record = self.records.at(unit);
        record.wish == Wish::Up || record.is_alive() || !self.is_at_rest(unit)
    }

    /// No process of it is to be expected, and none of its steps is under way.
    fn is_at_rest(&self, unit: UnitId) -> bool {
        matches!(
            self.records.at(unit).state,
            State::Down | State::Failed | State::Waiting | State::Backoff
        )
    }

    /// Does what [`Self::changeover`] said.
    pub(super) fn adopt(&mut self, changeover: Changeover) {
        let Changeover { aligned, steps } = changeover;
        if self.closing {
            return;
        }
        self.edition = self.edition.saturating_add(1);
        let count = aligned.plan.units.len();
        let known = self.plan.units.len();
        self.records.grow(count);
        self.queued.grow(count);
        self.gone = aligned.gone.iter().copied().collect();
        let old = std::mem::replace(&mut self.plan, aligned.plan);
        let mut listen = Vec::new();
        let mut stored = Vec::new();
        for (at, before) in old.units.into_iter().enumerate() {
            let (Ok(unit), Some(new)) = (UnitId::try_from(at), self.plan.units.get(at)) else {
                continue;
            };
            if self.is_free(unit, &before, new) {
                if before.sockets != new.sockets {
                    listen.push(unit);
                }
                if before.fdstore != new.fdstore {
                    stored.push((unit, before));
                }
                self.successors.remove(&unit);
            } else if let Some(place) = self.plan.units.get_mut(at) {
                let now = meanwhile(before, place);
                let new = std::mem::replace(place, now);
                self.successors.insert(unit, new);
            }
        }
        for unit in (known..count).filter_map(|at| UnitId::try_from(at).ok()) {
            self.records.at_mut(unit).since = self.now;
            listen.push(unit);
        }
        self.turn_round();
        self.busy = self
            .records
            .iter()
            .map(|(unit, _)| self.holds_up(unit))
            .sum();
        for unit in listen {
            self.listen_anew(unit);
        }
        for (unit, before) in stored {
            self.forget_by(unit, &before);
        }
        for (unit, step) in steps {
            match step.deed {
                Deed::Start => self.wish_up(unit),
                Deed::Restart => self.restart(unit),
                Deed::Stop => self.wish_down(unit, "its unit file is gone"),
                Deed::Add | Deed::Update | Deed::Keep | Deed::Remove => {}
            }
        }
    }

    /// A unit may take its new definition at once.
    fn is_free(&self, unit: UnitId, before: &Unit, new: &Unit) -> bool {
        let groups = before.work == Work::Group && new.work == Work::Group;
        if self.is_at_rest(unit) || groups || before == new {
            return true;
        }
        match self.records.at(unit).state {
            State::Starting(_) | State::Stopping(_) => false,
            State::Up | State::Down | State::Failed | State::Waiting | State::Backoff => {
                !is_costly(before, new)
            }
        }
    }

    /// Its last process has ended: from now on its new definition counts.
    pub(super) fn succeed(&mut self, unit: UnitId) {
        let Some(new) = self.successors.remove(&unit) else {
            return;
        };
        let Some(place) = usize::try_from(unit)
            .ok()
            .and_then(|at| self.plan.units.get_mut(at))
        else {
            return;
        };
        self.edition = self.edition.saturating_add(1);
        let old = std::mem::replace(place, new);
        if place.sockets != old.sockets {
            self.listen_anew(unit);
        }
        self.forget_by(unit, &old);
    }

    /// Who has to do with whom is another question now: everybody looks what that means for its next step.
    fn turn_round(&mut self) {
        self.dependents = model::turn_round(&self.plan.units);
        self.tied = ties::turn_round(&self.plan.units);
        let all: Vec<UnitId> = self.records.iter().map(|(unit, _)| unit).collect();
        for unit in all {
            self.enqueue(unit);
        }
    }

    /// Its sockets are others now.
    fn listen_anew(&mut self, unit: UnitId) {
        if let Listen::Armed | Listen::Paused = self.records.at(unit).listen {
            self.actions.push(Action::Disarm(unit));
        }
        self.set_deadline(unit, Clock::Socket, None);
        self.records.at_mut(unit).listen = Listen::None;
        self.actions.push(Action::Listen(unit));
        self.arm_if_lazy(unit);
    }

    /// The number of a unit that is not gone.
    pub(crate) fn find(&self, name: &str) -> Option<UnitId> {
        self.plan
            .find(name)
            .filter(|unit| !self.gone.contains(unit))
    }

    /// Units that are gone, and have nothing left.
    pub(super) fn is_forgotten(&self, unit: UnitId) -> bool {
        self.gone.contains(&unit) && self.is_at_rest(unit)
    }
}

/// There is a difference that only another start brings about.
fn is_costly(old: &Unit, new: &Unit) -> bool {
    let mut found = differences(old, new).into_iter();
    found.any(|difference| difference.cost == Cost::Restart)
}

/// The definition of a unit that runs by `old` until it ends. What it has to do with others is as in `new` at once: a plan
/// is free of contradictions only as a whole.
fn meanwhile(old: Unit, new: &Unit) -> Unit {
    Unit {
        work: old.work,
        ready: old.ready,
        start_timeout: old.start_timeout,
        stop_signal: old.stop_signal,
        stop_timeout: old.stop_timeout,
        kill: old.kill,
        fdstore: old.fdstore,
        conduct: old.conduct,
        care: old.care,
        sockets: old.sockets,
        ..new.clone()
    }
}

/// Numbers of units.
pub(super) type Units = BTreeSet<UnitId>;

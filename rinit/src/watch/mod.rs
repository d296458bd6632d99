//! Paths that start units.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what follows when something has happened at a path; pure |
//! | `side` | PID 1's side of the watcher: started, told, heard, started again |
//! | `link` | what they say to each other |
//!
//! The process that looks is `rinit-helper` (`helper/watch/`).
//!
//! A path may lie on a disk or server that does not answer, so PID 1 looks at none: a process of its own does, the watcher,
//! with a thread for each unit, so that one that hangs hangs alone. It says a thing once, and then not again before it is
//! asked to look again. What changes meanwhile it remembers. So nothing is lost while the unit runs or while PID 1 becomes
//! another program, and nobody who writes all the time keeps PID 1 busy. Without a unit with paths there is no watcher.
//!
//! | phase | a path tells | the unit has ended | it could not start | time |
//! |---|---|---|---|---|
//! | looking | running, or due if the unit is on its way, or resting after too many starts | | | |
//! | due | | running | running | |
//! | running | | looking | resting | |
//! | resting | | | | looking, or running if something was told |

mod link;
mod side;

use std::collections::VecDeque;

use rootspec::plan::{Path, Plan, Work};
use serde::{Deserialize, Serialize};

use crate::supervisor::UnitId;
use crate::timetable::Outcome;
pub(crate) use side::{HeldWatchers, Watchers};

/// What is to be done with one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Start this unit.
    Start(UnitId),
    /// The watcher is to look again for the entry of this number of this unit.
    Look(UnitId, usize),
}

/// How far an entry is, see the table of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Looking,
    Due,
    Running,
    /// Until then; true: it is started then.
    Resting(u64, bool),
}

/// One entry of `[[path]]`.
#[derive(Debug)]
struct Watch {
    owner: UnitId,
    number: usize,
    path: Path,
    /// Its unit is done when it is up.
    oneshot: bool,
    phase: Phase,
    /// Times of starts within the window.
    recent: VecDeque<u64>,
}

/// All entries.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    all: Vec<Watch>,
}

impl Watch {
    /// Starts the unit, unless that was too often.
    fn fire(&mut self, now: u64) -> Option<Deed> {
        let window = self.path.window;
        let old = |then: &u64| now.saturating_sub(*then) > window;
        while self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
        let limit = usize::try_from(self.path.limit).unwrap_or(usize::MAX);
        if limit > 0 && self.recent.len() >= limit {
            self.rest(now, true);
            return None;
        }
        if limit > 0 {
            self.recent.push_back(now);
        }
        self.phase = Phase::Running;
        Some(Deed::Start(self.path.unit))
    }

    fn rest(&mut self, now: u64, told: bool) {
        let until = now.saturating_add(self.path.pause);
        self.phase = Phase::Resting(until, told);
    }

    fn look(&mut self) -> Deed {
        self.phase = Phase::Looking;
        Deed::Look(self.owner, self.number)
    }

    fn note(&mut self, what: Outcome, now: u64) -> Option<Deed> {
        match (self.phase, what) {
            (Phase::Due, _) => self.fire(now),
            (Phase::Running, Outcome::Ended) => Some(self.look()),
            (Phase::Running, Outcome::Up) => self.oneshot.then(|| self.look()),
            (Phase::Running, Outcome::NotStarted) => {
                self.rest(now, false);
                None
            }
            (Phase::Looking | Phase::Resting(..), _) => None,
        }
    }
}

impl Watches {
    /// Takes the paths of a plan. Returns the units that watch something else now; the others go on.
    pub(crate) fn adopt(&mut self, plan: &Plan) -> Vec<UnitId> {
        let of = |all: &[Watch], owner: UnitId| -> Vec<Path> {
            let own = all.iter().filter(|watch| watch.owner == owner);
            own.map(|watch| watch.path.clone()).collect()
        };
        let mut changed = Vec::new();
        for (owner, unit) in (0..).zip(&plan.units) {
            if of(&self.all, owner) != *unit.paths {
                self.all.retain(|watch| watch.owner != owner);
                changed.push(owner);
                let paths = unit.paths.iter().enumerate();
                self.all.extend(paths.map(|(number, path)| Watch {
                    owner,
                    number,
                    path: path.clone(),
                    oneshot: is_oneshot(plan, path.unit),
                    phase: Phase::Looking,
                    recent: VecDeque::new(),
                }));
            }
        }
        changed
    }

    /// True if no unit has paths.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whatever is not just being looked at, for the program that we become.
    fn hold(&self) -> Vec<(UnitId, usize, Phase)> {
        let all = self
            .all
            .iter()
            .filter(|watch| watch.phase != Phase::Looking);
        all.map(|watch| (watch.owner, watch.number, watch.phase))
            .collect()
    }

    /// Goes on from there. How often units were started lately is not known any more.
    fn resume(&mut self, held: Vec<(UnitId, usize, Phase)>) {
        for (owner, number, phase) in held {
            if let Some(watch) = self.find((owner, number)) {
                watch.phase = phase;
            }
        }
    }

    fn find(&mut self, entry: (UnitId, usize)) -> Option<&mut Watch> {
        let mut all = self.all.iter_mut();
        all.find(|watch| (watch.owner, watch.number) == entry)
    }

    /// How long an entry rests from now on, in milliseconds.
    fn rests(&self, entry: (UnitId, usize), now: u64) -> Option<u64> {
        let mut all = self.all.iter();
        let watch = all.find(|watch| (watch.owner, watch.number) == entry)?;
        match watch.phase {
            Phase::Resting(until, _) => Some(until.saturating_sub(now)),
            Phase::Looking | Phase::Due | Phase::Running => None,
        }
    }

    /// The watcher tells that something has happened. `is_moving`: the unit is on its way up or down.
    pub(crate) fn told(
        &mut self,
        entry: (UnitId, usize),
        is_moving: impl Fn(UnitId) -> bool,
        now: u64,
    ) -> Option<Deed> {
        let watch = self.find(entry)?;
        match watch.phase {
            Phase::Looking if is_moving(watch.path.unit) => {
                watch.phase = Phase::Due;
                None
            }
            Phase::Looking => watch.fire(now),
            // It was told by a watcher that has begun anew.
            Phase::Due | Phase::Running | Phase::Resting(..) => None,
        }
    }

    /// What has become of a unit.
    pub(crate) fn note(&mut self, unit: UnitId, what: Outcome, now: u64) -> Vec<Deed> {
        let concerned = self.all.iter_mut().filter(|watch| watch.path.unit == unit);
        concerned
            .filter_map(|watch| watch.note(what, now))
            .collect()
    }

    /// When [`Self::time`] is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let rests = self.all.iter().filter_map(|watch| match watch.phase {
            Phase::Resting(until, _) => Some(until),
            Phase::Looking | Phase::Due | Phase::Running => None,
        });
        rests.min()
    }

    /// Whoever has rested goes on.
    pub(crate) fn time(&mut self, now: u64) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for watch in &mut self.all {
            match watch.phase {
                Phase::Resting(until, true) if until <= now => {
                    watch.recent.clear();
                    deeds.extend(watch.fire(now));
                }
                Phase::Resting(until, false) if until <= now => deeds.push(watch.look()),
                Phase::Looking | Phase::Due | Phase::Running | Phase::Resting(..) => {}
            }
        }
        deeds
    }
}

fn is_oneshot(plan: &Plan, unit: UnitId) -> bool {
    let found = usize::try_from(unit).ok().and_then(|at| plan.units.get(at));
    found.is_some_and(|unit| matches!(unit.work, Work::Oneshot(_)))
}

#[cfg(test)]
mod tests;

//! What units have to do with each other beyond needs, wants and order.
//!
//! | tie of a unit | to another one that |
//! |---|---|
//! | milestone | is started for it and must have been up once |
//! | requires | must be up, and is not started for it; it stops with that one |
//! | follows | it stops and goes round with |
//! | prepared | goes round before each further start of it |
//! | upholds | is started again while it is up |
//! | conflicts | is never up when it is: the later start counts |
//! | reloads | it is reloaded with |
//! | on failure, on success | is started when it has ended so |
//! | serves | it serves a connection of (see `connections`) |

use std::collections::BTreeMap;

use rootspec::plan::{Tie, TieKind, Unit, Work};

use super::again::BREATH;
use super::model::Clock;
use super::start::Path;
use super::stop::PAUSE;
use super::{Core, State, UnitId, Wish};

/// Ties by the unit at their other end.
pub(super) fn turn_round(units: &[Unit]) -> BTreeMap<UnitId, Vec<Tie>> {
    let mut all: BTreeMap<UnitId, Vec<Tie>> = BTreeMap::new();
    for (unit, definition) in (0..).zip(units) {
        for Tie { kind, unit: other } in definition.ties.iter().copied() {
            all.entry(other).or_default().push(Tie { kind, unit });
        }
    }
    all
}

impl Core {
    fn ties(&self, unit: UnitId, kind: TieKind) -> Vec<UnitId> {
        self.unit(unit).tied_to(kind).collect()
    }

    /// Units that have such a tie to this one.
    pub(super) fn tied(&self, unit: UnitId, kind: TieKind) -> impl Iterator<Item = UnitId> + '_ {
        let all = self.tied.get(&unit).into_iter().flatten();
        all.filter(move |tie| tie.kind == kind).map(|tie| tie.unit)
    }

    /// Units that are never up together with it. Either side may say so: while a plan takes the place of another one, the
    /// other side may still go by its old definition.
    pub(super) fn rivals(&self, unit: UnitId) -> Vec<UnitId> {
        let mut all = self.ties(unit, TieKind::Conflicts);
        all.extend(self.tied(unit, TieKind::Conflicts));
        all
    }

    // Up.

    /// What its ties say about its start, after `path` for the rest.
    pub(super) fn tied_path(&self, unit: UnitId, mut path: Path) -> Path {
        let stands = |tie: &&Tie| matches!(tie.kind, TieKind::Milestone | TieKind::Requires);
        for tie in self.unit(unit).ties.iter().filter(stands) {
            let record = self.records.at(tie.unit);
            let met = match tie.kind {
                TieKind::Milestone => record.reached || record.skipped,
                _ => record.state == State::Up && !record.round,
            };
            let rests = matches!(record.state, State::Down | State::Failed);
            if !met && rests && record.wish == Wish::Down {
                let (name, state) = (&self.unit(tie.unit).name, record.state_word());
                return Path::Hopeless(format!("requires {name}, which is {state}"));
            }
            if !met {
                path = Path::Blocked;
            }
        }
        let at_rest = |other| matches!(self.records.at(other).state, State::Down | State::Failed);
        match path {
            Path::Free if !self.rivals(unit).into_iter().all(at_rest) => Path::Blocked,
            path => path,
        }
    }

    /// Milestones that have not been reached yet.
    pub(super) fn milestones_ahead(&self, unit: UnitId) -> Vec<UnitId> {
        let all = self.unit(unit).tied_to(TieKind::Milestone);
        all.filter(|other| !self.records.at(*other).reached)
            .collect()
    }

    /// It is wanted up: those it conflicts with are not any more.
    pub(super) fn push_out(&mut self, unit: UnitId) {
        for other in self.rivals(unit) {
            if self.records.at(other).wish == Wish::Up {
                let name = &self.unit(unit).name;
                let why = format!("stopped because it conflicts with {name}");
                self.wish_down(other, &why);
            }
        }
    }

    /// It is up.
    pub(super) fn arrived(&mut self, unit: UnitId) {
        self.records.at_mut(unit).reached = true;
        for other in self.ties(unit, TieKind::Upholds) {
            let record = self.records.at(other);
            // Only the first time at once: two who push each other out would else never leave each other in peace.
            if record.first.wanted.is_none() {
                self.wish_up(other);
            } else if let State::Down | State::Failed = record.state {
                self.uphold_later(other);
            }
        }
        if let Work::Oneshot(_) = self.unit(unit).work {
            self.start_next(unit, TieKind::OnSuccess);
        }
    }

    // Down.

    /// Who goes down with it; `true`: because it follows.
    pub(super) fn below(&self, unit: UnitId, followers: bool) -> Vec<(UnitId, bool)> {
        let needy = self.dependents.at(unit).needed_by.iter().copied();
        let needy = needy.chain(self.tied(unit, TieKind::Requires));
        let mut all: Vec<_> = needy.map(|other| (other, false)).collect();
        if followers {
            let follow = self.tied(unit, TieKind::Follows);
            all.extend(follow.map(|other| (other, true)));
        }
        all
    }

    /// It has failed for good or ended well: its successors are started.
    pub(super) fn start_next(&mut self, unit: UnitId, how: TieKind) {
        let conduct = self.unit(unit).conduct();
        let (recourse, why) = if how == TieKind::OnFailure {
            let reason = &self.records.at(unit).reason;
            (conduct.on_failure, format!("failed: {reason}"))
        } else {
            (conduct.on_success, "ended well".to_owned())
        };
        self.call_for(unit, recourse, &why);
        for other in self.ties(unit, how) {
            self.wish_up(other);
        }
    }

    /// It is down or failed: after a pause it is started again if somebody upholds it. What was skipped would only be
    /// skipped again.
    pub(super) fn uphold_later(&mut self, unit: UnitId) {
        let record = self.records.at(unit);
        if record.skipped || self.closing || !self.is_upheld(unit) {
            return;
        }
        let pause = match record.state {
            State::Failed => PAUSE,
            _ => self.unit(unit).restart.delay.max(BREATH),
        };
        self.set_timeout(unit, Clock::State, pause);
    }

    pub(super) fn uphold(&mut self, unit: UnitId) {
        if self.is_upheld(unit) {
            self.wish_up(unit);
        }
    }

    fn is_upheld(&self, unit: UnitId) -> bool {
        self.tied(unit, TieKind::Upholds).any(|other| {
            let record = self.records.at(other);
            (record.wish, record.state) == (Wish::Up, State::Up)
        })
    }

    /// It is not to be up for its own sake, and all that would need it rest.
    pub(super) fn is_unneeded(&self, unit: UnitId) -> bool {
        if !self.unit(unit).conduct().only_if_needed {
            return false;
        }
        let dependents = self.dependents.at(unit);
        let edges = dependents.needed_by.iter().chain(&dependents.wanted_by);
        let ties = [TieKind::Requires, TieKind::Upholds];
        let tied = ties.into_iter().flat_map(|kind| self.tied(unit, kind));
        edges.copied().chain(tied).all(|other| {
            let record = self.records.at(other);
            let rests = matches!(record.state, State::Down | State::Failed);
            rests && record.wish == Wish::Down
        })
    }

    // Round.

    /// Stops and starts it in its turn; those who need it stay up meanwhile.
    pub(super) fn go_round(&mut self, unit: UnitId) {
        self.take_round(unit);
        let record = self.records.at_mut(unit);
        if let (Wish::Up, State::Starting(_) | State::Up) = (record.wish, record.state) {
            record.round = true;
            self.enqueue(unit);
        }
    }

    /// It goes round: whoever follows it does too.
    pub(super) fn take_round(&mut self, unit: UnitId) {
        let mut list: Vec<_> = self.tied(unit, TieKind::Follows).collect();
        while let Some(other) = list.pop() {
            let record = self.records.at_mut(other);
            let runs = matches!(record.state, State::Starting(_) | State::Up);
            if record.wish == Wish::Up && runs && !record.round {
                record.round = true;
                self.enqueue(other);
                list.extend(self.tied(other, TieKind::Follows));
            }
        }
    }

    /// It is about to start once more: what prepares it does so again.
    pub(super) fn prepare_again(&mut self, unit: UnitId) {
        for other in self.ties(unit, TieKind::Prepared) {
            if self.records.at(other).state == State::Up {
                self.go_round(other);
            }
        }
    }

    /// Somebody wants it to read its settings again, and whoever reloads with it.
    pub(super) fn reload_all(&mut self, unit: UnitId) {
        let mut all = vec![unit];
        let mut next = 0;
        while let Some(unit) = all.get(next).copied() {
            next = next.saturating_add(1);
            self.reload(unit);
            for other in self.tied(unit, TieKind::Reloads) {
                if !all.contains(&other) {
                    all.push(other);
                }
            }
        }
    }
}

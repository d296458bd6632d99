//! Wishes: who is wanted up or down, and how that spreads along needs. A work list, no recursion.

use std::collections::BTreeSet;

use rootspec::plan::Work;

use super::model::{Listen, Next};
use super::{Core, State, UnitId, Wish};

impl Core {
    /// Wants a unit up, with all it needs and wants.
    pub(super) fn wish_up(&mut self, unit: UnitId) {
        if self.closing {
            return;
        }
        let mut list = vec![unit];
        while let Some(unit) = list.pop() {
            let record = self.records.at_mut(unit);
            let idle = matches!(record.state, State::Down | State::Failed);
            if record.wish == Wish::Up && !idle {
                continue;
            }
            record.wish = Wish::Up;
            record.parting = None;
            let further = idle && record.first.began.is_some();
            if idle {
                record.skipped = false;
                record.done = false;
                record.checked = false;
                record.idled = false;
                record.recent.clear();
                record.exponent = 0;
                self.set_state(unit, State::Waiting, String::new());
            } else {
                // On its way down: it turns round when it has arrived.
                record.again = matches!(record.state, State::Stopping(_));
                self.enqueue(unit);
            }
            if further {
                self.prepare_again(unit);
            }
            self.push_out(unit);
            let definition = self.unit(unit);
            list.extend(definition.needs.iter().chain(&definition.wants));
            list.extend(self.milestones_ahead(unit));
            // Whoever goes down before it may have waited for it to be down first, and need not any more.
            let firsts = [&definition.needs, &definition.wants, &definition.after];
            let firsts: Vec<_> = firsts.into_iter().flatten().copied().collect();
            for first in firsts {
                self.enqueue(first);
            }
        }
    }

    /// Wants a unit down, and first of all everything that needs it.
    pub(super) fn wish_down(&mut self, unit: UnitId, why: &str) {
        let name = self.unit(unit).name.clone();
        let dependents = Next::Down(format!("stopped because it needs {name}"));
        let followers = Next::Down(format!("stopped with {name}"));
        let record = self.records.at_mut(unit);
        record.wish = Wish::Down;
        record.again = false;
        record.parting = Some(Next::Down(why.to_owned()));
        if record.state == State::Failed {
            self.set_state(unit, State::Down, why.to_owned());
        }
        if let State::Stopping(_) = self.records.at(unit).state {
            self.records.at_mut(unit).next = Some(Next::Down(why.to_owned()));
        }
        self.enqueue(unit);
        self.sink_with(unit, &dependents, Some(&followers));
    }

    /// Takes everything down that needs `unit`, which is going; each ends as `parting` says.
    pub(super) fn sink(&mut self, unit: UnitId, parting: &Next) {
        self.sink_with(unit, parting, None);
    }

    /// As [`Self::sink`], and those that follow it too, if there is a parting for them.
    fn sink_with(&mut self, unit: UnitId, needy: &Next, followers: Option<&Next>) {
        let mut list = self.below(unit, followers.is_some());
        while let Some((unit, follows)) = list.pop() {
            let parting = followers.filter(|_| follows).unwrap_or(needy);
            let record = self.records.at_mut(unit);
            if record.wish == Wish::Down {
                continue;
            }
            record.wish = Wish::Down;
            record.again = false;
            record.parting = Some(parting.clone());
            if let State::Stopping(_) = record.state {
                record.next = Some(parting.clone());
            }
            self.enqueue(unit);
            list.extend(self.below(unit, followers.is_some()));
        }
    }

    /// Stops and starts one unit; those who need it stay up meanwhile.
    pub(super) fn restart(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        match (record.wish, record.state) {
            (Wish::Up, State::Starting(_) | State::Up) => {
                record.recent.clear();
                record.exponent = 0;
                self.go_round(unit);
            }
            (Wish::Down, State::Stopping(_) | State::Starting(_) | State::Up) => {
                self.wish_up(unit);
                self.records.at_mut(unit).again = true;
            }
            (Wish::Up, State::Stopping(_)) => {}
            (Wish::Up, State::Backoff) => self.set_state(unit, State::Waiting, String::new()),
            (_, State::Down | State::Failed | State::Waiting) | (Wish::Down, State::Backoff) => {
                self.wish_up(unit);
            }
        }
    }

    /// A timer wants it to run: what is up stays up, but for a oneshot, which is done and does it again. One that is still
    /// at it is left alone.
    pub(super) fn run_again(&mut self, unit: UnitId) {
        let is_done = self.records.at(unit).state == State::Up
            && matches!(self.unit(unit).work, Work::Oneshot(_));
        if is_done {
            self.restart(unit);
        } else {
            self.wish_up(unit);
        }
    }

    /// The system goes down: nobody is wanted any more, and nobody will be.
    pub(super) fn close(&mut self) {
        self.closing = true;
        let all: Vec<UnitId> = self.records.iter().map(|(unit, _)| unit).collect();
        let why = Next::Down("the system is going down".to_owned());
        for unit in all {
            let record = self.records.at_mut(unit);
            record.again = false;
            if record.wish == Wish::Up {
                record.wish = Wish::Down;
                record.parting = Some(why.clone());
                if let State::Stopping(_) = record.state {
                    record.next = Some(why.clone());
                }
            }
            if record.listen == Listen::Armed {
                self.actions.push(super::Action::Disarm(unit));
            }
            self.records.at_mut(unit).listen = Listen::None;
            self.enqueue(unit);
        }
    }

    /// Nobody is wanted any more but `unit`, and what it needs and wants.
    pub(super) fn isolate(&mut self, unit: UnitId) {
        let mut stays = BTreeSet::new();
        let mut list = vec![unit];
        while let Some(other) = list.pop() {
            if stays.insert(other) {
                let definition = self.unit(other);
                list.extend(definition.needs.iter().chain(&definition.wants));
            }
        }
        let wanted = self.records.iter();
        let wanted = wanted.filter(|(_, record)| record.wish == Wish::Up);
        let others: Vec<UnitId> = wanted
            .map(|(other, _)| other)
            .filter(|other| !stays.contains(other))
            .collect();
        let why = format!("stopped because only {} goes on", self.unit(unit).name);
        for other in others {
            self.wish_down(other, &why);
        }
        self.wish_up(unit);
    }

    /// A unit may stop when everything that comes after it, and is to stop too, has.
    pub(super) fn may_stop(&self, unit: UnitId) -> bool {
        let dependents = self.dependents.at(unit);
        let mut all = dependents
            .needed_by
            .iter()
            .chain(&dependents.wanted_by)
            .chain(&dependents.before);
        all.all(|other| {
            let record = self.records.at(*other);
            let stays = record.wish == Wish::Up && !record.round;
            stays || matches!(record.state, State::Down | State::Failed)
        })
    }
}

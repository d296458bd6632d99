//! What a unit says about itself beside that it is ready.

use super::Word;
use super::again::Over;
use super::model::Clock;
use super::{Core, State, UnitId, Wish};

impl Core {
    pub(super) fn said(&mut self, unit: UnitId, word: Word) {
        match word {
            Word::Reloading => self.reloads_itself(unit),
            Word::Stopping => self.stops_itself(unit),
            Word::Extend(millis) => self.extend(unit, millis),
            Word::Alive => self.sign_of_life(unit),
            Word::Hangs => self.hangs(unit),
            Word::Within(millis) => self.signs_within(unit, millis),
        }
    }

    /// It reads its settings again without having been asked.
    fn reloads_itself(&mut self, unit: UnitId) {
        let patience = self.unit(unit).start_timeout;
        let record = self.records.at_mut(unit);
        let idle = record.main && !record.helper && !record.reloading && !record.leaving;
        if (record.wish, record.state, idle) == (Wish::Up, State::Up, true) {
            record.reason.clear();
            record.reloading = true;
            self.set_timeout(unit, Clock::State, patience);
        }
    }

    /// It ends by itself, and has as long for that as if it had been asked.
    fn stops_itself(&mut self, unit: UnitId) {
        let patience = self.unit(unit).stop_timeout;
        let record = self.records.at_mut(unit);
        if record.state == State::Up && record.main && !record.leaving {
            record.leaving = true;
            record.reloading = false;
            self.stop_caring(unit);
            self.set_timeout(unit, Clock::State, patience);
        }
    }

    pub(super) fn leaving_overdue(&mut self, unit: UnitId) {
        let patience = crate::words::duration(self.unit(unit).stop_timeout);
        let why = format!("it said that it stops, and did not within {patience}");
        self.run_over(unit, Over::Trouble, why);
    }

    /// What it does takes longer. A deadline is never made shorter by that.
    fn extend(&mut self, unit: UnitId, millis: u64) {
        let record = self.records.at(unit);
        let moves = match record.state {
            State::Starting(_) | State::Stopping(_) => true,
            State::Up => record.reloading || record.leaving,
            State::Down | State::Waiting | State::Backoff | State::Failed => false,
        };
        let [deadline, ..] = record.deadlines;
        if let (true, Some(due)) = (moves, deadline) {
            let later = self.now.saturating_add(millis).max(due);
            self.set_deadline(unit, Clock::State, Some(later));
        }
    }
}

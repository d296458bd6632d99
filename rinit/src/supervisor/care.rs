//! Whether a unit that is up is well: signs of life that it gives, questions that it answers.

use rootspec::plan::{Health, Remedy, Watchdog};

use super::again::Over;
use super::model::{Clock, Next};
use super::{Core, News, State, UnitId};

impl Core {
    fn watchdog(&self, unit: UnitId) -> Option<&Watchdog> {
        self.unit(unit).care.as_ref()?.watchdog.as_ref()
    }

    fn health(&self, unit: UnitId) -> Option<&Health> {
        self.unit(unit).care.as_ref()?.health.as_ref()
    }

    /// It was up for as long as it may be.
    pub(super) fn life_over(&mut self, unit: UnitId) {
        let (Some(most), State::Up) = (
            self.unit(unit).conduct().max_runtime,
            self.records.at(unit).state,
        ) else {
            return;
        };
        let most = crate::words::duration(most);
        self.run_over(unit, Over::Trouble, format!("it was up for {most}"));
    }

    /// It is up.
    pub(super) fn begin_caring(&mut self, unit: UnitId) {
        if let Some(most) = self.unit(unit).conduct().max_runtime {
            self.set_timeout(unit, Clock::Life, most);
        }
        if self.unit(unit).care.is_none() {
            return;
        }
        let interval = self.health(unit).map(|health| health.question.interval);
        if let Some(interval) = interval {
            self.set_timeout(unit, Clock::Ask, interval);
        }
        self.await_sign(unit);
    }

    /// Its state is another one, or it is about to end.
    pub(super) fn stop_caring(&mut self, unit: UnitId) {
        self.stop_asking(unit);
        self.set_deadline(unit, Clock::Watchdog, None);
        self.set_deadline(unit, Clock::Life, None);
        let state = self.records.at(unit).state;
        if let Some(care) = &mut self.records.at_mut(unit).care {
            (care.misses, care.unwell) = (0, false);
            // What it says before it is up counts once it is.
            if !matches!(state, State::Starting(_) | State::Up) {
                care.within = None;
            }
        }
    }

    // Signs of life.

    /// From now on the next one is awaited.
    fn await_sign(&mut self, unit: UnitId) {
        let Some(interval) = self.watchdog(unit).map(|watchdog| watchdog.interval) else {
            return;
        };
        let told = self.records.at_mut(unit).care().within;
        self.set_timeout(unit, Clock::Watchdog, told.unwrap_or(interval));
    }

    fn is_watched(&self, unit: UnitId) -> bool {
        let record = self.records.at(unit);
        record.state == State::Up && !record.leaving && self.watchdog(unit).is_some()
    }

    pub(super) fn sign_of_life(&mut self, unit: UnitId) {
        if self.is_watched(unit) {
            if self.health(unit).is_none() {
                self.recovered(unit);
            }
            self.await_sign(unit);
        }
    }

    /// It gives them at another pace.
    pub(super) fn signs_within(&mut self, unit: UnitId, millis: u64) {
        if self.watchdog(unit).is_none() {
            return;
        }
        // Else it could keep us busy with nothing but itself.
        self.records.at_mut(unit).care().within = Some(millis.max(1));
        if self.is_watched(unit) {
            self.await_sign(unit);
        }
    }

    /// No sign of life came in time, or it says itself that it is not well.
    pub(super) fn hangs(&mut self, unit: UnitId) {
        if !self.is_watched(unit) {
            return;
        }
        let Some(Watchdog {
            interval,
            signal,
            remedy,
        }) = self.watchdog(unit).cloned()
        else {
            return;
        };
        let told = self.records.at_mut(unit).care().within;
        let within = crate::words::duration(told.unwrap_or(interval));
        let words = format!("it gave no sign of life within {within}");
        let next = match remedy {
            Remedy::Mark | Remedy::Gate => {
                self.mark(unit, words);
                return self.set_deadline(unit, Clock::Watchdog, None);
            }
            Remedy::Restart => self.conclude(unit, Over::Unwell, words),
            Remedy::Stop => self.spread(unit, Next::Failed(words)),
        };
        let record = self.records.at(unit);
        if record.main && !record.helper {
            self.abort(unit, next, signal);
        } else {
            self.leave(unit, next);
        }
    }

    // Questions.

    /// A bad answer: whether it is one too many.
    pub(super) fn is_too_ill(&mut self, unit: UnitId) -> bool {
        let Some((period, retries)) = self
            .health(unit)
            .map(|health| (health.start_period, health.retries))
        else {
            return false;
        };
        let record = self.records.at_mut(unit);
        let up_for = self.now.saturating_sub(record.since);
        if period != 0 && up_for < period {
            return false;
        }
        let care = record.care();
        care.misses = care.misses.saturating_add(1);
        care.misses >= retries
    }

    pub(super) fn is_not_well(&mut self, unit: UnitId, why: &str) {
        let Some((remedy, interval)) = self
            .health(unit)
            .map(|health| (health.remedy, health.question.interval))
        else {
            return;
        };
        let count = self.records.at_mut(unit).care().misses;
        let words = format!("it is not well, as it was asked {count} times: {why}");
        match remedy {
            Remedy::Restart => self.run_over(unit, Over::Unwell, words),
            Remedy::Stop => {
                let next = self.spread(unit, Next::Failed(words));
                self.leave(unit, next);
            }
            Remedy::Mark | Remedy::Gate => {
                self.mark(unit, words);
                self.set_timeout(unit, Clock::Ask, interval);
            }
        }
    }

    /// A good answer.
    pub(super) fn is_well(&mut self, unit: UnitId) {
        self.records.at_mut(unit).care().misses = 0;
        self.recovered(unit);
    }

    /// It stays up; its reason says what is wrong with it.
    fn mark(&mut self, unit: UnitId, words: String) {
        let record = self.records.at_mut(unit);
        let first = !std::mem::replace(&mut record.care().unwell, true);
        record.reason.clone_from(&words);
        if first {
            let (state, reason) = (State::Up, words);
            self.news.push(News {
                unit,
                state,
                reason,
            });
        }
    }

    fn recovered(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        if std::mem::take(&mut record.care().unwell) {
            record.reason.clear();
            let (state, reason) = (State::Up, String::new());
            self.news.push(News {
                unit,
                state,
                reason,
            });
        }
    }

    /// A snapshot with such a unit is not good.
    pub(crate) fn spoils_the_boot(&self, unit: UnitId) -> bool {
        let health = self.health(unit).map(|health| health.remedy);
        let watchdog = self.watchdog(unit).map(|watchdog| watchdog.remedy);
        let gates = [health, watchdog].contains(&Some(Remedy::Gate));
        gates && self.records.at(unit).is_unwell()
    }
}

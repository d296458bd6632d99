//! Settings read again while a unit is up. However that goes, it stays up; a failure is its reason.

use rootspec::plan::Reload;
use sys::process::Exit;

use super::model::{Clock, Command, Role};
use super::{Action, Core, State, UnitId, Wish};

/// What daemons read their settings on.
const HUP: i32 = 1;

impl Core {
    /// Only what is up can read its settings again. One after the other.
    pub(super) fn reload(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        let idle = !record.helper && !record.reloading;
        if (record.wish, record.state, idle) != (Wish::Up, State::Up, true) {
            return;
        }
        let how = self.unit(unit).exec().and_then(|exec| exec.reload.clone());
        let Some(how) = how else {
            return self.restart(unit);
        };
        let patience = self.unit(unit).start_timeout;
        let record = self.records.at_mut(unit);
        record.reason.clear();
        match how {
            Reload::Signal(number) => return self.actions.push(Action::Signal(unit, number)),
            Reload::Notify => self.actions.push(Action::Signal(unit, HUP)),
            Reload::Command(_) => {
                record.helper = true;
                self.actions
                    .push(Action::Run(unit, Role::Helper, Command::Reload));
            }
        }
        self.records.at_mut(unit).reloading = true;
        self.set_timeout(unit, Clock::State, patience);
    }

    /// It is through; an error is told and changes nothing else.
    fn reloaded(&mut self, unit: UnitId, result: Result<(), String>) {
        self.set_deadline(unit, Clock::State, None);
        let record = self.records.at_mut(unit);
        record.reloading = false;
        if let Err(why) = result {
            record.reason = format!("its reload failed: {why}");
        }
    }

    /// `READY=1` of a unit that is up.
    pub(super) fn ready_again(&mut self, unit: UnitId) {
        if self.records.at(unit).reloading && !self.records.at(unit).helper {
            self.reloaded(unit, Ok(()));
        }
    }

    /// The command has ended.
    pub(super) fn reload_ended(&mut self, unit: UnitId, exit: Exit, well: bool) {
        if self.records.at(unit).reloading {
            let words = format!("{}: {exit}", self.command_words(unit, Command::Reload));
            self.reloaded(unit, if well { Ok(()) } else { Err(words) });
        }
        let record = self.records.at(unit);
        if !record.is_alive() && !record.left {
            self.actions.push(Action::Release(unit));
        }
    }

    /// The command could not be started.
    pub(super) fn reload_not_started(&mut self, unit: UnitId, why: String) {
        self.reloaded(unit, Err(why));
    }

    pub(super) fn reload_overdue(&mut self, unit: UnitId) {
        let record = self.records.at(unit);
        if !record.reloading {
            return;
        }
        if record.helper {
            self.actions.push(Action::KillHelper(unit));
        }
        let patience = crate::words::duration(self.unit(unit).start_timeout);
        self.reloaded(unit, Err(format!("it was not through within {patience}")));
    }
}

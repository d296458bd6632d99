//! Questions to a unit, asked again and again by a process in its cgroup.

use rootspec::plan::{Ask, Question, Ready};
use sys::process::Exit;

use super::model::{Clock, Command, Role, Step};
use super::{Action, Core, State, UnitId};
use crate::roles::answer;

/// A question that goes with the state.
type Asked<'a> = (Command, &'a Question);

impl Core {
    /// What it is asked in its state.
    pub(super) fn question(&self, unit: UnitId) -> Option<Asked<'_>> {
        match (self.records.at(unit).state, &self.unit(unit).ready) {
            (State::Starting(Step::Main(_)), Ready::Asked(question)) => {
                Some((Command::AskReady, question))
            }
            (State::Up, _) => {
                let health = self.unit(unit).care.as_ref()?.health.as_ref()?;
                Some((Command::AskHealth, &health.question))
            }
            _ => None,
        }
    }

    /// Asks, if there is something to ask in its state.
    pub(super) fn ask_now(&mut self, unit: UnitId) {
        let Some((command, question)) = self.question(unit) else {
            return;
        };
        let timeout = question.timeout;
        self.records.at_mut(unit).care().asking = true;
        self.set_timeout(unit, Clock::Ask, timeout);
        self.actions.push(Action::Run(unit, Role::Asker, command));
    }

    /// Somebody who asked has ended.
    pub(super) fn answered(&mut self, unit: UnitId, exit: Exit) {
        if exit == Exit::Code(0) {
            return self.answer(unit, Ok(()));
        }
        let words = match (self.question(unit), exit) {
            (
                Some((
                    _,
                    Question {
                        ask: Ask::Own(_), ..
                    },
                )),
                Exit::Code(code),
            ) => words(code),
            _ => exit.to_string(),
        };
        self.answer(unit, Err(words));
    }

    /// The answer, or why there is none.
    pub(super) fn answer(&mut self, unit: UnitId, answer: Result<(), String>) {
        let Some(care) = &mut self.records.at_mut(unit).care else {
            return;
        };
        // Else it is the answer to a question that was taken back.
        if !std::mem::take(&mut care.asking) {
            return;
        }
        self.set_deadline(unit, Clock::Ask, None);
        let Some(interval) = self.question(unit).map(|(_, question)| question.interval) else {
            return;
        };
        let up = self.records.at(unit).state == State::Up;
        match answer {
            Ok(()) if !up => return self.arrive(unit),
            Ok(()) => self.is_well(unit),
            Err(why) if !up => self.records.at_mut(unit).care().answer = why,
            Err(why) if self.is_too_ill(unit) => return self.is_not_well(unit, &why),
            Err(_) => {}
        }
        self.set_timeout(unit, Clock::Ask, interval);
    }

    /// It is time for the next question, or the last one has not been answered.
    pub(super) fn ask_due(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        if record.state == State::Starting(Step::Adopt) {
            return self.actions.push(Action::Adopt(unit));
        }
        if !record.care().asking {
            return self.ask_now(unit);
        }
        let timeout = self
            .question(unit)
            .map_or(0, |(_, question)| question.timeout);
        let patience = crate::words::duration(timeout);
        self.actions.push(Action::EndAsking(unit));
        self.answer(unit, Err(format!("no answer within {patience}")));
    }

    /// The process that its file names cannot be taken over yet.
    pub(super) fn look_again(&mut self, unit: UnitId, why: String) {
        let Ready::PidFile(file) = &self.unit(unit).ready else {
            return;
        };
        let interval = file.interval;
        self.records.at_mut(unit).care().answer = why;
        self.set_timeout(unit, Clock::Ask, interval);
    }

    /// Its state is another one: what was asked is not of interest any more.
    pub(super) fn stop_asking(&mut self, unit: UnitId) {
        let Some(care) = &mut self.records.at_mut(unit).care else {
            return;
        };
        if std::mem::take(&mut care.asking) {
            self.actions.push(Action::EndAsking(unit));
        }
        self.set_deadline(unit, Clock::Ask, None);
    }

    /// What was last answered while it started: `; …`, or nothing.
    pub(super) fn last_answer(&mut self, unit: UnitId) -> String {
        let care = self.records.at_mut(unit).care.as_mut();
        let answer = care.map(|care| std::mem::take(&mut care.answer));
        match answer.filter(|answer| !answer.is_empty()) {
            Some(answer) => format!("; the last answer: {answer}"),
            None => String::new(),
        }
    }
}

/// The exit code of our own asker in words.
fn words(code: u8) -> String {
    match code {
        answer::NO_OWNER => "the name has no owner".to_owned(),
        answer::NONSENSE => "the answer makes no sense".to_owned(),
        answer::REFUSED => "the answer is an error".to_owned(),
        answer::NO_QUESTION => "rinit does not understand itself".to_owned(),
        errno => {
            let error = std::io::Error::from_raw_os_error(i32::from(errno)).to_string();
            let error = error.split(" (os error").next().unwrap_or_default();
            let mut chars = error.chars();
            let first = chars.next().map(|c| c.to_ascii_lowercase());
            first.into_iter().chain(chars).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asker_is_understood() {
        assert_eq!(words(111), "connection refused");
        assert_eq!(words(2), "no such file or directory");
        assert_eq!(words(answer::NO_OWNER), "the name has no owner");
    }
}

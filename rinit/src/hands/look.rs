//! Checking conditions. Whether a path exists is looked up in a child: on a disk or server that does not answer, the
//! question alone would stop PID 1.

use std::collections::VecDeque;

use rootspec::plan::{Test, Unit};
use sys::kernel::Kernel;

use super::token::{Kind, token};
use super::{Hands, KILL};
use crate::supervisor::{Event, Found, UnitId};

/// A look under way.
#[derive(Debug)]
pub(super) struct Look<K: Kernel> {
    pid: u32,
    answers: K::Fd,
    /// What has been answered, `1` or `0` per path.
    found: Vec<u8>,
}

impl<K: Kernel> Hands<K> {
    /// Begins to look, or answers at once where there is nothing to look up.
    pub(super) fn check(&mut self, id: UnitId, unit: &Unit, inbox: &mut VecDeque<Event>) {
        let paths: Vec<&str> = paths(unit).collect();
        if paths.is_empty() {
            return inbox.push_back(Event::Conditions(id, self.judge(unit, &[])));
        }
        match self.kernel.look(&paths, token(Kind::Look, id)) {
            Ok((pid, answers)) => {
                let found = Vec::with_capacity(paths.len());
                self.runs.at_mut(id).look = Some(Look {
                    pid,
                    answers,
                    found,
                });
            }
            Err(error) => {
                let why = sys::chain(&error);
                inbox.push_back(Event::Conditions(id, Found::Unknown(why)));
            }
        }
    }

    /// Answers are there, or the child has ended.
    pub(super) fn look_came(&mut self, id: UnitId, unit: &Unit, inbox: &mut VecDeque<Event>) {
        let Some(look) = &mut self.runs.at_mut(id).look else {
            return;
        };
        let mut bytes = [0; 512];
        let died = match self.kernel.read(&look.answers, &mut bytes) {
            Ok(None) => return,
            Ok(Some(length)) => {
                look.found
                    .extend_from_slice(bytes.get(..length).unwrap_or_default());
                length == 0
            }
            Err(_) => true,
        };
        let whole = look.found.len() >= paths(unit).count();
        let found = std::mem::take(&mut look.found);
        let answer = match (whole, died) {
            (true, _) => self.judge(unit, &found),
            (false, true) => Found::Unknown("whoever looked died".to_owned()),
            (false, false) => {
                look.found = found;
                return;
            }
        };
        self.end_check(id);
        inbox.push_back(Event::Conditions(id, answer));
    }

    /// Nobody waits for the answer any more.
    pub(super) fn end_check(&mut self, id: UnitId) {
        if let Some(look) = self.runs.at_mut(id).look.take() {
            self.kernel.unwatch(&look.answers);
            // It has usually ended by itself.
            self.kernel.signal(look.pid, KILL).ok();
        }
    }

    /// `found`: an answer per path.
    fn judge(&self, unit: &Unit, found: &[u8]) -> Found {
        let mut found = found.iter();
        for condition in &unit.conditions {
            let (holds, words) = match &condition.test {
                Test::PathExists(path) => (found.next() == Some(&b'1'), format!("{path} exists")),
                Test::Cmdline(word) => (
                    self.cmdline.iter().any(|found| found == &**word),
                    format!("\"{word}\" is on the kernel command line"),
                ),
            };
            if holds == condition.negated {
                let found = if holds { "although" } else { "because not:" };
                return Found::Unmet(format!("{found} {words}"));
            }
        }
        Found::Met
    }
}

/// The paths that its conditions are about, in order.
pub(crate) fn paths(unit: &Unit) -> impl Iterator<Item = &str> {
    unit.conditions
        .iter()
        .filter_map(|condition| match &condition.test {
            Test::PathExists(path) => Some(&**path),
            Test::Cmdline(_) => None,
        })
}

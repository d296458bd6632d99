//! Checking conditions. What the machine is like is looked up in a child: on a disk or server that does not answer, the
//! question alone would stop PID 1.

use std::collections::VecDeque;

use rootspec::plan::{Condition, Fact, Unit};
use sys::kernel::Kernel;
use sys::probe::Probe;

use super::token::{Kind, token};
use super::{Hands, KILL};
use crate::supervisor::{Event, Found, UnitId};

/// A look under way.
#[derive(Debug)]
pub(super) struct Look<K: Kernel> {
    pid: u32,
    answers: K::Fd,
    /// What has been answered, `1` or `0` each.
    found: Vec<u8>,
}

impl<K: Kernel> Hands<K> {
    /// Begins to look, or answers at once where there is nothing to look up.
    pub(super) fn check(&mut self, id: UnitId, unit: &Unit, inbox: &mut VecDeque<Event>) {
        let asked: Vec<(Probe, &str)> = asked(unit).collect();
        if asked.is_empty() {
            return inbox.push_back(Event::Conditions(id, self.judge(unit, &[])));
        }
        match self.kernel.look(&asked, token(Kind::Look, id)) {
            Ok((pid, answers)) => {
                let found = Vec::with_capacity(asked.len());
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
        let whole = look.found.len() >= asked(unit).count();
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

    /// `found`: an answer for each question to the child.
    fn judge(&self, unit: &Unit, found: &[u8]) -> Found {
        let mut found = found.iter();
        for condition in &unit.conditions {
            let value = &*condition.value;
            let holds = match condition.fact {
                Fact::Cmdline => self.cmdline.iter().any(|found| found == value),
                Fact::Snapshot => self.snapshot == value,
                Fact::Try => self.trial,
                _ => found.next() == Some(&b'1'),
            };
            if holds == condition.negated {
                let found = if holds { "although" } else { "because not:" };
                let why = format!("{found} {}", words(condition));
                return if condition.must {
                    Found::Wrong(why)
                } else {
                    Found::Unmet(why)
                };
            }
        }
        Found::Met
    }
}

/// What it is about, for people.
fn words(condition: &Condition) -> String {
    let value = &condition.value;
    match condition.fact {
        Fact::PathExists => format!("{value} exists"),
        Fact::Cmdline => format!("\"{value}\" is on the kernel command line"),
        fact => format!("{} {value}", fact.key()).trim_end().to_owned(),
    }
}

/// What the child is asked, in order.
fn asked(unit: &Unit) -> impl Iterator<Item = (Probe, &str)> {
    let all = unit.conditions.iter();
    all.filter_map(|condition| Some((probe(condition.fact)?, &*condition.value)))
}

/// `None`: it is known without a child.
fn probe(fact: Fact) -> Option<Probe> {
    Some(match fact {
        Fact::Cmdline | Fact::Snapshot | Fact::Try => return None,
        Fact::PathExists => Probe::PathExists,
        Fact::PathGlob => Probe::PathGlob,
        Fact::PathIsDir => Probe::PathIsDir,
        Fact::PathIsSymlink => Probe::PathIsSymlink,
        Fact::PathIsMount => Probe::PathIsMount,
        Fact::PathIsRw => Probe::PathIsRw,
        Fact::DirNotEmpty => Probe::DirNotEmpty,
        Fact::FileNotEmpty => Probe::FileNotEmpty,
        Fact::FileIsExecutable => Probe::FileIsExecutable,
        Fact::Kernel => Probe::Kernel,
        Fact::Arch => Probe::Arch,
        Fact::Host => Probe::Host,
        Fact::OsRelease => Probe::OsRelease,
        Fact::Firmware => Probe::Firmware,
        Fact::Security => Probe::Security,
        Fact::Env => Probe::Env,
        Fact::Controller => Probe::Controller,
        Fact::Memory => Probe::Memory,
        Fact::Cpus => Probe::Cpus,
        Fact::AcPower => Probe::AcPower,
    })
}

/// What its conditions are about, for people, as far as that has to be looked up.
pub(crate) fn subjects(unit: &Unit) -> String {
    let all = unit.conditions.iter();
    let looked = all.filter(|condition| probe(condition.fact).is_some());
    let words: Vec<String> = looked.map(words).collect();
    words.join(", ")
}

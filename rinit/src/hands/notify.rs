//! Notifications of units, and who may send them.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use rootspec::plan::NotifyFrom;
use sys::kernel::Kernel;

use super::datagram::{Message, parse};
use super::token::{Kind, token};
use super::{Hands, READ_AT_ONCE};
use crate::supervisor::{Event, Role, UnitId};

/// Where a unit tells.
#[derive(Debug)]
pub(super) struct Ear<K: Kernel> {
    pub(super) fd: K::Fd,
    pub(super) path: String,
    pub(super) from: NotifyFrom,
}

/// What a unit said about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    /// Its last `STATUS=`.
    status: String,
    /// Its last `ERRNO=`.
    errno: i32,
}

impl Said {
    /// In words; empty: nothing.
    pub(super) fn words(&self) -> String {
        if self.errno == 0 {
            return self.status.clone();
        }
        let error = std::io::Error::from_raw_os_error(self.errno).to_string();
        let error = error.split(" (os error").next().unwrap_or_default();
        if self.status.is_empty() {
            error.to_owned()
        } else {
            format!("{}: {error}", self.status)
        }
    }
}

impl<K: Kernel> Hands<K> {
    /// Notifications are there. What comes with them as descriptors and is not to be stored is closed behind them: that is
    /// all that `BARRIER=1` asks for.
    pub(super) fn notify_came(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        for _ in 0..READ_AT_ONCE {
            let Some(ear) = &self.runs.at(id).ear else {
                return;
            };
            let mut bytes = [0; 4096];
            let Ok(Some(received)) = self.kernel.receive(&ear.fd, &mut bytes) else {
                return;
            };
            if !self.is_heard(id, received.pid) {
                self.kernel.discard(received.fds);
                self.unheard(id);
                continue;
            }
            let message = parse(bytes.get(..received.length).unwrap_or_default());
            self.store_came(id, &message, received.fds);
            self.hear(id, message, inbox);
        }
    }

    fn is_heard(&self, id: UnitId, pid: u32) -> bool {
        let run = self.runs.at(id);
        match run.ear.as_ref().map_or(NotifyFrom::Main, |ear| ear.from) {
            NotifyFrom::Main => run.main == Some(pid),
            NotifyFrom::Exec => [run.main, run.helper, run.asker].contains(&Some(pid)),
            NotifyFrom::All => true,
        }
    }

    /// The unit's name, where there is nothing but its socket to know it by.
    pub(super) fn name_by_ear(&self, id: UnitId) -> String {
        let path = self.runs.at(id).ear.as_ref().map(|ear| ear.path.as_str());
        let name = path.and_then(|path| path.rsplit('/').next());
        name.unwrap_or_default().to_owned()
    }

    fn unheard(&mut self, id: UnitId) {
        let name = self.name_by_ear(id);
        self.note_once(format!(
            "{name}: a notification did not count, for another process sent it than [ready] notify_from says"
        ));
    }

    fn hear(&mut self, id: UnitId, message: Message, inbox: &mut VecDeque<Event>) {
        // First: what follows is about that one.
        if let Some(pid) = message.main {
            if let Err(why) = self.have_main(id, pid) {
                self.note(format!("MAINPID={pid} does not count: {why}"));
            }
        }
        let events = message.words.into_iter();
        inbox.extend(events.map(|word| Event::Said(id, word)));
        if message.ready {
            inbox.push_back(Event::Ready(id));
        }
        if message.status.is_some() || message.errno.is_some() {
            let said = self.runs.at_mut(id).said.get_or_insert_default();
            if let Some(status) = message.status {
                said.status = status;
            }
            said.errno = message.errno.unwrap_or(said.errno);
        }
    }

    /// Another process of the unit is the main one from now on.
    pub(super) fn have_main(&mut self, id: UnitId, pid: u32) -> Result<(), String> {
        let run = self.runs.at(id);
        if run.main == Some(pid) {
            return Ok(());
        }
        if self.pids.contains_key(&pid) {
            return Err("it is another process that rinit started".to_owned());
        }
        let Some(group) = &run.group else {
            return Err("without a cgroup nobody knows whose it is".to_owned());
        };
        let told = token(Kind::Gone, id);
        self.kernel
            .follow(pid, group, told)
            .map_err(|error| sys::chain(&error))?;
        let run = self.runs.at_mut(id);
        run.told = true;
        if let Some(old) = run.main.replace(pid) {
            self.pids.remove(&old);
        }
        self.pids.insert(pid, (id, Role::Main));
        Ok(())
    }

    /// A main process that we did not start has ended. If somebody else collects it, nobody tells us how.
    pub(super) fn main_gone(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        let Some(pid) = self.runs.at(id).main else {
            return;
        };
        if !self.kernel.is_lost(pid) {
            return;
        }
        self.pids.remove(&pid);
        self.runs.at_mut(id).main = None;
        let left = self.is_populated(id);
        inbox.push_back(Event::Ended {
            unit: id,
            role: Role::Main,
            exit: sys::process::Exit::Code(0),
            left,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_said_is_shown_with_its_error_in_words() {
        let said = Said {
            status: "cannot serve".to_owned(),
            errno: 2,
        };
        assert_eq!(said.words(), "cannot serve: No such file or directory");
    }
}

//! Connections that are served by a run each.

use std::collections::VecDeque;

use rootspec::plan::{Output, Unit};
use serde::{Deserialize, Serialize};
use sys::kernel::Kernel;
use sys::listen::From;
use sys::process::Job;

use super::Hands;
use super::hold::Fd;
use crate::supervisor::{Event, UnitId};

/// A connection, as long as it is served.
#[derive(Debug)]
pub(super) struct Connection<Fd> {
    /// Until a process has it.
    fd: Option<Fd>,
    from: Source,
    /// The unit whose sockets it came by.
    of: UnitId,
}

impl<Fd> Connection<Fd> {
    pub(super) fn fd(&self) -> Option<&Fd> {
        self.fd.as_ref()
    }
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// An address of the network without its port, or a user: what connections are counted by.
    who: Box<str>,
    /// Of an address.
    port: Option<u16>,
}

impl Source {
    fn new(from: From) -> Self {
        match from {
            From::Net(address) => Self {
                who: address.ip().to_string().into(),
                port: Some(address.port()),
            },
            From::User(uid) => Self {
                who: format!("user {uid}").into(),
                port: None,
            },
        }
    }
}

/// A connection, for the program that we become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldConnection {
    pub(super) fd: Option<Fd>,
    from: Source,
}

impl<K: Kernel> Hands<K> {
    /// Accepts one connection for a place, if there is one.
    pub(super) fn accept(&mut self, id: UnitId, place: &Unit, inbox: &mut VecDeque<Event>) {
        let Some(unit) = place.serves() else { return };
        let count = self.runs.at(unit).sockets.len();
        for at in 0..count {
            let Some((_, fd)) = self.runs.at(unit).sockets.get(at) else {
                return;
            };
            match self.kernel.accept(fd) {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let from = Source::new(accepted.from);
                    let others = self.count_from(unit, &from);
                    let connection = Connection {
                        fd: Some(accepted.fd),
                        from,
                        of: unit,
                    };
                    self.runs.at_mut(id).connection = Some(Box::new(connection));
                    return inbox.push_back(Event::Connected(id, others));
                }
                Err(error) => {
                    let why = sys::chain(&error);
                    let name = place.name.split('@').next().unwrap_or_default();
                    self.note_once(format!("{name}: {why}"));
                    return inbox.push_back(Event::NotAccepted(unit, why));
                }
            }
        }
    }

    /// How many connections of a unit come from there.
    fn count_from(&self, unit: UnitId, from: &Source) -> usize {
        let served = self.runs.iter();
        let served = served.filter_map(|(_, run)| run.connection.as_deref());
        let same = |found: &&Connection<K::Fd>| found.of == unit && found.from.who == from.who;
        served.filter(same).count()
    }

    /// What the process finds in its environment about its connection.
    pub(super) fn announce_connection(&self, id: UnitId, unit: &Unit, job: &mut Job) {
        let Some(connection) = &self.runs.at(id).connection else {
            return;
        };
        if let Some(port) = connection.from.port {
            job.env.push(format!("REMOTE_ADDR={}", connection.from.who));
            job.env.push(format!("REMOTE_PORT={port}"));
        }
        if !is_stdio(unit) {
            job.env.push("LISTEN_FDS=1".to_owned());
            job.env.push("LISTEN_FDNAMES=connection".to_owned());
            job.own_id.push("LISTEN_PID");
        }
    }

    /// A process has it. Ours may be the last one by now, and take long to close.
    pub(super) fn hand_over(&mut self, id: UnitId) {
        let connection = self.runs.at_mut(id).connection.as_mut();
        let fd = connection.and_then(|connection| connection.fd.take());
        self.kernel.discard(fd.into_iter().collect());
    }

    /// Lets go of the connection that a place had.
    pub(super) fn hang_up(&mut self, id: UnitId) {
        self.hand_over(id);
        self.runs.at_mut(id).connection = None;
    }
}

/// Its connection is standard input and output, not a descriptor beside them.
pub(super) fn is_stdio(unit: &Unit) -> bool {
    let exec = unit.exec();
    exec.is_some_and(|exec| [exec.stdout, exec.stderr].contains(&Output::Socket))
}

impl Connection<std::os::fd::OwnedFd> {
    /// For the program that we become.
    pub(super) fn hold(&self) -> HeldConnection {
        HeldConnection {
            fd: self.fd.as_ref().map(Fd::of),
            from: self.from.clone(),
        }
    }
}

impl HeldConnection {
    /// Takes it back.
    pub(super) fn take(self, of: UnitId) -> Connection<std::os::fd::OwnedFd> {
        Connection {
            fd: self.fd.and_then(Fd::take),
            from: self.from,
            of,
        }
    }
}

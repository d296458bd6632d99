//! What is open for units, named so that the program we become can take it back.

use std::collections::VecDeque;

use rootspec::plan::{NotifyFrom, Unit};
use serde::{Deserialize, Serialize};
use sys::handoff::{self, Named};
use sys::kernel::{Kernel, Linux};
use sys::process::Exit;

use super::connection::HeldConnection;
use super::notify::{Ear, Said};
use super::stored::HeldStored;
use super::token::{Kind, token};
use super::{Hands, listen_at};
use crate::supervisor::{Event, Record, Role, State, UnitId};

/// A descriptor: its number, and the inode number behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fd(pub(crate) i32, u64);

impl Fd {
    pub(crate) fn of(fd: impl std::os::fd::AsFd) -> Self {
        let Named { number, node } = handoff::name(fd);
        Self(number, node)
    }

    pub(crate) fn take(self) -> Option<std::os::fd::OwnedFd> {
        let Self(number, node) = self;
        handoff::take(Named { number, node })
    }

    /// See [`handoff::take_any`].
    pub(crate) fn take_any(self) -> Option<std::os::fd::OwnedFd> {
        let Self(number, node) = self;
        handoff::take_any(Named { number, node })
    }
}

/// What is open for one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeldRun {
    pub(crate) unit: String,
    /// Name of its cgroup.
    group: Option<String>,
    /// Nothing is to be started in it.
    spent: bool,
    main: Option<u32>,
    helper: Option<u32>,
    asker: Option<u32>,
    told: bool,
    ready: Option<Fd>,
    notify: Option<(Fd, String, NotifyFrom)>,
    log: Option<(Fd, Fd)>,
    sockets: Vec<(usize, Fd)>,
    said: Option<Box<Said>>,
    /// What it left for its next run.
    stored: Vec<HeldStored>,
    /// What it serves.
    connection: Option<HeldConnection>,
}

impl HeldRun {
    /// All its descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = i32> + '_ {
        let notify = self.notify.iter().map(|(fd, _, _)| *fd);
        let log = self.log.iter().flat_map(|(read, write)| [*read, *write]);
        let sockets = self.sockets.iter().map(|(_, fd)| *fd);
        let all = self.ready.into_iter().chain(notify).chain(log);
        let stored = self.stored.iter().map(|stored| stored.fd);
        let connection = self.connection.iter().filter_map(|served| served.fd);
        let all = all.chain(sockets).chain(stored).chain(connection);
        all.map(|Fd(number, _)| number)
    }
}

/// How sure what was held is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// It was written at the last moment.
    Fresh,
    /// It was written a while before a crash.
    Stale,
}

impl Hands<Linux> {
    /// All units for which something is open.
    pub(crate) fn hold<'a>(&self, name: impl Fn(UnitId) -> &'a str) -> Vec<HeldRun> {
        let all = self.runs.iter();
        let held = all.map(|(id, run)| HeldRun {
            unit: name(id).to_owned(),
            group: run.group.as_ref().map(|group| group.name().to_owned()),
            spent: run.group.as_ref().is_some_and(sys::cgroup::Group::is_spent),
            main: run.main,
            helper: run.helper,
            asker: run.asker,
            told: run.told,
            ready: run.ready.as_ref().map(Fd::of),
            notify: run
                .ear
                .as_ref()
                .map(|ear| (Fd::of(&ear.fd), ear.path.clone(), ear.from)),
            log: run
                .log
                .as_ref()
                .map(|(read, write)| (Fd::of(read), Fd::of(write))),
            sockets: run
                .sockets
                .iter()
                .map(|(number, fd)| (*number, Fd::of(fd)))
                .collect(),
            said: run.said.clone(),
            stored: run
                .store
                .as_ref()
                .map(|store| Self::hold_stored(store))
                .unwrap_or_default(),
            connection: run.connection.as_ref().map(|served| served.hold()),
        });
        held.filter(|run| {
            let open = run.group.is_some() || run.main.is_some() || run.helper.is_some();
            open || run.descriptors().next().is_some()
        })
        .collect()
    }

    /// True while somebody looks for something: whoever takes over could not hear the answer.
    pub(crate) fn is_looking(&self) -> bool {
        self.runs.iter().any(|(_, run)| run.look.is_some())
    }

    /// Takes back what is open for one unit. What happened meanwhile goes into `inbox`.
    pub(crate) fn take_back(
        &mut self,
        (id, unit, record): (UnitId, &Unit, &Record),
        held: HeldRun,
        age: Age,
        inbox: &mut VecDeque<Event>,
    ) {
        let HeldRun {
            group,
            spent,
            main,
            helper,
            asker,
            told,
            ready,
            notify,
            log,
            sockets,
            said,
            stored,
            connection,
            ..
        } = held;
        if let Some(name) = &group {
            match self.kernel.find_group(name) {
                Ok(group) if spent => self.runs.at_mut(id).group = Some(group.spent()),
                Ok(group) => self.runs.at_mut(id).group = Some(group),
                Err(error) => self.note(format!("{}: {}", unit.name, sys::chain(&error))),
            }
        }
        let run = self.runs.at_mut(id);
        run.said = said;
        run.told = told;
        run.log = log.and_then(|(read, write)| Some((read.take()?, write.take()?)));
        run.ready = ready.and_then(Fd::take);
        run.ear = notify.and_then(|(fd, path, from)| {
            let fd = fd.take()?;
            Some(Ear { fd, path, from })
        });
        let found = sockets.into_iter();
        run.sockets = found
            .filter_map(|(number, fd)| Some((number, fd.take()?)))
            .collect();
        self.listen_for_missing(id, unit);
        self.watch_again(id);
        self.take_stored(id, unit, stored, age);
        let connection = connection.zip(unit.serves());
        self.runs.at_mut(id).connection = connection.map(|(held, of)| Box::new(held.take(of)));
        for (role, pid, alive) in [
            (Role::Main, main, record.has(Role::Main)),
            (Role::Helper, helper, record.has(Role::Helper)),
            (Role::Asker, asker, record.has(Role::Asker)),
        ] {
            if pid.is_some_and(|pid| self.is_still(id, pid, age)) {
                self.own(id, role, pid.unwrap_or_default());
            } else if alive && !(age == Age::Stale && self.own_another(id, role)) {
                let left = self.is_populated(id);
                inbox.push_back(Event::Ended {
                    unit: id,
                    role,
                    exit: Exit::Signal(0),
                    left,
                });
            }
        }
        let run = self.runs.at_mut(id);
        if run.main.is_some() && !run.told {
            run.told = true;
            inbox.push_back(Event::Executed(id));
        }
        let waits = matches!(record.state, State::Stopping(_)) || run.main.is_none();
        if waits && run.group.is_some() && !self.is_populated(id) {
            inbox.push_back(Event::Emptied(id));
        }
    }

    /// A unit in whose cgroup there are processes although nothing is known of them: it was started a moment before a crash,
    /// or nothing at all is known any more. True: one of them is its main process from now on.
    pub(crate) fn find_running(&mut self, id: UnitId, unit: &Unit, leaf: &str) -> bool {
        if self.runs.at(id).group.is_some() {
            return false;
        }
        let Ok(group) = self.kernel.find_group(leaf) else {
            return false;
        };
        self.runs.at_mut(id).group = Some(group);
        if !self.own_another(id, Role::Main) {
            self.runs.at_mut(id).group = None;
            return false;
        }
        let run = self.runs.at_mut(id);
        run.told = true;
        if let (Some(pid), None) = (run.main, &run.log) {
            run.log = handoff::output_pipe(pid);
        }
        if let Some(from) = unit.exec().and_then(|exec| exec.notify) {
            if let Err(error) = self.notify_socket(id, unit, from) {
                self.note(format!("{}: {}", unit.name, sys::chain(&error)));
            }
        }
        true
    }

    /// A process that was the unit's still is: no number passes to another process before we have collected it. What was
    /// written a while ago may be about one that was collected.
    fn is_still(&mut self, id: UnitId, pid: u32, age: Age) -> bool {
        let in_group = |group: &sys::cgroup::Group| self.kernel.processes(group).contains(&pid);
        let run = self.runs.at(id);
        let ours = sys::process::is_ours(pid);
        match (age, &run.group) {
            (Age::Fresh, _) if ours => true,
            (_, Some(group)) => in_group(group),
            (_, None) => ours,
        }
    }

    /// The unit was started again meanwhile: a child of ours in its cgroup is the process.
    fn own_another(&mut self, id: UnitId, role: Role) -> bool {
        let processes = match &self.runs.at(id).group {
            Some(group) => self.kernel.processes(group),
            None => return false,
        };
        let free = |pid: &u32| !self.pids.contains_key(pid) && sys::process::is_ours(*pid);
        match processes.into_iter().find(free) {
            Some(pid) => self.own(id, role, pid),
            None => return false,
        }
        true
    }

    fn own(&mut self, id: UnitId, role: Role, pid: u32) {
        let run = self.runs.at_mut(id);
        let taken = match &run.group {
            // A main process that somebody else started.
            Some(group) if !sys::process::is_ours(pid) => {
                self.kernel.follow(pid, group, token(Kind::Gone, id))
            }
            _ => self.kernel.take_back(pid),
        };
        if let Err(error) = taken {
            let why = sys::chain(&error);
            return self.note(why);
        }
        match role {
            Role::Main => run.main = Some(pid),
            Role::Helper => run.helper = Some(pid),
            Role::Asker => run.asker = Some(pid),
        }
        self.pids.insert(pid, (id, role));
    }

    fn listen_for_missing(&mut self, id: UnitId, unit: &Unit) {
        for (number, socket) in unit.sockets.iter().enumerate() {
            let mut open = self.runs.at(id).sockets.iter();
            let unknown = socket.group.is_some() && socket.gid.is_none();
            if unknown || open.any(|(at, _)| *at == number) {
                continue;
            }
            match self.kernel.listen(&listen_at(socket)) {
                Ok(fd) => self.runs.at_mut(id).sockets.push((number, fd)),
                Err(error) => self.note(format!("{}: {}", unit.name, sys::chain(&error))),
            }
        }
        self.runs
            .at_mut(id)
            .sockets
            .sort_by_key(|(number, _)| *number);
    }

    fn watch_again(&mut self, id: UnitId) {
        let run = self.runs.at(id);
        let ready = run.ready.iter().map(|fd| (fd, Kind::Ready));
        let notify = run.ear.iter().map(|ear| (&ear.fd, Kind::Notify));
        let mut failed = None;
        for (fd, kind) in ready.chain(notify) {
            failed = self.kernel.watch(fd, token(kind, id)).err().or(failed);
        }
        if let Some(error) = failed {
            self.note(sys::chain(&error));
        }
    }
}

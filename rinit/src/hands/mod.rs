//! The hands of supervision: do what the pure machine decided, and tell it what came of it.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what is open per unit, the actions that touch running processes, what comes in by descriptors |
//! | `launch` | starting one process: command, environment, descriptors, cgroup |
//! | `look` | checking conditions |
//! | `hold` | what is open, named for the program we become |
//! | `token` | the numbers that descriptors are watched under |
//! | `notify` | what units say, and who may say it |
//! | `datagram` | how they say it: `sd_notify(3)` |
//! | `connection` | connections that are served by a run each |
//! | `stored` | descriptors that they leave for their next run |

pub(crate) mod connection;
pub(crate) mod datagram;
pub(crate) mod hold;
mod launch;
pub(crate) mod look;
pub(crate) mod notify;
pub(crate) mod stored;
pub(crate) mod token;

use std::collections::{BTreeMap, VecDeque};

use rootspec::plan::{Carries, Exec, Kill, Place, Plan, Ready, Socket, Unit};
use sys::kernel::Kernel;
use sys::listen::{self, ListenAt};
use sys::process::Wait;

use crate::supervisor::{Action, Event, PerUnit, Role, UnitId};
use connection::Connection;
pub(crate) use launch::{NOTIFY_DIR, PID_DIR};
use look::Look;
use notify::{Ear, Said};
use stored::Store;
use token::{Kind, token};

/// Most children collected in one go; the rest has its turn in the next lap.
const REAP_AT_ONCE: usize = 256;
/// Most datagrams read in one go from one unit.
const READ_AT_ONCE: usize = 16;
/// SIGKILL.
const KILL: i32 = 9;
/// SIGHUP.
const HUP: i32 = 1;

/// What is open for one unit.
#[derive(Debug)]
struct Run<K: Kernel> {
    group: Option<K::Group>,
    /// Nobody is in the cgroup, as far as we were told.
    emptied: bool,
    main: Option<u32>,
    helper: Option<u32>,
    asker: Option<u32>,
    /// Whether the exec of the present main process was told.
    told: bool,
    ready: Option<K::Fd>,
    ear: Option<Ear<K>>,
    /// Both ends of its log; kept as long as we live, so that nothing is lost when somebody else dies.
    log: Option<(K::Fd, K::Fd)>,
    /// Those that could be opened, with their numbers in the plan.
    sockets: Vec<(usize, K::Fd)>,
    /// Its conditions are being checked.
    look: Option<Look<K>>,
    said: Option<Box<Said>>,
    /// What it left for its next run.
    store: Option<Box<Store<K::Fd>>>,
    /// What it serves.
    connection: Option<Box<Connection<K::Fd>>>,
}

impl<K: Kernel> Default for Run<K> {
    fn default() -> Self {
        Self {
            group: None,
            emptied: false,
            main: None,
            helper: None,
            asker: None,
            told: false,
            ready: None,
            ear: None,
            log: None,
            sockets: Vec::new(),
            look: None,
            said: None,
            store: None,
            connection: None,
        }
    }
}

/// Everything that is open for units.
#[derive(Debug)]
pub(crate) struct Hands<K: Kernel> {
    pub(crate) kernel: K,
    runs: PerUnit<Run<K>>,
    pids: BTreeMap<u32, (UnitId, Role)>,
    null: Option<K::Fd>,
    /// Words of the kernel command line.
    cmdline: Vec<String>,
    /// Number of the running snapshot, for conditions; empty: none.
    pub(crate) snapshot: String,
    /// This boot is a try of a new snapshot.
    pub(crate) trial: bool,
    /// Things to tell people, once.
    notes: Vec<String>,
    noted: Vec<String>,
    /// Units whose log is new.
    new_logs: Vec<UnitId>,
    /// Cgroups that no run needs: the unit's next run takes its own over, or it is removed when there is time.
    spare_groups: BTreeMap<UnitId, K::Group>,
    /// Dead children that belong to no unit.
    others: Vec<u32>,
    /// The unit whose dead process is being dealt with.
    pub(crate) concerned: Option<UnitId>,
    /// Why the last boot was judged bad: the last argument of the unit `boot-bad`.
    pub(crate) verdict: String,
}

/// The plan's words in the kernel's.
fn listen_at(socket: &Socket) -> ListenAt<'_> {
    ListenAt {
        kind: match socket.address.kind {
            Carries::Stream => listen::Kind::Stream,
            Carries::Datagrams => listen::Kind::Datagrams,
            Carries::Packets => listen::Kind::Packets,
            Carries::Fifo => listen::Kind::Fifo,
        },
        place: match &socket.address.place {
            Place::Path(path) => listen::Place::Path(path),
            Place::Abstract(name) => listen::Place::Abstract(name),
            Place::Net(address) => listen::Place::Net(*address),
        },
        mode: socket.mode,
        group: socket.gid,
        backlog: socket.backlog,
        accept: socket.accept.is_some(),
    }
}

impl<K: Kernel> Hands<K> {
    /// For so many units; nothing is open yet.
    pub(crate) fn new(kernel: K, units: usize, cmdline: &str) -> Self {
        Self {
            kernel,
            runs: PerUnit::new(units),
            pids: BTreeMap::new(),
            null: None,
            cmdline: cmdline
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            snapshot: String::new(),
            trial: false,
            notes: Vec::new(),
            noted: Vec::new(),
            new_logs: Vec::new(),
            spare_groups: BTreeMap::new(),
            others: Vec::new(),
            concerned: None,
            verdict: String::new(),
        }
    }

    /// Opens the sockets of all units, before anything starts.
    pub(crate) fn listen(&mut self, plan: &Plan) {
        for (unit, definition) in (0..).zip(&plan.units) {
            self.listen_for(unit, definition);
        }
    }

    /// Closes the sockets of a unit, if it has any open, and opens those of its definition.
    fn listen_for(&mut self, id: UnitId, unit: &Unit) {
        // It may be new.
        self.runs
            .grow(usize::try_from(id).map_or(0, |at| at.saturating_add(1)));
        self.runs.at_mut(id).sockets.clear();
        for (number, socket) in unit.sockets.iter().enumerate() {
            if let (Some(group), None) = (&socket.group, socket.gid) {
                let name = &unit.name;
                self.note(format!(
                    "{name}: the group {group} of its socket is unknown"
                ));
                continue;
            }
            match self.kernel.listen(&listen_at(socket)) {
                Ok(fd) => self.runs.at_mut(id).sockets.push((number, fd)),
                Err(error) => {
                    let why = sys::chain(&error);
                    self.note(format!("{}: {why}", unit.name));
                }
            }
        }
    }

    /// Takes what people should know.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Takes dead children that belong to no unit.
    pub(crate) fn take_others(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.others)
    }

    /// Takes the units whose log is new.
    pub(crate) fn take_new_logs(&mut self) -> Vec<UnitId> {
        std::mem::take(&mut self.new_logs)
    }

    /// Reading ends of all logs.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (UnitId, &K::Fd)> {
        self.runs
            .iter()
            .filter_map(|(unit, run)| run.log.as_ref().map(|(read, _)| (unit, read)))
    }

    /// The reading end of one unit's log.
    pub(crate) fn log(&self, unit: UnitId) -> Option<&K::Fd> {
        self.runs.at(unit).log.as_ref().map(|(read, _)| read)
    }

    /// A unit's main process.
    pub(crate) fn main_pid(&self, unit: UnitId) -> Option<u32> {
        self.runs.at(unit).main
    }

    /// What a unit last said about itself.
    pub(crate) fn status(&self, unit: UnitId) -> String {
        let said = self.runs.at(unit).said.as_ref();
        said.map(|said| said.words()).unwrap_or_default()
    }

    fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// As [`Self::note`], once in a lifetime.
    fn note_once(&mut self, text: String) {
        if !self.noted.contains(&text) {
            self.noted.push(text.clone());
            self.notes.push(text);
        }
    }

    /// Does one thing. Answers go into `inbox`.
    pub(crate) fn perform(&mut self, action: Action, unit: &Unit, inbox: &mut VecDeque<Event>) {
        match action {
            Action::Check(id) => self.check(id, unit, inbox),
            Action::EndCheck(id) => self.end_check(id),
            Action::EndAsking(id) => {
                if let Some(pid) = self.runs.at_mut(id).asker.take() {
                    self.pids.remove(&pid);
                    self.kernel.signal(pid, KILL).ok();
                }
            }
            Action::Run(id, role, command) => self.launch((id, unit), role, command, inbox),
            Action::Adopt(id) => inbox.push_back(self.adopt(id, unit)),
            Action::Ask(id) => self.ask(id, unit),
            Action::Signal(id, number) => {
                if let Some(pid) = self.runs.at(id).main {
                    // Gone already: its end is on its way to us.
                    self.kernel.signal(pid, number).ok();
                }
            }
            Action::KillHelper(id) => {
                if let Some(pid) = self.runs.at(id).helper {
                    self.kernel.signal(pid, KILL).ok();
                }
            }
            Action::KillGroup(id) => self.kill_group(id, inbox),
            Action::KillMain(id) => {
                let run = self.runs.at(id);
                for pid in [run.main, run.helper, run.asker].into_iter().flatten() {
                    self.kernel.signal(pid, KILL).ok();
                }
            }
            Action::KillSession(id) => self.kill_processes(id),
            Action::Last(id, signal) => {
                // What is left of a mixed one, too, although only its main process was asked.
                let kill = if unit.kill.spares_others() {
                    unit.kill
                } else {
                    Kill::Cgroup
                };
                self.tell(id, kill, signal);
            }
            Action::Release(id) => self.release(id, unit),
            Action::Arm(id) => self.arm(id, unit),
            Action::Disarm(id) => self.disarm(id),
            Action::Listen(id) => self.listen_for(id, unit),
            Action::Forget(id) => {
                self.forget(id);
                self.hang_up(id);
            }
            Action::Accept(id) => self.accept(id, unit, inbox),
        }
    }

    fn adopt(&mut self, id: UnitId, unit: &Unit) -> Event {
        if let Ready::PidFile(file) = &unit.ready {
            let adopted = self.adopt_left(id, &file.path);
            return adopted.map_or_else(|why| Event::NotAdopted(id, why), |()| Event::Adopted(id));
        }
        let path = launch::pid_file(unit);
        let text = match self.kernel.read_file(&path) {
            Ok(text) => text,
            Err(error) => return Event::NotAdopted(id, sys::chain(&error)),
        };
        let Ok(pid) = text.trim().parse::<u32>() else {
            return Event::NotAdopted(id, format!("{path} holds no process id"));
        };
        match self.kernel.adopt(pid) {
            Ok(()) => {
                self.runs.at_mut(id).main = Some(pid);
                self.pids.insert(pid, (id, Role::Main));
                Event::Adopted(id)
            }
            Err(error) => Event::NotAdopted(id, sys::chain(&error)),
        }
    }

    /// Takes over the process that the unit's command has left, as its file says. Whatever else may write there: only a
    /// process in the cgroup of this very run will do.
    fn adopt_left(&mut self, id: UnitId, path: &str) -> Result<(), String> {
        let below = path.strip_prefix("/run/").unwrap_or(path);
        let text = self.kernel.read_run(below);
        let text = text.map_err(|error| sys::chain(&error))?;
        let pid = text.trim().parse::<u32>().ok().filter(|pid| *pid > 1);
        let pid = pid.ok_or_else(|| format!("{path} holds no process id"))?;
        self.have_main(id, pid)
            .map_err(|why| format!("{path} names process {pid}: {why}"))
    }

    fn ask(&mut self, id: UnitId, unit: &Unit) {
        self.tell(id, unit.kill, unit.stop_signal);
        if unit.conduct().hup && unit.stop_signal != HUP {
            self.tell(id, unit.kill, HUP);
        }
    }

    /// Sends a signal to whom it is for.
    fn tell(&mut self, id: UnitId, kill: Kill, signal: i32) {
        let run = self.runs.at_mut(id);
        if let (Kill::Cgroup, Some(group)) = (kill, &run.group) {
            if self.kernel.signal_group(group, signal).is_ok() {
                return;
            }
        }
        for pid in [run.main, run.helper].into_iter().flatten() {
            // One that was adopted may lead no process group.
            let told = kill == Kill::Group && self.kernel.signal_session(pid, signal);
            if !told {
                // Gone already: its end is on its way to us.
                self.kernel.signal(pid, signal).ok();
            }
        }
    }

    fn kill_group(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        let run = self.runs.at_mut(id);
        let killed = match &mut run.group {
            Some(group) => self.kernel.kill_group(group),
            None => Ok(()),
        };
        let alone = run.group.is_none() || killed.is_err();
        if let Err(error) = killed {
            let why = sys::chain(&error);
            self.note(why);
        }
        if alone {
            // Without a cgroup the session is the next best thing.
            self.kill_processes(id);
            inbox.push_back(Event::Emptied(id));
        }
    }

    fn kill_processes(&mut self, id: UnitId) {
        let run = self.runs.at(id);
        for pid in [run.main, run.helper, run.asker].into_iter().flatten() {
            if self.kernel.signal(pid, KILL).is_ok() {
                self.kernel.signal_session(pid, KILL);
            }
        }
    }

    fn release(&mut self, id: UnitId, unit: &Unit) {
        let run = self.runs.at_mut(id);
        if let Some(fd) = run.ready.take() {
            self.kernel.unwatch(&fd);
        }
        if let Some(ear) = run.ear.take() {
            self.kernel.unwatch(&ear.fd);
            self.kernel.unlink(&ear.path);
            self.kernel.close(ear.fd);
        }
        let emptied = run.emptied;
        let Some(group) = run.group.take() else {
            return;
        };
        // The next run is to find neither limits nor anybody in it.
        let plain = |exec: &Exec| exec.cgroup.is_empty() && !exec.delegate;
        if emptied && unit.exec().is_some_and(plain) {
            self.spare_groups.insert(id, group);
        } else {
            self.kernel.remove_group(group);
        }
    }

    /// True while [`Self::tidy`] has something to do.
    pub(crate) fn is_untidy(&self) -> bool {
        !self.spare_groups.is_empty()
    }

    /// Takes away cgroups that no run needs, so many at once: nobody waits for it.
    pub(crate) fn tidy(&mut self, most: usize) {
        for _ in 0..most {
            let Some((_, group)) = self.spare_groups.pop_first() else {
                return;
            };
            self.kernel.remove_group(group);
        }
    }

    fn arm(&mut self, id: UnitId, unit: &Unit) {
        let mut failed = None;
        let lazy = |number: usize| unit.sockets.get(number).is_some_and(|socket| socket.lazy);
        let all = self.runs.at(id).sockets.iter();
        for (_, fd) in all.filter(|(number, _)| lazy(*number)) {
            if let Err(error) = self.kernel.watch(fd, token(Kind::Socket, id)) {
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            self.note(sys::chain(&error));
        }
    }

    fn disarm(&mut self, id: UnitId) {
        for (_, fd) in &self.runs.at(id).sockets {
            self.kernel.unwatch(fd);
        }
    }

    /// Something came by the descriptor watched as `kind` of `id`.
    pub(crate) fn came(
        &mut self,
        kind: Kind,
        (id, unit): (UnitId, &Unit),
        inbox: &mut VecDeque<Event>,
    ) {
        match kind {
            Kind::Look => self.look_came(id, unit, inbox),
            Kind::Main => self.start_known(id, inbox),
            // Their failure is told when they are collected.
            Kind::Helper | Kind::Asker => {
                let run = self.runs.at(id);
                let found = if kind == Kind::Asker {
                    run.asker
                } else {
                    run.helper
                };
                if let Some(pid) = found {
                    self.kernel.start_of(pid).ok();
                }
            }
            Kind::Ready => self.ready_came(id, inbox),
            Kind::Notify => self.notify_came(id, inbox),
            Kind::Stored => self.stored_ended(id),
            Kind::Gone => self.main_gone(id, inbox),
            Kind::Group => self.group_changed(id, inbox),
            Kind::Socket => inbox.push_back(Event::Traffic(id)),
        }
    }

    fn start_known(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        let run = self.runs.at_mut(id);
        let Some(pid) = run.main else { return };
        match self.kernel.start_of(pid) {
            Ok(Wait::Executed) if !run.told => {
                run.told = true;
                inbox.push_back(Event::Executed(id));
            }
            // A failure ends the process, and is told then.
            Ok(Wait::Executed | Wait::Flying | Wait::Failed(..)) => {}
            Err(error) => {
                let why = sys::chain(&error);
                self.kernel.signal(pid, KILL).ok();
                self.note(why);
            }
        }
    }

    fn ready_came(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        let run = self.runs.at_mut(id);
        let Some(fd) = &run.ready else { return };
        let mut bytes = [0; 512];
        let over = match self.kernel.read(fd, &mut bytes) {
            Ok(None) => return,
            Ok(Some(0)) | Err(_) => true,
            Ok(Some(length)) => {
                let ready = bytes.iter().take(length).any(|byte| *byte == b'\n');
                if ready {
                    inbox.push_back(Event::Ready(id));
                }
                ready
            }
        };
        if over {
            self.kernel.unwatch(fd);
            run.ready = None;
        }
    }

    fn group_changed(&mut self, id: UnitId, inbox: &mut VecDeque<Event>) {
        if !self.is_populated(id) {
            inbox.push_back(Event::Emptied(id));
        }
    }

    /// True if there are processes in its cgroup; then the end of the last one will be told.
    fn is_populated(&mut self, id: UnitId) -> bool {
        let run = self.runs.at_mut(id);
        let Some(group) = &mut run.group else {
            return false;
        };
        let watched = match self.kernel.is_populated(group) {
            Ok(false) => {
                run.emptied = true;
                return false;
            }
            Ok(true) => self.kernel.watch_group(group, token(Kind::Group, id)),
            Err(error) => Err(error),
        };
        if let Err(error) = watched {
            // What cannot be watched would be waited for in vain: take it as empty, and say so.
            let why = sys::chain(&error);
            self.note(why);
            return false;
        }
        true
    }

    /// Collects dead children, ours and those we inherited. True: there may be more.
    pub(crate) fn reap(&mut self, inbox: &mut VecDeque<Event>) -> bool {
        for _ in 0..REAP_AT_ONCE {
            let Some(dead) = self.kernel.reap() else {
                return false;
            };
            if let Some((id, _)) = self.pids.get(&dead.pid).copied() {
                self.concerned = Some(id);
                // What it said last may still be unread; it may even name another one in its place.
                self.ready_came(id, inbox);
                self.notify_came(id, inbox);
            }
            let Some((id, role)) = self.pids.remove(&dead.pid) else {
                self.others.push(dead.pid);
                continue;
            };
            let run = self.runs.at_mut(id);
            match role {
                Role::Main => run.main = None,
                Role::Helper => run.helper = None,
                Role::Asker => run.asker = None,
            }
            if let Some((stage, errno)) = dead.failed {
                let error = std::io::Error::from_raw_os_error(errno);
                let why = launch::failure(stage, &error, &dead.words);
                inbox.push_back(Event::NotStarted(id, role, why));
                continue;
            }
            if role == Role::Main && !run.told {
                run.told = true;
                inbox.push_back(Event::Executed(id));
            }
            let left = self.is_populated(id);
            inbox.push_back(Event::Ended {
                unit: id,
                role,
                exit: dead.exit,
                left,
            });
        }
        true
    }
}

//! A kernel of paper for supervision tests: programs are behaviours, time stands still until told otherwise, and any
//! call can be made to fail or to panic.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use crate::error::{Result, SysError};
use crate::kernel::{Kernel, Received};
use crate::listen::{Accepted, From, ListenAt};
use crate::probe::Probe;
use crate::process::{Dead, Exit, Job, Stage, Wait};

/// What a program does.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// It ends by itself, at once.
    pub ends: Option<Exit>,
    /// It does not end on a signal other than SIGKILL.
    pub stubborn: bool,
    /// It cannot be executed.
    pub exec_fails: Option<i32>,
    /// So many further processes of it stay in its cgroup until they are killed.
    pub leaves: u32,
    /// Text it writes to a pipe of its own at once: descriptor and bytes.
    pub writes: Option<(i32, Vec<u8>)>,
    /// Datagram it sends to its `NOTIFY_SOCKET` at once.
    pub notifies: Option<String>,
}

/// A descriptor: both ends of a pipe share their channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FakeFd {
    channel: u32,
    writes: bool,
}

/// A cgroup by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeGroup(String);

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// What it was started as.
    pub job: Job,
    /// Its cgroup.
    pub group: Option<String>,
    fds: Vec<(FakeFd, i32)>,
    token: u64,
    behaviour: Program,
}

/// What a test feeds to the supervisor next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Something watched under this number.
    Token(u64),
    /// A child died.
    Child,
}

/// The paper kernel.
#[derive(Debug, Default)]
pub struct Fake {
    /// The clock.
    pub time: u64,
    /// Fallible calls made so far.
    pub calls: u64,
    /// The call that fails.
    pub fail_at: Option<u64>,
    /// What it fails with.
    pub error: i32,
    /// The call that panics.
    pub panic_at: Option<u64>,
    /// Behaviours by program path; others stay and end on any signal.
    pub programs: BTreeMap<String, Program>,
    /// Paths that exist.
    pub paths: BTreeSet<String>,
    /// Paths that are never answered about.
    pub silent: BTreeSet<String>,
    /// Contents of files.
    pub files: BTreeMap<String, String>,
    /// Living processes.
    pub processes: BTreeMap<u32, Process>,
    /// Everything that was started and signalled, in order: `run /bin/a`, `signal 15 /bin/a`, `kill group a`.
    pub log: Vec<String>,
    /// Listening sockets.
    pub listening: BTreeMap<String, FakeFd>,
    /// When it asked to be woken.
    pub timer: Option<u64>,
    /// How many descriptors were let go of.
    pub discarded: usize,
    /// Where the next connections come from; others are root's.
    pub callers: VecDeque<From>,
    ended: BTreeSet<u32>,
    leftovers: BTreeMap<String, u32>,
    spent: BTreeSet<String>,
    occurrences: VecDeque<Occurrence>,
    dead: VecDeque<Dead>,
    data: BTreeMap<u32, VecDeque<Vec<u8>>>,
    senders: BTreeMap<u32, VecDeque<(u32, u32)>>,
    watched: BTreeMap<u32, u64>,
    watched_groups: BTreeMap<String, u64>,
    notify: BTreeMap<String, u32>,
    next_channel: u32,
    next_pid: u32,
}

impl Fake {
    /// A kernel in which nothing runs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            next_pid: 100,
            error: libc::ENOMEM,
            ..Self::default()
        }
    }

    fn call(&mut self, op: &'static str, object: &str) -> Result<()> {
        self.calls = self.calls.saturating_add(1);
        assert_ne!(
            self.panic_at,
            Some(self.calls),
            "the kernel of paper panics as told: {op} {object}"
        );
        if self.fail_at == Some(self.calls) {
            return Err(SysError::new(
                op,
                object,
                io::Error::from_raw_os_error(self.error),
            ));
        }
        Ok(())
    }

    /// What the supervisor must look at next.
    pub fn next_occurrence(&mut self) -> Option<Occurrence> {
        self.occurrences.pop_front()
    }

    /// The process that runs `program`.
    #[must_use]
    pub fn pid_of(&self, program: &str) -> Option<u32> {
        let runs = |process: &Process| process.job.argv.first().is_some_and(|name| name == program);
        self.processes
            .iter()
            .find(|(_, process)| runs(process))
            .map(|(pid, _)| *pid)
    }

    /// Lets a process end by itself; what it leaves behind stays in its cgroup.
    pub fn end(&mut self, pid: u32, exit: Exit) {
        let Some(process) = self.processes.remove(&pid) else {
            return;
        };
        if let Some(group) = &process.group {
            let left = self.leftovers.entry(group.clone()).or_default();
            *left = left.saturating_add(process.behaviour.leaves);
        }
        let failed = process
            .behaviour
            .exec_fails
            .map(|errno| (Stage::Exec, errno));
        self.dead.push_back(Dead {
            pid,
            exit,
            failed,
            words: String::new(),
        });
        self.occurrences.push_back(Occurrence::Child);
        if let Some(group) = process.group {
            self.tell_if_empty(&group);
        }
    }

    fn count(&self, group: &str) -> usize {
        let own = self
            .processes
            .values()
            .filter(|p| p.group.as_deref() == Some(group))
            .count();
        let left = self.leftovers.get(group).copied().unwrap_or_default();
        own.saturating_add(usize::try_from(left).unwrap_or_default())
    }

    fn tell_if_empty(&mut self, group: &str) {
        if self.count(group) == 0 {
            if let Some(token) = self.watched_groups.remove(group) {
                self.occurrences.push_back(Occurrence::Token(token));
            }
        }
    }

    /// Lets a process write to one of its descriptors.
    pub fn write(&mut self, pid: u32, number: i32, bytes: &[u8]) {
        let fds = self.processes.get(&pid).map(|process| process.fds.clone());
        let found = fds.into_iter().flatten().find(|(_, to)| *to == number);
        if let Some((fd, _)) = found {
            self.put(fd.channel, bytes);
        }
    }

    /// Lets the process that was given a notify socket send a datagram to it.
    pub fn send(&mut self, path: &str, text: &str) {
        let entry = format!("NOTIFY_SOCKET={path}");
        let mut all = self.processes.iter();
        let found = all.find(|(_, process)| process.job.env.contains(&entry));
        let pid = found.map_or(0, |(pid, _)| *pid);
        self.send_as(pid, path, text, 0);
    }

    /// Lets a process send a datagram to a notify socket, with so many descriptors.
    pub fn send_as(&mut self, pid: u32, path: &str, text: &str, fds: u32) {
        if let Some(channel) = self.notify.get(path).copied() {
            self.senders
                .entry(channel)
                .or_default()
                .push_back((pid, fds));
            self.put(channel, text.as_bytes());
        }
    }

    /// Lets the other side of everything hang up that a process was given under this number.
    pub fn hang_up(&mut self, pid: u32, number: i32) {
        let fds = self.processes.get(&pid).map(|process| process.fds.clone());
        let found = fds.into_iter().flatten().find(|(_, to)| *to == number);
        if let Some((fd, _)) = found {
            self.ended.insert(fd.channel);
            let token = self.watched.get(&fd.channel);
            let token = token.copied().map(Occurrence::Token);
            self.occurrences.extend(token);
        }
    }

    /// Lets a process fork: the copy has the same cgroup and is nobody's child but ours.
    pub fn fork(&mut self, pid: u32) -> u32 {
        let copy = self.processes.get(&pid).cloned();
        self.next_pid = self.next_pid.saturating_add(1);
        if let Some(mut copy) = copy {
            copy.behaviour.ends = None;
            self.processes.insert(self.next_pid, copy);
        }
        self.next_pid
    }

    /// Lets somebody connect to a listening socket.
    pub fn connect(&mut self, path: &str) {
        if let Some(fd) = self.listening.get(path).copied() {
            self.put(fd.channel, b"connection");
        }
    }

    /// Lets the service take all connections of a listening socket.
    pub fn accept(&mut self, path: &str) {
        if let Some(fd) = self.listening.get(path) {
            self.data.remove(&fd.channel);
        }
    }

    fn put(&mut self, channel: u32, bytes: &[u8]) {
        self.data
            .entry(channel)
            .or_default()
            .push_back(bytes.to_vec());
        if let Some(token) = self.watched.get(&channel) {
            self.occurrences.push_back(Occurrence::Token(*token));
        }
    }

    fn channel(&mut self) -> u32 {
        self.next_channel = self.next_channel.saturating_add(1);
        self.next_channel
    }

    fn deliver(&mut self, pid: u32, signal: i32) {
        let Some(process) = self.processes.get(&pid) else {
            return;
        };
        let name = process.job.argv.first().cloned().unwrap_or_default();
        self.log.push(format!("signal {signal} {name}"));
        if signal == libc::SIGKILL || !process.behaviour.stubborn {
            self.end(pid, Exit::Signal(signal));
        }
    }

    fn members(&self, group: &str) -> Vec<u32> {
        let inside = |p: &Process| p.group.as_deref() == Some(group);
        self.processes
            .iter()
            .filter(|(_, p)| inside(p))
            .map(|(pid, _)| *pid)
            .collect()
    }
}

impl Kernel for Fake {
    type Fd = FakeFd;
    type Group = FakeGroup;

    fn now(&self) -> u64 {
        self.time
    }

    fn exists(&mut self, path: &str) -> bool {
        assert!(
            path.starts_with("/run/"),
            "PID 1 looks at {path} itself, which may not answer"
        );
        self.paths.contains(path)
    }

    fn look(&mut self, asked: &[(Probe, &str)], token: u64) -> Result<(u32, FakeFd)> {
        let values: Vec<&str> = asked.iter().map(|(_, value)| *value).collect();
        self.call("look for", values.first().copied().unwrap_or_default())?;
        self.next_pid = self.next_pid.saturating_add(1);
        let fd = FakeFd {
            channel: self.channel(),
            writes: false,
        };
        self.watched.insert(fd.channel, token);
        if !values.iter().any(|path| self.silent.contains(*path)) {
            let there = |path: &&str| {
                if self.paths.contains(*path) {
                    b'1'
                } else {
                    b'0'
                }
            };
            let answers: Vec<u8> = values.iter().map(there).collect();
            self.put(fd.channel, &answers);
        }
        Ok((self.next_pid, fd))
    }

    fn receive(&mut self, fd: &FakeFd, buffer: &mut [u8]) -> Result<Option<Received<FakeFd>>> {
        let Some(length) = self.read(fd, buffer)? else {
            return Ok(None);
        };
        let sender = self.senders.get_mut(&fd.channel);
        let (pid, count) = sender.and_then(VecDeque::pop_front).unwrap_or_default();
        let mut fds = Vec::new();
        for _ in 0..count {
            let channel = self.channel();
            fds.push(FakeFd {
                channel,
                writes: false,
            });
        }
        Ok(Some(Received { length, pid, fds }))
    }

    fn discard(&mut self, fds: Vec<FakeFd>) {
        self.discarded = self.discarded.saturating_add(fds.len());
    }

    fn keep(&mut self, fd: FakeFd) -> FakeFd {
        fd
    }

    fn watch_end(&mut self, fd: &FakeFd, token: u64) -> Result<bool> {
        self.watch(fd, token).map(|()| true)
    }

    fn has_ended(&mut self, fd: &FakeFd) -> bool {
        self.ended.contains(&fd.channel)
    }

    fn is_same(&mut self, one: &FakeFd, other: &FakeFd) -> bool {
        one == other
    }

    fn close(&mut self, _: FakeFd) {}

    fn read_run(&mut self, path: &str) -> Result<String> {
        self.read_file(&format!("/run/{path}"))
    }

    fn read_file(&mut self, path: &str) -> Result<String> {
        self.call("read", path)?;
        let absent = || SysError::new("read", path, io::Error::from_raw_os_error(libc::ENOENT));
        self.files.get(path).cloned().ok_or_else(absent)
    }

    fn pipe(&mut self) -> Result<(FakeFd, FakeFd)> {
        self.call("make", "a pipe")?;
        let channel = self.channel();
        Ok((
            FakeFd {
                channel,
                writes: false,
            },
            FakeFd {
                channel,
                writes: true,
            },
        ))
    }

    fn null(&mut self) -> Result<FakeFd> {
        self.call("open", "/dev/null")?;
        let channel = self.channel();
        Ok(FakeFd {
            channel,
            writes: true,
        })
    }

    fn notify_socket(&mut self, path: &str, _owner: Option<(u32, u32)>) -> Result<FakeFd> {
        self.call("listen on", path)?;
        let channel = self.channel();
        self.notify.insert(path.to_owned(), channel);
        Ok(FakeFd {
            channel,
            writes: false,
        })
    }

    fn listen(&mut self, at: &ListenAt<'_>) -> Result<FakeFd> {
        let shown = at.place.shown();
        self.call("listen on", &shown)?;
        let channel = self.channel();
        let fd = FakeFd {
            channel,
            writes: false,
        };
        self.listening.insert(shown, fd);
        Ok(fd)
    }

    fn accept(&mut self, fd: &FakeFd) -> Result<Option<Accepted<FakeFd>>> {
        self.call("accept", "a connection")?;
        let waiting = self.data.get_mut(&fd.channel).and_then(VecDeque::pop_front);
        if waiting.is_none() {
            return Ok(None);
        }
        let more = self
            .data
            .get(&fd.channel)
            .is_some_and(|more| !more.is_empty());
        let token = self.watched.get(&fd.channel).filter(|_| more);
        let token = token.copied().map(Occurrence::Token);
        self.occurrences.extend(token);
        let channel = self.channel();
        let fd = FakeFd {
            channel,
            writes: true,
        };
        let from = self.callers.pop_front().unwrap_or(From::User(0));
        Ok(Some(Accepted { fd, from }))
    }

    fn unlink(&mut self, path: &str) {
        self.notify.remove(path);
    }

    fn read(&mut self, fd: &FakeFd, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.call("read", "a descriptor")?;
        let Some(bytes) = self.data.get_mut(&fd.channel).and_then(VecDeque::pop_front) else {
            return Ok(None);
        };
        let length = bytes.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(&bytes) {
            *to = *from;
        }
        Ok(Some(length))
    }

    fn watch(&mut self, fd: &FakeFd, token: u64) -> Result<()> {
        self.call("watch", "a descriptor")?;
        self.watched.insert(fd.channel, token);
        if self
            .data
            .get(&fd.channel)
            .is_some_and(|waiting| !waiting.is_empty())
        {
            self.occurrences.push_back(Occurrence::Token(token));
        }
        Ok(())
    }

    fn unwatch(&mut self, fd: &FakeFd) {
        self.watched.remove(&fd.channel);
    }

    fn make_group(&mut self, name: &str) -> Result<FakeGroup> {
        self.call("make cgroup", name)?;
        self.spent.remove(name);
        Ok(FakeGroup(name.to_owned()))
    }

    fn limit(&mut self, group: &FakeGroup, file: &str, value: &str) -> Result<()> {
        self.call("write", file)?;
        self.log.push(format!("limit {} {file} {value}", group.0));
        Ok(())
    }

    fn delegate(&mut self, group: &FakeGroup, owner: Option<(u32, u32)>) -> Result<()> {
        self.call("delegate", &group.0)?;
        self.log.push(format!("delegate {} {owner:?}", group.0));
        Ok(())
    }

    fn is_populated(&mut self, group: &mut FakeGroup) -> Result<bool> {
        self.call("read", &group.0.clone())?;
        Ok(self.count(&group.0) > 0)
    }

    fn is_pristine(&mut self, _: &FakeGroup) -> bool {
        true
    }

    fn is_spent(&mut self, group: &FakeGroup) -> bool {
        self.spent.contains(&group.0)
    }

    fn watch_group(&mut self, group: &FakeGroup, token: u64) -> Result<()> {
        self.call("watch", &group.0)?;
        self.watched_groups.insert(group.0.clone(), token);
        self.tell_if_empty(&group.0);
        Ok(())
    }

    fn signal_group(&mut self, group: &FakeGroup, signal: i32) -> Result<()> {
        self.call("signal", &group.0)?;
        for pid in self.members(&group.0) {
            self.deliver(pid, signal);
        }
        Ok(())
    }

    fn kill_group(&mut self, group: &mut FakeGroup) -> Result<()> {
        self.call("kill", &group.0)?;
        self.spent.insert(group.0.clone());
        self.log.push(format!("kill group {}", group.0));
        for pid in self.members(&group.0) {
            self.deliver(pid, libc::SIGKILL);
        }
        self.leftovers.remove(&group.0);
        self.tell_if_empty(&group.0);
        Ok(())
    }

    fn remove_group(&mut self, group: FakeGroup) {
        self.watched_groups.remove(&group.0);
    }

    fn spawn(
        &mut self,
        job: &Job,
        fds: &[(&FakeFd, i32)],
        group: Option<&FakeGroup>,
        token: u64,
    ) -> Result<u32> {
        let name = job.argv.first().cloned().unwrap_or_default();
        self.call("start", &name)?;
        self.next_pid = self.next_pid.saturating_add(1);
        let pid = self.next_pid;
        self.log.push(format!("run {}", job.argv.join(" ")));
        let behaviour = self.programs.get(&name).cloned().unwrap_or_default();
        let process = Process {
            job: job.clone(),
            group: group.map(|group| group.0.clone()),
            fds: fds.iter().map(|(fd, number)| (**fd, *number)).collect(),
            token,
            behaviour: behaviour.clone(),
        };
        self.processes.insert(pid, process);
        self.occurrences.push_back(Occurrence::Token(token));
        if let Some((number, bytes)) = &behaviour.writes {
            self.write(pid, *number, bytes);
        }
        if let Some(text) = &behaviour.notifies {
            let path = job
                .env
                .iter()
                .find_map(|entry| entry.strip_prefix("NOTIFY_SOCKET="));
            if let Some(path) = path {
                self.send(path, text);
            }
        }
        if behaviour.exec_fails.is_some() {
            return Ok(pid);
        }
        let spent = group.is_some_and(|group| self.spent.contains(&group.0));
        let ends = behaviour.ends.filter(|_| !spent);
        if let Some(exit) = ends.or(spent.then_some(Exit::Signal(libc::SIGKILL))) {
            self.end(pid, exit);
        }
        Ok(pid)
    }

    fn start_of(&mut self, pid: u32) -> Result<Wait> {
        self.call("read", "the report of a child")?;
        let failed = self
            .processes
            .get(&pid)
            .and_then(|process| process.behaviour.exec_fails);
        let Some(errno) = failed else {
            return Ok(Wait::Executed);
        };
        self.end(pid, Exit::Code(127));
        Ok(Wait::Failed(Stage::Exec, errno))
    }

    fn adopt(&mut self, pid: u32) -> Result<()> {
        self.call("adopt", "a process")?;
        let alive = self.processes.contains_key(&pid);
        let gone = || SysError::invalid("adopt process", pid.to_string(), "it is gone");
        alive.then_some(()).ok_or_else(gone)
    }

    fn follow(&mut self, pid: u32, group: &FakeGroup, _token: u64) -> Result<()> {
        self.call("adopt", "a process")?;
        let inside = self.members(&group.0).contains(&pid);
        let foreign = || {
            let why = "it is no process of this unit";
            SysError::invalid("adopt process", pid.to_string(), why)
        };
        inside.then_some(()).ok_or_else(foreign)
    }

    fn is_lost(&mut self, _pid: u32) -> bool {
        false
    }

    fn signal(&mut self, pid: u32, signal: i32) -> Result<()> {
        self.call("signal", "a process")?;
        self.deliver(pid, signal);
        Ok(())
    }

    fn signal_session(&mut self, pid: u32, signal: i32) -> bool {
        self.deliver(pid, signal);
        true
    }

    fn reap(&mut self) -> Option<Dead> {
        self.dead.pop_front()
    }

    fn set_timer(&mut self, deadline: Option<u64>) -> Result<()> {
        self.call("set", "a timer")?;
        self.timer = deadline;
        Ok(())
    }
}

impl Process {
    /// The number its start is told under.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }
}

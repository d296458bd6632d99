//! The calls that supervision needs, as a trait, so that a test can make the third one fail.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use crate::cgroup::{Cgroups, Group};
use crate::descriptors;
use crate::epoll::{Epoll, Happening, Interest};
use crate::error::{Cannot, Result, SysError};
use crate::helper::Helper;
use crate::listen::{Accepted, ListenAt};
use crate::probe::Probe;
use crate::process::{self, Dead, Flight, Job, Place, Table, Wait, keep_high};
use crate::stray::Strays;
use crate::timer::{self, Timer};

/// Writes everything that is in memory to the disks, and waits for it.
pub fn sync() {
    rustix::fs::sync();
}

/// What supervision asks of the kernel. Nothing here waits.
///
/// Descriptors close when dropped. A `token` comes back with each event of what it was given for.
pub trait Kernel {
    /// An open descriptor.
    type Fd: Debug;
    /// A cgroup.
    type Group: Debug;

    /// Milliseconds of a clock that never goes back.
    fn now(&self) -> u64;
    /// True if the path leads to something. For file systems in memory only: another one may not answer.
    fn exists(&mut self, path: &str) -> bool;
    /// Looks in a child whether paths lead to something. Returns the child and where its answers come from: `1` or `0`
    /// per path, in order. `token` comes back when there are some.
    ///
    /// # Errors
    /// No process or descriptor to be had.
    fn look(&mut self, asked: &[(Probe, &str)], token: u64) -> Result<(u32, Self::Fd)>;
    /// Receives a datagram of [`Kernel::notify_socket`], cut to the buffer's size; `None`: nothing now.
    ///
    /// # Errors
    /// What recvmsg(2) reports.
    fn receive(&mut self, fd: &Self::Fd, buffer: &mut [u8]) -> Result<Option<Received<Self::Fd>>>;
    /// A small file in `/run` itself that others may have put there, by its path below `/run`: no link is followed, no
    /// other file system entered, nothing waited for.
    ///
    /// # Errors
    /// It is absent, no plain file, too large or no text.
    fn read_run(&mut self, path: &str) -> Result<String>;
    /// A small file as text; as [`Kernel::exists`] for file systems in memory only.
    ///
    /// # Errors
    /// It is absent, too large or no text.
    fn read_file(&mut self, path: &str) -> Result<String>;
    /// A pipe: the end to read from, which does not block, and the end to write to.
    ///
    /// # Errors
    /// No descriptors to be had.
    fn pipe(&mut self) -> Result<(Self::Fd, Self::Fd)>;
    /// `/dev/null`, for reading and writing.
    ///
    /// # Errors
    /// It is absent.
    fn null(&mut self) -> Result<Self::Fd>;
    /// A datagram socket at `path` that only root and `owner` (user, group) can send to.
    ///
    /// # Errors
    /// The path is too long or its folder is absent.
    fn notify_socket(&mut self, path: &str, owner: Option<(u32, u32)>) -> Result<Self::Fd>;
    /// Opens what starts a service; replaces a stale one.
    ///
    /// # Errors
    /// Something else has the name, or somebody else the address.
    fn listen(&mut self, at: &ListenAt<'_>) -> Result<Self::Fd>;
    /// Accepts a connection on a socket of [`Kernel::listen`] that says so. `None`: there is none any more.
    ///
    /// # Errors
    /// No descriptor or memory to be had.
    fn accept(&mut self, fd: &Self::Fd) -> Result<Option<Accepted<Self::Fd>>>;
    /// Removes a socket from the file system.
    fn unlink(&mut self, path: &str);
    /// Reads what is there; `None`: nothing now.
    ///
    /// # Errors
    /// What read(2) reports.
    fn read(&mut self, fd: &Self::Fd, buffer: &mut [u8]) -> Result<Option<usize>>;
    /// Closes descriptors that came unasked, without waiting for whoever is behind them.
    fn discard(&mut self, fds: Vec<Self::Fd>);
    /// Takes a descriptor that came for good.
    fn keep(&mut self, fd: Self::Fd) -> Self::Fd;
    /// Watches a descriptor that is not ours for its end: the other side hangs up. False: it has none, or none that could be
    /// watched without waiting for somebody.
    ///
    /// # Errors
    /// Memory is short.
    fn watch_end(&mut self, fd: &Self::Fd, token: u64) -> Result<bool>;
    /// True if the other side has hung up. For what [`Kernel::watch_end`] watches.
    fn has_ended(&mut self, fd: &Self::Fd) -> bool;
    /// True if both lead to the same open file.
    fn is_same(&mut self, one: &Self::Fd, other: &Self::Fd) -> bool;
    /// Ends a socket of ours alone that others can write to, and closes it with what lies in it, without waiting.
    fn close(&mut self, fd: Self::Fd);
    /// Watches a descriptor for something to read.
    ///
    /// # Errors
    /// Memory is short.
    fn watch(&mut self, fd: &Self::Fd, token: u64) -> Result<()>;
    /// Ends [`Kernel::watch`].
    fn unwatch(&mut self, fd: &Self::Fd);
    /// Makes a cgroup.
    ///
    /// # Errors
    /// There are no cgroups here, or the kernel refuses.
    fn make_group(&mut self, name: &str) -> Result<Self::Group>;
    /// Sets one limit.
    ///
    /// # Errors
    /// The controller is not to be had, or the value is refused.
    fn limit(&mut self, group: &Self::Group, file: &str, value: &str) -> Result<()>;
    /// Hands a cgroup over to a user and group, who may then make groups in it. Its limits stay ours.
    ///
    /// # Errors
    /// The kernel refuses.
    fn delegate(&mut self, group: &Self::Group, owner: Option<(u32, u32)>) -> Result<()>;
    /// True while there are processes in the cgroup.
    ///
    /// # Errors
    /// It cannot be read.
    fn is_populated(&mut self, group: &mut Self::Group) -> Result<bool>;
    /// Tells with `token` when a populated cgroup may have become empty.
    ///
    /// # Errors
    /// Memory is short.
    fn watch_group(&mut self, group: &Self::Group, token: u64) -> Result<()>;
    /// Sends a signal to all processes in the cgroup.
    ///
    /// # Errors
    /// They cannot be listed.
    fn signal_group(&mut self, group: &Self::Group, signal: i32) -> Result<()>;
    /// Kills everything in the cgroup.
    ///
    /// # Errors
    /// The kernel refuses.
    fn kill_group(&mut self, group: &mut Self::Group) -> Result<()>;
    /// True if a cgroup without limits is as it was made, but for processes: nobody has made groups in it, nor handed
    /// controllers to them.
    fn is_pristine(&mut self, group: &Self::Group) -> bool;
    /// True if whatever is started in the cgroup might be killed at once, see [`Group::is_spent`].
    fn is_spent(&mut self, group: &Self::Group) -> bool;
    /// Removes a cgroup; one that is not empty stays.
    fn remove_group(&mut self, group: Self::Group);
    /// Starts a process; `token` comes back when [`Kernel::start_of`] has something to say.
    ///
    /// # Errors
    /// No process to be had.
    fn spawn(
        &mut self,
        job: &Job,
        fds: &[(&Self::Fd, i32)],
        group: Option<&Self::Group>,
        token: u64,
    ) -> Result<u32>;
    /// How the start of a process went. A failure is told by [`Kernel::reap`] again.
    ///
    /// # Errors
    /// It is no process of ours, or the answer cannot be read.
    fn start_of(&mut self, pid: u32) -> Result<Wait>;
    /// Takes a process that others started, and that is now a child of ours, under supervision.
    ///
    /// # Errors
    /// It is no living child of ours.
    fn adopt(&mut self, pid: u32) -> Result<()>;
    /// Takes a process of the cgroup under supervision, whoever its parent is; `token` comes back when it has ended.
    ///
    /// # Errors
    /// It is gone, or none of the cgroup.
    fn follow(&mut self, pid: u32, group: &Self::Group, token: u64) -> Result<()>;
    /// True if a process that we follow has ended and somebody else has collected it, or will: [`Kernel::reap`] never tells
    /// of it. It is forgotten then.
    fn is_lost(&mut self, pid: u32) -> bool;
    /// Signals one process of ours.
    ///
    /// # Errors
    /// It is gone.
    fn signal(&mut self, pid: u32, signal: i32) -> Result<()>;
    /// Signals the session that a process of ours was started as, where there is no cgroup to do it. False: there is none.
    fn signal_session(&mut self, pid: u32, signal: i32) -> bool;
    /// Collects one dead child.
    fn reap(&mut self) -> Option<Dead>;
    /// Asks to be woken at this time at the latest.
    ///
    /// # Errors
    /// None expected.
    fn set_timer(&mut self, deadline: Option<u64>) -> Result<()>;
}

/// A datagram.
#[derive(Debug)]
pub struct Received<Fd> {
    /// Its length, as far as the buffer held it.
    pub length: usize,
    /// Who sent it, as the kernel says; 0: somebody whom we do not see.
    pub pid: u32,
    /// Descriptors that came with it.
    pub fds: Vec<Fd>,
}

/// A process we know.
#[derive(Debug)]
struct Known {
    /// Of one that is no child of ours. A child has its number for itself until it is collected.
    pidfd: Option<OwnedFd>,
    flight: Option<Flight>,
    failed: Option<(process::Stage, i32)>,
}

impl Known {
    /// A child, with its way to exec if it is not there yet.
    fn child(flight: Option<Flight>) -> Self {
        Self {
            pidfd: None,
            flight,
            failed: None,
        }
    }

    /// A child of somebody else.
    fn followed(pidfd: OwnedFd) -> Self {
        Self {
            pidfd: Some(pidfd),
            flight: None,
            failed: None,
        }
    }
}

/// The kernel we run on.
#[derive(Debug)]
pub struct Linux {
    epoll: Epoll,
    timer: Timer,
    groups: std::result::Result<Cgroups, String>,
    known: BTreeMap<u32, Known>,
    strays: Strays,
    helper: Option<Helper>,
}

/// The timer's token; others may use any other number.
pub const TIMER: u64 = u64::MAX;

impl Linux {
    /// Opens what waiting needs. Without cgroups it works too; [`Linux::cgroups`] says why there are none.
    ///
    /// # Errors
    /// No descriptors to be had.
    pub fn new() -> Result<Self> {
        let (epoll, timer) = (Epoll::new()?, Timer::new()?);
        epoll.add(&timer, TIMER, Interest::Read)?;
        let groups = Cgroups::open().map_err(|error| crate::chain(&error));
        Ok(Self {
            epoll,
            timer,
            groups,
            known: BTreeMap::new(),
            strays: Strays::default(),
            helper: None,
        })
    }

    /// The cgroups, or why there are none.
    ///
    /// # Errors
    /// The reason in words.
    pub fn cgroups(&self) -> std::result::Result<&Cgroups, &str> {
        self.groups.as_ref().map_err(String::as_str)
    }

    /// The set of everything that is waited for.
    #[must_use]
    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Lets go of what came unasked, at the end of a lap.
    ///
    /// # Errors
    /// No process to be had: then the next lap tries again.
    pub fn let_go(&mut self) -> Result<()> {
        self.strays.let_go()
    }

    /// Jobs that need the helper use this one from now on.
    pub fn use_helper(&mut self, helper: Helper) {
        self.helper = Some(helper);
    }

    /// The helper that jobs use.
    #[must_use]
    pub fn helper(&self) -> Option<&Helper> {
        self.helper.as_ref()
    }

    /// Waits for events. The timer's is among them and already taken note of.
    ///
    /// # Errors
    /// None expected.
    pub fn wait(&mut self, happenings: &mut Vec<Happening>) -> Result<()> {
        process::settle();
        self.epoll.wait(happenings)?;
        if happenings.iter().any(|happening| happening.token == TIMER) {
            self.timer.fired();
        }
        Ok(())
    }

    /// True while a child of ours has not executed its program yet, or looks for something: both are known to this program
    /// only.
    #[must_use]
    pub fn is_flying(&self) -> bool {
        self.known.values().any(|known| known.flight.is_some())
    }

    /// Takes a child back that an earlier program of this process started. It may be dead: then it will be collected.
    ///
    /// # Errors
    /// It is none of ours any more.
    pub fn take_back(&mut self, pid: u32) -> Result<()> {
        if !process::is_ours(pid) {
            let why = "it is no child of ours";
            return Err(SysError::invalid("take back process", pid.to_string(), why));
        }
        self.known.insert(pid, Known::child(None));
        Ok(())
    }

    /// A cgroup that an earlier program of this process made.
    ///
    /// # Errors
    /// There is none, or there are no cgroups here.
    pub fn find_group(&self, name: &str) -> Result<Group> {
        self.groups()?.find(name)
    }

    /// The processes in a cgroup, as far as they can be listed.
    #[must_use]
    pub fn processes(&self, group: &Group) -> Vec<u32> {
        let found = self.groups().and_then(|groups| groups.processes(group));
        found.unwrap_or_default()
    }

    fn groups(&self) -> Result<&Cgroups> {
        let failed = |why: &String| SysError::invalid("find", "the cgroups", why.as_str());
        self.groups.as_ref().map_err(failed)
    }

    fn known(&self, pid: u32) -> Result<&Known> {
        let unknown = || SysError::invalid("find process", pid.to_string(), "it is none of ours");
        self.known.get(&pid).ok_or_else(unknown)
    }
}

impl Kernel for Linux {
    type Fd = OwnedFd;
    type Group = Group;

    fn now(&self) -> u64 {
        timer::now()
    }

    fn exists(&mut self, path: &str) -> bool {
        crate::fs::exists_at(rustix::fs::CWD, path)
    }

    fn look(&mut self, asked: &[(Probe, &str)], token: u64) -> Result<(u32, OwnedFd)> {
        use std::io::Write;
        let worker = process::fork_worker(|mut output| {
            let found = |(probe, value): &(Probe, &str)| {
                let so = crate::probe::holds(*probe, value);
                if so { b'1' } else { b'0' }
            };
            let answers: Vec<u8> = asked.iter().map(found).collect();
            u8::from(output.write_all(&answers).is_err())
        })?;
        let answers = OwnedFd::from(worker.output);
        let watched = self.epoll.add(&answers, token, Interest::Read);
        let known = Known::child(None);
        if watched.is_err() {
            process::signal_pid(worker.pid, libc::SIGKILL).ok();
        }
        self.known.insert(worker.pid, known);
        watched.map(|()| (worker.pid, answers))
    }

    fn receive(&mut self, fd: &OwnedFd, buffer: &mut [u8]) -> Result<Option<Received<OwnedFd>>> {
        crate::socket::receive_datagram(fd, buffer)
    }

    fn read_run(&mut self, path: &str) -> Result<String> {
        crate::fs::read_plain_below("/run", path, 4096)
    }

    fn read_file(&mut self, path: &str) -> Result<String> {
        crate::fs::read_text(path, 4096)
    }

    fn pipe(&mut self) -> Result<(OwnedFd, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).cannot("make", "a pipe")?;
        // The reading end only: the writer is a service, which expects to block.
        rustix::io::ioctl_fionbio(&read, true).cannot("make", "a pipe")?;
        Ok((keep_high(read), keep_high(write)))
    }

    fn null(&mut self) -> Result<OwnedFd> {
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).cannot("open", "/dev/null")
    }

    fn notify_socket(&mut self, path: &str, owner: Option<(u32, u32)>) -> Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .cannot("make", path)?;
        let address = rustix::net::SocketAddrUnix::new(path).cannot("listen on", path)?;
        if let Err(error) = rustix::net::bind(&fd, &address) {
            if error != rustix::io::Errno::ADDRINUSE {
                return Err(SysError::new("listen on", path, error));
            }
            self.unlink(path);
            rustix::net::bind(&fd, &address).cannot("listen on", path)?;
        }
        rustix::net::sockopt::set_socket_passcred(&fd, true).cannot("listen on", path)?;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::chmod(path, mode).cannot("set the mode of", path)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .cannot("set the owner of", path)?;
        }
        Ok(keep_high(fd))
    }

    fn listen(&mut self, at: &ListenAt<'_>) -> Result<OwnedFd> {
        crate::listen::open(at).map(keep_high)
    }

    fn accept(&mut self, fd: &OwnedFd) -> Result<Option<Accepted<OwnedFd>>> {
        crate::listen::accept(fd)
    }

    fn unlink(&mut self, path: &str) {
        // Best effort: a stale socket is replaced by the next one.
        rustix::fs::unlink(path).ok();
    }

    fn read(&mut self, fd: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>> {
        match rustix::io::read(fd, buffer) {
            Ok(length) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(SysError::new("read", "a descriptor", error)),
        }
    }

    fn discard(&mut self, fds: Vec<OwnedFd>) {
        self.strays.take(fds);
    }

    fn close(&mut self, fd: OwnedFd) {
        self.strays.take(crate::socket::drain(&fd));
    }

    fn keep(&mut self, fd: OwnedFd) -> OwnedFd {
        keep_high(fd)
    }

    fn watch_end(&mut self, fd: &OwnedFd, token: u64) -> Result<bool> {
        if !descriptors::can_hang_up(fd) {
            return Ok(false);
        }
        self.epoll.add(fd, token, Interest::End).map(|()| true)
    }

    fn has_ended(&mut self, fd: &OwnedFd) -> bool {
        descriptors::has_hung_up(fd)
    }

    fn is_same(&mut self, one: &OwnedFd, other: &OwnedFd) -> bool {
        let same_place = descriptors::identity(one) == descriptors::identity(other);
        same_place && descriptors::is_same(one, other)
    }

    fn watch(&mut self, fd: &OwnedFd, token: u64) -> Result<()> {
        self.epoll.add(fd, token, Interest::Read)
    }

    fn unwatch(&mut self, fd: &OwnedFd) {
        // It may not be watched: then there is nothing to end.
        self.epoll.remove(fd).ok();
    }

    fn make_group(&mut self, name: &str) -> Result<Group> {
        self.groups()?.make(name)
    }

    fn limit(&mut self, group: &Group, file: &str, value: &str) -> Result<()> {
        self.groups()?.set(group, file, value)
    }

    fn delegate(&mut self, group: &Group, owner: Option<(u32, u32)>) -> Result<()> {
        self.groups()?.delegate(group, owner)
    }

    fn is_populated(&mut self, group: &mut Group) -> Result<bool> {
        self.groups()?.is_populated(group)
    }

    fn watch_group(&mut self, group: &Group, token: u64) -> Result<()> {
        let Some(events) = group.events() else {
            return Err(SysError::invalid(
                "watch",
                group.name(),
                "it was not looked at before",
            ));
        };
        match self.epoll.add(events, token, Interest::Change) {
            Err(error) if error.errno() == Some(libc::EEXIST) => Ok(()),
            result => result,
        }
    }

    fn signal_group(&mut self, group: &Group, signal: i32) -> Result<()> {
        self.groups()?.signal(group, signal)
    }

    fn kill_group(&mut self, group: &mut Group) -> Result<()> {
        self.groups()?.kill(group)
    }

    fn is_pristine(&mut self, group: &Group) -> bool {
        self.groups().is_ok_and(|groups| groups.is_pristine(group))
    }

    fn is_spent(&mut self, group: &Group) -> bool {
        group.is_spent()
    }

    fn remove_group(&mut self, group: Group) {
        if let Some(events) = group.events() {
            // Not watched is as good as no longer watched. Closing alone does not end it while a child that has not
            // executed its program yet holds a copy.
            self.epoll.remove(events).ok();
        }
        if let Ok(groups) = &self.groups {
            groups.remove(group);
        }
    }

    fn spawn(
        &mut self,
        job: &Job,
        fds: &[(&OwnedFd, i32)],
        group: Option<&Group>,
        token: u64,
    ) -> Result<u32> {
        let fds: Vec<_> = fds
            .iter()
            .map(|(fd, number)| (fd.as_fd(), *number))
            .collect();
        let group = match group {
            Some(group) => Some(self.groups()?.open_leaf(group)?),
            None => None,
        };
        let place = Place {
            group: group.as_ref().map(AsFd::as_fd),
            helper: self.helper.as_ref(),
            table: if job.by_copy {
                Table::Copied
            } else {
                Table::Left
            },
        };
        let spawned = process::spawn(job, &fds, place)?;
        let watched = self.epoll.add(&spawned.flight, token, Interest::ReadEdge);
        let pid = spawned.pid;
        let known = Known::child(Some(spawned.flight));
        if let Err(error) = watched {
            // Unwatched it could never be judged: it must not live. Its death is collected like any other.
            process::signal_pid(pid, libc::SIGKILL).ok();
            self.known.insert(pid, known);
            return Err(error);
        }
        self.known.insert(pid, known);
        Ok(pid)
    }

    fn start_of(&mut self, pid: u32) -> Result<Wait> {
        let unknown = || SysError::invalid("find process", pid.to_string(), "it is none of ours");
        let known = self.known.get_mut(&pid).ok_or_else(unknown)?;
        let Some(flight) = &mut known.flight else {
            return Ok(Wait::Executed);
        };
        let found = flight.poll()?;
        match found {
            Wait::Executed => known.flight = None,
            Wait::Failed(stage, errno) => known.failed = Some((stage, errno)),
            Wait::Flying => {}
        }
        Ok(found)
    }

    fn adopt(&mut self, pid: u32) -> Result<()> {
        if !process::is_child(pid) {
            let why = "it is no living child of ours";
            return Err(SysError::invalid("adopt process", pid.to_string(), why));
        }
        self.known.insert(pid, Known::child(None));
        Ok(())
    }

    fn follow(&mut self, pid: u32, group: &Group, token: u64) -> Result<()> {
        // Held before it is looked for: if it still lives afterwards, the number was its own all the time.
        let pidfd = process::pidfd(pid)?;
        let foreign = |why: &str| SysError::invalid("adopt process", pid.to_string(), why);
        if !self.groups()?.processes(group)?.contains(&pid) {
            return Err(foreign("it is no process of this unit"));
        }
        if process::has_ended(&pidfd) {
            return Err(foreign("it has ended"));
        }
        self.epoll.add(&pidfd, token, Interest::Read)?;
        self.known.insert(pid, Known::followed(pidfd));
        Ok(())
    }

    fn is_lost(&mut self, pid: u32) -> bool {
        let lost = self
            .known
            .get(&pid)
            .and_then(|known| known.pidfd.as_ref())
            .is_some_and(|pidfd| {
                // Told once is enough: it stays readable.
                self.epoll.remove(pidfd).ok();
                process::has_ended(pidfd) && !process::is_ours(pid)
            });
        if lost {
            self.known.remove(&pid);
        }
        lost
    }

    fn signal(&mut self, pid: u32, signal: i32) -> Result<()> {
        match &self.known(pid)?.pidfd {
            Some(pidfd) => process::signal(pidfd, signal),
            None => process::signal_pid(pid, signal),
        }
    }

    fn signal_session(&mut self, pid: u32, signal: i32) -> bool {
        process::signal_session(pid, signal)
    }

    fn reap(&mut self) -> Option<Dead> {
        let mut dead = process::reap()?;
        if let Some(mut known) = self.known.remove(&dead.pid) {
            dead.failed = known.failed;
            if let Some(flight) = &mut known.flight {
                // It may have died before anybody asked how its start went.
                if let Ok(Wait::Failed(stage, errno)) = flight.poll() {
                    dead.failed = Some((stage, errno));
                }
                flight.words().clone_into(&mut dead.words);
                flight.landed();
            }
        }
        Some(dead)
    }

    fn set_timer(&mut self, deadline: Option<u64>) -> Result<()> {
        self.timer.set(deadline)
    }
}

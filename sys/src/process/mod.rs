//! Starting programs from PID 1, and collecting the dead.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what is to be started, the flight between clone and exec, reaping, signals |
//! | `child` | the steps of the child |
//! | `lent` | how it comes to descriptors of its own |
//! | `worker` | copies of ourselves that do a piece of work |
//! | `stack` | what it runs on |
//! | `arch` | the machine code |
//!
//! A child shares our memory (`CLONE_VM`) until it executes its program: no page tables are copied, and unlike with
//! `vfork` we go on working meanwhile, so a program on a slow disk does not stop PID 1. What the child reads is owned
//! by a [`Flight`], which lives until the report pipe is closed by exec.

mod arch;
mod child;
mod lent;
mod stack;
mod worker;

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicI32;

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};

use crate::descriptors::{self, Limit};
use crate::error::{Cannot, Result, SysError};
use crate::executor;
use crate::helper::Helper;
use lent::Loan;
pub use lent::{keep_high, settle};
use stack::Stack;
pub use worker::{Worker, become_program, fork_worker, limited, limited_words};

/// Where programs without a slash in their name are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Stage and error number of a report.
const RECORD: usize = 8;
/// A report may begin with this: the child has descriptors of its own. No stage has this number.
const MOVED: u8 = 0xff;
/// Longest words of a report; with the record in front they fit into what a pipe takes at once (4096 bytes).
pub(crate) const WORDS: usize = 2048;

/// User and groups by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// What a process is made of, in plain values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Program and arguments; a name without a slash is looked for in [`PATH`].
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; absent: `/`.
    pub workdir: Option<String>,
    /// File mode mask.
    pub umask: u32,
    /// Added to its score when memory runs out.
    pub oom_score_adj: i16,
    /// Absent: root.
    pub ids: Option<Ids>,
    /// Controlling terminal, standard input.
    pub tty: Option<String>,
    /// The terminal is standard output and standard error too.
    pub tty_output: [bool; 2],
    /// Directories to make with their parents; the last part belongs to the user.
    pub dirs: Vec<String>,
    /// Variables that hold the process' own id.
    pub own_id: Vec<&'static str>,
    /// How many descriptors it may have open, as far as we may ourselves; absent: as many as we.
    pub descriptors: Option<Limit>,
    /// Some of its descriptors are somebody else's: it gets copies only, so that none of ours is the last one by accident,
    /// which may take long to close (see [`crate::stray`]).
    pub by_copy: bool,
    /// The program is our [`crate::helper::Helper`], and `argv` its words.
    pub by_helper: bool,
    /// The child becomes our helper, which does the rest, see [`Executor`].
    pub executor: Option<Executor>,
}

/// A stop between us and a program, for what may hang or needs memory: mounts, files, filters.
///
/// The child still opens terminal and directories itself, and then executes our helper with the words
/// `ROLE ERRAND REPORT`: two descriptors. From the first it reads what to do; on the second it reports a failure (see
/// [`crate::executor::Report`]). User, working directory, environment and program are its business, and the start
/// counts as through when the second descriptor is closed by its exec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Executor {
    /// The word that chooses the role.
    pub role: String,
    /// What it reads.
    pub errand: Vec<u8>,
    /// It is process 1 of a new namespace of process ids.
    pub own_pids: bool,
}

/// Step of a child that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Stage {
    /// Descriptors could not be passed on.
    Descriptors = 1,
    /// The terminal cannot be opened.
    Terminal,
    /// A directory cannot be made.
    Directories,
    /// The out-of-memory score cannot be set.
    OomScore,
    /// User or group cannot be taken on.
    Identity,
    /// The working directory cannot be entered.
    WorkDir,
    /// The limit of open files cannot be set.
    Limits,
    /// The program cannot be executed.
    Exec,
    /// The executor failed and says itself at what.
    Setup,
}

impl Stage {
    fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Descriptors,
            2 => Self::Terminal,
            3 => Self::Directories,
            4 => Self::OomScore,
            5 => Self::Identity,
            6 => Self::WorkDir,
            7 => Self::Limits,
            9 => Self::Setup,
            _ => Self::Exec,
        }
    }

    /// The step in words: "cannot {words}".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Descriptors => "pass descriptors to",
            Self::Terminal => "open the terminal of",
            Self::Directories => "make the directories of",
            Self::OomScore => "set the out-of-memory score of",
            Self::Identity => "change to the user of",
            Self::WorkDir => "enter the working directory of",
            Self::Limits => "set the limits of",
            Self::Exec => "execute",
            Self::Setup => "prepare",
        }
    }
}

/// What is known about a child that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It has not executed its program yet.
    Flying,
    /// It has.
    Executed,
    /// It could not: step and error number.
    Failed(Stage, i32),
}

/// The memory a child uses until it executes its program.
#[derive(Debug)]
struct Memory {
    _prepared: Box<child::Prepared>,
    stack: Stack,
}

/// A child between clone and exec.
#[derive(Debug)]
pub struct Flight {
    report: File,
    memory: Option<Memory>,
    failed: Option<Wait>,
    words: String,
}

impl Flight {
    /// Asks how the start went, without waiting. To be asked again when [`Flight::as_fd`] is readable.
    ///
    /// # Errors
    /// Reading failed for another reason than having to wait.
    pub fn poll(&mut self) -> Result<Wait> {
        if let Some(failed) = self.failed {
            // What follows the record is the end of the pipe, which would look like success.
            return Ok(failed);
        }
        let mut report = [0; 1 + RECORD + WORDS];
        let mut read = self.report.read(&mut report);
        if matches!(read, Ok(1)) {
            // The end may have come together with it, and nobody would tell of it again.
            read = self.report.read(&mut report);
        }
        let found = match read {
            // A report is written at once, so it is read at once.
            Ok(length) if length >= RECORD => {
                let report = report.get(..length).unwrap_or_default();
                let report = report.strip_prefix(&[MOVED]).unwrap_or(report);
                let (record, words) = report.split_first_chunk().unwrap_or((&[0; RECORD], &[]));
                self.words = String::from_utf8_lossy(words).into_owned();
                Wait::from_record(*record)
            }
            // The pipe is closed by exec, and by a death before exec: the latter is told by the exit status.
            Ok(_) => Wait::Executed,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Ok(Wait::Flying);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                return Ok(Wait::Flying);
            }
            Err(error) => return Err(SysError::new("read", "the report of a child", error)),
        };
        // After a record only the end of the process follows, which needs its stack for one more system call.
        match found {
            Wait::Executed => self.landed(),
            Wait::Failed(..) => self.failed = Some(found),
            Wait::Flying => {}
        }
        Ok(found)
    }

    /// What the executor says about a failure; empty: nothing more than the step.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// To be called when the process has been collected: nobody uses its memory any more.
    pub fn landed(&mut self) {
        if let Some(memory) = self.memory.take() {
            memory.stack.give_back();
        }
    }
}

impl AsFd for Flight {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // The child may still run on this memory: rather lose it than give it to somebody else.
        if let Some(memory) = self.memory.take() {
            std::mem::forget(memory);
        }
    }
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id; stays its own until it has been collected.
    pub pid: u32,
    /// Its way to exec.
    pub flight: Flight,
}

/// How a child comes to a table of descriptors of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Table {
    /// It gets a copy of ours.
    #[default]
    Copied,
    /// It begins with ours, which costs the same however many there are. For processes with one thread, which call
    /// [`settle`] before they wait for events.
    Left,
}

/// What a process is started with beside its job.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Directory of its cgroup; absent: ours.
    pub group: Option<BorrowedFd<'a>>,
    /// What jobs may need beside their own programs.
    pub helper: Option<&'a Helper>,
    /// Where its descriptors come from.
    pub table: Table,
}

/// Starts `job` with the descriptors `fds` (each with the number it gets).
///
/// The child gets a session of its own and takes all signals; what we ignore it ignores (see
/// [`crate::signal::Signals::take_over`]). Of our descriptors, all of which close on exec, only those named reach it.
///
/// # Errors
/// No process or descriptor to be had, or a text with a NUL in it. What fails after that is told by the [`Flight`].
pub fn spawn(job: &Job, fds: &[(BorrowedFd<'_>, i32)], place: Place<'_>) -> Result<Spawned> {
    let name = job.argv.first().map_or("", String::as_str);
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (report, told) = rustix::pipe::pipe_with(flags).cannot("start", name)?;
    let mut loan = match place.table {
        Table::Copied => None,
        Table::Left => Loan::begin(),
    };
    // It stays open until we get to look at it, and there may be many by then.
    let report = match &loan {
        Some(_) => keep_high(report),
        None => report,
    };
    // The executor's two descriptors come after all others.
    let next = fds
        .iter()
        .map(|(_, to)| *to)
        .max()
        .unwrap_or(2)
        .max(2)
        .saturating_add(1);
    let errand = match &job.executor {
        Some(executor) => Some(executor::errand(&executor.errand).cannot("start", name)?),
        None => None,
    };
    let mut fds = fds.to_vec();
    if let Some(errand) = &errand {
        fds.push((errand.as_fd(), next));
        fds.push((told.as_fd(), next.saturating_add(1)));
    }
    let helped = job.by_helper || job.executor.is_some();
    let helper = match helped {
        true => {
            let none = || SysError::invalid("start", name, "there is no helper here");
            Some(place.helper.ok_or_else(none)?.fd()?)
        }
        false => None,
    };
    let mut number = |fd: BorrowedFd<'_>| match &mut loan {
        Some(loan) => loan.lend(fd),
        None => Ok(fd.as_raw_fd()),
    };
    let mut moves = Vec::with_capacity(fds.len());
    for (fd, to) in &fds {
        moves.push((number(*fd)?, *to));
    }
    let (told, helper) = (number(told.as_fd())?, helper.map(number).transpose()?);
    let leaves = loan
        .as_ref()
        .map(|loan| (loan.numbers(), loan.mark.clone()));
    let prepared = Box::new(prepare(job, &moves, told, helper, leaves)?);
    let stack = Stack::take().cannot("start", name)?;
    let args = clone_args(job, place, &stack, loan.is_some());
    let argument: *const child::Prepared = &raw const *prepared;
    // SAFETY: stack and argument are kept by the Flight until the child has executed its program or was collected;
    // `start` never returns and uses neither thread-local storage nor the allocator.
    let answer = unsafe { arch::clone3(&args, child::start, argument.cast()) };
    let pid = match u32::try_from(answer) {
        Ok(pid) => pid,
        Err(_) => {
            let errno = i32::try_from(answer.saturating_neg()).unwrap_or(libc::EIO);
            let error = std::io::Error::from_raw_os_error(errno);
            return Err(SysError::new("start", name, error));
        }
    };
    if let Some(loan) = loan {
        loan.to(pid);
    }
    let memory = Some(Memory {
        _prepared: prepared,
        stack,
    });
    let flight = Flight {
        report: File::from(report),
        memory,
        failed: None,
        words: String::new(),
    };
    Ok(Spawned { pid, flight })
}

/// What clone3(2) is told.
fn clone_args(job: &Job, place: Place<'_>, stack: &Stack, shares: bool) -> arch::CloneArgs {
    let (low, size) = stack.range();
    let own_pids = job.executor.as_ref().is_some_and(|how| how.own_pids);
    let more = [
        (own_pids, flag(libc::CLONE_NEWPID)),
        (place.group.is_some(), CLONE_INTO_CGROUP),
        (shares, flag(libc::CLONE_FILES)),
    ];
    let more = more.iter().filter(|(wanted, _)| *wanted);
    let always = flag(libc::CLONE_VM) | CLONE_CLEAR_SIGHAND;
    let group = place.group.map_or(-1, |fd| fd.as_raw_fd());
    arch::CloneArgs {
        flags: more.fold(always, |all, (_, flag)| all | flag),
        exit_signal: flag(libc::SIGCHLD),
        stack: low,
        stack_size: size,
        cgroup: u64::try_from(group).unwrap_or_default(),
        ..arch::CloneArgs::default()
    }
}

/// `CLONE_CLEAR_SIGHAND` and `CLONE_INTO_CGROUP` of `linux/sched.h`; beyond the 32 bits that libc's type holds.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn flag(number: i32) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| SysError::new("start", text, error))
}

fn prepare(
    job: &Job,
    fds: &[(i32, i32)],
    report: i32,
    helper: Option<i32>,
    leaves: Option<(Vec<i32>, lent::Mark)>,
) -> Result<child::Prepared> {
    let mut strings = Vec::new();
    let own = job.executor.as_ref().map(|executor| {
        let last = fds.iter().map(|(_, to)| *to).max().unwrap_or_default();
        let numbers = [last.saturating_sub(1), last].map(|number| number.to_string());
        let [errand, report] = numbers;
        vec![
            crate::helper::NAME.to_owned(),
            executor.role.clone(),
            errand,
            report,
        ]
    });
    let argv_words = own.as_ref().unwrap_or(&job.argv);
    let mut argv = pointers(argv_words, &mut strings)?;
    let env: &[String] = if own.is_some() { &[] } else { &job.env };
    let mut envp = pointers(env, &mut strings)?;
    let mut pid_texts = Vec::new();
    let names: &[&str] = if own.is_some() { &[] } else { &job.own_id };
    for name in names {
        let mut text = format!("{name}=").into_bytes();
        let name = text.len();
        text.resize(name.saturating_add(11), 0);
        let start = text.as_mut_ptr();
        envp.push(start.cast_const().cast());
        pid_texts.push(start.wrapping_add(name));
        strings.push(text);
    }
    argv.push(std::ptr::null());
    envp.push(std::ptr::null());
    let top = fds.iter().map(|(_, to)| *to).max().unwrap_or(2).max(2);
    let [out, err] = job.tty_output;
    let tty = match &job.tty {
        Some(path) => Some((c_string(path)?, [true, out, err])),
        None => None,
    };
    let workdir = match &own {
        Some(_) => None,
        None => Some(c_string(job.workdir.as_deref().unwrap_or("/"))?),
    };
    let programs = match helper {
        Some(_) => Vec::new(),
        None => programs(job.argv.first().map_or("", String::as_str))?,
    };
    let moves = fds.iter().map(|(fd, to)| (AtomicI32::new(*fd), *to));
    Ok(child::Prepared {
        report,
        leaves,
        moves: moves.collect(),
        above: top.saturating_add(1),
        tty,
        dirs: dirs(&job.dirs)?,
        workdir,
        umask: job.umask,
        oom: match job.oom_score_adj {
            0 => Vec::new(),
            score => score.to_string().into_bytes(),
        },
        ids: job
            .ids
            .as_ref()
            .map(|ids| (ids.uid, ids.gid, ids.groups.clone())),
        nofile: job.descriptors.map(|limit| {
            let given = limit.within(descriptors::own());
            [given.soft, given.hard]
        }),
        stays_root: own.is_some(),
        helper,
        programs,
        argv,
        envp,
        pid_texts,
        _strings: strings,
    })
}

fn pointers(texts: &[String], strings: &mut Vec<Vec<u8>>) -> Result<Vec<*const c_char>> {
    let mut found = Vec::with_capacity(texts.len().saturating_add(2));
    for text in texts {
        // Moving the vector does not move its bytes, so the pointer stays good while `strings` is kept.
        let bytes = c_string(text)?.into_bytes_with_nul();
        found.push(bytes.as_ptr().cast());
        strings.push(bytes);
    }
    Ok(found)
}

fn programs(name: &str) -> Result<Vec<CString>> {
    if name.contains('/') {
        return Ok(vec![c_string(name)?]);
    }
    PATH.split(':')
        .map(|dir| c_string(&format!("{dir}/{name}")))
        .collect()
}

/// Each directory after its parents; only the last part belongs to the user.
fn dirs(paths: &[String]) -> Result<Vec<(CString, bool)>> {
    let mut all = Vec::new();
    for path in paths {
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            all.push((c_string(path.get(..at).unwrap_or_default())?, false));
        }
        all.push((c_string(path)?, true));
    }
    Ok(all)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// By this signal; 0: it is not known how.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it exited with code {code}"),
            Self::Signal(0) => f.write_str("it ended, and nobody saw how"),
            Self::Signal(signal) => write!(f, "it was killed by signal {signal}"),
        }
    }
}

/// A process that was collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Its process id, free for others from now on.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// The step it failed at before it could execute its program; told by whoever watched its [`Flight`].
    pub failed: Option<(Stage, i32)>,
    /// What the executor said about that.
    pub words: String,
}

/// Collects one dead child, own or inherited, without waiting; `None`: there is none.
#[must_use]
pub fn reap() -> Option<Dead> {
    let found = rustix::process::wait(WaitOptions::NOHANG).ok().flatten();
    let (pid, status) = found?;
    let pid = u32::try_from(pid.as_raw_nonzero().get()).ok()?;
    lent::collected(pid);
    Some(Dead {
        pid,
        exit: exit_of(status),
        failed: None,
        words: String::new(),
    })
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Signal(0),
    }
}

/// True if `pid` is a living child of ours: then its number cannot pass to another process before we collect it.
#[must_use]
pub fn is_child(pid: u32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| {
        matches!(
            rustix::process::waitid(WaitId::Pid(number), options),
            Ok(None)
        )
    })
}

/// True if `pid` is a child of ours, alive or waiting to be collected.
#[must_use]
pub fn is_ours(pid: u32) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    number.is_some_and(|number| rustix::process::waitid(WaitId::Pid(number), options).is_ok())
}

/// True if the process has ended, collected or not.
#[must_use]
pub fn has_ended(process: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let now = crate::timer::span(0);
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
}

/// A process as a descriptor.
///
/// # Errors
/// There is no such process.
pub fn pidfd(pid: u32) -> Result<OwnedFd> {
    let object = pid.to_string();
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let number =
        number.ok_or_else(|| SysError::invalid("open process", &object, "no such number"))?;
    rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())
        .cannot("open process", object)
}

/// Sends a signal.
///
/// # Errors
/// The process is gone (`ESRCH`), or there is no such signal.
pub fn signal(process: impl AsFd, number: i32) -> Result<()> {
    let object = format!("signal {number}");
    let signal = Signal::from_named_raw(number)
        .ok_or_else(|| SysError::invalid("send", &object, "there is no such signal"))?;
    rustix::process::pidfd_send_signal(process, signal).cannot("send", object)
}

/// Sends a signal to a process by its number. A child that has not been collected yet has it for itself.
///
/// # Errors
/// The process is gone (`ESRCH`), or there is no such signal.
pub fn signal_pid(pid: u32, number: i32) -> Result<()> {
    let object = format!("signal {number}");
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let (Some(target), Some(signal)) = (target, Signal::from_named_raw(number)) else {
        return Err(SysError::invalid(
            "send",
            &object,
            "there is no such signal or process",
        ));
    };
    rustix::process::kill_process(target, signal).cannot("send", object)
}

/// Sends a signal to the session (and process group) that a process was started as by [`spawn`]. False: there is none.
pub fn signal_session(pid: u32, number: i32) -> bool {
    match i32::try_from(pid).ok().filter(|pid| *pid > 1) {
        // SAFETY: no pointers; a group that is gone is no error to us.
        Some(leader) => unsafe { libc::kill(leader.saturating_neg(), number) == 0 },
        None => false,
    }
}

/// Sends a signal to every process but PID 1 and ourselves: the end of an orderly shutdown.
pub fn signal_everyone(number: i32) {
    // SAFETY: no pointers; -1 means everyone. As PID 1 there is nobody else left to ask.
    unsafe { libc::kill(-1, number) };
}

/// True while there are children, alive or dead.
#[must_use]
pub fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, options).is_ok()
}

/// Waits until a child dies, but so many milliseconds at most. For a process that has blocked SIGCHLD.
pub fn wait_for_child(millis: u64) {
    let timeout = libc::timespec {
        tv_sec: i64::try_from(millis.div_euclid(1000)).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(millis.rem_euclid(1000))
            .map_or(0, |rest| rest.saturating_mul(1_000_000)),
    };
    let set = nix::sys::signal::SigSet::from(nix::sys::signal::Signal::SIGCHLD);
    // SAFETY: set and timeout live until the call is over; nothing is written.
    unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &raw const timeout) };
}

/// The user that we act as.
#[must_use]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// True outside all pid namespaces: what we do to the machine is done to the real one.
#[must_use]
pub fn is_in_first_namespace() -> bool {
    // PROC_PID_INIT_INO of linux/proc_ns.h.
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name.as_os_str() == "pid:[4026531836]")
}

#[cfg(test)]
mod tests;

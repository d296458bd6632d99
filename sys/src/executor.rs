//! The executor's side of a start: its errand, its report, the attributes it takes on, the program it becomes.
//!
//! PID 1's side is [`crate::process::spawn`] with an [`crate::process::Executor`]. The executor is a process with one
//! thread and the memory of its own, so unlike the child of a clone it may do everything.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::sys::signal::{SigHandler, Signal, signal};
use rustix::fs::{MemfdFlags, SeekFrom};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Resource, Rlimit};

use crate::error::{Cannot, Result, SysError};
use crate::process::{Ids, PATH, Stage, WORDS};

/// Largest errand, in bytes.
const ERRAND: u64 = 4 << 20;

/// A descriptor from which the errand can be read, made without waiting for any disk.
pub(crate) fn errand(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("errand", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Where a failure is reported.
#[derive(Debug)]
pub struct Report(File);

/// Takes over the two descriptors that [`crate::process::spawn`] names in the arguments, and reads the errand.
///
/// # Errors
/// They are not open, which happens only if somebody else calls us.
pub fn take_over(errand: i32, report: i32) -> Result<(Vec<u8>, Report)> {
    let (errand, report) = (own(errand)?, own(report)?);
    let mut bytes = Vec::new();
    let read = File::from(errand).take(ERRAND).read_to_end(&mut bytes);
    read.cannot("read", "the errand of an executor")?;
    Ok((bytes, Report(File::from(report))))
}

fn own(number: i32) -> Result<OwnedFd> {
    let shown = format!("descriptor {number}");
    if number < 3 {
        return Err(SysError::invalid("take", shown, "it is nobody's to give"));
    }
    // SAFETY: the number was given to this program for its own use, see `process::Executor`; nobody else here has it.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).cannot("take", shown)?;
    // SAFETY: as above, and it is open: the call before would have failed.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl Report {
    /// Tells PID 1 what could not be done, in a whole sentence.
    pub fn failed(self, words: &str) {
        self.send(Stage::Setup, 0, words);
    }

    /// Tells PID 1 that the program could not be executed.
    pub fn not_executed(self, error: &std::io::Error) {
        self.send(Stage::Exec, error.raw_os_error().unwrap_or(libc::EIO), "");
    }

    fn send(mut self, stage: Stage, errno: i32, words: &str) {
        let mut end = words.len().min(WORDS);
        while !words.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let mut bytes = (stage as i32).to_ne_bytes().to_vec();
        bytes.extend(errno.to_ne_bytes());
        bytes.extend(words.get(..end).unwrap_or_default().as_bytes());
        // Nobody listens any more: then nobody wants to know.
        self.0.write_all(&bytes).ok();
    }
}

/// Sets a resource limit by its number (`asm-generic/resource.h`); the largest value is infinity.
///
/// # Errors
/// There is no such limit, or we may not raise it (`EPERM`).
pub fn limit(number: u32, soft: u64, hard: u64) -> Result<()> {
    const ALL: [Resource; 16] = [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::Stack,
        Resource::Core,
        Resource::Rss,
        Resource::Nproc,
        Resource::Nofile,
        Resource::Memlock,
        Resource::As,
        Resource::Locks,
        Resource::Sigpending,
        Resource::Msgqueue,
        Resource::Nice,
        Resource::Rtprio,
        Resource::Rttime,
    ];
    let found = usize::try_from(number).ok().and_then(|at| ALL.get(at));
    let shown = format!("limit {number} to {soft}:{hard}");
    let resource = found.ok_or_else(|| SysError::invalid("set", &shown, "there is no such one"))?;
    let value = |number: u64| (number != u64::MAX).then_some(number);
    let new = Rlimit {
        current: value(soft),
        maximum: value(hard),
    };
    rustix::process::setrlimit(*resource, new).cannot("set", shown)
}

/// Sets our niceness.
///
/// # Errors
/// We may not.
pub fn nice(value: i8) -> Result<()> {
    rustix::process::setpriority_process(None, i32::from(value))
        .cannot("set", format!("the niceness to {value}"))
}

/// Sets our scheduling policy and priority (numbers of `linux/sched.h`).
///
/// # Errors
/// We may not, or the kernel gives our cgroup no realtime share.
pub fn schedule(policy: u32, priority: u32) -> Result<()> {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let param = libc::sched_param {
        sched_priority: number(priority),
    };
    // SAFETY: the structure outlives the call.
    let answer = unsafe { libc::sched_setscheduler(0, number(policy), &raw const param) };
    done(answer.into()).cannot("set", "the scheduling policy")
}

/// Sets our I/O priority: class and level in one number.
///
/// # Errors
/// We may not.
pub fn io_priority(value: u16) -> Result<()> {
    /// `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
    const PROCESS: i32 = 1;
    // SAFETY: no pointers.
    let answer = unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, 0, i32::from(value)) };
    done(answer).cannot("set", "the I/O priority")
}

/// Lets us run on these CPUs only.
///
/// # Errors
/// None of them is there.
pub fn run_on(cpus: &[u16]) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus {
        if usize::from(*cpu) < rustix::thread::CpuSet::MAX_CPU {
            set.set(usize::from(*cpu));
        }
    }
    rustix::thread::sched_setaffinity(None, &set).cannot("run on", format!("CPUs {cpus:?}"))
}

/// Sets how late our timers may fire, in nanoseconds.
///
/// # Errors
/// None expected.
pub fn timer_slack(nanos: u64) -> Result<()> {
    let value = std::num::NonZeroU64::new(nanos);
    rustix::thread::set_current_timer_slack(value).cannot("set", "the timer slack")
}

/// Says which memory a core dump of us holds (core(5)).
///
/// # Errors
/// `/proc` is absent, or the kernel makes no core dumps.
pub fn coredump_filter(bits: u32) -> Result<()> {
    const FILE: &str = "/proc/self/coredump_filter";
    std::fs::write(FILE, format!("{bits:#x}")).cannot("write", FILE)
}

/// What becomes of a process that writes to a pipe nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenPipe {
    /// It is ended by a signal: the kernel's default.
    Ends,
    /// It sees an error.
    IsAnError,
}

/// Says what the program we become does on a broken pipe. Rust itself has changed that for us.
///
/// # Errors
/// None expected.
pub fn broken_pipe(what: BrokenPipe) -> Result<()> {
    let handler = match what {
        BrokenPipe::Ends => SigHandler::SigDfl,
        BrokenPipe::IsAnError => SigHandler::SigIgn,
    };
    // SAFETY: neither disposition runs code of ours.
    let changed = unsafe { signal(Signal::SIGPIPE, handler) };
    changed.map(drop).cannot("set", "SIGPIPE")
}

/// Changes to a user with all of its groups, for good.
///
/// # Errors
/// We are not root, or the user has as many processes as it may.
pub fn become_user(ids: &Ids) -> Result<()> {
    let shown = format!("user {} and group {}", ids.uid, ids.gid);
    let gid = rustix::process::Gid::from_raw(ids.gid);
    let uid = rustix::process::Uid::from_raw(ids.uid);
    let groups: Vec<_> = ids
        .groups
        .iter()
        .map(|g| rustix::process::Gid::from_raw(*g))
        .collect();
    rustix::thread::set_thread_groups(&groups).cannot("change to", &shown)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).cannot("change to", &shown)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).cannot("change to", &shown)
}

/// Becomes the program: the first of that name in [`PATH`] if it has no slash. Comes back only if that fails.
pub fn execute(argv: &[String], env: &[String]) -> std::io::Error {
    let c_strings = |texts: &[String]| -> std::result::Result<Vec<CString>, std::ffi::NulError> {
        texts
            .iter()
            .map(|text| CString::new(text.as_str()))
            .collect()
    };
    let (Ok(argv), Ok(env)) = (c_strings(argv), c_strings(env)) else {
        return std::io::ErrorKind::InvalidInput.into();
    };
    let Some(name) = argv.first() else {
        return std::io::ErrorKind::InvalidInput.into();
    };
    let mut programs = vec![name.clone()];
    if !name.as_bytes().contains(&b'/') {
        let shown = name.to_string_lossy();
        let all = PATH
            .split(':')
            .map(|dir| CString::new(format!("{dir}/{shown}")));
        programs = all.filter_map(std::result::Result::ok).collect();
    }
    let mut why = Errno::NOENT;
    let pointers = |texts: &[CString]| -> Vec<*const std::ffi::c_char> {
        let all = texts.iter().map(|text| text.as_ptr());
        all.chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(&argv), pointers(&env));
    for program in &programs {
        // SAFETY: NULL-terminated arrays of NUL-terminated strings, all alive here.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        match Errno::from_io_error(&std::io::Error::last_os_error()) {
            Some(Errno::NOENT | Errno::NOTDIR) | None => {}
            Some(errno) => why = errno,
        }
    }
    why.into()
}

fn done(answer: libc::c_long) -> std::io::Result<()> {
    if answer == -1 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

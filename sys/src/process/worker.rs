//! Copies of this process that do a piece of work: what may hang, or take long, is not done by ourselves.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions};

use super::{Exit, WORDS, exit_of, lent, pidfd, signal, signal_session};
use crate::error::{Cannot, Result, SysError};

/// A copy of this process that does one piece of work and ends.
#[derive(Debug)]
pub struct Worker {
    /// Its process id.
    pub pid: u32,
    /// It as a descriptor, readable when it has ended.
    pub pidfd: OwnedFd,
    /// What it writes; does not block.
    pub output: File,
}

/// Forks; the copy does `work`, given the end it writes to, and exits with the number returned.
///
/// To be called while this process has one thread only: the copy has just this one.
///
/// # Errors
/// No process or descriptor to be had.
pub fn fork_worker(work: impl FnOnce(File) -> u8) -> Result<Worker> {
    let (output, input) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).cannot("make", "a pipe")?;
    rustix::io::ioctl_fionbio(&output, true).cannot("make", "a pipe")?;
    // SAFETY: one thread, so no lock can be held by somebody who does not exist in the copy.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(output);
        lent::forget_in_copy();
        let work = std::panic::AssertUnwindSafe(|| work(File::from(input)));
        let code = std::panic::catch_unwind(work).unwrap_or(101);
        // SAFETY: ends the copy without running what belongs to the original.
        unsafe { libc::_exit(i32::from(code)) };
    }
    if pid < 0 {
        let error = std::io::Error::last_os_error();
        return Err(SysError::new("start", "a worker", error));
    }
    let pid = u32::try_from(pid).unwrap_or_default();
    Ok(Worker {
        pid,
        pidfd: pidfd(pid)?,
        output: File::from(output),
    })
}

/// Becomes another program, which writes to `output`. Comes back only with the reason why not. For a [`Worker`]: it keeps
/// its number, and whoever waits for it now waits for the program.
#[must_use]
pub fn become_program(command: &mut Command, output: File) -> SysError {
    use std::os::unix::process::CommandExt;
    let error = command.stdout(output).exec();
    SysError::new("execute", command.get_program(), error)
}

/// Does `work` in a copy of this process that may take so many milliseconds. `None`: it took longer and was killed,
/// or no copy could be made. For system calls that may hang on a dead disk or server.
pub fn limited(millis: u64, work: impl FnOnce() -> u8) -> Option<u8> {
    let worker = fork_worker(move |_| work()).ok()?;
    ended(&worker, millis)
}

/// As [`limited`], of work that may start programs and says in words why it failed. What takes too long is killed together
/// with those programs.
///
/// # Errors
/// Those words; it took longer and was killed, or no copy could be made.
pub fn limited_words(
    millis: u64,
    work: impl FnOnce() -> std::result::Result<(), String>,
) -> std::result::Result<(), String> {
    // A group of its own: the programs belong to it.
    let grouped = || {
        rustix::process::setpgid(None, None).ok();
        work()
    };
    let tell = move |mut output: File| match grouped() {
        Ok(()) => 0,
        Err(words) => {
            // What fits into the pipe is written at once; the rest of a longer story is not worth waiting for.
            let end = words.len().min(WORDS);
            output
                .write_all(words.as_bytes().get(..end).unwrap_or_default())
                .ok();
            1
        }
    };
    let mut worker = fork_worker(tell).map_err(|error| crate::chain(&error))?;
    match ended(&worker, millis) {
        Some(0) => Ok(()),
        Some(_) => {
            let mut words = Vec::new();
            worker.output.read_to_end(&mut words).ok();
            Err(String::from_utf8_lossy(&words).into_owned())
        }
        None => {
            // It has not been collected, so its number is still its own.
            signal_session(worker.pid, libc::SIGKILL);
            let seconds = millis.div_ceil(1000);
            Err(format!("it was not done within {seconds} s"))
        }
    }
}

/// How a copy has ended; `None`: not in time, so it was killed.
fn ended(worker: &Worker, millis: u64) -> Option<u8> {
    let timeout = crate::timer::span(millis);
    let mut fds = [PollFd::new(&worker.pidfd, PollFlags::IN)];
    let ended = rustix::event::poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0);
    if !ended {
        // Stuck in the kernel it may outlive even this; then it is collected later, or never.
        signal(&worker.pidfd, libc::SIGKILL).ok();
        return None;
    }
    let number = Pid::from_raw(i32::try_from(worker.pid).ok()?);
    let (_, status) = rustix::process::waitpid(number, WaitOptions::NOHANG).ok()??;
    match exit_of(status) {
        Exit::Code(code) => Some(code),
        Exit::Signal(_) => None,
    }
}

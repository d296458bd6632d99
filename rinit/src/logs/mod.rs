//! Logs of services: PID 1 holds both ends of every log pipe; a separate process writes the files.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | PID 1's side: starting the logger, giving it reading ends, starting it again |
//! | `logger` | the process that writes |
//! | `format` | what a line looks like |
//!
//! Since PID 1 keeps the pipes, neither a dead service nor a dead logger loses a line: what was written waits in the
//! pipe. The logger takes nothing out of a pipe before it has written it.

pub(crate) mod format;
pub(crate) mod logger;

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use sys::kernel::{Kernel, Linux};
use sys::process::Job;

use crate::supervisor::UnitId;

/// The role's word on the command line.
pub(crate) const ROLE: &str = "@log";
/// Descriptor on which the logger hears from us.
pub(crate) const LINK: i32 = 3;
/// Where logs go while `/var/log` cannot be written.
pub(crate) const FALLBACK: &str = "/run/rinit/log";
/// A logger that dies more often than this in a row is started with a pause.
const PATIENCE: u32 = 5;
/// One that lived so long has not died in a row, in milliseconds.
const HEALTHY: u64 = 10_000;
/// The pause, in milliseconds.
const PAUSE: u64 = 5_000;

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// That of `rinit` itself.
    Ours,
    /// A unit's.
    Unit(UnitId),
}

/// One log to hand over: its unit, whether the console gets a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handover {
    pub(crate) name: String,
    pub(crate) console: bool,
}

impl Handover {
    /// A flag and the name; the descriptor goes with it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![if self.console { b'+' } else { b'-' }];
        bytes.extend(self.name.as_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (flag, name) = bytes.split_first()?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(Self {
            name,
            console: *flag == b'+',
        })
    }
}

/// PID 1's side.
#[derive(Debug)]
pub(crate) struct Logs {
    program: String,
    link: Option<UnixStream>,
    pid: Option<u32>,
    /// Deaths in a row.
    deaths: u32,
    started: u64,
    /// Not before this time.
    pause_until: u64,
    /// Logs the logger has not been given yet.
    waiting: VecDeque<Whose>,
}

impl Logs {
    /// `program`: our own path.
    pub(crate) fn new(program: String) -> Self {
        Self {
            program,
            link: None,
            pid: None,
            deaths: 0,
            started: 0,
            pause_until: 0,
            waiting: VecDeque::new(),
        }
    }

    /// True while there is a logger.
    pub(crate) fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// The logger's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// When a logger that keeps dying may be started again.
    pub(crate) fn pause_until(&self) -> u64 {
        self.pause_until
    }

    /// Starts the logger, which then must be given all logs.
    ///
    /// # Errors
    /// No process or descriptor to be had.
    pub(crate) fn start(&mut self, kernel: &mut Linux, token: u64) -> sys::error::Result<()> {
        use sys::error::Cannot;
        let (ours, theirs) = UnixStream::pair().cannot("make", "the logger's socket")?;
        ours.set_nonblocking(true)
            .cannot("make", "the logger's socket")?;
        let null = kernel.null()?;
        let theirs = OwnedFd::from(theirs);
        let job = Job {
            argv: vec![self.program.clone(), ROLE.to_owned()],
            env: Vec::new(),
            umask: 0o027,
            oom_score_adj: -1000,
            ..Job::default()
        };
        let fds = [(&null, 0), (&null, 1), (&null, 2), (&theirs, LINK)];
        let pid = kernel.spawn(&job, &fds, None, token)?;
        self.pid = Some(pid);
        self.started = kernel.now();
        self.link = Some(ours);
        self.waiting.clear();
        Ok(())
    }

    /// The logger died: what it had been given must be given to the next one.
    pub(crate) fn died(&mut self, now: u64) {
        self.pid = None;
        self.link = None;
        self.waiting.clear();
        if now.saturating_sub(self.started) > HEALTHY {
            self.deaths = 0;
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths > PATIENCE {
            self.pause_until = now.saturating_add(PAUSE);
        }
    }

    /// Puts a log into the queue for the logger.
    pub(crate) fn hand_over(&mut self, whose: Whose) {
        self.waiting.push_back(whose);
    }

    /// Sends as much of the queue as goes without waiting; the rest has its turn in the next lap.
    /// `find` knows names and reading ends.
    pub(crate) fn flush<'a>(&mut self, find: impl Fn(Whose) -> Option<(Handover, BorrowedFd<'a>)>) {
        let Some(link) = &self.link else { return };
        while let Some(whose) = self.waiting.front() {
            if let Some((what, fd)) = find(*whose) {
                if sys::socket::send_fds(link, &what.to_bytes(), &[fd]).is_err() {
                    // Full: tried again. Dead: then its death is told, and everything is sent again.
                    return;
                }
            }
            self.waiting.pop_front();
        }
    }

    /// True if the queue could not be sent whole.
    pub(crate) fn is_stuck(&self) -> bool {
        self.link.is_some() && !self.waiting.is_empty()
    }

    /// Lets the logger finish, which has been given everything: it writes what is left and ends.
    pub(crate) fn finish(&mut self) {
        self.link = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handover_round_trips() {
        for console in [false, true] {
            let what = Handover {
                name: "getty@tty1".into(),
                console,
            };
            assert_eq!(Handover::from_bytes(&what.to_bytes()), Some(what));
        }
        assert_eq!(Handover::from_bytes(b""), None);
    }
}

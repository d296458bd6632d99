//! Logs of services: PID 1 holds both ends of every log pipe; a separate process writes the files.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | PID 1's side: starting the logger, giving it reading ends, starting it again |
//! | `logger` | the process that writes |
//! | `kmsg` | what the kernel says |
//! | `syslog` | what programs say by syslog(3) |
//! | `cut` | what comes out of a pipe becomes texts of records; `rootspec::record` knows what those look like |
//! | `rate` | how many of them a unit may write |
//! | `store` | the files |
//! | `journal` | what the logger is about, for the one after it |
//!
//! Since PID 1 keeps the pipes, neither a dead service nor a dead logger loses a line: what was written waits in the
//! pipe, and what has left it is in the journal, which PID 1 keeps too.

mod cut;
mod journal;
mod kmsg;
pub(crate) mod logger;
mod rate;
mod store;
mod syslog;

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rootspec::logs::Handover;
use sys::kernel::{Kernel, Linux};
use sys::process::Job;

use crate::hands::hold::Fd;
use crate::supervisor::UnitId;
use serde::{Deserialize, Serialize};

/// The role's word on the command line.
pub(crate) const ROLE: &str = "@log";
/// Messages of the kernel are written too; the name of their log.
pub(crate) const KERNEL: &str = "kernel";
/// They are not.
const NO_KERNEL: &str = "no-kernel";
/// Messages of syslog(3) are written too; the name of their log.
pub(crate) const MESSAGES: &str = "syslog";
/// Where programs send those.
const DEV_LOG: &str = "/dev/log";
/// Descriptor on which the logger hears from us.
pub(crate) const LINK: i32 = 3;
/// Descriptor of the journal.
pub(crate) const JOURNAL: i32 = 4;
/// Descriptor of the socket of syslog(3), if there is one.
pub(crate) const SYSLOG: i32 = 5;
/// A logger that dies more often than this in a row is started with a pause.
const PATIENCE: u32 = 5;
/// One that lived so long has not died in a row, in milliseconds.
const HEALTHY: u64 = 10_000;
/// The pause, in milliseconds.
const PAUSE: u64 = 1_000;

/// What is logged beside the output of units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Messages of the kernel; absent: if they are about this machine.
    pub(crate) kernel: Option<bool>,
    /// Messages of syslog(3).
    pub(crate) syslog: bool,
}

impl Sources {
    /// The words that tell the logger.
    fn words(self) -> impl Iterator<Item = &'static str> {
        let kernel = match self.kernel {
            Some(true) => Some(KERNEL),
            Some(false) => Some(NO_KERNEL),
            None => None,
        };
        kernel.into_iter().chain(self.syslog.then_some(MESSAGES))
    }

    /// The way back.
    pub(crate) fn of_words(words: &[&str]) -> Self {
        let mut found = Self::default();
        for word in words {
            match *word {
                KERNEL => found.kernel = Some(true),
                NO_KERNEL => found.kernel = Some(false),
                MESSAGES => found.syslog = true,
                _ => {}
            }
        }
        found
    }
}

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Whose {
    /// That of `rinit` itself.
    Ours,
    /// A unit's.
    Unit(UnitId),
}

/// The logger, as the program we become finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeldLogs {
    link: Option<Fd>,
    journal: Option<Fd>,
    pid: Option<u32>,
    deaths: u32,
    started: u64,
    pause_until: u64,
    waiting: Vec<Whose>,
    syslog: Option<Fd>,
}

impl HeldLogs {
    /// All its descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = Fd> {
        let all = self.link.into_iter().chain(self.journal);
        all.chain(self.syslog)
    }
}

/// PID 1's side.
#[derive(Debug)]
pub(crate) struct Logs {
    program: String,
    /// Most bytes that all logs may take.
    most: u64,
    others: Sources,
    /// The socket of syslog(3): kept for the next logger, never read here.
    syslog: Option<OwnedFd>,
    /// What the logger is about; kept for the next one.
    journal: Option<OwnedFd>,
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
    /// `program`: our own path; `most`: bytes that all logs may take; `others`: what is logged beside units.
    pub(crate) fn new(program: String, most: u64, others: Sources) -> Self {
        Self {
            program,
            most,
            others,
            syslog: None,
            journal: None,
            link: None,
            pid: None,
            deaths: 0,
            started: 0,
            pause_until: 0,
            waiting: VecDeque::new(),
        }
    }

    /// The logger goes on as it is.
    pub(crate) fn hold(&self) -> HeldLogs {
        HeldLogs {
            link: self.link.as_ref().map(Fd::of),
            journal: self.journal.as_ref().map(Fd::of),
            pid: self.pid,
            deaths: self.deaths,
            started: self.started,
            pause_until: self.pause_until,
            waiting: self.waiting.iter().copied().collect(),
            syslog: self.syslog.as_ref().map(Fd::of),
        }
    }

    /// Goes on with the logger that was held. Without its link it writes what it has and ends, and another one is started:
    /// what it had been given is not known.
    pub(crate) fn resume(&mut self, held: HeldLogs, kernel: &mut Linux, whole: bool) {
        self.journal = held.journal.and_then(Fd::take);
        self.syslog = held.syslog.and_then(Fd::take);
        self.pid = held.pid.filter(|pid| kernel.take_back(*pid).is_ok());
        self.deaths = held.deaths;
        self.started = held.started;
        self.pause_until = held.pause_until;
        if let (Some(_), Some(fd), true) = (self.pid, held.link, whole) {
            self.link = fd.take().map(UnixStream::from);
            self.waiting = held.waiting.into();
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

    /// Opens `/dev/log`, once. What is sent from now on waits for the logger.
    ///
    /// # Errors
    /// Something else is there: then it is not tried again.
    pub(crate) fn listen(&mut self) -> sys::error::Result<()> {
        if self.others.syslog && self.syslog.is_none() {
            match sys::socket::take_datagrams(DEV_LOG, 0o666) {
                Ok(socket) => self.syslog = Some(socket),
                Err(error) => {
                    self.others.syslog = false;
                    return Err(error);
                }
            }
        }
        Ok(())
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
        let most = self.most.to_string();
        let others = Sources {
            syslog: self.syslog.is_some(),
            ..self.others
        };
        let mut argv = vec![self.program.clone(), ROLE.to_owned(), most];
        argv.extend(others.words().map(str::to_owned));
        let job = Job {
            argv,
            env: Vec::new(),
            umask: 0o027,
            oom_score_adj: -1000,
            ..Job::default()
        };
        let journal = match self.journal.take() {
            Some(journal) => journal,
            None => sys::peek::memory_file("rinit-log")?.into(),
        };
        let journal = &*self.journal.insert(journal);
        let mut fds = vec![
            (&null, 0),
            (&null, 1),
            (&null, 2),
            (&theirs, LINK),
            (journal, JOURNAL),
        ];
        fds.extend(self.syslog.as_ref().map(|socket| (socket, SYSLOG)));
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
        if let Some(socket) = &self.syslog {
            // Whoever would wait for room in it gets an error instead.
            sys::socket::shut(socket);
        }
        self.link = None;
    }
}

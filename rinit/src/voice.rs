//! What `rinit` says itself: into its own log, into the kernel's log, and on the console when somebody must see it.
//! None of these is ever waited for.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::console::{Consoles, KernelLog, Level};

use crate::hands::hold::Fd;

/// The name of our own log.
pub(crate) const NAME: &str = "rinit";

/// So much text still fits, with a line more, into what a pipe takes whole or not at all (4096 bytes, pipe(7)).
pub(crate) const WHOLE: usize = 3072;

/// All that we can be heard by.
#[derive(Debug)]
pub(crate) struct Voice {
    kernel: KernelLog,
    consoles: Option<Consoles>,
    log: Option<(OwnedFd, File)>,
    /// Lines that our own log had no room for.
    lost: u64,
}

impl Voice {
    /// Opens the kernel's log; the rest when it is needed.
    pub(crate) fn open() -> Self {
        let log = sys::peek::open_pipe().ok();
        Self {
            kernel: KernelLog::open("rinit"),
            consoles: None,
            log: log.map(|(read, write)| (read, File::from(write))),
            lost: 0,
        }
    }

    /// Both ends of our own log.
    pub(crate) fn hold(&self) -> Option<(Fd, Fd)> {
        let (read, write) = self.log.as_ref()?;
        Some((Fd::of(read), Fd::of(write)))
    }

    /// Goes on with a log in which something may still be unread.
    pub(crate) fn resume(&mut self, held: Option<(Fd, Fd)>) {
        let taken = held.and_then(|(read, write)| Some((read.take()?, write.take()?)));
        if let Some((read, write)) = taken {
            self.log = Some((read, File::from(write)));
        }
    }

    /// The reading end of our own log.
    pub(crate) fn log(&self) -> Option<BorrowedFd<'_>> {
        self.log.as_ref().map(|(read, _)| read.as_fd())
    }

    /// Lines for the log only, [`WHOLE`] bytes and one more line at most.
    pub(crate) fn note(&mut self, text: &str) {
        let text = text.trim_end();
        if !text.is_empty() {
            self.write(text);
        }
    }

    /// Something that an administrator must see.
    pub(crate) fn shout(&mut self, text: &str) {
        self.write(text);
        // Not for the console: it gets its own copy, whatever the kernel's log level.
        self.kernel.say(Level::Info, text);
        let consoles = self.consoles.get_or_insert_with(Consoles::open);
        consoles.say(&format!("rinit: {text}\n"));
    }

    fn write(&mut self, text: &str) {
        let Some((_, log)) = &mut self.log else {
            return;
        };
        let line = match self.lost {
            0 => format!("{text}\n"),
            lost => format!("({lost} messages lost)\n{text}\n"),
        };
        // Up to the size of a pipe's page a write is whole or not at all (pipe(7)); a full pipe costs the line.
        match log.write_all(line.as_bytes()) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost = self.lost.saturating_add(1),
        }
    }
}

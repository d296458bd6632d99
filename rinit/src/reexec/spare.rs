//! What a crash goes on from: written again a moment after something changed. A crash handler cannot ask the memory of a
//! program that has just proved to be wrong.
//!
//! A copy of PID 1 writes it: with 1,000 units it is work for some milliseconds, in which nobody would be started or answered.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use sys::epoll::Interest;
use sys::handoff;
use sys::process::Worker;

use super::ROLE;
use crate::init::{Init, SPARE};

/// So long after a change the state is written, in milliseconds: one write for all that happens meanwhile.
const DELAY: u64 = 500;
/// How long the copy may take, in milliseconds.
const PATIENCE: u64 = 10_000;
/// What it says in the end.
const DONE: [u8; 1] = [b'.'];

/// The files in memory that a crash goes on from.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    state: Option<OwnedFd>,
    definitions: Option<File>,
    /// Which definitions those are.
    edition: u64,
    /// Events that the state takes account of.
    events: u64,
    due: Option<u64>,
    writing: Option<Writing>,
}

/// A copy of PID 1 at work.
#[derive(Debug)]
struct Writing {
    worker: Worker,
    state: File,
    definitions: File,
    /// Which definitions those are, and whether they are written too.
    edition: u64,
    is_new: bool,
    due: u64,
}

impl Spare {
    /// When it is to be written.
    pub(crate) fn due(&self) -> Option<u64> {
        match &self.writing {
            Some(writing) => Some(writing.due),
            None => self.due,
        }
    }
}

/// The words for a program that goes on; the crash handler puts its signal in the place of `00`.
pub(super) fn arguments(numbers: [i32; 2], signal: i32, crashes: &[u64]) -> Vec<String> {
    let [state, definitions] = numbers.map(|number| number.to_string());
    let times: Vec<String> = crashes.iter().map(u64::to_string).collect();
    let times = if times.is_empty() {
        "-".to_owned()
    } else {
        times.join(",")
    };
    let signal = format!("{signal:02}");
    vec![ROLE.to_owned(), state, definitions, signal, times]
}

/// Where the signal stands among these words.
const SIGNAL: usize = 3;

impl Init {
    /// Has the state written if it is time.
    pub(crate) fn keep_spare(&mut self) {
        let now = sys::timer::now();
        let events = self.all.events();
        if events != self.spare.events && self.spare.due.is_none() {
            self.spare.due = Some(now.saturating_add(DELAY));
        }
        let kept = match self.spare.writing.take() {
            Some(writing) => self.take_spare(writing, now),
            None if self.spare.due.is_some_and(|due| due <= now) => {
                self.spare.due = None;
                self.spare.events = events;
                self.begin_spare(now)
            }
            None => Ok(()),
        };
        if let Err(why) = kept {
            self.voice
                .note(&format!("a crash would go on from an older state: {why}"));
        }
    }

    /// Starts the copy that writes.
    fn begin_spare(&mut self, now: u64) -> Result<(), String> {
        let said = |error: sys::SysError| sys::chain(&error);
        let edition = self.all.core.edition();
        let state = handoff::blank("rinit-state").map_err(said)?;
        let known = self.spare.definitions.as_ref();
        let known = known.filter(|_| self.spare.edition == edition);
        let is_new = known.is_none();
        let definitions = match known {
            Some(definitions) => definitions.try_clone().map_err(|why| why.to_string())?,
            None => handoff::blank("rinit-definitions").map_err(said)?,
        };
        let write = |mut output: File| -> Result<(), String> {
            let put = |mut file: &File, bytes: &[u8]| {
                file.write_all(bytes).map_err(|why| why.to_string())
            };
            put(&state, &self.hold().to_bytes()?)?;
            if is_new {
                let bytes = self.definitions().to_bytes();
                put(&definitions, &bytes.map_err(|why| why.to_string())?)?;
            }
            output.write_all(&DONE).map_err(|why| why.to_string())
        };
        let worker = sys::process::fork_worker(|output| u8::from(write(output).is_err()));
        let worker = worker.map_err(said)?;
        let epoll = self.all.hands.kernel.epoll();
        epoll
            .add(&worker.output, SPARE, Interest::Read)
            .map_err(said)?;
        self.spare.writing = Some(Writing {
            worker,
            state,
            definitions,
            edition,
            is_new,
            due: now.saturating_add(PATIENCE),
        });
        Ok(())
    }

    /// Goes on from what the copy has written from now on.
    fn take_spare(&mut self, mut writing: Writing, now: u64) -> Result<(), String> {
        let mut said = [0; 1];
        let why = match writing.worker.output.read(&mut said) {
            Ok(1) if said == DONE => None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if now < writing.due {
                    self.spare.writing = Some(writing);
                    return Ok(());
                }
                Some("it takes too long to be written")
            }
            _ => Some("it could not be written"),
        };
        let epoll = self.all.hands.kernel.epoll();
        epoll.remove(&writing.worker.output).ok();
        if let Some(why) = why {
            sys::process::signal(&writing.worker.pidfd, 9).ok();
            return Err(why.to_owned());
        }
        let said = |error: sys::SysError| sys::chain(&error);
        handoff::close(&writing.state).map_err(said)?;
        if writing.is_new {
            handoff::close(&writing.definitions).map_err(said)?;
        }
        self.arm_spare(
            writing.state.into(),
            writing.definitions.into(),
            writing.edition,
        )
    }

    /// From now on a crash goes on from these.
    fn arm_spare(
        &mut self,
        state: OwnedFd,
        definitions: OwnedFd,
        edition: u64,
    ) -> Result<(), String> {
        let numbers = [state.as_raw_fd(), definitions.as_raw_fd()];
        let words = arguments(numbers, 0, &self.crashes);
        let prepared = sys::crash::prepare(self.program(), &words, SIGNAL);
        prepared.map_err(|error| sys::chain(&error))?;
        // Not before: until then the handler would name the old ones.
        self.spare.edition = edition;
        self.spare.definitions = Some(definitions.into());
        self.spare.state = Some(state);
        // It follows the bursts of work.
        sys::memory::give_back();
        Ok(())
    }

    /// Makes a crash survivable from the first moment on: with what is found running then.
    ///
    /// # Errors
    /// No memory for the handler's stack, or the kernel refuses.
    pub(crate) fn prepare_for_crash(&self) -> sys::error::Result<()> {
        sys::crash::arm()?;
        // No descriptor has this number.
        let words = arguments([-1, -1], 0, &self.crashes);
        sys::crash::prepare(self.program(), &words, SIGNAL)
    }

    /// Writes the state now: there may be no moment later.
    ///
    /// # Errors
    /// No memory or descriptor to be had, in words; then what was written last stays.
    pub(super) fn write_spare(&mut self) -> Result<(), String> {
        let (state, definitions, _) = self.write_held()?;
        self.arm_spare(state, definitions, self.all.core.edition())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_signal_is_known() {
        let words = arguments([5, 6], 0, &[7, 8]);
        assert_eq!(words, ["@resume", "5", "6", "00", "7,8"]);
        assert_eq!(words.get(SIGNAL).unwrap(), "00");
    }
}

//! What a crash goes on from: written again a moment after something changed. A crash handler cannot ask the memory of a
//! program that has just proved to be wrong.

use std::os::fd::{AsRawFd, OwnedFd};

use sys::handoff;

use super::ROLE;
use crate::init::Init;

/// So long after a change the state is written, in milliseconds: one write for all that happens meanwhile.
const DELAY: u64 = 500;

/// The files in memory that a crash goes on from.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    state: Option<OwnedFd>,
    definitions: Option<OwnedFd>,
    /// Which definitions those are.
    edition: u64,
    /// Events that the state takes account of.
    events: u64,
    due: Option<u64>,
}

impl Spare {
    /// When it is to be written.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due
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
    /// Writes the state if it is time.
    pub(crate) fn keep_spare(&mut self) {
        let now = sys::timer::now();
        let events = self.all.events();
        if events != self.spare.events && self.spare.due.is_none() {
            self.spare.due = Some(now.saturating_add(DELAY));
        }
        if self.spare.due.is_some_and(|due| due <= now) {
            self.spare.due = None;
            self.spare.events = events;
            if let Err(why) = self.write_spare() {
                self.voice
                    .note(&format!("a crash would go on from an older state: {why}"));
            }
        }
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

    /// Writes the state now.
    ///
    /// # Errors
    /// No memory or descriptor to be had, in words; then what was written last stays.
    pub(super) fn write_spare(&mut self) -> Result<(), String> {
        let said = |error: sys::SysError| sys::chain(&error);
        let edition = self.all.core.edition();
        let known = self.spare.edition == edition;
        let definitions = match self.spare.definitions.as_ref().filter(|_| known) {
            Some(definitions) => definitions.try_clone().map_err(|why| why.to_string())?,
            None => {
                let bytes = self.definitions().to_bytes();
                let bytes = bytes.map_err(|why| why.to_string())?;
                handoff::seal("rinit-definitions", &bytes).map_err(said)?
            }
        };
        let state = handoff::seal("rinit-state", &self.hold().to_bytes()?).map_err(said)?;
        let numbers = [state.as_raw_fd(), definitions.as_raw_fd()];
        let words = arguments(numbers, 0, &self.crashes);
        sys::crash::prepare(self.program(), &words, SIGNAL).map_err(said)?;
        // Not before: until then the handler would name the old ones.
        self.spare.edition = edition;
        self.spare.definitions = Some(definitions);
        self.spare.state = Some(state);
        // What was written took as much again in memory, and it follows the bursts of work.
        sys::memory::give_back();
        Ok(())
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

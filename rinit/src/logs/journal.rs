//! What the logger is about, kept in a file in memory that PID 1 holds open: the next logger finishes what a killed one
//! had begun, so that no line is lost and none is written twice.
//!
//! | step | what a killed logger leaves | what the next one does |
//! |---|---|---|
//! | `Taking` | what has left the pipe, in this file | writes that; the rest is still in the pipe |
//! | `Writing` | the text, in this file; none, some or all of it in the log | shortens the log to what it was, writes the text |
//! | `BringingHome` | some of an early log in the log | shortens the log to what it was |
//! | `WritingKernel` | as `Writing`, and the number of the kernel's next message | the same, and goes on with that message |
//! | `WritingMessage` | as `Writing`; the message is still in its socket, or has just been removed | the same, and removes it if it is there |
//! | `Message` | a text that is in its log, of such a message | removes it if it is there |
//! | `Idle` | nothing | nothing |
//!
//! A step is one write that lies within a page: it is there or it is not.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use sys::error::{Cannot, Result};

/// The step and the number of the kernel's next message have so much room; bytes follow them.
const HEAD: u64 = 1024;
/// Where that number is: no step is so long.
const KERNEL: u64 = HEAD - 8;
/// More than this was never begun at once, in bytes.
const MOST: u64 = 1 << 20;

/// What the logger is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Idle,
    Taking {
        log: String,
        open: bool,
        length: u64,
    },
    Writing {
        to: To,
        length: u64,
    },
    BringingHome {
        to: To,
    },
    /// As `Writing`, of messages of the kernel: the first one that is not among them has this number.
    WritingKernel {
        to: To,
        length: u64,
        next: u64,
    },
    /// As `Writing`, of a message that is in its socket until that is done.
    WritingMessage {
        to: To,
        length: u64,
    },
    /// So much of a text was such a message, and is written.
    Message {
        length: u64,
    },
}

/// Where something is being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct To {
    /// Which log.
    pub(crate) log: String,
    /// It is where it belongs, no early log.
    pub(crate) home: bool,
    /// How long the file was before.
    pub(crate) size: u64,
}

/// What is left to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// This was taken out of a pipe, and is in no log yet.
    Taken {
        log: String,
        bytes: Vec<u8>,
        /// It goes on where the record before it ended.
        open: bool,
    },
    /// This may not be in its log, or only in part.
    Text { to: To, text: Vec<u8> },
    /// An early log may be in its log in part.
    Early { to: To },
}

/// The file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Bytes behind the step.
    used: u64,
    /// What is about to be written are messages of the kernel, up to this one.
    kernel: Option<u64>,
    message: Message,
}

/// Whether what is written is a message that is still in its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    No,
    /// It is, and nothing has been noted yet.
    Begun,
    /// It is, and its text has so many bytes.
    Noted(u64),
}

impl Journal {
    /// The file that PID 1 holds.
    pub(crate) fn new(file: File) -> Self {
        // What a logger before us has left must not be written over before it is dealt with.
        let size = file.metadata().map_or(0, |data| data.len());
        Self {
            file,
            used: size.saturating_sub(HEAD),
            kernel: None,
            message: Message::No,
        }
    }

    /// Number of the kernel's first message that is in no log, or will not be in one once what is left is dealt with: 0 for
    /// the first logger.
    pub(crate) fn kernel(&mut self) -> u64 {
        let noted = self.part(KERNEL, 8);
        let noted = noted.try_into().map_or(0, u64::from_le_bytes);
        let Some(Step::WritingKernel { next, .. }) = self.noted() else {
            return noted;
        };
        // The next step forgets it.
        self.kernel = Some(noted.max(next));
        self.kernel_written();
        noted.max(next)
    }

    /// What is written next are messages of the kernel: the first one that is not among them has this number.
    pub(crate) fn writes_kernel(&mut self, next: u64) {
        // They are taken out of nothing, so nothing makes room for them.
        self.idle();
        self.kernel = Some(next);
    }

    /// They are written, or have found no room.
    pub(crate) fn kernel_written(&mut self) {
        if let Some(next) = self.kernel.take() {
            self.file.write_all_at(&next.to_le_bytes(), KERNEL).ok();
        }
    }

    /// What is written next is a message that is in its socket until [`Self::message_removed`].
    pub(crate) fn writes_message(&mut self) {
        self.idle();
        self.message = Message::Begun;
    }

    /// It is in its log, or has found no room, and no more in its socket.
    pub(crate) fn message_removed(&mut self) {
        self.message = Message::No;
        self.idle();
    }

    /// The records of a message that a logger before us has written, or was about to, and that may still be in its socket.
    pub(crate) fn message(&self) -> Option<String> {
        let (Step::WritingMessage { length, .. } | Step::Message { length }) = self.noted()? else {
            return None;
        };
        let size = self.file.metadata().ok()?.len();
        let at = size.checked_sub(length).filter(|at| *at >= HEAD)?;
        String::from_utf8(self.part(at, length)).ok()
    }

    /// Takes `length` bytes out of the pipe of a log, and says how many came.
    ///
    /// # Errors
    /// The kernel has no memory for them.
    pub(crate) fn take(
        &mut self,
        pipe: impl AsFd,
        log: &str,
        open: bool,
        length: usize,
    ) -> Result<usize> {
        let taking = |length| Step::Taking {
            log: log.to_owned(),
            open,
            length,
        };
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        // First, or bytes of the last time would seem to have been taken now.
        self.file.set_len(HEAD).cannot("use", "the journal")?;
        self.step(&taking(wanted))?;
        let moved = sys::peek::move_to(pipe, &self.file, HEAD, length);
        let size = self.file.metadata().cannot("use", "the journal")?.len();
        self.used = size.saturating_sub(HEAD);
        if self.used == 0 {
            moved?;
        }
        if self.used != wanted {
            // Or what is noted behind it would seem to have been taken.
            self.step(&taking(self.used))?;
        }
        Ok(usize::try_from(self.used).unwrap_or(length))
    }

    /// Notes a text that is about to be written. Without room for that it is written all the same.
    pub(crate) fn writes(&mut self, to: To, text: &[u8]) {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let at = HEAD.saturating_add(self.used);
        if self.file.write_all_at(text, at).is_ok() {
            self.used = self.used.saturating_add(length);
            let step = match (self.kernel, self.message) {
                (Some(next), _) => Step::WritingKernel { to, length, next },
                (None, Message::No) => Step::Writing { to, length },
                (None, Message::Begun | Message::Noted(_)) => {
                    self.message = Message::Noted(length);
                    Step::WritingMessage { to, length }
                }
            };
            self.step(&step).ok();
        }
    }

    /// Notes that an early log is about to be copied.
    pub(crate) fn brings_home(&mut self, to: To) {
        self.step(&Step::BringingHome { to }).ok();
    }

    /// Nothing is left to be done, unless a message is still in its socket.
    pub(crate) fn idle(&mut self) {
        if let Message::Noted(length) = self.message {
            self.step(&Step::Message { length }).ok();
            return;
        }
        self.step(&Step::Idle).ok();
        self.file.set_len(HEAD).ok();
        self.used = 0;
    }

    fn step(&self, step: &Step) -> Result<()> {
        let bytes = postcard::to_allocvec(step).map_err(std::io::Error::other);
        let bytes = bytes.cannot("use", "the journal")?;
        self.file
            .write_all_at(&bytes, 0)
            .cannot("use", "the journal")
    }

    /// What a logger before us has left.
    pub(crate) fn left(&self) -> Left {
        let size = self.file.metadata().map_or(0, |data| data.len());
        let Some(step) = self.noted() else {
            return Left::Nothing;
        };
        match step {
            Step::Idle | Step::Message { .. } => Left::Nothing,
            Step::Taking { log, open, length } => {
                let bytes = self.part(HEAD, size.saturating_sub(HEAD).min(length));
                if bytes.is_empty() {
                    return Left::Nothing;
                }
                Left::Taken { log, bytes, open }
            }
            Step::Writing { to, length }
            | Step::WritingKernel { to, length, .. }
            | Step::WritingMessage { to, length } => {
                match size.checked_sub(length) {
                    Some(at) if at >= HEAD && length > 0 => Left::Text {
                        to,
                        text: self.part(at, length),
                    },
                    // The text went when the next piece was about to be taken: it was written.
                    _ => Left::Nothing,
                }
            }
            Step::BringingHome { to } => Left::Early { to },
        }
    }

    fn noted(&self) -> Option<Step> {
        let size = self.file.metadata().map_or(0, |data| data.len());
        let head = self.part(0, size.min(HEAD));
        // Bytes of an older step may follow.
        let (step, _) = postcard::take_from_bytes(&head).ok()?;
        Some(step)
    }

    fn part(&self, at: u64, length: u64) -> Vec<u8> {
        let length = usize::try_from(length.min(MOST)).unwrap_or_default();
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn journal() -> Journal {
        Journal::new(sys::peek::memory_file("journal").unwrap())
    }

    fn to(size: u64) -> To {
        To {
            log: "web".into(),
            home: true,
            size,
        }
    }

    #[test]
    fn after_each_step_the_next_logger_knows_what_is_left() {
        let mut journal = journal();
        assert_eq!(journal.left(), Left::Nothing);
        let (read, write) = sys::peek::open_pipe().unwrap();
        let mut write = File::from(write);
        for round in 0..3 {
            write.write_all(b"one\ntwo\n").unwrap();
            assert_eq!(journal.take(&read, "web", false, 4).unwrap(), 4);
            let taken = Left::Taken {
                log: "web".into(),
                bytes: b"one\n".to_vec(),
                open: false,
            };
            assert_eq!(journal.left(), taken, "round {round}");
            journal.writes(to(7), b"stamp one\n");
            let text = Left::Text {
                to: to(7),
                text: b"stamp one\n".to_vec(),
            };
            assert_eq!(journal.left(), text, "round {round}");
            assert_eq!(journal.take(&read, "web", true, 4).unwrap(), 4);
        }
        journal.idle();
        assert_eq!(journal.left(), Left::Nothing);
        journal.brings_home(to(9));
        assert_eq!(journal.left(), Left::Early { to: to(9) });
    }

    #[test]
    fn what_was_taken_is_left_until_the_next_logger_has_begun_to_write_it() {
        let mut first = journal();
        let (read, write) = sys::peek::open_pipe().unwrap();
        File::from(write)
            .write_all(b"a line of some length\n")
            .unwrap();
        first.take(&read, "web", false, 22).unwrap();
        let mut second = Journal::new(first.file.try_clone().unwrap());
        // Killed after half of noting what it is about to write.
        second
            .file
            .write_all_at(b"stamp", HEAD + second.used)
            .unwrap();
        let Left::Taken { bytes, .. } = second.left() else {
            panic!("{:?}", second.left());
        };
        assert_eq!(bytes, b"a line of some length\n");
        second.writes(to(7), b"stamp a line\n");
        let text = b"stamp a line\n".to_vec();
        assert_eq!(second.left(), Left::Text { to: to(7), text });
    }

    #[test]
    fn a_text_that_was_dropped_for_the_next_piece_is_not_left() {
        let mut journal = journal();
        journal.writes(to(7), b"stamp one\n");
        // The first half of taking.
        journal.file.set_len(HEAD).unwrap();
        assert_eq!(journal.left(), Left::Nothing);
    }

    #[test]
    fn the_kernels_messages_are_known_to_be_written_before_that_is_noted() {
        let mut first = journal();
        assert_eq!(first.kernel(), 0);
        first.writes_kernel(7);
        assert_eq!(first.kernel(), 0, "nothing is written yet");
        first.writes(to(7), b"stamp usb\n");
        // Killed here: the next one finishes that, and goes on behind it.
        let mut second = Journal::new(first.file.try_clone().unwrap());
        assert_eq!(second.kernel(), 7);
        assert!(matches!(second.left(), Left::Text { .. }));
        first.kernel_written();
        first.writes(to(9), b"stamp one\n");
        first.idle();
        assert_eq!(first.kernel(), 7);
    }

    #[test]
    fn a_message_is_known_until_it_is_out_of_its_socket() {
        let mut first = journal();
        let after = |journal: &Journal| Journal::new(journal.file.try_clone().unwrap());
        for round in 0..3 {
            first.writes_message();
            assert_eq!(after(&first).message(), None, "nothing is written yet");
            first.writes(to(7), b"stamp a\n");
            let second = after(&first);
            assert_eq!(second.message().as_deref(), Some("stamp a\n"), "{round}");
            assert!(matches!(second.left(), Left::Text { .. }));
            // The file is turned over.
            first.idle();
            let second = after(&first);
            assert_eq!(second.message().as_deref(), Some("stamp a\n"), "{round}");
            assert_eq!(second.left(), Left::Nothing);
            first.message_removed();
            assert_eq!(after(&first).message(), None);
        }
        first.writes(to(9), b"stamp one\n");
        assert_eq!(after(&first).message(), None);
    }

    #[test]
    fn damage_is_nothing_left() {
        let journal = journal();
        for bytes in [&b""[..], b"\xff\xff\xff", &[2; 2000]] {
            journal.file.set_len(0).unwrap();
            journal.file.write_all_at(bytes, 0).unwrap();
            assert_eq!(journal.left(), Left::Nothing);
        }
    }
}

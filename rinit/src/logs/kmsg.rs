//! What the kernel says (`/dev/kmsg`, dev-kmsg in the kernel's ABI documents): numbered messages, which it keeps in memory
//! until newer ones need the room. Reading takes nothing away, so a logger that is started again skips the numbers that are
//! in the log already.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rootspec::record::Line;

/// The name of its log.
pub(super) const NAME: &str = "kernel";

/// Our own processes: the one of the machine has this number (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";
/// One message never takes more (`PRINTK_MESSAGE_MAX`, escaped, with what belongs to it).
const LONGEST: usize = 16 << 10;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// As syslog(3) counts, 0 to 7.
    priority: u8,
    /// A program has written it, not the kernel.
    is_foreign: bool,
    number: u64,
    /// Microseconds since the kernel started.
    micros: u64,
    text: &'a [u8],
}

impl<'a> Message<'a> {
    /// `6,339,5140900,-;text`, and in further lines what it is about, which is left out.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let end = line.iter().position(|byte| *byte == b';')?;
        let (head, text) = line.split_at_checked(end)?;
        let mut parts = std::str::from_utf8(head).ok()?.split(',');
        let prefix: u32 = parts.next()?.parse().ok()?;
        Some(Self {
            priority: u8::try_from(prefix & 7).ok()?,
            is_foreign: prefix > 7,
            number: parts.next()?.parse().ok()?,
            micros: parts.next()?.parse().ok()?,
            text: text.get(1..)?,
        })
    }

    /// When it was said, counted from 1970; `began`: when the clock of the kernel began, in milliseconds.
    pub(super) fn time(&self, began: i64) -> Duration {
        let began = Duration::from_millis(u64::try_from(began).unwrap_or_default());
        began.saturating_add(Duration::from_micros(self.micros))
    }

    /// Its record.
    pub(super) fn line(&self) -> Line<'a> {
        Line {
            unit: NAME,
            priority: Some(self.priority),
            continued: false,
            text: self.text,
        }
    }

    /// What `rinit` says there is in its own log.
    fn is_ours(&self) -> bool {
        self.is_foreign && self.text.starts_with(b"rinit: ")
    }
}

/// Reads one after the other.
#[derive(Debug)]
pub(super) struct Kmsg {
    file: File,
    /// Number of the first message that is in no log.
    next: u64,
}

/// What a read was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A message, and how many between the last one and this one were overwritten before they were read.
    Message(Message<'a>, u64),
    /// One that is no matter of ours.
    Skipped,
    /// There is no more for now.
    Nothing,
}

impl Kmsg {
    /// Begins with the message of this number. `None`: there is nothing to be read.
    pub(super) fn open(next: u64) -> Option<(Self, OwnedFd)> {
        let file = sys::console::read_kernel_log().ok()?;
        let copy = file.try_clone().ok()?;
        Some((Self { file, next }, copy.into()))
    }

    /// Number of the first message that has not been read.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The next message.
    pub(super) fn read<'a>(&mut self, buffer: &'a mut Vec<u8>) -> Found<'a> {
        buffer.resize(LONGEST, 0);
        let length = match self.file.read(buffer) {
            Ok(0) => return Found::Nothing,
            Ok(length) => length,
            // Some were overwritten: the next read goes on behind them.
            Err(why) if matches!(why.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {
                return Found::Skipped;
            }
            Err(_) => return Found::Nothing,
        };
        self.take(buffer.get(..length).unwrap_or_default())
    }

    fn take<'a>(&mut self, bytes: &'a [u8]) -> Found<'a> {
        let Some(message) = Message::parse(bytes) else {
            return Found::Skipped;
        };
        let Some(lost) = message.number.checked_sub(self.next) else {
            return Found::Skipped;
        };
        self.next = message.number.saturating_add(1);
        if message.is_ours() {
            return Found::Skipped;
        }
        Found::Message(message, lost)
    }
}

/// True if the messages are about the machine that we run, and not about the host of a container.
pub(super) fn are_ours() -> bool {
    let name = std::fs::read_link("/proc/self/ns/pid");
    name.is_ok_and(|name| name.as_os_str() == FIRST_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kmsg(next: u64) -> Kmsg {
        let file = File::open("/dev/null").unwrap();
        Kmsg { file, next }
    }

    #[test]
    fn a_message_is_read_without_what_it_is_about() {
        let bytes = b"6,339,5140900,-;NET: Registered; protocol 10\n SUBSYSTEM=net\n";
        let expected = Message {
            priority: 6,
            is_foreign: false,
            number: 339,
            micros: 5_140_900,
            text: b"NET: Registered; protocol 10",
        };
        assert_eq!(Message::parse(bytes), Some(expected));
        let of_a_program = Message::parse(b"12,340,7,c,caller=T1;usb: on fire").unwrap();
        assert_eq!((of_a_program.priority, of_a_program.is_foreign), (4, true));
    }

    #[test]
    fn nonsense_is_no_message() {
        for bytes in [
            b"".as_slice(),
            b";",
            b"6,1;x",
            b"6,1,2",
            b"-1,1,2;x",
            b"6,1,99999999999999999999;x",
            b"\xff,1,2;x",
        ] {
            assert_eq!(Message::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_in_the_log_is_skipped_and_what_is_missing_counted() {
        let mut kmsg = kmsg(5);
        assert_eq!(kmsg.take(b"6,4,1,-;old"), Found::Skipped);
        let lost = |found| match found {
            Found::Message(_, lost) => lost,
            other => panic!("{other:?}"),
        };
        assert_eq!(lost(kmsg.take(b"6,5,1,-;a")), 0);
        assert_eq!(lost(kmsg.take(b"6,9,1,-;b")), 3);
        assert_eq!(kmsg.take(b"30,10,1,-;rinit: web is up"), Found::Skipped);
        assert_eq!(lost(kmsg.take(b"6,11,1,-;rinit: says the kernel")), 0);
        assert_eq!(kmsg.next(), 12);
    }
}

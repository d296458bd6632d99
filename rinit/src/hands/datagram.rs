//! The datagrams of `sd_notify(3)`: lines of `NAME=value`.

use crate::supervisor::Word;

/// Longest status that is kept, in bytes.
const STATUS: usize = 200;

/// What a datagram says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// `READY=1`
    pub(crate) ready: bool,
    /// `RELOADING=1`, `STOPPING=1`, `EXTEND_TIMEOUT_USEC=…`, `WATCHDOG=…`, `WATCHDOG_USEC=…`
    pub(crate) words: Vec<Word>,
    /// `STATUS=…`, cut and without control characters.
    pub(crate) status: Option<String>,
    /// `ERRNO=…`
    pub(crate) errno: Option<i32>,
    /// `MAINPID=…`
    pub(crate) main: Option<u32>,
}

/// Reads a datagram; what we do not know is ignored.
pub(crate) fn parse(bytes: &[u8]) -> Message {
    let mut message = Message::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        match (name, value) {
            ("READY", "1") => message.ready = true,
            ("RELOADING", "1") => message.words.push(Word::Reloading),
            ("STOPPING", "1") => message.words.push(Word::Stopping),
            ("EXTEND_TIMEOUT_USEC", _) => {
                message.words.extend(millis(value).map(Word::Extend));
            }
            ("WATCHDOG", "1") => message.words.push(Word::Alive),
            ("WATCHDOG", "trigger") => message.words.push(Word::Hangs),
            ("WATCHDOG_USEC", _) => {
                message.words.extend(millis(value).map(Word::Within));
            }
            ("STATUS", text) => {
                let plain = text.chars().filter(|c| !c.is_control());
                message.status = Some(plain.take(STATUS).collect());
            }
            ("ERRNO", _) => message.errno = value.parse().ok(),
            ("MAINPID", _) => message.main = value.parse().ok(),
            _ => {}
        }
    }
    message
}

/// Microseconds as milliseconds, rounded up.
fn millis(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().map(|micros| micros.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_understood_and_the_rest_ignored() {
        let message = parse(
            b"MAINPID=7\nREADY=1\nSTATUS=a\x1b[31mb\nX_WATCHDOG=1\nEXTEND_TIMEOUT_USEC=1500\nERRNO=2",
        );
        assert_eq!(
            (message.ready, message.status.as_deref(), message.main),
            (true, Some("a[31mb"), Some(7))
        );
        assert_eq!(message.words, [Word::Extend(2)]);
        assert_eq!(message.errno, Some(2));
    }

    #[test]
    fn nonsense_says_nothing() {
        for bytes in [
            b"READY=10\n\xff\xfe".as_slice(),
            b"MAINPID=-1\nERRNO=x",
            b"EXTEND_TIMEOUT_USEC=99999999999999999999",
            b"=\n\n=1\nREADY",
            b"",
        ] {
            assert_eq!(parse(bytes), Message::default(), "{bytes:?}");
        }
    }
}

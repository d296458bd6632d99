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
    /// `FDSTORE=1`
    pub(crate) stores: bool,
    /// `FDSTOREREMOVE=1`
    pub(crate) removes: bool,
    /// `FDNAME=…`, if it is a name.
    pub(crate) fd_name: Option<String>,
    /// `FDPOLL=0`
    pub(crate) unwatched: bool,
}

/// Longest name of a descriptor, in bytes.
const FD_NAME: usize = 255;

/// Whether descriptors may be called this: as `sd_pid_notify_with_fds(3)` says.
fn is_fd_name(name: &str) -> bool {
    let fits = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b':';
    (1..=FD_NAME).contains(&name.len()) && name.bytes().all(fits)
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
            ("FDSTORE", "1") => message.stores = true,
            ("FDSTOREREMOVE", "1") => message.removes = true,
            ("FDPOLL", "0") => message.unwatched = true,
            ("FDNAME", name) => message.fd_name = is_fd_name(name).then(|| name.to_owned()),
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
    fn descriptors_have_names_that_fit_into_a_list() {
        let long = "x".repeat(FD_NAME + 1);
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={long}");
        let message = parse(text.as_bytes());
        assert!(message.stores && message.unwatched && !message.removes);
        assert_eq!(message.fd_name, None);
        let message = parse(b"FDSTOREREMOVE=1\nFDNAME=a b-7");
        assert_eq!(message.fd_name.as_deref(), Some("a b-7"));
        assert!(message.removes);
    }

    #[test]
    fn nonsense_says_nothing() {
        for bytes in [
            b"READY=10\n\xff\xfe".as_slice(),
            b"MAINPID=-1\nERRNO=x",
            b"EXTEND_TIMEOUT_USEC=99999999999999999999",
            b"=\n\n=1\nREADY",
            b"FDSTORE=yes\nFDPOLL=1\nFDSTOREREMOVE=0",
            b"FDNAME=a:b",
            b"FDNAME=\nFDNAME=\x01\nFDNAME=\xc3\xa4",
            b"",
        ] {
            assert_eq!(parse(bytes), Message::default(), "{bytes:?}");
        }
    }
}

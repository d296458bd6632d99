//! The datagrams of `sd_notify(3)`: lines of `NAME=value`.

/// Longest status that is kept, in bytes.
const STATUS: usize = 200;

/// What a datagram says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// `READY=1`
    pub(crate) ready: bool,
    /// `STATUS=…`, cut and without control characters.
    pub(crate) status: Option<String>,
}

/// Reads a datagram; what we do not know is ignored.
pub(crate) fn parse(bytes: &[u8]) -> Message {
    let mut message = Message::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        if line == "READY=1" {
            message.ready = true;
        } else if let Some(text) = line.strip_prefix("STATUS=") {
            let plain = text.chars().filter(|c| !c.is_control());
            message.status = Some(plain.take(STATUS).collect());
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_and_status_are_understood_and_the_rest_ignored() {
        let message = parse(b"MAINPID=7\nREADY=1\nSTATUS=a\x1b[31mb\nWATCHDOG=1");
        assert_eq!(
            (message.ready, message.status.as_deref()),
            (true, Some("a[31mb"))
        );
        assert_eq!(parse(b"READY=10\n\xff\xfe"), Message::default());
    }
}

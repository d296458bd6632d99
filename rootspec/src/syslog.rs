//! Messages of syslog(3), as programs send them to `/dev/log`: the form of RFC 3164 as C libraries write it, and RFC 5424.
//!
//! Nothing in them can be trusted, nor need it be well formed: what is not understood is part of the text. Times, host names
//! and process ids that they name are left out, because the kernel and the logger know better.

/// Longest name of a program that is taken for one, in bytes (RFC 5424, 6.2.5).
const NAME: usize = 48;
/// Largest number in front (RFC 5424, 6.2.1): facility 23, priority 7.
const HIGHEST: u32 = 191;
/// How RFC 3164 begins a time.
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Priority as syslog(3) counts, 0 to 7; absent: none was said.
    pub priority: Option<u8>,
    /// What the program calls itself: printable, without blanks, colons and brackets.
    pub name: Option<&'a str>,
    /// What it says, as it was said.
    pub text: &'a [u8],
}

/// Reads a datagram. Any bytes are a message.
#[must_use]
pub fn message(bytes: &[u8]) -> Message<'_> {
    let end = bytes.iter().rposition(|byte| !b"\0\r\n".contains(byte));
    let bytes = end.and_then(|last| bytes.get(..=last)).unwrap_or_default();
    let Some((priority, rest)) = priority(bytes) else {
        let (name, text) = tagged(bytes).unzip();
        return Message {
            priority: None,
            name,
            text: text.unwrap_or(bytes),
        };
    };
    let (name, text) = new_form(rest).unwrap_or_else(|| old_form(rest));
    Message {
        priority: Some(priority),
        name,
        text,
    }
}

/// `<13>`: facility and priority in one number.
fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let (digits, rest) = rest.split_at_checked(end)?;
    // The number's own parser would let a sign pass.
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let priority = u8::try_from(number & 7).ok()?;
    (number <= HIGHEST).then_some((priority, rest.get(1..)?))
}

/// `1 TIME HOST NAME PROCESS KIND [DATA] TEXT` (RFC 5424).
fn new_form(bytes: &[u8]) -> Option<(Option<&str>, &[u8])> {
    let mut parts = bytes.strip_prefix(b"1 ")?.splitn(6, |byte| *byte == b' ');
    let (time, _host, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (_process, _kind, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_time = time == b"-" || (time.first()?.is_ascii_digit() && time.contains(&b'T'));
    // An old one may begin with a number too.
    if !is_time || !(rest.starts_with(b"-") || rest.starts_with(b"[")) {
        return None;
    }
    let text = match rest.strip_prefix(b"-") {
        Some(text) => text.strip_prefix(b" ").unwrap_or(text),
        // Data with names is part of what is said.
        None => rest,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some((as_name(name).filter(|name| *name != "-"), text))
}

/// `Dec  1 03:00:00 NAME[PROCESS]: TEXT`, any part of which may be missing; a host may stand before the name.
fn old_form(bytes: &[u8]) -> (Option<&str>, &[u8]) {
    let behind = bytes
        .split_at_checked(16)
        .and_then(|(time, rest)| is_old_time(time).then_some(rest));
    let rest = behind.unwrap_or(bytes);
    let with_host = || {
        let space = behind?.iter().position(|byte| *byte == b' ')?;
        as_name(rest.get(..space)?)?;
        tagged(rest.get(space.saturating_add(1)..)?)
    };
    match tagged(rest).or_else(with_host) {
        Some((name, text)) => (Some(name), text),
        None => (None, rest),
    }
}

/// `Dec  1 03:00:00 `, with the blank behind it.
fn is_old_time(bytes: &[u8]) -> bool {
    let at = |place: usize, byte: u8| bytes.get(place) == Some(&byte);
    let month = bytes.get(..3).is_some_and(|month| MONTHS.contains(&month));
    month && at(3, b' ') && at(6, b' ') && at(9, b':') && at(12, b':') && at(15, b' ')
}

/// `NAME: ` or `NAME[PROCESS]: `, and what follows.
fn tagged(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| !is_of_name(*byte))?;
    let (name, rest) = bytes.split_at_checked(end)?;
    let rest = match rest.strip_prefix(b"[") {
        Some(rest) => {
            let close = rest.iter().take(NAME).position(|byte| *byte == b']')?;
            rest.get(close.saturating_add(1)..)?
        }
        None => rest,
    };
    let text = rest.strip_prefix(b":")?;
    Some((as_name(name)?, text.strip_prefix(b" ").unwrap_or(text)))
}

fn as_name(bytes: &[u8]) -> Option<&str> {
    let fits = (1..=NAME).contains(&bytes.len()) && bytes.iter().all(|byte| is_of_name(*byte));
    std::str::from_utf8(bytes).ok().filter(|_| fits)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b":[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Option<u8>, Option<&str>, &str) {
        let found = message(bytes);
        let text = std::str::from_utf8(found.text).unwrap();
        (found.priority, found.name, text)
    }

    #[test]
    fn both_forms_are_understood_as_programs_write_them() {
        let cases: [(&[u8], _); 9] = [
            // glibc, musl, busybox, util-linux: no host.
            (
                b"<38>Dec  1 03:00:00 sshd[812]: Accepted publickey",
                (Some(6), Some("sshd"), "Accepted publickey"),
            ),
            (
                b"<13>Dec 11 03:00:00 root: a: b\n\0",
                (Some(5), Some("root"), "a: b"),
            ),
            (
                b"<11>Dec 11 03:00:00 web1 nginx: down",
                (Some(3), Some("nginx"), "down"),
            ),
            // Python's SysLogHandler: neither time nor name.
            (b"<14>it works\0", (Some(6), None, "it works")),
            (b"<30>dnsmasq[7]:x", (Some(6), Some("dnsmasq"), "x")),
            (b"no number: here", (None, None, "no number: here")),
            (
                b"<165>1 2026-12-01T03:00:00.003Z host app 812 ID47 - \xef\xbb\xbfhello",
                (Some(5), Some("app"), "hello"),
            ),
            (
                b"<165>1 - - - - - [x@1 a=\"b\"] hello",
                (Some(5), None, "[x@1 a=\"b\"] hello"),
            ),
            (
                b"<0>1 2026-12-01T03:00:00Z h app - - -",
                (Some(0), Some("app"), ""),
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_well_formed_is_text() {
        for text in [
            "<>x", "<999>x", "<192>x", "<+1>x", "<1", "<00013>x", "", "<13", "[7]: x", ": x",
        ] {
            assert_eq!(read(text.as_bytes()), (None, None, text));
        }
        let long = format!("<13>{}: x", "n".repeat(NAME + 1));
        assert_eq!(read(long.as_bytes()).1, None);
        for text in [
            "1 2 3",
            "1 - - app - - x",
            "1 ",
            "Dec  1 03:00:00",
            "a[b",
            "a[]x",
            "sshd\u{e9}: x",
        ] {
            let bytes = format!("<13>{text}");
            assert_eq!(read(bytes.as_bytes()), (Some(5), None, text));
        }
    }

    #[test]
    fn no_bytes_are_a_danger() {
        let mut dice: u32 = 7;
        let alphabet = b"<>0123456789 Dec:[]-1T\0\n\xff\xefa";
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..dice % 40)
                .map(|_| {
                    dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let at = usize::try_from(dice >> 16).unwrap() % alphabet.len();
                    alphabet[at]
                })
                .collect();
            let found = message(&bytes);
            assert!(found.text.len() <= bytes.len());
            assert!(found.priority.is_none_or(|priority| priority < 8));
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
    }
}

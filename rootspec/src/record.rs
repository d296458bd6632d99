//! One record of a log, as the line of text that the logger of `rinit` writes and `rootctl` reads:
//! `2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=1 sshd[-]: text`.
//!
//! Everything that tells where a record comes from stands on its own line, so that it outlives rotation, `grep`, `tail`
//! and a file of which only a part is left. `pri=3` before the unit is a priority as syslog(3) counts, where one is known.
//! `sshd[-]+:` goes on where the record before it ended: a text longer than [`PIECE`], or one that was not finished in
//! time.

use std::fmt::Write;
use std::time::Duration;

use crate::civil::date_of;

/// Longest text of one record, in bytes before escaping.
pub const PIECE: usize = 8192;

/// How `rinit` begins what it says in its own log about the boot it is in.
pub const VERDICT: &str = "this boot is ";
/// Behind [`VERDICT`]: a try has become the default.
pub const CONFIRMED: &str = "confirmed";
/// Behind [`VERDICT`], before a colon and the reason: the snapshot is left.
pub const BAD: &str = "bad";

/// What is the same in all records of a boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// First 8 digits of the kernel's boot id.
    pub boot: String,
    /// Snapshot, or `-`.
    pub snapshot: String,
    /// Number of the try, or `-`.
    pub try_number: String,
}

/// What is the same in records written together: time and origin, rendered once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head(String);

impl Head {
    /// `time` is counted from 1970.
    #[must_use]
    pub fn new(time: Duration, origin: &Origin) -> Self {
        let Origin {
            boot,
            snapshot,
            try_number,
        } = origin;
        let stamp = stamp(time);
        Self(format!(
            "{stamp} boot={boot} snap={snapshot} try={try_number} "
        ))
    }

    /// Appends one record to `out`.
    pub fn record(&self, out: &mut String, line: &Line<'_>) {
        out.push_str(&self.0);
        // Writing to a string does not fail.
        if let Some(priority) = line.priority {
            write!(out, "pri={priority} ").ok();
        }
        out.push_str(line.unit);
        out.push_str(if line.continued { "[-]+: " } else { "[-]: " });
        plain(out, line.text);
        out.push('\n');
    }
}

/// What is different in each record.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Whose log it is in.
    pub unit: &'a str,
    /// Priority as syslog(3) counts, 0 to 7.
    pub priority: Option<u8>,
    /// It goes on where the record before it ended.
    pub continued: bool,
    /// What was said, as it was said.
    pub text: &'a [u8],
}

/// A record read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// UTC with milliseconds, of fixed width until the year 10000: texts are in the order of times.
    pub time: &'a str,
    /// First 8 digits of the kernel's boot id.
    pub boot: &'a str,
    /// Snapshot, or `-`.
    pub snapshot: &'a str,
    /// Number of the try, or `-`.
    pub try_number: &'a str,
    /// Priority as syslog(3) counts.
    pub priority: Option<u8>,
    /// Whose log it is in.
    pub unit: &'a str,
    /// It goes on where the record before it ended.
    pub continued: bool,
    /// What was said, escaped.
    pub text: &'a str,
}

impl<'a> Record<'a> {
    /// Reads a line without its newline; `None`: it is none of ours, or only the rest of one.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        if time.len() != 24 || !time.ends_with('Z') || time.as_bytes().get(10) != Some(&b'T') {
            return None;
        }
        let (boot, rest) = rest.strip_prefix("boot=")?.split_once(' ')?;
        let (snapshot, rest) = rest.strip_prefix("snap=")?.split_once(' ')?;
        let (try_number, mut rest) = rest.strip_prefix("try=")?.split_once(' ')?;
        let mut priority = None;
        if let Some((number, after)) = rest.strip_prefix("pri=").and_then(|r| r.split_once(' ')) {
            priority = number.parse().ok();
            rest = after;
        }
        let (unit, rest) = rest.split_once('[')?;
        let (_run, rest) = rest.split_once(']')?;
        let (continued, text) = match rest.strip_prefix("+: ") {
            Some(text) => (true, text),
            None => (false, rest.strip_prefix(": ")?),
        };
        Some(Self {
            time,
            boot,
            snapshot,
            try_number,
            priority,
            unit,
            continued,
            text,
        })
    }
}

/// Control characters would let a service forge records or steer the reader's terminal, and bytes that are no UTF-8 would
/// be lost: both become `\xNN`.
fn plain(out: &mut String, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' {
                write!(out, "\\x{:02x}", u32::from(c)).ok();
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}").ok();
        }
    }
}

/// A time counted from 1970 as a record carries it: UTC with milliseconds.
#[must_use]
pub fn stamp(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = time.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(millis: u64, text: &[u8]) -> String {
        let origin = Origin {
            boot: "1f00c0de".into(),
            snapshot: "7".into(),
            try_number: "-".into(),
        };
        let mut out = String::new();
        let line = Line {
            unit: "sshd",
            priority: None,
            continued: false,
            text,
        };
        Head::new(Duration::from_millis(millis), &origin).record(&mut out, &line);
        out
    }

    #[test]
    fn a_record_says_when_which_boot_and_who() {
        assert_eq!(
            shown(1_795_250_759_123, b"hello"),
            "2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=- sshd[-]: hello\n"
        );
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert!(shown(seconds * 1000, b"").starts_with(date), "{date}");
        }
    }

    #[test]
    fn a_service_cannot_forge_records_and_no_byte_is_lost() {
        let text = shown(0, b"a\rb\x1b[2Jc\x00\xffd\ne");
        assert!(
            text.ends_with(": a\\x0db\\x1b[2Jc\\x00\\xffd\\x0ae\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_record_is_read_back_and_the_rest_of_one_is_none() {
        let origin = Origin {
            boot: "1f00c0de".into(),
            snapshot: "7".into(),
            try_number: "2".into(),
        };
        let mut out = String::new();
        let line = Line {
            unit: "worker@a[b",
            priority: Some(3),
            continued: true,
            text: b"x[1]: y",
        };
        Head::new(Duration::ZERO, &origin).record(&mut out, &line);
        // A unit's name holds no bracket; a text may.
        let out = out.replace("worker@a[b", "worker@a");
        let record = Record::parse(out.trim_end()).unwrap();
        assert_eq!(
            (record.boot, record.snapshot, record.try_number),
            ("1f00c0de", "7", "2")
        );
        assert_eq!(
            (record.unit, record.priority, record.continued, record.text),
            ("worker@a", Some(3), true, "x[1]: y")
        );
        let whole = out.trim_end();
        let head = whole.len() - record.text.len();
        for cut in 0..head {
            assert_eq!(Record::parse(&whole[..cut]), None, "{}", &whole[..cut]);
        }
        assert_eq!(Record::parse(&whole[5..]), None);
        assert_eq!(Record::parse("\0\0\0"), None);
    }
}

//! What a line of a log looks like:
//! `2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=1 sshd[-]: text`.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use rootspec::civil::date_of;

/// Longest piece of text on one line, in bytes; longer ones are continued on the next.
pub(crate) const LINE: usize = 8192;

/// What is the same in all lines of a boot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Boot {
    /// First 8 digits of the kernel's boot id.
    pub(crate) id: String,
    /// Snapshot, or `-`.
    pub(crate) snapshot: String,
    /// Number of the try, or `-`.
    pub(crate) try_number: String,
}

/// Appends `text` as one or more lines.
pub(crate) fn line(out: &mut String, time: SystemTime, boot: &Boot, unit: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.trim_end_matches('\r');
    loop {
        let mut end = rest.len().min(LINE);
        while !rest.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let (piece, more) = rest.split_at_checked(end).unwrap_or((rest, ""));
        stamp(out, time);
        // Writing to a string does not fail.
        write!(
            out,
            " boot={} snap={} try={} {unit}[-]: ",
            boot.id, boot.snapshot, boot.try_number
        )
        .ok();
        plain(out, piece);
        out.push('\n');
        if more.is_empty() {
            return;
        }
        rest = more;
    }
}

/// Control characters would let a service forge lines or move the reader's cursor.
fn plain(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            write!(out, "\\x{:02x}", u32::from(c)).ok();
        } else {
            out.push(c);
        }
    }
}

/// UTC with milliseconds.
fn stamp(out: &mut String, time: SystemTime) {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = since.subsec_millis();
    write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        Boot {
            id: "1f00c0de".into(),
            snapshot: "7".into(),
            try_number: "-".into(),
        }
    }

    fn shown(seconds: u64, text: &[u8]) -> String {
        let mut out = String::new();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 123);
        line(&mut out, time, &boot(), "sshd", text);
        out
    }

    #[test]
    fn a_line_says_when_which_boot_and_who() {
        assert_eq!(
            shown(1_795_250_759, b"hello"),
            "2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=- sshd[-]: hello\n"
        );
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert!(shown(seconds, b"").starts_with(date), "{date}");
        }
    }

    #[test]
    fn a_service_cannot_forge_lines() {
        let text = shown(0, b"a\rb\x1b[2Jc\x00\xff");
        assert!(text.ends_with("a\\x0db\\x1b[2Jc\\x00\u{fffd}\n"), "{text}");
    }

    #[test]
    fn a_long_text_is_continued() {
        let text = shown(0, "é".repeat(10_000).as_bytes());
        assert_eq!(text.lines().count(), 3);
        assert_eq!(text.matches('é').count(), 10_000);
    }
}

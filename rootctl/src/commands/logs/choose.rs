//! Which records are wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use rootspec::record::{Record, stamp};

/// What a record must be to be shown.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Of one of these boots; absent: of any.
    pub(super) boots: Option<BTreeSet<String>>,
    /// Of this snapshot.
    pub(super) snapshot: Option<String>,
    /// Not before this time.
    pub(super) since: Option<String>,
    /// Before this time.
    pub(super) until: Option<String>,
}

impl Choice {
    /// Whether it is wanted.
    pub(super) fn takes(&self, record: &Record<'_>) -> bool {
        let boots = self.boots.as_ref();
        let snapshot = self.snapshot.as_deref();
        boots.is_none_or(|all| all.contains(record.boot))
            && snapshot.is_none_or(|wanted| record.snapshot == wanted)
            && self
                .since
                .as_deref()
                .is_none_or(|since| record.time >= since)
            && self
                .until
                .as_deref()
                .is_none_or(|until| record.time < until)
    }
}

/// A time as typed, as the beginning of a record's: `2026-11-21`, `2026-11-21 08:45`, or `10m`, so long before `now`.
///
/// # Errors
/// It is none of these.
pub(super) fn time(text: &str, now: Duration) -> Result<String, String> {
    if let Some(ago) = ago(text) {
        return Ok(stamp(now.saturating_sub(ago)));
    }
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let text = text.replacen(' ', "T", 1);
    let fits = text
        .bytes()
        .zip(pattern.bytes())
        .all(|(byte, wanted)| match wanted {
            b'd' => byte.is_ascii_digit(),
            wanted => byte == wanted,
        });
    // A day, or something exacter.
    if fits && [10, 13, 16, 19, 23, 24].contains(&text.len()) {
        return Ok(text);
    }
    Err(format!(
        "{text} is no time: write 2026-11-21, \"2026-11-21 08:45\" (UTC), or 10m, 2h or 3d for so long ago"
    ))
}

fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Duration::from_secs(1_795_250_759);
        assert_eq!(time("2026-11-21", now).unwrap(), "2026-11-21");
        assert_eq!(time("2026-11-21 08:45", now).unwrap(), "2026-11-21T08:45");
        assert_eq!(time("1d", now).unwrap(), "2026-11-20T08:45:59.000Z");
        let far = time("99999999d", now).unwrap();
        assert_eq!(far, "1970-01-01T00:00:00.000Z");
        for wrong in [
            "",
            "x",
            "yesterday",
            "21.11.2026",
            "2026-11",
            "10 m",
            "-5m",
            "2026-11-21x",
        ] {
            assert!(time(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_must_be_all_that_was_asked_for() {
        let line = "2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=1 sshd[-]: text";
        let record = Record::parse(line).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert!(Choice::default().takes(&record));
        let around = |since: &str, until: &str| Choice {
            since: some(since),
            until: some(until),
            snapshot: some("7"),
            boots: Some(["1f00c0de".to_owned()].into()),
        };
        assert!(around("2026-11-21", "2026-11-22").takes(&record));
        assert!(!around("2026-11-21T08:46", "2026-11-22").takes(&record));
        assert!(!around("2026-11-20", "2026-11-21").takes(&record));
        let other = Choice {
            snapshot: some("8"),
            ..Choice::default()
        };
        assert!(!other.takes(&record));
    }
}

//! Which boots there were, and how they ended: read from the log of `rinit` itself.

use rootspec::record::{BAD, CONFIRMED, Record, VERDICT};

/// One boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    /// First 8 digits of its id.
    pub(super) id: String,
    /// Snapshot, or `-`.
    pub(super) snapshot: String,
    /// Number of the try, or `-`.
    pub(super) try_number: String,
    /// Time of its first record.
    pub(super) began: String,
    /// It was made the default.
    confirmed: bool,
    /// Why it was judged bad.
    bad: Option<String>,
}

/// The boots, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Boots(Vec<Boot>);

impl Boots {
    /// Takes a record of `rinit` into account, in order.
    pub(super) fn hear(&mut self, record: &Record<'_>) {
        if self.0.last().is_none_or(|boot| boot.id != record.boot) {
            self.0.push(Boot {
                id: record.boot.to_owned(),
                snapshot: record.snapshot.to_owned(),
                try_number: record.try_number.to_owned(),
                began: record.time.to_owned(),
                confirmed: false,
                bad: None,
            });
        }
        if let Some(boot) = self.0.last_mut() {
            let verdict = record.text.strip_prefix(VERDICT).unwrap_or_default();
            boot.confirmed |= verdict == CONFIRMED;
            if let Some(why) = verdict.strip_prefix(BAD) {
                boot.bad = Some(why.trim_start_matches([':', ' ']).to_owned());
            }
        }
    }

    /// Tries that were not made the default; the running one may still be. With the reason, for people.
    pub(super) fn failed<'a>(
        &'a self,
        running: &'a str,
    ) -> impl Iterator<Item = (&'a Boot, String)> {
        let tries = self.0.iter().filter(|boot| boot.try_number != "-");
        let failed = tries.filter(move |boot| {
            boot.bad.is_some() || (!boot.confirmed && !running.starts_with(&*boot.id))
        });
        failed.map(|boot| {
            let why = match &boot.bad {
                Some(why) => format!("it was bad: {why}"),
                None => "it ended before it was confirmed".to_owned(),
            };
            (boot, why)
        })
    }

    /// The boot that is meant: `0` the running one or else the last, `-1` the one before, or the first digits of an id.
    pub(super) fn find(&self, wanted: &str, running: &str) -> Result<&Boot, String> {
        let place = self
            .0
            .iter()
            .position(|boot| running.starts_with(&*boot.id));
        // Of a disk that is looked at from elsewhere.
        let now = place.unwrap_or(self.0.len().saturating_sub(1));
        let back = match wanted.strip_prefix('-') {
            Some(number) => number.parse::<usize>().ok(),
            None if wanted == "0" => Some(0),
            None => None,
        };
        if let Some(back) = back {
            let found = now.checked_sub(back).and_then(|at| self.0.get(at));
            return found.ok_or_else(|| {
                let known = now.saturating_add(1).min(self.0.len());
                format!("there is no boot {wanted}: the log of rinit tells of {known} up to now")
            });
        }
        let is_digits =
            wanted.len() >= 4 && wanted.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !is_digits {
            return Err(format!(
                "{wanted} is no boot: 0 is this one, -1 the one before, else 4 digits of its id or more"
            ));
        }
        let is_it = |boot: &&Boot| wanted.starts_with(&*boot.id) || boot.id.starts_with(wanted);
        let mut found = self.0.iter().filter(is_it);
        match (found.next(), found.next()) {
            (Some(boot), None) => Ok(boot),
            (None, _) => Err(format!("the log of rinit tells of no boot {wanted}")),
            (Some(one), Some(other)) => Err(format!(
                "{wanted} may be the boot {} or {}",
                one.id, other.id
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boots() -> Boots {
        let mut boots = Boots::default();
        for line in [
            "2026-11-21T08:00:00.000Z boot=aaaa1111 snap=6 try=- rinit[-]: version 1",
            "2026-11-21T09:00:00.000Z boot=bbbb1111 snap=7 try=1 rinit[-]: version 1",
            "2026-11-21T09:00:01.000Z boot=bbbb1111 snap=7 try=1 rinit[-]: this boot is bad: web failed",
            "2026-11-21T10:00:00.000Z boot=bbbb2222 snap=7 try=2 rinit[-]: version 1",
            "2026-11-21T11:00:00.000Z boot=cccc1111 snap=8 try=1 rinit[-]: version 1",
            "2026-11-21T11:00:01.000Z boot=cccc1111 snap=8 try=1 rinit[-]: this boot is confirmed",
            "2026-11-21T12:00:00.000Z boot=dddd1111 snap=9 try=1 rinit[-]: version 1",
        ] {
            boots.hear(&Record::parse(line).unwrap());
        }
        boots
    }

    #[test]
    fn a_try_that_was_not_confirmed_has_failed_unless_it_still_runs() {
        let boots = boots();
        let failed = |running: &str| -> Vec<(String, String)> {
            let all = boots.failed(running);
            all.map(|(boot, why)| (boot.id.clone(), why)).collect()
        };
        let bad = ("bbbb1111".to_owned(), "it was bad: web failed".to_owned());
        let cut = |id: &str| (id.to_owned(), "it ended before it was confirmed".to_owned());
        assert_eq!(failed("dddd1111-22"), [bad.clone(), cut("bbbb2222")]);
        assert_eq!(failed("eeee"), [bad, cut("bbbb2222"), cut("dddd1111")]);
    }

    #[test]
    fn a_boot_is_found_by_its_distance_or_by_its_id() {
        let boots = boots();
        let found = |wanted: &str| boots.find(wanted, "dddd1111-2222").map(|boot| &*boot.id);
        assert_eq!(found("0"), Ok("dddd1111"));
        assert_eq!(found("-2"), Ok("bbbb2222"));
        assert_eq!(found("cccc"), Ok("cccc1111"));
        assert_eq!(found("cccc1111-9999-8888"), Ok("cccc1111"));
        assert!(found("bbbb").unwrap_err().contains("bbbb1111 or bbbb2222"));
        assert!(found("-9").unwrap_err().contains("tells of 5"));
        assert!(found("last").unwrap_err().contains("is no boot"));
        assert!(found("ffff").is_err());
        assert_eq!(
            boots.find("0", "none").map(|boot| &*boot.id),
            Ok("dddd1111")
        );
    }
}

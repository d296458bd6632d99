//! Which snapshots stay: the newest ones, and the newest of each day, week and month for a while. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use rootspec::SnapshotId;
use rootspec::civil::date_of;

const DAY: u64 = 86_400;

/// How many stay. A snapshot stays if any part says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The newest ones.
    last: u32,
    /// Days of which the newest one stays; days without any do not count.
    daily: u32,
    /// The same for weeks, which begin on Monday.
    weekly: u32,
    /// The same for months.
    monthly: u32,
    /// Days a deleted snapshot lies in the trash.
    trash: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            last: 10,
            daily: 7,
            weekly: 4,
            monthly: 6,
            trash: 14,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            last,
            daily,
            weekly,
            monthly,
            trash,
        } = self;
        write!(
            f,
            "last={last},daily={daily},weekly={weekly},monthly={monthly},trash={trash}"
        )
    }
}

impl FromStr for Policy {
    type Err = String;

    /// `last=N,daily=N,weekly=N,monthly=N,trash=DAYS` in any order; what is not named is 0, the trash keeps its days.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut policy = Self {
            last: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            ..Self::default()
        };
        let mut seen = BTreeSet::new();
        for part in text.split(',') {
            let (word, number) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is no WORD=NUMBER"))?;
            let place = match word {
                "last" => &mut policy.last,
                "daily" => &mut policy.daily,
                "weekly" => &mut policy.weekly,
                "monthly" => &mut policy.monthly,
                "trash" => &mut policy.trash,
                _ => {
                    return Err(format!(
                        "{word:?} is not known: use last, daily, weekly, monthly, trash"
                    ));
                }
            };
            *place = number
                .parse()
                .map_err(|_no_number| format!("{word} has {number:?}, which is no number"))?;
            if !seen.insert(word) {
                return Err(format!("{word} is said twice"));
            }
        }
        if [policy.last, policy.daily, policy.weekly, policy.monthly] == [0; 4] {
            return Err("nothing would stay: use at least last=1".to_owned());
        }
        Ok(policy)
    }
}

/// A snapshot as the policy sees it.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) id: SnapshotId,
    /// Seconds since 1970 (UTC); `None`: unknown.
    pub(crate) created: Option<u64>,
    /// Why it stays whatever the policy says.
    pub(crate) protected: Option<String>,
    /// Never booted: its first boot needs the `/etc` of this one.
    pub(crate) needs: Option<SnapshotId>,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays, and why.
    Stays(String),
    /// No rule says that it stays.
    Goes,
}

impl Policy {
    /// Decides about all snapshots, in their order.
    pub(crate) fn decide(&self, facts: &[Fact], now: u64) -> Vec<Verdict> {
        // One from the future, made under a wrong clock, must not push out the others.
        let dated = |fact: &&Fact| fact.created.is_some_and(|created| created <= now);
        let mut newest: Vec<&Fact> = facts.iter().filter(dated).collect();
        // Two of one second: the higher number is the newer one.
        newest.sort_by_key(|fact| std::cmp::Reverse((fact.created, fact.id)));
        let mut verdicts: Vec<Verdict> = facts
            .iter()
            .map(|fact| match (&fact.protected, fact.created) {
                (Some(why), _) => Verdict::Stays(why.clone()),
                (None, None) => Verdict::Stays("nobody knows when it was made".into()),
                (None, Some(created)) if created > now => {
                    Verdict::Stays("it was made later than now: the clock is wrong".into())
                }
                (None, Some(_)) => self.why(fact.id, &newest),
            })
            .collect();
        // One that goes may be needed by one that stays, which then needs another one, and so on.
        while let Some((at, by)) = needed(facts, &verdicts) {
            let why = format!("the first boot of snapshot {by} takes over its /etc");
            if let Some(verdict) = verdicts.get_mut(at) {
                *verdict = Verdict::Stays(why);
            }
        }
        verdicts
    }

    /// What the parts of the policy say of one snapshot.
    fn why(&self, id: SnapshotId, newest: &[&Fact]) -> Verdict {
        let among = |count: u32| newest.iter().take(count as usize).any(|fact| fact.id == id);
        if among(self.last) {
            return Verdict::Stays(format!("it is among the newest {}", self.last));
        }
        let newest_of = |count: u32, period: fn(u64) -> u64| {
            let mut periods: Vec<u64> = Vec::new();
            newest.iter().any(|fact| {
                let number = fact.created.map_or(0, period);
                let first = periods.last() != Some(&number) && periods.len() < count as usize;
                periods.extend(first.then_some(number));
                first && fact.id == id
            })
        };
        // 1970-01-01 was a Thursday.
        let word = if newest_of(self.daily, |time| time / DAY) {
            "day"
        } else if newest_of(self.weekly, |time| (time / DAY + 3) / 7) {
            "week"
        } else if newest_of(self.monthly, month) {
            "month"
        } else {
            return Verdict::Goes;
        };
        Verdict::Stays(format!("it is the newest of its {word}"))
    }

    /// True if a snapshot deleted then has been in the trash long enough.
    pub(crate) fn is_over(&self, deleted: u64, now: u64) -> bool {
        deleted.saturating_add(u64::from(self.trash).saturating_mul(DAY)) <= now
    }

    /// Days a deleted snapshot lies in the trash.
    pub(crate) fn trash_days(&self) -> u32 {
        self.trash
    }
}

/// One that goes though one that stays needs it: its place, and by whom.
fn needed(facts: &[Fact], verdicts: &[Verdict]) -> Option<(usize, SnapshotId)> {
    let with = || facts.iter().zip(verdicts);
    let staying = with().filter(|(_, verdict)| matches!(verdict, Verdict::Stays(_)));
    staying.into_iter().find_map(|(fact, _)| {
        let needs = fact.needs?;
        let at =
            with().position(|(other, verdict)| other.id == needs && *verdict == Verdict::Goes)?;
        Some((at, fact.id))
    })
}

/// Number of the month.
fn month(time: u64) -> u64 {
    let (year, month, _day) = date_of(time / DAY);
    year * 12 + month
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-15 12:00 UTC, a Monday.
    const NOW: u64 = 1_781_524_800;

    fn fact(n: u32, hours_ago: u64) -> Fact {
        Fact {
            id: SnapshotId::new(n).unwrap(),
            created: Some(NOW - hours_ago * 3600),
            protected: None,
            needs: None,
        }
    }

    fn stay(policy: &str, facts: &[Fact]) -> Vec<u32> {
        let verdicts = policy.parse::<Policy>().unwrap().decide(facts, NOW);
        let both = facts.iter().zip(verdicts);
        both.filter(|(_, verdict)| *verdict != Verdict::Goes)
            .map(|(fact, _)| fact.id.get())
            .collect()
    }

    #[test]
    fn the_newest_and_the_newest_of_each_period_stay() {
        // Today 12:00 and 02:00; yesterday 20:00 and 02:00; three days ago; three weeks ago; three months ago twice.
        let facts = [
            fact(8, 0),
            fact(7, 10),
            fact(6, 16),
            fact(5, 34),
            fact(4, 72),
            fact(3, 21 * 24),
            fact(2, 91 * 24),
            fact(1, 92 * 24),
        ];
        assert_eq!(stay("last=1", &facts), [8]);
        assert_eq!(stay("last=3", &facts), [8, 7, 6]);
        assert_eq!(stay("daily=2", &facts), [8, 6]);
        assert_eq!(
            stay("daily=3", &facts),
            [8, 6, 4],
            "a day without any does not count"
        );
        assert_eq!(stay("weekly=2", &facts), [8, 6]);
        assert_eq!(stay("monthly=3", &facts), [8, 3, 2]);
        assert_eq!(stay("last=2,monthly=9", &facts), [8, 7, 3, 2]);
        assert_eq!(stay("last=1000", &facts).len(), 8);
    }

    #[test]
    fn what_is_protected_or_cannot_be_dated_stays() {
        let mut facts = [fact(4, 1), fact(3, 2), fact(2, 3), fact(1, 4)];
        facts[1].protected = Some("it runs".into());
        facts[2].created = None;
        facts[3].created = Some(NOW + 1);
        assert_eq!(stay("last=1", &facts), [4, 3, 2, 1]);
        facts[0].created = Some(NOW - 9 * 3600);
        assert_eq!(
            stay("last=1", &facts),
            [3, 2, 1],
            "what is protected counts as well"
        );
        let said = "last=1".parse::<Policy>().unwrap().decide(&facts, NOW);
        assert_eq!(said[1], Verdict::Stays("it runs".into()));
    }

    #[test]
    fn what_a_staying_one_needs_stays_too() {
        let mut facts = [fact(4, 0), fact(3, 1), fact(2, 2), fact(1, 3)];
        facts[0].needs = SnapshotId::new(2);
        facts[2].needs = SnapshotId::new(1);
        assert_eq!(stay("last=1", &facts), [4, 2, 1]);
        facts[0].needs = None;
        assert_eq!(
            stay("last=1", &facts),
            [4],
            "nothing that goes needs anything"
        );
        facts[0].needs = SnapshotId::new(77);
        assert_eq!(stay("last=1", &facts), [4], "what is gone is not needed");
    }

    #[test]
    fn policies_are_read_and_bad_ones_are_named() {
        for text in ["last=1", "daily=3,trash=0", "monthly=12,weekly=1"] {
            let policy: Policy = text.parse().unwrap();
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for (text, words) in [
            ("", "no WORD=NUMBER"),
            ("last", "no WORD=NUMBER"),
            ("last=-1", "no number"),
            ("last=99999999999", "no number"),
            ("yearly=1", "use last"),
            ("last=1,last=2", "twice"),
            ("trash=3", "nothing would stay"),
            ("last=0", "nothing would stay"),
            ("last=1,", "no WORD=NUMBER"),
        ] {
            let said = text.parse::<Policy>().unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
    }

    #[test]
    fn the_trash_keeps_its_days_also_with_a_wrong_clock() {
        let policy: Policy = "last=1,trash=2".parse().unwrap();
        assert!(!policy.is_over(NOW - 2 * DAY + 1, NOW) && policy.is_over(NOW - 2 * DAY, NOW));
        assert!(!policy.is_over(NOW + 5, NOW) && !policy.is_over(u64::MAX, NOW));
    }

    #[test]
    fn months_change_on_their_first_day() {
        let last_of_february = 1_709_251_199;
        assert_eq!(month(last_of_february) + 1, month(last_of_february + 1));
        let last_of_year = 1_767_225_599;
        assert_eq!(month(last_of_year) + 1, month(last_of_year + 1));
        assert_eq!(month(last_of_year), month(last_of_year - 30 * DAY));
    }
}

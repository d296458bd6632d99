//! Calendar times, such as `Mon..Fri *-*-* 02:00`: when is the next one? Pure arithmetic; nothing here reads a clock.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what a calendar time is, and the next one after a moment |
//! | `parse` | how it is written |
//! | `zone` | the offsets of a time zone from UTC |
//! | `tzif` | where these come from: `/etc/localtime` |
//!
//! # Days on which the clocks change
//!
//! A time that names its hours is a time on the wall: where the clocks jump over it, it elapses when they have jumped,
//! and where they show it twice, it elapses the first time. A time for every hour counts what passes instead, so that
//! nothing that runs every ten minutes pauses for an hour in autumn.

mod parse;
mod tzif;
mod zone;

use serde::{Deserialize, Serialize};

pub use parse::parse;
pub use tzif::{TzifError, zone_of};
pub use zone::Zone;

use crate::civil::{date_of, days_in, days_of};

/// Years that a calendar time can be in. No table of a time zone looks further ahead than that.
pub const YEARS: std::ops::RangeInclusive<u16> = 1970..=2199;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// All 24 bits of [`Calendar::hours`].
const EVERY_HOUR: u32 = (1 << 24) - 1;

/// A calendar time: all its parts must fit. A bit per number in the sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// As it was written, for people.
    pub text: Box<str>,
    /// Bit 0 is Monday.
    pub weekdays: u8,
    /// First and last year of each span, and the step in it.
    pub years: Vec<(u16, u16, u16)>,
    /// Bit 1 is January.
    pub months: u16,
    /// Bit 1 is the first day of the month, or the last one if [`Self::from_end`].
    pub days: u32,
    /// Days are counted from the end of the month.
    pub from_end: bool,
    /// Bit 0 is midnight.
    pub hours: u32,
    /// Bit 0 is the full hour.
    pub minutes: u64,
    /// Bit 0 is the full minute.
    pub seconds: u64,
    /// In UTC instead of local time.
    pub utc: bool,
}

/// The lowest number at or above `from` that is in a set.
fn at_or_above(set: u64, from: u64) -> Option<u64> {
    let shift = u32::try_from(from).ok().filter(|shift| *shift < 64)?;
    let rest = set >> shift;
    (rest != 0).then(|| from.saturating_add(u64::from(rest.trailing_zeros())))
}

impl Calendar {
    /// The next moment after `after` when it elapses; both in seconds since 1970 in UTC. `None`: never again.
    #[must_use]
    pub fn next(&self, zone: &Zone, after: i64) -> Option<i64> {
        let utc = Zone::default();
        let zone = if self.utc { &utc } else { zone };
        let soonest = after.saturating_add(1);
        let by_wall = self.hours != EVERY_HOUR;
        for span in zone.spans(soonest) {
            let begin = span.begin.saturating_add(span.offset);
            let end = span.end.saturating_add(span.offset);
            let mut wall = soonest.saturating_add(span.offset).max(begin);
            if by_wall {
                // What the clocks have jumped over elapses at once.
                let skipped = self.wall_at_or_after(span.shown)?;
                if skipped < begin && span.begin >= soonest {
                    return Some(span.begin);
                }
                // What they show for the second time has elapsed.
                wall = wall.max(span.shown);
            }
            let found = self.wall_at_or_after(wall)?;
            if found < end {
                return Some(found.saturating_sub(span.offset));
            }
        }
        None
    }

    /// The first fitting time at or after `wall`, in seconds since 1970 as the clocks on the wall show them.
    fn wall_at_or_after(&self, wall: i64) -> Option<i64> {
        let wall = wall.max(0);
        let (today, time) = (
            u64::try_from(wall.div_euclid(DAY)).ok()?,
            u64::try_from(wall.rem_euclid(DAY)).ok()?,
        );
        let at = |day: u64, time: u64| {
            let day = i64::try_from(day).ok()?;
            let time = i64::try_from(time).ok()?;
            day.checked_mul(DAY)?.checked_add(time)
        };
        if let (true, Some(time)) = (self.is_day(today), self.time_at_or_after(time)) {
            return at(today, time);
        }
        at(self.day_after(today)?, self.time_at_or_after(0)?)
    }

    /// The first fitting time of day at or after one, in seconds.
    fn time_at_or_after(&self, time: u64) -> Option<u64> {
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let first_minute = at_or_above(self.minutes, 0)?;
        let first_second = at_or_above(self.seconds, 0)?;
        let of = |hour: u64, minute: u64, second: u64| Some(hour * 3600 + minute * 60 + second);
        let hours = u64::from(self.hours);
        if at_or_above(hours, hour)? == hour {
            if at_or_above(self.minutes, minute) == Some(minute) {
                if let Some(second) = at_or_above(self.seconds, second) {
                    return of(hour, minute, second);
                }
            }
            if let Some(minute) = at_or_above(self.minutes, minute + 1) {
                return of(hour, minute, first_second);
            }
        }
        of(at_or_above(hours, hour + 1)?, first_minute, first_second)
    }

    fn is_year(&self, year: u64) -> bool {
        self.years.iter().any(|(first, last, step)| {
            let (first, last) = (u64::from(*first), u64::from(*last));
            let step = u64::from(*step).max(1);
            (first..=last).contains(&year) && year.saturating_sub(first) % step == 0
        })
    }

    fn is_day(&self, days: u64) -> bool {
        let (year, month, _) = date_of(days);
        let fits = at_or_above(u64::from(self.months), month) == Some(month);
        fits && self.is_year(year) && self.is_day_of_its_month(days)
    }

    /// The day fits as one of its month and of its week, whatever month that is.
    fn is_day_of_its_month(&self, days: u64) -> bool {
        let (year, month, day) = date_of(days);
        let number = if self.from_end {
            days_in(year, month).saturating_sub(day).saturating_add(1)
        } else {
            day
        };
        // 1970-01-01 was a Thursday.
        let weekday = days.saturating_add(3) % 7;
        let fits = |set: u64, number: u64| at_or_above(set, number) == Some(number);
        fits(u64::from(self.days), number) && fits(u64::from(self.weekdays), weekday)
    }

    /// The first fitting day after one. Years and months that do not fit are passed as a whole.
    fn day_after(&self, days: u64) -> Option<u64> {
        let last = days_of(u64::from(*YEARS.end()), 12, 31);
        let mut days = days.saturating_add(1);
        while days <= last {
            let (year, month, _) = date_of(days);
            if !self.is_year(year) {
                days = days_of(year + 1, 1, 1);
            } else if at_or_above(u64::from(self.months), month) != Some(month) {
                let (year, month) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                days = days_of(year, month, 1);
            } else if self.is_day_of_its_month(days) {
                return Some(days);
            } else {
                days += 1;
            }
        }
        None
    }

    /// There is such a day in the calendar.
    fn is_possible(&self) -> bool {
        self.wall_at_or_after(0).is_some()
    }
}

#[cfg(test)]
mod tests;

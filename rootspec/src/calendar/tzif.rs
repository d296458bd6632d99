//! `/etc/localtime` to a table of offsets (TZif, RFC 8536). The rule at its end, for the years that the table does not
//! hold, is worked out up to the last year that a calendar time can be in.

use std::fmt;

use super::zone::CHANGES;
use super::{YEARS, Zone};
use crate::civil::{days_in, days_of};

/// Why bytes are no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TzifError {
    /// They do not begin like one.
    Other,
    /// They have the first version, without 64-bit times.
    Old,
    /// They end too early, or contradict themselves.
    Damaged,
    /// The rule at the end cannot be read.
    Rule,
}

impl fmt::Display for TzifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other => "this is no time zone",
            Self::Old => "this time zone is in an old form: expected TZif of version 2 or later",
            Self::Damaged => "this time zone is damaged",
            Self::Rule => "the rule at the end of this time zone cannot be read",
        })
    }
}

impl std::error::Error for TzifError {}

/// Counts of one header.
struct Header {
    version: u8,
    isut: usize,
    isstd: usize,
    leap: usize,
    times: usize,
    types: usize,
    letters: usize,
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TzifError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(TzifError::Damaged)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TzifError> {
        let (front, rest) = self.0.split_first_chunk::<N>().ok_or(TzifError::Damaged)?;
        self.0 = rest;
        Ok(*front)
    }

    fn count(&mut self) -> Result<usize, TzifError> {
        let count = u32::from_be_bytes(self.array()?);
        usize::try_from(count)
            .ok()
            .filter(|count| *count < 1 << 20)
            .ok_or(TzifError::Damaged)
    }

    fn header(&mut self) -> Result<Header, TzifError> {
        if self.array::<4>().ok() != Some(*b"TZif") {
            return Err(TzifError::Other);
        }
        let [version] = self.array()?;
        self.take(15)?;
        Ok(Header {
            version,
            isut: self.count()?,
            isstd: self.count()?,
            leap: self.count()?,
            times: self.count()?,
            types: self.count()?,
            letters: self.count()?,
        })
    }

    /// Passes a block of data whose times have so many bytes.
    fn skip(&mut self, header: &Header, size: usize) -> Result<(), TzifError> {
        let Header {
            isut,
            isstd,
            leap,
            times,
            types,
            letters,
            ..
        } = header;
        let leap = leap * (size + 4);
        self.take(times * (size + 1) + types * 6 + letters + leap + isstd + isut)?;
        Ok(())
    }
}

/// Reads a time zone from the bytes of its file.
///
/// # Errors
/// They are none, or damaged.
pub fn zone_of(bytes: &[u8]) -> Result<Zone, TzifError> {
    let mut reader = Reader(bytes);
    let old = reader.header()?;
    if old.version < b'2' {
        return Err(TzifError::Old);
    }
    reader.skip(&old, 4)?;
    let header = reader.header()?;
    let body = reader.0;
    let mut times = Vec::with_capacity(header.times);
    for _ in 0..header.times {
        times.push(i64::from_be_bytes(reader.array()?));
    }
    let kinds = reader.take(header.times)?;
    let mut offsets = Vec::with_capacity(header.types);
    for _ in 0..header.types {
        offsets.push(i32::from_be_bytes(reader.array()?));
        reader.take(2)?;
    }
    let mut rest = Reader(body);
    rest.skip(&header, 8)?;
    let offset = |kind: u8| offsets.get(usize::from(kind)).copied();
    let mut first = offset(0).ok_or(TzifError::Damaged)?;
    let mut changes: Vec<(i64, i32)> = Vec::new();
    for (at, kind) in times.into_iter().zip(kinds) {
        let offset = offset(*kind).ok_or(TzifError::Damaged)?;
        if at < 0 {
            first = offset;
        } else {
            add(&mut changes, first, (at, offset));
        }
    }
    continue_by_rule(footer(rest.0)?, first, &mut changes)?;
    changes.truncate(CHANGES);
    Zone::new(first, changes).ok_or(TzifError::Damaged)
}

/// Adds a change that is one. Summer time all year ends and begins in the same second: the later word counts.
fn add(changes: &mut Vec<(i64, i32)>, first: i32, (at, offset): (i64, i32)) {
    if changes.last().is_some_and(|(last, _)| *last == at) {
        changes.pop();
    }
    if changes.last().map_or(first, |(_, last)| *last) != offset {
        changes.push((at, offset));
    }
}

/// The text between the two last line feeds.
fn footer(bytes: &[u8]) -> Result<&str, TzifError> {
    let line = bytes.strip_prefix(b"\n").ok_or(TzifError::Damaged)?;
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = end
        .and_then(|end| line.get(..end))
        .ok_or(TzifError::Damaged)?;
    std::str::from_utf8(line).ok().ok_or(TzifError::Rule)
}

/// Adds what the rule says about the years behind the table.
fn continue_by_rule(
    rule: &str,
    first: i32,
    changes: &mut Vec<(i64, i32)>,
) -> Result<(), TzifError> {
    if rule.is_empty() {
        return Ok(());
    }
    let rule = Rule::parse(rule).ok_or(TzifError::Rule)?;
    let end = changes.last().map_or(0, |(at, _)| *at);
    for year in YEARS {
        let mut both = rule.changes_in(u64::from(year));
        both.sort_unstable();
        for (at, offset) in both {
            if at > end {
                add(changes, first, (at, offset));
            }
        }
    }
    Ok(())
}

/// `STD OFFSET [DST [OFFSET] , START , END]` as in the variable `TZ` (POSIX, with RFC 8536's hours beyond a day).
struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

struct Summer {
    offset: i32,
    begin: Turn,
    end: Turn,
}

/// When clocks change, each year.
struct Turn {
    day: TurnDay,
    /// Seconds after midnight on the wall; may be less than 0 and more than a day.
    time: i64,
}

enum TurnDay {
    /// Month, week from 1 to 5 (the last one), weekday from 0 (Sunday).
    Weekday(u64, u64, u64),
    /// Day from 1 to 365, 29 February never counted.
    Julian(u64),
    /// Day from 0, 29 February counted.
    Plain(u64),
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (offset, rest) = seconds(name(text)?)?;
        let standard = i32::try_from(offset.checked_neg()?).ok()?;
        if rest.is_empty() {
            let summer = None;
            return Some(Self { standard, summer });
        }
        let rest = name(rest)?;
        let (offset, rest) = if rest.starts_with(',') {
            (standard.checked_add(3600)?, rest)
        } else {
            let (offset, rest) = seconds(rest)?;
            (i32::try_from(offset.checked_neg()?).ok()?, rest)
        };
        let (begin, end) = rest.strip_prefix(',')?.split_once(',')?;
        let summer = Some(Summer {
            offset,
            begin: Turn::parse(begin)?,
            end: Turn::parse(end)?,
        });
        Some(Self { standard, summer })
    }

    /// The changes of a year, and the offset after each. Without any: the one offset, from the year's begin.
    fn changes_in(&self, year: u64) -> Vec<(i64, i32)> {
        match &self.summer {
            Some(summer) => vec![
                (summer.begin.at(year, self.standard), summer.offset),
                (summer.end.at(year, summer.offset), self.standard),
            ],
            None => vec![(midnight(days_of(year, 1, 1)), self.standard)],
        }
    }
}

fn midnight(days: u64) -> i64 {
    i64::try_from(days)
        .unwrap_or_default()
        .saturating_mul(86_400)
}

impl Turn {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once('/').unwrap_or((text, "2"));
        let (time, rest) = seconds(time)?;
        let number = |text: &str| text.parse::<u64>().ok();
        let day = if let Some(date) = day.strip_prefix('M') {
            let mut parts = date.split('.').map(number);
            let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
            let fits = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday <= 6;
            fits.then_some(TurnDay::Weekday(month, week, weekday))?
        } else if let Some(day) = day.strip_prefix('J') {
            TurnDay::Julian(number(day).filter(|day| (1..=365).contains(day))?)
        } else {
            TurnDay::Plain(number(day).filter(|day| *day <= 365)?)
        };
        rest.is_empty().then_some(Self { day, time })
    }

    /// In UTC, with clocks that are `offset` east of it until then.
    fn at(&self, year: u64, offset: i32) -> i64 {
        let january = days_of(year, 1, 1);
        let day = match self.day {
            TurnDay::Plain(day) => january + day,
            TurnDay::Julian(day) => {
                let leap = u64::from(days_in(year, 2) == 29 && day >= 60);
                january + day - 1 + leap
            }
            TurnDay::Weekday(month, week, weekday) => {
                let first = days_of(year, month, 1);
                // 1970-01-01 was a Thursday; weeks begin with Sunday here.
                let ahead = (weekday + 7 - (first + 4) % 7) % 7;
                let day = first + ahead + (week - 1) * 7;
                if day < first + days_in(year, month) {
                    day
                } else {
                    day - 7
                }
            }
        };
        midnight(day)
            .saturating_add(self.time)
            .saturating_sub(i64::from(offset))
    }
}

/// What stands behind the name of a time.
fn name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    (end >= 3).then(|| text.get(end..)).flatten()
}

/// `[+-]HOURS[:MINUTES[:SECONDS]]` in seconds, and what stands behind it.
fn seconds(text: &str) -> Option<(i64, &str)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    let mut parts = number.split(':').map(|part| part.parse::<i64>().ok());
    let hours = parts.next()?.filter(|hours| *hours <= 167)?;
    let mut sixtieth = || {
        parts
            .next()
            .map_or(Some(0), |part| part.filter(|n| *n < 60))
    };
    let (minutes, seconds) = (sixtieth()?, sixtieth()?);
    let whole = hours * 3600 + minutes * 60 + seconds;
    parts.next().is_none().then_some((sign * whole, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 2 with this table and rule.
    fn file(kinds: &[i32], changes: &[(i64, u8)], rule: &str) -> Vec<u8> {
        let mut bytes = b"TZif2".to_vec();
        bytes.extend([0; 15 + 24]);
        bytes.extend(b"TZif2");
        bytes.extend([0; 15]);
        for count in [0, 0, 0, changes.len(), kinds.len(), 4] {
            bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
        }
        bytes.extend(changes.iter().flat_map(|(at, _)| at.to_be_bytes()));
        bytes.extend(changes.iter().map(|(_, kind)| kind));
        for offset in kinds {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(b"CET\0\n");
        bytes.extend(rule.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    fn by_rule(rule: &str) -> Option<Zone> {
        zone_of(&file(&[0], &[], rule)).ok()
    }

    #[test]
    fn the_table_counts_first_and_then_the_rule() {
        let bytes = file(
            &[3600, 7200],
            &[(-5, 1), (0, 0), (1_000_000, 1)],
            "CET-1CEST,M3.5.0,M10.5.0/3",
        );
        let zone = zone_of(&bytes).unwrap();
        // 2026-03-29 and 2026-10-25, both 01:00 UTC.
        for (moment, offset) in [
            (-1, 7200),
            (999_999, 3600),
            (1_000_000, 7200),
            (1_774_745_999, 3600),
            (1_774_746_000, 7200),
            (1_792_889_999, 7200),
            (1_792_890_000, 3600),
        ] {
            assert_eq!(zone.offset_at(moment), offset, "{moment}");
        }
    }

    #[test]
    fn rules_of_all_forms_are_understood() {
        // In the middle of January and of July 2030.
        for (rule, january, july) in [
            ("UTC0", 0, 0),
            ("<+0545>-5:45", 20_700, 20_700),
            ("EST5EDT,M3.2.0,M11.1.0", -18_000, -14_400),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 39_600, 36_000),
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 39_600, 37_800),
            ("IST-1GMT0,M10.5.0,M3.5.0/1", 0, 3_600),
            ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7_200, -3_600),
            ("XXX3EDT4,0/0,J365/23", -14_400, -14_400),
            ("AAA1BBB,J60,J300", -3_600, 0),
        ] {
            let zone = by_rule(rule).expect(rule);
            let found = (zone.offset_at(1_894_665_600), zone.offset_at(1_910_304_000));
            assert_eq!(found, (january, july), "{rule}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for rule in [
            "A1",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0",
            "CET-1CEST,J0,J366",
            "CET-1CEST,366,1",
            "CET-200",
            "<CET-1",
            "CET-1:99",
            "CET-1CEST,M3.5.0/x,M10.5.0",
        ] {
            assert_eq!(by_rule(rule), None, "{rule}");
        }
        let good = file(&[3600], &[(5, 0)], "CET-1");
        assert!(zone_of(&good).is_ok());
        for end in 0..good.len() {
            assert!(zone_of(&good[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(zone_of(b"#!/bin/sh"), Err(TzifError::Other));
        let unknown_kind = file(&[3600], &[(5, 9)], "CET-1");
        assert_eq!(zone_of(&unknown_kind), Err(TzifError::Damaged));
        let backwards = file(&[0, 60], &[(9, 1), (5, 0)], "CET-1");
        assert_eq!(zone_of(&backwards), Err(TzifError::Damaged));
    }

    #[test]
    fn bytes_of_any_kind_are_an_error_and_never_a_panic() {
        let good = file(
            &[3600, 7200],
            &[(5, 0), (9, 1)],
            "CET-1CEST,M3.5.0,M10.5.0/3",
        );
        for at in 0..good.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= bits;
                // Whatever it is, it is sound.
                assert!(zone_of(&bytes).map_or(true, |zone| zone.is_sound()));
            }
        }
    }
}

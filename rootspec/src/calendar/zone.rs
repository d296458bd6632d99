//! The offsets of a time zone from UTC, as a table.

use serde::{Deserialize, Serialize};

/// Most changes in a table: a zone that changes twice a year until 2199, and some more.
pub(super) const CHANGES: usize = 1_000;

/// A time zone. The default is UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Seconds east of UTC before the first change.
    first: i32,
    /// Changes in their order: from this second since 1970 on (UTC), so many seconds east of UTC.
    changes: Vec<(i64, i32)>,
}

/// A time in which a zone has one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first second, in UTC.
    pub(super) begin: i64,
    /// The second after its last one, in UTC.
    pub(super) end: i64,
    /// Seconds east of UTC.
    pub(super) offset: i64,
    /// What the clocks on the wall have shown before it: all up to here, and not this. More than the begin of the span
    /// on the wall if they went back, less if they jumped.
    pub(super) shown: i64,
}

impl Zone {
    /// From a table; changes must be in their order. `None`: they are not, are too many, or of more than a day.
    #[must_use]
    pub fn new(first: i32, changes: Vec<(i64, i32)>) -> Option<Self> {
        let zone = Self { first, changes };
        zone.is_sound().then_some(zone)
    }

    /// True if the table is one that [`Self::new`] would make: to be asked of one that comes from elsewhere.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let day = |offset: &i32| offset.unsigned_abs() <= 26 * 3600;
        let mut pairs = self.changes.iter().zip(self.changes.iter().skip(1));
        self.changes.len() <= CHANGES
            && day(&self.first)
            && self.changes.iter().all(|(_, offset)| day(offset))
            && pairs.all(|((one, _), (next, _))| one < next)
    }

    /// Seconds east of UTC at a moment.
    #[must_use]
    pub fn offset_at(&self, moment: i64) -> i32 {
        let past = self.changes.partition_point(|(at, _)| *at <= moment);
        let change = past.checked_sub(1).and_then(|at| self.changes.get(at));
        change.map_or(self.first, |(_, offset)| *offset)
    }

    /// The same for a part of time; before and after it the offset stays what it is there.
    #[must_use]
    pub fn between(&self, begin: i64, end: i64) -> Self {
        let all = self.changes.iter().copied();
        Self {
            first: self.offset_at(begin),
            changes: all
                .filter(|(at, _)| (begin..end).contains(at))
                .skip_while(|(at, _)| *at == begin)
                .collect(),
        }
    }

    /// The span that `moment` is in, and all that follow.
    pub(super) fn spans(&self, moment: i64) -> impl Iterator<Item = Span> + '_ {
        let first = (i64::MIN, self.first);
        let begins = std::iter::once(first).chain(self.changes.iter().copied());
        let ends = self.changes.iter().map(|(at, _)| *at);
        let ends = ends.chain(std::iter::once(i64::MAX));
        let mut shown = i64::MIN;
        let all = begins.zip(ends).map(move |((begin, offset), end)| {
            let offset = i64::from(offset);
            let span = Span {
                begin,
                end,
                offset,
                shown: shown.max(0),
            };
            shown = shown.max(end.saturating_add(offset));
            span
        });
        all.skip_while(move |span| span.end <= moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_out_of_order_or_beyond_all_bounds_is_none() {
        assert!(Zone::new(3600, vec![(10, 0), (20, 3600)]).is_some());
        for (first, changes) in [
            (0, vec![(10, 0), (10, 3600)]),
            (0, vec![(20, 0), (10, 0)]),
            (100_000, vec![]),
            (0, vec![(1, i32::MIN)]),
            (0, (0..2000).map(|at| (at, 0)).collect()),
        ] {
            assert_eq!(Zone::new(first, changes), None);
        }
    }

    #[test]
    fn the_offset_changes_at_its_second() {
        let zone = Zone::new(60, vec![(10, 120), (20, 60)]).unwrap();
        let found = [9, 10, 19, 20].map(|moment| zone.offset_at(moment));
        assert_eq!(found, [60, 120, 120, 60]);
    }
}

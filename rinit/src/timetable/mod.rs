//! When timers elapse. Pure: the clocks, the time zone and what becomes of units are told.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what is due when, on which clock, and what follows when it is |
//! | `entry` | one timer of one unit |
//!
//! # Clocks
//!
//! Durations run on `CLOCK_MONOTONIC`, like all other deadlines; times of the calendar on the clock on the wall, which people
//! and programs set, and which goes on while the machine sleeps. The difference of the clock on the wall and `CLOCK_BOOTTIME`
//! changes only when it is set, so that is how much it is known to have been set by:
//!
//! - forwards by at most [`CORRECTION`], or slept through: what lies in between elapses, once;
//! - back by at most [`CORRECTION`]: what has elapsed does not again;
//! - by more, it was wrong before: everything is reckoned anew from what it is now.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rootspec::calendar::Zone;
use rootspec::plan::{Plan, Work};

use crate::supervisor::{Record, State, UnitId};
use entry::Entry;

/// A clock that is set by more than this was wrong before, in milliseconds: three hours, as `cron(8)` has it.
pub(crate) const CORRECTION: i64 = 3 * 3_600_000;

/// What the clocks show, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Now {
    /// `CLOCK_MONOTONIC`.
    pub(crate) mono: u64,
    /// `CLOCK_BOOTTIME`.
    pub(crate) boot: u64,
    /// `CLOCK_REALTIME`, since 1970.
    pub(crate) real: i64,
}

impl Now {
    fn seconds(self) -> i64 {
        self.real.div_euclid(1000)
    }

    fn skew(self) -> i64 {
        let boot = i64::try_from(self.boot).unwrap_or(i64::MAX);
        self.real.saturating_sub(boot)
    }
}

/// A timer that has elapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed {
    /// The unit that it belongs to.
    pub(crate) owner: UnitId,
    /// The unit to start.
    pub(crate) unit: UnitId,
}

/// A timer, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// The unit that it belongs to.
    pub(crate) owner: UnitId,
    /// Its number among the timers of that.
    pub(crate) number: usize,
    /// When it elapses next, in milliseconds since 1970; absent: not before something else happens.
    pub(crate) next: Option<i64>,
    /// When it last did, as far as is known.
    pub(crate) last: Option<i64>,
}

/// What has become of a unit, as far as timers count from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is up.
    Up,
    /// It is down, for whatever reason.
    Ended,
    /// It should have started, and has failed or was skipped.
    NotStarted,
}

impl Outcome {
    /// From what is remembered about a unit; `None`: it is on its way.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        match record.state {
            State::Up => Some(Self::Up),
            State::Down if record.skipped => Some(Self::NotStarted),
            State::Down => Some(Self::Ended),
            State::Failed => Some(Self::NotStarted),
            State::Waiting | State::Starting(_) | State::Stopping(_) | State::Backoff => None,
        }
    }
}

/// All timers.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    entries: Vec<Entry>,
    /// Absent: not known yet, so nothing on the calendar is due.
    zone: Option<Zone>,
    /// When `rinit` began, on `CLOCK_MONOTONIC`.
    began: u64,
    skew: i64,
    chance: Chance,
    /// Owners whose stamps are to be written.
    stamps: BTreeMap<UnitId, i64>,
}

/// Where delays come from.
#[derive(Debug, Default)]
pub(crate) struct Chance {
    /// Another one in each boot.
    pub(crate) seed: u64,
    /// The same for a machine.
    pub(crate) machine: u64,
}

impl Chance {
    /// A number below or at `most`: for the same words always the same one of a machine.
    fn fixed(&self, words: &str, most: u64) -> u64 {
        at_most(mixed(self.machine ^ fnv(words)), most)
    }

    /// A number below or at `most`.
    fn any(&mut self, most: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        at_most(mixed(self.seed), most)
    }
}

fn at_most(number: u64, most: u64) -> u64 {
    number.checked_rem(most.saturating_add(1)).unwrap_or(number)
}

/// Spreads bits (the finaliser of SplitMix64).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A text as a number (FNV-1a).
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Timetable {
    /// The timers of a plan, when `rinit` begins.
    pub(crate) fn new(plan: &Plan, chance: Chance, now: Now) -> Self {
        let mut all = Self {
            began: now.mono,
            skew: now.skew(),
            chance,
            ..Self::default()
        };
        for mut entry in entries(plan) {
            entry.begin(all.began, &mut all.chance);
            all.entries.push(entry);
        }
        all
    }

    /// None yet, in a program that goes on from another one: `rinit` began then.
    pub(crate) fn since(began: u64, chance: Chance, now: Now) -> Self {
        Self {
            began,
            skew: now.skew(),
            chance,
            ..Self::default()
        }
    }

    /// The timers of another plan, in whose numbers units are the same ones. A timer that is not changed goes on.
    /// `found` knows what a unit is, and since when.
    pub(crate) fn adopt(
        &mut self,
        plan: &Plan,
        now: Now,
        found: impl Fn(UnitId) -> Option<(Outcome, u64)>,
    ) {
        let mut old = std::mem::take(&mut self.entries);
        for mut entry in entries(plan) {
            if let Some(known) = old.iter().position(|other| other.is_same(&entry)) {
                self.entries.push(old.swap_remove(known));
                continue;
            }
            entry.begin(self.began, &mut self.chance);
            entry.forget_past(now.mono);
            if let Some((what, since)) = found(entry.unit()) {
                entry.note(what, since, now.mono, &mut self.chance);
            }
            self.entries.push(entry);
        }
        self.reckon_idle(now);
    }

    /// The time zone, and when units' timers last elapsed as far as that has been written down, in seconds since 1970.
    pub(crate) fn learn(&mut self, zone: Zone, now: Now, stamp: impl Fn(UnitId) -> Option<i64>) {
        self.zone = Some(zone);
        for entry in &mut self.entries {
            entry.recall(|owner| stamp(owner).map(|seconds| seconds.saturating_mul(1000)));
        }
        self.reckon_idle(now);
    }

    /// True if timers depend on what [`Self::learn`] tells.
    pub(crate) fn has_calendar(&self) -> bool {
        self.entries.iter().any(Entry::has_calendar)
    }

    /// True if it matters that the clock is set.
    pub(crate) fn is_on_wall(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.has_calendar() || entry.minds_clock())
    }

    /// What has become of a unit, and when.
    pub(crate) fn note(&mut self, unit: UnitId, what: Outcome, since: u64, now: u64) {
        for entry in &mut self.entries {
            if entry.unit() == unit {
                entry.note(what, since, now, &mut self.chance);
            }
        }
    }

    /// Whatever is due elapses. `set`: the clock on the wall was set.
    pub(crate) fn run(&mut self, now: Now, set: bool) -> Vec<Elapsed> {
        let jump = now.skew().saturating_sub(self.skew);
        self.skew = now.skew();
        if !(-1000..=CORRECTION).contains(&jump) {
            self.reckon_all(now);
        }
        let mut all = Vec::new();
        for entry in &mut self.entries {
            let due = entry.take_due(now) || (set && entry.minds_clock());
            if due {
                all.push(entry.elapsed());
                entry.has_elapsed(now);
                if entry.is_persistent() {
                    self.stamps.insert(entry.elapsed().owner, now.seconds());
                }
            }
            if let (true, Some(zone)) = (due, &self.zone) {
                entry.reckon(zone, now, &mut self.chance);
            }
        }
        all
    }

    /// The clock was wrong: what it said is forgotten.
    fn reckon_all(&mut self, now: Now) {
        let Some(zone) = &self.zone else { return };
        for entry in &mut self.entries {
            entry.reckon(zone, now, &mut self.chance);
        }
    }

    /// The zone is another one, or there are new timers.
    fn reckon_idle(&mut self, now: Now) {
        let Some(zone) = &self.zone else { return };
        for entry in &mut self.entries {
            if entry.begins_to_count(now) {
                self.stamps.insert(entry.elapsed().owner, now.seconds());
            }
            entry.reckon_if_idle(zone, now, &mut self.chance);
        }
    }

    /// When to look again, on `CLOCK_MONOTONIC`.
    pub(crate) fn next_span(&self) -> Option<u64> {
        self.entries.iter().filter_map(Entry::span_wake).min()
    }

    /// When to look again, on the clock on the wall.
    pub(crate) fn next_on_wall(&self) -> Option<i64> {
        self.entries.iter().filter_map(Entry::wall_wake).min()
    }

    /// Takes the stamps to write: the unit that the timer belongs to, and seconds since 1970.
    pub(crate) fn take_stamps(&mut self) -> BTreeMap<UnitId, i64> {
        std::mem::take(&mut self.stamps)
    }

    /// All timers, for people.
    pub(crate) fn outlook(&self, now: Now) -> impl Iterator<Item = Outlook> + '_ {
        self.entries.iter().map(move |entry| entry.outlook(now))
    }

    /// Seconds that the time zone is east of UTC now.
    pub(crate) fn offset(&self, now: Now) -> i32 {
        self.zone
            .as_ref()
            .map_or(0, |zone| zone.offset_at(now.seconds()))
    }

    /// True if there are no timers at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn entries(plan: &Plan) -> impl Iterator<Item = Entry> + '_ {
    let is_oneshot = |unit: UnitId| {
        let found = usize::try_from(unit).ok().and_then(|at| plan.units.get(at));
        found.is_some_and(|unit| matches!(unit.work, Work::Oneshot(_)))
    };
    (0..).zip(&plan.units).flat_map(move |(owner, definition)| {
        let timers = definition.timers.iter().enumerate();
        timers.map(move |(number, timer)| {
            let words = format!("{} {number}", definition.name);
            Entry::new(
                (owner, number),
                timer.clone(),
                is_oneshot(timer.unit),
                words,
            )
        })
    })
}

//! One timer of one unit.

use rootspec::calendar::Zone;
use rootspec::plan::Timer;

use super::{CORRECTION, Chance, Elapsed, Now, Outcome, Outlook};
use crate::supervisor::UnitId;

/// Latest service of a timer that does not say, in milliseconds: a minute, and no more than a tenth of a duration.
const ACCURACY: u64 = 60_000;
/// Wake-ups are put on multiples of these, in milliseconds: whoever may wait a bit meets others there.
const GRIDS: [u64; 7] = [600_000, 60_000, 30_000, 10_000, 5_000, 1_000, 250];

/// A moment that is due, in milliseconds of some clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due<T> {
    /// From then on it has elapsed.
    at: T,
    /// Then we wake up for it.
    wake: T,
}

/// The next moment that many timers may share, within `window` after `at`.
fn shared(at: u64, window: u64) -> u64 {
    let grid = GRIDS.into_iter().find(|grid| *grid <= window);
    grid.map_or(at, |grid| at.div_ceil(grid).saturating_mul(grid))
}

/// The durations of a timer, by what they begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Boot,
    Start,
    Active,
    Inactive,
}

/// See [`super`].
#[derive(Debug)]
pub(super) struct Entry {
    owner: UnitId,
    number: usize,
    timer: Timer,
    /// Its unit is done when it is up.
    oneshot: bool,
    /// What tells it from all others.
    words: String,
    /// By [`Since`].
    spans: [Option<Due<u64>>; 4],
    wall: Option<Due<i64>>,
    /// The moment of the calendar that `wall` is, without the delay; in seconds.
    planned: i64,
    /// The last moment of the calendar that has elapsed, in seconds.
    served: Option<i64>,
    /// When it last elapsed, in milliseconds since 1970.
    last: Option<i64>,
}

impl Entry {
    pub(super) fn new(
        (owner, number): (UnitId, usize),
        timer: Timer,
        oneshot: bool,
        words: String,
    ) -> Self {
        Self {
            owner,
            number,
            timer,
            oneshot,
            words,
            spans: [None; 4],
            wall: None,
            planned: 0,
            served: None,
            last: None,
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.owner, self.oneshot, &self.timer) == (other.owner, other.oneshot, &other.timer)
    }

    pub(super) fn unit(&self) -> UnitId {
        self.timer.unit
    }

    pub(super) fn has_calendar(&self) -> bool {
        !self.timer.calendars.is_empty()
    }

    pub(super) fn minds_clock(&self) -> bool {
        self.timer.on_clock_change
    }

    pub(super) fn is_persistent(&self) -> bool {
        self.timer.persistent
    }

    pub(super) fn elapsed(&self) -> Elapsed {
        Elapsed {
            owner: self.owner,
            unit: self.timer.unit,
        }
    }

    fn delay(&self, chance: &mut Chance) -> u64 {
        match (self.timer.jitter, self.timer.fixed_jitter) {
            (0, _) => 0,
            (most, true) => chance.fixed(&self.words, most),
            (most, false) => chance.any(most),
        }
    }

    fn set(&mut self, since: Since, moment: u64, span: u64, chance: &mut Chance) {
        let at = moment
            .saturating_add(span)
            .saturating_add(self.delay(chance));
        let usual = ACCURACY.min(span.checked_div(10).unwrap_or_default());
        let wake = shared(at, self.timer.accuracy.unwrap_or(usual));
        if let Some(place) = self.spans.get_mut(since as usize) {
            *place = Some(Due { at, wake });
        }
    }

    /// What begins with the boot.
    pub(super) fn begin(&mut self, began: u64, chance: &mut Chance) {
        if let Some(span) = self.timer.after_boot {
            self.set(Since::Boot, 0, span, chance);
        }
        if let Some(span) = self.timer.after_start {
            self.set(Since::Start, began, span, chance);
        }
    }

    /// For a timer that is new: what is long past does not elapse now.
    pub(super) fn forget_past(&mut self, now: u64) {
        for span in &mut self.spans {
            span.take_if(|due| due.at <= now);
        }
    }

    /// What has become of its unit. A moment that is past already counts from now.
    pub(super) fn note(&mut self, what: Outcome, since: u64, now: u64, chance: &mut Chance) {
        let (active, inactive) = match what {
            Outcome::Up => (true, self.oneshot),
            Outcome::NotStarted => (true, true),
            Outcome::Ended => (false, true),
        };
        let spans = [
            (Since::Active, active, self.timer.after_active),
            (Since::Inactive, inactive, self.timer.after_inactive),
        ];
        for (which, counts, span) in spans {
            if let (true, Some(span)) = (counts, span) {
                let is_past = since.saturating_add(span) <= now;
                self.set(which, if is_past { now } else { since }, span, chance);
            }
        }
    }

    /// When it last elapsed, as it was written down.
    pub(super) fn recall(&mut self, stamp: impl FnOnce(UnitId) -> Option<i64>) {
        if self.timer.persistent && self.last.is_none() {
            self.last = stamp(self.owner);
        }
    }

    /// True if it makes up for missed times from now on, as nothing is known about former ones.
    pub(super) fn begins_to_count(&mut self, now: Now) -> bool {
        let begins = self.timer.persistent && self.last.is_none() && self.served.is_none();
        if begins {
            self.served = Some(now.seconds());
        }
        begins
    }

    /// As [`Self::reckon`], unless a moment has come that is only delayed.
    pub(super) fn reckon_if_idle(&mut self, zone: &Zone, now: Now, chance: &mut Chance) {
        if self.wall.is_none() || self.planned > now.seconds() {
            self.reckon(zone, now, chance);
        }
    }

    /// Looks the next moment of the calendar up.
    pub(super) fn reckon(&mut self, zone: &Zone, now: Now, chance: &mut Chance) {
        let mut after = now.seconds();
        let again = |served: &i64| (0..=CORRECTION / 1000).contains(&served.saturating_sub(after));
        after = self.served.filter(again).unwrap_or(after);
        let last = self.last.map(|last| last.div_euclid(1000));
        if let (true, Some(last)) = (self.timer.persistent, last) {
            after = after.min(last);
        }
        let calendars = self.timer.calendars.iter();
        let next = calendars
            .filter_map(|calendar| calendar.next(zone, after))
            .min();
        let Some(next) = next else {
            self.wall = None;
            return;
        };
        self.planned = next;
        // What was missed is due now, and delayed like anything else.
        let moment = next.saturating_mul(1000).max(now.real);
        let delay = i64::try_from(self.delay(chance)).unwrap_or_default();
        let at = moment.saturating_add(delay);
        let window = self.timer.accuracy.unwrap_or(ACCURACY);
        let wake = u64::try_from(at).ok().map(|at| shared(at, window));
        let wake = wake.and_then(|wake| i64::try_from(wake).ok()).unwrap_or(at);
        self.wall = Some(Due { at, wake });
    }

    /// True if something of it is due, which then is no longer.
    pub(super) fn take_due(&mut self, now: Now) -> bool {
        let mut due = false;
        for span in &mut self.spans {
            due |= span.take_if(|span| span.at <= now.mono).is_some();
        }
        if self.wall.take_if(|wall| wall.at <= now.real).is_some() {
            self.served = Some(self.planned);
            due = true;
        }
        due
    }

    pub(super) fn has_elapsed(&mut self, now: Now) {
        self.last = Some(now.real);
    }

    pub(super) fn span_wake(&self) -> Option<u64> {
        self.spans.iter().flatten().map(|due| due.wake).min()
    }

    pub(super) fn wall_wake(&self) -> Option<i64> {
        self.wall.map(|due| due.wake)
    }

    pub(super) fn outlook(&self, now: Now) -> Outlook {
        let on_wall = |wake: u64| {
            let ahead = wake.saturating_sub(now.mono);
            now.real
                .saturating_add(i64::try_from(ahead).unwrap_or(i64::MAX))
        };
        let span = self.span_wake().map(on_wall);
        Outlook {
            owner: self.owner,
            number: self.number,
            next: span.into_iter().chain(self.wall_wake()).min(),
            last: self.last,
        }
    }
}

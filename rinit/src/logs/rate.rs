//! How many lines a unit may write. What is more is dropped, and counted.

use rootspec::logs::Rate;

/// What one unit has written in the present window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Meter {
    begin: u64,
    seen: u32,
    dropped: u64,
}

impl Meter {
    /// Whether one more line goes into the log now.
    pub(crate) fn admits(&mut self, rate: Rate, now: u64) -> bool {
        if self.dropped == 0 && now.saturating_sub(self.begin) >= rate.window {
            *self = Self {
                begin: now,
                ..Self::default()
            };
        }
        self.seen = self.seen.saturating_add(1);
        let admitted = self.seen <= rate.count;
        if !admitted {
            self.dropped = self.dropped.saturating_add(1);
        }
        admitted
    }

    /// When it is time to say how many were dropped, if any were.
    pub(crate) fn due(&self, rate: Rate) -> Option<u64> {
        (self.dropped > 0).then(|| self.begin.saturating_add(rate.window))
    }

    /// How many were dropped, once, when the window is over.
    pub(crate) fn take_dropped(&mut self, rate: Rate, now: u64) -> Option<u64> {
        let over = self.due(rate).is_some_and(|due| now >= due);
        over.then(|| std::mem::take(self).dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        count: 2,
        window: 1000,
    };

    #[test]
    fn what_is_more_than_allowed_is_counted_and_told_once() {
        let mut meter = Meter::default();
        let mut admitted = |now: u64| meter.admits(RATE, now);
        assert!(admitted(5000) && admitted(5001));
        assert!(!admitted(5002) && !admitted(5999));
        assert_eq!(meter.due(RATE), Some(6000));
        assert_eq!(meter.take_dropped(RATE, 5999), None);
        assert_eq!(meter.take_dropped(RATE, 6000), Some(2));
        assert_eq!(meter.take_dropped(RATE, 9000), None);
        assert!(meter.admits(RATE, 9000));
    }

    #[test]
    fn a_unit_that_keeps_to_it_never_loses_a_line() {
        let mut meter = Meter::default();
        for now in (0..100_000).step_by(501) {
            assert!(meter.admits(RATE, now), "at {now}");
        }
        assert_eq!(meter.due(RATE), None);
    }

    #[test]
    fn without_room_everything_is_dropped_and_without_a_window_nothing() {
        let never = Rate { count: 0, ..RATE };
        assert!(!Meter::default().admits(never, 7));
        let always = Rate { window: 0, ..RATE };
        let mut meter = Meter::default();
        for now in 0..100 {
            assert!(meter.admits(always, now));
        }
    }
}

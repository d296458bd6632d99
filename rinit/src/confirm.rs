//! Making a good verdict last, as a pure function of what the unit `boot-good` did and of the time.
//!
//! Until that unit has ended well, the loader still goes back to the last good snapshot: a trial whose confirmation fails
//! is tried again with growing pauses, and given up at a deadline.

use serde::{Deserialize, Serialize};

/// The first pause after a failure, in milliseconds; it doubles.
const PAUSE: u64 = 1_000;
/// The longest one.
const LONGEST: u64 = 60_000;

/// What is seen of the unit that confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is no such unit.
    Missing,
    /// On its way.
    Busy,
    /// It ended well.
    Through,
    /// It did not, with the reason.
    Failed(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// Start the unit.
    Start,
    /// The snapshot is confirmed.
    Done,
    /// It will not be, with the reason.
    GiveUp(String),
}

/// A confirmation under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirmation {
    patience: u64,
    deadline: u64,
    pause: u64,
    /// When to start the unit, if it is not on its way.
    next: Option<u64>,
    /// The last failure.
    why: Option<String>,
}

impl Confirmation {
    /// Begins now and is given up after so many milliseconds.
    pub(crate) fn new(now: u64, patience: u64) -> Self {
        Self {
            patience,
            deadline: now.saturating_add(patience),
            pause: PAUSE,
            next: Some(now),
            why: None,
        }
    }

    /// When to look again at the latest.
    pub(crate) fn due(&self) -> u64 {
        self.next
            .map_or(self.deadline, |next| next.min(self.deadline))
    }

    /// Why it has not worked yet.
    pub(crate) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Goes on from what is seen.
    pub(crate) fn step(&mut self, now: u64, seen: Seen) -> Step {
        match seen {
            Seen::Missing => return Step::GiveUp("there is no such unit".to_owned()),
            Seen::Through => return Step::Done,
            Seen::Busy => self.next = None,
            // Seen for the first time: until the next start it stays failed.
            Seen::Failed(why) if self.next.is_none() => {
                self.why = Some(why);
                self.next = Some(now.saturating_add(self.pause));
                self.pause = self.pause.saturating_mul(2).min(LONGEST);
            }
            Seen::Failed(_) => {}
        }
        if now >= self.deadline {
            let patience = crate::words::duration(self.patience);
            let late = || format!("it was not through within {patience}");
            return Step::GiveUp(self.why.take().unwrap_or_else(late));
        }
        if self.next.is_some_and(|next| next <= now) {
            self.next = None;
            return Step::Start;
        }
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Seen {
        Seen::Failed("no ESP".into())
    }

    #[test]
    fn it_is_started_once_and_done_when_it_is_through() {
        let mut one = Confirmation::new(10, 5_000);
        assert_eq!(one.step(10, Seen::Failed(String::new())), Step::Start);
        assert_eq!((one.step(11, Seen::Busy), one.due()), (Step::Wait, 5_010));
        assert_eq!(one.step(12, Seen::Through), Step::Done);
    }

    #[test]
    fn a_failure_is_tried_again_after_growing_pauses_and_given_up_at_the_deadline() {
        let mut one = Confirmation::new(0, 8_000);
        let mut now = 0;
        let mut starts = Vec::new();
        let end = loop {
            match one.step(now, failed()) {
                Step::Start => starts.push(now),
                // It fails at once, or nothing has happened.
                Step::Wait => now = one.due(),
                end => break end,
            }
        };
        assert_eq!(starts, [0, 1_000, 3_000, 7_000]);
        assert_eq!((now, end), (8_000, Step::GiveUp("no ESP".into())));
    }

    #[test]
    fn one_that_hangs_is_given_up_too() {
        let mut one = Confirmation::new(0, 90_000);
        assert_eq!(one.step(0, failed()), Step::Start);
        let Step::GiveUp(why) = one.step(90_000, Seen::Busy) else {
            panic!("still waiting")
        };
        assert_eq!(why, "it was not through within 90 s");
    }

    #[test]
    fn without_the_unit_nothing_is_waited_for() {
        let end = Confirmation::new(0, 90_000).step(0, Seen::Missing);
        assert!(matches!(end, Step::GiveUp(_)));
    }
}

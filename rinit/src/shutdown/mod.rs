//! The end of a boot, in order.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | while services stop: deadline, what is waited for, Ctrl-Alt-Del in anger |
//! | `leave` | the last steps of this process, and the change into the shutdown stage |
//! | `stage` | the shutdown stage: unmounts everything, ends the machine |
//! | `direct` | the end without all that, where it fails |
//! | `soft` | another root, the same kernel |
//! | `how` | what comes after the end; words and signals for it |
//!
//! Services stop in reverse order with one deadline for all. What is left is killed. Then this process changes into a
//! copy of itself that lives in its own tmpfs, outside the root, so that the root can be let go of.

mod direct;
mod how;
mod leave;
pub(crate) mod soft;
pub(crate) mod stage;

use std::collections::VecDeque;

use crate::supervisor::{Core, State};
use serde::{Deserialize, Serialize};

pub(crate) use direct::{directly, surely};
pub(crate) use how::{How, of_signal};
pub(crate) use leave::{finish, prepare};

/// The role's word on the command line.
pub(crate) const ROLE: &str = "@shutdown";
/// After so many milliseconds the console says what is waited for, and again after each further such time.
const SILENCE: u64 = 5_000;
/// So long after the deadline the machine ends without the orderly way, wherever that got stuck, in milliseconds.
const GRACE: u64 = 30_000;
/// After the direct end failed it is tried again so much later, in milliseconds.
const RETRY: u64 = 60_000;
/// Ctrl-Alt-Del so often within [`ANGER_WINDOW`] means: at once.
const ANGER: usize = 7;
/// Milliseconds.
const ANGER_WINDOW: u64 = 2_000;

/// A shutdown under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    how: How,
    deadline: u64,
    next_word: u64,
    presses: VecDeque<u64>,
    at_once: bool,
    over: bool,
    /// When the machine is to end directly.
    last: u64,
}

impl Shutdown {
    /// Begins now, and takes so many milliseconds at most.
    pub(crate) fn new(how: How, now: u64, patience: u64) -> Self {
        let deadline = now.saturating_add(patience);
        Self {
            how,
            deadline,
            last: deadline.saturating_add(GRACE),
            next_word: now.saturating_add(SILENCE),
            presses: VecDeque::new(),
            at_once: false,
            over: false,
        }
    }

    /// How the machine ends.
    pub(crate) fn how(&self) -> How {
        self.how
    }

    /// When to look again.
    pub(crate) fn deadline(&self, now: u64) -> u64 {
        if self.over {
            self.last
        } else if self.at_once {
            now
        } else {
            self.deadline.min(self.next_word)
        }
    }

    /// Nobody is waited for any longer.
    pub(crate) fn hurry(&mut self) {
        self.at_once = true;
    }

    /// Ctrl-Alt-Del was pressed.
    pub(crate) fn pressed(&mut self, now: u64) {
        self.presses.push_back(now);
        let old = |then: &u64| now.saturating_sub(*then) > ANGER_WINDOW;
        while self.presses.front().is_some_and(old) {
            self.presses.pop_front();
        }
        if self.presses.len() >= ANGER {
            self.at_once = true;
        }
    }

    /// What is waited for, when it is time to say so.
    pub(crate) fn complain(&mut self, now: u64, core: &Core) -> Option<String> {
        if now < self.next_word || self.over {
            return None;
        }
        self.next_word = now.saturating_add(SILENCE);
        let rest = crate::words::duration(round(self.deadline.saturating_sub(now)));
        Some(format!("waiting for {} (at most {rest} more)", left(core)))
    }

    /// True once, when services are through or nobody waits for them any longer.
    pub(crate) fn is_due(&mut self, now: u64, core: &Core) -> bool {
        let due = core.is_quiet() || now >= self.deadline || self.at_once;
        if due && !self.over {
            self.over = true;
            return true;
        }
        false
    }

    /// True when the orderly way should long have ended the machine, whatever went wrong on it.
    pub(crate) fn is_hopeless(&mut self, now: u64) -> bool {
        let hopeless = now >= self.last;
        if hopeless {
            self.last = now.saturating_add(RETRY);
        }
        hopeless
    }

    /// True from the moment services are not waited for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }
}

fn round(millis: u64) -> u64 {
    millis.div_ceil(1000).saturating_mul(1000)
}

/// Names of units that have not stopped yet.
pub(crate) fn left(core: &Core) -> String {
    let busy = core.records().filter(|(_, record)| {
        !record.is_settled() && !matches!(record.state, State::Down | State::Failed)
    });
    let names: Vec<&str> = busy.map(|(unit, _)| &*core.unit(unit).name).collect();
    match names.get(..5) {
        Some(first) if names.len() > 5 => {
            let more = names.len().saturating_sub(5);
            format!("{} and {more} more", first.join(", "))
        }
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::plan::Plan;

    #[test]
    fn seven_presses_in_two_seconds_mean_at_once() {
        let mut shutdown = Shutdown::new(How::Reboot, 0, 90_000);
        for now in [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000] {
            shutdown.pressed(now);
        }
        assert!(!shutdown.at_once);
        for now in [7100, 7200, 7300, 7400, 7500] {
            shutdown.pressed(now);
        }
        assert!(shutdown.at_once && shutdown.deadline(8000) == 8000);
    }

    #[test]
    fn a_system_without_services_ends_once_and_at_once() {
        let core = Core::new(Plan::default(), 0);
        let mut shutdown = Shutdown::new(How::Halt, 0, 90_000);
        assert!(shutdown.is_due(1, &core) && !shutdown.is_due(2, &core));
    }

    #[test]
    fn a_shutdown_that_got_stuck_is_ended_after_all() {
        let core = Core::new(Plan::default(), 0);
        let mut shutdown = Shutdown::new(How::Reboot, 0, 90_000);
        assert!(shutdown.is_due(1, &core));
        assert_eq!(
            (shutdown.deadline(2), shutdown.is_hopeless(2)),
            (120_000, false)
        );
        assert_eq!(shutdown.complain(50_000, &core), None);
        assert!(shutdown.is_hopeless(120_000));
        // The kernel refused: not again at once.
        assert_eq!(
            (shutdown.deadline(120_001), shutdown.is_hopeless(120_001)),
            (180_000, false)
        );
    }
}

//! Whether a unit whose run is over is started again, and when.
//!
//! | `restart.policy` | it ended well | exit code | signal | trouble | unwell |
//! |---|---|---|---|---|---|
//! | `no` | | | | | |
//! | `always` | again | again | again | again | again |
//! | `on-success` | again | | | | |
//! | `on-failure` | | again | again | again | again |
//! | `on-abnormal` | | | again | again | again |
//! | `on-abort` | | | again | | |
//! | `on-watchdog` | | | | | again |
//!
//! As for systemd, which has the words from there.

use rootspec::plan::{Exits, Policy};
use sys::process::Exit;

use super::model::Next;
use super::{Core, State, UnitId, Wish};

/// Least pause after a start that failed at once, in milliseconds.
pub(super) const BREATH: u64 = 100;

/// Why a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Its main process ended, as it may.
    Ended(Exit),
    /// Its main process ended before the unit was up.
    Early(Exit),
    /// Another command of it ended, which is a failure.
    Beside(Exit),
    /// It took too long, could not be started, or is not what it says.
    Trouble,
    /// It gave no sign of life, or bad answers.
    Unwell,
}

/// The columns of the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Well,
    Code,
    Signal,
    Trouble,
    Unwell,
}

impl Over {
    /// How the main process ended, if that is why.
    fn main(self) -> Option<Exit> {
        match self {
            Self::Ended(exit) | Self::Early(exit) => Some(exit),
            Self::Beside(_) | Self::Trouble | Self::Unwell => None,
        }
    }

    /// `success`: what counts as such beside exit code 0.
    fn kind(self, success: &Exits) -> Kind {
        match self {
            Self::Ended(exit) if is_success(exit, success) => Kind::Well,
            // Not at that time, or not that command.
            Self::Early(exit) | Self::Beside(exit) if is_success(exit, success) => Kind::Trouble,
            Self::Ended(exit) | Self::Early(exit) | Self::Beside(exit) => match exit {
                Exit::Code(_) => Kind::Code,
                Exit::Signal(_) => Kind::Signal,
            },
            Self::Trouble => Kind::Trouble,
            Self::Unwell => Kind::Unwell,
        }
    }
}

fn is_among(exit: Exit, exits: &Exits) -> bool {
    match exit {
        Exit::Code(code) => exits.codes.contains(&code),
        Exit::Signal(signal) => exits.signals.contains(&signal),
    }
}

fn is_success(exit: Exit, success: &Exits) -> bool {
    exit == Exit::Code(0) || is_among(exit, success)
}

/// The table above.
fn wants_more(policy: Policy, kind: Kind) -> bool {
    match policy {
        Policy::Never => false,
        Policy::Always => true,
        Policy::OnSuccess => kind == Kind::Well,
        Policy::OnFailure => kind != Kind::Well,
        Policy::OnAbnormal => matches!(kind, Kind::Signal | Kind::Trouble | Kind::Unwell),
        Policy::OnAbort => kind == Kind::Signal,
        Policy::OnWatchdog => kind == Kind::Unwell,
    }
}

impl Core {
    pub(super) fn ended_well(&self, unit: UnitId, exit: Exit) -> bool {
        is_success(exit, &self.unit(unit).restart.success)
    }

    fn goes_on(&self, unit: UnitId, over: Over, kind: Kind) -> bool {
        let definition = self.unit(unit);
        let conduct = definition.conduct();
        let says = |exits| over.main().is_some_and(|exit| is_among(exit, exits));
        !says(&conduct.never_on)
            && (says(&conduct.always_on) || wants_more(definition.restart.policy, kind))
    }

    /// What it becomes, now that its run is over.
    pub(super) fn decide(&mut self, unit: UnitId, over: Over, words: String) -> Next {
        let kind = over.kind(&self.unit(unit).restart.success);
        let own = |words| match kind {
            Kind::Well => Next::Down(words),
            Kind::Code | Kind::Signal | Kind::Trouble | Kind::Unwell => Next::Failed(words),
        };
        let record = self.records.at_mut(unit);
        if record.wish == Wish::Down {
            return record.parting.take().unwrap_or_else(|| own(words));
        }
        if self.goes_on(unit, over, kind) {
            self.once_more(unit, words)
        } else {
            own(words)
        }
    }

    /// It is started again, unless that has happened too often.
    fn once_more(&mut self, unit: UnitId, words: String) -> Next {
        let now = self.now;
        let policy = self.unit(unit).restart.clone();
        let record = self.records.at_mut(unit);
        let up_for = now.saturating_sub(record.since);
        if record.state == State::Up && up_for >= policy.reset_after {
            record.recent.clear();
            record.exponent = 0;
        }
        let window = policy.window;
        while record
            .recent
            .front()
            .is_some_and(|then| now.saturating_sub(*then) > window)
        {
            record.recent.pop_front();
        }
        let limit = usize::try_from(policy.limit).unwrap_or(usize::MAX);
        if limit > 0 && record.recent.len() >= limit {
            let window = crate::words::duration(window);
            let words = format!("{words}; it was restarted {limit} times within {window}");
            let recourse = self.unit(unit).conduct().on_limit;
            self.call_for(unit, recourse, &format!("failed: {words}"));
            return Next::Failed(words);
        }
        if limit > 0 {
            record.recent.push_back(now);
        }
        let delay = pause(
            policy.delay,
            policy.backoff_percent,
            record.exponent,
            policy.max_delay,
        );
        // Nothing ran, so nothing would slow an endless series of tries down.
        let least = if std::mem::take(&mut record.unstarted) {
            BREATH
        } else {
            0
        };
        record.exponent = record.exponent.saturating_add(1);
        record.restarts = record.restarts.saturating_add(1);
        Next::Again(delay.max(least), words)
    }
}

/// The pause before restart number `exponent`: grows by a factor, up to a bound.
fn pause(first: u64, percent: u32, exponent: u32, most: u64) -> u64 {
    let mut pause = first;
    for _ in 0..exponent.min(64) {
        if pause >= most {
            break;
        }
        let grown = pause.saturating_mul(u64::from(percent)).checked_div(100);
        pause = grown.unwrap_or(pause);
    }
    pause.min(most.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_means_what_the_table_says() {
        use Policy::{Always, Never, OnAbnormal, OnAbort, OnFailure, OnSuccess, OnWatchdog};
        let success = Exits {
            codes: vec![7],
            signals: vec![15],
        };
        let (well, bad) = (Exit::Code(7), Exit::Code(1));
        let abnormal = [Always, OnFailure, OnAbnormal];
        let cases: [(Over, &[Policy]); 9] = [
            (Over::Ended(Exit::Signal(15)), &[Always, OnSuccess]),
            (Over::Ended(well), &[Always, OnSuccess]),
            (Over::Ended(bad), &[Always, OnFailure]),
            (Over::Beside(bad), &[Always, OnFailure]),
            (
                Over::Early(Exit::Signal(11)),
                &[Always, OnFailure, OnAbnormal, OnAbort],
            ),
            (Over::Early(well), &abnormal),
            (Over::Beside(Exit::Code(0)), &abnormal),
            (Over::Trouble, &abnormal),
            (Over::Unwell, &[Always, OnFailure, OnAbnormal, OnWatchdog]),
        ];
        for (over, again) in cases {
            for policy in [
                Never, Always, OnSuccess, OnFailure, OnAbnormal, OnAbort, OnWatchdog,
            ] {
                let wanted = wants_more(policy, over.kind(&success));
                assert_eq!(wanted, again.contains(&policy), "{policy:?} {over:?}");
            }
        }
    }
}

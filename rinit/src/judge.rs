//! Acting on the verdict: `gate` and `confirm` decide, this starts units and reboots.

use rootspec::plan::{BOOT_BAD, BOOT_GOOD, KEEP_PLAN};
use rootspec::record::{CONFIRMED, VERDICT};

use crate::confirm::{Confirmation, Seen, Step};
use crate::gate::{self, Sight, Verdict};
use crate::init::{Init, Phase};
use crate::shutdown::How;
use crate::supervisor::{Core, Event, State, UnitId, Wish};

/// How long [`BOOT_BAD`] may take before the machine reboots all the same, in milliseconds.
const REJECT: u64 = 60_000;

impl Init {
    /// The gate: is this boot good?
    pub(crate) fn judge(&mut self) {
        let now = sys::timer::now();
        if let Some(deadline) = self.rejecting {
            self.rejected(now >= deadline);
        }
        if self.phase == Phase::Stopping {
            return;
        }
        if self.confirming.is_some() {
            return self.confirm(now);
        }
        if !matches!(self.verdict, Verdict::Pending(_)) {
            return;
        }
        let core = &self.all.core;
        self.verdict = match (&self.settings.rescue, self.gate.is_trial()) {
            (Some(why), true) => Verdict::Bad(vec![why.clone()]),
            (Some(why), false) => Verdict::Degraded(vec![why.clone()]),
            (None, _) => self.gate.judge(now, |unit| sight(core, unit)),
        };
        match (&self.verdict, self.gate.is_trial()) {
            (Verdict::Pending(_) | Verdict::Unconfirmed(_), _) => {}
            (Verdict::Good | Verdict::Degraded(_), true) => {
                let word = self.verdict.word();
                self.voice
                    .shout(&format!("this boot is {word}; {BOOT_GOOD} confirms it"));
                self.flaws = self.verdict.reasons().to_vec();
                self.verdict = Verdict::Unconfirmed(Vec::new());
                self.confirming = Some(Confirmation::new(now, self.settings.confirm_deadline));
                self.confirm(now);
            }
            (Verdict::Good, false) => {
                self.voice.note("this boot is good");
                self.keep_plan();
            }
            (Verdict::Degraded(_) | Verdict::Bad(_), _) => self.not_good(now),
        }
    }

    /// A good boot that had to compile its plan spares the next one that.
    fn keep_plan(&mut self) {
        let unit = self.all.core.find(KEEP_PLAN);
        if let Some(unit) = unit.filter(|_| !self.unchanged) {
            self.all.handle(Event::Start(unit));
        }
    }

    /// Says what is wrong; a bad snapshot is left.
    pub(crate) fn not_good(&mut self, now: u64) {
        let words = self.verdict.reasons().join("; ");
        let word = self.verdict.word();
        self.voice.shout(&format!("{VERDICT}{word}: {words}"));
        if let Verdict::Bad(_) = self.verdict {
            self.all.hands.verdict = words;
            self.rejecting = Some(now.saturating_add(REJECT));
            match self.all.core.find(BOOT_BAD) {
                Some(unit) => self.all.handle(Event::Start(unit)),
                None => self.voice.shout(&format!(
                    "there is no unit {BOOT_BAD}: the verdict is not written down"
                )),
            }
        }
    }

    /// Goes on with the confirmation of a good trial.
    fn confirm(&mut self, now: u64) {
        let Some(confirming) = &mut self.confirming else {
            return;
        };
        let unit = self.all.core.find(BOOT_GOOD);
        let seen = unit.map_or(Seen::Missing, |unit| seen(&self.all.core, unit));
        let step = confirming.step(now, seen);
        let why = confirming.why();
        let why = why.map(|why| format!("{BOOT_GOOD} failed and is tried again: {why}"));
        match (step, unit) {
            (Step::Wait, _) => self.verdict = Verdict::Unconfirmed(why.into_iter().collect()),
            (Step::Start, Some(unit)) => self.all.handle(Event::Start(unit)),
            (Step::Start, None) => {}
            (Step::Done, _) => {
                self.confirming = None;
                self.verdict = match std::mem::take(&mut self.flaws) {
                    flaws if flaws.is_empty() => Verdict::Good,
                    flaws => Verdict::Degraded(flaws),
                };
                self.voice.note(&format!("{VERDICT}{CONFIRMED}"));
                self.keep_plan();
            }
            (Step::GiveUp(why), unit) => {
                self.confirming = None;
                // It must not confirm what is being rejected.
                if let Some(unit) = unit {
                    self.all.handle(Event::Stop(unit));
                }
                self.verdict = self.gate.unconfirmed(BOOT_GOOD, &why);
                self.not_good(now);
            }
        }
    }

    /// A bad snapshot has been rejected, or that takes too long: back to the last good one.
    fn rejected(&mut self, late: bool) {
        let unit = self.all.core.find(BOOT_BAD);
        let through = unit.is_none_or(|unit| self.all.core.record(unit).is_settled());
        if through || late {
            self.rejecting = None;
            self.go_down(How::Reboot, "because this snapshot is bad");
        }
    }
}

fn sight(core: &Core, unit: UnitId) -> gate::Seen {
    let record = core.record(unit);
    let sight = match (record.state, record.wish) {
        (State::Up, _) if core.spoils_the_boot(unit) => Sight::Failed(record.reason.clone()),
        (State::Up, _) => Sight::Up(record.since),
        (State::Failed, _) => Sight::Failed(record.reason.clone()),
        (State::Down, _) if record.skipped || record.done => Sight::Skipped,
        (State::Down | State::Waiting | State::Starting(_), _)
        | (State::Stopping(_) | State::Backoff, Wish::Up | Wish::Down) => Sight::Pending,
    };
    (sight, record.restarts)
}

fn seen(core: &Core, unit: UnitId) -> Seen {
    let record = core.record(unit);
    match record.state {
        State::Up => Seen::Through,
        State::Down if record.done => Seen::Through,
        // Down: skipped, or stopped by somebody.
        State::Failed | State::Down => Seen::Failed(record.reason.clone()),
        State::Waiting | State::Starting(_) | State::Stopping(_) | State::Backoff => Seen::Busy,
    }
}

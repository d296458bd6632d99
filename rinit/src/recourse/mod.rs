//! What units ask for the system as a whole when they fail or end: a reboot, the end, a login, the snapshot before.
//!
//! | asked for | on a trial that is not judged yet | else |
//! |---|---|---|
//! | reboot, soft reboot, rollback | the snapshot is bad, which leads back to the last good one | done, if it was not done too often for the same reason; else the system stays up as it is, degraded |
//! | poweroff, rescue | done | done |
//!
//! How often is in a file on the shared `/var` ([`tally`]). A child reads and writes it: the disk may be what is broken.
//! Without an answer from there, nothing is done: a machine that stays up can be looked at.

mod tally;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rootspec::paths::REBOOTS;
use rootspec::plan::{BOOT_GOOD, RESCUE, ROLL_BACK, Recourse};
use sys::epoll::Interest;
use sys::process::Worker;

use crate::gate::Verdict;
use crate::init::{Init, LOADER};
use crate::shutdown::How;
use crate::supervisor::{Call, Event, State};
use tally::Tally;

/// How long the child may take, in milliseconds.
const DEADLINE: u64 = 10_000;
/// Largest file that is read, in bytes.
const SIZE: u64 = 64 << 10;
/// The child's answer if it may be done; anything else says why not.
const YES: &[u8] = b"+";

/// What is under way for a unit.
#[derive(Debug)]
pub(crate) struct Recoursing {
    call: Call,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// A child counts.
    Counting {
        worker: Worker,
        answer: Vec<u8>,
        due: u64,
    },
    /// The unit [`ROLL_BACK`] is at work.
    RollingBack,
}

impl Recoursing {
    /// When to look again at the latest.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.step {
            Step::Counting { due, .. } => Some(due),
            Step::RollingBack => None,
        }
    }

    /// What the next program has to be asked for again.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }
}

impl Init {
    /// After all events of a lap: what units have asked for.
    pub(crate) fn take_recourse(&mut self) {
        for call in self.all.core.take_calls() {
            if self.shutdown.is_none() && self.rejecting.is_none() && self.recourse.is_none() {
                self.called(call);
            }
        }
        self.go_on_with_recourse();
    }

    fn words(&self, call: &Call) -> String {
        format!("{} {}", self.all.core.unit(call.unit).name, call.why)
    }

    fn called(&mut self, call: Call) {
        let words = self.words(&call);
        let judged = !matches!(self.verdict, Verdict::Pending(_) | Verdict::Unconfirmed(_));
        match call.recourse {
            Recourse::None => {}
            Recourse::Poweroff => self.go_down(How::PowerOff, &format!("because {words}")),
            Recourse::Rescue => self.rescue(&words),
            Recourse::Reboot | Recourse::SoftReboot | Recourse::Rollback
                if self.gate.is_trial() && !judged =>
            {
                self.reject(words);
            }
            Recourse::Reboot | Recourse::SoftReboot | Recourse::Rollback => self.count(call),
        }
    }

    /// A trial that a unit wants to leave.
    fn reject(&mut self, words: String) {
        if self.confirming.take().is_some() {
            // It must not confirm what is being rejected.
            if let Some(unit) = self.all.core.find(BOOT_GOOD) {
                self.all.handle(Event::Stop(unit));
            }
        }
        self.verdict = Verdict::Bad(vec![words]);
        self.not_good(sys::timer::now());
    }

    /// Everything stops but a login on the console.
    fn rescue(&mut self, words: &str) {
        match self.all.core.find(RESCUE) {
            Some(unit) => {
                self.voice
                    .shout(&format!("only the unit {RESCUE} goes on, because {words}"));
                self.all.handle(Event::Isolate(unit));
            }
            None => self.stay_up(&format!("{words}, and there is no unit {RESCUE}")),
        }
    }

    /// The system goes on as it is; its verdict says what is wrong.
    fn stay_up(&mut self, words: &str) {
        let words = format!("{words}; this system stays up");
        self.voice.shout(&words);
        match &mut self.verdict {
            Verdict::Degraded(reasons) => reasons.push(words),
            Verdict::Pending(_) | Verdict::Good if !self.gate.is_trial() => {
                self.verdict = Verdict::Degraded(vec![words]);
            }
            Verdict::Good => self.verdict = Verdict::Degraded(vec![words]),
            // Judged by its units, as before.
            Verdict::Pending(_) | Verdict::Unconfirmed(_) | Verdict::Bad(_) => {}
        }
    }

    /// Asks a child whether this has been done too often.
    fn count(&mut self, call: Call) {
        let name = &self.all.core.unit(call.unit).name;
        let reason = format!("{name} {}", call.recourse.word());
        let worker = sys::process::fork_worker(move |output| answer(output, &reason));
        let worker = match worker {
            Ok(worker) => worker,
            Err(error) => {
                let words = format!("{}: {}", self.words(&call), sys::chain(&error));
                return self.stay_up(&words);
            }
        };
        let epoll = self.all.hands.kernel.epoll();
        // Should it not be watched, its deadline has us look.
        epoll.add(&worker.output, LOADER, Interest::Read).ok();
        self.recourse = Some(Recoursing {
            call,
            step: Step::Counting {
                worker,
                answer: Vec::new(),
                due: sys::timer::now().saturating_add(DEADLINE),
            },
        });
    }

    fn go_on_with_recourse(&mut self) {
        let now = sys::timer::now();
        match self.recourse.as_mut().map(|recourse| &mut recourse.step) {
            None => {}
            Some(Step::Counting {
                worker,
                answer,
                due,
            }) => {
                let through = hear(worker, answer);
                if through || now >= *due {
                    self.counted(through);
                }
            }
            Some(Step::RollingBack) => self.rolled_back(),
        }
    }

    /// The child has answered, or takes too long.
    fn counted(&mut self, through: bool) {
        let Some(Recoursing {
            call,
            step: Step::Counting { worker, answer, .. },
        }) = self.recourse.take()
        else {
            return;
        };
        self.all.hands.kernel.epoll().remove(&worker.output).ok();
        if !through {
            sys::process::signal(&worker.pidfd, 9).ok();
        }
        if self.shutdown.is_some() {
            return;
        }
        let words = self.words(&call);
        if !through || answer != YES {
            let why = match (through, answer.is_empty()) {
                (true, false) => String::from_utf8_lossy(&answer).into_owned(),
                _ => format!("{REBOOTS} does not answer"),
            };
            let word = call.recourse.word();
            return self.stay_up(&format!("{words}; no {word}: {why}"));
        }
        match call.recourse {
            Recourse::SoftReboot => match self.can_end(How::Soft) {
                Ok(()) => self.go_down(How::Soft, &format!("because {words}")),
                Err(why) => self.stay_up(&format!("{words}; no soft-reboot: {why}")),
            },
            Recourse::Rollback => self.roll_back(call, &words),
            Recourse::None | Recourse::Reboot | Recourse::Poweroff | Recourse::Rescue => {
                self.go_down(How::Reboot, &format!("because {words}"));
            }
        }
    }

    fn roll_back(&mut self, call: Call, words: &str) {
        let Some(unit) = self.all.core.find(ROLL_BACK) else {
            return self.stay_up(&format!("{words}; there is no unit {ROLL_BACK}"));
        };
        self.voice
            .shout(&format!("{ROLL_BACK} is started because {words}"));
        let step = Step::RollingBack;
        self.recourse = Some(Recoursing { call, step });
        // It may have run before.
        self.all.handle(Event::Elapsed(unit));
    }

    fn rolled_back(&mut self) {
        let unit = self.all.core.find(ROLL_BACK);
        let record = unit.map(|unit| self.all.core.record(unit));
        if record.is_some_and(|record| !record.is_settled()) {
            return;
        }
        let up = record.is_some_and(|record| record.state == State::Up || record.done);
        let why = record.map(|record| record.reason.clone());
        let Some(Recoursing { call, .. }) = self.recourse.take() else {
            return;
        };
        let words = self.words(&call);
        if up {
            self.go_down(How::Reboot, &format!("because {words}"));
        } else {
            let why = why.unwrap_or_default();
            self.stay_up(&format!("{words}; {ROLL_BACK} failed: {why}"));
        }
    }
}

/// Reads what the child says. True: that was all.
fn hear(worker: &mut Worker, answer: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 512];
    loop {
        match worker.output.read(&mut bytes) {
            Ok(0) => return true,
            Ok(length) => answer.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
        if answer.len() > bytes.len() {
            return true;
        }
    }
}

/// The child's work: counts, durably, and answers.
fn answer(mut output: File, reason: &str) -> u8 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |since| since.as_secs());
    let words = counted_in(Path::new(REBOOTS), now, reason);
    let words = words.map_or_else(String::into_bytes, |()| YES.to_vec());
    u8::from(output.write_all(&words).is_err())
}

/// Counts in a file.
///
/// # Errors
/// In words: it was done too often, or cannot be counted.
fn counted_in(path: &Path, now: u64, reason: &str) -> Result<(), String> {
    let text = match sys::fs::read_own(path, SIZE) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.is_absent() => String::new(),
        Err(error) => return Err(sys::chain(&error)),
    };
    let mut tally = Tally::parse(&text);
    if !tally.admits(now, reason) {
        let most = tally::MOST;
        return Err(format!(
            "that was done {most} times within 12 hours; {} forgets it when removed",
            path.display()
        ));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    sys::fs::write_atomic(path, tally.text().as_bytes(), 0o600).map_err(|error| sys::chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_is_not_done() {
        let folder = std::env::temp_dir().join(format!("rinit-reboots-{}", std::process::id()));
        let path = folder.join("deep/reboots");
        for _ in 0..2 {
            assert_eq!(counted_in(&path, 1000, "web reboot"), Ok(()));
        }
        let why = counted_in(&path, 1000, "web reboot").unwrap_err();
        assert!(why.starts_with("that was done 2 times"), "{why}");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let why = counted_in(&path, 1000, "web reboot").unwrap_err();
        assert!(why.contains("no ordinary file"), "{why}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

//! The program that goes on where another one was.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rootspec::held::{Definitions, MOST};
use sys::handoff;
use sys::helper::Helper;
use sys::kernel::Kernel;

use super::held::Held;
use super::{FINE, Reexec, age};
use crate::gate::Verdict;
use crate::hands::hold::{Age, Fd};
use crate::init::{Init, Phase};
use crate::supervisor::{Call, Core, Event, UnitId};
use crate::timers::Timers;

/// Crashes further back than this are forgotten, in milliseconds.
const MINUTE: u64 = 60_000;
/// So many within [`MINUTE`] and this boot is not good.
const TOO_MANY: usize = 3;
/// So many, and there is nothing more to be tried on a trial: not even its rejection works.
const HOPELESS: usize = 6;
/// How long nothing is done after crashes that follow each other more closely than this, in milliseconds.
const REST: u64 = 1_000;
/// Earlier crashes on the command line at most.
const TIMES: usize = 16;

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    state: i32,
    definitions: i32,
    /// 0: on request.
    signal: i32,
    /// Earlier crashes.
    crashes: Vec<u64>,
}

impl Arrival {
    /// From the words behind the role's.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let [state, definitions, signal, times] = words else {
            return None;
        };
        let times = times.split(',').take(TIMES);
        Some(Self {
            state: state.parse().ok()?,
            definitions: definitions.parse().ok()?,
            signal: signal.parse().ok()?,
            crashes: times.filter_map(|time| time.parse().ok()).collect(),
        })
    }

    /// The definitions that the program before went by.
    ///
    /// # Errors
    /// They cannot be used here, in words.
    pub(crate) fn definitions(&self) -> Result<Definitions, String> {
        let bytes = read(self.definitions)?;
        Definitions::from_bytes(&bytes).map_err(|why| why.to_string())
    }

    fn held(&self) -> Result<Held, String> {
        Held::from_bytes(&read(self.state)?)
    }

    /// Crashes of the last minute, with this one.
    fn recent(&self, now: u64) -> Vec<u64> {
        let this = (self.signal != 0).then_some(now);
        let all = self.crashes.iter().copied().chain(this);
        all.filter(|then| now.saturating_sub(*then) < MINUTE)
            .collect()
    }
}

/// Whoever wrote it keeps it open, on request and after a crash.
fn read(number: i32) -> Result<Vec<u8>, String> {
    let path = format!("/proc/self/fd/{number}");
    let file = std::fs::File::open(&path).map_err(|why| format!("{path}: {why}"))?;
    handoff::read(file, MOST).map_err(|error| sys::chain(&error))
}

/// The role of a child that tries: what it says goes to the program that asks.
pub(crate) fn check(words: &[&str]) -> String {
    let [state, definitions] = words else {
        return "it takes two descriptors".to_owned();
    };
    let Some(arrival) = Arrival::parse(&[*state, *definitions, "0", "-"]) else {
        return "it takes two descriptors".to_owned();
    };
    let held = match arrival.held() {
        Ok(held) => held,
        Err(why) => return why,
    };
    // Without the definitions there is a plan of our own.
    if let Ok(definitions) = arrival.definitions() {
        let next = definitions.successors.into_iter().collect();
        let core = Core::resume(definitions.kept.plan, next, held.core, 0);
        if core.records().next().is_none() {
            return "there are no units in it".to_owned();
        }
    }
    FINE.to_owned()
}

impl Init {
    /// Goes on from what was handed over, with definitions `whole` as they were or of our own. Where it cannot be read, with
    /// what is found running.
    pub(crate) fn arrive(
        &mut self,
        arrival: &Arrival,
        successors: BTreeMap<UnitId, rootspec::plan::Unit>,
        whole: bool,
    ) {
        match arrival.held() {
            Ok(held) => self.go_on_from(held, successors, age(arrival.signal), whole),
            Err(why) => {
                self.voice
                    .shout(&format!("goes on with what is found running: {why}"));
                self.begin(true);
            }
        }
        // Some of it may be somebody else's, which takes long to close; clients may wait at what was ours.
        self.all.hands.kernel.discard(handoff::take_rest());
        self.all.hands.kernel.let_go().ok();
        // Its descriptor went with the program before us, which did not stop it.
        self.watch_over(false);
        self.count_crashes(arrival);
        // A crash may follow at once.
        if let Err(why) = self.write_spare() {
            let text = format!("a crash would go on from what is found running: {why}");
            self.voice.note(&text);
        }
    }

    fn go_on_from(
        &mut self,
        held: Held,
        successors: BTreeMap<UnitId, rootspec::plan::Unit>,
        age: Age,
        whole: bool,
    ) {
        let now = sys::timer::now();
        let plan = self.all.core.plan().clone();
        self.all.core = Core::resume(plan, successors, held.core, now);
        self.phase = held.phase;
        self.verdict = held.verdict;
        self.times = held.times;
        self.gate = held.gate;
        self.confirming = held.confirming;
        self.flaws = held.flaws;
        self.rejecting = held.rejecting;
        if let Some((name, recourse, why)) = held.call {
            if let Some(unit) = self.all.core.find(&name) {
                let call = Call {
                    unit,
                    recourse,
                    why,
                };
                self.all.core.call_again(call);
            }
        }
        self.shutdown = held.shutdown;
        self.staged = held.staged;
        self.all.hands.verdict = held.reasons;
        self.voice.resume(held.voice);
        self.choose_helper(held.helper, age);
        let core = &self.all.core;
        self.gate.renumber(|name| core.find(name));
        let mut inbox = VecDeque::new();
        let mut units = 0_u32;
        for run in held.runs {
            let Some(id) = core.plan().find(&run.unit) else {
                let name = run.unit;
                self.voice.shout(&format!(
                    "{name} goes on unsupervised: the new plan does not have it"
                ));
                continue;
            };
            units = units.saturating_add(1);
            let (unit, record) = (core.unit(id), core.record(id));
            self.all
                .hands
                .take_back((id, unit, record), run, age, &mut inbox);
        }
        self.timers = Timers::since(self.times.began, self.all.core.plan());
        let kernel = &mut self.all.hands.kernel;
        let known = age == Age::Fresh && whole;
        self.logs.resume(held.logs, kernel, known);
        if let Err(error) = self.control.resume(held.control, kernel, known) {
            self.voice.shout(&sys::chain(&error));
        }
        if age == Age::Stale {
            self.find_everything(&mut inbox);
        }
        for event in inbox {
            self.all.handle(event);
        }
        self.all.handle(Event::Time);
        self.adopt_timers();
        // Another version may speak another language with its watcher.
        let known = known && held.version == crate::init::VERSION;
        self.resume_paths(held.watchers, known);
        if age == Age::Fresh {
            let before = held.version;
            self.voice.note(&format!(
                "version {} goes on from version {before} with {units} units",
                crate::init::VERSION
            ));
        }
        self.reexec = Some(Reexec::Done(units));
    }

    /// A new program has a new helper; after a crash we are still the old one, and its file may be another by now.
    fn choose_helper(&mut self, held: Option<Fd>, age: Age) {
        let kernel = &mut self.all.hands.kernel;
        let opened = kernel.helper().is_some_and(|helper| helper.fd().is_ok());
        let held = held.and_then(Fd::take);
        if let Some(fd) = held.filter(|_| age == Age::Stale || !opened) {
            kernel.use_helper(Helper::held(fd));
        }
    }

    /// Units whose processes are there although nothing is known of them.
    pub(crate) fn find_everything(&mut self, inbox: &mut VecDeque<Event>) {
        let hands = &mut self.all.hands;
        let leaves = hands.kernel.cgroups().map(sys::cgroup::Cgroups::leaves);
        for leaf in leaves.unwrap_or_default() {
            // A second leaf of a name is there while the first one does not die.
            let name = leaf.split('#').next().unwrap_or_default();
            let core = &self.all.core;
            if let Some(id) = core.find(name) {
                if hands.find_running(id, core.unit(id), &leaf) {
                    inbox.push_back(Event::Running(id));
                }
            }
        }
    }

    /// One crash is survived. A system that goes on crashing is no good one.
    fn count_crashes(&mut self, arrival: &Arrival) {
        let now = sys::timer::now();
        self.crashes = arrival.recent(now);
        if arrival.signal == 0 {
            return;
        }
        let (signal, count) = (arrival.signal, self.crashes.len());
        self.voice.shout(&format!(
            "crashed by signal {signal} and goes on (crash {count} within a minute)"
        ));
        if count < TOO_MANY || self.phase == Phase::Stopping {
            return;
        }
        // Whatever crashed us twice within a second is still there. Anything we do may be it, so nothing is done for as long:
        // a loop of crashes would leave no processor to the services.
        if let [.., before, last] = *self.crashes {
            if last.saturating_sub(before) < REST {
                std::thread::sleep(Duration::from_millis(REST));
            }
        }
        let undecided = matches!(self.verdict, Verdict::Pending(_) | Verdict::Unconfirmed(_));
        if self.gate.is_trial() && undecided {
            self.verdict = self.gate.crashed(count);
            self.confirming = None;
            self.not_good(now);
        } else if self.gate.is_trial() && count >= HOPELESS && self.rejecting.is_some() {
            crate::shutdown::directly(crate::shutdown::How::Reboot);
        } else if !self.gate.is_trial() {
            self.verdict = self.gate.crashed(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_is_told_is_what_the_next_one_reads() {
        for crashes in [vec![], vec![5, 70_000]] {
            let words = super::super::spare::arguments([7, 9], 11, &crashes);
            let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let expected = Arrival {
                state: 7,
                definitions: 9,
                signal: 11,
                crashes,
            };
            assert_eq!(Arrival::parse(&words), Some(expected));
        }
        assert_eq!(Arrival::parse(&["a", "b", "c", "d"]), None);
    }

    #[test]
    fn only_crashes_of_the_last_minute_count() {
        let arrival = Arrival {
            signal: 11,
            crashes: vec![5, 70_000],
            ..Arrival::default()
        };
        assert_eq!(arrival.recent(100_000), [70_000, 100_000]);
        let asked = Arrival {
            signal: 0,
            ..arrival
        };
        assert_eq!(asked.recent(100_000), [70_000]);
    }

    #[test]
    fn a_child_that_tries_says_what_is_wrong() {
        use std::os::fd::AsRawFd;
        let one = handoff::seal("state", b"rstat\nnonsense").unwrap();
        let number = one.as_raw_fd().to_string();
        let said = check(&[&number, &number]);
        assert!(
            said.contains("version") || said.contains("damaged"),
            "{said}"
        );
        assert!(check(&["-1", "-1"]).contains("/proc/self/fd/-1"));
    }
}

//! Timers at work: clocks are read, what is due is started, and what must outlive this boot is read and written.
//!
//! The time zone and the stamps are files, so other processes see to them: `rinit-plan` reads them, a copy of ourselves
//! writes the stamps. Without timers none of this costs anything, and without times of the calendar there is no second
//! timer in the kernel.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::process::Command;

use rootspec::paths;
use rootspec::plan::Plan;
use rootspec::times::Times;
use sys::epoll::Interest;
use sys::kernel::Linux;
use sys::process::Worker;
use sys::timer::WallTimer;

use crate::init::Init;
use crate::supervisor::Event;
use crate::timetable::{Chance, Now, Outcome, Timetable, fnv};

/// How long reading may take, in milliseconds.
const DEADLINE: u64 = 10_000;
/// Largest answer, in bytes.
const ANSWER: usize = 1 << 20;

/// Timers, and what is open for them.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    table: Timetable,
    wall: Option<WallTimer>,
    reader: Option<Reader>,
    /// Something has changed since the reader began.
    read_again: bool,
    writer: Option<Worker>,
    /// Stamps that the writer has not been given: names of units, and seconds since 1970.
    unwritten: BTreeMap<String, i64>,
    /// What was last said to be wrong.
    problem: String,
}

/// `rinit-plan` at work.
#[derive(Debug)]
struct Reader {
    worker: Worker,
    answer: Vec<u8>,
    due: u64,
}

fn now() -> Now {
    Now {
        mono: sys::timer::now(),
        boot: sys::clock::since_boot_ms(),
        real: sys::timer::on_wall(),
    }
}

/// Where delays come from; without any, nowhere.
fn chance(plan: &Plan) -> Chance {
    let mut timers = plan.units.iter().flat_map(|unit| &unit.timers);
    if timers.all(|timer| timer.jitter == 0) {
        return Chance::default();
    }
    let number = |path: &str| fnv(sys::fs::read_text(path, 4096).unwrap_or_default().trim());
    Chance {
        seed: number("/proc/sys/kernel/random/uuid"),
        machine: number("/etc/machine-id"),
    }
}

impl Timers {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            table: Timetable::new(plan, chance(plan), now()),
            ..Self::default()
        }
    }

    /// None yet, in a program that goes on from another one, which began then.
    pub(crate) fn since(began: u64, plan: &Plan) -> Self {
        Self {
            table: Timetable::since(began, chance(plan), now()),
            ..Self::default()
        }
    }

    /// True while stamps are not written that only this program knows.
    pub(crate) fn is_writing(&self) -> bool {
        self.writer.is_some() || !self.unwritten.is_empty()
    }

    /// When to look again, in the clock of deadlines.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let reader = self.reader.as_ref().map(|reader| reader.due);
        self.table.next_span().into_iter().chain(reader).min()
    }

    /// All timers, for people, and the time zone they are in.
    pub(crate) fn table(&self) -> (&Timetable, Now) {
        (&self.table, now())
    }

    /// Has the files read that times of the calendar depend on.
    fn read(&mut self, kernel: &Linux) -> Result<(), String> {
        if !self.table.has_calendar() {
            return Ok(());
        }
        if self.reader.is_some() {
            self.read_again = true;
            return Ok(());
        }
        let said = |error: sys::SysError| sys::chain(&error);
        let worker = sys::process::fork_worker(|output| {
            let mut planner = Command::new(paths::program::PLANNER);
            planner.arg("--times").env_clear();
            let _why = sys::process::become_program(&mut planner, output);
            // Seen by the want of an answer.
            1
        });
        let worker = worker.map_err(said)?;
        let watched = kernel
            .epoll()
            .add(&worker.output, crate::init::TIMES, Interest::Read);
        watched.map_err(said)?;
        self.reader = Some(Reader {
            worker,
            answer: Vec::new(),
            due: sys::timer::now().saturating_add(DEADLINE),
        });
        Ok(())
    }

    /// The answer, when it is whole.
    fn take_answer(&mut self, kernel: &Linux) -> Option<Result<Times, &'static str>> {
        let reader = self.reader.as_mut()?;
        let whole = read_some(&mut reader.worker.output, &mut reader.answer);
        let answer = match whole {
            Some(true) => Times::from_bytes(&reader.answer).ok_or("rinit-plan gave no answer"),
            Some(false) => Err("rinit-plan cannot be heard"),
            None if sys::timer::now() < reader.due => return None,
            None => Err("rinit-plan hangs; it was killed"),
        };
        if answer.is_err() {
            // It may have ended by itself.
            sys::process::signal(&reader.worker.pidfd, 9).ok();
        }
        kernel.epoll().remove(&reader.worker.output).ok();
        self.reader = None;
        Some(answer)
    }

    /// Gives the writer what there is, unless it is at work.
    fn write(&mut self, kernel: &Linux) -> Result<(), String> {
        if self.writer.is_some() || self.unwritten.is_empty() {
            return Ok(());
        }
        let stamps = std::mem::take(&mut self.unwritten);
        let worker = sys::process::fork_worker(|_| u8::from(write_stamps(&stamps).is_err()));
        let worker = worker.map_err(|error| sys::chain(&error))?;
        // Nothing is read there: its end is.
        let watched = kernel
            .epoll()
            .add(&worker.output, crate::init::STAMPS, Interest::Read);
        watched.map_err(|error| sys::chain(&error))?;
        self.writer = Some(worker);
        Ok(())
    }

    /// The writer has ended.
    fn written(&mut self, kernel: &Linux) {
        if let Some(worker) = self.writer.take() {
            kernel.epoll().remove(&worker.output).ok();
        }
    }

    /// Has the kernel wake us for the next time of the calendar, and when the clock is set.
    fn arm(&mut self, kernel: &Linux) -> sys::error::Result<()> {
        if !self.table.is_on_wall() {
            if let Some(timer) = self.wall.take() {
                kernel.epoll().remove(&timer).ok();
            }
            return Ok(());
        }
        let timer = match &mut self.wall {
            Some(timer) => timer,
            place @ None => {
                let timer = WallTimer::new()?;
                kernel
                    .epoll()
                    .add(&timer, crate::init::WALL, Interest::Read)?;
                place.insert(timer)
            }
        };
        timer.set(self.table.next_on_wall())
    }
}

/// Reads what is there. `Some(true)`: that was all; `Some(false)`: it cannot be read, or is too much.
fn read_some(output: &mut File, answer: &mut Vec<u8>) -> Option<bool> {
    let mut bytes = [0; 4096];
    loop {
        match output.read(&mut bytes) {
            Ok(0) => return Some(true),
            Ok(length) => answer.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Some(false),
        }
        if answer.len() > ANSWER {
            return Some(false);
        }
    }
}

fn write_stamps(stamps: &BTreeMap<String, i64>) -> sys::error::Result<()> {
    use sys::error::Cannot;
    std::fs::create_dir_all(paths::STAMPS).cannot("make", paths::STAMPS)?;
    for (unit, seconds) in stamps {
        let path = format!("{}/{unit}", paths::STAMPS);
        sys::fs::write_atomic(path, format!("{seconds}\n").as_bytes(), 0o644)?;
    }
    Ok(())
}

impl Init {
    /// Timers of the plan that has just been taken.
    pub(crate) fn begin_timers(&mut self) {
        let begun = self.timers.read(&self.all.hands.kernel);
        if begun.is_err() {
            let zone = rootspec::calendar::Zone::default();
            self.timers.table.learn(zone, now(), |_| None);
        }
        self.tell_timers(begun);
    }

    /// Another plan has taken the place of the old one.
    pub(crate) fn adopt_timers(&mut self) {
        let core = &self.all.core;
        self.timers.table.adopt(core.plan(), now(), |unit| {
            let record = core.record(unit);
            Some((Outcome::of(record)?, record.since))
        });
        self.begin_timers();
    }

    /// What has become of a unit.
    pub(crate) fn note_for_timers(&mut self, unit: crate::supervisor::UnitId) {
        let record = self.all.core.record(unit);
        if let Some(what) = Outcome::of(record) {
            let now = sys::timer::now();
            self.timers.table.note(unit, what, record.since, now);
        }
    }

    /// Takes answers, starts what is due, and asks to be woken for what comes next.
    pub(crate) fn run_timers(&mut self) {
        let is_idle = self.timers.table.is_empty() && self.timers.wall.is_none();
        if is_idle || self.shutdown.is_some() {
            return;
        }
        self.learn_times();
        let was_set = self.timers.wall.as_mut().is_some_and(WallTimer::take);
        for elapsed in self.timers.table.run(now(), was_set) {
            self.all.handle(Event::Elapsed(elapsed.unit));
        }
        for (unit, seconds) in self.timers.table.take_stamps() {
            let name = self.all.core.unit(unit).name.to_string();
            self.timers.unwritten.insert(name, seconds);
        }
        let kernel = &self.all.hands.kernel;
        let mut done = self.timers.write(kernel);
        if was_set {
            // The table of the zone was cut to the years around the old time.
            done = done.and(self.timers.read(kernel));
        }
        let armed = self.timers.arm(kernel).map_err(|error| sys::chain(&error));
        self.tell_timers(done.and(armed));
    }

    /// The stamps are written.
    pub(crate) fn stamps_written(&mut self) {
        self.timers.written(&self.all.hands.kernel);
    }

    fn learn_times(&mut self) {
        let Some(answer) = self.timers.take_answer(&self.all.hands.kernel) else {
            return;
        };
        let times = answer.unwrap_or_else(|why| {
            self.voice.shout(&format!(
                "timers go by UTC, and nothing missed is made up for: cannot read the time zone: {why}"
            ));
            Times::default()
        });
        for problem in &times.problems {
            self.voice.shout(problem);
        }
        let plan = self.all.core.plan();
        let stamps: BTreeMap<_, _> = times
            .stamps
            .iter()
            .filter_map(|(name, seconds)| Some((plan.find(name)?, *seconds)))
            .collect();
        let stamp = |unit| stamps.get(&unit).copied();
        self.timers.table.learn(times.zone, now(), stamp);
        if std::mem::take(&mut self.timers.read_again) {
            self.begin_timers();
        }
    }

    /// Says what is wrong, once.
    fn tell_timers(&mut self, done: Result<(), String>) {
        let problem = done.err().unwrap_or_default();
        if !problem.is_empty() && problem != self.timers.problem {
            self.voice.shout(&format!("timers: {problem}"));
        }
        self.timers.problem = problem;
    }
}

//! Supervision as a pure machine: an event comes in, states change, actions go out. Nothing here asks the kernel.
//!
//! | open | for |
//! |---|---|
//! | `model` | the words: states, events, actions, what is remembered per unit |
//! | `mod` (here) | the state model in prose, the queue, the clocks |
//! | `word` | what units say about themselves |
//! | `wish` | who is wanted, and how wishes spread along needs |
//! | `ties` | what else units have to do with each other |
//! | `start` | from waiting to up |
//! | `asking`, `care` | questions to it; whether it is well |
//! | `said` | what it says about itself |
//! | `reload` | settings read again while it is up |
//! | `stop` | from up to down |
//! | `again` | whether it is started again |
//! | `sockets` | sockets that start a unit |
//! | `connections` | connections that are served by a run each |
//! | `stored` | descriptors that it leaves for its next run |
//! | `change` | another plan in the place of the running one |
//! | `hold` | everything as a value that outlives this program |
//!
//! # The model
//!
//! Every unit has a **wish** (up or down: what it should be) and a **state** (what it is). Events from outside change
//! wishes; a wish spreads to others at once; then a queue of units is worked off, and each unit makes the one step that
//! its wish and its state ask for. A step may put other units into the queue. There is no recursion, so the stack is
//! flat however long a chain of needs is, and the order of steps is the order of the queue.
//!
//! | state | wish up | wish down |
//! |---|---|---|
//! | down, failed | (only for a moment: becomes waiting) | rests |
//! | waiting | starts when needs are up and wants and afters are settled; fails when a need has failed | rests |
//! | starting | goes on by events; its deadline makes it a failure | stops when its dependents have |
//! | up | rests | stops when its dependents have |
//! | stopping | goes on by events and deadlines, then becomes what `next` says | the same |
//! | backoff | waiting after the pause | rests |
//!
//! A unit that is up can be told to **go round**, stop and start, while its wish stays up: because somebody restarts it,
//! because it follows another unit that does, or because it is to prepare another one again. Whoever needs a unit that
//! goes round stays up; whoever follows it goes round too, down before it and up behind it.
//!
//! Who may change what: wishes change in `wish` alone; states in [`Core::set_state`] alone.
//!
//! A need that fails for good takes its dependents with it: they stop and end as failed, with the reason. A need that
//! restarts does not: they stay up meanwhile. A want is settled by its first failure: it does not hold others up while
//! it is tried again. Stopping runs against the order of starting.

mod again;
mod asking;
mod care;
mod change;
mod connections;
mod hold;
mod model;
mod reload;
mod said;
mod sockets;
mod start;
mod stop;
mod stored;
#[cfg(test)]
mod tests;
mod ties;
mod wish;
mod word;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rootspec::plan::{Plan, Recourse, Tie, TieKind, Unit};

pub(crate) use change::Changeover;
pub(crate) use hold::HeldCore;
use model::Dependents;
pub(crate) use model::{
    Action, Call, Command, Event, Found, PerUnit, Record, Role, State, UnitId, Wish,
};
use model::{Clock, Listen, Next, Stage};
pub(crate) use word::Word;

/// A change worth telling people about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    /// The unit.
    pub(crate) unit: UnitId,
    /// What it has become.
    pub(crate) state: State,
    /// Why.
    pub(crate) reason: String,
}

/// So many steps per unit are more than any event ever takes.
const STEPS: usize = 100;

/// All units and what is to happen to them.
#[derive(Debug)]
pub(crate) struct Core {
    plan: Plan,
    dependents: PerUnit<Dependents>,
    /// Ties of others to a unit; few units have any.
    tied: BTreeMap<UnitId, Vec<Tie>>,
    records: PerUnit<Record>,
    queue: VecDeque<UnitId>,
    queued: PerUnit<bool>,
    actions: Vec<Action>,
    timers: BTreeSet<(u64, UnitId, Clock)>,
    /// Units that hold up those which wait for quiet.
    busy: u32,
    /// Units that wait for quiet.
    idlers: Vec<UnitId>,
    closing: bool,
    /// Grows with each change of a definition.
    edition: u64,
    now: u64,
    news: Vec<News>,
    /// What units ask for the system as a whole.
    calls: Vec<Call>,
    /// Definitions that count when the units' processes have ended.
    successors: BTreeMap<UnitId, Unit>,
    /// Units whose files are gone: ghosts in the plan.
    gone: change::Units,
}

/// A unit for numbers that are none.
static NOBODY: std::sync::OnceLock<Unit> = std::sync::OnceLock::new();

fn nobody() -> &'static Unit {
    NOBODY.get_or_init(|| rootspec::changeover::ghost(""))
}

impl Core {
    /// All units of the plan, down.
    pub(crate) fn new(plan: Plan, now: u64) -> Self {
        let count = plan.units.len();
        let mut records: PerUnit<Record> = PerUnit::new(count);
        for (unit, _) in (0..).zip(&plan.units) {
            records.at_mut(unit).since = now;
        }
        Self {
            dependents: model::turn_round(&plan.units),
            tied: ties::turn_round(&plan.units),
            records,
            queue: VecDeque::new(),
            queued: PerUnit::new(count),
            actions: Vec::new(),
            timers: BTreeSet::new(),
            busy: 0,
            idlers: Vec::new(),
            closing: false,
            edition: 0,
            now,
            news: Vec::new(),
            calls: Vec::new(),
            successors: BTreeMap::new(),
            gone: change::Units::new(),
            plan,
        }
    }

    /// The plan.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Another number for each set of definitions.
    pub(crate) fn edition(&self) -> u64 {
        self.edition
    }

    /// A unit's definition.
    pub(crate) fn unit(&self, unit: UnitId) -> &Unit {
        let found = usize::try_from(unit)
            .ok()
            .and_then(|at| self.plan.units.get(at));
        found.unwrap_or_else(|| nobody())
    }

    /// What is remembered about a unit.
    pub(crate) fn record(&self, unit: UnitId) -> &Record {
        self.records.at(unit)
    }

    /// All units with what is remembered about them.
    pub(crate) fn records(&self) -> impl Iterator<Item = (UnitId, &Record)> {
        self.records
            .iter()
            .filter(|(unit, _)| !self.is_forgotten(*unit) && !self.is_vacant(*unit))
    }

    /// When [`Event::Time`] is due at the latest.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timers.first().map(|(due, _, _)| *due)
    }

    /// Takes what is to be done.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Takes what people should know.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Takes what units ask for the system as a whole.
    pub(crate) fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    /// The program before had not done it yet.
    pub(crate) fn call_again(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// A unit asks for something, if its file says so.
    fn call_for(&mut self, unit: UnitId, recourse: Recourse, why: &str) {
        if recourse != Recourse::None && !self.closing {
            let why = why.to_owned();
            self.calls.push(Call {
                unit,
                recourse,
                why,
            });
        }
    }

    /// True when nothing runs and nothing will: the end of [`Event::StopAll`].
    pub(crate) fn is_quiet(&self) -> bool {
        self.records.iter().all(|(_, record)| record.is_settled())
    }

    /// Takes note of an event and makes all steps that follow from it.
    pub(crate) fn handle(&mut self, event: Event, now: u64) {
        self.now = now;
        match event {
            Event::Loaded => self.arm_all(),
            Event::Start(unit) => self.wish_up(unit),
            Event::Stop(unit) => self.wish_down(unit, "stopped on request"),
            Event::Restart(unit) => self.restart(unit),
            Event::Reload(unit) => self.reload_all(unit),
            Event::StopAll => self.close(),
            Event::Isolate(unit) => self.isolate(unit),
            Event::Conditions(unit, found) => self.conditions(unit, found),
            Event::NotStarted(unit, role, why) => self.not_started(unit, role, why),
            Event::Executed(unit) => self.executed(unit),
            Event::Ready(unit) => self.ready(unit),
            Event::Said(unit, word) => self.said(unit, word),
            Event::Ended {
                unit,
                role,
                exit,
                left,
            } => self.ended(unit, role, exit, left),
            Event::Emptied(unit) => self.emptied(unit),
            Event::Adopted(unit) => self.adopted(unit),
            Event::NotAdopted(unit, why) => self.not_adopted(unit, why),
            Event::Traffic(unit) => self.traffic(unit),
            Event::Connected(place, others) => self.connected(place, others),
            Event::NotAccepted(unit, why) => self.not_accepted(unit, why),
            Event::Elapsed(unit) => self.run_again(unit),
            Event::Time => self.time(),
            Event::Adopt(changeover) => self.adopt(*changeover),
            Event::Running(unit) => self.found_running(unit),
            Event::Fault(unit, why) => self.fault(unit, &why),
        }
        let mut steps = 0_usize;
        let most = STEPS.saturating_mul(self.plan.units.len().saturating_add(STEPS));
        while let Some(unit) = self.queue.pop_front() {
            *self.queued.at_mut(unit) = false;
            steps = steps.saturating_add(1);
            if steps > most {
                // No plan should come to this. PID 1 goes on with the next event.
                let reason = "its steps lead in a circle".to_owned();
                let state = self.records.at(unit).state;
                self.news.push(News {
                    unit,
                    state,
                    reason,
                });
                break;
            }
            self.step(unit);
        }
    }

    fn enqueue(&mut self, unit: UnitId) {
        let queued = self.queued.at_mut(unit);
        if !*queued {
            *queued = true;
            self.queue.push_back(unit);
        }
    }

    /// The one step that wish and state ask for; see the table above.
    fn step(&mut self, unit: UnitId) {
        let record = self.records.at(unit);
        match (record.wish, record.state) {
            (Wish::Up, State::Waiting) => self.try_start(unit),
            (Wish::Down, State::Waiting | State::Backoff) => self.rest(unit),
            (Wish::Down, State::Starting(_) | State::Up) => {
                if self.may_stop(unit) {
                    self.begin_stop(unit);
                }
            }
            (Wish::Up, State::Up) if self.is_unneeded(unit) => {
                self.wish_down(unit, "nobody needs it any more");
            }
            (Wish::Up, State::Starting(_) | State::Up) if record.round => {
                if self.may_stop(unit) {
                    self.leave(unit, Next::Again(0, String::new()));
                }
            }
            (Wish::Up, State::Starting(_) | State::Up | State::Backoff)
            | (_, State::Down | State::Failed | State::Stopping(_)) => {}
        }
    }

    /// The only place where a state changes. Wakes those who wait for it.
    fn set_state(&mut self, unit: UnitId, state: State, reason: String) {
        let holds_up = self.holds_up(unit);
        if let State::Down | State::Failed | State::Waiting | State::Backoff = state {
            self.succeed(unit);
        }
        let record = self.records.at_mut(unit);
        let old = std::mem::replace(&mut record.state, state);
        if let State::Starting(_) | State::Stopping(_) = state {
            // A step within the same state keeps its time.
            if std::mem::discriminant(&old) != std::mem::discriminant(&state) {
                record.since = self.now;
            }
        } else {
            record.since = self.now;
        }
        record.reason = reason;
        record.reloading = false;
        record.leaving = false;
        record.first.note(state, self.now);
        self.set_deadline(unit, Clock::State, None);
        if std::mem::take(&mut self.records.at_mut(unit).checking) {
            self.actions.push(Action::EndCheck(unit));
        }
        self.stop_caring(unit);
        self.forget_at(unit, state);
        self.connection_over(unit, state);
        self.count_busy(holds_up, self.holds_up(unit));
        self.enqueue(unit);
        self.tell(unit);
        let settles = match state {
            State::Down | State::Up | State::Backoff | State::Failed => true,
            State::Waiting | State::Starting(_) | State::Stopping(_) => false,
        };
        // Whoever goes round has arrived at the bottom; those it follows may have waited for that.
        let turned = state == State::Waiting && self.records.at(unit).round;
        if settles || turned {
            self.records.at_mut(unit).round = false;
            self.wake_neighbours(unit, state);
        }
        if let (State::Starting(_), Listen::Armed | Listen::Paused) =
            (state, self.records.at(unit).listen)
        {
            self.hold_sockets(unit);
        }
    }

    fn tell(&mut self, unit: UnitId) {
        let record = self.records.at(unit);
        let state = record.state;
        let serves = self.unit(unit).serves().is_some();
        match state {
            // That connections come and go is no news.
            State::Up | State::Down if serves => {}
            State::Up | State::Backoff | State::Failed | State::Down => self.news.push(News {
                unit,
                state,
                reason: record.reason.clone(),
            }),
            State::Stopping(Stage::Kill) => self.news.push(News {
                unit,
                state,
                reason: "killed".to_owned(),
            }),
            State::Waiting | State::Starting(_) | State::Stopping(_) => {}
        }
    }

    fn wake_neighbours(&mut self, unit: UnitId, state: State) {
        let dependents = self.dependents.at(unit);
        let mut all: Vec<UnitId> = dependents.needed_by.clone();
        all.extend(dependents.wanted_by.iter().chain(&dependents.before));
        if state != State::Up {
            // Those that start before it may wait for it to be down, those it conflicts with too.
            let definition = self.unit(unit);
            all.extend(self.rivals(unit));
            all.extend(
                definition
                    .needs
                    .iter()
                    .chain(&definition.wants)
                    .chain(&definition.after),
            );
            all.extend(definition.tied_to(TieKind::Upholds));
        }
        for other in all {
            let record = self.records.at(other);
            let waits = match (record.wish, record.state) {
                (Wish::Up, State::Waiting) => true,
                (Wish::Down, State::Up | State::Starting(_)) => true,
                (Wish::Up, State::Up | State::Starting(_)) => {
                    record.round || self.unit(other).conduct().only_if_needed
                }
                (Wish::Up | Wish::Down, _) => false,
            };
            if waits {
                self.enqueue(other);
            }
        }
    }

    /// 1 if units that wait for quiet wait for this one, else 0.
    fn holds_up(&self, unit: UnitId) -> u32 {
        let moving = matches!(
            self.records.at(unit).state,
            State::Waiting | State::Starting(_)
        );
        u32::from(moving && self.unit(unit).exec().is_some_and(|exec| !exec.idle))
    }

    fn count_busy(&mut self, before: u32, after: u32) {
        self.busy = self.busy.saturating_sub(before).saturating_add(after);
        if self.busy == 0 {
            for unit in std::mem::take(&mut self.idlers) {
                self.enqueue(unit);
            }
        }
    }

    fn set_deadline(&mut self, unit: UnitId, clock: Clock, due: Option<u64>) {
        let record = self.records.at_mut(unit);
        let [state, idle, socket] = &mut record.deadlines;
        let place = match (clock, due, &record.care) {
            (Clock::State, ..) => state,
            (Clock::Idle, ..) => idle,
            (Clock::Socket, ..) => socket,
            // Nobody cares for it: there is no deadline to be taken away.
            (Clock::Ask | Clock::Watchdog | Clock::Life, None, None) => return,
            (Clock::Ask, ..) => &mut record.care.get_or_insert_default().due,
            (Clock::Watchdog, ..) => &mut record.care.get_or_insert_default().watchdog,
            (Clock::Life, ..) => &mut record.care.get_or_insert_default().life,
        };
        if let Some(old) = std::mem::replace(place, due) {
            self.timers.remove(&(old, unit, clock));
        }
        if let Some(due) = due {
            self.timers.insert((due, unit, clock));
        }
    }

    /// Sets a deadline so many milliseconds from now; `u64::MAX` is none.
    fn set_timeout(&mut self, unit: UnitId, clock: Clock, millis: u64) {
        let due = (millis != u64::MAX).then(|| self.now.saturating_add(millis));
        self.set_deadline(unit, clock, due);
    }

    fn time(&mut self) {
        while let Some((due, unit, clock)) = self.timers.first().copied() {
            if due > self.now {
                break;
            }
            self.set_deadline(unit, clock, None);
            // Should a fault of ours have left it behind, this still comes to an end.
            self.timers.remove(&(due, unit, clock));
            match clock {
                Clock::State => self.state_overdue(unit),
                Clock::Idle => {
                    self.records.at_mut(unit).idled = true;
                    self.enqueue(unit);
                }
                Clock::Socket => self.socket_pause_over(unit),
                Clock::Ask => self.ask_due(unit),
                Clock::Watchdog => self.hangs(unit),
                Clock::Life => self.life_over(unit),
            }
        }
    }

    fn state_overdue(&mut self, unit: UnitId) {
        match self.records.at(unit).state {
            State::Starting(_) => self.start_overdue(unit),
            State::Stopping(stage) => self.stop_overdue(unit, stage),
            State::Backoff => self.set_state(unit, State::Waiting, String::new()),
            State::Waiting => self.check_overdue(unit),
            State::Up if self.records.at(unit).leaving => self.leaving_overdue(unit),
            State::Up => self.reload_overdue(unit),
            State::Down | State::Failed => self.uphold(unit),
        }
    }
}

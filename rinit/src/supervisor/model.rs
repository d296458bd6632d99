//! The words of supervision: states, events, actions.

use std::collections::VecDeque;

use rootspec::plan::{Recourse, Unit, UnitIndex};
use serde::{Deserialize, Serialize};
use sys::process::Exit;

use super::change::Changeover;

/// Number of a unit in the plan.
pub(crate) type UnitId = UnitIndex;

/// What a unit should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Wish {
    /// Not running.
    #[default]
    Down,
    /// Running.
    Up,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum State {
    /// Not running: never started, stopped, ended well, or skipped.
    #[default]
    Down,
    /// To be started as soon as those before it are settled.
    Waiting,
    /// On its way up.
    Starting(Step),
    /// Ready.
    Up,
    /// On its way down, for whatever reason.
    Stopping(Stage),
    /// Failed a moment ago, to be started again after a pause.
    Backoff,
    /// Failed for good, until somebody starts it.
    Failed,
}

impl State {
    /// The state in the words of the protocol.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Waiting => "waiting",
            Self::Starting(_) => "starting",
            Self::Up => "up",
            Self::Stopping(_) => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
        }
    }
}

/// How far a start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A command that says whether there is a start, by number.
    Condition(usize),
    /// A command that comes first, by number.
    Pre(usize),
    /// A main command, by number; a service has one, which stays.
    Main(usize),
    /// A command that comes after it was ready, by number.
    Late(usize),
    /// A container's process is taken over from the runtime.
    Adopt,
    /// The runtime starts the container's program.
    Launch,
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// A command that asks it to end, by number.
    Command(usize),
    /// It was asked to end.
    Ask,
    /// Its main process was told to end at once, leaving a core dump.
    Abort,
    /// It got its last signal but SIGKILL, or is waited for without one.
    Last,
    /// It was killed.
    Kill,
    /// A command that comes afterwards, by number.
    Post(usize),
    /// That command was killed.
    PostKill(usize),
}

/// What a unit becomes when its stop is through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Next {
    /// Down, with the reason in words.
    Down(String),
    /// Failed, with the reason in words.
    Failed(String),
    /// Started again after so many milliseconds, with the reason in words.
    Again(u64, String),
}

/// A unit's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Listen {
    /// It has none, or they are not opened.
    #[default]
    None,
    /// Traffic starts the unit.
    Armed,
    /// The unit has them.
    Held,
    /// Nobody looks at them until a pause is over.
    Paused,
}

/// The deadlines a unit may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Clock {
    /// Of its state.
    State,
    /// Of its patience to let others start first.
    Idle,
    /// Of its sockets' pause.
    Socket,
    /// Of a question to it, or of the pause before the next one.
    Ask,
    /// Of its next sign of life.
    Watchdog,
    /// Of the time that it may be up.
    Life,
}

/// One process of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that the unit is.
    Main,
    /// One that comes before or after.
    Helper,
    /// One that asks it how it is.
    Asker,
}

/// Which command of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// `condition`, by number.
    Condition(usize),
    /// `start_post`, by number.
    Late(usize),
    /// `stop`, by number.
    Stop(usize),
    /// `reload`.
    Reload,
    /// `start_pre`, by number. A container's: remove leftovers, create.
    Pre(usize),
    /// `start`, by number.
    Start(usize),
    /// A container's program is started.
    Launch,
    /// `stop_post`, by number. A container's: delete.
    Post(usize),
    /// Whether it is ready.
    AskReady,
    /// Whether it is well.
    AskHealth,
}

/// What a unit asks for the system as a whole, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) unit: UnitId,
    pub(crate) recourse: Recourse,
    /// Behind the unit's name.
    pub(crate) why: String,
}

/// What came of looking at a unit's conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// All hold.
    Met,
    /// The first that does not, in words.
    Unmet(String),
    /// The same, of one that must.
    Wrong(String),
    /// It could not be found out, in words.
    Unknown(String),
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The plan is in place: open for traffic.
    Loaded,
    /// Somebody wants it up.
    Start(UnitId),
    /// Somebody wants it down.
    Stop(UnitId),
    /// Somebody wants it to stop and start.
    Restart(UnitId),
    /// Somebody wants it to read its settings again.
    Reload(UnitId),
    /// The system goes down.
    StopAll,
    /// Nothing is wanted any more but this one and what it needs.
    Isolate(UnitId),
    /// Its conditions were looked at.
    Conditions(UnitId, Found),
    /// A process could not be started, in words.
    NotStarted(UnitId, Role, String),
    /// The main process has executed its program.
    Executed(UnitId),
    /// It says that it is ready.
    Ready(UnitId),
    /// It says something else.
    Said(UnitId, super::Word),
    /// A process ended; `left`: there are others in its cgroup.
    Ended {
        unit: UnitId,
        role: Role,
        exit: Exit,
        left: bool,
    },
    /// The last process left its cgroup.
    Emptied(UnitId),
    /// The process is ours now.
    Adopted(UnitId),
    /// It could not be taken over, in words.
    NotAdopted(UnitId, String),
    /// Somebody connects to one of its sockets.
    Traffic(UnitId),
    /// A connection is there for it to serve, beside so many from the same place or user.
    Connected(UnitId, usize),
    /// Connections of its sockets cannot be accepted, in words.
    NotAccepted(UnitId, String),
    /// A timer wants it to run.
    Elapsed(UnitId),
    /// A deadline may be over.
    Time,
    /// Another plan takes the place of this one.
    Adopt(Box<Changeover>),
    /// A process of it was found that nothing is known about.
    Running(UnitId),
    /// Our own code failed on it.
    Fault(UnitId, String),
}

impl Event {
    /// The unit it is about.
    pub(crate) fn unit(&self) -> Option<UnitId> {
        match self {
            Self::Loaded | Self::StopAll | Self::Time | Self::Adopt(_) => None,
            Self::Start(unit)
            | Self::Stop(unit)
            | Self::Restart(unit)
            | Self::Reload(unit)
            | Self::Isolate(unit)
            | Self::Conditions(unit, _)
            | Self::NotStarted(unit, ..)
            | Self::Executed(unit)
            | Self::Ready(unit)
            | Self::Said(unit, _)
            | Self::Ended { unit, .. }
            | Self::Emptied(unit)
            | Self::Adopted(unit)
            | Self::NotAdopted(unit, _)
            | Self::Traffic(unit)
            | Self::Connected(unit, _)
            | Self::NotAccepted(unit, _)
            | Self::Elapsed(unit)
            | Self::Running(unit)
            | Self::Fault(unit, _) => Some(*unit),
        }
    }
}

/// Something is to be done. Whoever does it answers with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Answered by [`Event::Conditions`].
    Check(UnitId),
    /// Nobody waits for that answer any more.
    EndCheck(UnitId),
    /// Start a process; answered by its end, or by [`Event::NotStarted`].
    Run(UnitId, Role, Command),
    /// Nobody waits any more for what an asker finds out, nor for its end.
    EndAsking(UnitId),
    /// Take the process over that it has left, or a container's; answered by [`Event::Adopted`] or [`Event::NotAdopted`].
    Adopt(UnitId),
    /// Send the stop signal to whom it is for.
    Ask(UnitId),
    /// Send this signal to the main process.
    Signal(UnitId, i32),
    /// Kill the helper.
    KillHelper(UnitId),
    /// Kill everything in the cgroup.
    KillGroup(UnitId),
    /// Kill the main process and helpers.
    KillMain(UnitId),
    /// Kill them with their process groups.
    KillSession(UnitId),
    /// Send this signal to whom the stop would kill.
    Last(UnitId, i32),
    /// Nothing of this run is needed any more.
    Release(UnitId),
    /// Tell when there is traffic.
    Arm(UnitId),
    /// Tell no longer.
    Disarm(UnitId),
    /// Close its sockets and open those of its definition.
    Listen(UnitId),
    /// Close the descriptors that it left for a further run, and the connection it was to serve.
    Forget(UnitId),
    /// Accept a connection for it to serve; answered by [`Event::Connected`] or [`Event::NotAccepted`] if there is one.
    Accept(UnitId),
}

impl Action {
    /// The unit it is about.
    pub(crate) fn unit(self) -> UnitId {
        match self {
            Self::Check(unit)
            | Self::EndCheck(unit)
            | Self::EndAsking(unit)
            | Self::Run(unit, ..)
            | Self::Adopt(unit)
            | Self::Ask(unit)
            | Self::Signal(unit, _)
            | Self::KillHelper(unit)
            | Self::KillGroup(unit)
            | Self::KillMain(unit)
            | Self::KillSession(unit)
            | Self::Last(unit, _)
            | Self::Release(unit)
            | Self::Arm(unit)
            | Self::Disarm(unit)
            | Self::Listen(unit)
            | Self::Forget(unit)
            | Self::Accept(unit) => unit,
        }
    }
}

/// The first start of a unit, for whoever asks where the time of a boot went. Times as [`Record::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FirstStart {
    /// It was wanted up.
    pub(crate) wanted: Option<u64>,
    /// Its own start began.
    pub(crate) began: Option<u64>,
    /// Its start was decided: when, and what it became.
    pub(crate) settled: Option<(u64, State)>,
}

impl FirstStart {
    /// Takes note of a new state; what is known stays as it is.
    pub(super) fn note(&mut self, state: State, now: u64) {
        match state {
            State::Waiting => _ = self.wanted.get_or_insert(now),
            State::Starting(_) if self.settled.is_none() => _ = self.began.get_or_insert(now),
            State::Up | State::Down | State::Backoff | State::Failed if self.wanted.is_some() => {
                _ = self.settled.get_or_insert((now, state));
            }
            State::Starting(_)
            | State::Stopping(_)
            | State::Up
            | State::Down
            | State::Backoff
            | State::Failed => {}
        }
    }
}

/// Everything that is remembered about a unit beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) wish: Wish,
    pub(crate) state: State,
    /// Why it is in that state.
    pub(crate) reason: String,
    /// When it entered the state.
    pub(crate) since: u64,
    /// Its start was skipped: a condition does not hold. Counts as met for those who need it.
    pub(crate) skipped: bool,
    /// It is down because it did what it was for. Counts as met for those who need it.
    pub(crate) done: bool,
    /// How often it was started again by itself.
    pub(crate) restarts: u32,
    /// How it came up the first time.
    pub(crate) first: FirstStart,
    /// What it becomes after stopping.
    pub(super) next: Option<Next>,
    /// What it becomes when it is taken down because of another unit, or on request.
    pub(super) parting: Option<Next>,
    /// Somebody asked for it while it was stopping.
    pub(super) again: bool,
    /// It is to stop and start; see [`super`].
    pub(super) round: bool,
    /// It has been up, whatever became of it.
    pub(super) reached: bool,
    pub(super) checking: bool,
    pub(super) checked: bool,
    /// Its main process lives.
    pub(super) main: bool,
    /// A process before or after it lives.
    pub(super) helper: bool,
    /// There are others in its cgroup.
    pub(super) left: bool,
    /// It is up and reads its settings again.
    pub(super) reloading: bool,
    /// It is up and said that it ends.
    pub(super) leaving: bool,
    /// It has waited long enough for others.
    pub(super) idled: bool,
    /// Its last process could not even be started.
    pub(super) unstarted: bool,
    /// Times of restarts within the window.
    pub(super) recent: VecDeque<u64>,
    /// Restarts since it was last up for long.
    pub(super) exponent: u32,
    pub(super) listen: Listen,
    /// Times of starts by traffic.
    pub(super) traffic: VecDeque<u64>,
    pub(super) deadlines: [Option<u64>; 3],
    /// Only of units that are asked how they are.
    pub(super) care: Option<Box<Care>>,
}

/// What is remembered about a unit that is asked how it is, or may not be up for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Care {
    /// An answer is awaited.
    pub(super) asking: bool,
    /// Why the last answer was none.
    pub(super) answer: String,
    pub(super) due: Option<u64>,
    /// Bad answers in a row while it is up.
    pub(super) misses: u32,
    /// It is up and not well: its reason says why.
    pub(super) unwell: bool,
    /// Time between signs of life, if it has told another one than its definition.
    pub(super) within: Option<u64>,
    pub(super) watchdog: Option<u64>,
    pub(super) life: Option<u64>,
}

impl Record {
    /// The state in the words of the protocol.
    pub(crate) fn state_word(&self) -> &'static str {
        self.state.word()
    }

    /// True when nothing more happens without an event from outside.
    pub(crate) fn is_settled(&self) -> bool {
        match self.state {
            State::Down | State::Failed => self.wish == Wish::Down,
            State::Up => {
                let moves = self.reloading || self.round || self.leaving;
                self.wish == Wish::Up && !moves
            }
            State::Waiting | State::Starting(_) | State::Stopping(_) | State::Backoff => false,
        }
    }

    /// It is up and not well.
    pub(crate) fn is_unwell(&self) -> bool {
        self.care.as_ref().is_some_and(|care| care.unwell)
    }

    pub(super) fn care(&mut self) -> &mut Care {
        self.care.get_or_insert_default()
    }

    /// There is such a process.
    pub(crate) fn has(&self, role: Role) -> bool {
        match role {
            Role::Main => self.main,
            Role::Helper => self.helper,
            Role::Asker => self.care.as_ref().is_some_and(|care| care.asking),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.main || self.helper
    }
}

/// One value per unit. Numbers of units come from the plan, where they are checked; should a fault of ours produce
/// another one, it meets a spare value instead of ending PID 1.
#[derive(Debug)]
pub(crate) struct PerUnit<T> {
    items: Vec<T>,
    spare: T,
}

impl<T: Default> PerUnit<T> {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            items: (0..count).map(|_| T::default()).collect(),
            spare: T::default(),
        }
    }
}

impl<T: Default> PerUnit<T> {
    /// Room for so many units; never less than before.
    pub(crate) fn grow(&mut self, count: usize) {
        let count = count.max(self.items.len());
        self.items.resize_with(count, T::default);
    }
}

impl<T> PerUnit<T> {
    pub(crate) fn at(&self, unit: UnitId) -> &T {
        let found = usize::try_from(unit).ok().and_then(|at| self.items.get(at));
        found.unwrap_or(&self.spare)
    }

    pub(crate) fn at_mut(&mut self, unit: UnitId) -> &mut T {
        let found = usize::try_from(unit)
            .ok()
            .and_then(|at| self.items.get_mut(at));
        found.unwrap_or(&mut self.spare)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (UnitId, &T)> {
        (0..).zip(&self.items)
    }
}

/// Who is affected when a unit changes: the plan's edges turned round.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    pub(super) needed_by: Vec<UnitId>,
    pub(super) wanted_by: Vec<UnitId>,
    pub(super) before: Vec<UnitId>,
}

pub(super) fn turn_round(units: &[Unit]) -> PerUnit<Dependents> {
    let mut all: PerUnit<Dependents> = PerUnit::new(units.len());
    for (unit, definition) in (0..).zip(units) {
        for other in &definition.needs {
            all.at_mut(*other).needed_by.push(unit);
        }
        for other in &definition.wants {
            all.at_mut(*other).wanted_by.push(unit);
        }
        for other in &definition.after {
            all.at_mut(*other).before.push(unit);
        }
    }
    all
}

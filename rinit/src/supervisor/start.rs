//! From waiting to up.

use rootspec::plan::{Ready, Work};
use sys::process::Exit;

use crate::hands::look;

use super::again::Over;
use super::model::{Clock, Command, Next, Role, Step};
use super::{Action, Core, Found, State, UnitId, Wish};

/// Units that wait for quiet start after so long at the latest, in milliseconds.
const IDLE_PATIENCE: u64 = 5_000;

/// Its conditions are known within this time, or it fails, in milliseconds.
const CHECK_PATIENCE: u64 = 5_000;

/// What a unit that waits finds in front of it.
pub(super) enum Path {
    Free,
    Blocked,
    Hopeless(String),
}

impl Core {
    pub(super) fn try_start(&mut self, unit: UnitId) {
        match self.path(unit) {
            Path::Blocked => return,
            Path::Hopeless(why) => return self.give_up(unit, &why),
            Path::Free => {}
        }
        let record = self.records.at(unit);
        if record.is_alive() {
            let why = "processes of its last run do not die".to_owned();
            return self.give_up(unit, &why);
        }
        let idle = self.unit(unit).exec().is_some_and(|exec| exec.idle);
        if idle && !record.idled && self.busy > 0 {
            self.idlers.push(unit);
            let [_, waiting, _] = self.records.at(unit).deadlines;
            if waiting.is_none() {
                self.set_timeout(unit, Clock::Idle, IDLE_PATIENCE);
            }
            return;
        }
        self.set_deadline(unit, Clock::Idle, None);
        let conditional = !self.unit(unit).conditions.is_empty();
        let record = self.records.at_mut(unit);
        if conditional && !record.checked {
            if !record.checking {
                record.checking = true;
                self.actions.push(Action::Check(unit));
                self.set_timeout(unit, Clock::State, CHECK_PATIENCE);
            }
            return;
        }
        self.begin(unit);
    }

    /// Fails without having run.
    fn give_up(&mut self, unit: UnitId, why: &str) {
        let record = self.records.at_mut(unit);
        record.wish = Wish::Down;
        record.parting = None;
        let name = self.unit(unit).name.clone();
        self.become_failed(unit, why.to_owned());
        self.sink(
            unit,
            &Next::Failed(format!("needs {name}, which failed: {why}")),
        );
    }

    fn path(&self, unit: UnitId) -> Path {
        let definition = self.unit(unit);
        let mut path = Path::Free;
        for need in &definition.needs {
            let record = self.records.at(*need);
            let name = &self.unit(*need).name;
            match record.state {
                State::Up if record.round => path = Path::Blocked,
                State::Up => {}
                State::Down if record.skipped || record.done => {}
                State::Failed => {
                    let why = &record.reason;
                    return Path::Hopeless(format!("needs {name}, which failed: {why}"));
                }
                State::Down if record.wish == Wish::Down => {
                    return Path::Hopeless(format!("needs {name}, which is down"));
                }
                State::Down
                | State::Waiting
                | State::Starting(_)
                | State::Stopping(_)
                | State::Backoff => path = Path::Blocked,
            }
        }
        let in_the_way = |other: &UnitId| {
            let record = self.records.at(*other);
            let coming = record.wish == Wish::Up && !record.skipped;
            match record.state {
                State::Starting(_) | State::Stopping(_) => true,
                State::Waiting | State::Down => coming,
                State::Up => record.round,
                State::Backoff | State::Failed => false,
            }
        };
        let mut softly = definition.wants.iter().chain(&definition.after);
        if softly.any(in_the_way) {
            path = Path::Blocked;
        }
        self.tied_path(unit, path)
    }

    pub(super) fn conditions(&mut self, unit: UnitId, found: Found) {
        let record = self.records.at_mut(unit);
        // Else it is the answer to a question that was taken back.
        if !std::mem::take(&mut record.checking) {
            return;
        }
        match found {
            Found::Met => {
                record.checked = true;
                self.set_deadline(unit, Clock::State, None);
                self.enqueue(unit);
            }
            Found::Unmet(why) => {
                record.skipped = true;
                record.wish = Wish::Down;
                self.set_state(unit, State::Down, format!("skipped: {why}"));
                self.rearm(unit);
            }
            Found::Wrong(why) => self.give_up(unit, &why),
            Found::Unknown(why) => {
                let why = self.unknown(unit, &why);
                // Nobody could be sent to look: that may be better in a moment.
                let next = self.conclude(unit, Over::Trouble, why);
                self.end_unstarted(unit, next);
            }
        }
    }

    pub(super) fn check_overdue(&mut self, unit: UnitId) {
        if self.records.at(unit).checking {
            let patience = crate::words::duration(CHECK_PATIENCE);
            let why = self.unknown(unit, &format!("no answer within {patience}"));
            // It hangs: asked again it would hold up whoever waits for the unit.
            self.give_up(unit, &why);
        }
    }

    /// Neither starting nor skipping would be right.
    fn unknown(&self, unit: UnitId, why: &str) -> String {
        let subjects = look::subjects(self.unit(unit));
        format!("cannot find out whether {subjects}: {why}")
    }

    fn begin(&mut self, unit: UnitId) {
        let definition = self.unit(unit);
        let patience = definition.start_timeout;
        let asked = match &definition.work {
            Work::Group => return self.become_up(unit),
            Work::Service(exec) | Work::Oneshot(exec) => !exec.condition.is_empty(),
            Work::Container(_) => false,
        };
        self.records.at_mut(unit).checked = false;
        if asked {
            self.run_condition(unit, 0);
        } else {
            self.run_first(unit);
        }
        self.set_timeout(unit, Clock::State, patience);
    }

    /// Sets a further step of a start, which as a whole has one deadline.
    fn go_on(&mut self, unit: UnitId, step: Step) {
        let [deadline, _, _] = self.records.at(unit).deadlines;
        self.set_state(unit, State::Starting(step), String::new());
        self.set_deadline(unit, Clock::State, deadline);
    }

    fn run_condition(&mut self, unit: UnitId, number: usize) {
        self.go_on(unit, Step::Condition(number));
        self.records.at_mut(unit).helper = true;
        self.actions
            .push(Action::Run(unit, Role::Helper, Command::Condition(number)));
    }

    /// A command that says whether there is a start has ended.
    pub(super) fn condition_ended(&mut self, unit: UnitId, number: usize, exit: Exit) {
        let which = self.command_words(unit, Command::Condition(number));
        match exit {
            Exit::Code(0) => {
                let next = number.saturating_add(1);
                let count = self
                    .unit(unit)
                    .exec()
                    .map_or(0, |exec| exec.condition.len());
                if next < count {
                    self.run_condition(unit, next);
                } else {
                    self.run_first(unit);
                }
            }
            Exit::Code(255) | Exit::Signal(_) => {
                self.run_over(unit, Over::Beside(exit), format!("{which}: {exit}"));
            }
            Exit::Code(_) => {
                let record = self.records.at_mut(unit);
                record.skipped = true;
                record.wish = Wish::Down;
                record.parting = None;
                self.end_unstarted(unit, Next::Down(format!("skipped: {which}: {exit}")));
            }
        }
    }

    fn run_first(&mut self, unit: UnitId) {
        if self.pre_count(unit) > 0 {
            self.run_pre(unit, 0);
        } else {
            self.run_main(unit, 0);
        }
    }

    /// It is ready: what comes after that, and then it is up.
    pub(super) fn arrive(&mut self, unit: UnitId) {
        self.run_late(unit, 0);
    }

    fn run_late(&mut self, unit: UnitId, number: usize) {
        let count = self
            .unit(unit)
            .exec()
            .map_or(0, |exec| exec.start_post.len());
        if number >= count {
            return self.become_up(unit);
        }
        self.go_on(unit, Step::Late(number));
        self.records.at_mut(unit).helper = true;
        self.actions
            .push(Action::Run(unit, Role::Helper, Command::Late(number)));
    }

    pub(super) fn late_ended(&mut self, unit: UnitId, number: usize) {
        self.run_late(unit, number.saturating_add(1));
        let record = self.records.at(unit);
        if record.state == State::Up && !record.is_alive() && !record.left {
            self.actions.push(Action::Release(unit));
        }
    }

    fn run_pre(&mut self, unit: UnitId, number: usize) {
        self.go_on(unit, Step::Pre(number));
        self.records.at_mut(unit).helper = true;
        self.actions
            .push(Action::Run(unit, Role::Helper, Command::Pre(number)));
    }

    fn run_main(&mut self, unit: UnitId, number: usize) {
        if let Work::Container(_) = self.unit(unit).work {
            self.go_on(unit, Step::Adopt);
            self.actions.push(Action::Adopt(unit));
            return;
        }
        self.go_on(unit, Step::Main(number));
        self.records.at_mut(unit).main = true;
        self.actions
            .push(Action::Run(unit, Role::Main, Command::Start(number)));
    }

    pub(super) fn adopted(&mut self, unit: UnitId) {
        self.records.at_mut(unit).main = true;
        if self.records.at(unit).state == State::Starting(Step::Adopt) {
            let Work::Container(_) = self.unit(unit).work else {
                return self.arrive(unit);
            };
            self.go_on(unit, Step::Launch);
            self.records.at_mut(unit).helper = true;
            self.actions
                .push(Action::Run(unit, Role::Helper, Command::Launch));
        }
    }

    pub(super) fn not_adopted(&mut self, unit: UnitId, why: String) {
        if self.records.at(unit).state != State::Starting(Step::Adopt) {
            return;
        }
        match self.unit(unit).ready {
            Ready::PidFile(_) => self.look_again(unit, why),
            _ => self.run_over(unit, Over::Trouble, why),
        }
    }

    /// Its command went into the background: the process that it left is the main one.
    pub(super) fn find_main(&mut self, unit: UnitId, left: bool) {
        if left {
            self.go_on(unit, Step::Adopt);
            self.actions.push(Action::Adopt(unit));
        } else {
            self.left_nobody(unit);
        }
    }

    pub(super) fn left_nobody(&mut self, unit: UnitId) {
        let why = "its command ended, and no process of it is left".to_owned();
        self.run_over(unit, Over::Trouble, why);
    }

    /// The container's program runs.
    pub(super) fn launched(&mut self, unit: UnitId) {
        if let Ready::Asked(_) = self.unit(unit).ready {
            self.go_on(unit, Step::Main(0));
            self.ask_now(unit);
        } else {
            self.become_up(unit);
        }
    }

    /// Number of commands before the main one.
    fn pre_count(&self, unit: UnitId) -> usize {
        match &self.unit(unit).work {
            Work::Group => 0,
            Work::Service(exec) | Work::Oneshot(exec) => exec.start_pre.len(),
            // Remove what a crash left, create.
            Work::Container(_) => 2,
        }
    }

    pub(super) fn pre_ended(&mut self, unit: UnitId, number: usize) {
        let next = number.saturating_add(1);
        if next < self.pre_count(unit) {
            self.run_pre(unit, next);
        } else {
            self.run_main(unit, 0);
        }
    }

    /// A command of a oneshot ended well.
    pub(super) fn main_ended_well(&mut self, unit: UnitId, number: usize, left: bool) {
        let next = number.saturating_add(1);
        let count = self.unit(unit).exec().map_or(0, |exec| exec.start.len());
        if next < count {
            return self.run_main(unit, next);
        }
        self.arrive(unit);
        if !left && self.records.at(unit).state == State::Up {
            self.actions.push(Action::Release(unit));
        }
    }

    pub(super) fn executed(&mut self, unit: UnitId) {
        let starting = matches!(self.records.at(unit).state, State::Starting(Step::Main(_)));
        match self.unit(unit).ready {
            Ready::Exec if starting => self.arrive(unit),
            Ready::Asked(_) if starting => self.ask_now(unit),
            _ => {}
        }
    }

    pub(super) fn ready(&mut self, unit: UnitId) {
        match self.records.at(unit).state {
            State::Starting(Step::Main(_)) => self.arrive(unit),
            State::Up => self.ready_again(unit),
            State::Down
            | State::Waiting
            | State::Starting(_)
            | State::Stopping(_)
            | State::Backoff
            | State::Failed => {}
        }
    }

    pub(super) fn become_up(&mut self, unit: UnitId) {
        self.set_state(unit, State::Up, String::new());
        self.begin_caring(unit);
        self.arrived(unit);
        let definition = self.unit(unit);
        if let (Work::Oneshot(_), false) = (&definition.work, definition.remains()) {
            self.be_done(unit);
        }
    }

    /// It did what it was for. Nobody is told to stop because of that.
    fn be_done(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        if record.wish == Wish::Up {
            record.wish = Wish::Down;
            record.done = true;
            record.parting = None;
            self.leave(unit, Next::Down("done".to_owned()));
        }
    }

    pub(super) fn start_overdue(&mut self, unit: UnitId) {
        let millis = self.unit(unit).start_timeout;
        let last = self.last_answer(unit);
        let patience = crate::words::duration(millis);
        let why = format!("it was not ready within {patience}{last}");
        self.run_over(unit, Over::Trouble, why);
    }
}

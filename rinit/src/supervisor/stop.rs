//! From up to down: asked, killed, cleaned up.

use rootspec::plan::{Kill, LastSignal, Ready, Reload, TieKind, Work};
use sys::process::Exit;

use super::again::Over;
use super::model::{Clock, Command, Listen, Next, Role, Stage, Step};
use super::{Action, Core, State, UnitId, Wish};

/// Even SIGKILL takes a while when a process hangs in the kernel. After so many milliseconds we go on without it.
const KILL_PATIENCE: u64 = 10_000;
/// SIGABRT.
const ABRT: i32 = 6;
/// How long sockets rest after their unit failed if they do not say, and upheld units too, in milliseconds.
pub(super) const PAUSE: u64 = 30_000;

impl Core {
    /// A process ended, expected or not.
    pub(super) fn ended(&mut self, unit: UnitId, role: Role, exit: Exit, left: bool) {
        if role == Role::Asker {
            return self.answered(unit, exit);
        }
        let well = self.ended_well(unit, exit);
        let record = self.records.at_mut(unit);
        record.left = left;
        match role {
            Role::Main => record.main = false,
            Role::Helper => record.helper = false,
            Role::Asker => {}
        }
        match (record.state, role) {
            (State::Starting(Step::Pre(number)), Role::Helper) if well => {
                self.pre_ended(unit, number);
            }
            (State::Starting(Step::Pre(number)), Role::Helper) => {
                // A container's first command removes leftovers: there need not be any.
                if let (Work::Container(_), 0) = (&self.unit(unit).work, number) {
                    return self.pre_ended(unit, number);
                }
                let which = self.command_words(unit, Command::Pre(number));
                self.run_over(unit, Over::Beside(exit), format!("{which}: {exit}"));
            }
            (State::Starting(Step::Condition(number)), Role::Helper) => {
                self.condition_ended(unit, number, exit);
            }
            (State::Starting(Step::Late(number)), Role::Helper) if well => {
                self.late_ended(unit, number);
            }
            (State::Starting(Step::Late(number)), Role::Helper) => {
                let which = self.command_words(unit, Command::Late(number));
                self.run_over(unit, Over::Beside(exit), format!("{which}: {exit}"));
            }
            (State::Starting(Step::Late(_)), Role::Main) => {
                self.run_over(unit, Over::Early(exit), format!("{exit} before it was up"));
            }
            (State::Starting(Step::Launch), Role::Helper) if well => {
                if self.records.at(unit).main {
                    self.launched(unit);
                } else {
                    let words = "it ended while it was started".to_owned();
                    self.run_over(unit, Over::Trouble, words);
                }
            }
            (State::Starting(Step::Launch), Role::Helper) => {
                let words = format!("the runtime could not start it: {exit}");
                self.run_over(unit, Over::Beside(exit), words);
            }
            (State::Starting(Step::Main(number)), Role::Main) => {
                match (&self.unit(unit).ready, well) {
                    (Ready::Exit, true) => self.main_ended_well(unit, number, left),
                    (Ready::PidFile(_), true) => self.find_main(unit, left),
                    (Ready::Exit | Ready::PidFile(_), false) => {
                        self.run_over(unit, Over::Ended(exit), exit.to_string());
                    }
                    (
                        Ready::Started
                        | Ready::Exec
                        | Ready::Notify
                        | Ready::Fd(_)
                        | Ready::Asked(_),
                        _,
                    ) => {
                        let words = format!("{exit} before it was ready");
                        self.run_over(unit, Over::Early(exit), words);
                    }
                }
            }
            // Its program is short-lived: the runtime's start command has not ended yet.
            (State::Starting(Step::Launch), Role::Main) => {}
            (State::Up, Role::Main) => self.main_ended(unit, exit, left),
            (_, Role::Asker) => {}
            (State::Up, Role::Helper) => self.reload_ended(unit, exit, well),
            (State::Stopping(stage), _) => self.stop_goes_on(unit, stage),
            (State::Failed | State::Down, _) => {
                // What did not die in time is gone after all.
                if !self.records.at(unit).is_alive() {
                    self.actions.push(Action::Release(unit));
                }
            }
            (State::Waiting | State::Backoff | State::Starting(_), _) => {}
        }
    }

    /// The main process of a unit that is up has ended.
    fn main_ended(&mut self, unit: UnitId, exit: Exit, left: bool) {
        let definition = self.unit(unit);
        let well = self.ended_well(unit, exit);
        if well && left && definition.conduct().by_cgroup {
            return;
        }
        if !well || !definition.remains() {
            return self.run_over(unit, Over::Ended(exit), exit.to_string());
        }
        if !left && !self.records.at(unit).is_alive() {
            self.actions.push(Action::Release(unit));
        }
    }

    pub(super) fn command_words(&self, unit: UnitId, command: Command) -> String {
        let exec = self.unit(unit).exec();
        let argv = match command {
            Command::Condition(number) => exec.and_then(|exec| exec.condition.get(number)),
            Command::Late(number) => exec.and_then(|exec| exec.start_post.get(number)),
            Command::Stop(number) => exec.and_then(|exec| exec.stop.get(number)),
            Command::Reload => exec.and_then(|exec| match &exec.reload {
                Some(Reload::Command(argv)) => Some(argv),
                Some(Reload::Signal(_) | Reload::Notify) | None => None,
            }),
            Command::Pre(number) => exec.and_then(|exec| exec.start_pre.get(number)),
            Command::Start(number) => exec.and_then(|exec| exec.start.get(number)),
            Command::Post(number) => exec.and_then(|exec| exec.stop_post.get(number)),
            Command::Launch | Command::AskReady | Command::AskHealth => None,
        };
        match (argv.and_then(|argv| argv.first()), command) {
            (Some(program), _) => program.clone(),
            (None, Command::Pre(_)) => "the runtime could not create it".to_owned(),
            (None, Command::Start(_) | Command::Launch) => "the start".to_owned(),
            (
                None,
                Command::Condition(_)
                | Command::Late(_)
                | Command::Stop(_)
                | Command::Reload
                | Command::AskReady
                | Command::AskHealth,
            ) => "a command".to_owned(),
            (None, Command::Post(_)) => "the runtime could not delete it".to_owned(),
        }
    }

    pub(super) fn not_started(&mut self, unit: UnitId, role: Role, why: String) {
        let record = self.records.at_mut(unit);
        match role {
            Role::Main => record.main = false,
            Role::Helper => record.helper = false,
            Role::Asker => return self.answer(unit, Err(why)),
        }
        record.unstarted = true;
        match record.state {
            State::Up if role == Role::Helper => self.reload_not_started(unit, why),
            State::Starting(_) | State::Up => self.run_over(unit, Over::Trouble, why),
            State::Stopping(stage) => {
                self.not_asked(unit, stage, why);
                self.stop_goes_on(unit, stage);
            }
            State::Down | State::Waiting | State::Backoff | State::Failed => {}
        }
    }

    /// A command that should have asked it to end could not do so. Of a service the signal does it, but of a oneshot
    /// nothing else would tell: a file system that is still mounted is not down.
    fn not_asked(&mut self, unit: UnitId, stage: Stage, why: String) {
        let oneshot = matches!(self.unit(unit).work, Work::Oneshot(_));
        let record = self.records.at_mut(unit);
        if let (Stage::Command(_), true, Some(Next::Down(_))) = (stage, oneshot, &record.next) {
            record.next = Some(Next::Failed(why));
        }
    }

    /// A run is over by itself: what next? Then whatever is left of it is cleaned up.
    pub(super) fn run_over(&mut self, unit: UnitId, over: Over, words: String) {
        let next = self.conclude(unit, over, words);
        self.leave(unit, next);
    }

    /// A run is over by itself: what next, for it and for those that need it?
    pub(super) fn conclude(&mut self, unit: UnitId, over: Over, words: String) -> Next {
        let next = self.decide(unit, over, words);
        self.spread(unit, next)
    }

    /// What it becomes is decided: those that need it follow.
    pub(super) fn spread(&mut self, unit: UnitId, next: Next) -> Next {
        let wished = self.records.at(unit).wish == Wish::Up;
        let record = self.records.at_mut(unit);
        let mut sinking = None;
        match &next {
            Next::Again(..) => self.take_round(unit),
            Next::Failed(why) => {
                record.wish = Wish::Down;
                sinking = Some(format!("which failed: {why}"));
            }
            Next::Down(why) => {
                record.wish = Wish::Down;
                sinking = Some(format!("which ended: {why}"));
            }
        }
        if matches!(next, Next::Down(_)) && wished {
            self.start_next(unit, TieKind::OnSuccess);
        }
        if let Some(why) = sinking {
            let name = &self.unit(unit).name;
            let parting = Next::Failed(format!("needs {name}, {why}"));
            self.sink(unit, &parting);
        }
        next
    }

    /// A wish: goes down in its turn.
    pub(super) fn begin_stop(&mut self, unit: UnitId) {
        let parting = self.records.at_mut(unit).parting.take();
        let next = parting.unwrap_or_else(|| Next::Down("stopped".to_owned()));
        self.leave(unit, next);
    }

    /// Ends whatever runs of the unit; then it becomes `next`.
    pub(super) fn leave(&mut self, unit: UnitId, next: Next) {
        if let Work::Group = self.unit(unit).work {
            self.records.at_mut(unit).next = Some(next);
            return self.finish(unit);
        }
        let remains = self.unit(unit).remains();
        let by_cgroup = self.unit(unit).conduct().by_cgroup;
        let record = self.records.at_mut(unit);
        record.next = Some(next);
        // Only what is up can be asked: not what failed to start, and not what ended by itself.
        let there = record.main || remains || by_cgroup && record.left;
        let askable = record.state == State::Up && !record.helper && there;
        if askable {
            self.stop_command(unit, 0);
        } else {
            self.stop_rest(unit);
        }
    }

    /// Ends a start that was none: nothing has run that would have to be cleaned up after.
    pub(super) fn end_unstarted(&mut self, unit: UnitId, next: Next) {
        let kill = self.unit(unit).kill;
        let record = self.records.at_mut(unit);
        record.next = Some(next);
        if record.left && !kill.spares_others() {
            self.kill(unit, kill);
        } else {
            self.finish(unit);
        }
    }

    fn stop_command(&mut self, unit: UnitId, number: usize) {
        let count = self.unit(unit).exec().map_or(0, |exec| exec.stop.len());
        if number >= count {
            return self.stop_rest(unit);
        }
        let patience = self.unit(unit).stop_timeout;
        let stage = Stage::Command(number);
        self.set_state(unit, State::Stopping(stage), String::new());
        self.set_timeout(unit, Clock::State, patience);
        self.records.at_mut(unit).helper = true;
        self.actions
            .push(Action::Run(unit, Role::Helper, Command::Stop(number)));
    }

    /// Whatever still runs is asked, or killed if that makes no sense any more.
    fn stop_rest(&mut self, unit: UnitId) {
        let kill = self.unit(unit).kill;
        let by_cgroup = self.unit(unit).conduct().by_cgroup;
        let record = self.records.at(unit);
        if record.is_alive() || by_cgroup && record.left {
            self.ask(unit);
        } else if record.left && !kill.spares_others() {
            // It ended by itself and left others behind: they get no further chance.
            self.kill(unit, kill);
        } else {
            self.post(unit, 0);
        }
    }

    fn ask(&mut self, unit: UnitId) {
        let patience = self.unit(unit).stop_timeout;
        self.set_state(unit, State::Stopping(Stage::Ask), String::new());
        self.set_timeout(unit, Clock::State, patience);
        self.actions.push(Action::Ask(unit));
    }

    /// Whatever is left has no further chance but its last signal.
    fn kill(&mut self, unit: UnitId, kill: Kill) {
        let signal = match self.unit(unit).conduct().last_signal {
            LastSignal::Kill => return self.kill_at_once(unit, kill),
            LastSignal::Nothing if self.closing => return self.kill_at_once(unit, kill),
            LastSignal::Nothing => None,
            LastSignal::Other(signal) => Some(signal),
        };
        self.set_state(unit, State::Stopping(Stage::Last), String::new());
        self.set_timeout(unit, Clock::State, KILL_PATIENCE);
        let action = signal.map(|signal| Action::Last(unit, signal));
        self.actions.extend(action);
    }

    /// It is still there. Without a last signal it is waited for, as long as the system stays up.
    fn last_overdue(&mut self, unit: UnitId, kill: Kill) {
        let waits = self.unit(unit).conduct().last_signal == LastSignal::Nothing;
        if waits && !self.closing {
            self.set_timeout(unit, Clock::State, KILL_PATIENCE);
        } else {
            self.kill_at_once(unit, kill);
        }
    }

    fn kill_at_once(&mut self, unit: UnitId, kill: Kill) {
        self.set_state(unit, State::Stopping(Stage::Kill), String::new());
        self.set_timeout(unit, Clock::State, KILL_PATIENCE);
        self.actions.push(match kill {
            Kill::Cgroup | Kill::Mixed => Action::KillGroup(unit),
            Kill::Group => Action::KillSession(unit),
            Kill::Main => Action::KillMain(unit),
        });
    }

    /// Its main process gets a signal that ends it at once; what is left then has no further chance.
    pub(super) fn abort(&mut self, unit: UnitId, next: Next, signal: i32) {
        let patience = self.unit(unit).stop_timeout;
        self.records.at_mut(unit).next = Some(next);
        self.set_state(unit, State::Stopping(Stage::Abort), String::new());
        self.set_timeout(unit, Clock::State, patience);
        self.actions.push(Action::Signal(unit, signal));
    }

    fn stop_goes_on(&mut self, unit: UnitId, stage: Stage) {
        let kill = self.unit(unit).kill;
        let record = self.records.at(unit);
        match stage {
            // Whether it worked is seen by what is left.
            Stage::Command(_) if record.helper => {}
            Stage::Command(number) => self.stop_command(unit, number.saturating_add(1)),
            Stage::Ask | Stage::Abort | Stage::Last | Stage::Kill if record.is_alive() => {}
            Stage::Ask if record.left && kill == Kill::Mixed => self.kill(unit, kill),
            Stage::Abort if record.left && !kill.spares_others() => self.kill(unit, kill),
            Stage::Ask | Stage::Last | Stage::Kill if record.left && !kill.spares_others() => {}
            Stage::Ask | Stage::Abort | Stage::Last | Stage::Kill => self.post(unit, 0),
            Stage::Post(_) | Stage::PostKill(_) if record.helper => {}
            Stage::Post(number) | Stage::PostKill(number) => {
                self.post(unit, number.saturating_add(1));
            }
        }
    }

    pub(super) fn emptied(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        record.left = false;
        let (state, alive) = (record.state, record.is_alive());
        match state {
            State::Stopping(stage @ (Stage::Ask | Stage::Abort | Stage::Last | Stage::Kill)) => {
                self.stop_goes_on(unit, stage);
            }
            State::Starting(Step::Adopt) if matches!(self.unit(unit).ready, Ready::PidFile(_)) => {
                self.left_nobody(unit);
            }
            State::Up if !alive && self.unit(unit).conduct().by_cgroup => {
                let words = "its last process ended".to_owned();
                self.run_over(unit, Over::Ended(Exit::Code(0)), words);
            }
            // What a oneshot left running has ended: its cgroup can go.
            State::Up if !alive => self.actions.push(Action::Release(unit)),
            State::Stopping(Stage::Command(_) | Stage::Post(_) | Stage::PostKill(_))
            | State::Down
            | State::Waiting
            | State::Starting(_)
            | State::Up
            | State::Backoff
            | State::Failed => {}
        }
    }

    /// Number of commands after the end.
    fn post_count(&self, unit: UnitId) -> usize {
        match &self.unit(unit).work {
            Work::Group => 0,
            Work::Service(exec) | Work::Oneshot(exec) => exec.stop_post.len(),
            // Delete.
            Work::Container(_) => 1,
        }
    }

    fn post(&mut self, unit: UnitId, number: usize) {
        if number >= self.post_count(unit) {
            return self.finish(unit);
        }
        let patience = self.unit(unit).stop_timeout;
        self.set_state(unit, State::Stopping(Stage::Post(number)), String::new());
        self.set_timeout(unit, Clock::State, patience);
        self.records.at_mut(unit).helper = true;
        self.actions
            .push(Action::Run(unit, Role::Helper, Command::Post(number)));
    }

    pub(super) fn stop_overdue(&mut self, unit: UnitId, stage: Stage) {
        let kill = self.unit(unit).kill;
        match stage {
            Stage::Ask if self.unit(unit).conduct().abort && self.records.at(unit).main => {
                let next = self.records.at_mut(unit).next.take();
                let next = next.unwrap_or_else(|| Next::Down(String::new()));
                self.abort(unit, next, ABRT);
            }
            Stage::Command(_) | Stage::Ask | Stage::Abort => self.kill(unit, kill),
            Stage::Last => self.last_overdue(unit, kill),
            Stage::Kill => {
                let why = "it does not die, not even when killed".to_owned();
                self.records.at_mut(unit).next = Some(Next::Failed(why));
                self.records.at_mut(unit).wish = Wish::Down;
                self.finish(unit);
            }
            Stage::Post(number) => {
                let stage = Stage::PostKill(number);
                self.set_state(unit, State::Stopping(stage), String::new());
                self.set_timeout(unit, Clock::State, KILL_PATIENCE);
                self.actions.push(Action::KillGroup(unit));
            }
            Stage::PostKill(_) => self.finish(unit),
        }
    }

    /// The stop is through.
    fn finish(&mut self, unit: UnitId) {
        let record = self.records.at_mut(unit);
        let next = record.next.take();
        let next = next.unwrap_or_else(|| Next::Down(String::new()));
        if !record.is_alive() {
            self.actions.push(Action::Release(unit));
        }
        self.forget_after_run(unit);
        let record = self.records.at_mut(unit);
        let turned = std::mem::take(&mut record.again) && record.wish == Wish::Up;
        if turned {
            record.checked = false;
            record.idled = false;
            self.prepare_again(unit);
            return self.set_state(unit, State::Waiting, String::new());
        }
        match next {
            Next::Again(_, why) if record.wish == Wish::Down => {
                match record.parting.take().unwrap_or(Next::Down(why)) {
                    Next::Failed(why) => self.become_failed(unit, why),
                    Next::Down(why) | Next::Again(_, why) => self.become_down(unit, why),
                }
            }
            Next::Again(pause, why) => {
                self.prepare_again(unit);
                if pause == 0 {
                    return self.set_state(unit, State::Waiting, why);
                }
                self.set_state(unit, State::Backoff, why);
                self.set_timeout(unit, Clock::State, pause);
            }
            Next::Failed(why) => self.become_failed(unit, why),
            Next::Down(why) => self.become_down(unit, why),
        }
    }

    /// Nothing runs of it and nothing is to: waiting or paused before.
    pub(super) fn rest(&mut self, unit: UnitId) {
        match self.records.at_mut(unit).parting.take() {
            Some(Next::Failed(why)) => self.become_failed(unit, why),
            Some(Next::Down(why) | Next::Again(_, why)) => self.become_down(unit, why),
            None => self.become_down(unit, String::new()),
        }
    }

    fn become_down(&mut self, unit: UnitId, why: String) {
        self.records.at_mut(unit).wish = Wish::Down;
        self.set_state(unit, State::Down, why);
        self.uphold_later(unit);
        self.rearm(unit);
    }

    pub(super) fn become_failed(&mut self, unit: UnitId, why: String) {
        self.records.at_mut(unit).wish = Wish::Down;
        self.set_state(unit, State::Failed, why);
        self.uphold_later(unit);
        self.start_next(unit, TieKind::OnFailure);
        // Whoever waits at its sockets would start it again at once: not before a pause.
        if self.records.at(unit).listen != Listen::None {
            self.pause_sockets(unit);
        }
    }

    /// Our own code failed on it. What we know about it may be wrong: everything of it is killed, and it stays down.
    pub(super) fn fault(&mut self, unit: UnitId, why: &str) {
        let words = format!("a fault in rinit itself: {why}");
        let record = self.records.at_mut(unit);
        record.wish = Wish::Down;
        record.again = false;
        record.next = None;
        record.parting = None;
        self.actions.push(Action::KillGroup(unit));
        self.actions.push(Action::Release(unit));
        let record = self.records.at_mut(unit);
        (record.main, record.helper, record.left) = (false, false, false);
        let name = self.unit(unit).name.clone();
        self.become_failed(unit, words.clone());
        self.sink(
            unit,
            &Next::Failed(format!("needs {name}, which failed: {words}")),
        );
    }
}

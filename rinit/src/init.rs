//! PID 1 at work: one loop that waits for everything, and never ends by itself.
//!
//! A panic costs one event. Every wait is in `Init::work`, and has a deadline where something is due.
//!
//! | signal | meaning (as for sysvinit and busybox, where they agree) |
//! |---|---|
//! | SIGINT | Ctrl-Alt-Del: reboot; seven times within 2 s: at once |
//! | SIGTERM | reboot |
//! | SIGUSR1 | halt |
//! | SIGUSR2, SIGPWR | power off |
//! | SIGRTMIN+3 to 7 | as for systemd: halt, power off, reboot, kexec, soft reboot; 10 more: at once |
//! | SIGRTMIN+25 | as for systemd: execute rinit anew |
//! | others | ignored |

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rootspec::held::Definitions;
use rootspec::kept::Kept;
use rootspec::logs::Handover;
use rootspec::paths;
use rootspec::settings::Settings;
use serde::{Deserialize, Serialize};
use sys::epoll::{Happening, Interest};
use sys::helper::Helper;
use sys::kernel::{Kernel, Linux};
use sys::power::{self, ThreeKeys};
use sys::process::Wait;
use sys::signal::Signals;
use sys::watchdog::Watchdog;

use crate::confirm::Confirmation;
use crate::control::Control;
use crate::gate::{self, Gate, Verdict};
use crate::hands::{Hands, token};
use crate::load::{self, Loaded, Loading};
use crate::logs::{Logs, Whose};
use crate::recourse::Recoursing;
use crate::reexec::{Arrival, Reexec, Spare};
use crate::renewal::Renewal;
use crate::shutdown::{How, Shutdown, of_signal, soft};
use crate::supervise::Supervisor;
use crate::supervisor::{Core, Event, News, State, UnitId};
use crate::timers::Timers;
use crate::voice::{self, Voice};
use crate::watch::Watchers;
use crate::watchdog::{self, Guard};
use crate::{rescue, setup, words};

const SIGNALS: u64 = token::OTHERS;
pub(crate) const CONTROL: u64 = token::OTHERS + 1;
pub(crate) const LOADER: u64 = token::OTHERS + 2;
const LOGGER: u64 = token::OTHERS + 3;
pub(crate) const WALL: u64 = token::OTHERS + 4;
pub(crate) const TIMES: u64 = token::OTHERS + 5;
pub(crate) const STAMPS: u64 = token::OTHERS + 6;
pub(crate) const SUCCESSOR: u64 = token::OTHERS + 7;
pub(crate) const WATCHER: u64 = token::OTHERS + 8;
pub(crate) const SPARE: u64 = token::OTHERS + 9;
/// Signals read in one lap at most.
const SIGNALS_AT_ONCE: u32 = 64;
/// Most cgroups removed in one lap, a few milliseconds' work.
const TIDY_AT_ONCE: usize = 64;
/// What the system as a whole does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// The default group is not through yet.
    Starting,
    /// It is.
    Running,
    /// The system goes down.
    Stopping,
}

/// Milestones of this boot, on the clock of [`sys::timer::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// We began.
    pub(crate) began: u64,
    /// The default group was through.
    pub(crate) through: Option<u64>,
}

/// Everything that PID 1 knows.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) all: Supervisor<Linux>,
    pub(crate) control: Control,
    pub(crate) settings: Settings,
    /// The plan was kept, and nothing has changed since: keeping it again would change nothing.
    pub(crate) unchanged: bool,
    pub(crate) phase: Phase,
    pub(crate) verdict: Verdict,
    pub(crate) times: Times,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) voice: Voice,
    /// The hardware watchdog, if it is wanted.
    watchdog: Option<Guard<Watchdog>>,
    pub(crate) logs: Logs,
    signals: Signals,
    pub(crate) gate: Gate<UnitId>,
    pub(crate) timers: Timers,
    pub(crate) watchers: Watchers,
    /// A trial judged good is being made the default.
    pub(crate) confirming: Option<Confirmation>,
    /// What is missing on a trial that is good enough: the verdict once it is confirmed.
    pub(crate) flaws: Vec<String>,
    /// After a bad verdict: when to reboot even if `boot-bad` is not through.
    pub(crate) rejecting: Option<u64>,
    /// What a unit asked for the system as a whole is under way.
    pub(crate) recourse: Option<Recoursing>,
    /// The unit files are read again.
    pub(crate) renewal: Option<Renewal>,
    /// We are to become another program, or have become one.
    pub(crate) reexec: Option<Reexec>,
    /// When we crashed within the last minute.
    pub(crate) crashes: Vec<u64>,
    /// What a crash goes on from.
    pub(crate) spare: Spare,
    /// There may be dead children left to collect.
    children: bool,
    /// The shutdown stage has been copied.
    pub(crate) staged: bool,
    program: String,
}

/// Boots. Comes back only if not even waiting is possible.
///
/// # Errors
/// No descriptors to be had for what the loop waits with.
pub(crate) fn run() -> sys::error::Result<Infallible> {
    let mut problems = Vec::new();
    // First of all, so that it works while we prepare the rest.
    let loading = Loading::start(load::Reuse::IfUnchanged);
    // Every service costs us half a dozen.
    if let Err(error) = sys::descriptors::raise() {
        problems.push(sys::chain(&error));
    }
    let signals = Signals::take_over()?;
    setup::mounts(&mut problems);
    setup::folders(&mut problems);
    let voice = Voice::open();
    hear_panics();
    let mut kernel = Linux::new()?;
    setup::hostname(&mut problems);
    setup::machine_id();
    // In a namespace that is not ours to decide.
    power::three_keys(ThreeKeys::TellInit).ok();
    let began = kernel.now();
    let loaded = match loading {
        Ok(loading) => wait_for_plan(&mut kernel, loading),
        Err(error) => Err(sys::chain(&error)),
    };
    let mut loaded = loaded.unwrap_or_else(|why| Loaded {
        kept: rescue::instead(&format!("the unit files could not be read: {why}")),
        unchanged: false,
    });
    // Not before: while we waited for the loader only, signals would have kept us awake.
    kernel.epoll().add(&signals, SIGNALS, Interest::Read)?;
    loaded.kept.plan.problems.append(&mut problems);
    let mut init = Init::new(kernel, signals, voice, loaded, began);
    prepare_for_crash(&mut init);
    init.begin(false);
    init.work()
}

/// Goes on where another program was, or this one before it crashed: in its place, with its children and descriptors. Comes
/// back only if not even waiting is possible.
///
/// # Errors
/// No descriptors to be had for what the loop waits with.
pub(crate) fn resume(arrival: &Arrival) -> sys::error::Result<Infallible> {
    let signals = Signals::take_over()?;
    hear_panics();
    let mut kernel = Linux::new()?;
    let began = kernel.now();
    let mut voice = Voice::open();
    let definitions = arrival.definitions();
    let whole = definitions.is_ok();
    let definitions = definitions.unwrap_or_else(|why| {
        voice.shout(&format!("the unit files are read anew: {why}"));
        let loaded = match Loading::start(load::Reuse::IfUnchanged) {
            Ok(loading) => wait_for_plan(&mut kernel, loading),
            Err(error) => Err(sys::chain(&error)),
        };
        let kept = loaded.map(|loaded| loaded.kept);
        Definitions {
            kept: kept.unwrap_or_else(|why| {
                rescue::instead(&format!("the unit files could not be read: {why}"))
            }),
            successors: Vec::new(),
        }
    });
    kernel.epoll().add(&signals, SIGNALS, Interest::Read)?;
    let loaded = Loaded {
        kept: definitions.kept,
        unchanged: false,
    };
    let mut init = Init::new(kernel, signals, voice, loaded, began);
    prepare_for_crash(&mut init);
    let successors = definitions.successors.into_iter().collect();
    init.arrive(arrival, successors, whole);
    // Whoever died meanwhile.
    init.children = true;
    init.guarded(Init::lap);
    init.work()
}

fn prepare_for_crash(init: &mut Init) {
    if let Err(error) = init.prepare_for_crash() {
        let text = sys::chain(&error);
        init.voice
            .shout(&format!("a crash would be the end: {text}"));
    }
}

/// Waits for the loader, and for it only, until its deadline.
fn wait_for_plan(kernel: &mut Linux, mut loading: Loading) -> Result<Loaded, String> {
    let said = |error: sys::SysError| sys::chain(&error);
    let deadline = kernel.now().saturating_add(load::DEADLINE);
    kernel
        .epoll()
        .add(&loading.worker.output, LOADER, Interest::Read)
        .map_err(said)?;
    let mut happenings = Vec::new();
    let answer = loop {
        if let Some(answer) = loading.poll() {
            break answer;
        }
        if kernel.now() >= deadline {
            sys::process::signal(&loading.worker.pidfd, 9).ok();
            break Err("rinit-plan hangs; it was killed".to_owned());
        }
        kernel.set_timer(Some(deadline)).map_err(said)?;
        kernel.wait(&mut happenings).map_err(said)?;
    };
    kernel.epoll().remove(&loading.worker.output).ok();
    answer
}

thread_local! {
    /// Where the panic hook puts its text; the loop takes it from there.
    static PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

/// Keeps the text of a panic for our log instead of printing it, which could block.
fn hear_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        PANIC.with(|place| {
            if let Ok(mut place) = place.try_borrow_mut() {
                *place = text;
            }
        });
    }));
}

fn take_panic() -> String {
    PANIC
        .with(|place| {
            place
                .try_borrow_mut()
                .map(|mut text| std::mem::take(&mut *text))
        })
        .unwrap_or_default()
}

impl Init {
    fn new(mut kernel: Linux, signals: Signals, voice: Voice, loaded: Loaded, began: u64) -> Self {
        let Kept { plan, settings } = loaded.kept;
        let cmdline = sys::fs::read_text("/proc/cmdline", 1 << 16).unwrap_or_default();
        let report = sys::fs::read_text(paths::run::BOOT_REPORT, 1 << 20).ok();
        // The report and the menu's words are about the root that this kernel began with.
        let first = !std::env::args().any(|word| word == soft::ROLE);
        let trial = first && gate::is_trial(report.as_deref(), &cmdline);
        let rules = gate::rules(&plan, &settings.default_group);
        let program = std::env::current_exe().map_or_else(
            |_| "/proc/self/exe".to_owned(),
            // Its file may have been replaced since (proc_pid_exe(5)): then the new one is meant.
            |path| path.display().to_string().replace(" (deleted)", ""),
        );
        kernel.use_helper(Helper::open(paths::program::HELPER));
        let watchdog = settings.watchdog.map(Guard::new);
        let mut hands = Hands::new(kernel, plan.units.len(), &cmdline);
        let numbers = report.as_deref().filter(|_| first);
        let numbers = numbers.and_then(rootspec::report::Numbers::of_report);
        let snapshot = numbers.and_then(|numbers| numbers.snapshot);
        hands.snapshot = snapshot.map(|id| id.to_string()).unwrap_or_default();
        hands.trial = trial;
        let timers = Timers::new(&plan);
        let now = sys::timer::now();
        let (log_max, kernel_log) = (settings.log_max, settings.kernel_log);
        Self {
            all: Supervisor::new(Core::new(plan, now), hands),
            control: Control::default(),
            settings,
            unchanged: loaded.unchanged,
            phase: Phase::Starting,
            verdict: Verdict::Pending(now),
            times: Times {
                began,
                through: None,
            },
            shutdown: None,
            voice,
            watchdog,
            logs: Logs::new(program.clone(), log_max, kernel_log),
            signals,
            gate: Gate::new(rules, trial, began),
            timers,
            watchers: Watchers::default(),
            confirming: None,
            flaws: Vec::new(),
            rejecting: None,
            recourse: None,
            renewal: None,
            reexec: None,
            crashes: Vec::new(),
            spare: Spare::default(),
            children: false,
            staged: false,
            program,
        }
    }

    /// Our own path.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    fn kernel(&mut self) -> &mut Linux {
        &mut self.all.hands.kernel
    }

    /// Opens all sockets, says what is wrong with the plan, and wants the default group up. `found`: what runs already is
    /// taken over.
    pub(crate) fn begin(&mut self, found: bool) {
        if let Err(why) = self.all.hands.kernel.cgroups() {
            let text = format!("services run without cgroups: {why}");
            self.voice.shout(&text);
        }
        if let Some(Err(error)) = self.kernel().helper().map(Helper::fd) {
            let text = sys::chain(&error);
            self.voice
                .shout(&format!("{text}; units that need it do not start"));
        }
        if let Err(error) = self.control.open(&mut self.all.hands.kernel) {
            let text = sys::chain(&error);
            self.voice.shout(&text);
        }
        let plan = self.all.core.plan();
        for problem in &plan.problems {
            self.voice.shout(problem);
        }
        let (units, group) = (plan.units.len(), plan.find(&self.settings.default_group));
        self.all.hands.listen(plan);
        if let Some(left) = soft::carried() {
            let left = left.unwrap_or_else(|why| {
                let text =
                    format!("what units have left in their descriptor stores is lost: {why}");
                self.voice.shout(&text);
                Vec::new()
            });
            self.all.hands.take_left(plan, left);
        }
        self.watch_over(false);
        self.all.handle(Event::Loaded);
        self.begin_timers();
        self.adopt_paths();
        if found {
            let mut inbox = std::collections::VecDeque::new();
            self.find_everything(&mut inbox);
            for event in inbox {
                self.all.handle(event);
            }
        }
        self.voice.shout(&format!(
            "version {} starts the group {} of {} units{}",
            env!("CARGO_PKG_VERSION"),
            self.settings.default_group,
            units,
            if self.unchanged {
                ", by the plan that was kept"
            } else {
                ""
            }
        ));
        if let Some(group) = group {
            self.all.handle(Event::Start(group));
        }
        self.lap();
    }

    /// The loop.
    fn work(&mut self) -> sys::error::Result<Infallible> {
        let mut happenings = Vec::new();
        loop {
            let due = self.deadline();
            self.kernel().set_timer(due)?;
            self.kernel().wait(&mut happenings)?;
            if self.children {
                self.guarded(Self::reap);
            }
            for happening in &happenings {
                self.guarded(|init| init.came(*happening));
            }
            self.guarded(Self::ping);
            self.guarded(Self::lap);
            self.guarded(Self::go_on_down);
            // Kept for another try, if it failed.
            self.kernel().let_go().ok();
            let idle = happenings
                .iter()
                .all(|came| came.token == sys::kernel::TIMER);
            if idle && !self.children {
                self.guarded(|init| init.all.hands.tidy(TIDY_AT_ONCE));
            }
            // Not guarded, and nothing in it but this: whatever goes wrong elsewhere, a shutdown ends.
            let now = sys::timer::now();
            if let Some(shutdown) = &mut self.shutdown {
                if shutdown.is_hopeless(now) {
                    crate::shutdown::directly(shutdown.how());
                }
            }
        }
    }

    /// Does one thing; a panic in it is told and forgotten.
    fn guarded(&mut self, deed: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| deed(self))).is_err() {
            let text = format!("a fault in rinit itself: {}", take_panic());
            self.voice.shout(&text);
        }
    }

    fn deadline(&self) -> Option<u64> {
        let gate = match &self.verdict {
            Verdict::Pending(when) => Some(*when),
            Verdict::Unconfirmed(_) => self.confirming.as_ref().map(Confirmation::due),
            Verdict::Good | Verdict::Degraded(_) | Verdict::Bad(_) => None,
        };
        let now = sys::timer::now();
        let logs = self.logs.is_stuck().then(|| now.saturating_add(100));
        let logger = (!self.logs.runs()).then(|| self.logs.pause_until());
        let all = [
            self.all.core.deadline(),
            gate,
            self.rejecting,
            self.recourse.as_ref().and_then(Recoursing::due),
            self.shutdown
                .as_ref()
                .map(|shutdown| shutdown.deadline(now)),
            logs,
            logger.filter(|when| *when > now),
            self.control.resting(),
            self.renewal.as_ref().and_then(Renewal::due),
            self.timers.deadline(),
            self.watchers.deadline(),
            (self.children || self.all.hands.is_untidy()).then_some(now),
            self.reexec.as_ref().and_then(Reexec::due),
            self.spare.due(),
            self.watchdog.as_ref().and_then(Guard::due),
        ];
        all.into_iter().flatten().min()
    }

    /// Puts the watchdog to work, if it is wanted. `loud`: its absence is told; its driver may come late.
    pub(crate) fn watch_over(&mut self, loud: bool) {
        let now = sys::timer::now();
        let Some(guard) = &mut self.watchdog else {
            return;
        };
        match guard.start(now, || Watchdog::open(watchdog::DEVICE)) {
            Ok(Some(words)) => self.voice.note(&words),
            Ok(None) => {}
            Err(error) if loud => {
                let text = sys::chain(&error);
                self.voice
                    .shout(&format!("no watchdog looks after this machine: {text}"));
            }
            Err(_) => {}
        }
    }

    fn ping(&mut self) {
        let now = sys::timer::now();
        if let Some(Err(error)) = self.watchdog.as_mut().map(|guard| guard.ping(now)) {
            let text = sys::chain(&error);
            self.voice
                .shout(&format!("the watchdog is given up: {text}"));
        }
    }

    /// The loop ends: what follows is not pinged.
    fn leave_watchdog(&mut self, how: How) {
        let now = sys::timer::now();
        let Some(guard) = &mut self.watchdog else {
            return;
        };
        match how {
            // Whoever comes next takes it over, or the machine is reset.
            How::Reboot | How::PowerOff | How::Kexec | How::Soft => guard.leave(now),
            How::Halt => {
                if let Err(error) = guard.stop() {
                    let text = sys::chain(&error);
                    self.voice
                        .shout(&format!("{text}; the machine will be reset"));
                }
            }
        }
    }

    fn came(&mut self, happening: Happening) {
        match happening.token {
            SIGNALS => self.signals_came(),
            CONTROL => self.accept(),
            sys::kernel::TIMER | LOADER | WALL | TIMES | SUCCESSOR | SPARE => {}
            STAMPS => self.stamps_written(),
            LOGGER => self.logger_started(),
            WATCHER => self.watcher_came(),
            number => match Control::client_of(number) {
                Some(client) => self.serve(client, happening),
                None => self.all.came(number),
            },
        }
    }

    /// The logger's start is decided: a failure would else be told by nobody.
    fn logger_started(&mut self) {
        let Some(pid) = self.logs.pid() else { return };
        if let Ok(Wait::Failed(stage, errno)) = self.kernel().start_of(pid) {
            let error = std::io::Error::from_raw_os_error(errno);
            let step = stage.words();
            self.voice.shout(&format!(
                "services are not logged: cannot {step} the logger: {error}"
            ));
        }
    }

    fn signals_came(&mut self) {
        let mut children = false;
        for _ in 0..SIGNALS_AT_ONCE {
            let Some(number) = self.signals.take() else {
                break;
            };
            match number {
                CHLD => children = true,
                INT => self.three_keys(),
                TERM => self.go_down(How::Reboot, "on SIGTERM"),
                USR1 => self.go_down(How::Halt, "on SIGUSR1"),
                USR2 => self.go_down(How::PowerOff, "on SIGUSR2"),
                PWR => self.go_down(How::PowerOff, "because the power fails"),
                REEXEC => self.reexec_by_signal(),
                number => self.go_down_by_signal(number),
            }
        }
        if children {
            self.reap();
        }
    }

    /// Collects the dead, so many at once; the rest has its turn in the next lap.
    fn reap(&mut self) {
        self.children = self.all.reap();
        self.others_died();
    }

    fn others_died(&mut self) {
        for pid in self.all.hands.take_others() {
            if self.logs.pid() == Some(pid) {
                let now = self.kernel().now();
                self.logs.died(now);
                self.voice.note("the logger died; it is started again");
            }
        }
    }

    /// Ctrl-Alt-Del: an orderly reboot; pressed again and again, one at once.
    fn three_keys(&mut self) {
        let now = sys::timer::now();
        self.go_down(How::Reboot, "on Ctrl-Alt-Del");
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.pressed(now);
        }
    }

    fn reexec_by_signal(&mut self) {
        if let Err(why) = self.begin_reexec() {
            self.voice.shout(&format!("cannot be executed anew: {why}"));
        }
    }

    fn go_down_by_signal(&mut self, number: i32) {
        let Some((how, at_once)) = of_signal(number) else {
            return;
        };
        match self.can_end(how) {
            Ok(()) => {
                self.go_down(how, &format!("on signal {number}"));
                if let (true, Some(shutdown)) = (at_once, &mut self.shutdown) {
                    shutdown.hurry();
                }
            }
            Err(why) => self
                .voice
                .shout(&format!("no {} on signal {number}: {why}", how.word())),
        }
    }

    /// Whether what is to come after the end is there.
    ///
    /// # Errors
    /// It is not, in words.
    pub(crate) fn can_end(&mut self, how: How) -> Result<(), String> {
        const LOADED: &str = "/sys/kernel/kexec_loaded";
        match how {
            How::Reboot | How::PowerOff | How::Halt => Ok(()),
            How::Kexec => match self.kernel().read_file(LOADED) {
                Err(_) => Err("this kernel cannot start another one".to_owned()),
                Ok(text) if text.trim() == "1" => Ok(()),
                Ok(_) => Err("no kernel is loaded (kexec --load does that)".to_owned()),
            },
            How::Soft if matches!(self.verdict, Verdict::Pending(_) | Verdict::Unconfirmed(_)) => {
                Err("this boot is still being judged".to_owned())
            }
            How::Soft => soft::is_possible(),
        }
    }

    /// Begins to go down, in order.
    pub(crate) fn go_down(&mut self, how: How, why: &str) {
        if self.shutdown.is_some() {
            return;
        }
        let words = how.doing();
        self.voice.shout(&format!("{words} {why}"));
        let deadline = words::duration(self.settings.shutdown_deadline);
        self.voice.note(&format!("services have {deadline} to end"));
        let now = sys::timer::now();
        self.shutdown = Some(Shutdown::new(how, now, self.settings.shutdown_deadline));
        self.phase = Phase::Stopping;
        self.all.handle(Event::StopAll);
    }

    /// After all events of a lap: what follows from them.
    fn lap(&mut self) {
        self.all.time();
        self.run_timers();
        self.run_paths();
        self.tell_news();
        self.feed_logger();
        if self.phase == Phase::Starting {
            self.is_started();
        }
        self.judge();
        self.take_recourse();
        self.listen_again();
        self.go_on_renewing();
        self.answer_waiting();
        self.flush_paths();
        self.go_on_with_reexec();
        self.keep_spare();
    }

    /// While the system goes down: says what is waited for, and ends when it is time.
    fn go_on_down(&mut self) {
        if let Some(shutdown) = &mut self.shutdown {
            let now = sys::timer::now();
            if let Some(words) = shutdown.complain(now, &self.all.core) {
                self.voice.shout(&words);
            }
            if shutdown.is_due(now, &self.all.core) {
                let how = shutdown.how();
                self.end(how);
            }
        }
    }

    fn end(&mut self, how: How) {
        let orderly = || {
            let left = crate::shutdown::left(&self.all.core);
            if !left.is_empty() {
                self.voice
                    .shout(&format!("not waiting any longer for {left}"));
            }
            self.tell_news();
            self.feed_logger();
            self.leave_watchdog(how);
            crate::shutdown::finish(self, how);
        };
        crate::shutdown::surely(orderly, || crate::shutdown::directly(how));
    }

    pub(crate) fn tell_news(&mut self) {
        let (news, notes) = self.all.take_news();
        // What is for the log only is written at once: each write wakes the logger.
        let mut quiet = String::new();
        for item in news {
            self.note_for_timers(item.unit);
            self.note_for_paths(item.unit);
            let name = &self.all.core.unit(item.unit).name;
            let (loud, text) = words_of(&item);
            if loud || quiet.len() > voice::WHOLE {
                self.voice.note(&std::mem::take(&mut quiet));
            }
            if loud {
                self.voice.shout(&format!("{name} {text}"));
            } else {
                quiet.extend([&**name, " ", &*text, "\n"]);
            }
        }
        self.voice.note(&quiet);
        for note in notes {
            self.voice.shout(&note);
        }
        let panicked = take_panic();
        if !panicked.is_empty() {
            self.voice
                .shout(&format!("a fault in rinit itself: {panicked}"));
        }
    }

    /// Starts the logger when there is something to log, and gives it what is new.
    fn feed_logger(&mut self) {
        let new = self.all.hands.take_new_logs();
        let now = sys::timer::now();
        let wanted = !new.is_empty() || self.phase != Phase::Starting;
        if !self.logs.runs() && wanted && now >= self.logs.pause_until() && !self.is_ending() {
            if let Err(error) = self.logs.start(&mut self.all.hands.kernel, LOGGER) {
                let text = sys::chain(&error);
                self.voice
                    .shout(&format!("services are not logged: {text}"));
                self.logs.died(now);
                return;
            }
            self.hand_over_logs();
        } else {
            for unit in new {
                self.logs.hand_over(Whose::Unit(unit));
            }
        }
        self.flush_logs();
    }

    /// All logs, to a logger that has none yet or knows them under other rules.
    pub(crate) fn hand_over_logs(&mut self) {
        self.logs.hand_over(Whose::Ours);
        for (unit, _) in self.all.hands.logs() {
            self.logs.hand_over(Whose::Unit(unit));
        }
    }

    /// Gives the logger what it takes without waiting.
    pub(crate) fn flush_logs(&mut self) {
        use std::os::fd::AsFd;
        let (core, hands, voice) = (&self.all.core, &self.all.hands, &self.voice);
        self.logs.flush(|whose| {
            let ours = || Handover {
                id: u32::MAX,
                name: voice::NAME.into(),
                console: false,
                rules: None,
            };
            match whose {
                Whose::Ours => Some((ours(), voice.log()?)),
                Whose::Unit(unit) => {
                    let definition = core.unit(unit);
                    let exec = definition.exec();
                    let what = Handover {
                        id: unit,
                        name: definition.name.clone(),
                        console: exec.is_some_and(|exec| exec.console),
                        rules: exec.and_then(|exec| exec.log.clone()),
                    };
                    Some((what, hands.log(unit)?.as_fd()))
                }
            }
        });
    }

    fn is_ending(&self) -> bool {
        self.shutdown.as_ref().is_some_and(Shutdown::is_over)
    }

    /// The default group is through: from now on the system runs.
    fn is_started(&mut self) {
        let Some(group) = self.all.core.find(&self.settings.default_group) else {
            return;
        };
        let record = self.all.core.record(group);
        if !record.is_settled() {
            return;
        }
        self.phase = Phase::Running;
        self.times.through = Some(sys::timer::now());
        let name = &self.settings.default_group;
        let text = format!("the group {name} is {}", record.state_word());
        self.voice.note(&text);
        self.watch_over(true);
        if !self.staged {
            self.staged = true;
            if let Err(error) = crate::shutdown::prepare(self.program.clone()) {
                let text = sys::chain(&error);
                self.voice
                    .shout(&format!("the shutdown stage cannot be prepared: {text}"));
            }
        }
    }
}

const INT: i32 = 2;
const USR1: i32 = 10;
const USR2: i32 = 12;
const TERM: i32 = 15;
const CHLD: i32 = 17;
const PWR: i32 = 30;
/// `SIGRTMIN+25`
const REEXEC: i32 = 59;

/// What to say about a change; true: on the console.
fn words_of(news: &News) -> (bool, String) {
    let why = &news.reason;
    match news.state {
        State::Up if !why.is_empty() => (true, format!("is up, but {why}")),
        State::Up => (false, "is up".to_owned()),
        State::Failed => (true, format!("failed: {why}")),
        State::Backoff => (true, format!("is started again: {why}")),
        State::Down if why.is_empty() => (false, "is down".to_owned()),
        State::Down => (false, format!("is down: {why}")),
        State::Stopping(_) => (true, "did not end in time and was killed".to_owned()),
        State::Waiting | State::Starting(_) => (false, "starts".to_owned()),
    }
}

/// The version in `--version` and in the overview.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

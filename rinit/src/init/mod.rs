//! PID 1 at work: one loop that waits for everything, and never ends by itself.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | everything that PID 1 knows, the loop, what follows from events |
//! | `begin` | the way into the loop |
//! | `told` | what becomes of units is told |
//! | `ending` | the system goes down |
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

mod begin;
mod ending;
mod told;

pub(crate) use begin::{resume, run};

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rootspec::kept::Kept;
use rootspec::paths;
use rootspec::plan::{Plan, RESCUE};
use rootspec::settings::Settings;
use serde::{Deserialize, Serialize};
use sys::epoll::Happening;
use sys::helper::Helper;
use sys::kernel::{Kernel, Linux};
use sys::signal::Signals;
use sys::watchdog::Watchdog;

use crate::confirm::Confirmation;
use crate::control::Control;
use crate::gate::{self, Gate, Verdict};
use crate::hands::{Hands, token};
use crate::load::Loaded;
use crate::logs::{Logs, Sources};
use crate::recourse::Recoursing;
use crate::reexec::{Reexec, Spare};
use crate::renewal::Renewal;
use crate::shutdown::{How, Shutdown, soft};
use crate::supervise::Supervisor;
use crate::supervisor::{Core, UnitId};
use crate::timers::Timers;
use crate::voice::Voice;
use crate::watch::Watchers;
use crate::watchdog::Guard;
use crate::{chosen, rescue};

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
    pub(crate) watchdog: Option<Guard<Watchdog>>,
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

thread_local! {
    /// Where the panic hook puts its text; the loop takes it from there.
    static PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
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

/// Has another group started. False: there is none.
fn choose(group: &str, plan: &mut Plan, settings: &mut Settings) -> bool {
    if plan.find(group).is_none() {
        if group != RESCUE {
            let default = &settings.default_group;
            let why = format!(
                "there is no group {group:?}, which the kernel command line asks for: {default} is started"
            );
            // It may have been said by the program before us.
            if !plan.problems.contains(&why) {
                plan.problems.push(why);
            }
            return false;
        }
        plan.units.push(rescue::login());
    }
    group.clone_into(&mut settings.default_group);
    true
}

impl Init {
    fn new(mut kernel: Linux, signals: Signals, voice: Voice, loaded: Loaded, began: u64) -> Self {
        let Kept {
            mut plan,
            mut settings,
        } = loaded.kept;
        let cmdline = sys::fs::read_text("/proc/cmdline", 1 << 16).unwrap_or_default();
        let report = sys::fs::read_text(paths::run::BOOT_REPORT, 1 << 20).ok();
        // The report and the menu's words are about the root that this kernel began with.
        let first = !std::env::args().any(|word| word == soft::ROLE);
        let chosen = chosen::group(&cmdline).filter(|_| first);
        let chosen = chosen.is_some_and(|group| choose(group, &mut plan, &mut settings));
        // What somebody looks into is not what would run: it proves nothing, and must not be taken away from them.
        let trial = first && !chosen && gate::is_trial(report.as_deref(), &cmdline);
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
        let log_max = settings.log_max;
        let others = Sources {
            kernel: settings.kernel_log,
            syslog: settings.syslog,
        };
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
            logs: Logs::new(program.clone(), log_max, others),
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

    fn reexec_by_signal(&mut self) {
        if let Err(why) = self.begin_reexec() {
            self.voice.shout(&format!("cannot be executed anew: {why}"));
        }
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

/// The version in `--version` and in the overview.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

//! The schema of one unit file, `/etc/rinit/services/NAME.toml`.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the tables and their keys |
//! | `value` | durations, sizes, argument lists, signals: how one value is written |
//! | `layers` | a unit's file and its drop-ins as one table |
//! | `fill` | words in braces: `{i}`, `{name}`, … |
//! | `listen` | where a unit listens |
//! | `accept` | sockets whose connections are served by a run each |
//! | `fdstore` | descriptors that it leaves for its next run |
//! | `path` | what happens in the file system and starts a unit |
//! | `timer` | when a unit is started by time |
//! | `mount` | file systems and swap areas |
//! | `attributes` | what a process is born with: limits, priorities, CPUs |
//! | `ready` | when a unit is ready |
//! | `care` | whether a unit that is up is well |
//! | `condition` | what must be so when a unit starts |
//! | `reload` | how a unit is told to read its settings again |
//! | `recourse` | what its end means for the system as a whole |
//! | `stop` | how it is stopped |
//! | `sandbox`, `syscalls` | what a process may see and do |
//! | `read` | text to [`UnitFile`], with errors that point at file, line and key |
//!
//! Unknown keys are errors with the nearest known one; tables that begin with `x-` are free for other programs.

mod accept;
mod attributes;
mod care;
mod condition;
mod fdstore;
mod fill;
mod layers;
mod listen;
mod mount;
mod path;
mod read;
mod ready;
mod recourse;
mod reload;
mod sandbox;
mod stop;
mod syscalls;
mod timer;
mod value;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub use attributes::{
    CoredumpFilter, Cpus, IoPriority, LIMIT_NAMES, LimitPair, Limits, MaybePath, Nanos, Nice, Sched,
};
pub use care::{Health, Remedy, Watchdog};
pub use condition::Condition;
pub(crate) use condition::split_operator;
pub use fdstore::{FdStore, Keep};
pub use fill::Facts;
pub use layers::Layers;
pub use listen::{Address, Carries, Listen, Place};
pub(crate) use mount::{HIGHEST, is_place};
pub use mount::{Mount, Swap};
pub use path::Path;
pub(crate) use read::octal;
pub use read::{parse, read};
pub use ready::{NotifyFrom, Ready, ReadyMode};
pub use recourse::{OnLimit, Recourse};
pub use reload::Reload;
pub use sandbox::{
    Bind, Capability, Caps, Home, Private, Profile, Protect, Refusal, Sandbox, Seccomp, SecureBit,
    System, Tmpfs,
};
pub use stop::{FinalSignal, Kill, OnTimeout, Stop};
pub use syscalls::Calls;
pub(crate) use syscalls::DEFAULT as DEFAULT_CALLS;
pub use timer::{Calendars, Timer};
pub(crate) use value::parse_size_value as parse_size;
pub use value::{Argv, ArgvList, Command, Millis, Names, Percent, Signal, Size};

use crate::UnitName;

/// One unit file as written. Times are milliseconds, sizes bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitFile {
    /// Version of the schema: 1.
    pub schema: Spanned<u32>,
    /// What the unit is.
    #[serde(default)]
    pub kind: Kind,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// Where to read more.
    #[serde(default)]
    pub docs: Vec<String>,
    /// Needs the unit `basic` first, if there is one; the default is yes, but for mounts and swap.
    pub default_deps: Option<bool>,
    /// It stays up when its command has ended well; the default is so for a oneshot.
    pub remain: Option<bool>,
    /// What keeps it up.
    #[serde(default)]
    pub alive: Alive,
    /// It may be up for so long.
    pub max_runtime: Option<Millis>,
    /// What people may do with it.
    #[serde(default)]
    pub manual: Manual,
    /// It is stopped when nobody needs it any more.
    #[serde(default)]
    pub stop_when_unneeded: bool,
    /// Other units.
    #[serde(default)]
    pub deps: Deps,
    /// What enabling does.
    #[serde(default)]
    pub install: Install,
    /// What is started when it has ended.
    #[serde(default)]
    pub on: On,
    /// Skips the start when it does not hold.
    #[serde(default)]
    pub condition: Condition,
    /// Fails the start when it does not hold.
    #[serde(default)]
    pub assert: Condition,
    /// The commands and their surroundings.
    pub exec: Option<Spanned<Exec>>,
    /// When the unit counts as ready.
    #[serde(default)]
    pub ready: Ready,
    /// Signs of life that it gives.
    pub watchdog: Option<Spanned<Watchdog>>,
    /// How it is asked whether it is well.
    pub health: Option<Spanned<Health>>,
    /// What follows when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// How it is stopped.
    #[serde(default)]
    pub stop: Stop,
    /// Its part in the verdict on a new snapshot.
    #[serde(default)]
    pub gate: Gate,
    /// Limits of its cgroup.
    #[serde(default)]
    pub cgroup: Cgroup,
    /// Directories made before it starts.
    #[serde(default)]
    pub dirs: Dirs,
    /// Where its output goes.
    #[serde(default)]
    pub log: Log,
    /// What its processes may see and do.
    pub sandbox: Option<Spanned<Sandbox>>,
    /// Its terminal.
    pub tty: Option<Tty>,
    /// Descriptors that it may leave for its next run.
    #[serde(default)]
    pub fdstore: FdStore,
    /// Sockets that start it.
    #[serde(default)]
    pub socket: Vec<Socket>,
    /// Times that start it, or another unit.
    #[serde(default)]
    pub timer: Vec<Timer>,
    /// Paths that start it, or another unit.
    #[serde(default)]
    pub path: Vec<Path>,
    /// The container it is.
    pub container: Option<Spanned<Container>>,
    /// The file system that it mounts.
    pub mount: Option<Spanned<Mount>>,
    /// The area to swap to.
    pub swap: Option<Spanned<Swap>>,
}

impl UnitFile {
    /// Whether it needs the unit `basic`. What that may rest on does not.
    #[must_use]
    pub fn needs_basic(&self) -> bool {
        self.default_deps
            .unwrap_or(!matches!(self.kind, Kind::Mount | Kind::Swap))
    }
}

/// What a unit is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A process that stays.
    #[default]
    Service,
    /// Commands that end; up once they succeeded.
    Oneshot,
    /// A name for other units.
    Group,
    /// An OCI container.
    Container,
    /// A file system in its place.
    Mount,
    /// An area to swap to.
    Swap,
}

/// What keeps a service up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alive {
    /// Its main process.
    #[default]
    Main,
    /// Any process in its cgroup.
    Cgroup,
}

/// What people may do with a unit by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Manual {
    /// Start and stop it.
    #[default]
    Both,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Neither.
    None,
}

impl Manual {
    /// Whether somebody may do what `verb` says: start, stop, restart or reload.
    #[must_use]
    pub fn allows(self, verb: &str) -> bool {
        match self {
            Self::Both => true,
            Self::Start => matches!(verb, "start" | "reload"),
            Self::Stop => matches!(verb, "stop" | "reload"),
            Self::None => verb == "reload",
        }
    }

    /// Its word in unit files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::None => "none",
        }
    }
}

/// `[deps]`: names of other units.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deps {
    /// Start them, wait until ready, fail if they fail, stop with them.
    pub needs: Vec<Spanned<UnitName>>,
    /// Start them, wait until ready or failed, then go on.
    pub wants: Vec<Spanned<UnitName>>,
    /// Start them, wait until they have been ready once; what becomes of them then does not matter.
    pub milestone: Vec<Spanned<UnitName>>,
    /// As needs, and they are run again before each further start.
    pub prepared_by: Vec<Spanned<UnitName>>,
    /// They must be up or on their way up by somebody else's wish; stop with them.
    pub requires_active: Vec<Spanned<UnitName>>,
    /// As needs, and goes down and up again when they do.
    pub bound_to: Vec<Spanned<UnitName>>,
    /// Their stops and restarts are followed.
    pub part_of: Vec<Spanned<UnitName>>,
    /// Keep them up while this one is up.
    pub upholds: Vec<Spanned<UnitName>>,
    /// Never up at the same time: the later start counts.
    pub conflicts: Vec<Spanned<UnitName>>,
    /// Ordering only: if both start, they come first.
    pub after: Vec<Spanned<UnitName>>,
    /// Ordering only: if both start, this one comes first.
    pub before: Vec<Spanned<UnitName>>,
    /// As after, and left out where the starting order would run in a circle.
    pub soft_after: Vec<Spanned<UnitName>>,
    /// Their reloads are followed.
    pub reload_with: Vec<Spanned<UnitName>>,
    /// Further names that other units may use for this one.
    pub provides: Vec<Spanned<UnitName>>,
    /// Paths: it needs the mounts on the way to them.
    pub mounts: Vec<Spanned<String>>,
    /// Paths: it wants the mounts on the way to them.
    pub mounts_optional: Vec<Spanned<String>>,
    /// Devices that must be there when it starts.
    pub devices: Vec<Spanned<String>>,
}

/// `[install]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Install {
    /// Groups that want it.
    pub wanted_by: Vec<Spanned<UnitName>>,
    /// Units that need it.
    pub required_by: Vec<Spanned<UnitName>>,
    /// Units that keep it up.
    pub upheld_by: Vec<Spanned<UnitName>>,
    /// In a template: the instance that is meant when the template itself is enabled.
    pub default_instance: Option<String>,
}

/// `[on]`: units that are started when this one has ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct On {
    /// It has failed for good.
    pub failure: Vec<Spanned<UnitName>>,
    /// It has ended by itself, and well.
    pub success: Vec<Spanned<UnitName>>,
    /// What its failure means for the system as a whole.
    pub failure_action: Recourse,
    /// What its end means for it, where that is well.
    pub success_action: Recourse,
}

/// `[exec]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The command; a oneshot may have several, run in order.
    pub start: ArgvList,
    /// Commands that say whether it is started at all.
    #[serde(default)]
    pub condition: ArgvList,
    /// Commands that must succeed before it.
    #[serde(default)]
    pub start_pre: ArgvList,
    /// Commands that must succeed after it, before it counts as up.
    #[serde(default)]
    pub start_post: ArgvList,
    /// Commands that ask it to end, before the signal.
    #[serde(default)]
    pub stop: ArgvList,
    /// How it reads its settings again; without it a reload is a restart.
    pub reload: Option<Reload>,
    /// Commands run after it has ended, however it ended.
    #[serde(default)]
    pub stop_post: ArgvList,
    /// User name or number.
    pub user: Option<String>,
    /// Group name or number; the default is the user's.
    pub group: Option<String>,
    /// Working directory.
    pub workdir: Option<String>,
    /// File mode mask, octal.
    pub umask: Option<Spanned<String>>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Wait until no other unit is starting, at most 5 s.
    #[serde(default)]
    pub idle: bool,
    /// Added to its score when memory runs out, -1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// Further groups, by name or number.
    #[serde(default)]
    pub groups: Names,
    /// Files of `NAME=value` lines, read at each start.
    #[serde(default)]
    pub env_files: Vec<MaybePath>,
    /// Variables of `rinit`'s own environment that are passed on.
    #[serde(default)]
    pub env_pass: Names,
    /// Variables that are taken away again, wherever they came from.
    #[serde(default)]
    pub env_unset: Names,
    /// Niceness.
    pub nice: Option<Nice>,
    /// Scheduling policy.
    pub sched: Option<Sched>,
    /// CPUs it may run on.
    pub affinity: Option<Cpus>,
    /// I/O priority.
    pub io: Option<IoPriority>,
    /// How late timers may fire.
    pub timer_slack: Option<Nanos>,
    /// What a core dump holds.
    pub coredump_filter: Option<CoredumpFilter>,
    /// Writing to a closed pipe is an error, not the end.
    #[serde(default)]
    pub ignore_sigpipe: bool,
    /// Resource limits.
    #[serde(default)]
    pub limits: Limits,
}

/// `[restart]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// When to start it again; the default is `on-failure`, for a oneshot `no`.
    pub policy: Option<RestartPolicy>,
    /// Wait before the first restart.
    pub delay: Millis,
    /// The wait grows by this factor with each restart.
    pub backoff: Spanned<f64>,
    /// The wait never grows beyond this.
    pub max_delay: Millis,
    /// Up this long: the wait and the counter begin anew.
    pub reset_after: Millis,
    /// More restarts than this in the window, and the unit has failed.
    pub limit: Limit,
    /// Exit codes and signals that count as success beside 0.
    pub success_exit: Vec<Exit>,
    /// After these exits of its main process it is not started again, whatever the policy says.
    pub never_on: Vec<Exit>,
    /// After these it is.
    pub always_on: Vec<Exit>,
    /// Who needs it stays up while it restarts.
    pub hold_dependents: bool,
    /// What follows for the system as a whole when that is more than the limit.
    pub on_limit: OnLimit,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: None,
            delay: Millis(200),
            backoff: Spanned::new(0..0, 2.0),
            max_delay: Millis(30_000),
            reset_after: Millis(60_000),
            limit: Limit::default(),
            success_exit: Vec::new(),
            never_on: Vec::new(),
            always_on: Vec::new(),
            hold_dependents: true,
            on_limit: OnLimit::default(),
        }
    }
}

/// When a unit that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Whenever it was not stopped on purpose.
    Always,
    /// When it ended well.
    OnSuccess,
    /// When it failed.
    OnFailure,
    /// When it failed in another way than by an exit code.
    OnAbnormal,
    /// When it failed by a signal.
    OnAbort,
    /// When it hung or was not well.
    OnWatchdog,
}

/// An upper bound of events in a window of time. A count of 0 is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In which time.
    pub window: Millis,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            count: 5,
            window: Millis(60_000),
        }
    }
}

/// How a process ended, as written in a unit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an exit code from 0 to 255 or a signal such as \"TERM\""
)]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(Signal),
}

/// `[gate]`: whether a new snapshot is good.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// The verdict waits for this unit.
    pub required: bool,
    /// It must be ready within this time after `rinit` started.
    pub within: Millis,
    /// It must stay ready this long.
    pub stable: Millis,
    /// What it means if it does not.
    pub weight: Weight,
    /// More restarts than this until the verdict count as a failure.
    pub max_restarts: Option<u32>,
}

/// What a unit's failure means for the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// The snapshot is bad.
    Hard,
    /// It is good enough to stay, and the verdict says what is missing.
    Soft,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            required: false,
            within: Millis(120_000),
            stable: Millis(10_000),
            weight: Weight::Hard,
            max_restarts: None,
        }
    }
}

/// `[cgroup]`: unset means the kernel's default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cgroup {
    /// Share of CPU time, 1 to 10000; 100 is usual.
    pub cpu_weight: Option<u16>,
    /// Percent of one CPU.
    pub cpu_max: Option<Percent>,
    /// Memory is reclaimed hard above this.
    pub memory_high: Option<Size>,
    /// Memory never exceeds this.
    pub memory_max: Option<Size>,
    /// Processes and threads.
    pub pids_max: Option<u32>,
    /// The cgroup belongs to its user, who may make groups in it.
    pub delegate: bool,
}

/// `[dirs]`: names below `/run`, `/var/lib`, `/var/cache` and `/var/log`, owned by the unit's user.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dirs {
    /// Below `/run`.
    pub run: Names,
    /// Below `/var/lib`.
    pub state: Names,
    /// Below `/var/cache`.
    pub cache: Names,
    /// Below `/var/log`.
    pub logs: Names,
}

/// `[log]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Standard output and standard error.
    pub stdout: Output,
    /// Standard error, where it differs.
    pub stderr: Option<Output>,
    /// Copies to the console as well.
    pub console: bool,
    /// More lines than this are dropped.
    pub rate: Option<Limit>,
    /// When a file is turned over, and how many old ones are kept.
    pub rotate: Rotate,
}

/// `log.rotate`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// A file of this size is turned over.
    pub size: Option<Size>,
    /// So many old ones are kept.
    pub keep: Option<u8>,
}

/// Where output goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// The unit's log.
    #[default]
    Log,
    /// Nowhere.
    Null,
    /// Its terminal (`[tty]`).
    Tty,
    /// The connection that it serves.
    Socket,
}

/// `[tty]`: a terminal as standard input and controlling terminal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tty {
    /// The device.
    pub path: String,
}

/// `[[socket]]`: opened before anything starts; traffic starts the unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Where.
    pub listen: Listen,
    /// Whether traffic starts the unit.
    #[serde(default)]
    pub activate: Activate,
    /// Name in `LISTEN_FDNAMES`; the default is the unit's.
    pub name: Option<String>,
    /// Permissions, octal.
    pub mode: Option<Spanned<String>>,
    /// Group that owns it, by number or name in `/etc/group`.
    pub group: Option<String>,
    /// Connections that wait to be accepted.
    pub backlog: Option<u16>,
    /// Each connection is accepted, and served by a run of its own.
    #[serde(default)]
    pub accept: bool,
    /// Most connections at the same time.
    pub max_connections: Option<u16>,
    /// Most connections from one address, or of one user.
    pub max_per_source: Option<u16>,
    /// More starts than this, and it rests.
    #[serde(default)]
    pub trigger_limit: TriggerLimit,
}

/// What traffic on a socket does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activate {
    /// It starts the unit.
    #[default]
    Lazy,
    /// It waits until the unit starts for another reason.
    Early,
}

/// More starts than `count` within `window`, and the socket rests for `pause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriggerLimit {
    /// How many; the default depends on what is started.
    pub count: Option<u32>,
    /// In which time.
    pub window: Millis,
    /// For how long.
    pub pause: Millis,
}

impl Default for TriggerLimit {
    fn default() -> Self {
        Self {
            count: None,
            window: Millis(2_000),
            pause: Millis(30_000),
        }
    }
}

/// `[container]`: an OCI bundle run by an OCI runtime.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Directory with `config.json` and the root file system.
    pub bundle: String,
    /// Name or path of the runtime.
    #[serde(default = "crun")]
    pub runtime: String,
}

fn crun() -> String {
    "crun".to_owned()
}

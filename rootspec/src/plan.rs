//! The boot plan: what `rinit` runs, with every name resolved to a number, and its binary form.
//!
//! A plan is made from unit files by `compile`, in `rinit-plan`, so that PID 1 reads no text.
//! Binary form: [`MAGIC`], the version as a little-endian `u16`, then the plan in `postcard`'s encoding.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::logs::Rules;
use crate::setup::Setup;
pub use crate::units::{
    Address, Carries, FdStore, Keep, Kill, Manual, NotifyFrom, Output, Place, Recourse, Remedy,
};

/// First bytes of a plan.
pub const MAGIC: [u8; 6] = *b"rplan\n";
/// Version of the encoding; any change of the types below raises it.
pub const VERSION: u16 = 15;

/// The unit that makes a good trial the default; `rinit` starts it by itself.
pub const BOOT_GOOD: &str = "boot-good";
/// The unit that is told why a boot was judged bad; `rinit` starts it by itself.
pub const BOOT_BAD: &str = "boot-bad";
/// The unit that keeps the plan for the next boot; `rinit` starts it by itself, after a good boot from unit files.
pub const KEEP_PLAN: &str = "keep-plan";
/// The unit that makes the snapshot before the default; `rinit` starts it where a unit asks for that.
pub const ROLL_BACK: &str = "roll-back";
/// The unit that stands in for everything where there is no usable plan.
pub const RESCUE: &str = "rescue";

/// Number of a unit in [`Plan::units`].
pub type UnitIndex = u32;

/// All units: those with files in order of their names, then places for connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The units.
    pub units: Vec<Unit>,
    /// What could not be used, for people: place, caret and reason.
    pub problems: Vec<String>,
    /// Names of the units that these are about, where there is no such unit in the plan.
    pub unusable: Vec<Box<str>>,
}

/// One unit. Times are milliseconds; `u64::MAX` is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: Box<str>,
    /// One line for people.
    pub description: Box<str>,
    /// What it runs.
    pub work: Work,
    /// Must be ready first, and stay.
    pub needs: Vec<UnitIndex>,
    /// Are started with it; it waits until they are ready or failed.
    pub wants: Vec<UnitIndex>,
    /// Come first if they are starting too; holds both `after` and the other side's `before`.
    pub after: Vec<UnitIndex>,
    /// What ties it to other units beyond that.
    pub ties: Box<[Tie]>,
    /// Must hold, else the start is skipped, or fails.
    pub conditions: Vec<Condition>,
    /// When it is ready.
    pub ready: Ready,
    /// How long a start may take.
    pub start_timeout: u64,
    /// When it is started again.
    pub restart: Restart,
    /// What few units say about how they end; absent: as usual.
    pub conduct: Option<Box<Conduct>>,
    /// The signal that asks it to end.
    pub stop_signal: i32,
    /// How long it may take to end.
    pub stop_timeout: u64,
    /// Who is signalled and killed.
    pub kill: Kill,
    /// Descriptors that it may leave for its next run.
    pub fdstore: FdStore,
    /// Whether it is well while it is up; absent: nobody asks.
    pub care: Option<Box<Care>>,
    /// Its part in the verdict; absent: none.
    pub gate: Option<Gate>,
    /// Sockets that start it.
    pub sockets: Vec<Socket>,
    /// Times that start it, or another unit.
    pub timers: Box<[Timer]>,
    /// Paths that start it, or another unit.
    pub paths: Box<[Path]>,
}

/// A tie to another unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tie {
    /// What it means.
    pub kind: TieKind,
    /// The other unit.
    pub unit: UnitIndex,
}

/// What a tie means. Those that have an order are among [`Unit::after`] too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TieKind {
    /// The other one is started, and must have been up once.
    Milestone,
    /// The other one must be up, and is not started.
    Requires,
    /// This one stops and restarts with the other one.
    Follows,
    /// The other one is run again before each further start of this one. It is among [`Unit::needs`] too.
    Prepared,
    /// The other one is kept up while this one is up.
    Upholds,
    /// They are never up at the same time; both sides have it.
    Conflicts,
    /// This one is reloaded with the other one.
    Reloads,
    /// The other one is started when this one has failed for good.
    OnFailure,
    /// The other one is started when this one has ended well.
    OnSuccess,
    /// This one serves a connection that the other one's sockets have accepted.
    Serves,
}

impl TieKind {
    /// The other one is started because of it, now or later.
    #[must_use]
    pub fn starts(self) -> bool {
        match self {
            Self::Milestone
            | Self::Prepared
            | Self::Upholds
            | Self::OnFailure
            | Self::OnSuccess => true,
            Self::Requires | Self::Follows | Self::Conflicts | Self::Reloads | Self::Serves => {
                false
            }
        }
    }
}

/// What a unit runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Nothing: it is a name for others.
    Group,
    /// A process that stays.
    Service(Box<Exec>),
    /// Commands that end.
    Oneshot(Box<Exec>),
    /// An OCI container.
    Container(Box<Container>),
}

/// Commands and their surroundings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// Commands that say whether it is started: 0 yes, 1 to 254 no, anything else is a failure.
    pub condition: Vec<Vec<String>>,
    /// Commands that must succeed first.
    pub start_pre: Vec<Vec<String>>,
    /// The commands; a service has exactly one.
    pub start: Vec<Vec<String>>,
    /// Commands that must succeed before it counts as up.
    pub start_post: Vec<Vec<String>>,
    /// Commands that ask it to end, before the signal does.
    pub stop: Vec<Vec<String>>,
    /// How it reads its settings again; absent: by a restart.
    pub reload: Option<Reload>,
    /// Commands run after it ended.
    pub stop_post: Vec<Vec<String>>,
    /// User by name or number, for people.
    pub user: Option<Box<str>>,
    /// Group by name or number, for people.
    pub group: Option<Box<str>>,
    /// Further groups by name or number, for people.
    pub groups: Vec<Box<str>>,
    /// User and groups by number, filled in by whoever reads `/etc/passwd`; absent with a user or group: unknown.
    pub ids: Option<Ids>,
    /// Working directory.
    pub workdir: Option<Box<str>>,
    /// File mode mask.
    pub umask: u32,
    /// `NAME=value`, sorted.
    pub env: Vec<Box<str>>,
    /// Variables of `rinit`'s own environment, put into `env` by whoever reads it.
    pub env_pass: Vec<Box<str>>,
    /// Waits until no other unit is starting.
    pub idle: bool,
    /// Added to its score when memory runs out.
    pub oom_score_adj: i16,
    /// Whose notifications count; absent: it has no socket for any.
    pub notify: Option<NotifyFrom>,
    /// Limits, as `(file of its cgroup, text to write)`.
    pub cgroup: Vec<(Box<str>, Box<str>)>,
    /// Its cgroup belongs to its user, who may make groups in it.
    pub delegate: bool,
    /// Absolute paths of directories to make, owned by its user.
    pub dirs: Vec<Box<str>>,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// Copies its output to the console.
    pub console: bool,
    /// How its log is kept; absent: as usual.
    pub log: Option<Box<Rules>>,
    /// Its terminal.
    pub tty: Option<Box<str>>,
    /// What the executor does before the program; absent: nothing, so PID 1 starts it without one.
    pub setup: Option<Box<Setup>>,
}

/// How a unit is told to read its settings again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reload {
    /// By this signal to its main process.
    Signal(i32),
    /// By SIGHUP; it says `READY=1` when it is through.
    Notify,
    /// By a command, through when that has ended.
    Command(Vec<String>),
}

/// User and groups by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// An OCI container: created, adopted and started by the runtime's own commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// Directory with `config.json`.
    pub bundle: Box<str>,
    /// Name or path of the runtime.
    pub runtime: Box<str>,
    /// Surroundings of the runtime's commands; its commands are empty.
    pub exec: Exec,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is looked at.
    pub fact: Fact,
    /// The value that it is about; empty where there is none.
    pub value: Box<str>,
    /// It must not hold.
    pub negated: bool,
    /// Else the start fails; if this is false it is skipped.
    pub must: bool,
}

/// What a condition looks at, by its key in unit files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// `path_exists`.
    PathExists,
    /// `path_glob`.
    PathGlob,
    /// `path_is_dir`.
    PathIsDir,
    /// `path_is_symlink`.
    PathIsSymlink,
    /// `path_is_mount`.
    PathIsMount,
    /// `path_is_rw`.
    PathIsRw,
    /// `dir_not_empty`.
    DirNotEmpty,
    /// `file_not_empty`.
    FileNotEmpty,
    /// `file_is_executable`.
    FileIsExecutable,
    /// `cmdline`.
    Cmdline,
    /// `kernel`.
    Kernel,
    /// `arch`.
    Arch,
    /// `host`.
    Host,
    /// `os_release`.
    OsRelease,
    /// `firmware`.
    Firmware,
    /// `security`.
    Security,
    /// `env`.
    Env,
    /// `controller`.
    Controller,
    /// `memory`.
    Memory,
    /// `cpus`.
    Cpus,
    /// `ac_power`.
    AcPower,
    /// `snapshot`.
    Snapshot,
    /// `try`.
    Try,
}

impl Fact {
    /// Its key in unit files.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::PathExists => "path_exists",
            Self::PathGlob => "path_glob",
            Self::PathIsDir => "path_is_dir",
            Self::PathIsSymlink => "path_is_symlink",
            Self::PathIsMount => "path_is_mount",
            Self::PathIsRw => "path_is_rw",
            Self::DirNotEmpty => "dir_not_empty",
            Self::FileNotEmpty => "file_not_empty",
            Self::FileIsExecutable => "file_is_executable",
            Self::Cmdline => "cmdline",
            Self::Kernel => "kernel",
            Self::Arch => "arch",
            Self::Host => "host",
            Self::OsRelease => "os_release",
            Self::Firmware => "firmware",
            Self::Security => "security",
            Self::Env => "env",
            Self::Controller => "controller",
            Self::Memory => "memory",
            Self::Cpus => "cpus",
            Self::AcPower => "ac_power",
            Self::Snapshot => "snapshot",
            Self::Try => "try",
        }
    }
}

/// When a unit is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Its process was started.
    Started,
    /// Its program was executed.
    Exec,
    /// It sent `READY=1`.
    Notify,
    /// It wrote a newline to this descriptor.
    Fd(u32),
    /// Its command ended and left a process whose id is in this file below `/run`.
    PidFile(Box<PidFile>),
    /// A question about it was answered well.
    Asked(Box<Question>),
    /// It ended well.
    Exit,
}

/// The file of a process that went into the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidFile {
    /// Below `/run`.
    pub path: Box<str>,
    /// Pause between two looks.
    pub interval: u64,
}

/// What a unit is asked again and again, by a process in its cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks: exit code 0 is a good answer.
    pub ask: Ask,
    /// Pause between two questions.
    pub interval: u64,
    /// Longest time for an answer.
    pub timeout: u64,
}

/// Who asks a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A command.
    Command(Vec<String>),
    /// `rinit` in another role, with these words.
    Own(Vec<String>),
}

/// How a unit that is up is looked after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Care {
    /// It gives signs of life.
    pub watchdog: Option<Watchdog>,
    /// It is asked whether it is well.
    pub health: Option<Health>,
}

/// Signs of life: `WATCHDOG=1` of `sd_notify(3)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Longest time between two.
    pub interval: u64,
    /// What the main process gets when there is none.
    pub signal: i32,
    /// What follows.
    pub remedy: Remedy,
}

/// Questions to a unit that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The question.
    pub question: Question,
    /// For so long after it came up bad answers do not count.
    pub start_period: u64,
    /// So many bad answers in a row are too many.
    pub retries: u32,
    /// What follows.
    pub remedy: Remedy,
}

/// When a unit is started again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restart {
    /// In which cases.
    pub policy: Policy,
    /// First wait.
    pub delay: u64,
    /// Growth of the wait per restart, in percent (200 doubles it).
    pub backoff_percent: u32,
    /// Longest wait.
    pub max_delay: u64,
    /// Up this long: counters begin anew.
    pub reset_after: u64,
    /// More restarts than this in the window and it has failed; 0 is no bound.
    pub limit: u32,
    /// The window.
    pub window: u64,
    /// What is success beside exit code 0.
    pub success: Exits,
}

/// Ways in which a process ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// With one of these exit codes.
    pub codes: Vec<u8>,
    /// By one of these signals.
    pub signals: Vec<i32>,
}

/// How a unit ends, beyond what all units say. The default is what is usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    /// After these exits of its main process it is not started again, whatever the policy says.
    pub never_on: Exits,
    /// After these it is.
    pub always_on: Exits,
    /// What follows for the system as a whole when it was restarted too often.
    pub on_limit: Recourse,
    /// What it gets when it has not ended in time.
    pub last_signal: LastSignal,
    /// SIGHUP follows the signal that asks it to end.
    pub hup: bool,
    /// Before the last signal its main process gets SIGABRT.
    pub abort: bool,
    /// It stays up when its command has ended well; absent: if it is a oneshot.
    pub remain: Option<bool>,
    /// While there are others in its cgroup it stays up without its main process.
    pub by_cgroup: bool,
    /// It may be up for so long; absent: for ever.
    pub max_runtime: Option<u64>,
    /// What people may do with it.
    pub manual: Manual,
    /// It is stopped when nobody needs it any more.
    pub only_if_needed: bool,
    /// When it has failed for good.
    pub on_failure: Recourse,
    /// When it has ended by itself and well; a oneshot: when it is up.
    pub on_success: Recourse,
}

/// The signal after which nothing is expected any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastSignal {
    /// SIGKILL.
    #[default]
    Kill,
    /// None: it is waited for, until the system goes down.
    Nothing,
    /// This one; SIGKILL comes after it.
    Other(i32),
}

/// What is usual.
static USUAL: Conduct = Conduct {
    never_on: Exits::none(),
    always_on: Exits::none(),
    on_limit: Recourse::None,
    last_signal: LastSignal::Kill,
    hup: false,
    abort: false,
    remain: None,
    by_cgroup: false,
    max_runtime: None,
    manual: Manual::Both,
    only_if_needed: false,
    on_failure: Recourse::None,
    on_success: Recourse::None,
};

impl Exits {
    const fn none() -> Self {
        Self {
            codes: Vec::new(),
            signals: Vec::new(),
        }
    }
}

/// When a unit that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Never.
    Never,
    /// Always.
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

/// Part of a unit in the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Ready within this time after `rinit` started.
    pub within: u64,
    /// Ready without a break for this long.
    pub stable: u64,
    /// Its failure does not make a snapshot bad.
    pub soft: bool,
    /// More restarts than this are a failure; absent: they are not counted.
    pub max_restarts: Option<u32>,
}

/// A socket that is opened before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// What and where.
    pub address: Address,
    /// Traffic starts the unit.
    pub lazy: bool,
    /// Its name in `LISTEN_FDNAMES`.
    pub name: Box<str>,
    /// Its permissions.
    pub mode: u32,
    /// Its group by name or number.
    pub group: Option<Box<str>>,
    /// Its group by number, filled in by whoever reads `/etc/group`; absent with a group: unknown.
    pub gid: Option<u32>,
    /// Connections that wait to be accepted.
    pub backlog: u16,
    /// More starts by traffic than this and it rests; 0 is no bound.
    pub limit: u32,
    /// The window for that.
    pub window: u64,
    /// How long it rests then, or after its unit failed.
    pub pause: u64,
    /// Each connection is served by a unit of its own; absent: the unit gets the socket itself.
    pub accept: Option<Accept>,
}

/// How connections are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// Most at the same time; the others wait.
    pub connections: u16,
    /// Most from one address, or of one user, at the same time: the others are closed. 0 is no bound.
    pub per_source: u16,
}

/// When a unit is started by time. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// The unit that is started; the one it belongs to, if its file does not say.
    pub unit: UnitIndex,
    /// Times of the calendar.
    pub calendars: Box<[Calendar]>,
    /// Since the kernel started.
    pub after_boot: Option<u64>,
    /// Since `rinit` started.
    pub after_start: Option<u64>,
    /// Since the unit was last up, or could not be.
    pub after_active: Option<u64>,
    /// Since the unit last ended.
    pub after_inactive: Option<u64>,
    /// How much later it may be; absent: as it suits.
    pub accuracy: Option<u64>,
    /// A random delay up to this.
    pub jitter: u64,
    /// The same delay each time.
    pub fixed_jitter: bool,
    /// A time of the calendar that was missed is made up for.
    pub persistent: bool,
    /// When the clock is set.
    pub on_clock_change: bool,
}

/// What happens in the file system and starts a unit. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// The unit that is started; the one it belongs to, if its file does not say.
    pub unit: UnitIndex,
    /// What is looked for, and where.
    pub looks: Box<[(Looks, Box<str>)]>,
    /// Folders are made first, with these permissions.
    pub mkdir: Option<u32>,
    /// More starts than this and it rests; 0 is no bound.
    pub limit: u32,
    /// The window for that.
    pub window: u64,
    /// How long it rests then, or after its unit could not start.
    pub pause: u64,
}

/// What is looked for at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Looks {
    /// There is something.
    Exists,
    /// There is something whose name fits the last part.
    Glob,
    /// It was written to, made, replaced or removed.
    Changed,
    /// As changed, and with every single write.
    Modified,
    /// It is a folder with something in it.
    NotEmpty,
}

/// The paths of one unit, for the program that looks at them: of the same version, as it is the same file.
#[must_use]
pub fn paths_to_bytes(paths: &[Path]) -> Vec<u8> {
    // There is nothing in them that cannot be encoded.
    postcard::to_allocvec(paths).unwrap_or_default()
}

/// The other way round; `None`: they are something else.
#[must_use]
pub fn paths_from_bytes(bytes: &[u8]) -> Option<Box<[Path]>> {
    postcard::from_bytes(bytes).ok()
}

impl Unit {
    /// The units of its ties of this kind.
    pub fn tied_to(&self, kind: TieKind) -> impl Iterator<Item = UnitIndex> + '_ {
        let ties = self.ties.iter().filter(move |tie| tie.kind == kind);
        ties.map(|tie| tie.unit)
    }

    /// The unit whose connections it serves, one at a time.
    #[must_use]
    pub fn serves(&self) -> Option<UnitIndex> {
        self.tied_to(TieKind::Serves).next()
    }

    /// How it ends.
    #[must_use]
    pub fn conduct(&self) -> &Conduct {
        self.conduct.as_deref().unwrap_or(&USUAL)
    }

    /// It stays up when its command has ended well.
    #[must_use]
    pub fn remains(&self) -> bool {
        let oneshot = matches!(self.work, Work::Oneshot(_));
        self.conduct().remain.unwrap_or(oneshot)
    }

    /// The surroundings of its processes; `None` for a group.
    #[must_use]
    pub fn exec(&self) -> Option<&Exec> {
        match &self.work {
            Work::Group => None,
            Work::Service(exec) | Work::Oneshot(exec) => Some(exec),
            Work::Container(container) => Some(&container.exec),
        }
    }
}

/// Why bytes are no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// They do not begin like one.
    NoPlan,
    /// They have another version.
    Version(u16),
    /// They are damaged.
    Damaged(String),
    /// A unit refers to one that does not exist.
    DanglingIndex,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlan => f.write_str("this is no boot plan"),
            Self::Version(found) => {
                write!(f, "the boot plan has version {found}, expected {VERSION}")
            }
            Self::Damaged(why) => write!(f, "the boot plan is damaged: {why}"),
            Self::DanglingIndex => {
                f.write_str("the boot plan is damaged: it names a unit it does not hold")
            }
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// The binary form.
    ///
    /// # Errors
    /// Only if the encoder fails, which memory shortage alone can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PlanError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        let body = postcard::to_allocvec(self).map_err(|e| PlanError::Damaged(e.to_string()))?;
        bytes.extend(body);
        Ok(bytes)
    }

    /// Stands for the content: other plans have another one, unless somebody makes an effort.
    #[must_use]
    pub fn digest(&self) -> String {
        let bytes = self.to_bytes().unwrap_or_default();
        format!("{:x}-{:08x}", bytes.len(), crc32c::crc32c(&bytes))
    }

    /// Reads the binary form and checks that every index points at a unit.
    ///
    /// # Errors
    /// The bytes are no plan, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(PlanError::NoPlan)?;
        let (version, body) = rest.split_first_chunk::<2>().ok_or(PlanError::NoPlan)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(PlanError::Version(version));
        }
        let plan: Self =
            postcard::from_bytes(body).map_err(|e| PlanError::Damaged(e.to_string()))?;
        let count = plan.units.len();
        let inside = |index: &UnitIndex| usize::try_from(*index).is_ok_and(|index| index < count);
        let mut edges = plan
            .units
            .iter()
            .flat_map(|u| u.needs.iter().chain(&u.wants).chain(&u.after));
        let mut ties = plan.units.iter().flat_map(|u| &u.ties).map(|t| &t.unit);
        let mut paths = plan.units.iter().flat_map(|u| &u.paths).map(|p| &p.unit);
        let mut timers = plan.units.iter().flat_map(|u| &u.timers).map(|t| &t.unit);
        if edges.all(inside) && ties.all(inside) && timers.all(inside) && paths.all(inside) {
            Ok(plan)
        } else {
            Err(PlanError::DanglingIndex)
        }
    }

    /// The unit of this number, if there is one.
    #[must_use]
    pub fn unit(&self, index: UnitIndex) -> Option<&Unit> {
        self.units.get(usize::try_from(index).ok()?)
    }

    /// The index of the unit called `name`. Units are in order of their names, but for places for connections and those that
    /// a running supervisor has got since.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<UnitIndex> {
        let sorted = self.units.binary_search_by(|unit| (*unit.name).cmp(name));
        let at = sorted
            .ok()
            .or_else(|| self.units.iter().position(|unit| *unit.name == *name))?;
        UnitIndex::try_from(at).ok()
    }
}

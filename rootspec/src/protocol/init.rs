//! `org.rootctl.Init`: services and power, spoken by `rinit` on `/run/rinit/control.sock`.

use serde::{Deserialize, Serialize};

/// Name of the interface.
pub const INTERFACE: &str = "org.rootctl.Init";
/// Its description in Varlink's own language.
pub const DESCRIPTION: &str = include_str!("../../varlink/org.rootctl.Init.varlink");

/// Method names; each is followed by its parameters and its reply.
pub mod method {
    /// `()` to [`super::Overview`]
    pub const OVERVIEW: &str = "org.rootctl.Init.Overview";
    /// [`super::Units`] to [`super::UnitList`]; no names: all units
    pub const STATUS: &str = "org.rootctl.Init.Status";
    /// [`super::Change`] to [`super::UnitList`], sent when the change is done
    pub const START: &str = "org.rootctl.Init.Start";
    /// [`super::Change`] to [`super::UnitList`], sent when the change is done
    pub const STOP: &str = "org.rootctl.Init.Stop";
    /// [`super::Change`] to [`super::UnitList`], sent when the change is done
    pub const RESTART: &str = "org.rootctl.Init.Restart";
    /// [`super::Change`] to [`super::UnitList`], sent when the change is done
    pub const RELOAD: &str = "org.rootctl.Init.Reload";
    /// [`super::Units`] to [`super::LogFiles`]
    pub const LOGS: &str = "org.rootctl.Init.Logs";
    /// `()` to [`super::TimerList`]
    pub const TIMERS: &str = "org.rootctl.Init.Timers";
    /// `()` to [`super::BootTimes`]
    pub const BOOT: &str = "org.rootctl.Init.Boot";
    /// `()` to [`super::Planned`]
    pub const PLAN: &str = "org.rootctl.Init.Plan";
    /// [`super::Apply`] to [`super::UnitList`], the units that were started, restarted or stopped, when that is done
    pub const APPLY: &str = "org.rootctl.Init.Apply";
    /// `()` to [`super::Succeeded`]
    pub const REEXEC: &str = "org.rootctl.Init.Reexec";
    /// [`super::Power`] to `()`; the reply comes before the machine goes down
    pub const POWER: &str = "org.rootctl.Init.Power";
}

/// Error names; all carry [`Problem`].
pub mod error {
    /// No such unit.
    pub const UNKNOWN_UNIT: &str = "org.rootctl.Init.UnknownUnit";
    /// The caller may not do that.
    pub const DENIED: &str = "org.rootctl.Init.Denied";
    /// The change did not work out.
    pub const FAILED: &str = "org.rootctl.Init.Failed";
    /// Not now: the system is going down, or something else is under way.
    pub const BUSY: &str = "org.rootctl.Init.Busy";
}

/// What went wrong, and the next command where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What was being done, to what, and why it failed.
    pub reason: String,
    /// The command to run next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The system as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Version of `rinit`.
    pub version: String,
    /// `starting`, `running` or `stopping`.
    pub phase: String,
    /// Verdict of the gate: `pending`, `good`, `degraded` or `bad`.
    pub verdict: String,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// The default group.
    pub group: String,
    /// Units that are up.
    pub up: u32,
    /// Units that failed.
    pub failed: u32,
    /// All units.
    pub units: u32,
    /// Unit files that could not be used, each with place and caret.
    pub problems: Vec<String>,
}

/// Units by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Their names.
    #[serde(default)]
    pub units: Vec<String>,
}

/// A change of units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Their names.
    pub units: Vec<String>,
    /// Answer at once instead of when the change is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_wait: Option<bool>,
}

/// Units with their state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitList {
    /// One entry per unit, in the order asked for, else by name.
    pub units: Vec<UnitStatus>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// Its name.
    pub name: String,
    /// `service`, `oneshot`, `group` or `container`.
    pub kind: String,
    /// `down`, `waiting`, `starting`, `up`, `stopping`, `backoff` or `failed`.
    pub state: String,
    /// Why it is in that state, in words; may be empty.
    pub reason: String,
    /// What it last said about itself (`STATUS=` and `ERRNO=` of `sd_notify(3)`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Milliseconds since it entered the state.
    pub since_ms: u64,
    /// How often it was restarted by itself.
    pub restarts: u32,
    /// Text from its file.
    pub description: String,
    /// When a timer starts it next, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_ms: Option<i64>,
    /// What it watches (`[[path]]`), an entry each, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watches: Option<Vec<String>>,
    /// How many descriptors it has left for its next run (`[fdstore]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<u32>,
}

/// All timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerList {
    /// One entry per timer, by the name of the unit.
    pub timers: Vec<TimerStatus>,
    /// Seconds that the time zone of the machine is east of UTC now.
    pub utc_offset: i32,
}

/// One timer. Moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerStatus {
    /// The unit whose file it is in.
    pub unit: String,
    /// The unit that it starts.
    pub starts: String,
    /// What it waits for, in words.
    pub when: String,
    /// When it elapses next; absent: not before something else happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<i64>,
    /// When it last did, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
}

/// Where the log of each unit is; the client reads the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    /// Paths in the order asked for.
    pub files: Vec<String>,
}

/// How this boot went, unit by unit. All times are milliseconds since the kernel started (`CLOCK_MONOTONIC`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTimes {
    /// When `rinit` began.
    pub began_ms: u64,
    /// The default group.
    pub group: String,
    /// When the default group was through, for good or ill; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through_ms: Option<u64>,
    /// Every unit that was wanted up since, in the order of the plan.
    pub units: Vec<UnitTimes>,
}

/// The first start of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitTimes {
    /// Its name.
    pub name: String,
    /// When it was first wanted up.
    pub wanted_ms: u64,
    /// When those before it were through and its own start began; absent for a group, or if it never came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<u64>,
    /// When its start was decided; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_ms: Option<u64>,
    /// How the start ended, a state as in [`UnitStatus::state`]; `waiting` or `starting` while it goes on.
    pub outcome: String,
    /// The units it waited for: its needs and wants, and those it comes after.
    pub waits_for: Vec<String>,
}

/// What it would do to take the unit files as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// One step per unit that is concerned, by name.
    pub steps: Vec<Step>,
    /// What cannot be used, for people: place, caret and reason.
    pub problems: Vec<String>,
    /// Stands for these unit files, for [`Apply`].
    pub digest: String,
}

/// What happens to one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub unit: String,
    /// What happens.
    pub deed: Deed,
    /// Why, in words.
    pub why: String,
}

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// It is known from now on, and not started.
    Add,
    /// It is started.
    Start,
    /// It is stopped as it was started, and started anew.
    Restart,
    /// Its new definition counts; its processes are not touched.
    Update,
    /// It stays as it was, though its file is another one.
    Keep,
    /// It is stopped, and not known any more.
    Stop,
    /// It is not known any more.
    Remove,
}

impl Deed {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Update => "update",
            Self::Keep => "keep",
            Self::Stop => "stop",
            Self::Remove => "remove",
        }
    }
}

/// Takes the unit files as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// Only if they are those of [`Planned::digest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// `rinit` has been executed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succeeded {
    /// Version of the program that runs now.
    pub version: String,
    /// Units it has taken over.
    pub units: u32,
}

/// What to do with the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Power {
    /// `reboot`, `poweroff`, `halt`, `kexec` or `soft-reboot`.
    pub action: String,
    /// Services are not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
}

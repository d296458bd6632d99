//! `org.rootctl.Store`: snapshots, deploys and the boot menu, spoken by `rootctld` on `/run/rootctl/control.sock`.
//!
//! | open | for |
//! |---|---|
//! | `status` | what runs, what boots next, what is wrong |
//! | `snaps` | snapshots: listed, made, called, kept, deleted and brought back |
//! | `gc` | what the garbage collection takes, and what it leaves |
//! | `doctor` | rules of the layout, held against what is there |
//! | `journal` | what was done to the store |
//! | `diff` | what differs between two snapshots |
//! | `work` | a command in a copy of a snapshot |
//! | `boots` | what boots: tried, judged, gone back to |
//! | `make` | what a store begins with |

mod boots;
mod diff;
mod doctor;
mod gc;
mod journal;
mod make;
mod snaps;
mod status;
mod work;

pub use boots::{BootOk, Deploy, Deployed, Rollback};
pub use diff::{
    BootChange, BootState, Diff, DiffChange, DiffCount, DiffFile, Differences, PackageChange,
};
pub use doctor::{Check, Diagnosis, Doctor, Finding, Severity};
pub use gc::{Collect, Collected, CollectedOne, Fate};
pub use journal::{By, Log, Logged, Operation, Standing};
pub use make::{BuildInitramfs, BuiltInitramfs, Init};
pub use snaps::{
    Delete, Deleted, Freeze, Frozen, Keep, Kept, Label, List, Made, New, Snapshot, SnapshotList,
    Undelete,
};
pub use status::{Status, TrialStatus};
pub use work::{Ran, Run};

use serde::{Deserialize, Serialize};

/// Name of the interface.
pub const INTERFACE: &str = "org.rootctl.Store";
/// Its description in Varlink's own language.
pub const DESCRIPTION: &str = include_str!("../../../varlink/org.rootctl.Store.varlink");

/// Method names. Those marked *progress* may send [`Progress`] replies (`continues`) before the last one when the call
/// asks for `more`.
pub mod method {
    /// `()` to [`super::Status`]
    pub const STATUS: &str = "org.rootctl.Store.Status";
    /// [`super::List`] to [`super::SnapshotList`]
    pub const LIST: &str = "org.rootctl.Store.List";
    /// [`super::One`] to [`super::SnapshotList`] with one entry
    pub const SHOW: &str = "org.rootctl.Store.Show";
    /// [`super::Diff`] to [`super::Differences`]; *progress*
    pub const DIFF: &str = "org.rootctl.Store.Diff";
    /// [`super::New`] to [`super::Made`]; *progress*
    pub const NEW: &str = "org.rootctl.Store.New";
    /// [`super::Delete`] to [`super::Deleted`]; *progress*
    pub const DELETE: &str = "org.rootctl.Store.Delete";
    /// [`super::Undelete`] to [`super::SnapshotList`] with those that came back; *progress*
    pub const UNDELETE: &str = "org.rootctl.Store.Undelete";
    /// [`super::Label`] to [`super::SnapshotList`] with one entry; *progress*
    pub const LABEL: &str = "org.rootctl.Store.Label";
    /// [`super::Keep`] to [`super::Kept`]; *progress*
    pub const KEEP: &str = "org.rootctl.Store.Keep";
    /// [`super::Freeze`] to [`super::Frozen`]; *progress*
    pub const FREEZE: &str = "org.rootctl.Store.Freeze";
    /// [`super::Collect`] to [`super::Collected`]; *progress*
    pub const COLLECT: &str = "org.rootctl.Store.Collect";
    /// [`super::Doctor`] to [`super::Diagnosis`]; *progress*
    pub const DOCTOR: &str = "org.rootctl.Store.Doctor";
    /// [`super::Log`] to [`super::Logged`]
    pub const LOG: &str = "org.rootctl.Store.Log";
    /// [`super::Targets`] to [`super::Diagnosis`] with one check for each; *progress*
    pub const VERIFY: &str = "org.rootctl.Store.Verify";
    /// [`super::One`] to [`super::SnapshotList`]: it and all it was made from, the newest first
    pub const HISTORY: &str = "org.rootctl.Store.History";
    /// [`super::super::replay::Rebase`] to [`super::super::replay::Replayed`]; *progress*
    pub const REBASE: &str = "org.rootctl.Store.Rebase";
    /// [`super::super::replay::Sync`] to [`super::super::replay::Replayed`]; *progress*
    pub const SYNC: &str = "org.rootctl.Store.Sync";
    /// [`super::super::replay::Revert`] to [`super::super::replay::Replayed`] with one entry; *progress*
    pub const REVERT: &str = "org.rootctl.Store.Revert";
    /// [`super::Run`] to [`super::Ran`]; *progress*
    pub const RUN: &str = "org.rootctl.Store.Run";
    /// [`super::super::session::Shell`] to [`super::super::session::ShellEnded`]; *progress*
    pub const SHELL: &str = "org.rootctl.Store.Shell";
    /// `()` to [`super::super::session::SessionList`]
    pub const SESSIONS: &str = "org.rootctl.Store.Sessions";
    /// [`super::super::session::KeepSession`] to [`super::super::session::SessionKept`]; *progress*
    pub const KEEP_SESSION: &str = "org.rootctl.Store.KeepSession";
    /// [`super::super::session::DropSessions`] to [`super::super::session::SessionList`] with those that are gone; *progress*
    pub const DROP_SESSIONS: &str = "org.rootctl.Store.DropSessions";
    /// [`super::super::etc::EtcDiff`] to [`super::super::etc::EtcChanges`]
    pub const ETC_DIFF: &str = "org.rootctl.Store.EtcDiff";
    /// [`super::super::etc::EtcConflicts`] to [`super::super::etc::EtcForetold`]
    pub const ETC_CONFLICTS: &str = "org.rootctl.Store.EtcConflicts";
    /// [`super::super::etc::EtcMerge`] to [`super::super::etc::EtcMerged`]; *progress*
    pub const ETC_MERGE: &str = "org.rootctl.Store.EtcMerge";
    /// [`super::super::etc::EtcRestore`] to [`super::super::etc::EtcChanges`] with those put back; *progress*
    pub const ETC_RESTORE: &str = "org.rootctl.Store.EtcRestore";
    /// [`super::super::etc::EtcSave`] to [`super::super::etc::EtcSaved`]; *progress*
    pub const ETC_SAVE: &str = "org.rootctl.Store.EtcSave";
    /// [`super::Deploy`] to [`super::Deployed`]; *progress*
    pub const DEPLOY: &str = "org.rootctl.Store.Deploy";
    /// [`super::One`] to [`super::super::units::Checked`]
    pub const CHECK_UNITS: &str = "org.rootctl.Store.CheckUnits";
    /// [`super::BootOk`] to [`super::Status`]; *progress*
    pub const BOOT_OK: &str = "org.rootctl.Store.BootOk";
    /// [`super::Rollback`] to [`super::Deployed`]; *progress*
    pub const ROLLBACK: &str = "org.rootctl.Store.Rollback";
    /// [`super::Init`] to [`super::Made`]; *progress*
    pub const INIT: &str = "org.rootctl.Store.Init";
    /// [`super::BuildInitramfs`] to [`super::BuiltInitramfs`]; *progress*
    pub const BUILD_INITRAMFS: &str = "org.rootctl.Store.BuildInitramfs";
}

/// Error names; all carry [`super::init::Problem`]. The comment gives the client's exit code.
pub mod error {
    /// 1: it failed and nothing changed.
    pub const FAILED: &str = "org.rootctl.Store.Failed";
    /// 2: the request makes no sense.
    pub const USAGE: &str = "org.rootctl.Store.Usage";
    /// 3: a rule or a guard says no.
    pub const REFUSED: &str = "org.rootctl.Store.Refused";
    /// 4: somebody else is changing the store.
    pub const BUSY: &str = "org.rootctl.Store.Busy";
    /// 6: two sides differ, and a person has to decide; nothing changed.
    pub const CONFLICT: &str = "org.rootctl.Store.Conflict";
}

/// A step of long work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, in words; for `Run`, a piece of the command's output.
    pub text: String,
    /// `step`, `stdout` or `stderr`; `terminal`: with this reply comes a descriptor (see [`super::session::Shell`]).
    pub stream: String,
}

/// One snapshot by target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct One {
    /// As typed: number, name, `@booted`, …
    pub target: String,
}

/// Snapshots by target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// As typed.
    pub targets: Vec<String>,
}

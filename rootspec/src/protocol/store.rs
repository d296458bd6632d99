//! `org.rootctl.Store`: snapshots, deploys and the boot menu, spoken by `rootctld` on `/run/rootctl/control.sock`.

use serde::{Deserialize, Serialize};

use super::units::UnitProblem;
use crate::SnapshotId;

/// Name of the interface.
pub const INTERFACE: &str = "org.rootctl.Store";
/// Its description in Varlink's own language.
pub const DESCRIPTION: &str = include_str!("../../varlink/org.rootctl.Store.varlink");

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

/// Which snapshots to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Those in the trash instead of those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
}

/// One snapshot by target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct One {
    /// As typed: number, name, `@booted`, …
    pub target: String,
}

/// A look at everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// First put in order what every change puts in order, and read the boot files on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<bool>,
}

/// Snapshots by target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// As typed.
    pub targets: Vec<String>,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// True if something does not work, or will not.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let mut all = self.checks.iter().flat_map(|check| &check.findings);
        all.any(|finding| finding.severity == Severity::Error)
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What: `record`, `boot menu`, `snapshot 3`, …
    pub name: String,
    /// What was found; nothing: all is well.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What, where, why.
    pub message: String,
    /// The command to run next, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or will not.
    Error,
    /// Something is odd and stops nothing.
    Warning,
}

impl Severity {
    /// The word for people, as in the answer.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Which operations to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// At most so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only those that this snapshot has to do with; it need not exist any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The oldest first.
    pub operations: Vec<Operation>,
    /// How many older ones were left out because of `lines`.
    pub earlier: u64,
    /// Lines of the journal that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// One operation that changed the store, or failed. The same in the journal on disk, where a version stands before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// When it began, in seconds since 1970 (UTC).
    pub time: u64,
    /// Kernel's boot id of the system on which it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The running snapshot of this store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<SnapshotId>,
    /// Who did it.
    pub by: By,
    /// User id of whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its control group; under `rinit` it names the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The request in the words of the command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Why it failed; absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All snapshots it has to do with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<SnapshotId>,
    /// Snapshots that are there since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<SnapshotId>,
    /// Snapshots that are not there any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<SnapshotId>,
    /// What boots, before; absent: the same as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Standing>,
    /// What boots, after; absent: the record could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Standing>,
}

/// Who did something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The broker, because somebody asked.
    #[default]
    Request,
    /// The broker, which finished what was left undone.
    Broker,
    /// Not the broker: the boot stage, or an operation whose line was lost with the power.
    Elsewhere,
}

/// What boots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The last confirmed good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<SnapshotId>,
    /// The one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SnapshotId>,
    /// The trial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
}

/// What differs between two snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The old side; the default is the parent of the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The new side.
    pub to: String,
    /// Only what lies at or below one of these paths, written as in [`crate::path_text`]; packages, kernel and initramfs are
    /// left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Also files that differ in their time of change only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<bool>,
    /// Not what differs in owner, mode, attributes or time only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_only: Option<bool>,
    /// No `changes`, only their counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_only: Option<bool>,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Version of this object: fields are only ever added to one version.
    pub schema: u32,
    /// The old side.
    pub from: SnapshotId,
    /// The new side.
    pub to: SnapshotId,
    /// `changes`: found by what was written since the two parted; `everything`: by comparing all of both.
    pub basis: String,
    /// Why everything had to be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// Packages, by database and name.
    pub packages: Vec<PackageChange>,
    /// Kernel and initramfs.
    pub boot: Vec<BootChange>,
    /// How many changes there are in each part, listed or not.
    pub counts: Vec<DiffCount>,
    /// The changes, by path.
    pub changes: Vec<DiffChange>,
    /// How many more there are than one answer lists.
    pub unlisted: u64,
    /// Something was left out, because it lies in folders that not everybody may list.
    pub hidden: bool,
    /// Bytes that were read because the file system alone could not tell.
    pub bytes_read: u64,
}

impl Differences {
    /// Version written by this program.
    pub const SCHEMA: u32 = 1;
}

/// A package that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// `dpkg`, `pacman` or `apk`.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its architecture, where the database has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// `added`, `removed` or `modified`.
    pub change: String,
    /// Version in the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Version in the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A boot file that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootChange {
    /// `kernel` or `initramfs`.
    pub what: String,
    /// In the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BootState>,
    /// In the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BootState>,
}

/// A boot file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootState {
    /// Kernel release it belongs to.
    pub release: String,
    /// Bytes.
    pub size: u64,
    /// Its BLAKE2b-512.
    pub blake2b: String,
}

/// Changes in one part of the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffCount {
    /// `etc`, `boot` or `files`.
    pub part: String,
    /// Paths that only the new one has.
    pub added: u64,
    /// Paths that only the old one has.
    pub removed: u64,
    /// Paths that differ.
    pub modified: u64,
    /// Paths that were somewhere else.
    pub renamed: u64,
    /// Bytes of the files removed, and of those whose content differs, in the old one.
    pub bytes_before: u64,
    /// Bytes of the files added, and of those whose content differs, in the new one.
    pub bytes_after: u64,
}

/// One path that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffChange {
    /// Absolute, written as in [`crate::path_text`]; in the new one, unless removed.
    pub path: String,
    /// `etc`, `boot` or `files`.
    pub part: String,
    /// `added`, `removed`, `modified` or `renamed`.
    pub change: String,
    /// Where it was, if renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Any of `type`, `content`, `target`, `device`, `subvolume`, `mode`, `owner`, `xattr`, `flags`, `time`.
    pub differs: Vec<String>,
    /// In the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DiffFile>,
    /// In the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DiffFile>,
}

/// What a path is in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffFile {
    /// `file`, `dir`, `link`, `char`, `block`, `fifo`, `socket`, `subvolume` or `unknown`.
    pub kind: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a file, or of a link's target.
    pub size: u64,
}

/// A new snapshot as a copy of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct New {
    /// What to copy; the default is `@booted`, else `@good`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its place in the tree is beside the one it is copied from; without a word it is below that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<bool>,
    /// Its place in the tree is below this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// It stands on its own in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<bool>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its id.
    pub id: SnapshotId,
    /// What would be done; only in a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// Snapshots to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// As typed.
    pub targets: Vec<String>,
    /// Also everything below them in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<bool>,
    /// For good, at once; then those in the trash may be named as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Only say what would be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Snapshots to bring back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelete {
    /// Number, name or unique prefix of a name of a deleted one.
    pub targets: Vec<String>,
    /// Only say what would come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Delete what no rule keeps, and throw away what was deleted long ago.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collect {
    /// What stays: `last=N,daily=N,weekly=N,monthly=N,trash=DAYS`; what is not named is 0, the trash keeps its days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// For good, at once, the whole trash included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Nothing but these, which a plan named before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<SnapshotId>>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What was collected, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// The policy that counted.
    pub policy: String,
    /// All snapshots by id, then all that were in the trash.
    pub snapshots: Vec<CollectedOne>,
}

/// What a collection does with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is left alone.
    Stays,
    /// It is deleted, and can be brought back.
    Trash,
    /// It is thrown away for good.
    Purge,
}

/// What becomes of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedOne {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds since 1970 (UTC).
    pub created: u64,
    /// When it was deleted, of one in the trash; 0: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// What that is.
    pub verdict: Fate,
    /// Why.
    pub why: String,
}

/// Another name or note for a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// As typed.
    pub target: String,
    /// Its new name; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its new note; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Only say whether it could be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Keep snapshots, or keep them no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// As typed.
    pub targets: Vec<String>,
    /// False: they may be deleted again.
    pub keep: bool,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What is kept now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Those that were named.
    pub ids: Vec<SnapshotId>,
    /// All that are kept.
    pub all: Vec<SnapshotId>,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Their ids.
    pub ids: Vec<SnapshotId>,
}

/// A command to run in a copy of a snapshot; success publishes the copy as a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What to copy.
    pub target: String,
    /// The command: passed on untouched, no shell.
    pub argv: Vec<String>,
    /// Name of the new snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// The command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The new snapshot; absent when the command failed and its work was thrown away.
    pub id: Option<SnapshotId>,
    /// Exit status of the command, 128 + signal if a signal ended it; 0 in a dry run.
    pub status: i32,
    /// What would be done; only in a dry run, where `id` is the number it would get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// Make a snapshot the next one to boot, on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Which.
    pub target: String,
    /// How many tries it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u8>,
    /// Mode as on the kernel command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
    /// Errors in its units do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<bool>,
    /// Try another kernel even where the loader starts it again and again if it stops early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_no_return: Option<bool>,
}

/// What a deploy did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The snapshot.
    pub id: SnapshotId,
    /// The steps, in order.
    pub steps: Vec<String>,
    /// What is wrong with its units; of a rollback nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<UnitProblem>,
}

/// Judge the running snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootOk {
    /// Why it is not good; absent: it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<String>,
}

/// Go back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// To which snapshot; the default is the one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only say what would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
}

/// Make a store and import the base snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// Directory or tar file that holds the root to import.
    pub import: String,
    /// Name of the base snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words for the kernel command line of every entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// Mode as on the kernel command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whose menu is written: `grub` or `limine`; the default is the one found on the ESP, else `grub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
}

/// Build an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInitramfs {
    /// Root whose kernel modules and boot stage are used.
    pub root: String,
    /// Where the image goes.
    pub output: String,
    /// Kernel release; the default is the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only the modules this machine needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_only: Option<bool>,
}

/// An initramfs was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltInitramfs {
    /// Kernel release.
    pub release: String,
    /// Number of modules.
    pub modules: u32,
    /// Bytes of the image.
    pub size: u64,
    /// Its BLAKE2b-512.
    pub blake2b: String,
}

/// All snapshots, or some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// By id.
    pub snapshots: Vec<Snapshot>,
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Nearest ancestor that still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SnapshotId>,
    /// Seconds since 1970 (UTC).
    pub created: u64,
    /// A line for people.
    pub note: String,
    /// How it was made.
    pub origin: String,
    /// Kernel release; absent: it cannot be deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Any of `booted`, `next`, `good`, `previous`, `trial`, `failed`, `pinned`, `image`; of one in the trash `deleted`.
    pub marks: Vec<String>,
    /// What is wrong with it; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// When it was deleted, in seconds since 1970 (UTC); only of one in the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
}

/// The store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The running snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<SnapshotId>,
    /// How its root is put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Why it was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What boots next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SnapshotId>,
    /// The last confirmed good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<SnapshotId>,
    /// The one that was good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SnapshotId>,
    /// The trial, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialStatus>,
    /// The loader whose menu is written: `grub`, `limine` or `none`.
    pub loader: String,
    /// Number of snapshots.
    pub snapshots: u32,
    /// Number of edit sessions, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// What an administrator should know, each with the next command.
    pub warnings: Vec<String>,
}

/// Where a trial stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Which snapshot.
    pub id: SnapshotId,
    /// `armed`, `trying` or `failed`.
    pub phase: String,
    /// Times it was entered.
    pub attempts: u8,
    /// Times it may be entered.
    pub tries_max: u8,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

//! What differs between two snapshots.

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

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

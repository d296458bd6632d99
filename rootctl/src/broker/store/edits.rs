//! Edit sessions on the disk: `sessions/ID/root` is a writable copy of a snapshot, `sessions/ID.toml` says what it is and is
//! locked (flock) by the broker that works in it. The lock of the store is held only while a session begins or ends, never
//! while somebody works in it.
//!
//! A session becomes snapshot ID by one rename; its file goes after that. A file without a folder is what a crash left of a
//! session that has begun or ended, and means nothing. A folder holds somebody's work, and only the person deletes it, unless
//! the file names a command: such a copy lives as long as its lock is held, and is garbage afterwards.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use rootspec::spot::read_toml;
use rootspec::{SnapshotId, SnapshotName};
use serde::{Deserialize, Serialize};
use sys::fs::FileLock;

use super::publish::Draft;
use super::{Store, StoreLock, subvol};
use crate::guard::Guard;
use crate::progress::point;
use crate::run::Additions;

/// Largest file of a session that is read, in bytes: a meta file and some lines.
const LIMIT: u64 = 16 * 1024;
/// Ending of the file of a session.
const ENDING: &str = ".toml";

/// What a session is. Written once, when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    schema: u32,
    /// Its number.
    pub(crate) id: SnapshotId,
    /// When it began, in seconds since 1970 (UTC).
    pub(crate) created: u64,
    /// Who began it.
    pub(crate) uid: Option<u32>,
    /// The name of that user.
    pub(crate) user: Option<String>,
    /// Name that the snapshot gets.
    pub(crate) name: Option<SnapshotName>,
    /// Note that the snapshot gets.
    pub(crate) note: String,
    /// The command of `rootctl run` that the copy was made for, and goes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// Whose `/etc` the first boot of the snapshot merges forward.
    pub(crate) etc_base: Option<SnapshotId>,
    /// What the initramfs of the copied snapshot was built from, if that could be told.
    pub(crate) built_from: Option<String>,
    /// What is put into the root while something runs in it.
    pub(crate) additions: Additions,
    /// The snapshot that was copied, which may be gone by now.
    pub(crate) from: Meta,
}

impl Record {
    /// Version written by this program.
    pub(crate) const SCHEMA: u32 = 1;
}

/// What is said about a session when it begins.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Name that the snapshot gets.
    pub(crate) name: Option<SnapshotName>,
    /// Note that the snapshot gets.
    pub(crate) note: String,
    /// The command that it is only for.
    pub(crate) command: Option<String>,
    /// Who begins it.
    pub(crate) uid: u32,
    /// The name of that user.
    pub(crate) user: Option<String>,
}

/// A session that somebody works in: nobody else can, until this is dropped.
#[derive(Debug)]
pub(crate) struct Edit {
    /// What it is.
    pub(crate) record: Record,
    dir: PathBuf,
    file: PathBuf,
    lock: FileLock,
}

/// A session as it is listed.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Its number.
    pub(crate) id: SnapshotId,
    /// What it is, or why that cannot be told.
    pub(crate) record: Result<Record>,
    /// Somebody works in it.
    pub(crate) open: bool,
}

/// Folder of a session.
pub(crate) fn folder(store: &Store, id: SnapshotId) -> PathBuf {
    store.path(names::SESSIONS).join(id.to_string())
}

fn file(store: &Store, id: SnapshotId) -> PathBuf {
    store.path(names::SESSIONS).join(format!("{id}{ENDING}"))
}

/// Numbers of all sessions, in order. A store that never had one has no such folder.
pub(crate) fn ids(store: &Store) -> Result<Vec<SnapshotId>> {
    Ok(names_in(store)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect())
}

/// What lies in the folder of sessions, in order.
fn names_in(store: &Store) -> Result<Vec<String>> {
    let dir = store.path(names::SESSIONS);
    let listing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(listing)?,
    };
    let mut all = Vec::new();
    for entry in entries {
        all.extend(entry.with_context(listing)?.file_name().into_string());
    }
    all.sort_by_key(|name| (name.len(), name.clone()));
    Ok(all)
}

/// All sessions, by number.
pub(crate) fn all(store: &Store) -> Result<Vec<Listed>> {
    let one = |id| Listed {
        id,
        record: read(store, id),
        open: is_open(store, id),
    };
    let all = ids(store)?.into_iter().map(one);
    Ok(all.filter(|found| !found.is_abandoned()).collect())
}

/// Does somebody, or a command, work in it?
fn is_open(store: &Store, id: SnapshotId) -> bool {
    FileLock::is_taken(file(store, id)).unwrap_or(false)
}

impl Listed {
    /// A copy for a command that was interrupted.
    fn is_abandoned(&self) -> bool {
        let of_command = |record: &Record| record.command.is_some();
        !self.open && self.record.as_ref().is_ok_and(of_command)
    }
}

fn read(store: &Store, id: SnapshotId) -> Result<Record> {
    let path = file(store, id);
    let text = sys::fs::read_text(&path, LIMIT)?;
    let record: Record = read_toml(&path.display().to_string(), &text, Record::SCHEMA)?;
    if record.id != id {
        anyhow::bail!("{} is about session {}", path.display(), record.id);
    }
    if !subvol::is_subvolume(&folder(store, id).join(names::ROOT)) {
        anyhow::bail!("{} has no root", folder(store, id).display());
    }
    Ok(record)
}

/// Finds a session by its number, or by the name it was given.
pub(crate) fn find(store: &Store, text: &str) -> Result<SnapshotId> {
    let known = ids(store)?;
    let named = |id: &SnapshotId| {
        let name = read(store, *id).ok().and_then(|record| record.name);
        name.is_some_and(|name| name.as_str() == text)
    };
    let found: Vec<SnapshotId> = match text.parse::<SnapshotId>() {
        Ok(id) => known.into_iter().filter(|known| *known == id).collect(),
        Err(_) => known.into_iter().filter(named).collect(),
    };
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Guard::failed(format!("there is no session {:?}", short(text)))
            .next("rootctl session list")
            .err(),
        _ => Guard::usage(format!(
            "{text} is the name of several sessions: use a number"
        ))
        .next("rootctl session list")
        .err(),
    }
}

/// As much of a text somebody typed as fits a message.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Edit {
    /// Makes a session of a draft whose root is a writable copy of the snapshot `from`.
    pub(crate) fn begin(
        store: &Store,
        draft: Draft<'_>,
        (from, etc_base): (Meta, Option<SnapshotId>),
        wishes: Wishes,
    ) -> Result<Self> {
        let id = draft.id();
        let root = draft.root();
        let record = Record {
            schema: Record::SCHEMA,
            id,
            created: super::publish::now(),
            uid: Some(wishes.uid),
            user: wishes.user,
            name: wishes.name,
            note: wishes.note,
            command: wishes.command,
            etc_base,
            built_from: crate::boot_files::built_from(&root, from.kernel.as_ref()),
            additions: Additions::to(&root),
            from,
        };
        sys::fs::make_dir(store.path(names::SESSIONS), 0o700)?;
        let text = toml::to_string(&record).context("cannot write the file of a session")?;
        let file = file(store, id);
        sys::fs::write_atomic(&file, text.as_bytes(), 0o600)?;
        let lock = take(&file, id)?;
        point("T1-recorded")?;
        let dir = folder(store, id);
        draft.move_to(&dir)?;
        point("T2-begun")?;
        Ok(Self {
            record,
            dir,
            file,
            lock,
        })
    }

    /// Takes a session, so that nobody else works in it. What was killed in it is cleared up.
    pub(crate) fn take(store: &Store, id: SnapshotId) -> Result<Self> {
        let file = file(store, id);
        let lock = take(&file, id)?;
        let record = read(store, id).with_context(|| {
            Guard::refused(format!("session {id} is damaged"))
                .next(format!("rootctl session drop {id}"))
        })?;
        let edit = Self {
            record,
            dir: folder(store, id),
            file,
            lock,
        };
        // A try to keep it may have sealed it.
        subvol::set_access(&edit.root(), sys::btrfs::Access::ReadWrite)?;
        edit.clear_up();
        Ok(edit)
    }

    /// Takes away what was put into the root for programs that do not run any more.
    pub(crate) fn clear_up(&self) {
        self.record.additions.take_away(&self.root());
    }

    /// Its root.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join(names::ROOT)
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Throws it away.
    pub(crate) fn throw_away(self, store: &Store, lock: &StoreLock) -> Result<()> {
        bury(store, self.record.id, self.lock, lock)
    }

    /// It has become a snapshot.
    pub(crate) fn kept(self) {
        // A file without a folder means nothing, and the next change removes it.
        if point("T3-kept").is_ok() {
            drop(std::fs::remove_file(&self.file));
        }
    }
}

/// The lock of a session. Whoever begins, goes on with or ends one has the lock of the store, so no two want it at once.
fn take(file: &Path, id: SnapshotId) -> Result<FileLock> {
    if let Some(lock) = FileLock::take_unless_held(file)? {
        return Ok(lock);
    }
    Guard::busy(format!("somebody works in session {id}"))
        .next("end the shell in it, then repeat the command")
        .err()
}

/// Throws a session away that nobody works in.
pub(crate) fn throw_away(store: &Store, id: SnapshotId, lock: &StoreLock) -> Result<()> {
    let held = take(&file(store, id), id)?;
    bury(store, id, held, lock)
}

/// Throws a session away that is held: out of sight in one step, then piece by piece. What a cut leaves is in `tmp/`.
fn bury(store: &Store, id: SnapshotId, held: FileLock, _lock: &StoreLock) -> Result<()> {
    let file = file(store, id);
    let grave = store.path(names::TMP).join(format!("session-{id}"));
    subvol::remove_tree(&grave)?;
    sys::fs::rename_new(folder(store, id), &grave)?;
    sys::fs::sync_dir(store.path(names::SESSIONS))?;
    point("T4-dropped")?;
    drop(std::fs::remove_file(&file));
    drop(held);
    subvol::remove_tree(&grave)
}

/// After a crash: removes files without a folder, and copies whose command was interrupted. Gives the number of those.
pub(crate) fn settle(store: &Store, lock: &StoreLock) -> Result<u32> {
    let mut thrown_away = 0;
    for id in ids(store)? {
        let found = Listed {
            id,
            open: is_open(store, id),
            record: read(store, id),
        };
        if found.is_abandoned() {
            throw_away(store, id, lock)?;
            thrown_away += 1;
        }
    }
    for name in names_in(store)? {
        let Some(Ok(id)) = name.strip_suffix(ENDING).map(str::parse::<SnapshotId>) else {
            continue;
        };
        if !folder(store, id).exists() {
            let file = file(store, id);
            std::fs::remove_file(&file)
                .with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(thrown_away)
}

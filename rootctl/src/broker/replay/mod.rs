//! The change of a snapshot, made once more somewhere else: `rootctl rebase` and `rootctl snap revert`. Snapshots are never
//! changed: the result is new ones, all of them or none.
//!
//! | open | for |
//! |---|---|
//! | `all` | several changes, made and published together |
//! | `sync` | what was made from older versions of a snapshot, on the newest one |
//! | `rebase` | changes on another snapshot, those made on top of them included |
//! | `revert` | a change undone in a copy of a later snapshot |
//! | `line` | who was made from whom (pure) |
//! | `carry` | three trees merged in a draft, conflicts found |

mod all;
mod carry;
mod line;
mod rebase;
mod revert;
mod sync;

pub(crate) use rebase::rebase;
pub(crate) use revert::revert;
pub(crate) use sync::sync;

use std::path::PathBuf;

use anyhow::{Context, Result};
use rootspec::meta::{Meta, Origin};
use rootspec::paths::store as names;
use rootspec::{SnapshotId, SnapshotName};
use sys::btrfs::Access;

use crate::boot_files;
use crate::copy::may_be_copied;
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::session::Session;
use crate::store::publish::{Draft, Facts, Place, Sealed};
use crate::store::{subvol, trash};

/// Most conflicts that an error names.
const NAMED: usize = 20;

/// Where a change leads from and to.
#[derive(Debug)]
struct Change {
    /// Root of what it begins with.
    base: PathBuf,
    /// Root of what it leads to.
    theirs: PathBuf,
}

/// What the new snapshot is made from.
#[derive(Debug)]
struct Ground<'a> {
    /// What it is.
    meta: &'a Meta,
    /// Its folder, published or not.
    dir: PathBuf,
}

/// A new snapshot: what it becomes, and what it is told to be.
#[derive(Debug)]
struct Task<'a> {
    id: SnapshotId,
    ground: Ground<'a>,
    change: &'a Change,
    name: Option<SnapshotName>,
    note: String,
    origin: Origin,
    redoes: Option<SnapshotId>,
}

/// What becomes of what was changed differently on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflicts {
    /// They are told, and nothing is done.
    Stop,
    /// What is there stays.
    Leave,
}

impl Conflicts {
    fn wanted(leave: Option<bool>) -> Self {
        match leave {
            Some(true) => Self::Leave,
            Some(false) | None => Self::Stop,
        }
    }

    /// Is there a no?
    fn must_not_be(self, left: &[String], of: SnapshotId, verb: &str) -> Result<()> {
        if left.is_empty() || self == Self::Leave {
            return Ok(());
        }
        let few: Vec<&str> = left.iter().take(NAMED).map(String::as_str).collect();
        let more = left.len().saturating_sub(few.len());
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Guard::conflict(format!(
            "the change of snapshot {of} meets {} that changed there too, differently: {}{more}; nothing was changed",
            match left.len() {
                1 => "a path".to_owned(),
                count => format!("{count} paths"),
            },
            few.join(", ")
        ))
        .next(format!("{verb} --leave, or make the change by hand: rootctl shell"))
        .err()
    }
}

/// The root of a snapshot that is there, or in the trash.
fn root(session: &Session, id: SnapshotId) -> Option<PathBuf> {
    let places = [
        session.store.snapshot(id),
        trash::folder(&session.store, id),
    ];
    places
        .into_iter()
        .map(|dir| dir.join(names::ROOT))
        .find(|root| subvol::is_subvolume(root))
}

/// What a snapshot changed: from the nearest of its ancestors that is still there.
fn change_of(session: &Session, meta: &Meta) -> Result<Change> {
    may_be_copied(session, meta.id)?;
    let theirs = session.store.snapshot(meta.id).join(names::ROOT);
    match meta.content().iter().find_map(|id| root(session, *id)) {
        Some(base) => Ok(Change { base, theirs }),
        None => Guard::refused(format!(
            "nothing that snapshot {} was made from is there any more: what it changed is not known",
            meta.id
        ))
        .next(format!("rootctl snap history {}", meta.id))
        .err(),
    }
}

/// A draft with the change in it, sealed. Gives how many paths were changed, and those that were left.
fn make<'a>(
    session: &'a Session,
    task: Task<'_>,
    progress: &mut Progress<'_>,
) -> Result<(Sealed<'a>, carry::Carried)> {
    let ground = &task.ground;
    let draft = Draft::new(&session.store, session.lock()?, task.id)?;
    let from = ground.dir.join(names::ROOT);
    subvol::snapshot(&from, &draft.root(), Access::ReadWrite)?;
    let before = boot_files::built_from(&draft.root(), ground.meta.kernel.as_ref());
    point("R2-copied")?;
    let carried = carry::carry(task.change, &draft.root())?;
    point("R3-carried")?;
    let kernel = boot_files::of_changed(&draft, ground.meta, before, Some(&ground.dir), progress)
        .context("with this change it cannot be a snapshot; nothing was changed")?;
    let sealed = draft.seal(Facts {
        name: task.name,
        note: task.note,
        origin: task.origin,
        kernel: Some(kernel),
        etc_base: session.etc_base(ground.meta),
        redoes: task.redoes,
        place: Place::BelowSource,
        source: Some(ground.meta.clone()),
    })?;
    Ok((sealed, carried))
}

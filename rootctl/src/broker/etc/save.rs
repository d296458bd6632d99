//! A new snapshot that ships the live `/etc` of a deployment.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rootspec::etc::merge::{Difference, OF_THE_MACHINE};
use rootspec::meta::Origin;
use rootspec::paths::store as names;
use rootspec::protocol::etc::{EtcSave, EtcSaved};
use sys::btrfs::Access;
use sys::tree;

use super::apply::take;
use super::changes::{answer, between};
use super::trees::{Tree, open_live, open_shipped, shown, whose};
use crate::boot_files;
use crate::copy::{may_be_copied, must_have_room, name, note};
use crate::progress::{Progress, point};
use crate::session::Session;
use crate::store::publish::{Draft, Facts, Place};
use crate::store::subvol;

/// Copies the snapshot, with the live `/etc` in place of the one it ships. What belongs to the machine is left out.
pub(crate) fn save(
    session: &mut Session,
    ask: &EtcSave,
    progress: &mut Progress<'_>,
) -> Result<EtcSaved> {
    let name = name(ask.name.as_deref())?;
    let note = note(ask.note.clone())?;
    let from = whose(session, ask.target.as_deref())?;
    let parent = session.whole(from)?.clone();
    may_be_copied(session, from)?;
    must_have_room(&session.store, 0)?;
    let (shipped, live) = (open_shipped(session, from)?, open_live(session, from)?);
    let mut changes = between(&shipped, &live);
    changes.retain(|(path, _)| is_saved(path, &live));
    let id = session.next_id()?;
    let saved = EtcSaved {
        id,
        changes: changes.iter().cloned().map(answer).collect(),
    };
    if ask.dry_run == Some(true) {
        return Ok(saved);
    }
    let meta = {
        let draft = Draft::new(&session.store, session.lock()?, id)?;
        let source = session.store.snapshot(from);
        progress.step(&format!("copy snapshot {from} with its live /etc"));
        subvol::snapshot(&source.join(names::ROOT), &draft.root(), Access::ReadWrite)?;
        let before = boot_files::built_from(&draft.root(), parent.kernel.as_ref());
        point("S2")?;
        let etc = sys::fs::open_dir(draft.root().join("etc"))?;
        carry(&changes, &live, &etc)?;
        let kernel = boot_files::of_changed(&draft, &parent, before, Some(&source), progress)?;
        draft.publish(Facts {
            name,
            note,
            origin: Origin {
                kind: "etc".into(),
                detail: format!("the live /etc of {from}"),
            },
            kernel: Some(kernel),
            etc_base: session.etc_base(&parent),
            redoes: None,
            place: Place::BelowSource,
            source: Some(parent),
        })?
    };
    session.published(meta);
    Ok(saved)
}

/// Not what belongs to this machine, nor what belongs to a running process.
fn is_saved(path: &std::path::Path, live: &Tree) -> bool {
    use rootspec::etc::stamp::Kind;
    let is_socket = live
        .listing
        .get(path)
        .is_some_and(|stamp| stamp.kind == Kind::Socket);
    !is_socket
        && !OF_THE_MACHINE
            .iter()
            .any(|name| path == std::path::Path::new(name))
}

/// Makes the changes of the live tree to `etc`.
fn carry(changes: &[(PathBuf, Difference)], live: &Tree, etc: &OwnedFd) -> Result<()> {
    for (path, _) in changes.iter().rev() {
        let goes = live.listing.get(path).is_none_or(|stamp| {
            let there = tree::look(etc, path).ok();
            there.is_some_and(|there| there.is_dir() != stamp.is_dir())
        });
        if goes {
            tree::remove_if_empty(etc, path)
                .with_context(|| format!("cannot remove {}", shown(path)))?;
        }
    }
    for (path, _) in changes {
        let Some(stamp) = live.listing.get(path) else {
            continue;
        };
        let copied = if stamp.is_dir() {
            tree::copy_dir(&live.dir, etc, path).map_err(Into::into)
        } else {
            take(&live.dir, path, etc, path)
        };
        copied.with_context(|| format!("cannot save {}", shown(path)))?;
    }
    Ok(())
}

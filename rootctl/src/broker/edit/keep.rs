//! A session becomes a snapshot: checked, sealed, published by one rename.

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::Origin;
use rootspec::protocol::session::{KeepSession, SessionKept};

use crate::boot_files;
use crate::copy::{must_have_room, name, note};
use crate::progress::Progress;
use crate::session::Session;
use crate::store::edits::{self, Edit};
use crate::store::publish::{Draft, Facts, Place};
use crate::store::trash;

/// Keeps it. If it cannot be a snapshot as it is, it stays a session.
pub(crate) fn keep(
    session: &mut Session,
    ask: &KeepSession,
    progress: &mut Progress<'_>,
) -> Result<SessionKept> {
    let other_name = name(ask.name.as_deref())?;
    let other_note = note(ask.note.clone())?;
    let id = edits::find(&session.store, &ask.session)?;
    must_have_room(&session.store, 0)?;
    if ask.dry_run == Some(true) {
        let steps = vec![
            format!("check the root of session {id}"),
            "build its initramfs, if what that is made of was changed".to_owned(),
            format!(
                "publish it, read-only, as snapshot {}",
                number(session, id)?
            ),
        ];
        return Ok(SessionKept { id, steps });
    }
    let edit = Edit::take(&session.store, id)?;
    let record = edit.record.clone();
    let new = number(session, id)?;
    progress.step("check the new root");
    let meta = {
        let dir = edit.dir().to_owned();
        let draft = Draft::of_work(&session.store, session.lock()?, new, dir)?;
        let folder = source(session, record.from.id);
        let kernel = boot_files::of_changed(
            &draft,
            &record.from,
            record.built_from,
            folder.as_deref(),
            progress,
        )
        .context(format!(
            "what was done in session {id} cannot be a snapshot yet; it stays a session (rootctl session resume {id})"
        ))?;
        let detail = format!(
            "session of {}",
            record.user.as_deref().unwrap_or("somebody")
        );
        let facts = Facts {
            name: other_name.or(record.name),
            note: if ask.note.is_some() {
                other_note
            } else {
                record.note
            },
            origin: Origin {
                kind: "shell".into(),
                detail,
            },
            kernel: Some(kernel),
            etc_base: record.etc_base,
            place: Place::BelowSource,
            source: Some(record.from),
        };
        progress.step(&format!("publish snapshot {new}"));
        draft.publish(facts)?
    };
    edit.kept();
    session.published(meta);
    Ok(SessionKept {
        id: new,
        steps: Vec::new(),
    })
}

/// Its own number; another one if something else has that already.
fn number(session: &Session, id: SnapshotId) -> Result<SnapshotId> {
    let is_used = session.entries.iter().any(|entry| entry.id == id)
        || trash::ids(&session.store)?.contains(&id);
    if is_used { session.next_id() } else { Ok(id) }
}

/// The folder of the snapshot that was copied, with its kernel and initramfs, deleted or not.
fn source(session: &Session, from: SnapshotId) -> Option<std::path::PathBuf> {
    let places = [
        session.store.snapshot(from),
        trash::folder(&session.store, from),
    ];
    places.into_iter().find(|dir| {
        dir.join(rootspec::paths::store::INITRD).exists()
            && dir.join(rootspec::paths::store::KERNEL).exists()
    })
}

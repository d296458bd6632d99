//! A session becomes a snapshot: checked, sealed, published by one rename.

use anyhow::{Context, Result};
use rootspec::meta::Origin;
use rootspec::protocol::session::{KeepSession, SessionKept};

use super::copy::{self, Told};
use crate::copy::{must_have_room, name, note};
use crate::progress::Progress;
use crate::session::Session;
use crate::store::edits::{self, Edit};

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
                copy::number(session, id)?
            ),
        ];
        return Ok(SessionKept { id, steps });
    }
    let edit = Edit::take(&session.store, id)?;
    let record = &edit.record;
    let told = Told {
        name: other_name.or_else(|| record.name.clone()),
        note: match ask.note {
            Some(_) => other_note,
            None => record.note.clone(),
        },
        origin: Origin {
            kind: "shell".into(),
            detail: format!(
                "session of {}",
                record.user.as_deref().unwrap_or("somebody")
            ),
        },
    };
    let id = copy::publish(session, &edit, told, progress).context(format!(
        "what was done in session {id} cannot be a snapshot yet; it stays a session (rootctl session resume {id})"
    ))?;
    edit.kept();
    Ok(SessionKept {
        id,
        steps: Vec::new(),
    })
}

//! Sessions are thrown away, for good.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::session::{DropSessions, SessionList};

use super::show;
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::edits;

/// Throws them away: all that are named, or, if one of them cannot be, none.
pub(crate) fn discard(
    session: &mut Session,
    ask: &DropSessions,
    progress: &mut Progress<'_>,
) -> Result<SessionList> {
    let mut ids: Vec<SnapshotId> = Vec::new();
    for text in &ask.sessions {
        let id = edits::find(&session.store, text)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Guard::usage("no session was named")
            .next("rootctl session list")
            .err();
    }
    let mut sessions = show::all(session)?.sessions;
    sessions.retain(|found| ids.contains(&found.id));
    if let Some(open) = sessions.iter().find(|found| found.open) {
        return Guard::busy(format!("somebody works in session {}", open.id))
            .next("end the shell in it, then repeat the command")
            .err();
    }
    if ask.dry_run != Some(true) {
        for id in ids {
            progress.step(&format!("throw session {id} away"));
            edits::throw_away(&session.store, id, session.lock()?)?;
        }
    }
    Ok(SessionList { sessions })
}

//! What sessions there are, and what was changed in them.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use rootspec::protocol::session::{Session as Shown, SessionList};

use crate::diff;
use crate::guard::words;
use crate::session::Session;
use crate::store::edits::{self, Listed, Record};
use crate::store::{Store, trash};

/// All of them. One that is damaged hides no other.
pub(crate) fn all(session: &Session) -> Result<SessionList> {
    let all = edits::all(&session.store)?;
    Ok(SessionList {
        sessions: all
            .into_iter()
            .map(|found| shown(&session.store, found))
            .collect(),
    })
}

/// One whose programs have just ended, or run.
pub(crate) fn one(store: &Store, record: &Record) -> Shown {
    shown(
        store,
        Listed {
            id: record.id,
            record: Ok(record.clone()),
            open: false,
        },
    )
}

fn shown(store: &Store, found: Listed) -> Shown {
    let Listed { id, record, open } = found;
    let (record, damage) = match record {
        Ok(record) => (Some(record), None),
        Err(error) => (None, Some(words(&error))),
    };
    let from = record.as_ref().map(|record| record.from.id);
    Shown {
        id,
        from,
        name: record
            .as_ref()
            .and_then(|record| record.name.as_ref())
            .map(ToString::to_string),
        note: record
            .as_ref()
            .map(|record| record.note.clone())
            .unwrap_or_default(),
        created: record.as_ref().map_or(0, |record| record.created),
        uid: record.as_ref().and_then(|record| record.uid),
        user: record.as_ref().and_then(|record| record.user.clone()),
        open,
        command: record.as_ref().and_then(|record| record.command.clone()),
        changes: from.and_then(|from| changes(store, id, from)),
        damage,
    }
}

/// What differs from the snapshot that was copied, if that is still there.
fn changes(
    store: &Store,
    id: SnapshotId,
    from: SnapshotId,
) -> Option<Vec<rootspec::protocol::store::DiffCount>> {
    let places = [store.snapshot(from), trash::folder(store, from)];
    let old = places
        .iter()
        .map(|dir| dir.join(names::ROOT))
        .find(|root| root.exists())?;
    diff::counted(&old, &edits::folder(store, id).join(names::ROOT)).ok()
}

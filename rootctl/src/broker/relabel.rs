//! `snap rename` and `snap note`: what a snapshot is called. The snapshot itself stays as it was published.

use anyhow::Result;
use rootspec::protocol::store::{Label as Ask, SnapshotList};

use crate::copy::{name, note};
use crate::guard::Guard;
use crate::progress::Progress;
use crate::reconcile::reconcile;
use crate::session::Session;
use crate::status;
use crate::store::label::Label;

/// Changes name or note, or says whether that could be done.
pub(crate) fn relabel(
    session: &mut Session,
    ask: &Ask,
    progress: &mut Progress<'_>,
) -> Result<SnapshotList> {
    if ask.name.is_none() && ask.note.is_none() {
        return Guard::usage("neither a name nor a note was given").err();
    }
    let id = session.resolve(&ask.target)?;
    let unfrozen = session.entry(id)?.unfrozen.clone();
    let mut label = Label::of(session.whole(id)?, unfrozen);
    if let Some(text) = &ask.name {
        label.name = match text.as_str() {
            "" => None,
            text => name(Some(text))?,
        };
    }
    if let Some(text) = &ask.note {
        label.note = note(Some(text.clone()))?;
    }
    if let (Some(_), Some(new)) = (&ask.name, &label.name) {
        let others = session.metas().filter(|meta| meta.id != id);
        let same = others.filter(|meta| meta.name.as_ref() == Some(new));
        if let Some(other) = same.map(|meta| meta.id).max() {
            progress.step(&format!(
                "snapshot {other} is called {new} too; the name means snapshot {}",
                other.max(id)
            ));
        }
    }
    if ask.dry_run != Some(true) {
        label.write(&session.store.snapshot(id), session.lock()?)?;
        for entry in session.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.remark = None;
            if let Some(meta) = &mut entry.meta {
                (meta.name, meta.note) = (label.name.clone(), label.note.clone());
            }
        }
        // The menu shows names and notes.
        reconcile(session, progress)?;
    }
    let mut shown = status::describe(session, session.entry(id)?);
    (shown.name, shown.note) = (label.name.map(|name| name.to_string()), label.note);
    Ok(SnapshotList {
        snapshots: vec![shown],
    })
}

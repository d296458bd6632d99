//! `snap undelete`: a deleted snapshot comes back under its own number, with the `/etc` it had.

use anyhow::Result;
use rootspec::protocol::store::{SnapshotList, Undelete};

use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::status;
use crate::store::{list, trash};

/// Brings snapshots back, or says which would come.
pub(crate) fn undelete(
    session: &mut Session,
    ask: &Undelete,
    progress: &mut Progress<'_>,
) -> Result<SnapshotList> {
    let mut found: Vec<trash::Trashed> = Vec::new();
    for target in &ask.targets {
        let one = trash::find(&session.store, target)?;
        if session.entry(one.entry.id).is_ok() {
            return Guard::refused(format!(
                "there is a snapshot {0} beside the deleted snapshot {0}: somebody put it there by hand",
                one.entry.id
            ))
            .next(format!("rootctl snap show {}", one.entry.id))
            .err();
        }
        if !found.iter().any(|other| other.entry.id == one.entry.id) {
            found.push(one);
        }
    }
    if found.is_empty() {
        return Guard::usage("no deleted snapshot was named")
            .next("rootctl snap list --deleted")
            .err();
    }
    if ask.dry_run == Some(true) {
        let snapshots = found
            .iter()
            .map(|one| status::describe_deleted(session, one));
        return Ok(SnapshotList {
            snapshots: snapshots.collect(),
        });
    }
    let mut snapshots = Vec::new();
    for one in found {
        let id = one.entry.id;
        progress.step(&format!("bring snapshot {id} back"));
        trash::restore(&session.store, id, session.lock()?)?;
        let entry = list::one(&session.store, id);
        session.entries.push(entry);
        session.entries.sort_by_key(|entry| entry.id);
        snapshots.push(status::describe(session, session.entry(id)?));
    }
    Ok(SnapshotList { snapshots })
}

//! `rootctl snap revert`: a change undone, in a copy of a later snapshot.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::meta::Origin;
use rootspec::paths::store as names;
use rootspec::protocol::replay::{Replayed, ReplayedOne, Revert};

use super::{Change, Conflicts, Ground, Task, carry, change_of, make};
use crate::copy::{may_be_copied, must_have_room, name, note};
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::publish;

/// Makes a copy in which the change is undone.
pub(crate) fn revert(
    session: &mut Session,
    ask: &Revert,
    progress: &mut Progress<'_>,
) -> Result<Replayed> {
    let name = name(ask.name.as_deref())?;
    let note = note(ask.note.clone())?;
    let of = session.resolve(&ask.target)?;
    let onto = ground(session, ask, of)?;
    let conflicts = Conflicts::wanted(ask.leave);
    let there = change_of(session, session.whole(of)?)?;
    let back = Change {
        base: there.theirs,
        theirs: there.base,
    };
    let id = session.next_id()?;
    let verb = format!("rootctl snap revert {of} --from {onto}");
    let mut one = ReplayedOne {
        of,
        onto,
        id,
        changes: None,
        left: Vec::new(),
    };
    let dir = session.store.snapshot(onto);
    if ask.dry_run == Some(true) {
        let carried = carry::foretell(&back, &dir.join(names::ROOT))?;
        conflicts.must_not_be(&carried.left, of, &verb)?;
        one.changes = Some(carried.changes);
        one.left = carried.left;
        return Ok(Replayed {
            snapshots: vec![one],
        });
    }
    must_have_room(&session.store, 0)?;
    progress.step(&format!(
        "undo the change of snapshot {of} in a copy of {onto}"
    ));
    let metas = {
        let meta = session.whole(onto)?;
        let task = Task {
            id,
            ground: Ground { meta, dir },
            change: &back,
            name,
            note,
            origin: Origin {
                kind: "revert".into(),
                detail: format!("{onto} without the change of {of}"),
            },
            redoes: None,
        };
        let (sealed, carried) = make(session, task, progress)?;
        conflicts.must_not_be(&carried.left, of, &verb)?;
        one.changes = Some(carried.changes);
        one.left = carried.left;
        publish::publish_all(&session.store, vec![sealed], session.lock()?)?
    };
    for meta in metas {
        session.published(meta);
    }
    Ok(Replayed {
        snapshots: vec![one],
    })
}

/// In a copy of which snapshot: one that has the change.
fn ground(session: &Session, ask: &Revert, of: SnapshotId) -> Result<SnapshotId> {
    let next = format!("rootctl snap revert {of} --from TARGET");
    let from = session.resolve_or_own(ask.from.as_deref(), &next)?;
    let meta = session.whole(from)?;
    may_be_copied(session, from)?;
    if from == of || meta.content().contains(&of) {
        return Ok(from);
    }
    Guard::usage(format!(
        "snapshot {from} was not made from {of}: it has nothing of its change"
    ))
    .next(format!(
        "rootctl snap history {from}, or rootctl snap revert {of} --from TARGET"
    ))
    .err()
}

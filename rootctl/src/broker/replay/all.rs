//! Several changes, each made once more on a snapshot or on a new one of another of them: all are published at once, or none.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::{Meta, Origin};
use rootspec::paths::store as names;
use rootspec::protocol::replay::{Replayed, ReplayedOne};

use super::{Change, Conflicts, Ground, Task, carry, change_of, make};
use crate::copy::must_have_room;
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::publish::{self, Sealed};

/// Most snapshots at once: all of them are made before the first one is seen.
pub(super) const MOST: usize = 256;

/// One of them: what is planned, and the snapshot whose change it is.
#[derive(Debug)]
pub(super) struct Planned {
    /// What is planned. What it is made on comes before it, or is published.
    pub(super) one: ReplayedOne,
    /// Whose change it is.
    pub(super) meta: Meta,
}

/// What is wanted of all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// What becomes of what does not fit.
    pub(super) conflicts: Conflicts,
    /// The command line, for a person who has to decide.
    pub(super) verb: &'a str,
    /// Only say what would be done.
    pub(super) dry_run: bool,
}

/// Makes them, or says what would be made.
pub(super) fn replay(
    session: &mut Session,
    planned: Vec<Planned>,
    wanted: Wanted<'_>,
    progress: &mut Progress<'_>,
) -> Result<Replayed> {
    must_be_few(planned.len(), wanted.verb)?;
    let changes = planned
        .iter()
        .map(|planned| change_of(session, &planned.meta))
        .collect::<Result<Vec<Change>>>()?;
    if wanted.dry_run {
        return foretell(session, planned, &changes, wanted);
    }
    must_have_room(&session.store, 0)?;
    let (metas, snapshots) = made(session, planned, &changes, wanted, progress)?;
    for meta in metas {
        session.published(meta);
    }
    Ok(Replayed { snapshots })
}

fn must_be_few(count: usize, verb: &str) -> Result<()> {
    if count <= MOST {
        return Ok(());
    }
    Guard::refused(format!(
        "`{verb}` would make {count} snapshots; at most {MOST} are made at once"
    ))
    .next("rootctl snap delete what is not needed, or rootctl rebase one of them")
    .err()
}

/// What each of them does to what is there already; of those made on new ones that shows only when they are made.
fn foretell(
    session: &Session,
    planned: Vec<Planned>,
    changes: &[Change],
    wanted: Wanted<'_>,
) -> Result<Replayed> {
    let mut snapshots = Vec::new();
    for (Planned { mut one, .. }, change) in planned.into_iter().zip(changes) {
        if session.entry(one.onto).is_ok() {
            let ours = session.store.snapshot(one.onto).join(names::ROOT);
            let carried = carry::foretell(change, &ours)?;
            wanted
                .conflicts
                .must_not_be(&carried.left, one.of, wanted.verb)?;
            one.changes = Some(carried.changes);
            one.left = carried.left;
        }
        snapshots.push(one);
    }
    Ok(Replayed { snapshots })
}

fn made(
    session: &Session,
    planned: Vec<Planned>,
    changes: &[Change],
    wanted: Wanted<'_>,
    progress: &mut Progress<'_>,
) -> Result<(Vec<Meta>, Vec<ReplayedOne>)> {
    let mut sealed: Vec<Sealed<'_>> = Vec::new();
    let mut places: BTreeMap<SnapshotId, usize> = BTreeMap::new();
    let mut snapshots = Vec::new();
    for (Planned { mut one, meta }, change) in planned.into_iter().zip(changes) {
        progress.step(&format!(
            "make the change of snapshot {} on {} as {}",
            one.of, one.onto, one.id
        ));
        let before = places.get(&one.onto).and_then(|at| sealed.get(*at));
        let ground = match before {
            Some(before) => Ground {
                meta: before.meta(),
                dir: before.dir().to_owned(),
            },
            None => Ground {
                meta: session.whole(one.onto)?,
                dir: session.store.snapshot(one.onto),
            },
        };
        let task = Task {
            id: one.id,
            ground,
            change,
            name: meta.name.clone(),
            note: meta.note.clone(),
            origin: Origin {
                kind: "rebase".into(),
                detail: format!("the change of {} on {}", one.of, one.onto),
            },
            redoes: Some(one.of),
        };
        let (done, carried) = make(session, task, progress)
            .with_context(|| format!("cannot make the change of snapshot {} again", one.of))?;
        wanted
            .conflicts
            .must_not_be(&carried.left, one.of, wanted.verb)?;
        one.changes = Some(carried.changes);
        one.left = carried.left;
        places.insert(one.id, sealed.len());
        sealed.push(done);
        snapshots.push(one);
    }
    let metas = publish::publish_all(&session.store, sealed, session.lock()?)?;
    Ok((metas, snapshots))
}

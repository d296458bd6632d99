//! `rootctl rebase`: what was changed in a snapshot, and in those made from it, on another one.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::protocol::replay::{Rebase, Replayed, ReplayedOne};

use super::all::{self, Planned, Wanted};
use super::{Conflicts, line};
use crate::copy::may_be_copied;
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;

/// Makes the changes again; all new snapshots are published at once, or none.
pub(crate) fn rebase(
    session: &mut Session,
    ask: &Rebase,
    progress: &mut Progress<'_>,
) -> Result<Replayed> {
    let id = session.resolve(&ask.target)?;
    let onto = session.resolve(&ask.onto)?;
    let moving = moving(session, id, onto, ask.recursive == Some(true))?;
    let first = session.next_id()?;
    let plan = plan(&moving, onto, first)?;
    let planned = plan.into_iter().zip(moving);
    let wanted = Wanted {
        conflicts: Conflicts::wanted(ask.leave),
        verb: &format!("rootctl rebase {id} --onto {onto}"),
        dry_run: ask.dry_run == Some(true),
    };
    let planned = planned.map(|(one, meta)| Planned { one, meta }).collect();
    all::replay(session, planned, wanted, progress)
}

/// What moves: the snapshot, and with `recursive` all that was made from it.
fn moving(
    session: &Session,
    id: SnapshotId,
    onto: SnapshotId,
    recursive: bool,
) -> Result<Vec<Meta>> {
    let target = session.whole(id)?;
    may_be_copied(session, onto)?;
    let all: Vec<&Meta> = session.metas().collect();
    let family = line::with_all_made_from(id, &all);
    if family.iter().any(|meta| meta.id == onto) {
        return Guard::usage(format!(
            "snapshot {onto} is snapshot {id} or was made from it, and has its change already"
        ))
        .next("rootctl snap tree")
        .err();
    }
    if target.content().first() == Some(&onto) {
        return Guard::usage(format!("snapshot {id} is made from {onto} as it is"))
            .next(format!("rootctl snap history {id}"))
            .err();
    }
    let moving: Vec<Meta> = match recursive {
        true => family.into_iter().cloned().collect(),
        false => vec![target.clone()],
    };
    for meta in &moving {
        session.whole(meta.id)?;
    }
    Ok(moving)
}

/// The new snapshots with their numbers: each on the new one of what its like was made from.
fn plan(moving: &[Meta], onto: SnapshotId, first: SnapshotId) -> Result<Vec<ReplayedOne>> {
    let mut new: BTreeMap<SnapshotId, SnapshotId> = BTreeMap::new();
    let mut plan = Vec::new();
    for (meta, number) in moving.iter().zip(first.get()..) {
        let id = SnapshotId::new(number).context("there are no numbers left")?;
        let from = meta.content().iter().find_map(|older| new.get(older));
        plan.push(ReplayedOne {
            of: meta.id,
            onto: from.copied().unwrap_or(onto),
            id,
            changes: None,
            left: Vec::new(),
        });
        new.insert(meta.id, id);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;

    #[test]
    fn each_one_goes_on_top_of_the_new_one_of_what_it_was_made_from() {
        let id = |n| SnapshotId::new(n).unwrap();
        let made = |n: u32, lineage: &[u32]| {
            let mut found = meta(n);
            found.lineage = lineage.iter().map(|n| id(*n)).collect();
            found
        };
        let moving = [made(2, &[1]), made(4, &[2, 1]), made(6, &[5, 4, 2, 1])];
        let plan = plan(&moving, id(3), id(9)).unwrap();
        let numbers: Vec<_> = plan
            .iter()
            .map(|one| (one.of.get(), one.onto.get(), one.id.get()))
            .collect();
        assert_eq!(numbers, [(2, 3, 9), (4, 9, 10), (6, 10, 11)]);
    }
}

//! `rootctl sync`: what was made from older versions of a snapshot, made once more on the newest one.
//!
//! Snapshots of one name are versions of one thing. What was made from an older one, and what was made from that, moves; what
//! has moved before, or was made from the newest one, stays. So it may be done at any time, and once more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::protocol::replay::{Replayed, ReplayedOne, Sync};

use super::Conflicts;
use super::all::{self, Planned, Wanted};
use crate::copy::may_be_copied;
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;

/// Moves everything, or says what would move.
pub(crate) fn sync(
    session: &mut Session,
    ask: &Sync,
    progress: &mut Progress<'_>,
) -> Result<Replayed> {
    let onto = session.resolve(&ask.target)?;
    may_be_copied(session, onto)?;
    let old = old_versions(session, onto, ask.from.as_deref())?;
    let metas: Vec<&Meta> = session.metas().collect();
    let moves = moves(&metas, onto, &old);
    let planned = planned(session, &moves)?;
    let wanted = Wanted {
        conflicts: Conflicts::wanted(ask.leave),
        verb: &match &ask.from {
            Some(from) => format!("rootctl sync {onto} --from {from}"),
            None => format!("rootctl sync {onto}"),
        },
        dry_run: ask.dry_run == Some(true),
    };
    if planned.is_empty() {
        return Ok(Replayed {
            snapshots: Vec::new(),
        });
    }
    all::replay(session, planned, wanted, progress)
}

/// The one that was named, else all older ones of the same name.
fn old_versions(
    session: &Session,
    onto: SnapshotId,
    from: Option<&str>,
) -> Result<BTreeSet<SnapshotId>> {
    if let Some(from) = from {
        let from = session.resolve(from)?;
        if from == onto {
            return Guard::usage(format!("snapshot {onto} is no older version of itself"))
                .next(format!("rootctl sync {onto} --from OLDER"))
                .err();
        }
        return Ok([from].into());
    }
    let Some(name) = &session.whole(onto)?.name else {
        return Guard::usage(format!(
            "snapshot {onto} has no name, by which its older versions would be known"
        ))
        .next(format!(
            "rootctl sync {onto} --from OLDER, or rootctl snap rename {onto} NAME"
        ))
        .err();
    };
    let older = session
        .metas()
        .filter(|meta| meta.id < onto && meta.name.as_ref() == Some(name));
    Ok(older.map(|meta| meta.id).collect())
}

/// One change that is to be made again: whose, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    of: SnapshotId,
    onto: Ground,
}

/// What something is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// A snapshot that is there.
    There(SnapshotId),
    /// What this move makes.
    New(usize),
}

/// What must move, each behind what it is made on. Pure; `all` is in the order of the numbers.
fn moves(all: &[&Meta], onto: SnapshotId, old: &BTreeSet<SnapshotId>) -> Vec<Move> {
    let mut search = Search {
        all: all.iter().map(|meta| (meta.id, *meta)).collect(),
        redone: BTreeMap::new(),
        onto,
        old,
        found: BTreeMap::new(),
        moves: Vec::new(),
    };
    for meta in all {
        if let Some(of) = meta.redoes.filter(|of| *of < meta.id) {
            // The newest counts: they come in the order of their numbers.
            search.redone.insert(of, meta.id);
        }
    }
    for meta in all {
        search.place(meta.id);
    }
    search.moves
}

struct Search<'a> {
    all: BTreeMap<SnapshotId, &'a Meta>,
    /// Whose change was made once more, and in which snapshot last.
    redone: BTreeMap<SnapshotId, SnapshotId>,
    onto: SnapshotId,
    old: &'a BTreeSet<SnapshotId>,
    /// What was found out so far; a look that is still under way counts as nothing, so that damage ends.
    found: BTreeMap<SnapshotId, Option<Ground>>,
    moves: Vec<Move>,
}

impl Search<'_> {
    /// Where the newest version of this snapshot is in the end, seen from the newest version of all: what was made from it is
    /// made on that. `None`: it has nothing to do with it.
    fn place(&mut self, id: SnapshotId) -> Option<Ground> {
        if let Some(found) = self.found.get(&id) {
            return *found;
        }
        self.found.insert(id, None);
        let place = self.look(id);
        self.found.insert(id, place);
        place
    }

    fn look(&mut self, id: SnapshotId) -> Option<Ground> {
        if self.old.contains(&id) {
            return Some(Ground::There(self.onto));
        }
        let meta = *self.all.get(&id)?;
        let new = *self.all.get(&self.onto)?;
        if id == self.onto || new.content().contains(&id) {
            return None;
        }
        if let Some(later) = self.redone.get(&id).copied() {
            return self.place(later);
        }
        if meta.content().contains(&self.onto) {
            return Some(Ground::There(id));
        }
        let known = |older: &&SnapshotId| self.all.contains_key(older) || self.old.contains(older);
        let from = *meta.content().iter().find(known)?;
        let onto = self.place(from)?;
        self.moves.push(Move { of: id, onto });
        Some(Ground::New(self.moves.len() - 1))
    }
}

/// The moves with the numbers of what they make.
fn planned(session: &Session, moves: &[Move]) -> Result<Vec<Planned>> {
    let first = session.next_id()?.get();
    let number = |at: usize| {
        let more = u32::try_from(at).unwrap_or(u32::MAX);
        SnapshotId::new(first.saturating_add(more)).context("there are no numbers left")
    };
    let mut planned = Vec::new();
    for (at, Move { of, onto }) in moves.iter().enumerate() {
        planned.push(Planned {
            one: ReplayedOne {
                of: *of,
                onto: match onto {
                    Ground::There(id) => *id,
                    Ground::New(at) => number(*at)?,
                },
                id: number(at)?,
                changes: None,
                left: Vec::new(),
            },
            meta: session.whole(*of)?.clone(),
        });
    }
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn made(n: u32, content: &[u32], redoes: Option<u32>) -> Meta {
        let mut found = meta(n);
        found.lineage = content.iter().map(|n| id(*n)).collect();
        found.redoes = redoes.map(id);
        found
    }

    /// Whose change is made on what: on a snapshot that is there, or on the new one of another.
    fn moved(all: &[Meta], onto: u32, old: &[u32]) -> Vec<(u32, String)> {
        let all: Vec<&Meta> = all.iter().collect();
        let old = old.iter().map(|n| id(*n)).collect();
        let moves = moves(&all, id(onto), &old);
        let shown = moves.iter().map(|one| {
            let onto = match one.onto {
                Ground::There(id) => id.to_string(),
                Ground::New(at) => format!("new {}", moves[at].of),
            };
            (one.of.get(), onto)
        });
        shown.collect()
    }

    fn words(all: &[(u32, &str)]) -> Vec<(u32, String)> {
        all.iter().map(|(n, on)| (*n, (*on).to_owned())).collect()
    }

    #[test]
    fn what_was_made_from_older_versions_moves_once() {
        // 1 is the base, 5 its newer version; 2 and 4 were made from 1, 3 from 2.
        let mut all = vec![
            made(1, &[], None),
            made(2, &[1], None),
            made(3, &[2, 1], None),
            made(4, &[1], None),
            made(5, &[1], None),
            // Made from the newer one: it stays.
            made(6, &[5, 1], None),
        ];
        let expected = words(&[(2, "5"), (3, "new 2"), (4, "5")]);
        assert_eq!(moved(&all, 5, &[1]), expected);
        // When they have moved, nothing is left to do.
        all.push(made(7, &[5, 1], Some(2)));
        all.push(made(8, &[7, 5, 1], Some(3)));
        all.push(made(9, &[5, 1], Some(4)));
        assert!(moved(&all, 5, &[1]).is_empty());
        // What is made from the old one of a moved one later moves onto the new one of it.
        all.push(made(10, &[2, 1], None));
        assert_eq!(moved(&all, 5, &[1]), words(&[(10, "7")]));
        // The next version takes all of them along, and what was replaced is not made twice.
        all.push(made(11, &[5, 1], None));
        let expected = words(&[(6, "11"), (7, "11"), (8, "new 7"), (9, "11"), (10, "new 7")]);
        let mut found = moved(&all, 11, &[1, 5]);
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_has_nothing_to_do_with_it_stays() {
        let all = [
            made(1, &[], None),
            made(2, &[1], None),
            // Between the old version and the new one.
            made(3, &[1], None),
            made(4, &[3, 1], None),
            made(5, &[3, 1], None),
            made(6, &[], None),
            // Its parent, 9, was deleted.
            made(12, &[9, 2, 1], None),
        ];
        assert_eq!(
            moved(&all, 4, &[1]),
            words(&[(2, "4"), (12, "new 2")]),
            "5 was made from 3, which is no version of it"
        );
        assert!(moved(&all, 4, &[]).is_empty());
    }

    #[test]
    fn claims_that_go_in_circles_end() {
        let all = [
            made(1, &[], None),
            made(2, &[3, 1], None),
            made(3, &[2, 1], Some(2)),
            made(4, &[1], None),
        ];
        assert!(moved(&all, 4, &[1]).len() <= 2);
    }
}

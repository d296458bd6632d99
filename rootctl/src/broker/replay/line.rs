//! Who was made from whom. Pure.

use std::collections::BTreeSet;

use rootspec::SnapshotId;
use rootspec::meta::Meta;

/// The nearest of those that `meta` was made from and that is among `all`.
pub(super) fn made_from<'a>(meta: &Meta, all: &[&'a Meta]) -> Option<&'a Meta> {
    let mut older = meta.content().iter();
    older.find_map(|id| all.iter().copied().find(|other| other.id == *id))
}

/// A snapshot and all that was made from it, each behind the one it was made from, and by number otherwise.
pub(super) fn with_all_made_from<'a>(id: SnapshotId, all: &[&'a Meta]) -> Vec<&'a Meta> {
    let mut found: Vec<&Meta> = all.iter().copied().filter(|meta| meta.id == id).collect();
    let mut seen = BTreeSet::from([id]);
    let mut at = 0;
    while let Some(above) = found.get(at).map(|meta| meta.id) {
        let below = all.iter().copied().filter(|meta| {
            made_from(meta, all).is_some_and(|from| from.id == above) && seen.insert(meta.id)
        });
        found.extend(below);
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;

    fn made(n: u32, lineage: &[u32]) -> Meta {
        let mut found = meta(n);
        found.lineage = lineage.iter().filter_map(|n| SnapshotId::new(*n)).collect();
        found
    }

    #[test]
    fn every_one_comes_once_and_behind_what_it_was_made_from() {
        let all = [
            made(1, &[]),
            made(2, &[1]),
            made(3, &[1]),
            made(4, &[2, 1]),
            // Its parent, 5, was deleted.
            made(6, &[5, 4, 2, 1]),
            made(7, &[2, 1]),
        ];
        let all: Vec<&Meta> = all.iter().collect();
        let numbers = |n| -> Vec<u32> {
            let below = with_all_made_from(SnapshotId::new(n).unwrap(), &all);
            below.iter().map(|meta| meta.id.get()).collect()
        };
        assert_eq!(numbers(1), [1, 2, 3, 4, 7, 6]);
        assert_eq!(numbers(2), [2, 4, 7, 6]);
        assert_eq!(numbers(3), [3]);
        assert!(numbers(5).is_empty());
        assert_eq!(made_from(all[4], &all).unwrap().id.get(), 4);
        assert!(made_from(all[0], &all).is_none());
    }
}

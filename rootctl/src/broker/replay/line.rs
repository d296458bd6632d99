//! Who was made from whom. Pure.

use std::collections::BTreeMap;

use rootspec::SnapshotId;
use rootspec::meta::Meta;

/// A snapshot and all that was made from it, each behind the one it was made from, and by number otherwise. What lies between
/// two of them and is not among `all` is passed over. `all` is in the order of the numbers.
pub(super) fn with_all_made_from<'a>(id: SnapshotId, all: &[&'a Meta]) -> Vec<&'a Meta> {
    let there: BTreeMap<SnapshotId, &Meta> = all.iter().map(|meta| (meta.id, *meta)).collect();
    let mut below: BTreeMap<SnapshotId, Vec<&Meta>> = BTreeMap::new();
    for meta in all {
        let mut older = meta.content().iter();
        if let Some(from) = older.find(|older| there.contains_key(older)) {
            below.entry(*from).or_default().push(meta);
        }
    }
    let mut found: Vec<&Meta> = there.get(&id).copied().into_iter().collect();
    let mut at = 0;
    while let Some(above) = found.get(at).map(|meta| meta.id) {
        let made = below.remove(&above).unwrap_or_default().into_iter();
        // Every other one is in one list only.
        found.extend(made.filter(|meta| meta.id != id));
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
        let circle = [made(8, &[9]), made(9, &[8])];
        let circle: Vec<&Meta> = circle.iter().collect();
        let met = with_all_made_from(SnapshotId::new(8).unwrap(), &circle);
        assert_eq!(met.len(), 2, "damage ends");
    }
}

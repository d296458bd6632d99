//! When two snapshots parted: pure.
//!
//! Each snapshot was made as a copy of its parent in one transaction, `made_in`. Two snapshots share everything up to the
//! moment when the first of them left their nearest common ancestor, and in every tree block that only one of them has
//! there is a younger number. An ancestor on the way may have been deleted, and its `made_in` with it; then an earlier
//! moment serves as well, only that more has to be looked at: the number of every snapshot with a smaller id, because ids
//! are given in order.

use rootspec::SnapshotId;
use sys::btrfs::Uuid;

/// What is known of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: SnapshotId,
    pub(super) uuid: Uuid,
    /// The subvolume it was copied from.
    pub(super) parent_uuid: Option<Uuid>,
    /// Transaction in which it was made.
    pub(super) made_in: u64,
    /// What it was copied from, nearest first: not its place in the tree.
    pub(super) lineage: Vec<SnapshotId>,
}

/// The transaction in which `one` and `other` parted, or an earlier one; `Err`: they are no relatives, and why.
pub(super) fn parted(one: &Member, other: &Member, all: &[Member]) -> Result<u64, &'static str> {
    let chain = |member: &Member| -> Vec<SnapshotId> {
        let own = std::iter::once(member.id);
        own.chain(member.lineage.iter().copied()).collect()
    };
    let (mine, theirs) = (chain(one), chain(other));
    let common = mine.iter().find(|id| theirs.contains(id));
    let Some(common) = common else {
        return Err("they have no common ancestor");
    };
    let mut earliest = u64::MAX;
    for chain in [&mine, &theirs] {
        let Some(child) = chain.iter().take_while(|id| *id != common).last() else {
            continue;
        };
        earliest = earliest.min(made(*child, *common, all)?);
    }
    // The same snapshot twice: it never parted.
    Ok(earliest)
}

/// When `child` was made as a copy of `parent`, or earlier.
fn made(child: SnapshotId, parent: SnapshotId, all: &[Member]) -> Result<u64, &'static str> {
    let Some(found) = find(child, all) else {
        let before = all.iter().filter(|member| member.id < child);
        let genuine = before.filter(|member| {
            let parent = member.lineage.first();
            parent.is_none_or(|parent| is_copy(member, *parent, all))
        });
        return Ok(genuine.map(|member| member.made_in).max().unwrap_or(0));
    };
    if is_copy(found, parent, all) {
        Ok(found.made_in)
    } else {
        Err("their subvolumes are no copies of one another")
    }
}

fn find(id: SnapshotId, all: &[Member]) -> Option<&Member> {
    all.iter().find(|member| member.id == id)
}

/// False for what was put in the place of a copy, as from a backup: its numbers tell nothing of when the copy was made.
fn is_copy(member: &Member, parent: SnapshotId, all: &[Member]) -> bool {
    match find(parent, all) {
        Some(parent) => member.parent_uuid == Some(parent.uuid),
        None => member.parent_uuid.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn uuid(n: u32) -> Uuid {
        Uuid([u8::try_from(n).unwrap(); 16])
    }

    /// Made in transaction 10 times its number.
    fn member(n: u32, lineage: &[u32]) -> Member {
        Member {
            id: id(n),
            uuid: uuid(n),
            parent_uuid: lineage.first().map(|n| uuid(*n)),
            made_in: u64::from(n) * 10,
            lineage: lineage.iter().map(|n| id(*n)).collect(),
        }
    }

    fn family() -> Vec<Member> {
        vec![
            member(1, &[]),
            member(2, &[1]),
            member(3, &[1]),
            member(5, &[2, 1]),
            member(6, &[5, 2, 1]),
            member(7, &[]),
        ]
    }

    fn parted_of(all: &[Member], one: u32, other: u32) -> Result<u64, &'static str> {
        let find = |n| all.iter().find(|m| m.id == id(n)).unwrap();
        parted(find(one), find(other), all)
    }

    #[test]
    fn parent_and_child_part_when_the_child_is_made() {
        let all = family();
        assert_eq!(parted_of(&all, 1, 2), Ok(20));
        assert_eq!(parted_of(&all, 2, 1), Ok(20));
        assert_eq!(parted_of(&all, 1, 6), Ok(20), "through 2");
        assert_eq!(parted_of(&all, 2, 6), Ok(50));
    }

    #[test]
    fn siblings_part_when_the_first_of_them_leaves() {
        let all = family();
        assert_eq!(parted_of(&all, 2, 3), Ok(20));
        assert_eq!(parted_of(&all, 6, 3), Ok(20));
    }

    #[test]
    fn a_deleted_ancestor_is_replaced_by_what_was_there_before_it() {
        let mut all = family();
        all.retain(|m| m.id != id(5));
        assert_eq!(parted_of(&all, 2, 6), Ok(30), "3 was there before 5");
        // Not if it was put there later, in the place of the copy it was.
        all[2].parent_uuid = None;
        assert_eq!(parted_of(&all, 2, 6), Ok(20));
        all[2].parent_uuid = Some(uuid(1));
        all.retain(|m| m.id != id(2));
        assert_eq!(parted_of(&all, 1, 6), Ok(10));
        all.retain(|m| m.id != id(1));
        assert_eq!(parted_of(&all, 3, 6), Ok(0), "nothing is known");
    }

    #[test]
    fn what_is_no_copy_is_no_relative() {
        let mut all = family();
        assert!(parted_of(&all, 1, 7).is_err());
        all[1].parent_uuid = None;
        assert!(parted_of(&all, 1, 2).unwrap_err().contains("no copies"));
        all[1].parent_uuid = Some(uuid(9));
        assert!(parted_of(&all, 1, 2).is_err());
    }

    #[test]
    fn a_snapshot_never_parts_from_itself() {
        assert_eq!(parted_of(&family(), 3, 3), Ok(u64::MAX));
    }
}

//! `rootctl snap tree`

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::Snapshot;

use super::{Context, all, marks};
use crate::client::Exit;
use crate::output::Cell;

/// Prints the snapshots below the ones they were made from.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let list = all(context)?;
    context
        .out
        .answer(&list, || context.out.table(&rows(&list.snapshots)))?;
    Ok(Exit::Done)
}

/// Levels that are set in one below the other. What lies deeper says where it belongs: lines stay short, however long
/// a line of descent is.
const DEEPEST: usize = 16;

/// A snapshot that waits for its line.
struct Waiting<'a> {
    node: &'a Snapshot,
    depth: usize,
    /// What stands before it.
    lead: String,
    /// What stands before that of its children.
    below: String,
}

fn rows(all: &[Snapshot]) -> Vec<Vec<Cell>> {
    let ids: HashSet<SnapshotId> = all.iter().map(|one| one.id).collect();
    let parent = |one: &Snapshot| one.parent.filter(|id| ids.contains(id));
    let mut children: HashMap<Option<SnapshotId>, Vec<&Snapshot>> = HashMap::new();
    for one in all {
        children.entry(parent(one)).or_default().push(one);
    }
    let mut rows = Vec::with_capacity(all.len());
    let roots = children.remove(&None).unwrap_or_default();
    let mut waiting: Vec<Waiting<'_>> = roots.into_iter().rev().map(root).collect();
    while let Some(one) = waiting.pop() {
        rows.push(row(&one));
        // Taken away: a store of damaged files could claim a circle, and no snapshot is shown twice.
        let own = children.remove(&Some(one.node.id)).unwrap_or_default();
        let last = own.len().saturating_sub(1);
        let place = |(at, node)| one.child(node, at == last);
        waiting.extend(own.into_iter().enumerate().rev().map(place));
    }
    rows
}

fn root(node: &Snapshot) -> Waiting<'_> {
    Waiting {
        node,
        depth: 0,
        lead: String::new(),
        below: String::new(),
    }
}

impl Waiting<'_> {
    fn child<'a>(&self, node: &'a Snapshot, is_last: bool) -> Waiting<'a> {
        let depth = self.depth + 1;
        if depth > DEEPEST {
            return Waiting {
                node,
                depth,
                lead: format!("{}... ", self.below),
                below: self.below.clone(),
            };
        }
        let (corner, line) = if is_last {
            ("`- ", "   ")
        } else {
            ("|- ", "|  ")
        };
        Waiting {
            node,
            depth,
            lead: format!("{}{corner}", self.below),
            below: format!("{}{line}", self.below),
        }
    }
}

fn row(one: &Waiting<'_>) -> Vec<Cell> {
    let node = one.node;
    let has = |mark: &str| node.marks.iter().any(|m| m == mark);
    let sign = match (has("booted"), has("next")) {
        (true, _) => "*",
        (false, true) => ">",
        (false, false) => " ",
    };
    let name = node.name.as_ref().map(|name| format!(" {name}"));
    let place = node.parent.filter(|_| one.depth > DEEPEST);
    let place = place.map(|parent| format!(" (depth {}, below {parent})", one.depth));
    let (name, place) = (name.unwrap_or_default(), place.unwrap_or_default());
    vec![
        format!("{sign} {}{}{name}{place}", one.lead, node.id).into(),
        marks(node),
        node.note.clone().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: u32, parent: Option<u32>, marks: &[&str]) -> Snapshot {
        Snapshot {
            id: SnapshotId::new(id).unwrap(),
            name: None,
            parent: parent.and_then(SnapshotId::new),
            created: 0,
            note: String::new(),
            origin: String::new(),
            kernel: None,
            marks: marks.iter().map(|m| (*m).to_owned()).collect(),
            damage: None,
            deleted: None,
        }
    }

    #[test]
    fn children_stand_below_their_parent_and_orphans_are_roots() {
        let all = [
            snapshot(1, None, &["good"]),
            snapshot(2, Some(1), &["booted"]),
            snapshot(3, Some(2), &[]),
            snapshot(4, Some(1), &["next"]),
            snapshot(6, Some(5), &[]),
        ];
        let first: Vec<String> = rows(&all)
            .iter()
            .map(|row| format!("{:?}", row[0]))
            .collect();
        for (line, text) in first.iter().zip([
            "\"  1\"",
            "\"* |- 2\"",
            "\"  |  `- 3\"",
            "\"> `- 4\"",
            "\"  6\"",
        ]) {
            assert!(line.contains(text), "{line} lacks {text}");
        }
    }

    #[test]
    fn a_long_line_of_descent_is_not_set_in_for_ever() {
        let from = |n: u32| snapshot(n, n.checked_sub(1).filter(|from| *from > 0), &[]);
        let mut all: Vec<_> = (1..=10_000).map(from).collect();
        all.push(snapshot(10_001, Some(9_000), &[]));
        let lines: Vec<String> = rows(&all)
            .iter()
            .map(|row| format!("{:?}", row[0]))
            .collect();
        assert_eq!(lines.len(), all.len(), "every one is shown");
        assert!(lines[16].contains("   `- 17\""), "{}", lines[16]);
        let deep = "   ... 18 (depth 17, below 17)";
        assert!(lines[17].contains(deep), "{}", lines[17]);
        let branch = "... 10001 (depth 9000, below 9000)";
        assert!(lines[10_000].contains(branch), "{}", lines[10_000]);
        assert!(lines.iter().all(|line| line.len() < 160));
    }

    #[test]
    fn a_circle_of_parents_does_not_hang() {
        let all = [snapshot(1, Some(2), &[]), snapshot(2, Some(1), &[])];
        assert!(rows(&all).len() <= 2);
        let all = [snapshot(1, Some(1), &[]), snapshot(2, Some(1), &[])];
        assert!(rows(&all).len() <= 2);
    }
}

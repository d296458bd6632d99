//! `rootctl snap tree`

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

fn rows(all: &[Snapshot]) -> Vec<Vec<Cell>> {
    let exists = |id: SnapshotId| all.iter().any(|s| s.id == id);
    let mut rows = Vec::new();
    for root in all {
        if !root.parent.is_some_and(exists) {
            branch(all, root, "", "", &mut rows);
        }
    }
    rows
}

/// Adds a snapshot and what was made from it. `lead` stands before it, `below` before its children.
fn branch(all: &[Snapshot], node: &Snapshot, lead: &str, below: &str, rows: &mut Vec<Vec<Cell>>) {
    // A store of damaged files could claim a circle; no snapshot is shown twice.
    if rows.len() >= all.len() {
        return;
    }
    let has = |mark: &str| node.marks.iter().any(|m| m == mark);
    let sign = match (has("booted"), has("next")) {
        (true, _) => "*",
        (false, true) => ">",
        (false, false) => " ",
    };
    let name = node
        .name
        .as_ref()
        .map_or(String::new(), |n| format!(" {n}"));
    rows.push(vec![
        format!("{sign} {lead}{}{name}", node.id).into(),
        marks(node),
        node.note.clone().into(),
    ]);
    let children: Vec<_> = all.iter().filter(|s| s.parent == Some(node.id)).collect();
    for (at, child) in children.iter().enumerate() {
        let (corner, line) = if at + 1 == children.len() {
            ("`- ", "   ")
        } else {
            ("|- ", "|  ")
        };
        let lead = format!("{below}{corner}");
        branch(all, child, &lead, &format!("{below}{line}"), rows);
    }
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
    fn a_circle_of_parents_does_not_hang() {
        let all = [snapshot(1, Some(2), &[]), snapshot(2, Some(1), &[])];
        assert!(rows(&all).len() <= 2);
    }
}

//! `rootctl snap list`

use anyhow::Result;
use rootspec::protocol::store::{List, Snapshot, SnapshotList, method};

use super::{Context, marks};
use crate::cli::SnapList;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone, date};

/// Prints all snapshots, or all deleted ones, one line each.
pub(super) fn run(context: Context<'_>, args: &SnapList) -> Result<Exit> {
    let ask = List {
        deleted: args.deleted.then_some(true),
    };
    let list: SnapshotList = Client::store(context.global)?.call(method::LIST, &ask)?;
    context.out.answer(&list, || {
        let mut titles = ["id", "name", "parent", "made", "kernel", "marks", "note"];
        if args.deleted {
            titles[5] = "deleted";
        }
        let mut rows = vec![titles.map(|t| Cell::new(t, Tone::Strong)).to_vec()];
        rows.extend(list.snapshots.iter().map(row));
        context.out.table(&rows)
    })?;
    Ok(Exit::Done)
}

fn row(snapshot: &Snapshot) -> Vec<Cell> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let made = if snapshot.damage.is_some() {
        String::new()
    } else {
        date(snapshot.created)
    };
    vec![
        snapshot.id.to_string().into(),
        text(&snapshot.name).into(),
        snapshot
            .parent
            .map_or(String::new(), |id| id.to_string())
            .into(),
        made.into(),
        text(&snapshot.kernel).into(),
        match (snapshot.deleted, &snapshot.damage) {
            (Some(0), None) => "?".into(),
            (Some(time), None) => date(time).into(),
            _ => marks(snapshot),
        },
        snapshot.note.clone().into(),
    ]
}

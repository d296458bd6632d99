//! `rootctl snap history`

use anyhow::Result;
use rootspec::protocol::store::{One, Snapshot, SnapshotList, method};

use super::{Context, marks};
use crate::cli::OneTarget;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone, date};

/// Prints a snapshot and all it was made from, the newest first.
pub(super) fn run(context: Context<'_>, args: OneTarget) -> Result<Exit> {
    let ask = One {
        target: args.target,
    };
    let list: SnapshotList = Client::store(context.global)?.call(method::HISTORY, &ask)?;
    context.out.answer(&list, || {
        let titles = ["id", "name", "made", "marks", "by", "note"];
        let mut rows = vec![titles.map(|t| Cell::new(t, Tone::Strong)).to_vec()];
        rows.extend(list.snapshots.iter().map(row));
        context.out.table(&rows)
    })?;
    Ok(Exit::Done)
}

fn row(one: &Snapshot) -> Vec<Cell> {
    let made = match &one.damage {
        Some(_) => String::new(),
        None => date(one.created),
    };
    vec![
        one.id.to_string().into(),
        one.name.clone().unwrap_or_default().into(),
        made.into(),
        marks(one),
        one.origin.clone().into(),
        one.note.clone().into(),
    ]
}

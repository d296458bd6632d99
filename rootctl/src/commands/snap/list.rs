//! `rootctl snap list`

use anyhow::Result;
use rootspec::protocol::store::Snapshot;

use super::{Context, all, marks};
use crate::client::Exit;
use crate::output::{Cell, Tone, date};

/// Prints all snapshots, one line each.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let list = all(context)?;
    context.out.answer(&list, || {
        let titles = ["id", "name", "parent", "made", "kernel", "marks", "note"];
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
        marks(snapshot),
        snapshot.note.clone().into(),
    ]
}

//! `rootctl snap show`

use anyhow::Result;
use rootspec::protocol::store::{One, SnapshotList, method};

use super::{Context, marks};
use crate::cli::OneTarget;
use crate::client::{Client, Exit};
use crate::output::{Cell, date};

/// Prints everything known about one snapshot.
pub(super) fn run(context: Context<'_>, args: OneTarget) -> Result<Exit> {
    let ask = One {
        target: args.target,
    };
    let list: SnapshotList = Client::store(context.global)?.call(method::SHOW, &ask)?;
    context.out.answer(&list, || {
        for found in &list.snapshots {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let mut rows: Vec<Vec<Cell>> = vec![
                vec!["id".into(), found.id.to_string().into()],
                vec!["name".into(), text(&found.name).into()],
                vec![
                    "parent".into(),
                    text(&found.parent.map(|id| id.to_string())).into(),
                ],
                vec!["marks".into(), marks(found)],
            ];
            if found.damage.is_none() {
                rows.push(vec!["made".into(), date(found.created).into()]);
                rows.push(vec!["origin".into(), found.origin.clone().into()]);
                rows.push(vec!["kernel".into(), text(&found.kernel).into()]);
                rows.push(vec!["note".into(), found.note.clone().into()]);
            }
            context.out.table(&rows)?;
            if let Some(damage) = &found.damage {
                context.out.line(&crate::output::clean(damage))?;
            }
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

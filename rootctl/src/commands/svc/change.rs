//! `rootctl svc start`, `stop`, `restart` and `reload`

use anyhow::Result;
use rootspec::protocol::init::{Change, UnitList};

use super::{Context, table};
use crate::cli::ChangeUnits;
use crate::client::{Client, Exit};

/// Asks for the change and prints how the units are afterwards.
pub(super) fn run(context: Context<'_>, method: &str, args: ChangeUnits) -> Result<Exit> {
    context.no_dry_run("svc start, stop, restart and reload")?;
    let ask = Change {
        units: args.units,
        no_wait: args.no_wait.then_some(true),
    };
    let list: UnitList = Client::init()?.call(method, &ask)?;
    context
        .out
        .answer(&list, || context.out.table(&table(&list.units)))?;
    Ok(Exit::Done)
}

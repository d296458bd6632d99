//! `rootctl svc list`

use anyhow::Result;
use rootspec::protocol::init::{UnitList, Units, method};

use super::{Context, table};
use crate::client::{Client, Exit};

/// Prints all units, one line each.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let list: UnitList = Client::init()?.call(method::STATUS, &Units::default())?;
    context
        .out
        .answer(&list, || context.out.table(&table(&list.units)))?;
    Ok(Exit::Done)
}

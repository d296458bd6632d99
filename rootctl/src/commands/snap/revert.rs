//! `rootctl snap revert`

use anyhow::Result;
use rootspec::protocol::replay::{Replayed, Revert};
use rootspec::protocol::store::method;

use super::Context;
use crate::cli::SnapRevert;
use crate::client::{Client, Exit};
use crate::commands::rebase::show;

/// Undoes a change in a copy; prints the new number alone.
pub(super) fn run(context: Context<'_>, args: SnapRevert) -> Result<Exit> {
    let ask = Revert {
        target: args.target,
        from: args.from,
        name: args.name,
        note: args.note,
        leave: args.leave.then_some(true),
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let done: Replayed =
        client.call_with_progress(method::REVERT, &ask, |p| context.out.progress(p))?;
    show(context, &done, "undo the change of")?;
    Ok(Exit::Done)
}

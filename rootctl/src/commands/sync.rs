//! `rootctl sync`

use anyhow::Result;
use rootspec::protocol::replay::{Replayed, Sync as Ask};
use rootspec::protocol::store::method;

use super::{Context, rebase};
use crate::cli::Sync;
use crate::client::{Client, Exit};

/// Makes what was made from older versions once more on the newest one; prints the new numbers, one a line.
pub(super) fn run(context: Context<'_>, args: Sync) -> Result<Exit> {
    let ask = Ask {
        target: args.target,
        from: args.from,
        leave: args.leave.then_some(true),
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let done: Replayed =
        client.call_with_progress(method::SYNC, &ask, |p| context.out.progress(p))?;
    if done.snapshots.is_empty() {
        context
            .out
            .remark("nothing was made from an older version that is not on the newest one already");
    }
    rebase::show(context, &done, "the change of")?;
    Ok(Exit::Done)
}

//! `rootctl etc merge`

use anyhow::Result;
use rootspec::protocol::etc::{EtcMerge, EtcMerged};
use rootspec::protocol::store::method;

use super::{Context, show_merge};
use crate::cli::EtcMergeArgs;
use crate::client::{Client, Exit};

/// Brings what was changed in one live `/etc` into another.
pub(super) fn run(context: Context<'_>, args: EtcMergeArgs) -> Result<Exit> {
    let ask = EtcMerge {
        target: args.target,
        from: args.from,
        beside: args.beside.then_some(true),
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let merged: EtcMerged =
        client.call_with_progress(method::ETC_MERGE, &ask, |p| context.out.progress(p))?;
    context.out.answer(&merged, || {
        if merged.steps.is_empty() {
            context.out.remark("there is nothing to merge");
        } else if context.global.dry_run {
            context
                .out
                .remark("nothing was changed; this would be done:");
        }
        show_merge(context, &merged.steps)
    })?;
    Ok(Exit::Done)
}

//! `rootctl etc restore`

use anyhow::Result;
use rootspec::protocol::etc::{EtcChanges, EtcRestore};
use rootspec::protocol::store::method;

use super::{Context, show_changes};
use crate::cli::EtcRestoreArgs;
use crate::client::{Client, Exit, Failure};
use crate::commands::path_words;

/// Shows what would be lost, asks, then puts it back.
pub(super) fn run(context: Context<'_>, args: EtcRestoreArgs) -> Result<Exit> {
    let mut ask = EtcRestore {
        target: args.target,
        paths: path_words(&args.paths),
        dry_run: Some(true),
    };
    let would: EtcChanges = Client::store(context.global)?.call(method::ETC_RESTORE, &ask)?;
    if context.global.dry_run {
        context.out.answer(&would, || {
            context
                .out
                .remark("nothing was changed; these would be put back:");
            show_changes(context, &would.changes)
        })?;
        return Ok(Exit::Done);
    }
    let question = format!(
        "put {} changed paths back to what snapshot {} ships?",
        would.changes.len(),
        would.id
    );
    if !would.changes.is_empty() && !context.out.confirm(&question)? {
        return Err(Failure::new(Exit::Refused, "nothing was put back").into());
    }
    ask.dry_run = None;
    let mut client = Client::store(context.global)?;
    let done: EtcChanges =
        client.call_with_progress(method::ETC_RESTORE, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || {
        if done.changes.is_empty() {
            context.out.remark("nothing was changed there");
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

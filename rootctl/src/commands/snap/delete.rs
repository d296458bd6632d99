//! `rootctl snap delete`

use anyhow::Result;
use rootspec::protocol::store::{Delete, Deleted, method};

use super::{Context, numbers};
use crate::cli::SnapDelete;
use crate::client::{Client, Exit, Failure};

/// Asks what would be deleted, then the person, then deletes.
pub(super) fn run(context: Context<'_>, args: SnapDelete) -> Result<Exit> {
    let mut ask = Delete {
        targets: args.targets,
        recursive: args.recursive.then_some(true),
        now: args.now.then_some(true),
        dry_run: Some(true),
    };
    let would: Deleted = Client::store(context.global)?.call(method::DELETE, &ask)?;
    if context.global.dry_run {
        context.out.answer(&would, || {
            let line = format!(
                "nothing was changed; this would delete {}",
                numbers(&would.ids)
            );
            context.out.line(&line)
        })?;
        return Ok(Exit::Done);
    }
    let (all, how) = (numbers(&would.ids), if args.now { " for good" } else { "" });
    let question = format!("delete the snapshots {all}{how}?");
    if !context.out.confirm(&question)? {
        return Err(Failure::new(Exit::Refused, "nothing was deleted").into());
    }
    // By number: a name could mean another snapshot by now.
    ask.targets = would.ids.iter().map(ToString::to_string).collect();
    (ask.recursive, ask.dry_run) = (None, None);
    // Anew: nobody keeps a connection while a person thinks.
    let mut client = Client::store(context.global)?;
    let done: Deleted =
        client.call_with_progress(method::DELETE, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || {
        context
            .out
            .remark(&format!("deleted {}{how}", numbers(&done.ids)));
        if !args.now {
            context.out.detail("rootctl snap undelete brings them back");
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

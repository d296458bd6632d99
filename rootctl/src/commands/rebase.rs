//! `rootctl rebase`

use anyhow::Result;
use rootspec::protocol::replay::{Rebase as Ask, Replayed};
use rootspec::protocol::store::method;

use super::Context;
use crate::cli::Rebase;
use crate::client::{Client, Exit};

/// Makes changes once more on another snapshot; prints the new numbers, one a line.
pub(super) fn run(context: Context<'_>, args: Rebase) -> Result<Exit> {
    let ask = Ask {
        target: args.target,
        onto: args.onto,
        recursive: args.recursive.then_some(true),
        leave: args.leave.then_some(true),
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let done: Replayed =
        client.call_with_progress(method::REBASE, &ask, |p| context.out.progress(p))?;
    show(context, &done, "the change of")?;
    Ok(Exit::Done)
}

/// Prints what was made, or would be; what was left as it is goes to standard error.
pub(super) fn show(context: Context<'_>, done: &Replayed, what: &str) -> Result<()> {
    for one in &done.snapshots {
        if !one.left.is_empty() {
            let paths = one.left.join(", ");
            context
                .out
                .remark(&format!("{} is as it was in {}: {paths}", one.id, one.onto));
        }
    }
    context.out.answer(done, || {
        if !context.global.dry_run {
            return done
                .snapshots
                .iter()
                .try_for_each(|one| context.out.line(&one.id.to_string()));
        }
        let step = |one: &rootspec::protocol::replay::ReplayedOne| {
            let paths = match one.changes {
                Some(count) => format!(" ({count} paths)"),
                None => " (what does not fit shows when it is made)".to_owned(),
            };
            format!("{what} {} on {}, as {}{paths}", one.of, one.onto, one.id)
        };
        let steps: Vec<String> = done.snapshots.iter().map(step).collect();
        super::show_steps(context, &steps)
    })
}

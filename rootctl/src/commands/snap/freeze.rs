//! `rootctl snap freeze` and `rootctl snap unfreeze`

use anyhow::Result;
use rootspec::protocol::store::{Freeze, Frozen, method};

use super::Context;
use crate::cli::OneTarget;
use crate::client::{Client, Exit};

/// Lets a snapshot be changed in place, or no longer.
pub(super) fn run(context: Context<'_>, args: OneTarget, frozen: bool) -> Result<Exit> {
    let ask = Freeze {
        target: args.target,
        frozen,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let done: Frozen =
        client.call_with_progress(method::FREEZE, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || {
        let word = if frozen { "frozen" } else { "unfrozen" };
        if done.steps.is_empty() {
            context
                .out
                .remark(&format!("snapshot {} is {word} already", done.id));
        } else if context.global.dry_run {
            for step in &done.steps {
                context.out.line(step)?;
            }
        } else {
            context
                .out
                .remark(&format!("snapshot {} is {word} now", done.id));
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

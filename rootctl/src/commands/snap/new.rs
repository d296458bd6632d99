//! `rootctl snap new`

use anyhow::Result;
use rootspec::protocol::store::{Made, New, method};

use super::Context;
use crate::cli::SnapNew;
use crate::client::{Client, Exit};
use crate::commands::show_steps;

/// Copies a snapshot; prints the new number alone, so that scripts can use it.
pub(super) fn run(context: Context<'_>, args: SnapNew) -> Result<Exit> {
    let ask = New {
        from: args.from,
        name: args.name,
        note: args.note,
        beside: args.beside.then_some(true),
        under: args.under,
        top: args.top.then_some(true),
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let made: Made = client.call_with_progress(method::NEW, &ask, |p| context.out.progress(p))?;
    context.out.answer(&made, || {
        if context.global.dry_run {
            show_steps(context, &made.steps)
        } else {
            context.out.line(&made.id.to_string())
        }
    })?;
    Ok(Exit::Done)
}

//! `rootctl session keep`

use anyhow::Result;
use rootspec::protocol::session::{KeepSession, SessionKept};
use rootspec::protocol::store::method;

use super::Context;
use crate::cli::SessionKeep;
use crate::client::{Client, Exit};
use crate::commands::show_steps;

/// Makes a session a snapshot; prints its number alone.
pub(super) fn run(context: Context<'_>, args: SessionKeep) -> Result<Exit> {
    let ask = KeepSession {
        session: args.session,
        name: args.name,
        note: args.note,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let kept: SessionKept =
        client.call_with_progress(method::KEEP_SESSION, &ask, |p| context.out.progress(p))?;
    context.out.answer(&kept, || {
        if context.global.dry_run {
            show_steps(context, &kept.steps)
        } else {
            context.out.line(&kept.id.to_string())
        }
    })?;
    Ok(Exit::Done)
}

//! `rootctl run`

use anyhow::Result;
use rootspec::protocol::store::{Ran, Run as Ask, method};

use super::{Context, show_steps};
use crate::cli::Run;
use crate::client::{Client, Exit, Failure};

/// Runs a command in a copy of a snapshot; prints the new number alone on stdout's last line.
pub(super) fn run(context: Context<'_>, args: Run) -> Result<Exit> {
    let ask = Ask {
        target: args.target,
        argv: args.argv,
        name: args.name,
        note: args.note,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let ran: Ran = client.call_with_progress(method::RUN, &ask, |p| context.out.progress(p))?;
    match ran.id {
        Some(_) if context.global.dry_run => {
            context
                .out
                .answer(&ran, || show_steps(context, &ran.steps))?;
            Ok(Exit::Done)
        }
        Some(id) => {
            context
                .out
                .answer(&ran, || context.out.line(&id.to_string()))?;
            Ok(Exit::Done)
        }
        None => {
            if context.out.is_json() {
                context.out.answer(&ran, || Ok(()))?;
            }
            let why = format!(
                "the command ended with status {}; its work was thrown away and nothing changed",
                ran.status
            );
            Err(Failure::new(Exit::Failed, why).into())
        }
    }
}

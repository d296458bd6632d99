//! `rootctl deploy`

use anyhow::Result;
use rootspec::protocol::store::{Deploy as Ask, Deployed, method};

use super::{Context, reboot_if, show_deployed};
use crate::cli::Deploy;
use crate::client::{Client, Exit};

/// Arms the trial of a snapshot.
pub(super) fn run(context: Context<'_>, args: Deploy) -> Result<Exit> {
    let ask = Ask {
        target: args.target,
        tries: args.tries,
        mode: args.mode,
        dry_run: context.dry_run(),
        replace_menu: args.replace_menu.then_some(true),
        unchecked: args.unchecked.then_some(true),
        accept_no_return: args.accept_no_return.then_some(true),
    };
    let mut client = Client::store(context.global)?;
    let done: Deployed =
        client.call_with_progress(method::DEPLOY, &ask, |p| context.out.progress(p))?;
    for problem in &done.problems {
        context.out.remark(&problem.text());
    }
    show_deployed(context, &done)?;
    if !context.global.dry_run && !args.reboot {
        context.out.remark(&format!(
            "snapshot {} is tried at the next boot; it becomes the default when it proves good",
            done.id
        ));
    }
    reboot_if(context, args.reboot)?;
    Ok(Exit::Done)
}

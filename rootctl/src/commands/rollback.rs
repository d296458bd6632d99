//! `rootctl rollback`

use anyhow::Result;
use rootspec::protocol::store::{Deployed, Rollback as Ask, method};

use super::{Context, reboot_if, show_deployed};
use crate::cli::Rollback;
use crate::client::{Client, Exit};

/// Makes an earlier snapshot the default.
pub(super) fn run(context: Context<'_>, args: Rollback) -> Result<Exit> {
    let ask = Ask {
        target: args.target,
        dry_run: context.dry_run(),
        replace_menu: args.replace_menu.then_some(true),
    };
    let mut client = Client::store(context.global)?;
    let done: Deployed =
        client.call_with_progress(method::ROLLBACK, &ask, |p| context.out.progress(p))?;
    show_deployed(context, &done)?;
    if !context.global.dry_run && !args.reboot {
        context
            .out
            .remark(&format!("snapshot {} boots next", done.id));
    }
    reboot_if(context, args.reboot)?;
    Ok(Exit::Done)
}

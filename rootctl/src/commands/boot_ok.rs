//! `rootctl boot-ok`

use anyhow::Result;
use rootspec::protocol::store::{BootOk as Ask, Status, method};

use super::{Context, status};
use crate::cli::BootOk;
use crate::client::{Client, Exit};

/// Judges the running snapshot.
pub(super) fn run(context: Context<'_>, args: BootOk) -> Result<Exit> {
    context.no_dry_run("boot-ok")?;
    let ask = Ask {
        reject: args.reject,
    };
    let mut client = Client::store(context.global)?;
    let after: Status =
        client.call_with_progress(method::BOOT_OK, &ask, |p| context.out.progress(p))?;
    status::show(context.out, &after)?;
    Ok(Exit::Done)
}

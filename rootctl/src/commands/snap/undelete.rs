//! `rootctl snap undelete`

use anyhow::Result;
use rootspec::protocol::store::{SnapshotList, Undelete, method};

use super::{Context, numbers};
use crate::cli::SnapUndelete;
use crate::client::{Client, Exit};

/// Brings deleted snapshots back.
pub(super) fn run(context: Context<'_>, args: SnapUndelete) -> Result<Exit> {
    let ask = Undelete {
        targets: args.targets,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let done: SnapshotList =
        client.call_with_progress(method::UNDELETE, &ask, |p| context.out.progress(p))?;
    let ids: Vec<_> = done.snapshots.iter().map(|one| one.id).collect();
    context.out.answer(&done, || {
        if context.global.dry_run {
            let line = format!(
                "nothing was changed; this would bring back {}",
                numbers(&ids)
            );
            return context.out.line(&line);
        }
        context
            .out
            .remark(&format!("brought back {}", numbers(&ids)));
        Ok(())
    })?;
    Ok(Exit::Done)
}

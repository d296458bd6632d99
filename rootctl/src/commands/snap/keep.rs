//! `rootctl snap keep` and `rootctl snap unkeep`

use anyhow::Result;
use rootspec::protocol::store::{Keep, Kept, method};

use super::{Context, numbers};
use crate::cli::SomeTargets;
use crate::client::{Client, Exit};

/// Keeps snapshots, or keeps them no longer; says what is kept now.
pub(super) fn run(context: Context<'_>, args: SomeTargets, keep: bool) -> Result<Exit> {
    let ask = Keep {
        targets: args.targets,
        keep,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let kept: Kept = client.call_with_progress(method::KEEP, &ask, |p| context.out.progress(p))?;
    context.out.answer(&kept, || {
        let all = match kept.all.as_slice() {
            [] => "no snapshot".to_owned(),
            all => numbers(all),
        };
        if context.global.dry_run {
            let line = format!("nothing was changed; then would be kept: {all}");
            return context.out.line(&line);
        }
        context.out.remark(&format!("kept now: {all}"));
        Ok(())
    })?;
    Ok(Exit::Done)
}

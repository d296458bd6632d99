//! `rootctl etc diff`

use anyhow::Result;
use rootspec::protocol::etc::{EtcChanges, EtcDiff};
use rootspec::protocol::store::method;

use super::{Context, show_changes};
use crate::cli::EtcDiffArgs;
use crate::client::{Client, Exit};
use crate::commands::path_words;

/// Prints what was changed, by path.
pub(super) fn run(context: Context<'_>, args: EtcDiffArgs) -> Result<Exit> {
    let ask = EtcDiff {
        target: args.target,
        paths: Some(path_words(&args.paths)).filter(|paths| !paths.is_empty()),
    };
    let found: EtcChanges = Client::store(context.global)?.call(method::ETC_DIFF, &ask)?;
    context
        .out
        .answer(&found, || show_changes(context, &found.changes))?;
    Ok(Exit::Done)
}

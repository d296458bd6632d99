//! `rootctl etc save`

use anyhow::Result;
use rootspec::protocol::etc::{EtcSave, EtcSaved};
use rootspec::protocol::store::method;

use super::{Context, show_changes};
use crate::cli::EtcSaveArgs;
use crate::client::{Client, Exit};

/// Makes a snapshot that ships the live `/etc`; prints its number alone.
pub(super) fn run(context: Context<'_>, args: EtcSaveArgs) -> Result<Exit> {
    let ask = EtcSave {
        target: args.target,
        name: args.name,
        note: args.note,
        dry_run: context.dry_run(),
    };
    let mut client = Client::store(context.global)?;
    let saved: EtcSaved =
        client.call_with_progress(method::ETC_SAVE, &ask, |p| context.out.progress(p))?;
    context.out.answer(&saved, || {
        if !context.global.dry_run {
            return context.out.line(&saved.id.to_string());
        }
        context.out.remark(&format!(
            "nothing was changed; snapshot {} would be made, with these changes:",
            saved.id
        ));
        show_changes(context, &saved.changes)
    })?;
    Ok(Exit::Done)
}

//! `rootctl snap rename` and `rootctl snap note`

use anyhow::Result;
use rootspec::protocol::store::{Label, SnapshotList, method};

use super::Context;
use crate::cli::{SnapNote, SnapRename};
use crate::client::{Client, Exit, Failure};

/// Gives a snapshot another name.
pub(super) fn rename(context: Context<'_>, args: SnapRename) -> Result<Exit> {
    let name = args.name.unwrap_or_default();
    // On the socket an empty name takes the name away, which here has a word of its own.
    if name.is_empty() && !args.clear {
        return Err(Failure::new(Exit::Usage, "\"\" is no snapshot name")
            .next("rootctl snap rename TARGET --clear takes a name away")
            .into());
    }
    change(
        context,
        Label {
            target: args.target,
            name: Some(name),
            ..Label::default()
        },
    )
}

/// Gives a snapshot another line for people.
pub(super) fn note(context: Context<'_>, args: SnapNote) -> Result<Exit> {
    change(
        context,
        Label {
            target: args.target,
            note: Some(args.text.unwrap_or_default()),
            ..Label::default()
        },
    )
}

fn change(context: Context<'_>, mut ask: Label) -> Result<Exit> {
    ask.dry_run = context.dry_run();
    let mut client = Client::store(context.global)?;
    let done: SnapshotList =
        client.call_with_progress(method::LABEL, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || {
        let lead = if context.global.dry_run {
            "nothing was changed; then it would be: "
        } else {
            ""
        };
        for snapshot in &done.snapshots {
            let name = snapshot.name.as_deref().unwrap_or("without a name");
            let note = match snapshot.note.as_str() {
                "" => String::new(),
                note => format!(": {note}"),
            };
            context
                .out
                .remark(&format!("{lead}snapshot {}, {name}{note}", snapshot.id));
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

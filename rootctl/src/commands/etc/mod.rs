//! `rootctl etc …`: one file per verb.

mod conflicts;
mod diff;
mod merge;
mod restore;
mod save;
mod status;

use anyhow::Result;
use rootspec::protocol::etc::{EtcChange, EtcStep};

use super::Context;
use crate::cli::Etc;
use crate::client::Exit;
use crate::output::Tone;

/// Sends each verb to its file.
pub(super) fn run(context: Context<'_>, verb: Etc) -> Result<Exit> {
    match verb {
        Etc::Status(args) => status::run(context, args),
        Etc::Diff(args) => diff::run(context, args),
        Etc::Conflicts(args) => conflicts::run(context, args),
        Etc::Merge(args) => merge::run(context, args),
        Etc::Restore(args) => restore::run(context, args),
        Etc::Save(args) => save::run(context, args),
    }
}

/// Prints changes, one line each, marked as `rootctl diff` does.
fn show_changes(context: Context<'_>, changes: &[EtcChange]) -> Result<()> {
    for change in changes {
        let (sign, tone) = match change.change.as_str() {
            "added" => ("+", Tone::Good),
            "removed" => ("-", Tone::Bad),
            _ => ("~", Tone::Warning),
        };
        let sign = context.out.paint(sign, tone);
        context.out.line(&format!("{sign} {}", change.path))?;
    }
    Ok(())
}

/// Prints the steps of a merge, one line each.
fn show_merge(context: Context<'_>, steps: &[EtcStep]) -> Result<()> {
    for step in steps {
        let words = match step.action.as_str() {
            "remove" => format!("remove {}", step.path),
            "folder" => format!("make the folder {}", step.path),
            "properties" => format!("set owner and mode of {}", step.path),
            "take" => format!("take {}", step.path),
            "accounts" => format!("merge the lines of {}", step.path),
            "beside" => format!(
                "conflict: {} stays; the other one is put beside it as {}.rootctl-new",
                step.path, step.path
            ),
            _ => format!("conflict: {}", step.note.as_deref().unwrap_or(&step.path)),
        };
        let tone = if step.conflict {
            Tone::Warning
        } else {
            Tone::Plain
        };
        context.out.line(&context.out.paint(&words, tone))?;
    }
    Ok(())
}

//! `rootctl snap …`: one file per verb.

mod delete;
mod freeze;
mod gc;
mod history;
mod keep;
mod label;
mod list;
mod new;
mod revert;
mod show;
mod tree;
mod undelete;

use anyhow::Result;
use rootspec::protocol::store::{List, SnapshotList, method};

use super::Context;
use crate::cli::Snap;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone};

/// Numbers for people.
fn numbers(ids: &[rootspec::SnapshotId]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

/// Sends each verb to its file.
pub(super) fn run(context: Context<'_>, verb: Snap) -> Result<Exit> {
    match verb {
        Snap::New(args) => new::run(context, args),
        Snap::Tree => tree::run(context),
        Snap::List(args) => list::run(context, &args),
        Snap::Show(args) => show::run(context, args),
        Snap::History(args) => history::run(context, args),
        Snap::Revert(args) => revert::run(context, args),
        Snap::Rename(args) => label::rename(context, args),
        Snap::Note(args) => label::note(context, args),
        Snap::Keep(args) => keep::run(context, args, true),
        Snap::Unkeep(args) => keep::run(context, args, false),
        Snap::Unfreeze(args) => freeze::run(context, args, false),
        Snap::Freeze(args) => freeze::run(context, args, true),
        Snap::Delete(args) => delete::run(context, args),
        Snap::Undelete(args) => undelete::run(context, args),
        Snap::Verify(args) => crate::commands::doctor::verify(context, args),
        Snap::Gc(args) => gc::run(context, args),
    }
}

fn all(context: Context<'_>) -> Result<SnapshotList> {
    Client::store(context.global)?.call(method::LIST, &List::default())
}

/// The marks of a snapshot, or its damage, as a cell.
fn marks(snapshot: &rootspec::protocol::store::Snapshot) -> Cell {
    if let Some(damage) = &snapshot.damage {
        let first = damage.lines().next().unwrap_or_default();
        return Cell::new(format!("damaged: {first}"), Tone::Bad);
    }
    let has = |mark: &str| snapshot.marks.iter().any(|m| m == mark);
    let tone = if has("failed") {
        Tone::Bad
    } else if has("trial") || has("unfrozen") {
        Tone::Warning
    } else if has("good") {
        Tone::Good
    } else {
        Tone::Plain
    };
    Cell::new(snapshot.marks.join(" "), tone)
}

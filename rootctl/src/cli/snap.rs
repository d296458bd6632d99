//! The verbs of `rootctl snap`.

use clap::{Args, Subcommand};

use super::targets::{OneTarget, SomeTargets};

// `snap …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Snap {
    /// Make a snapshot as a copy of another
    New(SnapNew),
    /// Snapshots below the ones they were made from; * runs, > boots next
    Tree,
    /// Snapshots by number
    List(SnapList),
    /// One snapshot with everything known about it
    Show(OneTarget),
    /// A snapshot and those it was made from, with what was done in each
    History(OneTarget),
    /// Undo what was changed in a snapshot, in a copy of a later one; exit status 6: it does not fit
    Revert(SnapRevert),
    /// Give a snapshot another name
    Rename(SnapRename),
    /// Give a snapshot another line for people
    Note(SnapNote),
    /// Keep snapshots: nothing deletes them, and the boot menu offers them
    Keep(SomeTargets),
    /// Keep snapshots no longer
    Unkeep(SomeTargets),
    /// Let a snapshot be changed in place; it is tried when deployed, and never the default
    Unfreeze(OneTarget),
    /// Let a snapshot be changed no longer: what it holds now is published under its number
    Freeze(OneTarget),
    /// Delete snapshots; what runs, boots next or is kept is refused
    Delete(SnapDelete),
    /// Bring deleted snapshots back, with the /etc they had
    Undelete(SnapUndelete),
    /// Read snapshots to the last byte: whether they are what was published; exit status 1: they are not
    Verify(SomeTargets),
    /// Delete what no rule keeps, and throw away what was deleted long ago
    Gc(SnapGc),
}

// `snap new`
#[derive(Debug, Args)]
pub(crate) struct SnapNew {
    /// Name of the new snapshot
    pub(crate) name: Option<String>,
    /// What to copy [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Its place is beside the one it copies, not below it
    #[arg(long, group = "place")]
    pub(crate) beside: bool,
    /// Its place is below this one
    #[arg(long, group = "place", value_name = "TARGET")]
    pub(crate) under: Option<String>,
    /// It stands on its own, below none
    #[arg(long, group = "place")]
    pub(crate) top: bool,
}

// `snap revert`
#[derive(Debug, Args)]
#[command(
    long_about = "Makes a copy of a snapshot in which the change of one of those that it was made from is undone: what was added \
        there is removed, what was changed or removed is as before. Later changes stay.\n\n\
        What was changed again since is a conflict: the paths are named, and nothing changes (exit status 6)."
)]
pub(crate) struct SnapRevert {
    /// Whose change
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// In a copy of which snapshot [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// Name of the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// What was changed again since stays, and is named
    #[arg(long)]
    pub(crate) leave: bool,
}

// `snap list`
#[derive(Debug, Args)]
pub(crate) struct SnapList {
    /// Those that were deleted and can be brought back
    #[arg(long)]
    pub(crate) deleted: bool,
}

// `snap rename`
#[derive(Debug, Args)]
pub(crate) struct SnapRename {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its new name
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    pub(crate) name: Option<String>,
    /// Take its name away
    #[arg(long)]
    pub(crate) clear: bool,
}

// `snap note`
#[derive(Debug, Args)]
pub(crate) struct SnapNote {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its new note
    #[arg(
        required_unless_present = "clear",
        conflicts_with = "clear",
        allow_hyphen_values = true
    )]
    pub(crate) text: Option<String>,
    /// Take its note away
    #[arg(long)]
    pub(crate) clear: bool,
}

// `snap delete`
#[derive(Debug, Args)]
#[command(
    long_about = "Deletes snapshots: they go into the trash, where `rootctl snap undelete` finds them, and take up room there. \
        With --now they are thrown away for good, and their room is free.\n\n\
        Refused are the running snapshot, the one that boots next, the good one and the one before it, the one on trial, kept \
        ones, the base, and one whose /etc another one takes over at its first boot."
)]
pub(crate) struct SnapDelete {
    /// Which snapshots
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Also everything below them in the tree
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// For good; deleted ones may be named as well
    #[arg(long)]
    pub(crate) now: bool,
}

// `snap gc`
#[derive(Debug, Args)]
#[command(
    long_about = "Deletes snapshots that no rule keeps, and throws away what has been in the trash long enough. With --dry-run it \
        prints what would become of each snapshot and why, and changes nothing.\n\n\
        What runs, boots next, is good, was good before, is on trial, is kept, is the base, is damaged or unfrozen, or has an /etc that \
        another one takes over at its first boot stays in any case."
)]
pub(crate) struct SnapGc {
    /// What stays besides: last=N,daily=N,weekly=N,monthly=N,trash=DAYS [default: last=10,daily=7,weekly=4,monthly=6,trash=14]
    #[arg(long, value_name = "POLICY")]
    pub(crate) keep: Option<String>,
    /// For good, at once, the whole trash included
    #[arg(long)]
    pub(crate) now: bool,
}

// `snap undelete`
#[derive(Debug, Args)]
pub(crate) struct SnapUndelete {
    /// Which deleted snapshots: number, name, or unique prefix of a name
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
}

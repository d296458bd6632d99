//! The verbs of `rootctl etc`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::targets::OptionalTarget;

// `etc …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Etc {
    /// How much was changed against what the snapshot ships, and what waits for a decision
    Status(OptionalTarget),
    /// What was changed against what the snapshot ships: + added, - removed, ~ modified
    Diff(EtcDiffArgs),
    /// What waits for a decision, and what the first boot of a snapshot will merge; exit status 6: there is something to decide
    Conflicts(OptionalTarget),
    /// Bring what was changed in one /etc into that of another deployment, as before going back to it
    Merge(EtcMergeArgs),
    /// Put single paths back to what the snapshot ships
    Restore(EtcRestoreArgs),
    /// Make a new snapshot that ships the live /etc
    Save(EtcSaveArgs),
}

// `etc diff`
#[derive(Debug, Args)]
pub(crate) struct EtcDiffArgs {
    /// Whose /etc [default: @booted, else @good]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Only this file or folder and what is below it; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

// `etc merge`
#[derive(Debug, Args)]
#[command(
    long_about = "Brings what was changed in one live /etc, against what its snapshot ships, into the /etc of another deployment, \
        which is not running: so that going back to it does not bring back an old configuration. A file that was changed in both, \
        differently, is a conflict (exit status 6) and nothing is changed, unless --beside is given: then the file stays there and \
        the other one is put beside it as NAME.rootctl-new.\n\n\
        A snapshot that was never booted needs none of this: its first boot merges, and `rootctl etc conflicts` shows how."
)]
pub(crate) struct EtcMergeArgs {
    /// Into whose /etc
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// From whose [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// Where both were changed, put the other file beside the one that stays
    #[arg(long)]
    pub(crate) beside: bool,
}

// `etc restore`
#[derive(Debug, Args)]
pub(crate) struct EtcRestoreArgs {
    /// Which files and folders in /etc; a folder means all that is below it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Whose /etc [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

// `etc save`
#[derive(Debug, Args)]
pub(crate) struct EtcSaveArgs {
    /// Whose /etc [default: @booted, else @good]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Name of the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

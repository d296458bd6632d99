//! Verbs about rootctl itself: `completion`, `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

// `completion`
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// For which shell
    #[arg(required_unless_present = "candidates")]
    pub(crate) shell: Option<clap_complete::Shell>,
    /// Print the names of one kind, as the script asks for them
    #[arg(long, hide = true, conflicts_with = "shell")]
    pub(crate) candidates: Option<Candidates>,
}

/// What names can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Candidates {
    /// Snapshots
    Snapshots,
    /// Deleted ones
    Deleted,
    /// Sessions
    Sessions,
}

// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page per command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

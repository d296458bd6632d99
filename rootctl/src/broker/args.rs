//! How the broker is started. People never do; `rootctl` and `rinit` do.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The broker behind rootctl: started by socket activation, or by rootctl for one connection.
#[derive(Debug, Clone, Parser)]
#[command(name = "rootctld", version)]
pub(crate) struct Args {
    /// Serve the connection on this descriptor, then end
    #[arg(long, value_name = "FD")]
    pub(crate) serve_fd: Option<RawFd>,
    /// Work on the store in this mounted btrfs top level instead of the running system's
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The mounted EFI system partition [default: found by its partition type]
    #[arg(long, value_name = "DIR")]
    pub(crate) esp: Option<PathBuf>,
    /// Members of this group may change the store, besides root
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Give up connections on which nothing arrives for this many seconds [default: never]
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub(crate) patience: Option<u64>,
    #[command(subcommand)]
    pub(crate) stage: Option<Stage>,
}

/// The broker starts itself again for work that needs namespaces of its own.
#[derive(Debug, Clone, Subcommand)]
#[command(hide = true)]
pub(crate) enum Stage {
    /// Enter new namespaces, then start the next stage as process 1
    #[command(hide = true)]
    Enter(Inside),
    /// Be process 1 of the namespaces: mounts, then the command
    #[command(hide = true)]
    Inside(Inside),
}

/// A command inside another root.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Inside {
    /// The root
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The command
    #[arg(last = true, required = true)]
    pub(crate) argv: Vec<std::ffi::OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }
}

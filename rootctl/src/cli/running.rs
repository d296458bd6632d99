//! Verbs about the running system: `svc`, `boot`, `power`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

// `svc …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Svc {
    /// All units with their state
    List,
    /// The system as a whole, or the units named
    Status(Units),
    /// When units are started by time
    Timers,
    /// Start units and what they need
    Start(ChangeUnits),
    /// Stop units and what needs them
    Stop(ChangeUnits),
    /// Stop units, then start them
    Restart(ChangeUnits),
    /// Let units read their settings again
    Reload(ChangeUnits),
    /// What it would do to take the unit files as they are now
    Plan,
    /// Take the unit files as they are now: do what svc plan shows
    Apply,
    /// Let rinit execute its program anew, with everything that runs: after its file was replaced
    Reexec,
    /// The log of a unit, as rootctl logs shows it
    Logs(UnitLogs),
    /// What is wrong with the unit files, before a boot finds out; exit status 1: errors
    Check(Check),
}

// `svc check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Those of this snapshot, by its own rinit [default: those of the running system]
    #[arg(long, value_name = "TARGET")]
    pub(crate) snapshot: Option<String>,
}

// Units that may be named.
#[derive(Debug, Args)]
pub(crate) struct Units {
    /// Which units
    pub(crate) units: Vec<String>,
}

// Units that must be named.
#[derive(Debug, Args)]
pub(crate) struct ChangeUnits {
    /// Which units
    #[arg(required = true)]
    pub(crate) units: Vec<String>,
    /// Do not wait until the change is done
    #[arg(long)]
    pub(crate) no_wait: bool,
}

// `svc logs`
#[derive(Debug, Args)]
pub(crate) struct UnitLogs {
    /// Which unit
    pub(crate) unit: String,
    /// Go on printing what is added
    #[arg(short, long)]
    pub(crate) follow: bool,
}

// `boot …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Boot {
    /// Units by the time their start took, and the chain that the boot waited for
    Blame,
    /// Draw the boot as an SVG picture: boot stage, units, waits, and the chain that it waited for
    Chart(BootChart),
}

// `boot chart`
#[derive(Debug, Args)]
pub(crate) struct BootChart {
    /// Where the picture goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

// `power`
#[derive(Debug, Args)]
pub(crate) struct Power {
    /// What to do
    pub(crate) action: PowerAction,
    /// Do not wait until services have stopped
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `power` can do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PowerAction {
    /// Start again
    Reboot,
    /// Switch off
    Poweroff,
    /// Stop and leave the machine on
    Halt,
    /// Start the kernel that kexec --load has loaded, without firmware and loader
    Kexec,
    /// Start the root at /run/nextroot, under the same kernel
    SoftReboot,
}

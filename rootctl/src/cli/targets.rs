//! Targets that several verbs take.

use clap::Args;

// A command about one snapshot.
#[derive(Debug, Args)]
pub(crate) struct OneTarget {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
}

// A command about some snapshots.
#[derive(Debug, Args)]
pub(crate) struct SomeTargets {
    /// Which snapshots
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
}

// A command about a snapshot that need not be named.
#[derive(Debug, Args)]
pub(crate) struct OptionalTarget {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

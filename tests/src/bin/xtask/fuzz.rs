//! `cargo xtask fuzz`: hostile bytes for the readers of formats, for as long as one likes.

use crate::Common;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;
use tests::{fuzz, host, say};

/// Options of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these targets; see fuzz/README.md
    targets: Vec<String>,
    /// How long each of them runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Add what reaches further to the corpus
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    host::ensure(options.common.install())?;
    let fuzzers = fuzz::build()?;
    let targets = if options.targets.is_empty() {
        fuzzers.names()
    } else {
        &options.targets
    };
    let mut broken = 0_u32;
    for target in targets {
        say::line(&format!("== {target}, {} s", options.seconds));
        if let Err(why) = fuzzers.run(target, Duration::from_secs(options.seconds)) {
            say::failure(&why);
            broken = broken.saturating_add(1);
        } else if options.keep {
            fuzzers.keep(target)?;
        }
    }
    say::line(&format!("{} targets, {broken} broken", targets.len()));
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

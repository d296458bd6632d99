//! `cargo xtask powercut`: all states in which a cut of the power may leave a disk.

use crate::Common;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Instant;
use tests::powercut::cuts::{Choice, Disk};
use tests::powercut::{examine, story};
use tests::{host, say};

/// Options of `cargo xtask powercut`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Cut after every so-manieth write only
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Beside "everything has landed", so many random parts of what was under way
    #[arg(long, default_value_t = 2)]
    randoms: u32,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    host::ensure(options.common.install())?;
    let start = Instant::now();
    let recording = story::record()?;
    say::line(&format!(
        "recorded in {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    let choice = Choice {
        disk: Disk::Honest,
        every: usize::try_from(options.every)?,
        randoms: usize::try_from(options.randoms)?,
        seed: options.seed,
    };
    let verdict = examine(&recording, choice, |number, all| {
        if number % 500 == 0 {
            say::line(&format!("{number} of {all} states"));
        }
    })?;
    say::line(&verdict.summary());
    if verdict.broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say::line(&verdict.list());
    Ok(ExitCode::FAILURE)
}

//! `cargo xtask bench`: figures against their goals. Nothing here is a timed test: a person reads it.

use crate::Common;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use tests::{host, programs, say};

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Sizes of the programs, and of the initramfs without kernel modules
    Size,
}

/// Bytes a static `rinit` may have.
const RINIT_GOAL: u64 = 5 * 1024 * 1024 / 2;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    host::ensure(options.common.install())?;
    match options.what {
        What::Size => size(),
    }
}

fn size() -> Result<ExitCode> {
    let programs = programs::build()?;
    let rinit = bytes(&programs.rinit)?;
    let good = judge("rinit, static", rinit, RINIT_GOAL);
    for (program, place) in programs.places() {
        say::line(&format!("{:<40} {:>9} bytes", place, bytes(program)?));
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn judge(what: &str, bytes: u64, goal: u64) -> bool {
    let verdict = if bytes <= goal { "kept" } else { "MISSED" };
    say::line(&format!(
        "{what:<40} {bytes:>9} bytes, goal {goal}: {verdict}"
    ));
    bytes <= goal
}

fn bytes(file: &Path) -> Result<u64> {
    Ok(file
        .metadata()
        .with_context(|| format!("cannot read the size of {}", file.display()))?
        .len())
}

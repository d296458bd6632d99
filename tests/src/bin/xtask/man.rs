//! `cargo xtask man`: the whole manual, for packages.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use tests::{manual, say};

/// Options of `cargo xtask man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the pages go
    dir: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let dir = &options.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    manual::write(dir)?;
    say::line(&format!("the manual is in {}", dir.display()));
    Ok(ExitCode::SUCCESS)
}

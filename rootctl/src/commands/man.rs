//! `rootctl man`

use anyhow::{Context as _, Result};
use clap::CommandFactory;

use super::Context;
use crate::cli::{Cli, Man};
use crate::client::Exit;

/// Prints the main page, or writes the pages of all commands into a folder.
pub(super) fn run(context: Context<'_>, args: &Man) -> Result<Exit> {
    let command = Cli::command();
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write the man pages to {}", dir.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .context("cannot write the man page")?;
            context.out.raw(&page)?;
        }
    }
    Ok(Exit::Done)
}

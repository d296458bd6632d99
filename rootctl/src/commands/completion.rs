//! `rootctl completion`

use anyhow::Result;
use clap::CommandFactory;

use super::Context;
use crate::cli::{Cli, Completion};
use crate::client::Exit;

/// Prints the completion script.
pub(super) fn run(context: Context<'_>, args: &Completion) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rootctl", &mut script);
    context.out.raw(&script)?;
    Ok(Exit::Done)
}

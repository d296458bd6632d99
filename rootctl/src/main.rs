//! rootctl: the command people type. It asks the running system's programs over their sockets and prints the answer.
//!
//! | open | for |
//! |---|---|
//! | `cli` | the command line: parser, help, completions and man pages from one definition |
//! | `commands` | one file per verb: what it asks and how the answer looks |
//! | `client` | whom to ask, one call and its replies, errors as exit codes |
//! | `terminal` | the person's terminal while a session has it |
//! | `output` | tables, colours, JSON, questions to the person |
//! | `broker` | the other program of this package, `rootctld`, with the store; start at `broker/main.rs` |
#![forbid(unsafe_code)]

mod cli;
mod client;
mod commands;
mod output;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use crate::client::{Exit, Failure};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed terminal must not turn them into a panic.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let out = Output::new(&cli.global);
    match commands::run(cli, &out) {
        Ok(exit) => exit.code(),
        Err(error) => {
            let exit = error
                .downcast_ref::<Failure>()
                .map_or(Exit::Failed, |failure| failure.exit);
            out.failure(&error);
            exit.code()
        }
    }
}

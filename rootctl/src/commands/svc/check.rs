//! `rootctl svc check`

use std::process::Command;

use anyhow::Result;
use rootspec::paths::program;
use rootspec::protocol::store::{One, method};
use rootspec::protocol::units::Checked;
use sys::run::Stream;

use super::Context;
use crate::cli;
use crate::client::{Client, Exit, Failure};
use crate::output::clean;

/// Prints what is wrong with the units, of the running system or of a snapshot.
pub(super) fn run(context: Context<'_>, args: cli::Check) -> Result<Exit> {
    let checked: Checked = match args.snapshot {
        Some(target) => {
            Client::store(context.global)?.call(method::CHECK_UNITS, &One { target })?
        }
        None => here()?,
    };
    context.out.answer(&checked, || {
        context.out.line(clean(&checked.text()).trim_end())
    })?;
    let good = checked.errors().next().is_none();
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// The linter of the running system.
fn here() -> Result<Checked> {
    let mut answer = String::new();
    let mut command = Command::new(program::PLANNER);
    command.args(["--check", "--json"]);
    let asked = sys::run::lines(&mut command, &mut |stream, line| {
        if stream == Stream::Stdout {
            answer.push_str(line);
        }
    });
    let failed = |why: String| Failure::new(Exit::Failed, why).next("rinit-plan --check");
    asked.map_err(|error| failed(sys::chain(&error)))?;
    let checked = serde_json::from_str(&answer).map_err(|error| {
        let why = format!("{} gave no list of problems: {error}", program::PLANNER);
        failed(why)
    });
    Ok(checked?)
}

//! `rootctl svc reexec`: PID 1 becomes the program that its file holds now

use anyhow::Result;
use rootspec::protocol::init::{Succeeded, method};

use super::Context;
use crate::client::{Client, Exit};

/// Asks for it. The answer comes from the new program.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    context.no_dry_run("svc reexec")?;
    let done: Succeeded = Client::init()?.call(method::REEXEC, &())?;
    let Succeeded { version, units } = &done;
    context.out.answer(&done, || {
        context
            .out
            .line(&format!("rinit {version} goes on with {units} units"))
    })?;
    Ok(Exit::Done)
}

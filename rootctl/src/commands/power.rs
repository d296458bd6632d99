//! `rootctl power`

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use rootspec::protocol::init::{Power, method};
use signal_hook::consts::{SIGHUP, SIGTERM};

use super::Context;
use crate::cli::{self, PowerAction};
use crate::client::{Client, Exit};

/// Takes the machine down in order.
pub(super) fn run(context: Context<'_>, args: &cli::Power) -> Result<Exit> {
    context.no_dry_run("power")?;
    ask_for(args.action, args.force)?;
    context.out.answer(&serde_json::json!({}), || Ok(()))?;
    Ok(Exit::Done)
}

/// Asks `rinit` to do it; the answer comes before the machine goes down.
pub(super) fn ask(action: PowerAction) -> Result<()> {
    ask_for(action, false)
}

fn ask_for(action: PowerAction, force: bool) -> Result<()> {
    let action = match action {
        PowerAction::Reboot => "reboot",
        PowerAction::Poweroff => "poweroff",
        PowerAction::Halt => "halt",
        PowerAction::Kexec => "kexec",
        PowerAction::SoftReboot => "soft-reboot",
    };
    let ask = Power {
        action: action.to_owned(),
        force: force.then_some(true),
    };
    outlive_the_farewell()?;
    let _done: serde_json::Value = Client::init()?.call(method::POWER, &ask)?;
    Ok(())
}

/// The way down sends everyone a hang-up and SIGTERM, often before this program has told that its request was granted.
fn outlive_the_farewell() -> Result<()> {
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&seen))
            .context("cannot prepare for the way down")?;
    }
    Ok(())
}

//! `rootctl power`

use anyhow::Result;
use rootspec::protocol::init::{Power, method};

use super::Context;
use crate::cli::PowerAction;
use crate::client::{Client, Exit};

/// Takes the machine down in order.
pub(super) fn run(context: Context<'_>, action: PowerAction) -> Result<Exit> {
    context.no_dry_run("power")?;
    ask(action)?;
    context.out.answer(&serde_json::json!({}), || Ok(()))?;
    Ok(Exit::Done)
}

/// Asks `rinit` to do it; the answer comes before the machine goes down.
pub(super) fn ask(action: PowerAction) -> Result<()> {
    let action = match action {
        PowerAction::Reboot => "reboot",
        PowerAction::Poweroff => "poweroff",
        PowerAction::Halt => "halt",
    };
    let ask = Power {
        action: action.to_owned(),
    };
    let _done: serde_json::Value = Client::init()?.call(method::POWER, &ask)?;
    Ok(())
}

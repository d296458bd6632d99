//! `rootctl etc status`

use anyhow::Result;
use rootspec::protocol::etc::{EtcChanges, EtcDiff};
use rootspec::protocol::store::method;

use super::Context;
use crate::cli::OptionalTarget;
use crate::client::{Client, Exit};
use crate::output::Tone;

/// Prints how much was changed, and what waits for a decision.
pub(super) fn run(context: Context<'_>, args: OptionalTarget) -> Result<Exit> {
    let ask = EtcDiff {
        target: args.target,
        paths: None,
    };
    let found: EtcChanges = Client::store(context.global)?.call(method::ETC_DIFF, &ask)?;
    context.out.answer(&found, || {
        let count = |what: &str| {
            let all = found.changes.iter().filter(|change| change.change == what);
            all.count()
        };
        context.out.line(&format!(
            "/etc of snapshot {}: {} added, {} removed, {} modified",
            found.id,
            count("added"),
            count("removed"),
            count("modified")
        ))?;
        for path in &found.undecided {
            let words = format!("not decided: {path}");
            context
                .out
                .line(&context.out.paint(&words, Tone::Warning))?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

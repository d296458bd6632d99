//! `rootctl etc conflicts`

use anyhow::Result;
use rootspec::protocol::etc::{EtcConflicts, EtcForetold};
use rootspec::protocol::store::method;

use super::{Context, show_merge};
use crate::cli::OptionalTarget;
use crate::client::{Client, Exit};
use crate::output::Tone;

/// Prints what waits for a decision, and what a first boot will merge; exit status 6: there is something to decide.
pub(super) fn run(context: Context<'_>, args: OptionalTarget) -> Result<Exit> {
    let ask = EtcConflicts {
        target: args.target,
    };
    let found: EtcForetold = Client::store(context.global)?.call(method::ETC_CONFLICTS, &ask)?;
    context.out.answer(&found, || {
        for path in &found.undecided {
            let words = format!("not decided: {path}");
            context
                .out
                .line(&context.out.paint(&words, Tone::Warning))?;
        }
        if let (Some(target), Some(from)) = (found.target, found.from) {
            context.out.remark(&format!(
                "the first boot of snapshot {target} takes over the /etc of {from}, and then does:"
            ));
        }
        show_merge(context, &found.steps)
    })?;
    Ok(if found.needs_decision() {
        Exit::Conflict
    } else {
        Exit::Done
    })
}

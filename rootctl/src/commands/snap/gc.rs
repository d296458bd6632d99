//! `rootctl snap gc`

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{Collect, Collected, CollectedOne, Fate, method};

use super::{Context, numbers};
use crate::cli::SnapGc;
use crate::client::{Client, Exit, Failure};
use crate::output::{Cell, Tone, date};

/// Asks what would be collected, then the person, then collects exactly that.
pub(super) fn run(context: Context<'_>, args: SnapGc) -> Result<Exit> {
    let mut ask = Collect {
        keep: args.keep,
        now: args.now.then_some(true),
        only: None,
        dry_run: Some(true),
    };
    let plan: Collected = Client::store(context.global)?.call(method::COLLECT, &ask)?;
    if context.global.dry_run {
        context.out.answer(&plan, || {
            let line = format!("nothing was changed; by the policy {}:", plan.policy);
            context.out.line(&line)?;
            table(context, &plan)
        })?;
        return Ok(Exit::Done);
    }
    let (trash, purge) = (of(&plan, Fate::Trash), of(&plan, Fate::Purge));
    if trash.is_empty() && purge.is_empty() {
        context.out.answer(&plan, || {
            context.out.remark("nothing is to be deleted");
            Ok(())
        })?;
        return Ok(Exit::Done);
    }
    if !context.out.confirm(&question(&trash, &purge))? {
        return Err(Failure::new(Exit::Refused, "nothing was deleted").into());
    }
    ask.only = Some([trash, purge].concat());
    ask.dry_run = None;
    // Anew: nobody keeps a connection while a person thinks.
    let mut client = Client::store(context.global)?;
    let done: Collected =
        client.call_with_progress(method::COLLECT, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || {
        for (verdict, words) in [(Fate::Trash, "deleted"), (Fate::Purge, "thrown away")] {
            let ids = of(&done, verdict);
            if !ids.is_empty() {
                context.out.remark(&format!("{words}: {}", numbers(&ids)));
            }
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn question(trash: &[SnapshotId], purge: &[SnapshotId]) -> String {
    match (trash, purge) {
        (trash, []) => format!("delete the snapshots {}?", numbers(trash)),
        ([], purge) => format!("throw the snapshots {} away for good?", numbers(purge)),
        (trash, purge) => format!(
            "delete the snapshots {}, and throw {} away for good?",
            numbers(trash),
            numbers(purge)
        ),
    }
}

fn of(plan: &Collected, verdict: Fate) -> Vec<SnapshotId> {
    let some = plan.snapshots.iter().filter(|one| one.verdict == verdict);
    some.map(|one| one.id).collect()
}

fn table(context: Context<'_>, plan: &Collected) -> Result<()> {
    let titles = ["id", "name", "made", "what", "why"];
    let mut rows = vec![titles.map(|t| Cell::new(t, Tone::Strong)).to_vec()];
    rows.extend(plan.snapshots.iter().map(row));
    context.out.table(&rows)
}

fn row(one: &CollectedOne) -> Vec<Cell> {
    let what = match one.verdict {
        Fate::Stays => "stays".into(),
        Fate::Trash => Cell::new("deleted", Tone::Warning),
        Fate::Purge => Cell::new("thrown away", Tone::Bad),
    };
    let made = match one.created {
        0 => String::new(),
        time => date(time),
    };
    vec![
        one.id.to_string().into(),
        one.name.clone().unwrap_or_default().into(),
        made.into(),
        what,
        one.why.clone().into(),
    ]
}

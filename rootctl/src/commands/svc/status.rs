//! `rootctl svc status`

use anyhow::Result;
use rootspec::protocol::init::{Overview, UnitList, UnitStatus, Units, method};

use super::{Context, span, state};
use crate::cli;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone, clean};

/// Prints the system as a whole, or the units named with everything known about them.
pub(super) fn run(context: Context<'_>, args: cli::Units) -> Result<Exit> {
    let mut client = Client::init()?;
    if args.units.is_empty() {
        let overview: Overview = client.call(method::OVERVIEW, &())?;
        context
            .out
            .answer(&overview, || show_overview(context, &overview))?;
    } else {
        let ask = Units { units: args.units };
        let list: UnitList = client.call(method::STATUS, &ask)?;
        context.out.answer(&list, || {
            for (at, unit) in list.units.iter().enumerate() {
                if at > 0 {
                    context.out.line("")?;
                }
                context.out.table(&rows(unit))?;
            }
            Ok(())
        })?;
    }
    Ok(Exit::Done)
}

fn rows(unit: &UnitStatus) -> Vec<Vec<Cell>> {
    let mut rows = vec![
        vec!["unit".into(), Cell::new(unit.name.clone(), Tone::Strong)],
        vec!["kind".into(), unit.kind.clone().into()],
        vec!["state".into(), state(unit)],
        vec!["since".into(), span(unit.since_ms).into()],
    ];
    let mut add = |title: &str, text: String| {
        if !text.is_empty() {
            rows.push(vec![title.into(), text.into()]);
        }
    };
    add("reason", unit.reason.clone());
    add("status", unit.status.clone().unwrap_or_default());
    add("pid", unit.pid.map_or(String::new(), |pid| pid.to_string()));
    add("restarts", unit.restarts.to_string());
    let next = unit.next_start_ms;
    let next = next.map(|next| super::timers::ahead(next, super::timers::now()));
    add("next start", next.unwrap_or_default());
    for watched in unit.watches.iter().flatten() {
        add("watches", watched.clone());
    }
    let stored = unit.stored.map(|count| format!("{count} descriptors"));
    add("stored", stored.unwrap_or_default());
    add("text", unit.description.clone());
    rows
}

fn show_overview(context: Context<'_>, overview: &Overview) -> Result<()> {
    let tone = match overview.verdict.as_str() {
        "good" => Tone::Good,
        "bad" => Tone::Bad,
        _ => Tone::Warning,
    };
    let failed = if overview.failed == 0 {
        Tone::Plain
    } else {
        Tone::Bad
    };
    context.out.table(&[
        vec!["rinit".into(), overview.version.clone().into()],
        vec!["phase".into(), overview.phase.clone().into()],
        vec!["verdict".into(), Cell::new(overview.verdict.clone(), tone)],
        vec!["group".into(), overview.group.clone().into()],
        vec!["units".into(), overview.units.to_string().into()],
        vec!["up".into(), overview.up.to_string().into()],
        vec![
            "failed".into(),
            Cell::new(overview.failed.to_string(), failed),
        ],
    ])?;
    for reason in &overview.reasons {
        context.out.line(&format!("reason: {}", clean(reason)))?;
    }
    for problem in &overview.problems {
        context.out.line(&clean(problem))?;
    }
    Ok(())
}

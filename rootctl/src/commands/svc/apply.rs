//! `rootctl svc plan` and `rootctl svc apply`: unit files as they are now, in the running system

use anyhow::Result;
use rootspec::protocol::init::{Apply, Deed, Planned, Step, UnitList, method};

use super::Context;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone, clean};

/// Says what would be done.
pub(super) fn plan(context: Context<'_>) -> Result<Exit> {
    let planned: Planned = Client::init()?.call(method::PLAN, &())?;
    show(context, &planned)?;
    Ok(Exit::Done)
}

/// Says it and does exactly that: should the files change in between, nothing is done.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let mut client = Client::init()?;
    let planned: Planned = client.call(method::PLAN, &())?;
    if context.global.dry_run || planned.steps.is_empty() {
        show(context, &planned)?;
        return Ok(Exit::Done);
    }
    if !context.out.is_json() {
        show(context, &planned)?;
    }
    let ask = Apply {
        digest: Some(planned.digest),
    };
    let list: UnitList = client.call(method::APPLY, &ask)?;
    context
        .out
        .answer(&list, || context.out.table(&super::table(&list.units)))?;
    Ok(Exit::Done)
}

fn show(context: Context<'_>, planned: &Planned) -> Result<()> {
    context.out.answer(planned, || {
        for problem in &planned.problems {
            context.out.line(clean(problem).trim_end())?;
        }
        if planned.steps.is_empty() {
            context.out.remark("nothing is to be done");
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> = planned.steps.iter().map(row).collect();
        context.out.table(&rows)
    })
}

fn row(step: &Step) -> Vec<Cell> {
    let tone = match step.deed {
        Deed::Start => Tone::Good,
        Deed::Restart | Deed::Keep => Tone::Warning,
        Deed::Stop => Tone::Bad,
        Deed::Add | Deed::Update | Deed::Remove => Tone::Plain,
    };
    vec![
        Cell::new(step.deed.word(), tone),
        step.unit.clone().into(),
        step.why.clone().into(),
    ]
}

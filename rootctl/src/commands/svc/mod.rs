//! `rootctl svc …`: units of the running system, asked of `rinit`; `check` also those of snapshots.

mod apply;
mod change;
mod check;
mod list;
mod reexec;
mod status;
mod timers;

use anyhow::Result;
use rootspec::protocol::init::{UnitStatus, method};

use super::{Context, logs};
use crate::cli::{Logs, Svc, UnitLogs};
use crate::client::Exit;
use crate::output::{Cell, Tone};

/// Sends each verb to its file.
pub(super) fn run(context: Context<'_>, verb: Svc) -> Result<Exit> {
    match verb {
        Svc::List => list::run(context),
        Svc::Status(args) => status::run(context, args),
        Svc::Timers => timers::run(context),
        Svc::Start(args) => change::run(context, method::START, args),
        Svc::Stop(args) => change::run(context, method::STOP, args),
        Svc::Restart(args) => change::run(context, method::RESTART, args),
        Svc::Reload(args) => change::run(context, method::RELOAD, args),
        Svc::Plan => apply::plan(context),
        Svc::Apply => apply::run(context),
        Svc::Reexec => reexec::run(context),
        Svc::Logs(args) => logs::run(context, &of_unit(args)),
        Svc::Check(args) => check::run(context, args),
    }
}

fn of_unit(args: UnitLogs) -> Logs {
    Logs {
        units: vec![args.unit],
        follow: args.follow,
        ..Logs::default()
    }
}

/// Units in a table.
fn table(units: &[UnitStatus]) -> Vec<Vec<Cell>> {
    let titles = ["unit", "kind", "state", "pid", "since", "reason"];
    let mut rows = vec![titles.map(|t| Cell::new(t, Tone::Strong)).to_vec()];
    rows.extend(units.iter().map(|unit| {
        vec![
            unit.name.clone().into(),
            unit.kind.clone().into(),
            state(unit),
            unit.pid.map_or(String::new(), |pid| pid.to_string()).into(),
            span(unit.since_ms).into(),
            reason(unit).into(),
        ]
    }));
    rows
}

/// Why it is in its state, or else what it says itself.
fn reason(unit: &UnitStatus) -> String {
    let said = unit.status.clone().unwrap_or_default();
    if unit.reason.is_empty() {
        said
    } else {
        unit.reason.clone()
    }
}

fn state(unit: &UnitStatus) -> Cell {
    let tone = match unit.state.as_str() {
        "up" => Tone::Good,
        "failed" => Tone::Bad,
        "waiting" | "starting" | "stopping" | "backoff" => Tone::Warning,
        _ => Tone::Plain,
    };
    Cell::new(unit.state.clone(), tone)
}

/// A time span in its two largest units.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_two_units() {
        for (ms, text) in [
            (7, "7 ms"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}

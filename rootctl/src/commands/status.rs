//! `rootctl status`

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{Status, TrialStatus, method};

use super::Context;
use crate::client::{Client, Exit};
use crate::output::{Cell, Output, Tone};

/// Asks the broker how the store is and prints it.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let status: Status = Client::store(context.global)?.call(method::STATUS, &())?;
    show(context.out, &status)?;
    Ok(Exit::Done)
}

/// Prints a status.
pub(super) fn show(out: &Output, status: &Status) -> Result<()> {
    out.answer(status, || {
        out.table(&rows(status))?;
        for warning in &status.warnings {
            out.line(&format!(
                "{} {warning}",
                out.paint("warning:", Tone::Warning)
            ))?;
        }
        Ok(())
    })
}

fn rows(status: &Status) -> Vec<Vec<Cell>> {
    let id = |id: Option<SnapshotId>| id.map_or("-".to_owned(), |id| id.to_string());
    let mut booted = id(status.booted);
    if let Some(mode) = &status.mode {
        booted.push_str(&format!(" ({mode})"));
    }
    if let Some(reason) = &status.reason {
        booted.push_str(&format!(": {reason}"));
    }
    let mut rows = vec![
        vec!["booted".into(), booted.into()],
        vec!["next".into(), id(status.next).into()],
        vec!["good".into(), Cell::new(id(status.good), Tone::Good)],
        vec!["previous".into(), id(status.previous).into()],
    ];
    if let Some(trial) = &status.trial {
        rows.push(vec!["trial".into(), trial_cell(trial)]);
    }
    rows.push(vec!["loader".into(), status.loader.as_str().into()]);
    rows.push(vec![
        "snapshots".into(),
        status.snapshots.to_string().into(),
    ]);
    if let Some(count) = status.sessions {
        rows.push(vec!["sessions".into(), count.to_string().into()]);
    }
    rows
}

fn trial_cell(trial: &TrialStatus) -> Cell {
    let mut text = format!(
        "{} {}, {} of {} tries used",
        trial.id, trial.phase, trial.attempts, trial.tries_max
    );
    if let Some(reason) = &trial.reason {
        text.push_str(&format!(": {reason}"));
    }
    let tone = if trial.phase == "failed" {
        Tone::Bad
    } else {
        Tone::Warning
    };
    Cell::new(text, tone)
}

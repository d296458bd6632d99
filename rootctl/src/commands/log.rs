//! `rootctl log`

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{By, Log, Logged, Operation, Standing, TrialStatus, method};

use super::Context;
use crate::cli;
use crate::client::{Client, Exit};
use crate::output::{Tone, clean, date};

/// Prints what was done, the newest at the end.
pub(super) fn run(context: Context<'_>, args: cli::Log) -> Result<Exit> {
    let ask = Log {
        lines: Some(args.lines),
        snapshot: args.snapshot,
    };
    let logged: Logged = Client::store(context.global)?.call(method::LOG, &ask)?;
    context.out.answer(&logged, || {
        for operation in &logged.operations {
            let title = clean(&title(operation));
            let tone = match operation.error {
                Some(_) => Tone::Bad,
                None => Tone::Strong,
            };
            context.out.line(&context.out.paint(&title, tone))?;
            for line in consequences(operation) {
                context.out.line(&format!("    {}", clean(&line)))?;
            }
            if context.global.verbose {
                context
                    .out
                    .line(&format!("    {}", clean(&circumstances(operation))))?;
            }
        }
        if logged.earlier > 0 {
            let all = logged.earlier + logged.operations.len() as u64;
            context.out.remark(&format!(
                "{} earlier ones are not shown; rootctl log --lines {all} shows them",
                logged.earlier
            ));
        }
        Ok(())
    })?;
    for line in &logged.unreadable {
        context.out.remark(&format!("skipped: {line}"));
    }
    Ok(Exit::Done)
}

/// When, who, what.
fn title(operation: &Operation) -> String {
    let time = date(operation.time);
    match (operation.by, &operation.user, operation.uid) {
        (By::Broker, _, _) => format!("{time}  rootctld: finished what was left undone"),
        (By::Elsewhere, _, _) => {
            format!("{time}  found changed: by the boot stage, or a line was lost")
        }
        (By::Request, Some(user), _) => format!("{time}  {user}: {}", operation.words),
        (By::Request, None, Some(uid)) => format!("{time}  user {uid}: {}", operation.words),
        (By::Request, None, None) => format!("{time}  somebody: {}", operation.words),
    }
}

/// What came of it, one fact per line.
fn consequences(operation: &Operation) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(error) = &operation.error {
        all.push(format!("failed: {error}"));
    }
    for (word, ids) in [("made", &operation.made), ("deleted", &operation.gone)] {
        if !ids.is_empty() {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            all.push(format!("{word}: {}", ids.join(", ")));
        }
    }
    if let (Some(before), Some(after)) = (&operation.before, &operation.after) {
        all.extend(moves(before, after));
    }
    all
}

/// What boots now instead of what.
fn moves(before: &Standing, after: &Standing) -> Vec<String> {
    let id = |id: Option<SnapshotId>| id.map_or("none".to_owned(), |id| id.to_string());
    [
        ("good", id(before.good), id(after.good)),
        ("previous", id(before.previous), id(after.previous)),
        (
            "trial",
            trial(before.trial.as_ref()),
            trial(after.trial.as_ref()),
        ),
    ]
    .into_iter()
    .filter(|(_, was, is)| was != is)
    .map(|(what, was, is)| format!("{what}: {was} -> {is}"))
    .collect()
}

fn trial(trial: Option<&TrialStatus>) -> String {
    let Some(trial) = trial else {
        return "none".to_owned();
    };
    let mut text = format!(
        "{} {}, {} of {} tries used",
        trial.id, trial.phase, trial.attempts, trial.tries_max
    );
    if let Some(reason) = &trial.reason {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

/// Where it was done, for those who want to know more.
fn circumstances(operation: &Operation) -> String {
    let running = match operation.booted {
        Some(id) => format!("snapshot {id} was running"),
        None => "no snapshot of this store was running".to_owned(),
    };
    let boot = operation.boot_id.as_deref().unwrap_or("unknown");
    let mut text = format!("{running}, boot {boot}");
    if let Some(uid) = operation.uid {
        text.push_str(&format!(", uid {uid}"));
    }
    if let Some(cgroup) = &operation.cgroup {
        text.push_str(&format!(", control group {cgroup}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> Option<SnapshotId> {
        SnapshotId::new(n)
    }

    #[test]
    fn an_operation_is_told_by_what_it_changed() {
        let trying = TrialStatus {
            id: id(2).unwrap(),
            phase: "trying".into(),
            attempts: 1,
            tries_max: 2,
            reason: None,
        };
        let confirmed = Operation {
            user: Some("root".into()),
            uid: Some(0),
            words: "boot-ok".into(),
            before: Some(Standing {
                good: id(1),
                previous: None,
                trial: Some(trying),
            }),
            after: Some(Standing {
                good: id(2),
                previous: id(1),
                trial: None,
            }),
            ..Operation::default()
        };
        assert_eq!(title(&confirmed), "1970-01-01 00:00  root: boot-ok");
        assert_eq!(
            consequences(&confirmed),
            [
                "good: 1 -> 2",
                "previous: none -> 1",
                "trial: 2 trying, 1 of 2 tries used -> none"
            ]
        );
        let failed = Operation {
            uid: Some(7),
            words: "run 1 -- false".into(),
            error: Some("no".into()),
            gone: vec![id(3).unwrap(), id(4).unwrap()],
            ..Operation::default()
        };
        assert_eq!(title(&failed), "1970-01-01 00:00  user 7: run 1 -- false");
        assert_eq!(consequences(&failed), ["failed: no", "deleted: 3, 4"]);
    }
}

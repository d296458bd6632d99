//! `rootctl shell`, and what follows when the shell of a session has ended.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::session::{
    DropSessions, KeepSession, Session, SessionKept, SessionList, Shell as Ask, ShellEnded,
};
use rootspec::protocol::store::method;
use serde::Serialize;
use sys::terminal::Ended;

use super::{Context, show_steps};
use crate::cli::{Outcome, Shell};
use crate::client::{Client, Exit, Failure};
use crate::output::Tone;
use crate::terminal;

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Became {
    Kept,
    Discarded,
    Held,
}

/// The answer: that of the broker, and what was done with the session afterwards.
#[derive(Debug, Serialize)]
struct Done {
    #[serde(flatten)]
    ended: ShellEnded,
    outcome: Became,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<SnapshotId>,
}

/// Begins a session.
pub(super) fn run(context: Context<'_>, args: Shell) -> Result<Exit> {
    let ask = Ask {
        target: Some(args.target),
        argv: Some(args.argv).filter(|argv| !argv.is_empty()),
        name: args.name,
        note: args.note,
        ..Ask::default()
    };
    enter(context, ask, args.outcome)
}

/// Enters a session, then does with it what `outcome` or the person says.
pub(super) fn enter(context: Context<'_>, ask: Ask, outcome: Outcome) -> Result<Exit> {
    let ask = Ask {
        terminal: terminal::ours(),
        dry_run: context.dry_run(),
        ..ask
    };
    let mut client = Client::store(context.global)?;
    let mut entered = None;
    let ended: ShellEnded = client
        .call_with_descriptors(method::SHELL, &ask, |progress, ends| {
            let Some(end) = ends.pop().filter(|_| progress.stream == "terminal") else {
                context.out.progress(progress);
                return Ok(());
            };
            entered = Some(progress.text.clone());
            context.out.detail(&format!("session {}", progress.text));
            match terminal::pass(&end, context.out)? {
                Ended::Closed => Ok(()),
                Ended::Stopped => Err(stays(&progress.text, "the terminal is gone").into()),
            }
        })
        .map_err(|error| match (&entered, error.downcast_ref::<Failure>()) {
            // The broker ended: the work did not.
            (Some(id), Some(failure)) if failure.is_hang_up() => {
                error.context(stays(id, "the broker is gone"))
            }
            _ => error,
        })?;
    drop(client);
    let Some(session) = ended.session.clone() else {
        context
            .out
            .answer(&ended, || show_steps(context, &ended.steps))?;
        return Ok(Exit::Done);
    };
    let exit = ended.exit.unwrap_or_default();
    let became = decide(context, &session, exit, outcome);
    let id = settle(context, &session, became)?;
    let done = Done {
        ended,
        outcome: became,
        id,
    };
    context.out.answer(&done, || match (became, id) {
        (_, Some(id)) => context.out.line(&id.to_string()),
        (Became::Held, None) => {
            let id = session.id;
            context.out.remark(&format!(
                "session {id} stays: rootctl session resume {id}, or session keep, or session drop"
            ));
            Ok(())
        }
        (Became::Kept | Became::Discarded, None) => Ok(()),
    })?;
    Ok(Exit::Done)
}

fn stays(id: &str, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{why}; session {id} stays as it is"))
        .next(format!("rootctl session resume {id}"))
}

fn decide(context: Context<'_>, session: &Session, exit: i32, outcome: Outcome) -> Became {
    let unchanged = session.is_unchanged();
    match outcome {
        Outcome { keep: true, .. } => return Became::Kept,
        Outcome { discard: true, .. } => return Became::Discarded,
        Outcome { hold: true, .. } => return Became::Held,
        _ if unchanged => {
            context.out.remark("nothing was changed");
            return Became::Discarded;
        }
        _ => {}
    }
    context
        .out
        .remark(&format!("changed: {}", changes(session)));
    let default = usual(exit);
    let words = ["keep", "discard", "hold"];
    let question = context.out.paint(
        "keep it as a new snapshot, discard it, or hold it for later?",
        Tone::Strong,
    );
    let answer = match context.out.says_yes() {
        true => Some(default.to_owned()),
        false => context.out.choose(&question, &words, default),
    };
    match answer.as_deref() {
        Some("keep") => Became::Kept,
        Some("discard") => Became::Discarded,
        _ => Became::Held,
    }
}

/// What a bare return key means. A shell that a signal ended left something half-done.
fn usual(exit: i32) -> &'static str {
    if exit < 128 { "keep" } else { "hold" }
}

/// How much was changed, in words.
pub(super) fn changes(session: &Session) -> String {
    let Some(counts) = &session.changes else {
        return "?".to_owned();
    };
    let mut words = Vec::new();
    for count in counts {
        let place = match count.part.as_str() {
            "files" => "elsewhere".to_owned(),
            part => format!("in /{part}"),
        };
        let numbers = [
            (count.added, "added"),
            (count.removed, "removed"),
            (count.modified, "modified"),
            (count.renamed, "renamed"),
        ];
        let some = numbers.iter().filter(|(number, _)| *number > 0);
        let some: Vec<String> = some
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        if !some.is_empty() {
            words.push(format!("{} {place}", some.join(", ")));
        }
    }
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join("; ")
    }
}

/// Does it; gives the new snapshot, if it became one. What cannot be kept stays a session.
fn settle(context: Context<'_>, session: &Session, became: Became) -> Result<Option<SnapshotId>> {
    let text = session.id.to_string();
    match became {
        Became::Held => Ok(None),
        Became::Kept => {
            let ask = KeepSession {
                session: text,
                ..KeepSession::default()
            };
            let mut client = Client::store(context.global)?;
            let kept: SessionKept = client
                .call_with_progress(method::KEEP_SESSION, &ask, |p| context.out.progress(p))?;
            Ok(Some(kept.id))
        }
        Became::Discarded => {
            let ask = DropSessions {
                sessions: vec![text],
                dry_run: None,
            };
            let mut client = Client::store(context.global)?;
            let _gone: SessionList = client.call(method::DROP_SESSIONS, &ask)?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::protocol::store::DiffCount;

    #[test]
    fn a_return_key_keeps_what_a_shell_that_ended_well_has_left() {
        assert_eq!((usual(0), usual(1), usual(130)), ("keep", "keep", "hold"));
    }

    #[test]
    fn changes_are_said_by_place() {
        let count = |part: &str, added, modified| DiffCount {
            part: part.to_owned(),
            added,
            modified,
            ..DiffCount::default()
        };
        let session = |changes| Session {
            id: SnapshotId::new(7).unwrap(),
            from: None,
            name: None,
            note: String::new(),
            created: 0,
            uid: None,
            user: None,
            open: false,
            command: None,
            changes,
            damage: None,
        };
        let some = session(Some(vec![count("etc", 0, 1), count("files", 2, 3)]));
        assert_eq!(
            changes(&some),
            "1 modified in /etc; 2 added, 3 modified elsewhere"
        );
        assert!(!some.is_unchanged() && !session(None).is_unchanged());
        let none = session(Some(vec![count("etc", 0, 0)]));
        assert!(changes(&none) == "nothing" && none.is_unchanged());
    }
}

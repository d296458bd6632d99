//! `rootctl session drop`

use anyhow::Result;
use rootspec::protocol::session::{DropSessions, Session, SessionList};
use rootspec::protocol::store::method;

use super::Context;
use crate::cli::SomeSessions;
use crate::client::{Client, Exit, Failure};
use crate::commands::{shell::changes, show_steps};

/// Says what would be lost, asks, then throws it away.
pub(super) fn run(context: Context<'_>, args: SomeSessions) -> Result<Exit> {
    let mut ask = DropSessions {
        sessions: args.sessions,
        dry_run: Some(true),
    };
    let would: SessionList = Client::store(context.global)?.call(method::DROP_SESSIONS, &ask)?;
    if context.global.dry_run {
        context.out.answer(&would, || {
            let steps: Vec<String> = would.sessions.iter().map(lost).collect();
            show_steps(context, &steps)
        })?;
        return Ok(Exit::Done);
    }
    let all: Vec<String> = would.sessions.iter().map(lost).collect();
    if !context
        .out
        .confirm(&format!("{}: for good?", all.join("; ")))?
    {
        return Err(Failure::new(Exit::Refused, "nothing was thrown away").into());
    }
    // By number: a name could mean another session by now.
    ask.sessions = would
        .sessions
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    ask.dry_run = None;
    let mut client = Client::store(context.global)?;
    let done: SessionList =
        client.call_with_progress(method::DROP_SESSIONS, &ask, |p| context.out.progress(p))?;
    context.out.answer(&done, || Ok(()))?;
    Ok(Exit::Done)
}

fn lost(session: &Session) -> String {
    format!(
        "throw away session {} (changed: {})",
        session.id,
        changes(session)
    )
}

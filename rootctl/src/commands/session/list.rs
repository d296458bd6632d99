//! `rootctl session list`

use anyhow::Result;
use rootspec::protocol::session::{Session, SessionList};
use rootspec::protocol::store::method;

use super::Context;
use crate::client::{Client, Exit};
use crate::commands::shell::changes;
use crate::output::{Cell, Tone, date};

/// Prints all sessions, one line each.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let ask = serde_json::json!({});
    let list: SessionList = Client::store(context.global)?.call(method::SESSIONS, &ask)?;
    context.out.answer(&list, || {
        let titles = ["id", "name", "from", "begun", "by", "state", "changed"];
        let mut rows = vec![titles.map(|t| Cell::new(t, Tone::Strong)).to_vec()];
        rows.extend(list.sessions.iter().map(row));
        context.out.table(&rows)
    })?;
    Ok(Exit::Done)
}

fn row(session: &Session) -> Vec<Cell> {
    let by = session.user.clone();
    let by = by.or_else(|| session.uid.map(|uid| uid.to_string()));
    let state = match (&session.damage, session.open, &session.command) {
        (Some(_), _, _) => Cell::new("damaged", Tone::Bad),
        (None, true, None) => Cell::new("open", Tone::Warning),
        (None, true, Some(_)) => Cell::new("runs", Tone::Warning),
        (None, false, _) => "held".into(),
    };
    let changed = match &session.damage {
        Some(damage) => damage.lines().next().unwrap_or_default().to_owned(),
        None => changes(session),
    };
    vec![
        session.id.to_string().into(),
        session.name.clone().unwrap_or_default().into(),
        session
            .from
            .map_or(String::new(), |id| id.to_string())
            .into(),
        date(session.created).into(),
        by.unwrap_or_default().into(),
        state,
        changed.into(),
    ]
}

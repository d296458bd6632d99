//! Beginning a session, or going on with one.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::session::{Shell, ShellEnded, Terminal};
use sys::socket::Peer;

use super::copy;
use crate::access::user_name;
use crate::copy::{name, note};
use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::edits::{self, Edit, Wishes};

/// Longest name of a terminal.
const LONGEST_TERM: usize = 64;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Which {
    /// A new session in a copy of this snapshot.
    New(SnapshotId),
    /// This session goes on.
    Old(SnapshotId),
}

/// Begins the session, or takes the one that is named.
pub(crate) fn begin(
    session: &mut Session,
    ask: &Shell,
    peer: &Peer,
    progress: &mut Progress<'_>,
) -> Result<Edit> {
    match which(session, ask)? {
        Which::Old(id) => Edit::take(&session.store, id),
        Which::New(from) => {
            let wishes = Wishes {
                name: name(ask.name.as_deref())?,
                note: note(ask.note.clone())?,
                command: None,
                uid: peer.uid,
                user: user_name(peer.uid),
            };
            let id = session.next_id()?;
            progress.step(&format!("copy snapshot {from} as session {id}"));
            copy::make(session, from, wishes)
        }
    }
}

/// What beginning it would do.
pub(crate) fn plan(session: &Session, ask: &Shell) -> Result<ShellEnded> {
    let steps = match which(session, ask)? {
        Which::Old(id) => vec![format!("go on with session {id}")],
        Which::New(from) => {
            name(ask.name.as_deref())?;
            note(ask.note.clone())?;
            let id = session.next_id()?;
            vec![format!("copy snapshot {from} as session {id}, writable")]
        }
    };
    let command = match ask.argv.as_deref() {
        None | Some([]) => "start root's shell in it".to_owned(),
        Some(argv) => format!("run in it: {}", argv.join(" ")),
    };
    let then = "keep it as a new snapshot, drop it or leave it, as the person says".to_owned();
    Ok(ShellEnded {
        session: None,
        exit: None,
        steps: [steps, vec![command, then]].concat(),
    })
}

/// Checks a request, and finds what it is about.
fn which(session: &Session, ask: &Shell) -> Result<Which> {
    ask.terminal.as_ref().map_or(Ok(()), must_be_terminal)?;
    let argv = ask.argv.iter().flatten();
    if argv.clone().any(|word| word.contains('\0'))
        || argv.clone().next().is_some_and(String::is_empty)
    {
        return Guard::usage("no word of a command holds a NUL, and the first is a program")
            .next("rootctl shell TARGET -- COMMAND")
            .err();
    }
    match (&ask.target, &ask.session) {
        (None, Some(text)) => {
            if ask.name.is_some() || ask.note.is_some() {
                return Guard::usage(
                    "name and note of a session are said when it begins, or when it is kept",
                )
                .next("rootctl session keep SESSION --name NAME")
                .err();
            }
            Ok(Which::Old(edits::find(&session.store, text)?))
        }
        (Some(target), None) => {
            let from = session.resolve(target)?;
            copy::may_be_made(session, from)?;
            Ok(Which::New(from))
        }
        _ => Guard::usage("a shell needs either a snapshot to copy or a session to go on with")
            .next("rootctl shell TARGET")
            .err(),
    }
}

/// The name becomes an environment variable of root's shell.
fn must_be_terminal(terminal: &Terminal) -> Result<()> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"+-._:".contains(&b);
    let name = &terminal.term;
    if !name.is_empty() && name.len() <= LONGEST_TERM && name.bytes().all(legal) {
        return Ok(());
    }
    let shown: String = name.chars().take(LONGEST_TERM).collect();
    Guard::usage(format!("{shown:?} is no name of a terminal"))
        .next("TERM=vt100 rootctl shell TARGET")
        .err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_terminals_are_names() {
        let terminal = |term: &str| Terminal {
            term: term.to_owned(),
            rows: 1,
            columns: 1,
        };
        for good in ["xterm-256color", "screen.xterm", "vt100", "linux"] {
            assert!(must_be_terminal(&terminal(good)).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "a b", "../x", "a\nb", "a=b", &long] {
            assert!(must_be_terminal(&terminal(bad)).is_err(), "{bad}");
        }
    }
}

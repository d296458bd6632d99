//! `rootctl run`: a command in a writable copy of a snapshot. Its success publishes the copy, anything else throws it
//! away; the snapshot itself is never touched. The copy is a session that belongs to the command: the store is locked while it
//! is made and while it ends, and free in between.
//!
//! | open | for |
//! |---|---|
//! | `enter` | the namespaces: stage one leaves ours, stage two is process 1 of the new ones |
//! | `places` | the mounts that the command sees |
//! | `terminal` | stage two of a session: a shell on a terminal of its own |

mod enter;
mod places;
mod terminal;

pub(crate) use enter::{code, enter, inside};
pub(crate) use places::Additions;

use std::process::Command;

use anyhow::Result;
use rootspec::meta::Origin;
use rootspec::protocol::store::{Ran, Run};
use rootspec::{SnapshotId, SnapshotName};
use sys::run::Stream;
use sys::socket::Peer;

use crate::access::user_name;
use crate::copy::{name, note};
use crate::edit::copy::{self, Told};
use crate::guard::{Guard, words};
use crate::progress::{Progress, log, point};
use crate::session::Session;
use crate::store::edits::{Edit, Wishes};

/// How much of the command is remembered, in characters.
const REMEMBERED: usize = 300;

/// Checks a request: what to copy, what the new snapshot is called, and its note.
fn check(session: &Session, ask: &Run) -> Result<(SnapshotId, Option<SnapshotName>, String)> {
    let name = name(ask.name.as_deref())?;
    let note = note(ask.note.clone())?;
    if ask.argv.is_empty() || ask.argv.iter().any(|word| word.contains('\0')) {
        return Guard::usage("no command was given")
            .next("rootctl run TARGET -- COMMAND")
            .err();
    }
    let from = session.resolve(&ask.target)?;
    copy::may_be_made(session, from)?;
    Ok((from, name, note))
}

/// What it would do.
pub(crate) fn plan(session: &Session, ask: &Run) -> Result<Ran> {
    let (from, ..) = check(session, ask)?;
    let id = session.next_id()?;
    Ok(Ran {
        id: Some(id),
        status: 0,
        steps: vec![
            format!("copy snapshot {from}, writable"),
            format!("run in the copy: {}", ask.argv.join(" ")),
            "if it fails, throw the copy away".to_owned(),
            "else check it, and build its initramfs if what that is made of was changed".to_owned(),
            format!("publish it, read-only, as snapshot {id}"),
        ],
    })
}

/// Makes the copy. If we are gone before its end, the next change throws it away.
pub(crate) fn begin(
    session: &Session,
    ask: &Run,
    peer: &Peer,
    progress: &mut Progress<'_>,
) -> Result<Edit> {
    let (from, name, note) = check(session, ask)?;
    progress.step(&format!("copy snapshot {from}"));
    let command = ask.argv.join(" ").chars().take(REMEMBERED).collect();
    let wishes = Wishes {
        name,
        note,
        command: Some(command),
        uid: peer.uid,
        user: user_name(peer.uid),
    };
    copy::make(session, from, wishes)
}

/// Runs the command in the copy, and passes its output on. Gives its exit status.
pub(crate) fn command(edit: &Edit, argv: &[String], progress: &mut Progress<'_>) -> Result<i32> {
    progress.step(&format!("run {}", argv.join(" ")));
    let mut stage = Command::new("/proc/self/exe");
    stage
        .args(["enter", "--dir"])
        .arg(edit.root())
        .arg("--")
        .args(argv);
    let status = sys::run::lines(&mut stage, &mut |stream, line| {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        progress.output(stream, &format!("{line}\n"));
    })?;
    // Whatever was killed in there could not clear up.
    edit.clear_up();
    point("R1-ended")?;
    Ok(code(status))
}

/// Publishes the copy, or throws it away, as the command ended.
pub(crate) fn end(
    session: &mut Session,
    edit: Edit,
    ended: Result<i32>,
    progress: &mut Progress<'_>,
) -> Result<Ran> {
    if !matches!(ended, Ok(0)) {
        edit.throw_away(&session.store, session.lock()?)?;
        return Ok(Ran {
            id: None,
            status: ended?,
            steps: Vec::new(),
        });
    }
    let record = &edit.record;
    let told = Told {
        name: record.name.clone(),
        note: record.note.clone(),
        origin: Origin {
            kind: "run".into(),
            detail: record.command.clone().unwrap_or_default(),
        },
    };
    let id = match copy::publish(session, &edit, told, progress) {
        Ok(id) => {
            edit.kept();
            id
        }
        // It has its place as a snapshot, and there is nothing to throw away.
        Err(error) if !edit.dir().exists() => {
            edit.kept();
            return Err(error.context(
                "the command succeeded and its snapshot is there, but the disk did not say that it stays",
            ));
        }
        Err(error) => {
            if let Err(left) = edit.throw_away(&session.store, session.lock()?) {
                // The next change removes it.
                log(&format!("the copy is not removed: {}", words(&left)));
            }
            return Err(error.context(
                "the command succeeded, but what it left cannot be a snapshot; its work was thrown away",
            ));
        }
    };
    Ok(Ran {
        id: Some(id),
        status: 0,
        steps: Vec::new(),
    })
}

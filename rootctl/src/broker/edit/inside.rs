//! The programs of a session: started in namespaces of their own, watched, and ended when the person's line hangs up.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rootspec::protocol::session::Shell;
use sys::inherit::{First, wait_either};

use crate::args::Inside;
use crate::guard::Guard;
use crate::progress::{Progress, log, point};
use crate::run;
use crate::store::edits::Edit;

/// How long a shell whose line hung up has to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// How much of what the stages say about a failure is kept, in bytes.
const WORDS: u64 = 4096;

/// Runs the shell or the command to its end; gives its exit status, 128 + signal for a death by signal.
pub(crate) fn enter(edit: &Edit, ask: &Shell, progress: &mut Progress<'_>) -> Result<i32> {
    let (broker, stage) = UnixStream::pair().context("cannot make a socket pair")?;
    let mut child = start(edit, ask, stage)?;
    let done = watch(&broker, &mut child, edit, progress);
    if done.is_err() {
        // The stage dies, and the kernel takes everything that runs in the session with it.
        drop(child.kill());
    }
    let ended = child.wait().context("cannot wait for the session");
    edit.clear_up();
    done?;
    Ok(run::code(ended?))
}

fn start(edit: &Edit, ask: &Shell, stage: UnixStream) -> Result<Child> {
    let terminal = ask.terminal.as_ref();
    let inside = Inside {
        dir: edit.root(),
        session: Some(edit.record.id),
        term: terminal.map(|terminal| terminal.term.clone()),
        rows: terminal.map_or(24, |terminal| terminal.rows),
        columns: terminal.map_or(80, |terminal| terminal.columns),
        argv: ask.argv.iter().flatten().map(Into::into).collect(),
    };
    Command::new("/proc/self/exe")
        .arg("enter")
        .args(inside.words())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(stage)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the first stage of a session")
}

/// Hands the terminal to the person, and waits until everything in the session has ended.
fn watch(
    broker: &UnixStream,
    child: &mut Child,
    edit: &Edit,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let mut message = [0; 1];
    let (length, ends) = sys::socket::receive_fds(broker, &mut message)?;
    let (Some(end), true) = (ends.first(), length > 0) else {
        return Err(not_entered(child, edit));
    };
    point("T5-entered")?;
    progress.terminal(&edit.record.id.to_string(), end.as_fd())?;
    // The person's copy is the last one now: closing it is hanging up.
    drop(ends);
    match wait_either(broker, progress.line(), None)? {
        First::One | First::Time => {}
        First::OtherHungUp => {
            log(&format!(
                "session {}: the line hung up; its work stays",
                edit.record.id
            ));
            if wait_either(broker, None, Some(GRACE))? == First::Time {
                drop(child.kill());
            }
        }
    }
    Ok(())
}

/// Why there is no terminal: the stages say it.
fn not_entered(child: &mut Child, edit: &Edit) -> anyhow::Error {
    let mut words = String::new();
    if let Some(stderr) = child.stderr.take() {
        drop(stderr.take(WORDS).read_to_string(&mut words));
    }
    let words = words.trim().trim_start_matches("rootctld: ").to_owned();
    let id = edit.record.id;
    Guard::failed(format!("session {id} cannot be entered: {words}"))
        .next(format!("rootctl session drop {id}"))
        .into()
}

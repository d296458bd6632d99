//! Connections: socket activation, one process per connection, one request after the other.
//!
//! Each connection is served by a process of its own, in a mount namespace of its own: a long `run` never keeps a `status`
//! waiting, and what two of them may not do at once is decided by the lock of the store.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rootspec::protocol::MAX_REQUEST;
use rootspec::protocol::init::Problem;
use rootspec::protocol::store;
use rootspec::protocol::store::Progress as Step;
use varlink::Reply;
use varlink::sansio::{Server, ServerEvent};

use crate::args::{Args, Stage};
use crate::guard::{self, Guard};
use crate::progress::{Outlet, Progress, log};
use crate::service::{Answer, Service};

/// Without a connection for this long, we end; socket activation starts us again.
const IDLE: Duration = Duration::from_secs(30);
/// How often children are looked after while there are any.
const REAP: Duration = Duration::from_secs(1);
/// Most connections at once of root, for whom no other user takes a place away.
const MOST_OF_ROOT: usize = 32;
/// Most connections at once of all other users, and of one of them.
const MOST_OF_OTHERS: usize = 32;
const MOST_PER_USER: usize = 8;
/// A client that connected through the socket and sends nothing is dropped after this many seconds.
const PATIENCE: &str = "60";
/// A client that does not read for this long is taken for gone; the work goes on without it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Serves what we were started for.
pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    match (&args.stage, args.serve_fd) {
        (Some(Stage::Enter(inside)), _) => crate::run::enter(inside),
        (Some(Stage::Inside(inside)), _) => crate::run::inside(inside),
        (None, Some(fd)) => {
            // A signal for the person's terminal must not end a transaction.
            sys::namespace::leave_session();
            let stream = UnixStream::from(sys::inherit::take(fd)?);
            connection(stream, args)?;
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => {
            listen(args)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The socket that `rinit` passes on: `LISTEN_FDS=1`, descriptor 3.
fn activated() -> Result<UnixListener> {
    let passed = std::env::var("LISTEN_FDS").ok();
    if passed.as_deref() != Some("1") {
        return Guard::usage("rootctld is started by socket activation or by rootctl")
            .next("rootctl status")
            .err();
    }
    let fd = sys::inherit::take(sys::inherit::FIRST_ACTIVATED)?;
    Ok(UnixListener::from(fd))
}

fn listen(args: &Args) -> Result<()> {
    let listener = activated()?;
    let mut children: Vec<(Child, u32)> = Vec::new();
    let mut last = Instant::now();
    loop {
        children.retain_mut(|(child, _)| matches!(child.try_wait(), Ok(None)));
        let wait = if children.is_empty() {
            match IDLE.checked_sub(last.elapsed()) {
                Some(rest) => rest,
                None => return Ok(()),
            }
        } else {
            REAP
        };
        if !sys::inherit::wait_readable(&listener, wait)? {
            continue;
        }
        last = Instant::now();
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                log(&format!("cannot accept a connection: {error}"));
                continue;
            }
        };
        match start_child(args, stream, &children) {
            Ok(child) => children.push(child),
            Err(error) => log(&crate::guard::words(&error)),
        }
    }
}

/// Is there a place for one more connection of `uid`, when the users in `open` have one each?
fn admit(uid: u32, open: impl Iterator<Item = u32> + Clone) -> Result<()> {
    let of_user = open.clone().filter(|other| *other == uid).count();
    let of_others = open.filter(|other| *other != 0).count();
    let most = match uid {
        0 => MOST_OF_ROOT,
        _ => MOST_PER_USER,
    };
    let why = if of_user >= most {
        format!("user {uid} has {of_user} connections open, as many as one may have")
    } else if uid != 0 && of_others >= MOST_OF_OTHERS {
        format!("{of_others} connections are open, as many as there may be")
    } else {
        return Ok(());
    };
    Guard::busy(why)
        .next("close one, then repeat the command")
        .err()
}

/// Says why a connection is closed before anything was asked on it. Nobody waits for a client that does not read.
fn turn_away(mut stream: &UnixStream, why: &anyhow::Error) {
    let (name, problem) = guard::reply(why);
    let reply = Reply::error(name, serde_json::to_value(problem).ok());
    if let (Ok(mut message), Ok(())) = (serde_json::to_vec(&reply), stream.set_nonblocking(true)) {
        message.push(0);
        drop(stream.write_all(&message));
    }
}

fn start_child(args: &Args, stream: UnixStream, children: &[(Child, u32)]) -> Result<(Child, u32)> {
    let uid = sys::socket::peer(&stream)?.uid;
    if let Err(why) = admit(uid, children.iter().map(|(_, uid)| *uid)) {
        turn_away(&stream, &why);
        return Err(why.context("a connection was turned away"));
    }
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--serve-fd", "0", "--patience", PATIENCE])
        .stdin(Stdio::from(OwnedFd::from(stream)));
    if let Some(group) = &args.group {
        command.arg("--group").arg(group);
    }
    if let Some(esp) = &args.esp {
        command.arg("--esp").arg(esp);
    }
    let child = command.spawn().context("cannot start a child")?;
    Ok((child, uid))
}

/// Serves one connection until the other side hangs up.
fn connection(stream: UnixStream, args: &Args) -> Result<()> {
    stream
        .set_read_timeout(args.patience.map(Duration::from_secs))
        .context("cannot set a timeout")?;
    stream
        .set_write_timeout(Some(WRITE_TIMEOUT))
        .context("cannot set a timeout")?;
    let service = Service::new(args, sys::socket::peer(&stream)?);
    let mut line = Line {
        stream,
        server: Server::new(),
        gone: false,
    };
    let mut buffer = vec![0; MAX_REQUEST];
    let mut pending = 0;
    loop {
        let count = match line.stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // Nothing arrived in time, or the other side died.
            Err(_) => return Ok(()),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        pending = unfinished(pending, bytes);
        if pending > MAX_REQUEST {
            line.refuse(&format!("a request has at most {MAX_REQUEST} bytes"));
            return Ok(());
        }
        if let Err(error) = line.server.handle_input(bytes) {
            line.refuse(&format!("that is no Varlink request: {error}"));
            return Ok(());
        }
        while let Some(event) = line.server.poll_event() {
            match event {
                ServerEvent::Request { request } => line.answer(&service, &request),
                ServerEvent::Upgrade { .. } => {
                    line.refuse("this connection cannot become another one");
                    return Ok(());
                }
            }
        }
        if line.gone {
            return Ok(());
        }
    }
}

/// Bytes of the message that is not complete yet, after `bytes` came in.
fn unfinished(before: usize, bytes: &[u8]) -> usize {
    match bytes.iter().rposition(|byte| *byte == 0) {
        Some(end) => bytes.len() - end - 1,
        None => before + bytes.len(),
    }
}

/// One connection with its protocol state.
struct Line {
    stream: UnixStream,
    server: Server,
    /// The other side no longer listens; work under way goes on.
    gone: bool,
}

impl Line {
    fn answer(&mut self, service: &Service<'_>, request: &varlink::Request<'_>) {
        let quiet = request.oneway == Some(true);
        let more = request.more == Some(true) && !quiet;
        let parameters = request.parameters.clone().unwrap_or_default();
        let answer = {
            let mut out = Steps { line: self, more };
            service.call(&request.method, parameters, &mut Progress::new(&mut out))
        };
        if quiet {
            return;
        }
        self.send(match answer {
            Answer::Value(value) => Reply::parameters(Some(value)),
            Answer::Error(name, value) => Reply::error(name, Some(value)),
        });
    }

    fn refuse(&mut self, reason: &str) {
        let problem = Problem {
            reason: reason.to_owned(),
            next: None,
        };
        let value = serde_json::to_value(problem).unwrap_or_default();
        self.send(Reply::error(store::error::USAGE, Some(value)));
    }

    /// Sends a reply that carries a descriptor.
    fn send_with(&mut self, reply: Reply, fd: BorrowedFd<'_>) -> Result<()> {
        if self.gone || self.server.send_reply(reply).is_err() {
            self.gone = true;
            anyhow::bail!("whoever asked is gone");
        }
        let mut fds = vec![fd];
        while let Some(message) = self.server.poll_transmit() {
            // It travels with the first byte.
            let sent = sys::socket::send_fds(&self.stream, &message.payload, &fds)?;
            fds.clear();
            let rest = message.payload.get(sent..).unwrap_or_default();
            self.stream
                .write_all(rest)
                .context("cannot send the rest of a reply")?;
        }
        Ok(())
    }

    fn send(&mut self, reply: Reply) {
        if self.server.send_reply(reply).is_err() {
            self.gone = true;
        }
        while let Some(message) = self.server.poll_transmit() {
            if !self.gone && self.stream.write_all(&message.payload).is_err() {
                self.gone = true;
            }
        }
    }
}

/// What is sent before the answer.
struct Steps<'a> {
    line: &'a mut Line,
    /// Whether the call wants any of it.
    more: bool,
}

impl Steps<'_> {
    fn reply(stream: &str, text: &str) -> Option<Reply> {
        let step = Step {
            text: text.to_owned(),
            stream: stream.to_owned(),
        };
        let mut reply = Reply::parameters(Some(serde_json::to_value(step).ok()?));
        reply.continues = Some(true);
        Some(reply)
    }
}

impl Outlet for Steps<'_> {
    fn send(&mut self, stream: &str, text: &str) {
        if let (true, Some(reply)) = (self.more, Self::reply(stream, text)) {
            self.line.send(reply);
        }
    }

    fn lend(&mut self, stream: &str, text: &str, fd: BorrowedFd<'_>) -> Result<()> {
        let Some(reply) = Self::reply(stream, text).filter(|_| self.more) else {
            return Guard::usage(
                "a terminal is handed over in a Progress reply: call it with `more`",
            )
            .next("rootctl shell TARGET")
            .err();
        };
        self.line.send_with(reply, fd)
    }

    fn line(&self) -> Option<BorrowedFd<'_>> {
        Some(self.line.stream.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_all_places_and_none_takes_roots() {
        let of = |uid: u32, count: usize| std::iter::repeat_n(uid, count);
        assert!(admit(7, of(7, 7)).is_ok() && admit(7, of(7, 8)).is_err());
        assert!(admit(8, of(7, 8)).is_ok());
        let full = (1..=4).flat_map(|uid| of(uid, 8));
        assert!(admit(9, full.clone()).is_err() && admit(0, full.clone()).is_ok());
        assert!(
            admit(9, of(0, 40)).is_ok(),
            "and root takes none from others"
        );
        assert!(admit(0, full.chain(of(0, 32))).is_err());
    }

    #[test]
    fn only_the_unfinished_message_counts_against_the_limit() {
        assert_eq!(unfinished(10, b"abc"), 13);
        assert_eq!(unfinished(10, b"abc\0de\0f"), 1);
        assert_eq!(unfinished(10, b"abc\0"), 0);
    }
}

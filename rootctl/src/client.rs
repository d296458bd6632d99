//! One conversation with `rinit` or with the broker.
//!
//! The broker of the running system listens on a socket. Where there is none (installer medium, rescue, another init) or
//! where the person names a store with `--root`, this starts the broker for one request over a socket pair.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rootspec::paths::{program, run};
use rootspec::protocol::init::Problem;
use rootspec::protocol::store::Progress;
use rootspec::protocol::{init, store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::Global;

/// Exit codes, the same for every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: it failed and nothing changed.
    Failed,
    /// 2: the request makes no sense.
    Usage,
    /// 3: a rule or a guard says no.
    Refused,
    /// 4: somebody else is at it.
    Busy,
    /// 5: some of it was done.
    Part,
    /// 6: a conflict needs a person's decision.
    Conflict,
}

impl Exit {
    /// For the shell.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Busy => 4,
            Self::Part => 5,
            Self::Conflict => 6,
        })
    }
}

/// An answer that is no: the reason, the next command, the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the program ends.
    pub(crate) exit: Exit,
    reason: String,
    /// The command to run next.
    pub(crate) next: Option<String>,
    /// The other side ended without an answer.
    hung_up: bool,
}

impl Failure {
    /// A failure in our own words.
    pub(crate) fn new(exit: Exit, reason: impl Into<String>) -> Self {
        Self {
            exit,
            reason: reason.into(),
            next: None,
            hung_up: false,
        }
    }

    /// The other side ended without an answer.
    pub(crate) fn is_hang_up(&self) -> bool {
        self.hung_up
    }

    /// Names the command to run next.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// From an error reply: `name` decides the exit code, the parameters hold the words.
    fn from_reply(name: &str, parameters: Option<serde_json::Value>) -> Self {
        let exit = match name {
            store::error::USAGE
            | init::error::UNKNOWN_UNIT
            | "org.varlink.service.InvalidParameter" => Exit::Usage,
            store::error::REFUSED
            | init::error::DENIED
            | "org.varlink.service.PermissionDenied" => Exit::Refused,
            store::error::BUSY | init::error::BUSY => Exit::Busy,
            store::error::CONFLICT => Exit::Conflict,
            _ => Exit::Failed,
        };
        let parameters = parameters.unwrap_or_default();
        match serde_json::from_value::<Problem>(parameters.clone()) {
            Ok(problem) => Self {
                exit,
                next: problem.next,
                ..Self::new(exit, problem.reason)
            },
            Err(_) if name == "org.varlink.service.MethodNotFound" => Self::new(
                exit,
                "the program on the other side is older than this rootctl and does not know that",
            ),
            Err(_) => Self::new(exit, format!("the answer is {name} {parameters}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}

/// What is done with a report of progress, and the descriptors that have come so far.
type Report<'a> = &'a mut dyn FnMut(&Progress, &mut Vec<OwnedFd>) -> Result<()>;

/// A reply as it is when all went well.
#[derive(serde::Deserialize)]
struct Typed<R> {
    continues: Option<bool>,
    error: Option<String>,
    parameters: Option<R>,
}

/// A connection on which calls are made one after the other.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    /// What has arrived behind the last message.
    unread: Vec<u8>,
    /// Descriptors that came with replies.
    received: Vec<OwnedFd>,
    peer: String,
    /// The broker, if we started it: it ends when the connection closes.
    broker: Option<Child>,
}

impl Client {
    /// Connects to `rinit`.
    pub(crate) fn init() -> Result<Self> {
        Self::connect(run::INIT_SOCKET).with_context(|| {
            let why = format!("cannot reach rinit on {}", run::INIT_SOCKET);
            Failure::new(Exit::Failed, why).next("is rinit process 1? see `ps -p 1`")
        })
    }

    /// Connects to the broker of the running system, or starts one.
    pub(crate) fn store(global: &Global) -> Result<Self> {
        if global.root.is_some() {
            return Self::start_broker(global);
        }
        match Self::connect(run::STORE_SOCKET) {
            Ok(client) => Ok(client),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                Self::start_broker(global)
            }
            Err(error) => Err(error).with_context(|| format!("cannot reach {}", run::STORE_SOCKET)),
        }
    }

    /// Connects to the broker of the running system if something listens there; whoever does not answer in `patience` is
    /// given up. Starts nothing.
    pub(crate) fn listening(patience: Duration) -> Option<Self> {
        let client = Self::connect(run::STORE_SOCKET).ok()?;
        client.stream.set_read_timeout(Some(patience)).ok()?;
        client.stream.set_write_timeout(Some(patience)).ok()?;
        Some(client)
    }

    fn connect(path: &str) -> std::io::Result<Self> {
        Ok(Self::over(
            UnixStream::connect(path)?,
            path.to_owned(),
            None,
        ))
    }

    fn over(stream: UnixStream, peer: String, broker: Option<Child>) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            received: Vec::new(),
            peer,
            broker,
        }
    }

    fn start_broker(global: &Global) -> Result<Self> {
        let path = find_broker()?;
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let mut command = Command::new(&path);
        command
            .args(["--serve-fd", "0"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null());
        for (option, dir) in [("--root", &global.root), ("--esp", &global.esp)] {
            if let Some(dir) = dir {
                command.arg(option).arg(absolute(dir)?);
            }
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        // `command` still holds the other end: only without it do we see the broker hang up.
        drop(command);
        Ok(Self::over(ours, path.display().to_string(), Some(child)))
    }

    /// Makes one call and waits for its reply.
    pub(crate) fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<R> {
        self.exchange(method, parameters, None)
    }

    /// Makes one call that may report progress before its reply.
    pub(crate) fn call_with_progress<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        mut on_progress: impl FnMut(&Progress),
    ) -> Result<R> {
        let mut report = |progress: &Progress, _: &mut Vec<OwnedFd>| {
            on_progress(progress);
            Ok(())
        };
        self.exchange(method, parameters, Some(&mut report))
    }

    /// The same, where reports may come with descriptors. What `on_progress` answers with an error ends the call.
    pub(crate) fn call_with_descriptors<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        mut on_progress: impl FnMut(&Progress, &mut Vec<OwnedFd>) -> Result<()>,
    ) -> Result<R> {
        self.exchange(method, parameters, Some(&mut on_progress))
    }

    fn exchange<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        mut on_progress: Option<Report<'_>>,
    ) -> Result<R> {
        let parameters = serde_json::to_value(parameters).context("cannot write the request")?;
        let mut request = varlink::Request::create(method.to_owned(), Some(parameters));
        request.more = on_progress.is_some().then_some(true);
        let mut message = serde_json::to_vec(&request).context("cannot write the request")?;
        message.push(0);
        self.stream
            .write_all(&message)
            .with_context(|| format!("cannot send to {}", self.peer))?;
        loop {
            let message = self.next_message()?;
            // The usual case, without a tree of values in between: a list may be long.
            if let Ok(Typed {
                continues: None | Some(false),
                error: None,
                parameters: Some(answer),
            }) = serde_json::from_slice(&message)
            {
                return Ok(answer);
            }
            let reply: varlink::Reply = serde_json::from_slice(&message)
                .map_err(|e| anyhow!("{} does not speak Varlink: {e}", self.peer))?;
            if let Some(name) = reply.error {
                return Err(Failure::from_reply(&name, reply.parameters).into());
            }
            let value = reply.parameters.unwrap_or_else(|| serde_json::json!({}));
            if reply.continues != Some(true) {
                return serde_json::from_value(value)
                    .with_context(|| format!("{} gave an answer of another shape", self.peer));
            }
            if let (Some(report), Ok(progress)) =
                (on_progress.as_mut(), serde_json::from_value(value))
            {
                report(&progress, &mut self.received)?;
            }
        }
    }

    /// The next whole message, without the NUL that ends it.
    fn next_message(&mut self) -> Result<Vec<u8>> {
        let mut looked_at = 0;
        loop {
            let new = self.unread.get(looked_at..).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == 0) {
                let rest = self.unread.split_off(looked_at + end + 1);
                let mut message = std::mem::replace(&mut self.unread, rest);
                message.pop();
                return Ok(message);
            }
            looked_at = self.unread.len();
            self.receive()?;
        }
    }

    /// Waits for more bytes.
    fn receive(&mut self) -> Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let kind = |error: &sys::SysError| {
            error
                .errno()
                .map(|errno| std::io::Error::from_raw_os_error(errno).kind())
        };
        let count = loop {
            match sys::socket::receive_fds(&self.stream, &mut buffer) {
                Ok((count, fds)) => {
                    self.received.extend(fds);
                    break count;
                }
                Err(error) if kind(&error) == Some(ErrorKind::Interrupted) => {}
                // A broker that died with our request unread resets the connection.
                Err(error) if kind(&error) == Some(ErrorKind::ConnectionReset) => break 0,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read from {}", self.peer));
                }
            }
        };
        if count == 0 {
            return Err(self.hung_up());
        }
        self.unread
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }

    fn hung_up(&mut self) -> anyhow::Error {
        let how = match self.broker.as_mut().map(Child::wait) {
            Some(Ok(status)) => format!(" ({status})"),
            Some(Err(_)) | None => String::new(),
        };
        let why = format!("{} ended without an answer{how}", self.peer);
        Failure {
            hung_up: true,
            ..Failure::new(Exit::Failed, why).next("rootctl status")
        }
        .into()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let Some(broker) = self.broker.as_mut() else {
            return;
        };
        // Hanging up ends the broker; waiting keeps its last steps (unmounting) from outliving our exit.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
        drop(broker.wait());
    }
}

/// `ROOTCTLD`, else beside our own program file (a build folder), else where it is installed.
fn find_broker() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ROOTCTLD") {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name("rootctld"));
    let installed = PathBuf::from(program::ROOTCTLD);
    [beside, Some(installed)]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
        .ok_or_else(|| {
            let why = format!(
                "nothing listens on {} and there is no {}",
                run::STORE_SOCKET,
                program::ROOTCTLD
            );
            Failure::new(Exit::Failed, why)
                .next("install rootctld, or set ROOTCTLD to its path")
                .into()
        })
}

/// The broker has another working directory than the person.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot use the path {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::over(ours, "test".into(), None), theirs)
    }

    #[test]
    fn progress_comes_before_the_reply() {
        let (mut client, mut server) = pair();
        server
            .write_all(
                b"{\"continues\":true,\"parameters\":{\"text\":\"one\",\"stream\":\"step\"}}\0{\"parameters\":{\"id\":7}}\0",
            )
            .unwrap();
        let mut seen = Vec::new();
        let made: store::Made = client
            .call_with_progress(store::method::RUN, &(), |p| seen.push(p.text.clone()))
            .unwrap();
        assert_eq!((made.id.get(), seen), (7, vec!["one".to_owned()]));
    }

    #[test]
    fn errors_carry_their_exit_code_and_the_next_command() {
        for (name, exit) in [
            (store::error::FAILED, Exit::Failed),
            (store::error::USAGE, Exit::Usage),
            (store::error::REFUSED, Exit::Refused),
            (store::error::BUSY, Exit::Busy),
            (store::error::CONFLICT, Exit::Conflict),
            (init::error::DENIED, Exit::Refused),
            ("com.example.Other", Exit::Failed),
        ] {
            let (mut client, mut server) = pair();
            let reply = format!(
                "{{\"error\":\"{name}\",\"parameters\":{{\"reason\":\"no\",\"next\":\"do\"}}}}\0"
            );
            server.write_all(reply.as_bytes()).unwrap();
            let error = client
                .call::<store::Made>(store::method::NEW, &())
                .unwrap_err();
            let failure = error.downcast_ref::<Failure>().unwrap();
            assert_eq!(failure.exit, exit, "{name}");
            assert_eq!(
                (failure.reason.as_str(), failure.next.as_deref()),
                ("no", Some("do"))
            );
        }
    }

    #[test]
    fn a_peer_that_hangs_up_or_babbles_is_named() {
        let (mut client, server) = pair();
        drop(server);
        let error = client.call::<store::Made>("a.b", &()).unwrap_err();
        // The kernel may refuse the write before the read sees the end.
        assert!(error.to_string().contains("test"), "{error}");

        let (mut client, mut server) = pair();
        server.write_all(b"hello\0").unwrap();
        let error = client.call::<store::Made>("a.b", &()).unwrap_err();
        assert!(
            error.to_string().contains("does not speak Varlink"),
            "{error}"
        );
    }
}

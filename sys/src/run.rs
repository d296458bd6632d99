//! The only place that starts a helper program and waits for it. Logs the command, keeps its stderr for the error.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How much of a program's stderr an error keeps, in bytes: its last words say why.
const KEPT: usize = 4096;
/// A line that never ends is passed on in pieces of this many bytes.
const LONGEST_LINE: usize = 8192;

/// Why a helper program did not do its work.
#[derive(Debug)]
pub enum RunError {
    /// It could not be started or waited for.
    Start {
        /// The command.
        command: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It did not end in time, and was killed.
    Late {
        /// The command.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended with an error.
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said on stderr.
        stderr: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { command, .. } => write!(f, "cannot run {command}"),
            Self::Late { command, limit } => {
                let seconds = limit.as_secs_f32();
                write!(f, "{command} did not end within {seconds} s and was killed")
            }
            Self::Failed {
                command,
                status,
                stderr,
            } => {
                write!(f, "{command} ended with {status}")?;
                match stderr.trim() {
                    "" => Ok(()),
                    words => write!(f, ": {words}"),
                }
            }
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source),
            Self::Late { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Runs a program to its end and returns what it wrote to stdout; stdin is empty.
///
/// # Errors
/// It cannot be started, or ends with anything but 0.
pub fn output(command: &mut Command) -> Result<Vec<u8>, RunError> {
    output_within(command, None)
}

/// As [`output`], of a program that is killed when it takes longer than `limit`.
///
/// # Errors
/// As [`output`]; it took longer.
pub fn output_within(
    command: &mut Command,
    limit: impl Into<Option<Duration>>,
) -> Result<Vec<u8>, RunError> {
    let mut stdout = Vec::new();
    let mut keep = |stream: Stream, bytes: &[u8]| {
        if stream == Stream::Stdout {
            stdout.extend_from_slice(bytes);
        }
    };
    let (status, stderr) = run(command, limit.into(), &mut keep)?;
    if status.success() {
        return Ok(stdout);
    }
    Err(RunError::Failed {
        command: shown(command),
        status,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Runs a program to its end and passes each line of its output on as it appears, without its newline. How the program
/// ended is for the caller to judge; stdin is empty.
///
/// # Errors
/// It cannot be started.
pub fn lines(
    command: &mut Command,
    line: &mut dyn FnMut(Stream, &str),
) -> Result<ExitStatus, RunError> {
    lines_within(command, None, line)
}

/// As [`lines`], of a program that is killed when it takes longer than `limit`.
///
/// # Errors
/// As [`lines`]; it took longer.
pub fn lines_within(
    command: &mut Command,
    limit: impl Into<Option<Duration>>,
    line: &mut dyn FnMut(Stream, &str),
) -> Result<ExitStatus, RunError> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut split = |stream: Stream, bytes: &[u8]| {
        let pending = match stream {
            Stream::Stdout => &mut out,
            Stream::Stderr => &mut err,
        };
        pending.extend_from_slice(bytes);
        while let Some(end) = end_of_line(pending) {
            let mut whole: Vec<u8> = pending.drain(..end).collect();
            if whole.last() == Some(&b'\n') {
                whole.pop();
            }
            line(stream, &String::from_utf8_lossy(&whole));
        }
    };
    let (status, _stderr) = run(command, limit.into(), &mut split)?;
    for (stream, rest) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
        if !rest.is_empty() {
            line(stream, &String::from_utf8_lossy(&rest));
        }
    }
    Ok(status)
}

/// Bytes up to and with the first newline, or a piece of a line that is too long.
fn end_of_line(bytes: &[u8]) -> Option<usize> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => at.checked_add(1),
        None if bytes.len() >= LONGEST_LINE => Some(LONGEST_LINE),
        None => None,
    }
}

/// The command as a person would type it, for logs and errors.
#[must_use]
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    }));
    words.join(" ")
}

/// Starts the program, gives away its output as it comes, waits; returns the end of its stderr too.
fn run(
    command: &mut Command,
    limit: Option<Duration>,
    take: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(ExitStatus, Vec<u8>), RunError> {
    let name = shown(command);
    log::debug!("run: {name}");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let failed = |source: io::Error| RunError::Start {
        command: name.clone(),
        source,
    };
    let mut child = command.spawn().map_err(failed)?;
    let mut stderr = Vec::new();
    let mut both = |stream: Stream, bytes: &[u8]| {
        if stream == Stream::Stderr {
            stderr.extend_from_slice(bytes);
            let surplus = stderr.len().saturating_sub(KEPT);
            drop(stderr.drain(..surplus));
        }
        take(stream, bytes);
    };
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    let drained = drain(&mut child, end, &mut both);
    if let (Ok(false), Some(limit)) = (&drained, limit) {
        child.kill().map_err(failed)?;
        child.wait().map_err(failed)?;
        return Err(RunError::Late {
            command: name,
            limit,
        });
    }
    // Even when its output could not be read, the program must not be left behind unwaited.
    let status = child.wait().map_err(failed)?;
    drained.map_err(failed)?;
    log::debug!("done: {name}: {status}");
    Ok((status, stderr))
}

/// Reads both pipes until both are closed. False: `end` came before that.
fn drain(
    child: &mut Child,
    end: Option<Instant>,
    take: &mut dyn FnMut(Stream, &[u8]),
) -> io::Result<bool> {
    let mut out = child.stdout.take();
    let mut err = child.stderr.take();
    let mut buffer = vec![0; 64 * 1024];
    while out.is_some() || err.is_some() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let pipes = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
        let (out_ready, err_ready) = wait(pipes, left)?;
        if out_ready {
            pass_on(&mut out, Stream::Stdout, &mut buffer, take)?;
        }
        if err_ready {
            pass_on(&mut err, Stream::Stderr, &mut buffer, take)?;
        }
    }
    Ok(true)
}

/// Which of the two can be read; neither when `left` is over.
fn wait(
    [out, err]: [Option<BorrowedFd<'_>>; 2],
    left: Option<Duration>,
) -> io::Result<(bool, bool)> {
    let mut fds: Vec<PollFd<'_>> = out
        .iter()
        .chain(&err)
        .map(|fd| PollFd::new(fd, PollFlags::IN))
        .collect();
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, left.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    // Hang-up is readiness too: reading tells the end.
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let out_ready = out.is_some() && ready.next().unwrap_or(false);
    let err_ready = err.is_some() && ready.next().unwrap_or(false);
    Ok((out_ready, err_ready))
}

fn pass_on<R: Read>(
    pipe: &mut Option<R>,
    stream: Stream,
    buffer: &mut [u8],
    take: &mut dyn FnMut(Stream, &[u8]),
) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => take(stream, buffer.get(..length).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn stdout_is_returned_and_stderr_does_not_mix_in() {
        assert_eq!(
            output(&mut shell("echo out; echo err >&2")).unwrap(),
            b"out\n"
        );
    }

    #[test]
    fn a_failure_shows_command_status_and_last_words() {
        let error = output(&mut shell("echo first >&2; echo 'no room' >&2; exit 3")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("/bin/sh -c 'echo first") && text.contains("exit status: 3"));
        assert!(text.ends_with("no room"), "{text}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let mut hangs = shell("echo here; exec sleep 1000");
        let begun = Instant::now();
        let error = output_within(&mut hangs, Duration::from_millis(200)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(100));
        let words = "did not end within 0.2 s and was killed";
        assert!(error.to_string().ends_with(words), "{error}");
        assert!(output_within(&mut shell("echo here"), Duration::from_secs(100)).is_ok());
    }

    #[test]
    fn an_absent_program_is_named() {
        let error = output(&mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(
            crate::chain(&error),
            "cannot run /no/such/program: No such file or directory"
        );
    }

    #[test]
    fn lines_come_one_by_one_and_the_last_needs_no_newline() {
        let mut seen = Vec::new();
        let status = lines(
            &mut shell("printf 'a\\nb\\nc'; printf x >&2; exit 7"),
            &mut |s, l| {
                seen.push((s, l.to_owned()));
            },
        );
        assert_eq!(status.unwrap().code(), Some(7));
        let out: Vec<_> = seen.iter().filter(|(s, _)| *s == Stream::Stdout).collect();
        assert_eq!(out.len(), 3);
        assert!(seen.contains(&(Stream::Stderr, "x".to_owned())));
    }

    #[test]
    fn much_output_on_both_streams_does_not_block() {
        let mut script = shell(
            "i=0; while [ $i -lt 3000 ]; do echo $i$i$i$i$i$i$i$i$i$i$i; echo $i$i$i$i$i >&2; i=$((i+1)); done",
        );
        assert!(output(&mut script).unwrap().len() > 64 * 1024);
    }
}

//! The serial line of a machine, or the terminal of a process 1 in namespaces: everything said is kept
//! with its time, and every wait ends with an event or a deadline.

pub mod cleaner;

use anyhow::{Context, Result, bail};
use cleaner::Cleaner;
use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many lines of the transcript a failure shows.
const LAST_LINES: usize = 40;
/// A terminal line is cut by the kernel after 4095 bytes.
const LONGEST_LINE: usize = 4000;
/// Set this variable to see every console live on standard error.
const ECHO: &str = "ROOTCTL_TESTS_CONSOLE";

/// What the reader thread and the waiting side share.
#[derive(Debug)]
struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    text: Vec<u8>,
    /// For each line begun: where it begins in `text`, and when, counted from the start.
    lines: Vec<(usize, Duration)>,
    ended: bool,
    show: Show,
}

/// Where the raw bytes go besides the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Nowhere.
    Nothing,
    /// Standard output: the person's terminal is the console.
    Output,
    /// Standard error: for somebody who looks for a fault.
    Error,
}

/// Something that was waited for and came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// When its line began, counted from the start of the machine.
    pub at: Duration,
    /// The line, as far as it had come.
    pub line: String,
    /// Which of the patterns it was.
    pub which: usize,
    /// Where the line begins in the transcript.
    start: usize,
}

/// A console: a transcript that grows, and the way to type.
pub struct Console {
    heard: Arc<Heard>,
    input: Box<dyn Write + Send>,
    started: Instant,
    /// Where the next wait begins to search: an event is found only once.
    cursor: usize,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("heard", &self.heard)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// The console on the pipes of a child's standard input and output.
    ///
    /// # Errors
    /// When the child was started without these pipes.
    pub fn of_child(child: &mut Child) -> Result<Self> {
        let input = child
            .stdin
            .take()
            .context("the program was started without a pipe to type into")?;
        let output = child
            .stdout
            .take()
            .context("the program was started without a pipe to read")?;
        Self::new(output, input)
    }

    /// A console that reads from `output` in a thread of its own until that ends.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(
        output: impl Read + Send + 'static,
        input: impl Write + Send + 'static,
    ) -> Result<Self> {
        let show = if std::env::var_os(ECHO).is_some() {
            Show::Error
        } else {
            Show::Nothing
        };
        let state = State {
            text: Vec::new(),
            lines: Vec::new(),
            ended: false,
            show,
        };
        let heard = Arc::new(Heard {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let started = Instant::now();
        let listener = Arc::clone(&heard);
        std::thread::Builder::new()
            .name("console".into())
            .spawn(move || listen(output, &listener, started))
            .context("cannot start the thread that reads a console")?;
        Ok(Self {
            heard,
            input: Box::new(input),
            started,
            cursor: 0,
        })
    }

    /// Also shows the raw bytes from now on.
    pub fn show(&self, show: Show) {
        lock(&self.heard).show = show;
    }

    /// Time since the machine was started.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until `pattern` is said, searching from the end of the event found last.
    ///
    /// # Errors
    /// When the deadline passes or the console ends first: what was waited for and the last lines.
    pub fn expect(&mut self, pattern: &str, deadline: Duration) -> Result<Found> {
        self.expect_any(&[pattern], deadline)
    }

    /// Waits until `pattern` is said and its line has ended; returns the line.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_line(&mut self, pattern: &str, deadline: Duration) -> Result<String> {
        let found = self.expect(pattern, deadline)?;
        self.expect("\n", deadline)?;
        Ok(self.line_at(&found).trim().to_owned())
    }

    /// Waits for the first of several patterns.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_any(&mut self, patterns: &[&str], deadline: Duration) -> Result<Found> {
        let end = Instant::now() + deadline;
        let mut state = lock(&self.heard);
        loop {
            if let Some((which, start, length)) = first_of(&state.text, self.cursor, patterns) {
                self.cursor = start + length;
                return Ok(found(&state, which, start));
            }
            let left = end.saturating_duration_since(Instant::now());
            let why = if state.ended {
                "the console ended".to_owned()
            } else if left.is_zero() {
                format!("{} s passed", deadline.as_secs())
            } else {
                let wait = self.heard.changed.wait_timeout(state, left);
                state = wait.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            let tail = tail(&state.text);
            bail!(
                "{why} without {} on the console; its last lines:\n{tail}",
                named(patterns)
            );
        }
    }

    /// The line of an event as it stands now: it may have grown since.
    pub fn line_at(&self, found: &Found) -> String {
        let state = lock(&self.heard);
        let rest = state.text.get(found.start..).unwrap_or_default();
        String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or_default())
            .into_owned()
    }

    /// Whether `pattern` was said since the event found last; does not wait and moves nothing.
    pub fn has(&self, pattern: &str) -> bool {
        first_of(&lock(&self.heard).text, self.cursor, &[pattern]).is_some()
    }

    /// How many bytes were said so far.
    pub fn length(&self) -> usize {
        lock(&self.heard).text.len()
    }

    /// Whether the other side has closed.
    pub fn ended(&self) -> bool {
        lock(&self.heard).ended
    }

    /// Whether `pattern` was ever said.
    pub fn ever(&self, pattern: &str) -> bool {
        first_of(&lock(&self.heard).text, 0, &[pattern]).is_some()
    }

    /// Waits until the other side closes; says whether it did.
    pub fn wait_end(&self, deadline: Duration) -> bool {
        let state = lock(&self.heard);
        let wait = self
            .heard
            .changed
            .wait_timeout_while(state, deadline, |state| !state.ended);
        wait.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Types bytes as they are.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.input
            .write_all(bytes)
            .and_then(|()| self.input.flush())
            .context("cannot type on the console")
    }

    /// Types a line and presses enter.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        self.send(format!("{line}\n").as_bytes())
    }

    /// Waits for the login prompt, logs in as root and quiets the shell.
    ///
    /// # Errors
    /// When a prompt does not come in time.
    pub fn login(&mut self, password: &str, deadline: Duration) -> Result<()> {
        self.expect("login: ", deadline)?;
        self.send_line("root")?;
        self.expect("assword: ", deadline)?;
        self.send_line(password)?;
        self.expect("# ", deadline)?;
        // Kernel messages would fall into the output of commands; editing keys would fold long lines.
        let (status, said) = self.command(
            "export TERM=dumb PAGER=cat; stty -echo cols 500; dmesg -n 1",
            deadline,
        )?;
        anyhow::ensure!(status == 0, "cannot quiet the shell: {said}");
        Ok(())
    }

    /// Runs a command at the shell prompt; returns its exit status and what it said.
    ///
    /// The shell itself puts the marks around the output together, so that the echo of what we type never
    /// looks like one.
    ///
    /// # Errors
    /// When it does not end in time, or the line is too long for a terminal.
    pub fn command(&mut self, command: &str, deadline: Duration) -> Result<(i32, String)> {
        let mark = crate::paths::unique();
        let quoted = command.replace('\'', r"'\''");
        let line = format!(
            r"printf '\n%s%s\n' 'begin:' '{mark}'; eval '{quoted}'; printf '\n%s%s:%s:\n' 'end:' '{mark}' $?"
        );
        if line.len() > LONGEST_LINE {
            bail!(
                "the command is too long for a terminal line ({} bytes): {command}",
                line.len()
            );
        }
        self.send_line(&line)?;
        self.expect(&format!("begin:{mark}\n"), deadline)
            .with_context(|| format!("`{command}` did not begin"))?;
        let from = self.cursor;
        let end = format!("\nend:{mark}:");
        // The mark begins with a newline, which is the last byte of the first mark when nothing is said.
        self.cursor -= 1;
        self.expect(&end, deadline)
            .with_context(|| format!("`{command}` did not end"))?;
        let to = self.cursor - end.len();
        let start = self.cursor;
        self.expect(":\n", deadline)?;
        let state = lock(&self.heard);
        let text = |a: usize, b: usize| {
            String::from_utf8_lossy(state.text.get(a..b).unwrap_or_default()).into_owned()
        };
        let status = text(start, self.cursor - 2);
        let status = status
            .parse()
            .with_context(|| format!("`{command}` ended with the status {status}"))?;
        Ok((status, text(from, to).trim_end_matches('\n').to_owned()))
    }

    /// Runs a command that must succeed; returns what it said.
    ///
    /// # Errors
    /// As [`Self::command`], and when its status is not 0.
    pub fn succeed(&mut self, command: &str, deadline: Duration) -> Result<String> {
        let (status, said) = self.command(command, deadline)?;
        anyhow::ensure!(
            status == 0,
            "`{command}` ended with status {status} and said:\n{said}"
        );
        Ok(said)
    }

    /// The end of the transcript, for messages.
    pub fn last_lines(&self) -> String {
        tail(&lock(&self.heard).text)
    }

    /// The whole transcript, each line with its time in seconds.
    pub fn transcript(&self) -> String {
        let state = lock(&self.heard);
        let ends = state
            .lines
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain([state.text.len()]);
        let line = |((start, at), end): (&(usize, Duration), usize)| {
            let line = String::from_utf8_lossy(state.text.get(*start..end).unwrap_or_default())
                .into_owned();
            format!("{:9.3} {}", at.as_secs_f64(), line.trim_end())
        };
        state
            .lines
            .iter()
            .zip(ends)
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn lock(heard: &Heard) -> MutexGuard<'_, State> {
    heard.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn named(patterns: &[&str]) -> String {
    patterns
        .iter()
        .map(|pattern| format!("{pattern:?}"))
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The earliest match: which pattern, where, how long.
fn first_of(text: &[u8], from: usize, patterns: &[&str]) -> Option<(usize, usize, usize)> {
    let rest = text.get(from..)?;
    let find = |pattern: &str| {
        (!pattern.is_empty()).then(|| {
            rest.windows(pattern.len())
                .position(|part| part == pattern.as_bytes())
        })?
    };
    let hits = patterns
        .iter()
        .enumerate()
        .filter_map(|(which, pattern)| Some((find(pattern)?, which, pattern.len())));
    hits.min()
        .map(|(at, which, length)| (which, from + at, length))
}

fn found(state: &State, which: usize, start: usize) -> Found {
    // A pattern may begin with the newline that ends the line before.
    let inside = start + usize::from(state.text.get(start) == Some(&b'\n'));
    let index = state
        .lines
        .partition_point(|(begin, _)| *begin <= inside)
        .saturating_sub(1);
    let (begin, at) = state.lines.get(index).copied().unwrap_or_default();
    let line = state
        .text
        .get(begin..)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    Found {
        at,
        line: String::from_utf8_lossy(line).into_owned(),
        which,
        start: begin,
    }
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines
        .get(lines.len().saturating_sub(LAST_LINES)..)
        .unwrap_or_default();
    last.iter()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn listen(mut output: impl Read, heard: &Heard, started: Instant) {
    let mut cleaner = Cleaner::default();
    let mut buffer = [0u8; 4096];
    loop {
        let bytes = match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => continue,
            // A pty whose other side is closed says EIO: an end like any other.
            Err(_) => break,
        };
        let mut state = lock(heard);
        match state.show {
            Show::Nothing => {}
            Show::Output => drop(
                std::io::stdout()
                    .write_all(bytes)
                    .and_then(|()| std::io::stdout().flush()),
            ),
            Show::Error => drop(std::io::stderr().write_all(bytes)),
        }
        let at = started.elapsed();
        for byte in bytes.iter().filter_map(|byte| cleaner.feed(*byte)) {
            if state.text.last().is_none_or(|last| *last == b'\n') {
                let start = state.text.len();
                state.lines.push((start, at));
            }
            state.text.push(byte);
        }
        drop(state);
        heard.changed.notify_all();
    }
    lock(heard).ended = true;
    heard.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::process::{Command, Stdio};

    const SOON: Duration = Duration::from_secs(5);

    fn said(text: &'static [u8]) -> Console {
        Console::new(Cursor::new(text), Vec::new()).unwrap()
    }

    #[test]
    fn an_event_is_found_once_and_the_earliest_of_several_wins() {
        let mut console = said(b"one\ntwo\nthree\ntwo\n");
        let found = console.expect_any(&["three", "two"], SOON).unwrap();
        assert_eq!((found.which, found.line.as_str()), (1, "two"));
        assert_eq!(
            console.expect_any(&["three", "two"], SOON).unwrap().which,
            0
        );
        assert!(console.has("two") && console.ever("one") && !console.has("one"));
    }

    #[test]
    fn what_never_comes_is_told_with_the_last_lines() {
        let error = said(b"booting\nstuck here\n")
            .expect("login:", SOON)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("login:") && error.contains("stuck here") && error.contains("ended"),
            "{error}"
        );
    }

    #[test]
    fn a_deadline_ends_the_wait_while_the_console_stays_open() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut console = Console::of_child(&mut child).unwrap();
        let error = console
            .expect("never", Duration::from_millis(20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("passed"), "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_command_gives_its_status_and_its_output_apart_from_the_echo() {
        // -v echoes the lines it reads, as a terminal would.
        let mut child = Command::new("sh")
            .args(["-c", "exec sh -v 2>&1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut console = Console::of_child(&mut child).unwrap();
        assert_eq!(
            console
                .command("echo 'a b'; echo c; (exit 3)", SOON)
                .unwrap(),
            (3, "a b\nc".into())
        );
        assert_eq!(console.command("true", SOON).unwrap(), (0, String::new()));
        assert_eq!(
            console.command("printf 'no newline'", SOON).unwrap(),
            (0, "no newline".into())
        );
        assert!(console.succeed("false", SOON).is_err());
        console.send_line("exit").unwrap();
        assert!(console.wait_end(SOON));
        child.wait().unwrap();
    }

    #[test]
    fn the_transcript_has_a_time_before_each_line() {
        let mut console = said(b"first\nsecond\n");
        console.expect("second\n", SOON).unwrap();
        assert!(console.wait_end(SOON));
        let text = console.transcript();
        let mut lines = text.lines();
        assert!(
            lines.next().unwrap().ends_with(" first") && lines.next().unwrap().ends_with(" second"),
            "{text}"
        );
    }
}

//! The process that writes logs: one file per unit, turned over by size. It holds no state that would be missed: when
//! it dies, the next one goes on where the pipes are.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rootspec::paths;
use rootspec::report::Numbers;
use sys::console::{Consoles, KernelLog, Level};
use sys::epoll::{Epoll, Interest};
use sys::peek::{Peek, discard};
use sys::timer::Timer;

use super::format::{self, Boot};
use super::{FALLBACK, Handover, LINK};

/// A file of this size is turned over; one old file is kept.
const SIZE: u64 = 1 << 20;
/// Looked at in one go, in bytes: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;
/// After so many milliseconds the beginning of a line is written without its end.
const PARTIAL: u64 = 2_000;
/// So long after a failed try `/var/log` is tried again, in milliseconds.
const RETRY: u64 = 2_000;
const TOKEN_LINK: u64 = u64::MAX;
const TOKEN_TIMER: u64 = u64::MAX - 1;

/// One log.
struct Source {
    what: Handover,
    pipe: OwnedFd,
    out: Option<Out>,
    partial: bool,
}

/// An open file.
struct Out {
    file: File,
    path: PathBuf,
    size: u64,
    /// It is not where it belongs.
    fallback: bool,
}

struct Logger {
    epoll: Epoll,
    timer: Timer,
    peek: Peek,
    boot: Boot,
    sources: Vec<Source>,
    consoles: Option<Consoles>,
    buffer: Vec<u8>,
    /// `/var/log` is not tried before.
    retry_at: u64,
}

/// The role: runs until PID 1 lets go.
///
/// # Errors
/// What it needs is not to be had.
pub(crate) fn run() -> sys::error::Result<()> {
    let link = sys::inherit::take(LINK)?;
    let (epoll, timer) = (Epoll::new()?, Timer::new()?);
    epoll.add(&link, TOKEN_LINK, Interest::Read)?;
    epoll.add(&timer, TOKEN_TIMER, Interest::Read)?;
    let mut logger = Logger {
        epoll,
        timer,
        peek: Peek::new()?,
        boot: boot(),
        sources: Vec::new(),
        consoles: None,
        buffer: vec![0; CHUNK],
        retry_at: 0,
    };
    let mut found = Vec::new();
    loop {
        logger.epoll.wait(&mut found)?;
        for happening in &found {
            match happening.token {
                TOKEN_LINK => {
                    if !logger.heard(&link) {
                        logger.drain_all();
                        return Ok(());
                    }
                }
                TOKEN_TIMER => {
                    logger.timer.fired();
                    logger.finish_partial_lines();
                }
                at => logger.drain(usize::try_from(at).unwrap_or(usize::MAX), false),
            }
        }
    }
}

fn boot() -> Boot {
    let id = sys::fs::read_text("/proc/sys/kernel/random/boot_id", 64).unwrap_or_default();
    let report = sys::fs::read_text(paths::run::BOOT_REPORT, 1 << 20).ok();
    let report = report.and_then(|text| Numbers::of_report(&text));
    let dash = || "-".to_owned();
    let snapshot = report.as_ref().and_then(|numbers| numbers.snapshot);
    let try_number = report.as_ref().and_then(|numbers| numbers.try_number);
    Boot {
        id: id.chars().take(8).collect(),
        snapshot: snapshot.map_or_else(dash, |id| id.to_string()),
        try_number: try_number.map_or_else(dash, |number| number.to_string()),
    }
}

impl Logger {
    /// Takes logs over. False: PID 1 has let go.
    fn heard(&mut self, link: &OwnedFd) -> bool {
        let mut bytes = [0; 256];
        // One message per call: the kernel does not join messages that carry descriptors.
        let (length, fds) = match sys::socket::receive_fds(link, &mut bytes) {
            Ok(received) => received,
            Err(error) => {
                // Where our own log is, if anywhere, is what we may just have missed.
                let text = format!("a log cannot be taken over: {}", sys::chain(&error));
                KernelLog::open("rinit").say(Level::Error, &text);
                return true;
            }
        };
        if length == 0 {
            return false;
        }
        let what = Handover::from_bytes(bytes.get(..length).unwrap_or_default());
        if let (Some(what), Some(pipe)) = (what, fds.into_iter().next()) {
            self.add(what, pipe);
        }
        true
    }

    fn add(&mut self, what: Handover, pipe: OwnedFd) {
        if what.console && self.consoles.is_none() {
            self.consoles = Some(Consoles::open());
        }
        let at = self.sources.len();
        let token = u64::try_from(at).unwrap_or(TOKEN_LINK);
        // Edges: the beginning of a line may stay in the pipe without waking us for ever.
        let watched = self.epoll.add(&pipe, token, Interest::ReadEdge);
        self.sources.push(Source {
            what,
            pipe,
            out: None,
            partial: false,
        });
        if watched.is_ok() {
            self.drain(at, false);
        }
    }

    fn drain_all(&mut self) {
        for at in 0..self.sources.len() {
            self.drain(at, true);
        }
    }

    /// The timer: nobody has finished these lines.
    fn finish_partial_lines(&mut self) {
        for at in 0..self.sources.len() {
            if self.sources.get(at).is_some_and(|source| source.partial) {
                self.drain(at, true);
            }
        }
    }

    /// Writes what is in one pipe, then takes it out. `whole`: unfinished lines too.
    fn drain(&mut self, at: usize, whole: bool) {
        loop {
            let Some(source) = self.sources.get_mut(at) else {
                return;
            };
            source.partial = false;
            let length = match self.peek.look(&source.pipe, &mut self.buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let bytes = self.buffer.get(..length).unwrap_or_default();
            let newline = bytes.iter().rposition(|byte| *byte == b'\n');
            let taken = match newline {
                Some(at) => at.saturating_add(1),
                // Lines longer than what we look at are cut; so are those that nobody finishes.
                None if whole || length >= format::LINE => length,
                None => {
                    source.partial = true;
                    let due = sys::timer::now().saturating_add(PARTIAL);
                    self.timer.set(Some(due)).ok();
                    return;
                }
            };
            let text = text_of(
                bytes.get(..taken).unwrap_or_default(),
                &self.boot,
                &source.what.name,
            );
            write(source, &text, &mut self.retry_at);
            if let (true, Some(consoles)) = (source.what.console, &mut self.consoles) {
                let shown = String::from_utf8_lossy(bytes.get(..taken).unwrap_or_default());
                consoles.say(&shown);
            }
            // From here on it is ours no more: not earlier.
            if discard(source.pipe.as_fd(), taken).is_err() {
                return;
            }
        }
    }
}

fn text_of(bytes: &[u8], boot: &Boot, unit: &str) -> String {
    let now = SystemTime::now();
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for part in whole.split(|byte| *byte == b'\n') {
        format::line(&mut text, now, boot, unit, part);
    }
    text
}

/// Appends to the unit's file. A full or read-only disk loses lines, never us.
fn write(source: &mut Source, text: &str, retry_at: &mut u64) {
    let now = sys::timer::now();
    let name = &source.what.name;
    let misplaced = source.out.as_ref().is_none_or(|out| out.fallback);
    if misplaced && now >= *retry_at {
        match open(paths::LOG_DIR, name, false) {
            Some(mut out) => {
                // Whoever wrote it: we, or the logger before us.
                bring_home(&Path::new(FALLBACK).join(format!("{name}.log")), &mut out);
                source.out = Some(out);
            }
            None => *retry_at = now.saturating_add(RETRY),
        }
    }
    if source.out.is_none() {
        source.out = open(FALLBACK, name, true);
    }
    let Some(out) = &mut source.out else { return };
    if out.file.write_all(text.as_bytes()).is_err() {
        source.out = None;
        *retry_at = now.saturating_add(RETRY);
        return;
    }
    out.size = out
        .size
        .saturating_add(u64::try_from(text.len()).unwrap_or_default());
    if out.size >= SIZE {
        let old = out.path.with_extension("log.1");
        std::fs::rename(&out.path, old).ok();
        source.out = None;
        *retry_at = 0;
    }
}

fn open(dir: &str, name: &str, fallback: bool) -> Option<Out> {
    std::fs::create_dir_all(dir).ok()?;
    let path = Path::new(dir).join(format!("{name}.log"));
    let file = File::options().append(true).create(true).open(&path).ok()?;
    let size = file.metadata().map_or(0, |data| data.len());
    Some(Out {
        file,
        path,
        size,
        fallback,
    })
}

/// What was written elsewhere while the disk was not ready comes first.
fn bring_home(old: &Path, out: &mut Out) {
    let Ok(bytes) = sys::fs::read(old, SIZE.saturating_mul(2)) else {
        return;
    };
    if out.file.write_all(&bytes).is_ok() {
        out.size = out
            .size
            .saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
        std::fs::remove_file(old).ok();
    }
}

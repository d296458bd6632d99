//! Saying something on every console without ever waiting for it: a slow or dead console must not hold up a boot. And
//! asking there, for a limited time.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::error::{Cannot, Result};

/// The kernel's log takes records up to about 1000 bytes (`LOG_LINE_MAX`, less its prefix).
const RECORD: usize = 900;

/// How bad it is, as the kernel's log counts (syslog(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 3,
    /// Something an administrator should know.
    Warning = 4,
    /// What happened.
    Notice = 5,
    /// Details.
    Info = 6,
}

/// The kernel's log, open for writing.
#[derive(Debug)]
pub struct KernelLog {
    file: Option<File>,
    name: &'static str,
}

impl KernelLog {
    /// Opens `/dev/kmsg`; where it is absent, what is said is lost. `name` stands in front of each record.
    #[must_use]
    pub fn open(name: &'static str) -> Self {
        Self {
            file: open("/dev/kmsg"),
            name,
        }
    }

    /// Adds one record per line.
    pub fn say(&mut self, level: Level, text: &str) {
        let Some(file) = &mut self.file else { return };
        for line in text.lines() {
            let record = record(level, self.name, line);
            // A full log drops its oldest record; an error here has nobody to be told to.
            file.write_all(record.as_bytes()).ok();
        }
    }
}

/// The kernel's log, open for reading without waiting: one message per read, from the oldest that it still has.
///
/// # Errors
/// It is absent, or not for us to read.
pub fn read_kernel_log() -> Result<File> {
    const PATH: &str = "/dev/kmsg";
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(PATH, flags, Mode::empty()).cannot("open", PATH)?;
    Ok(fd.into())
}

/// One record: facility 3 (daemon) like other services' messages, so that it is told from the kernel's own.
fn record(level: Level, name: &str, line: &str) -> String {
    let priority = 3 * 8 + (level as i32);
    let mut text = format!("<{priority}>{name}: {line}");
    if text.len() > RECORD {
        let mut end = RECORD;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
    }
    text
}

/// All consoles the kernel writes to.
#[derive(Debug)]
pub struct Consoles(Vec<File>);

impl Consoles {
    /// Opens `/dev/console` and every console the kernel names in `/sys/class/tty/console/active`.
    #[must_use]
    pub fn open() -> Self {
        let active = crate::fs::read_text("/sys/class/tty/console/active", 4096);
        let mut files: Vec<File> = active
            .unwrap_or_default()
            .split_ascii_whitespace()
            .filter_map(|name| open(&format!("/dev/{name}")))
            .collect();
        // It is one of the above; without sysfs it is all there is.
        if files.is_empty() {
            files.extend(open("/dev/console"));
        }
        Self(files)
    }

    /// Writes `text`; what a console does not take at once is lost there.
    pub fn say(&mut self, text: &str) {
        for file in &mut self.0 {
            file.write_all(text.as_bytes()).ok();
        }
    }
}

/// Waits for a line typed on the console; false when `time` has passed without one.
#[must_use]
pub fn line_typed_within(time: Duration) -> bool {
    let end = Instant::now() + time;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if let Ok(console) = rustix::fs::open("/dev/console", flags, Mode::empty()) {
        let mut ready = [PollFd::new(&console, PollFlags::IN)];
        let timeout = Timespec::try_from(time).ok();
        // A console that hung up is ready as well, and has no line.
        if poll(&mut ready, timeout.as_ref()).is_ok_and(|count| count > 0) {
            let mut line = [0; 256];
            if rustix::io::read(&console, &mut line).is_ok_and(|count| count > 0) {
                return true;
            }
        }
    }
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    false
}

fn open(path: &str) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .ok()
        .map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_carries_priority_and_name_and_is_cut_between_characters() {
        assert_eq!(record(Level::Warning, "boot", "hm"), "<28>boot: hm");
        let long = record(Level::Error, "boot", &"é".repeat(2000));
        assert!(long.len() <= RECORD && long.len() > RECORD - 2);
    }
}

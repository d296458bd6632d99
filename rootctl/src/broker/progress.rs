//! Steps of long work, on their way to whoever asked, and our own log on stderr.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};

use crate::guard::Guard;

/// The way to whoever asked.
pub(crate) trait Outlet {
    /// Sends a piece of text, which is a `step` or belongs to a stream.
    fn send(&mut self, stream: &str, text: &str);

    /// Hands a descriptor over with the text.
    ///
    /// The default is for those who cannot take any.
    fn lend(&mut self, stream: &str, text: &str, _fd: BorrowedFd<'_>) -> Result<()> {
        self.send(stream, text);
        Guard::usage("a terminal can only be handed to a call with `more`").err()
    }

    /// What hangs up when whoever asked goes away.
    fn line(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl<F: FnMut(&str, &str)> Outlet for F {
    fn send(&mut self, stream: &str, text: &str) {
        self(stream, text);
    }
}

/// Where the steps of one request go.
pub(crate) struct Progress<'a> {
    out: &'a mut dyn Outlet,
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

impl<'a> Progress<'a> {
    /// Steps go to `out`.
    pub(crate) fn new(out: &'a mut dyn Outlet) -> Self {
        Self { out }
    }

    /// One step, in words.
    pub(crate) fn step(&mut self, text: &str) {
        self.out.send("step", text);
    }

    /// A piece of a command's output.
    pub(crate) fn output(&mut self, stream: &str, text: &str) {
        self.out.send(stream, text);
    }

    /// Hands over the end of a terminal; `text` says whose.
    pub(crate) fn terminal(&mut self, text: &str, end: BorrowedFd<'_>) -> Result<()> {
        self.out.lend("terminal", text, end)
    }

    /// What hangs up when whoever asked goes away.
    pub(crate) fn line(&self) -> Option<BorrowedFd<'_>> {
        self.out.line()
    }
}

/// Says something on stderr, which `rinit` keeps as our log. A log that is gone stops nothing.
pub(crate) fn log(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "rootctld: {text}"));
}

/// A named place where a test can let us die, as a power cut would (`ROOTCTLD_DIE_AT=E6`), or fail, as a disk would that takes no
/// more (`ROOTCTLD_FAIL_AT=E6:ENOSPC`; also `EIO` and `EROFS`). Not in release builds.
///
/// # Errors
/// Only what a test asked for.
pub(crate) fn point(name: &str) -> Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    if std::env::var("ROOTCTLD_DIE_AT").is_ok_and(|at| at == name) {
        log(&format!("dying at {name} as asked"));
        std::process::abort();
    }
    let asked = std::env::var("ROOTCTLD_FAIL_AT").unwrap_or_default();
    // Linux has these numbers on every machine we build for.
    let error = match asked.split_once(':') {
        Some((at, "ENOSPC")) if at == name => 28,
        Some((at, "EIO")) if at == name => 5,
        Some((at, "EROFS")) if at == name => 30,
        _ => return Ok(()),
    };
    Err(io::Error::from_raw_os_error(error)).with_context(|| format!("failing at {name} as asked"))
}

//! The person's terminal while a session has it: keys and output are passed between it and the end that the broker sent.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use rootspec::protocol::session::Terminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use sys::terminal::{self, Ended, Raw, Size, Then};

use crate::output::Output;

/// What a terminal has that does not know its size (terminfo's own default).
const USUAL: Size = Size {
    rows: 24,
    columns: 80,
};

/// The terminal on standard input, if it is one.
pub(crate) fn ours() -> Option<Terminal> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return None;
    }
    let size = terminal::size(&input).unwrap_or(USUAL);
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
    Some(Terminal {
        term: term.unwrap_or_else(|| "dumb".to_owned()),
        rows: size.rows,
        columns: size.columns,
    })
}

/// Passes everything on until the programs on the `far` end are gone, or we are told to end.
pub(crate) fn pass(far: &OwnedFd, out: &Output) -> Result<Ended> {
    terminal::never_wait(far)?;
    let (wake, bell) = UnixStream::pair().context("cannot make a socket pair")?;
    terminal::never_wait(&wake)?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended))
            .context("cannot listen for signals")?;
    }
    for signal in [SIGWINCH, SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let bell = bell.try_clone().context("cannot listen for signals")?;
        signal_hook::low_level::pipe::register(signal, bell)
            .context("cannot listen for signals")?;
    }
    let input = std::io::stdin();
    let raw = input
        .is_terminal()
        .then(|| Raw::enter(&input))
        .transpose()?;
    let mut on_wake = || {
        terminal::drain(&wake);
        if ended.load(Ordering::Relaxed) {
            return Then::Stop;
        }
        if let Some(size) = terminal::size(std::io::stdin()) {
            // A socket has no size.
            terminal::set_size(far, size).ok();
        }
        Then::GoOn
    };
    let passed = terminal::relay(
        far,
        input.as_fd(),
        &mut out.terminal(),
        wake.as_fd(),
        &mut on_wake,
    );
    drop(raw);
    Ok(passed?)
}

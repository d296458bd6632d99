//! Words for the person at the terminal. A terminal that went away must not end a test run, so a
//! failed write is dropped.

use std::io::Write;

/// Prints one line to standard output at once.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Prints one line to standard error.
pub fn error(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints an error with its causes joined by colons: each fact once, outermost first.
pub fn failure(error: &anyhow::Error) {
    self::error(&format!("error: {error:#}"));
}

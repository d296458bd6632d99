//! Steps of long work, on their way to whoever asked, and our own log on stderr.

use std::io::Write;

/// Where the steps of one request go.
pub(crate) struct Progress<'a> {
    send: &'a mut dyn FnMut(&str, &str),
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}

impl<'a> Progress<'a> {
    /// Steps are handed to `send` as (stream, text).
    pub(crate) fn new(send: &'a mut dyn FnMut(&str, &str)) -> Self {
        Self { send }
    }

    /// One step, in words.
    pub(crate) fn step(&mut self, text: &str) {
        (self.send)("step", text);
    }

    /// A piece of a command's output.
    pub(crate) fn output(&mut self, stream: &str, text: &str) {
        (self.send)(stream, text);
    }
}

/// Says something on stderr, which `rinit` keeps as our log. A log that is gone stops nothing.
pub(crate) fn log(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "rootctld: {text}"));
}

/// A named place where a test can let us die, as a power cut would: `ROOTCTLD_DIE_AT=E6`. Not in release builds.
pub(crate) fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var("ROOTCTLD_DIE_AT").is_ok_and(|at| at == name) {
        log(&format!("dying at {name} as asked"));
        std::process::abort();
    }
}

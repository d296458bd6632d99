//! What the boot stage says while it works: to the kernel's log, and what an administrator should know also to the boot
//! report.

use std::io::Write;

use sys::console::{Consoles, KernelLog, Level};

/// Name in front of each message.
const NAME: &str = "rinit-boot";

/// The voice of the boot stage.
#[derive(Debug)]
pub struct Voice {
    log: KernelLog,
    warnings: Vec<String>,
    stderr: bool,
}

impl Voice {
    /// As PID 1 of an initramfs: the kernel's log is also what the consoles show.
    #[must_use]
    pub fn of_init() -> Self {
        Self {
            log: KernelLog::open(NAME),
            warnings: Vec::new(),
            stderr: false,
        }
    }

    /// As a program that another initramfs runs: also to its stderr.
    #[must_use]
    pub fn of_helper() -> Self {
        Self {
            stderr: true,
            ..Self::of_init()
        }
    }

    /// Says what happens.
    pub fn note(&mut self, text: &str) {
        self.log.say(Level::Info, text);
    }

    /// Says what an administrator should know, and keeps it for the boot report.
    pub fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.log.say(Level::Warning, &text);
        self.to_stderr(&text);
        self.warnings.push(text);
    }

    /// Says that something failed.
    pub fn fail(&mut self, text: &str) {
        self.log.say(Level::Error, text);
        self.to_stderr(text);
    }

    /// Shows a text on every console, whatever the kernel's log level.
    pub fn show(&mut self, text: &str) {
        Consoles::open().say(text);
    }

    /// All warnings so far.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn to_stderr(&self, text: &str) {
        if self.stderr {
            // Nobody can be told that stderr is closed.
            writeln!(std::io::stderr(), "{NAME}: {text}").ok();
        }
    }
}

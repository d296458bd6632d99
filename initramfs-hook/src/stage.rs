//! What a boot has to do with: the command line, the modules, a voice.

use std::time::{Duration, Instant};

use anyhow::Result;
use rootspec::cmdline::Cmdline;

use crate::modules::Loader;
use crate::say::Voice;

/// Nobody waits longer; a larger number would also be more than the clock can count.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a boot has to do with.
#[derive(Debug)]
pub struct Stage {
    /// The kernel command line, understood.
    pub line: Cmdline,
    /// Kernel modules.
    pub loader: Loader,
    /// What is said.
    pub voice: Voice,
    /// When this program started, in milliseconds since the kernel did.
    pub started_ms: u64,
}

impl Stage {
    /// Reads the command line and the module tables.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn prepare(mut voice: Voice, started_ms: u64) -> Result<Self> {
        let text = sys::fs::read_text("/proc/cmdline", 64 * 1024)?;
        let line = Cmdline::parse(&text);
        for warning in &line.warnings {
            voice.warn(format!("kernel command line: {warning}"));
        }
        Ok(Self {
            loader: Loader::open("/", &text),
            line,
            voice,
            started_ms,
        })
    }

    /// Gives a shell before `step` if the command line asks for that.
    pub fn pause_before(&mut self, step: &str) {
        if self.line.stop_before.as_deref() == Some(step) {
            self.voice.show(&format!(
                "rootctl.break={step}: a shell; leave it to go on\n"
            ));
            crate::emergency::shell(&mut self.voice);
        }
    }

    /// Until when a device may take to appear, from now on.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.line.wait).min(LONGEST_WAIT)
    }

    /// What this boot is about, for people.
    #[must_use]
    pub fn wanted(&self) -> String {
        let snapshot = match self.line.snap {
            Some(request) => format!("snapshot {request}"),
            None => "the last good snapshot".to_owned(),
        };
        let place = match &self.line.root {
            Some(device) => device.to_string(),
            None => "any btrfs with a store".to_owned(),
        };
        format!(
            "{snapshot} on {place} in mode {}, waiting at most {} s",
            self.line.mode, self.line.wait
        )
    }
}

//! The real-time scheduling class, so that other work on the host disturbs less.

use anyhow::Result;
use tests::{run, say};

/// While it lives, whatever we start is in the class.
pub(super) struct RealTime;

impl RealTime {
    pub(super) fn enter() -> Result<Self> {
        chrt(&["--rr", "--pid", "1"], std::process::id())?;
        Ok(Self)
    }

    /// Puts the first thread of a process before its others. QEMU's first thread rings the timers of the virtual
    /// processors, and those are threads that may never sleep.
    pub(super) fn first_thread_first(&self, process: u32) -> Result<()> {
        chrt(&["--rr", "--pid", "2"], process)
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if let Err(why) = chrt(&["--other", "--pid", "0"], std::process::id()) {
            say::failure(&why);
        }
    }
}

/// Changes the class of the first thread of a process; ours starts everything.
fn chrt(how: &[&str], process: u32) -> Result<()> {
    run::quiet(run::command("chrt", how).arg(process.to_string()))
}

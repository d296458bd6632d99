//! Signals as something to read. The only handlers are those of [`crate::crash`].

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::{Result, SysError};

/// All signals of this process, to be read one by one.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks all signals from now on but those of a crash, and makes them readable. All get their default dispositions back: programs
    /// started later inherit neither what whoever started us ignored, nor SIGPIPE, which Rust ignores.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn take_over() -> Result<Self> {
        let failed = |error: nix::errno::Errno| SysError::new("take over", "signals", error);
        let mut all = SigSet::all();
        for number in crate::crash::SIGNALS {
            // A crash that is blocked kills at once.
            all.remove(number);
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None).map_err(failed)?;
        for number in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP))
        {
            // SAFETY: the default disposition runs no code of ours.
            unsafe { signal(number, SigHandler::SigDfl) }.map_err(failed)?;
        }
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&all, flags).map(Self).map_err(failed)
    }

    /// The number of the next signal that came; `None`: none is waiting.
    pub fn take(&mut self) -> Option<i32> {
        let found = self.0.read_signal().ok().flatten()?;
        i32::try_from(found.ssi_signo).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes all signals again, as a process does that was started by [`crate::process::spawn`]: for copies of PID 1 that
/// go on without executing a program.
///
/// # Errors
/// None that the kernel documents for this use.
pub fn unblock_all() -> Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|error| SysError::new("take", "signals", error))
}

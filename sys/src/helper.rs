//! The program beside PID 1 that does what PID 1 may not, held open so that both are always of one version.
//!
//! A package manager exchanges files one after the other, and what runs is the old PID 1 until it is executed anew. By its
//! path it would start a helper that does not understand it, or none while there is none.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::error::{Cannot, Result, SysError};

/// What it is called, as the first argument and by those who list processes (at most 15 bytes).
pub const NAME: &str = "rinit-helper";
/// The same for the kernel.
const COMM: &std::ffi::CStr = c"rinit-helper";

/// The program, or why it is not to be had.
#[derive(Debug)]
pub struct Helper(std::result::Result<OwnedFd, String>);

impl Helper {
    /// Opens the one at `path` for good.
    #[must_use]
    pub fn open(path: &str) -> Self {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).cannot("open", path);
        Self(opened.map_err(|error| crate::chain(&error)))
    }

    /// One that the program before us has held.
    #[must_use]
    pub fn held(fd: OwnedFd) -> Self {
        Self(Ok(fd))
    }

    /// Where it is open.
    ///
    /// # Errors
    /// It could not be opened.
    pub fn fd(&self) -> Result<BorrowedFd<'_>> {
        let none = |why: &String| SysError::invalid("start", NAME, why.as_str());
        self.0.as_ref().map(AsFd::as_fd).map_err(none)
    }
}

/// Gives this process the helper's name, for those who list processes.
pub fn be_named() {
    // Nothing depends on it.
    rustix::thread::set_name(COMM).ok();
}

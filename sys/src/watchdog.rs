//! A hardware watchdog (`Documentation/watchdog/watchdog-api.rst` of the kernel): it resets the machine unless it hears from
//! us again and again.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use linux_raw_sys::ioctl as op;
use rustix::fs::{Mode, OFlags};

use crate::error::{Cannot, Result, SysError};
use crate::ioctl;

/// What a watchdog does for supervision, as a trait for a double of it.
pub trait Dog {
    /// Sets how many seconds of silence it takes; returns what is in force, as devices have limits and steps. The time
    /// begins anew.
    ///
    /// # Errors
    /// The device cannot, or not so many.
    fn set_timeout(&mut self, seconds: u32) -> Result<u32>;
    /// Lets it hear from us.
    ///
    /// # Errors
    /// The device is gone.
    fn ping(&mut self) -> Result<()>;
    /// Stops it for good.
    ///
    /// # Errors
    /// The device cannot be written.
    fn stop(self) -> Result<()>;
}

/// An open watchdog. Dropped without [`Dog::stop`] it goes on: the machine is reset unless somebody opens it in time.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    path: PathBuf,
}

impl Watchdog {
    /// Opens the device, which starts it with a time of its own choice.
    ///
    /// # Errors
    /// There is none, or somebody else has it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let device = rustix::fs::open(path, flags, Mode::empty()).cannot("open", path)?;
        Ok(Self {
            device: File::from(device),
            path: path.to_owned(),
        })
    }
}

impl Dog for Watchdog {
    fn set_timeout(&mut self, seconds: u32) -> Result<u32> {
        let mut value = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
        // SAFETY: WDIOC_SETTIMEOUT reads one int and writes the time in force to the same place.
        unsafe { ioctl::exchange::<{ op::WDIOC_SETTIMEOUT }, _>(&self.device, &mut value) }
            .cannot("set the time of", &self.path)?;
        match u32::try_from(value) {
            Ok(seconds) if seconds > 0 => Ok(seconds),
            _ => Err(SysError::invalid(
                "set the time of",
                &self.path,
                "it says it has none",
            )),
        }
    }

    fn ping(&mut self) -> Result<()> {
        // SAFETY: WDIOC_KEEPALIVE does not look at its argument.
        unsafe { ioctl::act::<{ op::WDIOC_KEEPALIVE }>(&self.device) }.cannot("ping", &self.path)
    }

    fn stop(mut self) -> Result<()> {
        // Whoever closes it without this letter has crashed.
        self.device.write_all(b"V").cannot("stop", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_watchdog_is_told_from_one_that_is_not_there() {
        let error = Watchdog::open("/dev/no-watchdog").unwrap_err();
        assert!(error.is_absent(), "{error}");
        let mut zero = Watchdog::open("/dev/zero").unwrap();
        for error in [zero.set_timeout(30).unwrap_err(), zero.ping().unwrap_err()] {
            assert_eq!(error.errno(), Some(libc::ENOTTY), "{error}");
        }
    }
}

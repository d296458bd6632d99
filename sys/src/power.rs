//! The end of a boot.

use std::convert::Infallible;

use rustix::system::RebootCommand;

use crate::error::{Result, SysError};

/// How the machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Start again, through the firmware.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Stop and stay on.
    Halt,
    /// Start the kernel that was loaded beforehand.
    Kexec,
}

/// Ends the machine at once: what is not synced is lost. As PID 1 of a namespace, ends that namespace.
///
/// # Errors
/// We may not (`EPERM`), or no kernel was loaded (`EINVAL`).
pub fn end(how: End) -> Result<Infallible> {
    let command = match how {
        End::Reboot => RebootCommand::Restart,
        End::PowerOff => RebootCommand::PowerOff,
        End::Halt => RebootCommand::Halt,
        End::Kexec => RebootCommand::Kexec,
    };
    match rustix::system::reboot(command) {
        Err(error) => Err(SysError::new("end", "the machine", error)),
        // The kernel halts the caller when it halts the machine from a process that is not PID 1.
        Ok(()) => loop {
            std::thread::park();
        },
    }
}

/// Whether Ctrl-Alt-Del reboots at once (the kernel's default) or is told to PID 1 as SIGINT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreeKeys {
    /// PID 1 is told.
    TellInit,
    /// The machine reboots without further ado.
    Reboot,
}

/// Decides what Ctrl-Alt-Del does.
///
/// # Errors
/// We may not.
pub fn three_keys(what: ThreeKeys) -> Result<()> {
    let command = match what {
        ThreeKeys::TellInit => RebootCommand::CadOff,
        ThreeKeys::Reboot => RebootCommand::CadOn,
    };
    rustix::system::reboot(command).map_err(|error| SysError::new("set", "Ctrl-Alt-Del", error))
}

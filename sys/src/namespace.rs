//! Namespaces and sessions of this process: what keeps a helper's mounts and processes from everybody else.

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::{Cannot, Result};

/// Namespaces that are left together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// Mounts.
    Mount,
    /// Mounts, host name, System V IPC, and process ids: the next child becomes process 1 of the new one.
    MountAndProcesses,
}

/// Leaves the namespaces for new ones of our own. Mounts still travel in and out until
/// [`crate::mount::make_private`] stops them.
///
/// # Errors
/// We are not root (`EPERM`), or have threads that the kernel does not let part ways.
pub fn leave(which: Namespaces) -> Result<()> {
    let flags = match which {
        Namespaces::Mount => UnshareFlags::NEWNS,
        Namespaces::MountAndProcesses => {
            UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC | UnshareFlags::NEWPID
        }
    };
    // SAFETY: none of these flags is CLONE_FILES, so no thread ever sees another table of descriptors.
    unsafe { unshare_unsafe(flags) }.cannot("leave", "the namespaces")
}

/// One thing a process can have for itself at once, without a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Mounts.
    Mounts,
    /// Network devices, addresses, ports, abstract sockets.
    Network,
    /// System V IPC, POSIX message queues.
    Ipc,
    /// The host name.
    HostName,
}

/// Leaves one namespace for a new one.
///
/// # Errors
/// We are not root (`EPERM`), or there are too many already (`ENOSPC`).
pub fn have_own(what: Own) -> Result<()> {
    let (flags, shown) = match what {
        Own::Mounts => (UnshareFlags::NEWNS, "mounts"),
        Own::Network => (UnshareFlags::NEWNET, "network"),
        Own::Ipc => (UnshareFlags::NEWIPC, "IPC"),
        Own::HostName => (UnshareFlags::NEWUTS, "host name"),
    };
    // SAFETY: none of these flags is CLONE_FILES, so no thread ever sees another table of descriptors.
    unsafe { unshare_unsafe(flags) }.cannot("make a namespace of", shown)
}

/// Becomes the leader of a session of its own: signals of the caller's terminal no longer arrive. A process that leads
/// one already keeps it.
pub fn leave_session() {
    // EPERM, the only error, means just that.
    rustix::process::setsid().ok();
}

/// Asks the kernel to kill us when whoever started us dies, so that no helper outlives the one that waits for it.
///
/// # Errors
/// None that the kernel documents.
pub fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .cannot("tie", "this process to its parent")
}

/// Sets the host name of this UTS namespace.
///
/// # Errors
/// We are not root, or it is longer than 64 bytes.
pub fn set_host_name(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).cannot("set the host name to", name)
}

/// Waits for any child to end, as process 1 of a namespace must; `None` when there is none left. A child ended by a
/// signal counts as 128 + signal.
///
/// # Errors
/// What wait(2) reports.
pub fn reap() -> Result<Option<(u32, i32)>> {
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                let code = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code,
                    (None, Some(signal)) => signal.saturating_add(128),
                    (None, None) => continue,
                };
                let pid = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or_default();
                return Ok(Some((pid, code)));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error).cannot("wait for", "a child"),
        }
    }
}

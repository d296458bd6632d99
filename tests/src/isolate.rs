//! Keeps our mounts and processes from outliving us.
//!
//! The front door starts itself again in its own mount and process namespaces. When it ends, however it
//! ends, the kernel unmounts what it mounted and kills what it started: no cleaning up after ctrl-C.

use crate::run;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set in the second run, so that it does not start a third.
const MARK: &str = "ROOTCTL_TESTS_ISOLATED";

/// Whether we are root, which mounts, loop devices and namespaces need.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this host lets us make namespaces at all (a locked-down container does not).
pub fn can_make_namespaces() -> bool {
    is_root()
        && run::succeeds(&mut run::command(
            "unshare",
            ["--mount", "--pid", "--fork", "true"],
        ))
}

/// Replaces this process by itself inside fresh mount and process namespaces. Returns without doing
/// anything where that was already done or is not possible; then dropped guards do the cleaning.
///
/// # Errors
/// When our own program cannot be started again.
pub fn enter() -> Result<()> {
    if std::env::var_os(MARK).is_some() || !can_make_namespaces() {
        return Ok(());
    }
    let program = std::env::current_exe().context("cannot find our own program file")?;
    let mut again = Command::new("unshare");
    again
        .args(["--mount", "--propagation", "private", "--pid", "--fork"])
        .args(["--kill-child=KILL", "--mount-proc", "--"])
        .arg(&program)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1");
    let why = again.exec();
    Err(why).with_context(|| {
        format!(
            "cannot start {} in namespaces of its own",
            program.display()
        )
    })
}

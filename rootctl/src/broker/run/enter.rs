//! Two stages of ourselves around the command. The first leaves our namespaces; a process id namespace begins with the
//! next child, so the second is its process 1: it mounts, starts the command, collects orphans, and takes the whole
//! namespace down with it when the command has ended. Nothing a package script left running survives.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result};
use sys::namespace::{self, Namespaces};

use super::{places, terminal};
use crate::args::Inside;
use crate::progress::log;

/// Exit status when the command cannot be started at all, as of a shell.
pub(super) const NOT_STARTED: u8 = 127;
/// What a command finds when it looks for programs.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Stage one.
pub(crate) fn enter(inside: &Inside) -> Result<ExitCode> {
    namespace::die_with_parent()?;
    namespace::leave(Namespaces::MountAndProcesses)?;
    sys::mount::make_private("/")?;
    let status = Command::new("/proc/self/exe")
        .arg("inside")
        .args(inside.words())
        .status()
        .context("cannot start the second stage")?;
    Ok(exit_code(code(status)))
}

/// Stage two, process 1 of its namespace.
pub(crate) fn inside(inside: &Inside) -> Result<ExitCode> {
    // When the broker is killed, the first stage dies with it, this one with that, and the namespace with us.
    namespace::die_with_parent()?;
    if inside.session.is_some() {
        return terminal::inside(inside);
    }
    let places = places::enter(&inside.dir)?;
    let Some((program, arguments)) = inside.argv.split_first() else {
        return Ok(ExitCode::from(NOT_STARTED));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .current_dir("/")
        .env_clear()
        .envs(environment());
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            log(&format!(
                "cannot start {}: {error}",
                program.to_string_lossy()
            ));
            return Ok(ExitCode::from(NOT_STARTED));
        }
    };
    let ours = child.id();
    while let Some((pid, code)) = namespace::reap()? {
        if pid == ours {
            places.leave();
            return Ok(exit_code(code));
        }
    }
    Ok(ExitCode::FAILURE)
}

/// A clean environment: what the person exported belongs to another system. Package work asks nothing.
fn environment() -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("PATH", PATH.to_owned()),
        ("HOME", "/root".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
    ];
    all.extend(proxies());
    all
}

/// A network behind a proxy is the host's, and so is this.
pub(super) fn proxies() -> impl Iterator<Item = (&'static str, String)> {
    let names = ["http_proxy", "https_proxy", "no_proxy"].into_iter();
    names.filter_map(|name| Some((name, std::env::var(name).ok()?)))
}

/// Exit status as shells count: 128 + signal for a death by signal.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| signal + 128))
        .unwrap_or(1)
}

pub(super) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_by_signal_counts_from_128() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }
}

//! Stage two of a session, process 1 of its namespaces: a terminal of its own (or a socket) for what runs inside. The other
//! end is sent to the broker, which hands it to the person's `rootctl`; nothing here passes bytes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sys::process::{Job, Place, Wait};
use sys::terminal::Size;
use sys::{inherit, namespace};

use super::enter::{NOT_STARTED, PATH, exit_code, proxies};
use super::places;
use crate::args::Inside;
use crate::progress::log;

/// What the one message to the broker says; the end of a terminal travels with it.
pub(crate) const TERMINAL: &[u8] = b"t";
/// The shell that every system has.
const SHELL: &str = "/bin/sh";

/// What runs inside reads and writes here.
enum Near {
    /// A terminal, by its path inside.
    Terminal(String),
    /// A socket.
    Socket(UnixStream),
}

/// Runs a shell or a command of the session, to its end.
pub(super) fn inside(inside: &Inside) -> Result<ExitCode> {
    let broker = UnixStream::from(inherit::take(0)?);
    // Had it died before we asked to die with it, nobody would ever end us.
    if inherit::wait_readable(&broker, Duration::ZERO)? {
        bail!("the broker is gone");
    }
    let places = places::enter(&inside.dir)?;
    let (far, near) = ends(inside)?;
    sys::socket::send_fds(&broker, TERMINAL, &[far.as_fd()])?;
    // The only copy left is the person's: closing it hangs up.
    drop(far);
    let argv = argv(inside)?;
    let job = Job {
        env: environment(inside, argv.first().map_or("", String::as_str)),
        argv,
        workdir: Some("/".into()),
        umask: 0o022,
        tty: match &near {
            Near::Terminal(path) => Some(path.clone()),
            Near::Socket(_) => None,
        },
        tty_output: [true, true],
        ..Job::default()
    };
    let fds: Vec<(BorrowedFd<'_>, i32)> = match &near {
        Near::Terminal(_) => Vec::new(),
        Near::Socket(socket) => (0..3).map(|number| (socket.as_fd(), number)).collect(),
    };
    let mut child = sys::process::spawn(&job, &fds, Place::default())?;
    drop(near);
    while let Some((pid, code)) = namespace::reap()? {
        if pid == child.pid {
            let failed = child.flight.poll()?;
            child.flight.landed();
            places.leave();
            if let Wait::Failed(stage, errno) = failed {
                let why = std::io::Error::from_raw_os_error(errno);
                let what = job.argv.first().map_or("", String::as_str);
                log(&format!("cannot {} {what}: {why}", stage.words()));
                return Ok(ExitCode::from(NOT_STARTED));
            }
            return Ok(exit_code(code));
        }
    }
    Ok(ExitCode::FAILURE)
}

fn ends(inside: &Inside) -> Result<(OwnedFd, Near)> {
    if inside.term.is_none() {
        let (far, near) = UnixStream::pair().context("cannot make a socket pair")?;
        return Ok((far.into(), Near::Socket(near)));
    }
    let pair = sys::terminal::pair(Size {
        rows: inside.rows,
        columns: inside.columns,
    })?;
    let path = pair.slave.to_string_lossy().into_owned();
    Ok((pair.master, Near::Terminal(path)))
}

/// The command, or the shell that `/etc/passwd` inside gives to root.
fn argv(inside: &Inside) -> Result<Vec<String>> {
    if !inside.argv.is_empty() {
        let word = |word: &std::ffi::OsString| word.to_str().map(str::to_owned);
        let words: Option<Vec<String>> = inside.argv.iter().map(word).collect();
        return words.context("the command is no UTF-8");
    }
    let users = sys::fs::read_text("/etc/passwd", 4 << 20).unwrap_or_default();
    let shell = shell_of_root(&users)
        .filter(|path| std::path::Path::new(path).exists())
        .unwrap_or(SHELL);
    Ok(vec![shell.to_owned()])
}

/// The last field of root's line in passwd(5).
fn shell_of_root(users: &str) -> Option<&str> {
    let line = users.lines().find(|line| line.starts_with("root:"))?;
    let shell = line.split(':').nth(6)?;
    shell.starts_with('/').then_some(shell)
}

/// As a login of root would have it; the prompt of Debian's shells shows `debian_chroot`.
fn environment(inside: &Inside, shell: &str) -> Vec<String> {
    let session = inside.session.map_or(0, rootspec::SnapshotId::get);
    let mut all = vec![
        format!("PATH={PATH}"),
        "HOME=/root".to_owned(),
        "USER=root".to_owned(),
        "LOGNAME=root".to_owned(),
        "LANG=C.UTF-8".to_owned(),
        format!("SHELL={shell}"),
        format!("TERM={}", inside.term.as_deref().unwrap_or("dumb")),
        format!("ROOTCTL_SESSION={session}"),
        format!("debian_chroot=session-{session}"),
    ];
    all.extend(proxies().map(|(name, value)| format!("{name}={value}")));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_shell_is_found_and_nonsense_is_none() {
        let users = "daemon:x:1:1::/:/x\nroot:x:0:0:root:/root:/bin/zsh\nroot:x:0:0::/:/bin/no\n";
        assert_eq!(shell_of_root(users), Some("/bin/zsh"));
        for none in [
            "",
            "root:x:0:0::/root:",
            "root:x",
            "root:x:0:0::/root:sh",
            "rooty:x:0:0::/:/x",
        ] {
            assert_eq!(shell_of_root(none), None, "{none}");
        }
    }
}

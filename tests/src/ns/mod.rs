//! Runs a program as process 1 of fresh process, mount, host name, IPC, network and cgroup namespaces, on
//! a private root of its own: most of what a machine is, without booting one.
//!
//! - [`cgroup`]: the cgroup that becomes the root of the namespace, and its removal;
//! - `setup.sh`: mounts the private root from the inside, then becomes the program.

pub mod cgroup;

use crate::console::Console;
use crate::{initramfs, paths, programs, run};
use anyhow::{Context, Result, bail};
use cgroup::Cgroup;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::OpenptFlags;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Setting a root up takes a fraction of a second; a busy host gets more.
const SETUP: Duration = Duration::from_secs(60);

/// What is mounted in the private root before the program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// /proc, /sys with cgroup2, /dev with the usual nodes and /run: what process 1 finds after a boot stage.
    Ready,
    /// The same, and the nodes of loop devices and of btrfs: for programs that mount.
    Disks,
    /// Only /dev/console: what the kernel gives to an initramfs.
    Bare,
}

/// What to run and what lies in its root; busybox and its `sh` are always there.
#[derive(Debug, Clone)]
pub struct Recipe {
    mounts: Mounts,
    copies: Vec<(PathBuf, String)>,
    texts: Vec<(String, String)>,
    binds: Vec<(PathBuf, String)>,
    argv: Vec<String>,
}

impl Recipe {
    /// A root in which `argv` becomes process 1.
    pub fn new(argv: &[&str]) -> Self {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        Self {
            mounts: Mounts::Ready,
            copies: Vec::new(),
            texts: Vec::new(),
            binds: Vec::new(),
            argv,
        }
    }

    /// Another process 1.
    #[must_use]
    pub fn argv(mut self, argv: &[&str]) -> Self {
        self.argv = argv.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Chooses what is mounted beforehand.
    #[must_use]
    pub const fn mounts(mut self, mounts: Mounts) -> Self {
        self.mounts = mounts;
        self
    }

    /// Copies a host file, mode kept, to a place in the root (`/usr/bin/rinit`).
    #[must_use]
    pub fn copy(mut self, from: &Path, to: &str) -> Self {
        self.copies.push((from.to_path_buf(), to.to_owned()));
        self
    }

    /// Copies rinit and the programs it starts to their places.
    ///
    /// # Errors
    /// When they cannot be built.
    pub fn rinit(mut self) -> Result<Self> {
        for (program, place) in programs::of_rinit()? {
            self = self.copy(&program, &format!("/{place}"));
        }
        Ok(self)
    }

    /// Writes a text file in the root.
    #[must_use]
    pub fn text(mut self, to: &str, text: &str) -> Self {
        self.texts.push((to.to_owned(), text.to_owned()));
        self
    }

    /// Shows a host file or folder, writable, at a place in the root: what is written there stays.
    #[must_use]
    pub fn bind(mut self, from: &Path, to: &str) -> Self {
        self.binds.push((from.to_path_buf(), to.to_owned()));
        self
    }
}

/// How process 1 ended. Inside a process namespace reboot(2) ends it with a signal (pid_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It asked for a restart.
    Restart,
    /// It asked to power off or halt.
    PowerOff,
    /// It exited with this status: a real kernel would panic.
    Exited(i32),
    /// It was killed by this signal.
    Killed(i32),
}

impl End {
    fn of(status: ExitStatus) -> Self {
        const HUP: i32 = 1;
        const INT: i32 = 2;
        match (status.signal(), status.code()) {
            (Some(HUP), _) => Self::Restart,
            (Some(INT), _) => Self::PowerOff,
            (Some(signal), _) => Self::Killed(signal),
            (None, code) => Self::Exited(code.unwrap_or_default()),
        }
    }
}

/// A running process 1; it and everything below it are killed when dropped.
#[derive(Debug)]
pub struct Namespace {
    child: Child,
    /// The terminal that is its /dev/console.
    pub console: Console,
    // Held open: a pty whose last user closes it would end the transcript.
    _terminal: File,
    cgroup: Cgroup,
    _folder: paths::Scratch,
}

impl Namespace {
    /// Starts process 1 and returns when its root is complete.
    ///
    /// # Errors
    /// When we are not root, or the root cannot be prepared.
    pub fn start(recipe: &Recipe) -> Result<Self> {
        let folder = paths::Scratch::new("ns")?;
        let stage = folder.join("stage");
        prepare(recipe, &stage)?;
        let root = folder.join("root");
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let setup = folder.join("setup.sh");
        fs::write(&setup, include_str!("setup.sh"))
            .with_context(|| format!("cannot write {}", setup.display()))?;
        let cgroup = Cgroup::new()?;
        let (master, terminal, name) = pty()?;
        let mut program = command(recipe, &cgroup, &[&setup, &stage, &root, &name]);
        let output = terminal.try_clone().context("cannot copy a terminal")?;
        let errors = terminal.try_clone().context("cannot copy a terminal")?;
        let child = program
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("cannot start unshare")?;
        let input = master.try_clone().context("cannot copy a terminal")?;
        let console = Console::new(master, input)?;
        let mut ns = Self {
            child,
            console,
            _terminal: terminal,
            cgroup,
            _folder: folder,
        };
        ns.console.expect("the root is ready\n", SETUP)?;
        Ok(ns)
    }

    /// Process 1's id as the host sees it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<u32> {
        let unshare = self.child.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let text =
            fs::read_to_string(&children).with_context(|| format!("cannot read {children}"))?;
        text.split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .context("process 1 has ended")
    }

    /// A command that will run inside, next to process 1.
    ///
    /// # Errors
    /// When process 1 has ended.
    pub fn inside(&self, argv: &[&str]) -> Result<Command> {
        let pid = self.pid()?.to_string();
        let mut enter = run::command(
            "nsenter",
            ["--target", &pid, "--all", "--root", "--wd", "--"],
        );
        enter.args(argv);
        Ok(enter)
    }

    /// The cgroup of the host in which all of its processes are.
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Waits until process 1 has ended and says how.
    ///
    /// # Errors
    /// When it has not after `deadline`: with the last lines of its console.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<End> {
        let watch = watch(&self.child)?;
        let timeout = Timespec::try_from(deadline).context("a deadline is too long")?;
        let ready = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&timeout))
            .context("cannot wait")?;
        if ready == 0 {
            bail!(
                "process 1 still ran after {} s\n{}",
                deadline.as_secs(),
                self.console.last_lines()
            );
        }
        Ok(End::of(
            self.child.wait().context("cannot wait for process 1")?,
        ))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // unshare's death kills process 1, and that ends the whole namespace.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn watch(child: &Child) -> Result<OwnedFd> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("a process has no id")?;
    pidfd_open(pid, PidfdFlags::empty()).context("cannot watch process 1")
}

/// Lays out on disk what the private root will hold.
fn prepare(recipe: &Recipe, stage: &Path) -> Result<()> {
    let busybox = (PathBuf::from(initramfs::BUSYBOX), "/bin/busybox".to_owned());
    for (from, to) in recipe.copies.iter().chain([&busybox]) {
        let to = stage.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(stage))
            .with_context(|| format!("cannot make {}", to.display()))?;
        fs::copy(from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    for (to, text) in &recipe.texts {
        let to = stage.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(stage))
            .with_context(|| format!("cannot make {}", to.display()))?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    let shell = stage.join("bin/sh");
    if !shell.exists() {
        std::os::unix::fs::symlink("busybox", &shell).context("cannot link the shell")?;
    }
    Ok(())
}

/// `paths`: the setup script, the stage folder, the mount point of the root, the terminal.
fn command(recipe: &Recipe, cgroup: &Cgroup, paths: &[&Path; 4]) -> Command {
    // The shell enters the cgroup first, so that it is the root of the cgroup namespace made after it.
    const ENTER: &str = "echo $$ > \"$1\"/cgroup.procs && shift && exec unshare --pid --mount --uts --ipc --net \
                         --cgroup --propagation private --fork --kill-child=KILL -- \"$@\"";
    let mut command = run::command("sh", ["-c", ENTER, "sh"]);
    command
        .arg(cgroup.path())
        .args([initramfs::BUSYBOX, "sh"])
        .args(paths);
    command.arg(match recipe.mounts {
        Mounts::Ready => "ready",
        Mounts::Disks => "disks",
        Mounts::Bare => "bare",
    });
    for (from, to) in &recipe.binds {
        command.arg("--bind").arg(from).arg(to);
    }
    command
        .arg("--")
        .args(&recipe.argv)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// A fresh terminal: the side we hold, the side of the program, and the name of the latter.
fn pty() -> Result<(File, File, PathBuf)> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)
        .context("cannot make a terminal")?;
    rustix::pty::grantpt(&master).context("cannot make a terminal")?;
    rustix::pty::unlockpt(&master).context("cannot make a terminal")?;
    let name = rustix::pty::ptsname(&master, Vec::new()).context("cannot name a terminal")?;
    let name = PathBuf::from(name.to_string_lossy().into_owned());
    // Not our controlling terminal: O_NOCTTY, as std has no flag for it, comes from rustix.
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(&name, flags, rustix::fs::Mode::empty())
        .with_context(|| format!("cannot open {}", name.display()))?;
    Ok((File::from(master), File::from(slave), name))
}

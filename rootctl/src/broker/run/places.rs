//! The mounts that the command sees: its root, and nothing of the running system that it could change.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sys::mount::{Attributes, Reach, Unmount};

/// Device nodes a package script may use; bound from ours, because making nodes is not allowed everywhere.
const NODES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// Standard links of `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Where programs look for name servers.
const RESOLV: &str = "etc/resolv.conf";
/// Debian's gate for services: scripts must not start any in a root that is not running.
const POLICY: &str = "usr/sbin/policy-rc.d";
const POLICY_USER: &str = "usr/sbin/invoke-rc.d";

/// Empty files that are put into a root while something runs in it, where it has none of its own: what is shown in their
/// place must be mounted on something. They must not stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Additions(Vec<String>);

impl Additions {
    /// Those that `root`, in which nothing runs, will get.
    pub(crate) fn to(root: &Path) -> Self {
        let absent = |path: &str| root.join(path).symlink_metadata().is_err();
        let mut all = vec![RESOLV.to_owned(), POLICY.to_owned()];
        all.retain(|path| absent(path));
        Self(all)
    }

    /// Takes away from `root` those that are there and still empty: whatever ran in it was killed.
    pub(crate) fn take_away(&self, root: &Path) {
        // The list may come from a file: nothing but these two is ever removed.
        for path in [RESOLV, POLICY]
            .iter()
            .filter(|path| self.0.iter().any(|own| own == *path))
        {
            take_away(&root.join(path));
        }
    }
}

/// Removes an empty file.
fn take_away(path: &Path) {
    if path
        .symlink_metadata()
        .is_ok_and(|found| found.is_file() && found.len() == 0)
    {
        drop(std::fs::remove_file(path));
    }
}

/// What was put into the root for the time of the command, and must not stay.
#[derive(Debug)]
pub(super) struct Places {
    added: Vec<PathBuf>,
}

impl Places {
    /// Takes away what was put into the root, if it is still as it was put there.
    pub(super) fn leave(self) {
        for path in self.added {
            drop(sys::mount::unmount(&path, Unmount::Detach));
            take_away(&path);
        }
    }
}

/// Mounts everything, and makes `root` our root.
pub(super) fn enter(root: &Path) -> Result<Places> {
    // A root must be a mount to be changed to.
    sys::mount::bind(root, root, Reach::One)?;
    let at = |path: &str| root.join(path);
    let quiet = Attributes::NO_SUID.and(Attributes::NO_DEV);
    let closed = quiet.and(Attributes::NO_EXEC);
    sys::mount::mount("proc", at("proc"), closed, "")?;
    // Some containers may not mount it; few scripts look there.
    drop(sys::mount::mount(
        "sysfs",
        at("sys"),
        closed.and(Attributes::READ_ONLY),
        "",
    ));
    devices(&at("dev"))?;
    sys::mount::mount("tmpfs", at("run"), quiet, "mode=0755")?;
    sys::mount::mount("tmpfs", at("tmp"), quiet, "mode=1777")?;
    sys::fs::make_dir(at("run/lock"), 0o1777)?;
    let mut added = Vec::new();
    name_servers(root, &mut added)?;
    gate(root, &mut added)?;
    sys::namespace::set_host_name("rootctl-run")?;
    let old = at("run/.host");
    sys::fs::make_dir(&old, 0o700)?;
    sys::switchroot::pivot_root(root, &old)?;
    sys::mount::unmount("/run/.host", Unmount::Detach)?;
    std::fs::remove_dir("/run/.host").context("cannot remove /run/.host")?;
    // From now on the paths are those inside.
    let inner = |path: PathBuf| Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
    Ok(Places {
        added: added.into_iter().map(inner).collect(),
    })
}

fn devices(dev: &Path) -> Result<()> {
    sys::mount::mount(
        "tmpfs",
        dev,
        Attributes::NO_SUID.and(Attributes::NO_EXEC),
        "mode=0755",
    )?;
    for name in NODES {
        let target = dev.join(name);
        File::create_new(&target).with_context(|| format!("cannot make {}", target.display()))?;
        sys::mount::bind(Path::new("/dev").join(name), &target, Reach::One)?;
    }
    for (name, target) in LINKS {
        std::os::unix::fs::symlink(target, dev.join(name))
            .with_context(|| format!("cannot link /dev/{name}"))?;
    }
    for name in ["pts", "shm"] {
        sys::fs::make_dir(dev.join(name), 0o755)?;
    }
    let quiet = Attributes::NO_SUID.and(Attributes::NO_EXEC);
    sys::mount::mount(
        "devpts",
        dev.join("pts"),
        quiet,
        "newinstance,ptmxmode=0666,mode=0620",
    )?;
    sys::mount::mount(
        "tmpfs",
        dev.join("shm"),
        quiet.and(Attributes::NO_DEV),
        "mode=1777",
    )?;
    std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx")).context("cannot link /dev/ptmx")
}

/// The network is the host's, so its name servers are too.
fn name_servers(root: &Path, added: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(text) = std::fs::read("/etc/resolv.conf") else {
        return Ok(());
    };
    let copy = root.join("run/.resolv.conf");
    std::fs::write(&copy, text).context("cannot copy resolv.conf")?;
    let place = root.join(RESOLV);
    match std::fs::read_link(&place) {
        // Some resolver's link into /run: its target is given, the link stays.
        Ok(target) => {
            let below = target.strip_prefix("/").map_or_else(
                |_relative| Path::new("etc").join(&target),
                Path::to_path_buf,
            );
            let Some(inside) = in_run(&below) else {
                return Ok(());
            };
            let inside = root.join(inside);
            let folder = inside.parent().unwrap_or(root);
            std::fs::create_dir_all(folder).context("cannot make a folder for resolv.conf")?;
            std::fs::copy(&copy, &inside).context("cannot copy resolv.conf")?;
            Ok(())
        }
        Err(_) => over(&copy, &place, added),
    }
}

/// The path without `..`, if it lies in `/run`.
fn in_run(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => plain.push(name),
            std::path::Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain.starts_with("run").then_some(plain)
}

/// Says no to every start of a service, where Debian's scripts ask.
fn gate(root: &Path, added: &mut Vec<PathBuf>) -> Result<()> {
    let place = root.join(POLICY);
    if !root.join(POLICY_USER).exists() || place.symlink_metadata().is_ok() {
        return Ok(());
    }
    let script = root.join("run/.policy-rc.d");
    std::fs::write(&script, "#!/bin/sh\nexit 101\n").context("cannot write policy-rc.d")?;
    sys::node::set_mode(&script, 0o755)?;
    over(&script, &place, added)
}

/// Binds a file over a place in the root; an absent place becomes an empty file that is taken away again.
fn over(file: &Path, place: &Path, added: &mut Vec<PathBuf>) -> Result<()> {
    if place.symlink_metadata().is_err() {
        let making = || format!("cannot make {}", place.display());
        File::create_new(place).with_context(making)?;
        added.push(place.to_owned());
    }
    Ok(sys::mount::bind(file, place, Reach::One)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_resolvers_into_run_are_followed_and_others_are_not() {
        for (path, inside) in [
            (
                "etc/../run/systemd/resolve/stub-resolv.conf",
                Some("run/systemd/resolve/stub-resolv.conf"),
            ),
            ("run/x", Some("run/x")),
            ("etc/../../../run/x", Some("run/x")),
            ("etc/other.conf", None),
            ("run/../etc/passwd", None),
        ] {
            assert_eq!(in_run(Path::new(path)), inside.map(PathBuf::from), "{path}");
        }
    }
}

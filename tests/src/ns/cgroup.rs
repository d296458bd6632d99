//! A cgroup (v2) for one namespace: entered before the namespace is made, so that it is its root.

use crate::{paths, run, say};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup of ours; dropped with everything inside.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes an empty cgroup below the top of the host's cgroup2 tree.
    ///
    /// # Errors
    /// When there is no cgroup2 and none can be mounted, or we may not make a cgroup.
    pub fn new() -> Result<Self> {
        let top = top()?;
        delegate(&top);
        let path = top.join(format!("rootctl-test-{}", paths::unique()));
        fs::create_dir(&path)
            .with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        Ok(Self { path })
    }

    /// Its folder on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether processes inside can get a controller, such as `memory`.
    pub fn has(&self, controller: &str) -> bool {
        let list = fs::read_to_string(self.path.join("cgroup.controllers")).unwrap_or_default();
        list.split_whitespace().any(|name| name == controller)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever is still inside belongs to the test. An error here shows again in the removal.
        drop(fs::write(self.path.join("cgroup.kill"), "1"));
        if let Err(why) = remove(&self.path) {
            say::error(&format!(
                "cannot remove the cgroup {}: {why}",
                self.path.display()
            ));
        }
    }
}

/// Removes a cgroup, its children first.
fn remove(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.path().is_dir() {
            remove(&entry.path())?;
        }
    }
    // The killed leave a moment later: the kernel says EBUSY until the last one is gone.
    for _ in 0..200 {
        match fs::remove_dir(path) {
            Err(why) if why.kind() == std::io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            done => return done,
        }
    }
    fs::remove_dir(path)
}

/// Where cgroup2 is mounted; mounted by us in our own mount namespace when the host has none.
fn top() -> Result<PathBuf> {
    let text =
        fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    if let Some(place) = cgroup2_of(&text) {
        return Ok(place);
    }
    let place = paths::cache()?.join("cgroup");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    run::quiet(run::command("mount", ["-t", "cgroup2", "cgroup"]).arg(&place))?;
    Ok(place)
}

fn cgroup2_of(mountinfo: &str) -> Option<PathBuf> {
    let line = mountinfo
        .lines()
        .find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// Lets children of the top have the usual controllers, where the host's kernel gives them to cgroup2 and
/// nobody else holds them; without them tests of limits say that they were skipped.
fn delegate(top: &Path) {
    for controller in ["cpu", "memory", "pids", "io"] {
        drop(fs::write(
            top.join("cgroup.subtree_control"),
            format!("+{controller}"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_cgroup2_is_found_among_others() {
        let text = "30 23 0:26 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                    31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            cgroup2_of(text).unwrap(),
            Path::new("/sys/fs/cgroup/unified")
        );
        assert!(cgroup2_of("").is_none());
    }
}

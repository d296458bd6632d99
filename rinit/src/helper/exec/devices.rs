//! A `/dev` of the unit's own: the nodes that hold nothing of this machine.

use std::os::unix::fs::symlink;
use std::path::Path;

use sys::error::{Cannot, Result};
use sys::mount::{Attributes, Mount, Reach};

use super::fresh::{make_folder, memory};

/// Nodes that are taken over.
const NODES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "log"];
/// Folders that are taken over.
const FOLDERS: [&str; 2] = ["pts", "mqueue"];
/// Links as everybody expects them.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Puts it in place; it can still be written to.
pub(super) fn arrange() -> Result<()> {
    let place = |name: &str| format!("/dev/{name}");
    let mut taken = Vec::new();
    for name in NODES.into_iter().chain(FOLDERS) {
        // Not every system has all of them.
        if Path::new(&place(name)).exists() {
            taken.push((name, Mount::at(place(name), Reach::Tree)?));
        }
    }
    let own = memory(
        "mode=0755,size=64k",
        Attributes::NO_SUID.and(Attributes::NO_EXEC),
    )?;
    own.attach_at("/dev")?;
    for (name, mount) in taken {
        let at = place(name);
        if mount.is_folder()? {
            make_folder(&at)?;
        } else {
            std::fs::write(&at, "").cannot("make", &at)?;
        }
        mount.attach_at(&at)?;
    }
    make_folder("/dev/shm")?;
    let plain = Attributes::NO_SUID.and(Attributes::NO_DEV);
    memory("mode=1777", plain)?.attach_at("/dev/shm")?;
    for (name, target) in LINKS {
        let at = place(name);
        symlink(target, &at).cannot("make", &at)?;
    }
    Ok(())
}

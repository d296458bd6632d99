//! Changes in memory over something read-only: overlayfs with a tmpfs on top.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sys::mount::{Attributes, Mount, Request, Unmount, unmount};

/// Puts a tmpfs of at most `size` over the tree at `lower`, which must be mounted in our namespace. `name` tells several
/// overlays apart in the table of mounts.
///
/// # Errors
/// The kernel has no overlayfs, or refuses the size.
pub fn volatile(lower: &Path, size: &str, name: &str) -> Result<Mount> {
    let upper = PathBuf::from(format!("/run/rootctl/{name}"));
    sys::fs::make_dir(&upper, 0o700)?;
    let memory = Mount::new(&Request {
        kind: "tmpfs",
        source: name,
        options: &[("size", Some(size)), ("mode", Some("0755"))],
        attributes: Attributes::NONE,
    })?;
    memory.attach(sys::fs::here(), &upper)?;
    let overlay = over(lower, &upper, name);
    // The overlay has its own hold on it; nobody should change it from the side.
    unmount(&upper, Unmount::Detach).ok();
    std::fs::remove_dir(&upper).ok();
    overlay.with_context(|| format!("cannot put an overlay over {}", lower.display()))
}

fn over(lower: &Path, upper: &Path, name: &str) -> Result<Mount> {
    let (changes, work) = (upper.join("upper"), upper.join("work"));
    // The upper folder becomes the root folder: with 0700 nobody but root could enter anything.
    sys::fs::make_dir(&changes, 0o755)?;
    sys::fs::make_dir(&work, 0o700)?;
    Ok(Mount::new(&Request {
        kind: "overlay",
        source: name,
        options: &[
            ("lowerdir", Some(&lower.display().to_string())),
            ("upperdir", Some(&changes.display().to_string())),
            ("workdir", Some(&work.display().to_string())),
        ],
        attributes: Attributes::NONE,
    })?)
}

//! Where the checkout and everything we make lie.

use anyhow::{Context, Result};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Cargo's target folder: `CARGO_TARGET_DIR`, else `target` of the workspace.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// What is kept between runs (roots, answers of probes): `xtask` under the target folder.
///
/// # Errors
/// When the folder cannot be made.
pub fn cache() -> Result<PathBuf> {
    let dir = target().join("xtask");
    fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))?;
    Ok(dir)
}

/// Deletes what runs that were killed have left: scratch folders untouched for a day. A younger one may
/// belong to a run that goes on.
///
/// # Errors
/// When the folders cannot be listed.
pub fn sweep() -> Result<()> {
    sweep_older(&cache()?.join("run"), Duration::from_secs(24 * 3600))
}

fn sweep_older(runs: &Path, limit: Duration) -> Result<()> {
    let Ok(entries) = fs::read_dir(runs) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|data| data.modified());
        let age = modified
            .ok()
            .and_then(|time| time.elapsed().ok())
            .unwrap_or_default();
        let folder = entry.path();
        if age >= limit && !folder.join(KEPT).exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot delete {}", folder.display()))?;
        }
    }
    Ok(())
}

/// Somebody asked for the folder that holds this file.
const KEPT: &str = "kept";

/// A word no other run uses. Process ids will not do: in namespaces of their own all runs have the same.
pub fn unique() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A folder of one run, deleted with everything in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    keep: bool,
}

impl Scratch {
    /// Makes `target/xtask/run/<name>-<random>`. Disk images go here, so it is on a real disk and not
    /// on a tmpfs.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let dir = cache()?.join("run").join(format!("{name}-{}", unique()));
        fs::create_dir_all(&dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        Ok(Self { dir, keep: false })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// A name inside the folder.
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Leaves the folder in place when dropped, and out of [`sweep`].
    ///
    /// # Errors
    /// When that cannot be noted in the folder.
    pub fn keep(&mut self) -> Result<()> {
        let note = self.join(KEPT);
        fs::write(&note, "").with_context(|| format!("cannot write {}", note.display()))?;
        self.keep = true;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(why) = fs::remove_dir_all(&self.dir) {
            crate::say::error(&format!("cannot delete {}: {why}", self.dir.display()));
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn what_was_left_is_swept_away_and_what_was_kept_stays() {
        let all = Scratch::new("sweep").unwrap();
        let (left, kept) = (all.join("left"), all.join("kept-one"));
        fs::create_dir_all(&left).unwrap();
        fs::create_dir_all(&kept).unwrap();
        let mut kept = Scratch {
            dir: kept,
            keep: false,
        };
        kept.keep().unwrap();
        sweep_older(all.path(), Duration::from_secs(3600)).unwrap();
        assert!(left.exists(), "it was young");
        sweep_older(all.path(), Duration::ZERO).unwrap();
        assert!(!left.exists());
        assert!(kept.path().exists());
    }
}

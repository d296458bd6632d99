//! Carrying out the steps of a merge, as the boot stage does.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::etc::accounts;
use rootspec::etc::merge::{BESIDE, Step};
use sys::copy::{Entry, copy_properties};
use sys::tree;

use super::trees::Three;

/// Largest account file that is merged, in bytes.
const LARGEST: u64 = 8 << 20;
/// Ending of a file that is not whole yet.
const UNFINISHED: &str = ".rootctl-tmp";

/// Changes `result`, a copy of *ours*, which lies at `place` in its root.
pub(crate) fn apply(steps: &[Step], three: &Three, result: &OwnedFd, place: &Path) -> Result<()> {
    for step in steps {
        one(step, three, result).with_context(|| {
            let path = step.path().map(|path| place.join(path));
            format!("cannot merge {}", path.unwrap_or_default().display())
        })?;
    }
    Ok(())
}

fn one(step: &Step, three: &Three, result: &OwnedFd) -> Result<()> {
    let theirs = &three.theirs.dir;
    match step {
        Step::Remove(path) => tree::remove_if_empty(result, path)?,
        Step::MakeDir(path) | Step::Properties(path) => tree::copy_dir(theirs, result, path)?,
        Step::Take(path) => take(theirs, path, result, path)?,
        Step::Beside(path) => take(theirs, path, result, &with_ending(path, BESIDE))?,
        Step::Accounts(path) => merge_accounts(three, result, path)?,
        Step::Note(_) => {}
    }
    Ok(())
}

/// Copies a file, link or node beside its place, then renames it over: what is there is whole, old or new.
pub(super) fn take(from: &OwnedFd, path: &Path, result: &OwnedFd, to: &Path) -> Result<()> {
    let temporary = with_ending(to, UNFINISHED);
    tree::remove_if_empty(result, &temporary)?;
    sys::copy::copy(
        Entry::new(from.as_fd(), path),
        Entry::new(result.as_fd(), &temporary),
    )?;
    Ok(tree::rename(result, &temporary, to)?)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn merge_accounts(three: &Three, result: &OwnedFd, path: &Path) -> Result<()> {
    let base = three.base.as_ref();
    let old = base.and_then(|base| sys::fs::read_text_at(&base.dir, path, LARGEST).ok());
    let ours = sys::fs::read_text_at(result, path, LARGEST)?;
    let new = sys::fs::read_text_at(&three.theirs.dir, path, LARGEST)?;
    let merged = accounts::merge(&old.unwrap_or_default(), &ours, &new);
    let temporary = with_ending(path, UNFINISHED);
    tree::remove_if_empty(result, &temporary)?;
    let mut file = tree::create(result, &temporary)?;
    file.write_all(merged.as_bytes())
        .context("cannot write the merged lines")?;
    drop(file);
    // Owner and mode before the name: nobody may read shadow meanwhile.
    copy_properties(
        Entry::new(result.as_fd(), path),
        Entry::new(result.as_fd(), &temporary),
    )?;
    Ok(tree::rename(result, &temporary, path)?)
}

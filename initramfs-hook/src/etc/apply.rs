//! Carrying out what a merge decided.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::etc::accounts;
use rootspec::etc::merge::{BESIDE, Step};
use sys::copy::{Entry, copy, copy_properties};
use sys::tree::{self, Kind, or_dot};

use crate::say::Voice;

/// Largest account file that is merged, in bytes.
const LARGEST: u64 = 8 << 20;
/// Deepest folder that is copied.
const DEPTH: u32 = 64;

/// Changes `result`, which began as a copy of the old `/etc`.
///
/// # Errors
/// A step failed; the result is to be thrown away.
pub fn apply(
    steps: &[Step],
    base: Option<&OwnedFd>,
    theirs: &OwnedFd,
    result: &OwnedFd,
    voice: &mut Voice,
) -> Result<()> {
    let mut beside = Vec::new();
    for step in steps {
        match step {
            // A folder in which something was added here stays.
            Step::Remove(path) => tree::remove_if_empty(result, path)?,
            Step::MakeDir(path) | Step::Properties(path) => tree::copy_dir(theirs, result, path)?,
            Step::Take(path) => take(theirs, result, path, path)?,
            Step::Beside(path) => {
                take(theirs, result, path, &with_ending(path, BESIDE))?;
                beside.push(format!("/etc/{}", path.display()));
            }
            Step::Accounts(path) => merge_accounts(base, theirs, result, path)?,
            Step::Note(words) => voice.warn(words.clone()),
        }
    }
    if !beside.is_empty() {
        voice.warn(format!(
            "changed here and upstream, ours kept, upstream's beside it with {BESIDE}: {}",
            beside.join(", ")
        ));
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Copies beside, then renames over: a file of the result is whole, old or new.
fn take(theirs: &OwnedFd, result: &OwnedFd, path: &Path, to: &Path) -> Result<()> {
    let temporary = with_ending(to, ".rootctl-tmp");
    copy(
        Entry::new(theirs.as_fd(), path),
        Entry::new(result.as_fd(), &temporary),
    )
    .and_then(|()| tree::rename(result, &temporary, to))
    .with_context(|| format!("cannot take the new /etc/{}", path.display()))
}

fn merge_accounts(
    base: Option<&OwnedFd>,
    theirs: &OwnedFd,
    result: &OwnedFd,
    path: &Path,
) -> Result<()> {
    let old = match base {
        Some(base) => sys::fs::read_text_at(base, path, LARGEST).unwrap_or_default(),
        None => String::new(),
    };
    let ours = sys::fs::read_text_at(result, path, LARGEST)?;
    let new = sys::fs::read_text_at(theirs, path, LARGEST)?;
    let merged = accounts::merge(&old, &ours, &new);
    let temporary = with_ending(path, ".rootctl-tmp");
    let mut file = tree::create(result, &temporary)?;
    file.write_all(merged.as_bytes())?;
    drop(file);
    // Owner and mode before the name: nobody may read shadow meanwhile.
    copy_properties(
        Entry::new(result.as_fd(), path),
        Entry::new(result.as_fd(), &temporary),
    )?;
    tree::rename(result, &temporary, path)?;
    Ok(())
}

/// Copies a whole tree into an empty folder.
///
/// # Errors
/// Something cannot be copied.
pub fn copy_tree(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    copy_below(from, to, Path::new(""), 0)?;
    Ok(tree::copy_dir(from, to, Path::new(""))?)
}

fn copy_below(from: &OwnedFd, to: &OwnedFd, dir: &Path, depth: u32) -> Result<()> {
    let names = tree::names(sys::fs::open_dir_at(from, or_dot(dir))?)?;
    for name in names {
        let path = dir.join(OsStr::from_bytes(&name));
        let kind = tree::look(from, &path)?.kind;
        // A socket belongs to a process that does not run.
        if kind == Kind::Socket {
            continue;
        }
        copy(
            Entry::new(from.as_fd(), &path),
            Entry::new(to.as_fd(), &path),
        )?;
        if kind == Kind::Dir && depth < DEPTH {
            copy_below(from, to, &path, depth + 1)?;
            // Filling the folder changed its time.
            tree::copy_dir(from, to, &path)?;
        }
    }
    Ok(())
}

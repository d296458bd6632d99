//! Leaving the initramfs, and changing the root.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::error::{Cannot, Result, SysError};
use crate::mount;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC`: what the kernel unpacks an initramfs into. Nothing else is ever emptied.
const MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Makes `new_root` (a mount) the root, moves `carried` mounts (`/proc`, `/run`, …) into it and executes `program`
/// there with the arguments `arguments` and this process' environment. If the old root is an initramfs, its files are
/// deleted, because nobody could free their memory later; other file systems stay untouched.
///
/// # Errors
/// A mount cannot be moved, or `program` cannot be executed. By then the old root may be gone.
pub fn switch_root(
    new_root: impl AsRef<Path>,
    carried: &[&str],
    program: impl AsRef<OsStr>,
    arguments: &[OsString],
) -> Result<Infallible> {
    let new_root = new_root.as_ref();
    for place in carried {
        carry(new_root, place)?;
    }
    rustix::process::chdir(new_root).cannot("enter", new_root)?;
    let old = crate::fs::open_dir("/")?;
    if is_initramfs(&old) {
        // A leftover costs memory, nothing else.
        drop(empty(&old));
    }
    mount::relocate(".", "/")?;
    rustix::process::chroot(".").cannot("change the root to", new_root)?;
    rustix::process::chdir("/").cannot("enter", "/")?;
    let program = program.as_ref();
    let error = Command::new(program).args(arguments).exec();
    Err(SysError::new("execute", program, error))
}

/// Moves the mount at `place` to the same place of the new root; where that has no such folder, it is left behind.
fn carry(new_root: &Path, place: &str) -> Result<()> {
    let target = new_root.join(place.trim_start_matches('/'));
    match mount::relocate(place, &target) {
        // Nothing is mounted there, or the new root does not want it.
        Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::ENOENT)) => Ok(()),
        result => result,
    }
}

fn is_initramfs(root: &OwnedFd) -> bool {
    rustix::process::getpid().is_init()
        && rustix::fs::fstatfs(root).is_ok_and(|found| MEMORY.contains(&found.f_type))
}

/// Deletes everything below `dir` that is on the same file system.
fn empty(dir: &OwnedFd) -> Result<()> {
    let device = rustix::fs::fstat(dir).cannot("look at", "/")?.st_dev;
    empty_dir(dir, device, 0)
}

/// Deeper trees than this do not exist in an initramfs; the limit bounds the stack.
const DEPTH: u32 = 64;

fn empty_dir(dir: impl AsFd, device: u64, depth: u32) -> Result<()> {
    let dir = dir.as_fd();
    let entries = Dir::read_from(dir).cannot("list", "a folder")?;
    for entry in entries {
        let entry = entry.cannot("list", "a folder")?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(found) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if found.st_dev != device {
            continue;
        }
        let mut how = AtFlags::empty();
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(child) = rustix::fs::openat(dir, name, flags, Mode::empty()) {
                if depth < DEPTH {
                    empty_dir(&child, device, depth.saturating_add(1))?;
                }
            }
            how = AtFlags::REMOVEDIR;
        }
        // A folder that is somebody's mount point stays.
        rustix::fs::unlinkat(dir, name, how).ok();
    }
    Ok(())
}

/// Makes `new_root` (a mount) the root and puts the old root at `put_old`, a folder below it.
///
/// # Errors
/// As pivot_root(2): `new_root` is no mount, or the present root is the initramfs itself (`EINVAL`).
pub fn pivot_root(new_root: impl AsRef<Path>, put_old: impl AsRef<Path>) -> Result<()> {
    let new_root = new_root.as_ref();
    rustix::process::pivot_root(new_root, put_old.as_ref())
        .cannot("change the root to", new_root)?;
    rustix::process::chdir("/").cannot("enter", "/")
}

/// Enters another root without its mounts moving: for helpers that work inside a system that is not running.
///
/// # Errors
/// As chroot(2).
pub fn chroot(new_root: impl AsRef<Path>) -> Result<()> {
    let new_root = new_root.as_ref();
    rustix::process::chroot(new_root).cannot("change the root to", new_root)?;
    rustix::process::chdir("/").cannot("enter", "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn emptying_removes_files_links_and_folders_but_follows_nothing() {
        let dir = TestDir::new("empty");
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/b/f"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc", dir.join("link")).unwrap();
        empty(&crate::fs::open_dir(dir.path()).unwrap()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(Path::new("/etc").is_dir());
    }
}

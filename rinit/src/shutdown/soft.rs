//! The end of a boot without the end of the kernel: another root takes the place of this one, and its `rinit` starts as at
//! any boot.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rootspec::held::MOST;
use sys::error::{Cannot, SysError};
use sys::handoff;
use sys::mount::{self, Attributes, Unmount};

use crate::hands::stored::Left;
use crate::init::Init;

/// Where the next root is mounted (systemd has the same place).
pub(crate) const NEXT: &str = "/run/nextroot";
/// The word by which the next root's `rinit` knows that this kernel has run another root before.
pub(crate) const ROLE: &str = "@soft";
/// Programs of the next root, the first that is there.
const PROGRAMS: [&str; 2] = ["/usr/bin/rinit", "/sbin/init"];
/// What belongs to the kernel or is memory goes along.
const CARRIED: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Whether there is a root to go to.
///
/// # Errors
/// There is none, in words.
pub(crate) fn is_possible() -> Result<(), String> {
    let table = sys::mountinfo::read().map_err(|error| sys::chain(&error))?;
    match sys::mountinfo::at(&table, NEXT) {
        Some(_) => Ok(()),
        None => Err(format!("nothing is mounted at {NEXT}")),
    }
}

/// Leaves open for the next root's `rinit` what units of this one want kept as long as they exist, and names it in a file in
/// memory. `None`: there is nothing, or no memory for it.
pub(super) fn carry(init: &Init) -> Option<OwnedFd> {
    let left = init.all.hands.left_for_good(&init.all.core);
    if left.is_empty() {
        return None;
    }
    let bytes = serde_json::to_vec(&left).ok()?;
    let list = handoff::seal("rinit-stored", &bytes).ok()?;
    let mut numbers: Vec<i32> = left.iter().flat_map(Left::descriptors).collect();
    numbers.push(list.as_raw_fd());
    handoff::keep(&numbers);
    Some(list)
}

/// The other side of [`carry`]: what the command line says has been left. `None`: nothing.
///
/// # Errors
/// It cannot be read, in words.
pub(crate) fn carried() -> Option<Result<Vec<Left>, String>> {
    let mut words = std::env::args().skip_while(|word| word != ROLE).skip(1);
    let number = words.next()?.parse().ok()?;
    let read = || {
        let list = sys::inherit::take(number).map_err(|error| sys::chain(&error))?;
        let bytes = handoff::read(list, MOST).map_err(|error| sys::chain(&error))?;
        serde_json::from_slice(&bytes).map_err(|why| why.to_string())
    };
    Some(read())
}

/// Changes to the next root. What of the old one cannot be unmounted goes when its last user does.
///
/// # Errors
/// The next root is no root, or has no program to start.
pub(super) fn change(carried: Option<&OwnedFd>) -> sys::error::Result<Infallible> {
    mount::make_private("/")?;
    // Every root has a /tmp; only while we change, it holds the old root.
    let tmp = format!("{NEXT}/tmp");
    mount::mount("tmpfs", &tmp, Attributes::NO_DEV, "mode=0700")?;
    sys::fs::make_dir(format!("{tmp}/old"), 0o700)?;
    std::env::set_current_dir(NEXT).cannot("enter", NEXT)?;
    sys::switchroot::pivot_root(NEXT, format!("{tmp}/old"))?;
    std::env::set_current_dir("/").cannot("enter", "/")?;
    for place in CARRIED {
        // Not mounted, or the next root has no place for it: then its rinit mounts what it needs.
        mount::relocate(format!("/tmp/old{place}"), place).ok();
    }
    super::stage::let_go("/tmp/old");
    mount::unmount("/tmp/old", Unmount::Detach).ok();
    mount::unmount("/tmp", Unmount::Detach).ok();
    let mut error = None;
    for program in PROGRAMS {
        let mut command = Command::new(program);
        command.arg(ROLE);
        command.args(carried.map(|list| list.as_raw_fd().to_string()));
        error = Some((program, command.exec()));
    }
    let (program, error) = error.unwrap_or((NEXT, std::io::ErrorKind::NotFound.into()));
    Err(SysError::new("execute", program, error))
}

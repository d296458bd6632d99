//! The shutdown stage: PID 1 from outside the root. Unmounts everything, youngest first, each in a child that can be
//! left behind; then ends the machine. What cannot be unmounted is made read-only, and named.

use std::path::Path;

use sys::console::Consoles;
use sys::mount::{self, Attributes, Reach, Unmount};
use sys::mountinfo::{self, MountEntry};
use sys::power;
use sys::process;

use super::How;
use super::direct::sync;

/// One unmount may take so many milliseconds: a dead disk or server must not hold the rest.
const EACH: u64 = 5_000;
/// Reading a swap area back takes so many milliseconds at most: what does not fit into memory stays out.
const SWAP: u64 = 10_000;
/// All together.
const ALL: u64 = 30_000;
/// File systems with nothing to lose.
const IN_MEMORY: [&str; 8] = [
    "cgroup2", "devpts", "devtmpfs", "proc", "ramfs", "rootfs", "sysfs", "tmpfs",
];
/// A mount that was in use may be free once others are gone.
const PASSES: u32 = 8;

/// The role. Unmounts everything at or below `root` and ends the machine; never comes back.
pub(crate) fn run(mut how: How, root: &str) {
    let outside = root != "/";
    if outside {
        carry(root);
    }
    let mut consoles = Consoles::open();
    sync();
    give_back(root);
    let mut left = unmount_all(root);
    left.retain(|entry| !IN_MEMORY.contains(&entry.kind.as_str()));
    for entry in &left {
        let target = entry.target.clone();
        let how = protect(&target);
        let shown = target
            .strip_prefix("/old")
            .filter(|_| outside)
            .unwrap_or(&target);
        let shown = if shown.is_empty() { "/" } else { shown };
        consoles.say(&format!(
            "rinit: {shown} ({}) is still in use; {how}\n",
            entry.kind
        ));
    }
    if left.is_empty() && outside {
        consoles.say("rinit: all file systems are unmounted\n");
    }
    sync();
    loop {
        consoles.say(&format!("rinit: {}\n", how.word()));
        let error = match power::end(how.machine()) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        consoles.say(&format!("rinit: {}\n", sys::chain(&error)));
        if how == How::Kexec {
            // The kernel that was loaded cannot be started: the ordinary way is left.
            how = How::Reboot;
            continue;
        }
        // Nothing is left to do, and PID 1 may not end.
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

/// Takes the old root's view of kernel and devices along: without it there is less to see, but the end is the same.
fn carry(root: &str) {
    for (dir, kind) in [("/proc", "proc"), ("/dev", "devtmpfs"), ("/sys", "sysfs")] {
        if mount::relocate(format!("{root}{dir}"), dir).is_err() {
            mount::mount(kind, dir, Attributes::NO_SUID, "").ok();
        }
    }
}

/// Swap and loop devices keep file systems in use. In a namespace they are somebody else's.
fn give_back(root: &str) {
    if !process::is_in_first_namespace() {
        return;
    }
    let swaps = sys::swap::active().unwrap_or_default();
    for area in swaps {
        // A file is seen from outside its root by now; a device is where it was.
        let path = match area.strip_prefix("/dev/") {
            Some(_) => area,
            None => format!("{}{area}", root.trim_end_matches('/')),
        };
        process::limited(SWAP, move || u8::from(sys::swap::off(&path).is_err()));
    }
}

/// Loop devices whose files lie on what is still mounted. True: there were some.
fn detach_loops() -> bool {
    if !process::is_in_first_namespace() {
        return false;
    }
    let found = sys::loopdev::in_use();
    for device in &found {
        let device = device.clone();
        process::limited(EACH, move || {
            u8::from(sys::loopdev::detach(&device).is_err())
        });
    }
    !found.is_empty()
}

/// Unmounts what lies below `root`, but not that itself: its last user may be this very program.
pub(super) fn let_go(root: &str) {
    let below = format!("{root}/");
    let inside = |entry: &MountEntry| entry.target.starts_with(&below);
    for entry in unmount_some(root, inside) {
        let kind = &entry.kind;
        let shown = entry.target.strip_prefix(root).unwrap_or_default();
        if !IN_MEMORY.contains(&kind.as_str()) {
            Consoles::open().say(&format!("rinit: {shown} ({kind}) is still in use\n"));
        }
    }
}

/// Returns what could not be unmounted.
fn unmount_all(root: &str) -> Vec<MountEntry> {
    let left = unmount_some(root, |_| true);
    if !left.is_empty() && detach_loops() {
        return unmount_some(root, |_| true);
    }
    left
}

/// The same for those of which `which` holds.
fn unmount_some(root: &str, which: impl Fn(&MountEntry) -> bool) -> Vec<MountEntry> {
    let deadline = sys::timer::now().saturating_add(ALL);
    let mut left = Vec::new();
    for _ in 0..PASSES {
        left = ours(mountinfo::read().unwrap_or_default(), root);
        left.retain(&which);
        let mut gone = 0_u32;
        for entry in &left {
            let rest = deadline.saturating_sub(sys::timer::now());
            let target = entry.target.clone();
            let unmount = move || u8::from(mount::unmount(&target, Unmount::Now).is_err());
            if process::limited(EACH.min(rest), unmount) == Some(0) {
                gone = gone.saturating_add(1);
            }
        }
        if gone == 0 || left.is_empty() {
            break;
        }
    }
    left
}

/// The mounts to take away, in order. From inside the root, it and what this process needs stay.
fn ours(table: Vec<MountEntry>, root: &str) -> Vec<MountEntry> {
    let needed = ["/", "/proc", "/sys", "/dev", "/run"];
    let mut found: Vec<MountEntry> = table
        .into_iter()
        .filter(|entry| Path::new(&entry.target).starts_with(root))
        .filter(|entry| root != "/" || !needed.contains(&entry.target.as_str()))
        .collect();
    found.reverse();
    found
}

/// Makes a mount read-only. In a namespace the file system may be somebody else's: only our view of it is changed.
fn protect(target: &str) -> &'static str {
    let target = target.to_owned();
    let whole = process::is_in_first_namespace();
    let restrict = move || {
        let done = if whole {
            mount::remount_read_only(&target)
        } else {
            mount::restrict(&target, Attributes::READ_ONLY, Reach::One)
        };
        u8::from(done.is_err())
    };
    match process::limited(EACH, restrict) {
        Some(0) => "it is read-only now",
        Some(_) => "it could not be made read-only",
        None => "it does not answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 0:20 / / rw - tmpfs tmpfs rw
23 22 0:21 / /old rw - overlay o rw
24 23 0:33 / /old/run rw - tmpfs none rw
25 24 0:44 / /old/run/rootctl/lower ro - btrfs /dev/x ro
26 22 0:45 / /proc rw - proc proc rw
27 22 0:46 / /older rw - tmpfs x rw
";

    fn targets(root: &str) -> Vec<String> {
        let found = ours(mountinfo::parse(TABLE), root);
        found.into_iter().map(|entry| entry.target).collect()
    }

    #[test]
    fn mounts_go_youngest_first_and_only_those_of_the_old_root() {
        assert_eq!(
            targets("/old"),
            ["/old/run/rootctl/lower", "/old/run", "/old"]
        );
    }

    #[test]
    fn from_inside_the_root_what_we_stand_on_stays() {
        assert_eq!(targets("/").last().unwrap(), "/old");
        assert!(!targets("/").contains(&"/proc".to_owned()));
    }
}

//! A file system is checked before it is mounted.

use rootspec::mounting::Fsck;
use sys::mountinfo::MountEntry;

use super::Step;

/// They check themselves, or have a checker that is not for use at boot; these say so in their manuals.
const UNCHECKED: [&str; 4] = ["btrfs", "xfs", "bcachefs", "ntfs"];
/// Errors were found and corrected; beside 0 the codes of fsck(8) with which it can be mounted. 2 asks for a reboot, which
/// is about a root that was changed under a running system.
const USABLE: i32 = 3;

/// Checks what is on a device, as far as that is wanted.
pub(super) fn check(device: &str, kind: &str, fsck: Fsck) -> Step {
    let name = format!("fsck.{kind}");
    let program = match (fsck, super::find(&name)) {
        (Fsck::No, _) => return Ok(()),
        (Fsck::Auto, _) if UNCHECKED.contains(&kind) => return Ok(()),
        (Fsck::Auto, None) => return Ok(()),
        (Fsck::Preen | Fsck::Force, None) => {
            return Err(format!("cannot check {device}: there is no program {name}"));
        }
        (Fsck::Auto | Fsck::Preen | Fsck::Force, Some(program)) => program,
    };
    let whole: &[&str] = &["-f", "-y", device];
    let quick: &[&str] = &["-a", device];
    let arguments = if fsck == Fsck::Force { whole } else { quick };
    match super::run(&program, arguments)? {
        (Some(code), _) if code & !USABLE == 0 => Ok(()),
        (Some(code), words) => Err(format!(
            "{device} has errors that {name} does not correct by itself (exit code {code}: {words}); next: {name} {device}"
        )),
        (None, words) => Err(format!(
            "{name} was killed while it checked {device}: {words}"
        )),
    }
}

/// What is in use must not be checked.
pub(super) fn is_mounted(number: (u32, u32), table: &[MountEntry]) -> bool {
    table.iter().any(|entry| entry.device == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_checker_is_only_a_failure_if_one_is_asked_for() {
        assert_eq!(check("/dev/x", "nofs", Fsck::Auto), Ok(()));
        assert_eq!(check("/dev/x", "nofs", Fsck::No), Ok(()));
        let why = check("/dev/x", "nofs", Fsck::Preen).unwrap_err();
        assert_eq!(why, "cannot check /dev/x: there is no program fsck.nofs");
    }
}

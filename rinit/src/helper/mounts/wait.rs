//! Devices that are not there yet.
//!
//! A device appears as a name in a folder of `/dev`: the kernel makes the node, udev the links to it. So nothing has to
//! be asked again and again, and no database read: watching the folder is enough, and works for both.

use std::path::Path;

use rootspec::mounting;
use sys::timer;
use sys::watch::Watch;

use super::Step;

/// Waits for all of them, for so many milliseconds.
pub(super) fn for_all(devices: &[String], timeout: u64) -> Step {
    let deadline = timer::now().saturating_add(timeout);
    devices
        .iter()
        .try_for_each(|device| for_device(device, deadline))
}

/// Waits for a device until then. What is no device is not waited for.
pub(super) fn for_device(path: &str, deadline: u64) -> Step {
    if !mounting::is_device(path) {
        return Ok(());
    }
    let began = timer::now();
    let told = |error: sys::SysError| sys::chain(&error);
    loop {
        // Anew each time: a folder that was watched may have been replaced.
        let watch = Watch::new().map_err(told)?;
        watch.add_names(nearest(path)).map_err(told)?;
        if Path::new(path).exists() {
            return Ok(());
        }
        let rest = deadline.saturating_sub(timer::now());
        if rest == 0 {
            let waited = deadline.saturating_sub(began);
            return Err(overdue(path, waited));
        }
        watch.wait_within(rest).map_err(told)?;
    }
}

/// The folder nearest to the path that is there.
fn nearest(path: &str) -> &Path {
    let mut above = Path::new(path).ancestors().skip(1);
    above.find(|dir| dir.is_dir()).unwrap_or(Path::new("/"))
}

fn overdue(path: &str, waited: u64) -> String {
    let waited = crate::words::duration(waited);
    let next = if path.starts_with("/dev/disk/") && !Path::new("/dev/disk").exists() {
        "; udev makes such names, and it has made none"
    } else {
        "; next: lsblk -o NAME,LABEL,UUID"
    };
    format!("the device {path} did not appear within {waited}{next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_device_and_what_is_there_is_not_waited_for() {
        for path in ["tmpfs", "server:/x", "/dev/null"] {
            assert_eq!(for_device(path, 0), Ok(()));
        }
        let why = for_device("/dev/disk/by-label/nobody has this", timer::now()).unwrap_err();
        assert!(
            why.starts_with("the device /dev/disk/by-label/nobody"),
            "{why}"
        );
    }

    #[test]
    fn the_nearest_folder_is_watched() {
        assert_eq!(nearest("/dev/nothing/here/x"), Path::new("/dev"));
        assert_eq!(nearest("/dev/x"), Path::new("/dev"));
    }
}

//! The file systems the kernel offers, mounted before anything else can be done.

use std::os::unix::fs::MetadataExt;

use anyhow::Result;
use sys::mount::{Attributes, mount};

/// Where the tree of the new root is put together.
pub const NEW_ROOT: &str = "/sysroot";

/// Mounts `/proc`, `/sys`, `/dev` and `/run`, unless they are there already (the kernel can mount `/dev` itself).
///
/// # Errors
/// One of them cannot be mounted: nothing works then.
pub fn mount_kernel_file_systems() -> Result<()> {
    let plain = Attributes::NO_SUID.and(Attributes::NO_DEV);
    let data = plain.and(Attributes::NO_EXEC);
    for dir in ["/proc", "/sys", "/dev", "/run", NEW_ROOT] {
        sys::fs::make_dir(dir, 0o755)?;
    }
    mount_once("proc", "/proc", data, "")?;
    mount_once("sysfs", "/sys", data, "")?;
    mount_once("devtmpfs", "/dev", Attributes::NO_SUID, "mode=0755")?;
    mount_once("tmpfs", "/run", plain, "mode=0755")?;
    sys::fs::make_dir("/run/rootctl", 0o755)?;
    Ok(())
}

fn mount_once(kind: &str, target: &str, attributes: Attributes, data: &str) -> Result<()> {
    if is_mount_point(target) {
        return Ok(());
    }
    Ok(mount(kind, target, attributes, data)?)
}

/// True when `target` is on another file system than the root. The kernel would not refuse a second `/proc`.
fn is_mount_point(target: &str) -> bool {
    let device = |path: &str| std::fs::metadata(path).map(|found| found.dev()).ok();
    device(target) != device("/")
}

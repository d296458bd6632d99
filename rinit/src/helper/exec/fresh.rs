//! Places of the unit's own: folders to mount on, file systems in memory.

use std::os::unix::fs::PermissionsExt;

use sys::SysError;
use sys::error::{Cannot, Result};
use sys::mount::{Attributes, Mount, Request};

/// An empty file system in memory; options as `mode=0755,size=4096`.
pub(super) fn memory(options: &str, attributes: Attributes) -> Result<Mount> {
    let options: Vec<_> = options
        .split(',')
        .map(|option| {
            option
                .split_once('=')
                .map_or((option, None), |(key, value)| (key, Some(value)))
        })
        .collect();
    Mount::new(&Request {
        kind: "tmpfs",
        source: "tmpfs",
        options: &options,
        attributes,
    })
}

/// With the usual permissions, whatever the unit's mask is.
pub(super) fn make_folder(path: &str) -> Result<()> {
    match std::fs::create_dir(path) {
        Ok(()) => {
            let usual = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, usual).cannot("make", path)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(SysError::new("make", path, error)),
    }
}

//! Inserting kernel modules. Which ones, and in which order, is decided elsewhere.

use std::ffi::CString;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Cannot, Result, SysError};

/// `MODULE_INIT_COMPRESSED_FILE` (`linux/module.h`, Linux 5.17): the kernel unpacks the file itself.
const COMPRESSED: i32 = 4;

/// What inserting did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is loaded now.
    New,
    /// It was loaded, or is part of the kernel.
    Already,
}

/// Inserts the module in `file` with `parameters` (`name=value name=value`). What it depends on must be loaded.
///
/// # Errors
/// The file is absent, belongs to another kernel (`ENOEXEC`, `EINVAL`), misses a symbol (`ENOENT`), or its device is
/// not there (`ENODEV`).
pub fn insert(file: impl AsRef<Path>, parameters: &str) -> Result<Inserted> {
    let path = file.as_ref();
    let parameters = CString::new(parameters)
        .map_err(|e| SysError::invalid("load module", path, e.to_string()))?;
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .cannot("open module", path)?;
    let flags = if is_compressed(path) { COMPRESSED } else { 0 };
    match rustix::system::finit_module(&fd, &parameters, flags) {
        Ok(()) => Ok(Inserted::New),
        Err(Errno::EXIST) => Ok(Inserted::Already),
        Err(error) => Err(SysError::new("load module", path, error)),
    }
}

/// Whether the kernel knows a module of this name (with `_`) well enough to let others refer to it: it initialises itself,
/// or has done so. The folder appears between the two (`mod_sysfs_setup` in `load_module`, `kernel/module/main.c`).
#[must_use]
pub fn is_known(name: &str) -> bool {
    Path::new("/sys/module")
        .join(name)
        .join("initstate")
        .exists()
}

fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "xz" || end == "zst" || end == "gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_whether_the_kernel_must_unpack() {
        assert!(is_compressed(Path::new("a/b.ko.xz")) && is_compressed(Path::new("b.ko.zst")));
        assert!(!is_compressed(Path::new("a/b.ko")));
    }

    #[test]
    fn an_absent_module_is_named() {
        let error = insert("/no/such.ko", "").unwrap_err();
        assert_eq!(error.to_string(), "cannot open module /no/such.ko");
    }
}

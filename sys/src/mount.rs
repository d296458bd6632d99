//! Mounts held by descriptor: made detached, given their properties, attached when everything is right.
//!
//! The kernel's own words about a refused mount are read from the file system context and become part of the error.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use linux_raw_sys::general::{
    MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_SIZE_VER0, MOUNT_ATTR_STRICTATIME, mount_attr,
};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use crate::error::{Cannot, Result, SysError};

/// A mount that is held by its descriptor; detached until [`Mount::attach`], gone when dropped before that.
#[derive(Debug)]
pub struct Mount(OwnedFd);

/// Properties of one mount (not of its file system).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u64);

impl Attributes {
    /// None.
    pub const NONE: Self = Self(0);
    /// Nothing can be changed through this mount.
    pub const READ_ONLY: Self = Self(MOUNT_ATTR_RDONLY as u64);
    /// Set-user-id programs are ordinary ones.
    pub const NO_SUID: Self = Self(MOUNT_ATTR_NOSUID as u64);
    /// Device nodes are dead.
    pub const NO_DEV: Self = Self(MOUNT_ATTR_NODEV as u64);
    /// Nothing can be executed.
    pub const NO_EXEC: Self = Self(MOUNT_ATTR_NOEXEC as u64);
    /// Links are not followed (Linux 5.10).
    pub const NO_SYMFOLLOW: Self = Self(MOUNT_ATTR_NOSYMFOLLOW as u64);

    /// Reading leaves no trace.
    pub const NO_ATIME: Self = Self(MOUNT_ATTR_NOATIME as u64);
    /// Reading a folder leaves no trace.
    pub const NO_DIR_ATIME: Self = Self(MOUNT_ATTR_NODIRATIME as u64);
    /// Reading always leaves a trace.
    pub const STRICT_ATIME: Self = Self(MOUNT_ATTR_STRICTATIME as u64);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether mounts below the one meant come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount alone.
    One,
    /// And all below it.
    Tree,
}

/// A new instance of a file system: its type, its options, how it is mounted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `btrfs`, `tmpfs`, …
    pub kind: &'a str,
    /// Device or word for `/proc/mounts`.
    pub source: &'a str,
    /// Options: with a value, or a mere flag.
    pub options: &'a [(&'a str, Option<&'a str>)],
    /// Properties of the mount.
    pub attributes: Attributes,
}

impl Mount {
    /// Makes a detached mount of a file system.
    ///
    /// # Errors
    /// The type is unknown (its module is not loaded), an option is refused, or the device does not hold it.
    pub fn new(request: &Request<'_>) -> Result<Self> {
        let shown = format!("{} from {}", request.kind, request.source);
        let context = rustix::mount::fsopen(request.kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .cannot("use file system", request.kind)?;
        let told = |error: rustix::io::Errno, context: &OwnedFd| {
            let why = kernel_words(context);
            let object = if why.is_empty() {
                shown.clone()
            } else {
                format!("{shown} ({why})")
            };
            SysError::new("mount", object, error)
        };
        rustix::mount::fsconfig_set_string(&context, "source", request.source)
            .map_err(|error| told(error, &context))?;
        for (key, value) in request.options {
            match value {
                Some(value) => rustix::mount::fsconfig_set_string(&context, *key, *value),
                None => rustix::mount::fsconfig_set_flag(&context, *key),
            }
            .map_err(|error| told(error, &context))?;
        }
        rustix::mount::fsconfig_create(&context).map_err(|error| told(error, &context))?;
        let attributes = MountAttrFlags::from_bits_retain(narrow(request.attributes));
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map(Self)
            .map_err(|error| told(error, &context))
    }

    /// Makes a detached copy of what is mounted at `path` below `dir`, or of a folder there.
    ///
    /// # Errors
    /// `path` is absent or its mount is itself detached (refused before Linux 6.15).
    pub fn copy_of(dir: impl AsFd, path: impl AsRef<Path>, reach: Reach) -> Result<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        if reach == Reach::Tree {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        rustix::mount::open_tree(dir, path.as_ref(), flags)
            .map(Self)
            .cannot("mount", path)
    }

    /// [`Mount::copy_of`] an absolute path.
    ///
    /// # Errors
    /// As there.
    pub fn at(path: impl AsRef<Path>, reach: Reach) -> Result<Self> {
        Self::copy_of(CWD, path, reach)
    }

    /// [`Mount::attach`] at an absolute path.
    ///
    /// # Errors
    /// As there.
    pub fn attach_at(&self, path: impl AsRef<Path>) -> Result<()> {
        self.attach(CWD, path)
    }

    /// True if its root is a folder, false if it is a file or a device.
    ///
    /// # Errors
    /// What stat(2) reports.
    pub fn is_folder(&self) -> Result<bool> {
        let found = rustix::fs::fstat(&self.0).cannot("look at", "a mount")?;
        Ok(rustix::fs::FileType::from_raw_mode(found.st_mode).is_dir())
    }

    /// Gives the mount these properties in addition to what it has.
    ///
    /// # Errors
    /// The kernel is older than 5.12 or refuses.
    pub fn restrict(&self, attributes: Attributes, reach: Reach) -> Result<()> {
        change(&self.0, attributes, 0, reach).cannot("restrict", "a mount")
    }

    /// Takes [`Attributes::NO_ATIME`] back, which copies of a mount inherit: times of access are kept as usual
    /// (`relatime`).
    ///
    /// # Errors
    /// The kernel is older than 5.12.
    pub fn keep_access_times(&self) -> Result<()> {
        change(&self.0, Attributes::NONE, MOUNT_ATTR__ATIME, Reach::One)
            .cannot("keep access times of", "a mount")
    }

    /// Attaches the mount at the folder `path` below `dir`. The descriptor keeps working.
    ///
    /// # Errors
    /// `path` is absent or of another type than the mount's root.
    pub fn attach(&self, dir: impl AsFd, path: impl AsRef<Path>) -> Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
            | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH
            | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
        let shown = match path.as_ref() {
            path if path.as_os_str().is_empty() => Path::new("the folder"),
            path => path,
        };
        rustix::mount::move_mount(&self.0, "", dir, path.as_ref(), flags).cannot("mount on", shown)
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Mount attributes fit into 32 bits; the kernel's structure is wider for the future.
fn narrow(attributes: Attributes) -> u32 {
    u32::try_from(attributes.0).unwrap_or_default()
}

/// rustix has no `mount_setattr`.
fn change(fd: &OwnedFd, set: Attributes, clear: u32, reach: Reach) -> std::io::Result<()> {
    let attributes = mount_attr {
        attr_set: set.0,
        attr_clr: u64::from(clear),
        propagation: 0,
        userns_fd: 0,
    };
    let flags = match reach {
        Reach::One => libc::AT_EMPTY_PATH,
        Reach::Tree => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    // SAFETY: the descriptor is open, the path an empty C string, and the structure as long as said; all outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            MOUNT_ATTR_SIZE_VER0 as libc::size_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// What the kernel said about a file system context: messages like `e btrfs: open_ctree failed`, one per read.
fn kernel_words(context: &OwnedFd) -> String {
    let Ok(fd) = context.try_clone() else {
        return String::new();
    };
    let mut file = File::from(fd);
    let mut words = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length) = file.read(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let text = text.trim();
        // The letter in front is the severity.
        let text = text.strip_prefix("e ").unwrap_or(text).to_owned();
        if length == 0 || words.len() >= 8 {
            break;
        }
        words.push(text);
    }
    words.join("; ")
}

/// Mounts a file system at `target` in one step, with `data` as mount(2) takes it.
///
/// # Errors
/// As mount(2).
pub fn mount(
    kind: &str,
    target: impl AsRef<Path>,
    attributes: Attributes,
    data: &str,
) -> Result<()> {
    mount_from(kind, kind, target, attributes, data)
}

/// As [`mount`], from a device.
///
/// # Errors
/// As mount(2).
pub fn mount_from(
    source: impl AsRef<Path>,
    kind: &str,
    target: impl AsRef<Path>,
    attributes: Attributes,
    data: &str,
) -> Result<()> {
    let data = std::ffi::CString::new(data)
        .map_err(|e| SysError::invalid("mount", &target, e.to_string()))?;
    rustix::mount::mount(
        source.as_ref(),
        target.as_ref(),
        kind,
        classic(attributes),
        data.as_c_str(),
    )
    .cannot("mount", format!("{kind} on {}", target.as_ref().display()))
}

/// Makes what is at `source` appear at `target`.
///
/// # Errors
/// As mount(2) with `MS_BIND`.
pub fn bind(source: impl AsRef<Path>, target: impl AsRef<Path>, reach: Reach) -> Result<()> {
    let (source, target) = (source.as_ref(), target.as_ref());
    match reach {
        Reach::One => rustix::mount::mount_bind(source, target),
        Reach::Tree => rustix::mount::mount_bind_recursive(source, target),
    }
    .cannot(
        "bind",
        format!("{} on {}", source.display(), target.display()),
    )
}

/// Gives the mount at `path` these properties in addition to what it has.
///
/// # Errors
/// Nothing is mounted there, the kernel is older than 5.12, or it refuses.
pub fn restrict(path: impl AsRef<Path>, attributes: Attributes, reach: Reach) -> Result<()> {
    let path = path.as_ref();
    let fd = rustix::mount::open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .cannot("open", path)?;
    change(&fd, attributes, 0, reach).cannot("restrict", path)
}

/// Remounts the file system at `path` read-only, its superblock too.
///
/// # Errors
/// Something is still open for writing (`EBUSY`).
pub fn remount_read_only(path: impl AsRef<Path>) -> Result<()> {
    rustix::mount::mount_remount(path.as_ref(), MountFlags::RDONLY, c"")
        .cannot("remount read-only", path)
}

/// Stops mount events from travelling between this mount namespace and others, for everything below `path`.
///
/// # Errors
/// `path` is no mount.
pub fn make_private(path: impl AsRef<Path>) -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(path.as_ref(), flags).cannot("make private", path)
}

/// Lets mount events of the namespace we came from travel to us, but none of ours to it, for everything below `path`.
///
/// # Errors
/// `path` is no mount.
pub fn receive_only(path: impl AsRef<Path>) -> Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(path.as_ref(), flags).cannot("separate", path)
}

/// Says how mount events travel between the mount at `path` and its copies, in mount(8)'s words: `shared`, `slave`,
/// `private`, `unbindable`, and the same with an `r` in front for everything below it too.
///
/// # Errors
/// It is no such word, or `path` is no mount.
pub fn propagate(path: impl AsRef<Path>, word: &str) -> Result<()> {
    let (plain, below) = match word.strip_prefix('r') {
        Some(plain) => (plain, MountPropagationFlags::REC),
        None => (word, MountPropagationFlags::empty()),
    };
    let flag = match plain {
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "private" => MountPropagationFlags::PRIVATE,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => {
            return Err(SysError::invalid(
                "make",
                path,
                format!("{word} is unknown"),
            ));
        }
    };
    rustix::mount::mount_change(path.as_ref(), flag | below)
        .cannot("change the propagation of", path)
}

/// Moves a mount to another place.
///
/// # Errors
/// As mount(2) with `MS_MOVE`.
pub fn relocate(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    rustix::mount::mount_move(from, to).cannot(
        "move mount",
        format!("{} to {}", from.display(), to.display()),
    )
}

/// How a mount is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// Only if nobody uses it.
    Now,
    /// Out of sight at once, gone when its last user is.
    Detach,
    /// Though what is on its way to a server gets lost.
    Force,
}

/// Takes away the mount at `path`, which may not be a link.
///
/// # Errors
/// It is in use (`EBUSY`), or nothing is mounted there (`EINVAL`).
pub fn unmount(path: impl AsRef<Path>, how: Unmount) -> Result<()> {
    let flags = match how {
        Unmount::Now => UnmountFlags::NOFOLLOW,
        Unmount::Detach => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
        Unmount::Force => UnmountFlags::NOFOLLOW | UnmountFlags::FORCE,
    };
    rustix::mount::unmount(path.as_ref(), flags).cannot("unmount", path)
}

fn classic(attributes: Attributes) -> MountFlags {
    let pairs = [
        (Attributes::READ_ONLY, MountFlags::RDONLY),
        (Attributes::NO_SUID, MountFlags::NOSUID),
        (Attributes::NO_DEV, MountFlags::NODEV),
        (Attributes::NO_EXEC, MountFlags::NOEXEC),
        (Attributes::NO_SYMFOLLOW, MountFlags::NOSYMFOLLOW),
        (Attributes::NO_ATIME, MountFlags::NOATIME),
        (Attributes::NO_DIR_ATIME, MountFlags::NODIRATIME),
        (Attributes::STRICT_ATIME, MountFlags::STRICTATIME),
    ];
    let mut flags = MountFlags::empty();
    for (attribute, flag) in pairs {
        if attributes.0 & attribute.0 != 0 {
            flags |= flag;
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_the_flags_of_the_old_call() {
        let both = Attributes::READ_ONLY.and(Attributes::NO_EXEC);
        assert_eq!(classic(both), MountFlags::RDONLY | MountFlags::NOEXEC);
        assert_eq!(classic(Attributes::NONE), MountFlags::empty());
    }

    #[test]
    fn an_unknown_file_system_is_named() {
        let request = Request {
            kind: "nosuchfs",
            source: "none",
            options: &[],
            attributes: Attributes::NONE,
        };
        let error = Mount::new(&request).unwrap_err();
        assert!(error.to_string().contains("nosuchfs"), "{error}");
    }
}

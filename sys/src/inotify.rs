//! Being told of changes below a path (`inotify(7)`).

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};

use crate::error::{Cannot, Result, SysError};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Names in a folder come and go, and the folder itself.
    Names,
    /// That, and what a program has written to it or in it, when it is through.
    Written,
    /// That, and everything that is being written.
    Writing,
}

impl Told {
    fn flags(self) -> WatchFlags {
        let names = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        let written = names | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
        match self {
            Self::Names => names,
            Self::Written => written,
            Self::Writing => written | WatchFlags::MODIFY,
        }
    }
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The number that [`Inotify::watch`] gave; -1 if the kernel lost count of what happened.
    pub watch: i32,
    /// The name in the folder; absent: it is about what is watched itself.
    pub name: Option<OsString>,
    /// Something is being written, and goes on.
    pub writing: bool,
    /// What was watched is gone, and nothing more is told of it: its number may be given again.
    pub gone: bool,
}

/// What tells of changes.
#[derive(Debug)]
pub struct Inotify {
    fd: OwnedFd,
}

impl Inotify {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// No descriptor to be had, or too many of these of one user.
    pub fn new() -> Result<Self> {
        match init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(fd) => Ok(Self { fd }),
            // Of descriptors there would be more.
            Err(rustix::io::Errno::MFILE) => {
                let why = "too many are watched already (sysctl fs.inotify.max_user_instances)";
                Err(SysError::invalid("watch", "paths", why))
            }
            Err(error) => Err(SysError::new("watch", "paths", error)),
        }
    }

    /// Watches what is at a path. Something that is watched already keeps its number, and more of it is told.
    ///
    /// # Errors
    /// There is nothing, or the kernel allows no more.
    pub fn watch(&self, path: impl AsRef<Path>, told: Told) -> Result<i32> {
        let path = path.as_ref();
        add_watch(&self.fd, path, told.flags() | WatchFlags::MASK_ADD).cannot("watch", path)
    }

    /// Ends a watch. That it is gone is told by [`Change::gone`].
    pub fn forget(&self, watch: i32) {
        // What was watched may have gone by itself.
        remove_watch(&self.fd, watch).ok();
    }

    /// Everything that has happened since the last time.
    ///
    /// # Errors
    /// None that the kernel documents for this use.
    pub fn read(&self) -> Result<Vec<Change>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        let mut all = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => all.push(Change {
                    watch: event.wd(),
                    name: event
                        .file_name()
                        .map(|name| OsString::from_vec(name.to_bytes().to_vec())),
                    writing: event.events() == ReadFlags::MODIFY,
                    gone: event.events().contains(ReadFlags::IGNORED),
                }),
                Err(rustix::io::Errno::AGAIN) => return Ok(all),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(SysError::new("read", "changes of paths", error)),
            }
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

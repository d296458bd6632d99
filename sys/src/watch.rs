//! Waiting for changes in folders (`inotify(7)`).

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::error::{Cannot, Result, SysError};

/// What has changed in a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A file of this name: its content, or which file it is.
    File(OsString),
    /// Anything: the kernel could not keep up with telling.
    Anything,
}

/// Some watched folders.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The user watches too much already.
    pub fn new() -> Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC).cannot("watch", "folders")?;
        Ok(Self(fd))
    }

    /// Watches the files of a folder from now on.
    ///
    /// # Errors
    /// It is absent, or may not be read.
    pub fn add(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(&self.0, dir, what | WatchFlags::ONLYDIR).cannot("watch", dir)?;
        Ok(())
    }

    /// Watches for new names in a folder, not for the contents of its files.
    ///
    /// # Errors
    /// It is absent, or may not be read.
    pub fn add_names(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.0, dir, what).cannot("watch", dir)?;
        Ok(())
    }

    /// Waits until something has changed, for so many milliseconds at most. True: something has, and [`Watch::wait`] says
    /// at once what.
    ///
    /// # Errors
    /// None that the kernel documents for this use.
    pub fn wait_within(&self, millis: u64) -> Result<bool> {
        let fds = &mut [PollFd::new(&self.0, PollFlags::IN)];
        match rustix::event::poll(fds, Some(&crate::timer::span(millis))) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(SysError::new("watch", "folders", error)),
        }
    }

    /// Waits until something has changed, and says what: all that has been told by then.
    ///
    /// # Errors
    /// None that the kernel documents for this use.
    pub fn wait(&self) -> Result<Vec<Changed>> {
        let mut room = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&self.0, &mut room);
        let mut found = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(SysError::new("watch", "folders", error)),
            };
            found.push(match event.file_name() {
                Some(name) if !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    Changed::File(OsString::from_vec(name.to_bytes().to_vec()))
                }
                _ => Changed::Anything,
            });
            if reader.is_buffer_empty() {
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn a_change_is_told_by_the_name_of_the_file() {
        let dir = TestDir::new("watch");
        let watch = Watch::new().unwrap();
        assert!(watch.add(dir.join("absent")).is_err());
        watch.add(dir.path()).unwrap();
        std::fs::write(dir.join("a"), b"x").unwrap();
        std::fs::rename(dir.join("a"), dir.join("b")).unwrap();
        let mut found = Vec::new();
        while !found.contains(&Changed::File("b".into())) {
            found.extend(watch.wait().unwrap());
        }
        assert!(found.contains(&Changed::File("a".into())));
    }

    #[test]
    fn new_names_are_told_and_a_wait_ends_without_them() {
        let dir = TestDir::new("names");
        std::fs::write(dir.join("a"), b"x").unwrap();
        let watch = Watch::new().unwrap();
        watch.add_names(dir.path()).unwrap();
        std::fs::write(dir.join("a"), b"y").unwrap();
        assert!(!watch.wait_within(1).unwrap());
        std::os::unix::fs::symlink("a", dir.join("b")).unwrap();
        assert!(watch.wait_within(60_000).unwrap());
        assert_eq!(watch.wait().unwrap(), [Changed::File("b".into())]);
    }
}

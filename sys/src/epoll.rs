//! Waiting for many descriptors at once.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::error::{Cannot, Result};

/// What a descriptor is watched for. Errors and hang-ups are always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read.
    Read,
    /// There is something to read, told once per arrival.
    ReadEdge,
    /// There is something to read, or room to write.
    ReadWrite,
    /// There is room to write.
    Write,
    /// A file of the kernel has changed (`cgroup.events`).
    Change,
    /// Nothing but what is always told.
    End,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::ReadEdge => EventFlags::IN | EventFlags::ET,
            Self::ReadWrite => EventFlags::IN | EventFlags::OUT,
            Self::Write => EventFlags::OUT,
            Self::Change => EventFlags::PRI,
            Self::End => EventFlags::empty(),
        }
    }
}

/// Something happened to a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happening {
    /// The number it was watched under.
    pub token: u64,
    /// There may be something to read; also set on errors and hang-ups, which a read then tells.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// A set of watched descriptors.
pub struct Epoll {
    fd: OwnedFd,
    buffer: Vec<epoll::Event>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}

/// Happenings told by one wait.
const BATCH: usize = 64;

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn new() -> Result<Self> {
        let fd = epoll::create(CreateFlags::CLOEXEC).cannot("make", "an epoll set")?;
        Ok(Self {
            fd,
            buffer: Vec::with_capacity(BATCH),
        })
    }

    /// Watches `fd` under the number `token`. Closing the descriptor ends it, if no copy of it is open.
    ///
    /// # Errors
    /// It is watched already, cannot be watched (a plain file), or memory is short.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.fd, fd, EventData::new_u64(token), interest.flags())
            .cannot("watch", "a descriptor")
    }

    /// Changes what a watched descriptor is watched for.
    ///
    /// # Errors
    /// It is not watched.
    pub fn change(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.fd, fd, EventData::new_u64(token), interest.flags())
            .cannot("watch", "a descriptor")
    }

    /// Watches `fd` no longer.
    ///
    /// # Errors
    /// It is not watched.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        epoll::delete(&self.fd, fd).cannot("stop watching", "a descriptor")
    }

    /// Waits until something happens and puts it into `happenings`, which is emptied first.
    ///
    /// # Errors
    /// None that the kernel documents for this use; an interrupted wait returns nothing.
    pub fn wait(&mut self, happenings: &mut Vec<Happening>) -> Result<()> {
        happenings.clear();
        self.buffer.clear();
        match epoll::wait(
            &self.fd,
            rustix::buffer::spare_capacity(&mut self.buffer),
            None,
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(crate::SysError::new("wait for", "events", error)),
        }
        for event in &self.buffer {
            // The structure is packed: copy before use.
            let (flags, data) = (event.flags, event.data);
            happenings.push(Happening {
                token: data.u64(),
                readable: flags.intersects(!EventFlags::OUT),
                writable: flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP),
            });
        }
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_watched_pipe_is_told_by_its_number_until_it_is_removed() {
        let mut epoll = Epoll::new().unwrap();
        let (read, mut write) = std::io::pipe().unwrap();
        epoll.add(&read, 7, Interest::Read).unwrap();
        epoll.add(&write, 8, Interest::Write).unwrap();
        write.write_all(b"x").unwrap();
        let mut found = Vec::new();
        epoll.wait(&mut found).unwrap();
        found.sort_by_key(|happening| happening.token);
        let tokens: Vec<_> = found
            .iter()
            .map(|h| (h.token, h.readable, h.writable))
            .collect();
        assert_eq!(tokens, [(7, true, false), (8, false, true)]);
        epoll.remove(&read).unwrap();
        epoll.wait(&mut found).unwrap();
        assert_eq!(found.len(), 1);
    }
}

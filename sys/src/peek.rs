//! Looking into a pipe without taking anything out: whoever is killed in between has lost nothing.

use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::error::{Cannot, Result, SysError};

/// A second pipe that contents are copied to for a look (`tee(2)`).
#[derive(Debug)]
pub struct Peek {
    read: OwnedFd,
    write: OwnedFd,
}

impl Peek {
    /// Makes the second pipe.
    ///
    /// # Errors
    /// No descriptors to be had.
    pub fn new() -> Result<Self> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags).cannot("make", "a pipe")?;
        Ok(Self { read, write })
    }

    /// Copies what is in the pipe `from`, as far as `buffer` holds it. 0: it is empty.
    ///
    /// # Errors
    /// It is no pipe.
    pub fn look(&self, from: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
        let copied = match rustix::pipe::tee(from, &self.write, buffer.len(), SpliceFlags::NONBLOCK)
        {
            Ok(copied) => copied,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(SysError::new("look into", "a pipe", error)),
        };
        let mut have: usize = 0;
        while have < copied {
            let Some(rest) = buffer.get_mut(have..copied) else {
                break;
            };
            match rustix::io::read(&self.read, rest).cannot("look into", "a pipe")? {
                0 => break,
                length => have = have.saturating_add(length),
            }
        }
        Ok(have)
    }
}

/// Takes `length` bytes out of a pipe in which they are.
///
/// # Errors
/// It is no pipe.
pub fn discard(from: impl AsFd, length: usize) -> Result<()> {
    let from = from.as_fd();
    let mut sink = [0; 4096];
    let mut left = length;
    while left > 0 {
        let part = sink.get_mut(..left.min(4096)).unwrap_or_default();
        match rustix::io::read(from, part) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(taken) => left = left.saturating_sub(taken),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(SysError::new("read", "a pipe", error)),
        }
    }
    Ok(())
}

/// Lets a pipe hold so many bytes, as far as the kernel gives that to everybody: 1 MiB. For one large message.
pub fn make_room(pipe: impl AsFd, bytes: usize) {
    // A smaller one is only slower.
    rustix::pipe::fcntl_setpipe_size(pipe, bytes.clamp(1 << 16, 1 << 20)).ok();
}

/// A pipe neither end of which blocks.
///
/// # Errors
/// No descriptors to be had.
pub fn open_pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).cannot("make", "a pipe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_pipe_with_room_takes_a_large_message_at_once() {
        let (_read, write) = open_pipe().unwrap();
        let mut file = std::fs::File::from(write);
        make_room(&file, 300_000);
        assert_eq!(file.write(&[0; 300_000]).unwrap(), 300_000);
    }

    #[test]
    fn a_look_takes_nothing_and_discarding_takes_exactly_so_much() {
        let peek = Peek::new().unwrap();
        let (read, write) = open_pipe().unwrap();
        let mut buffer = [0; 64];
        assert_eq!(peek.look(&read, &mut buffer).unwrap(), 0);
        let mut file = std::fs::File::from(write);
        file.write_all(b"one\n").unwrap();
        file.write_all(b"two").unwrap();
        for _ in 0..3 {
            assert_eq!(peek.look(&read, &mut buffer).unwrap(), 7);
        }
        discard(&read, 4).unwrap();
        let left = peek.look(&read, &mut buffer).unwrap();
        assert_eq!(&buffer[..left], b"two");
    }
}

//! Looking into a pipe without taking anything out, and moving what is in it: whoever is killed in between has lost
//! nothing.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::MemfdFlags;
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

/// Moves `length` bytes from a pipe in which they are to `offset` of a file. What has left the pipe is in the file, even
/// if this process is killed on the way (`splice(2)`): the size of a file that ended at `offset` tells how far it came.
///
/// # Errors
/// It is no pipe, or the file takes no more.
pub fn move_to(from: impl AsFd, file: &File, offset: u64, length: usize) -> Result<()> {
    let from = from.as_fd();
    let (mut offset, mut left) = (offset, length);
    while left > 0 {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match rustix::pipe::splice(from, None, file, Some(&mut offset), left, flags) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(moved) => left = left.saturating_sub(moved),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(SysError::new("take", "what is in a pipe", error)),
        }
    }
    Ok(())
}

/// Lets a pipe hold so many bytes, as far as the kernel gives that to everybody: 1 MiB. For one large message.
pub fn make_room(pipe: impl AsFd, bytes: usize) {
    // A smaller one is only slower.
    rustix::pipe::fcntl_setpipe_size(pipe, bytes.clamp(1 << 16, 1 << 20)).ok();
}

/// A file in memory that lives as long as somebody has it open (`memfd_create(2)`).
///
/// # Errors
/// No descriptor to be had.
pub fn memory_file(name: &str) -> Result<File> {
    let fd =
        rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).cannot("make", "a file in memory")?;
    Ok(File::from(fd))
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
    fn a_look_takes_nothing_and_moving_takes_exactly_so_much() {
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
        let kept = memory_file("kept").unwrap();
        kept.set_len(8).unwrap();
        move_to(&read, &kept, 8, 4).unwrap();
        assert_eq!(kept.metadata().unwrap().len(), 12);
        let mut moved = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&kept, &mut moved, 8).unwrap();
        assert_eq!(&moved, b"one\n");
        let left = peek.look(&read, &mut buffer).unwrap();
        assert_eq!(&buffer[..left], b"two");
    }
}

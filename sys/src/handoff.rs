//! What a process gives to the program it becomes: bytes in memory, and descriptors that stay open over the exec.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{FileType, MemfdFlags, OFlags, SealFlags};
use rustix::io::FdFlags;

use crate::descriptors;
use crate::error::{Cannot, Result, SysError};

/// A descriptor as its number, and which object that is: an inode number of a pipe, a socket or a file in memory is given to nothing else
/// while the object lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its number.
    pub number: i32,
    /// The inode number behind it.
    pub node: u64,
}

/// Bytes in memory that nobody can change any more, to be read from the start by whoever has the descriptor.
///
/// # Errors
/// No descriptor or no memory to be had.
pub fn seal(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = blank(name)?;
    file.write_all(bytes).cannot("write", name)?;
    close(&file)?;
    Ok(file.into())
}

/// A file in memory that somebody else may write before it is [closed](close).
///
/// # Errors
/// No descriptor to be had.
pub fn blank(name: &str) -> Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create(name, flags).cannot("make", name)?;
    Ok(File::from(fd))
}

/// Nobody can change it any more.
///
/// # Errors
/// It was closed before, or is not from [`blank`].
pub fn close(file: &File) -> Result<()> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(file, seals).cannot("seal", "what is handed over")
}

/// The bytes of [`seal`], wherever somebody has read before.
///
/// # Errors
/// It is larger than `most`, or cannot be read.
pub fn read(fd: impl AsFd, most: u64) -> Result<Vec<u8>> {
    const WHAT: &str = "what was handed over";
    let stat = rustix::fs::fstat(&fd).cannot("read", WHAT)?;
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > most {
        return Err(SysError::invalid("read", WHAT, "it is too large"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut have = 0_usize;
    while let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
        let at = u64::try_from(have).unwrap_or(u64::MAX);
        match rustix::io::pread(&fd, rest, at) {
            Ok(0) => return Err(SysError::invalid("read", WHAT, "it is cut off")),
            Ok(length) => have = have.saturating_add(length),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(SysError::new("read", WHAT, error)),
        }
    }
    Ok(bytes)
}

/// Names a descriptor of ours.
#[must_use]
pub fn name(fd: impl AsFd) -> Named {
    let fd = fd.as_fd();
    Named {
        number: fd.as_raw_fd(),
        node: descriptors::identity(fd).map_or(0, |(_, node)| node),
    }
}

/// Takes over a descriptor that was named before the exec. `None`: it is not open, another object by now, or was taken
/// before.
#[must_use]
pub fn take(named: Named) -> Option<OwnedFd> {
    take_if(named, |kind| {
        matches!(
            kind,
            FileType::Fifo | FileType::Socket | FileType::RegularFile
        )
    })
}

/// As [`take`], whatever it is. Only for what was named right before the exec: that an object of the kernel without a file
/// (`eventfd(2)`, `timerfd_create(2)`, …) is the same one cannot be seen, they all have one inode number.
#[must_use]
pub fn take_any(named: Named) -> Option<OwnedFd> {
    take_if(named, |_| true)
}

fn take_if(named: Named, fits: impl Fn(FileType) -> bool) -> Option<OwnedFd> {
    // One of our own may have the number by now.
    if !stays_open(named.number) {
        return None;
    }
    // SAFETY: the descriptor is only asked about; one that is not open is an error of the call.
    let (kind, node) = descriptors::identity(unsafe { BorrowedFd::borrow_raw(named.number) })?;
    if !fits(kind) || node != named.node {
        return None;
    }
    crate::inherit::take(named.number).ok()
}

/// Numbers of the descriptors above standard error that this process was started with and has not taken over: all of its
/// own are closed on exec.
#[must_use]
pub fn inherited() -> Vec<RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd");
    let numbers = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    numbers
        .filter(|number| *number > 2 && stays_open(*number))
        .collect()
}

fn stays_open(number: RawFd) -> bool {
    // SAFETY: the descriptor is only asked about; one that is not open is an error of the call.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_getfd(fd).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
}

/// Both ends of the pipe that a process has as its standard output or error, if they were inherited.
#[must_use]
pub fn output_pipe(pid: u32) -> Option<(OwnedFd, OwnedFd)> {
    let node = [1, 2].into_iter().find_map(|number| {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
        let text = link.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?;
        text.parse::<u64>().ok()
    })?;
    let end = |mode: OFlags| {
        inherited().into_iter().find_map(|number| {
            // SAFETY: the descriptor is only asked about; one that is not open is an error of the call.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            let is_end =
                rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::ACCMODE == mode);
            let stat = rustix::fs::fstat(fd).ok()?;
            let found = is_end && stat.st_ino == node;
            found.then(|| take(Named { number, node }))?
        })
    };
    Some((end(OFlags::RDONLY)?, end(OFlags::WRONLY)?))
}

/// Takes what was inherited and taken over by nobody, to be closed.
#[must_use]
pub fn take_rest() -> Vec<OwnedFd> {
    let numbers = inherited().into_iter();
    // SAFETY: nobody here owns it: whoever takes a descriptor over makes it close on exec, see `crate::inherit`.
    let owned = numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    owned.collect()
}

/// Becomes another program, which finds the descriptors `kept` open under their numbers. Comes back only with the reason
/// why not; then all is as before.
///
/// # Errors
/// The program cannot be executed.
pub fn become_program(program: &str, arguments: &[String], kept: &[RawFd]) -> Result<Infallible> {
    set_close(kept, false);
    let error = Command::new(program).args(arguments).exec();
    set_close(kept, true);
    Err(SysError::new("execute", program, error))
}

/// Lets the next exec leave these descriptors open, for a copy of this process that becomes a program.
pub fn keep(kept: &[RawFd]) {
    set_close(kept, false);
}

fn set_close(kept: &[RawFd], close: bool) {
    let flags = if close {
        FdFlags::CLOEXEC
    } else {
        FdFlags::empty()
    };
    for number in kept {
        // SAFETY: whoever names it to us keeps it open over this call.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        // Not open: then nobody will find it, and does without it.
        rustix::io::fcntl_setfd(fd, flags).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_can_be_read_again_and_not_be_changed() {
        let fd = seal("state", b"abc").unwrap();
        for _ in 0..2 {
            assert_eq!(read(&fd, 3).unwrap(), b"abc");
        }
        assert!(read(&fd, 2).is_err());
        assert!(rustix::io::write(&fd, b"x").is_err());
    }

    #[test]
    fn a_descriptor_that_is_another_object_by_now_is_not_taken() {
        use std::os::fd::IntoRawFd;
        let (one, other) = rustix::pipe::pipe().unwrap();
        let named = name(&one);
        let wrong = Named {
            node: named.node.wrapping_add(1),
            number: other.into_raw_fd(),
        };
        assert_eq!(one.into_raw_fd(), named.number);
        assert!(take(named).is_some());
        assert!(take(named).is_none() && take(wrong).is_none());
    }
}

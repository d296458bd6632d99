//! Descriptors that somebody sent, and that nobody here wants.
//!
//! Closing the last reference of an open file can wait for whoever is behind it: a socket with `SO_LINGER` (socket(7)) for its
//! peer, a file on NFS or FUSE for its server. A descriptor that comes with a message is such a reference once its sender has
//! closed its own, also when it is not taken: the kernel closes what finds no room in the receiver, and what lies unread in a
//! socket that is closed, and has the receiver wait. Whoever must never wait takes them all, and has a copy of itself close
//! them.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::FileType;
use rustix::pipe::PipeFlags;

use crate::error::{Cannot, Result};
use crate::{descriptors, process};

/// Copies that may wait at the same time; the oldest is killed for a further one, which ends most waits.
const COPIES: usize = 16;

/// Descriptors to be closed, and copies that close.
#[derive(Debug, Default)]
pub struct Strays {
    kept: Vec<OwnedFd>,
    copies: Vec<process::Worker>,
}

impl Strays {
    /// Takes descriptors. Pipes and files in memory are closed at once: that never waits.
    pub fn take(&mut self, fds: impl IntoIterator<Item = OwnedFd>) {
        let others = fds.into_iter().filter(|fd| !is_quick(fd));
        self.kept.extend(others);
    }

    /// Has a copy of this process close what was taken. The copy is a child like others: its end is collected by whoever
    /// collects.
    ///
    /// # Errors
    /// No process or pipe to be had: then they stay open, for another try.
    pub fn let_go(&mut self) -> Result<()> {
        self.copies.retain(|copy| !process::has_ended(&copy.pidfd));
        if self.kept.is_empty() {
            return Ok(());
        }
        if self.copies.len() >= COPIES {
            process::signal(&self.copies.remove(0).pidfd, libc::SIGKILL).ok();
        }
        let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).cannot("make", "a pipe")?;
        let mut stays: Vec<RawFd> = self.kept.iter().map(AsRawFd::as_raw_fd).collect();
        stays.push(wait.as_raw_fd());
        let copy = process::fork_worker(move |output| {
            // Its end of the pipe would keep it waiting, everything else would be kept open by it.
            let _output = std::mem::ManuallyDrop::new(output);
            close_others(stays);
            // Until ours are closed: the last one to close is the one that waits.
            let end = File::from(wait).read(&mut [0]);
            u8::from(end.is_err())
        })?;
        self.copies.push(copy);
        self.kept.clear();
        drop(go);
        Ok(())
    }
}

fn is_quick(fd: impl AsFd) -> bool {
    let is_pipe = |fd| descriptors::identity(fd).is_some_and(|(kind, _)| kind == FileType::Fifo);
    // Only files in memory have seals.
    is_pipe(fd.as_fd()) || rustix::fs::fcntl_get_seals(fd).is_ok()
}

/// Closes all descriptors but these, in a copy that ends without dropping what owned them.
fn close_others(mut stays: Vec<RawFd>) {
    stays.sort_unstable();
    let mut first: u32 = 0;
    for number in stays {
        let number = number.unsigned_abs();
        if number > first {
            close_range(first, number.saturating_sub(1));
        }
        first = number.saturating_add(1);
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: no pointers; in the copy nobody uses what is closed. An old kernel without the call (before 5.9) closes nothing,
    // and then all is closed when the copy ends.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, last, 0_u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    /// A connection that takes `seconds` to close, with both other ends.
    fn lingering(seconds: u64) -> (TcpStream, TcpStream) {
        use std::io::Write;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        slow.set_nonblocking(true).unwrap();
        while slow.write(&[0; 65_536]).is_ok() {}
        slow.set_nonblocking(false).unwrap();
        let linger = Some(Duration::from_secs(seconds));
        rustix::net::sockopt::set_socket_linger(&slow, linger).unwrap();
        (slow, other)
    }

    #[test]
    fn nobody_waits_for_what_takes_long_to_close() {
        let (slow, other) = lingering(60);
        let begun = Instant::now();
        let mut strays = Strays::default();
        strays.take([OwnedFd::from(slow)]);
        assert_eq!(strays.kept.len(), 1);
        strays.let_go().unwrap();
        assert!(strays.kept.is_empty());
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it was waited for"
        );
        // The copy has the last one: it ends as soon as the other side goes.
        drop(other);
        let copy = strays.copies.remove(0);
        let number = rustix::process::Pid::from_raw(i32::try_from(copy.pid).unwrap());
        rustix::process::waitpid(number, rustix::process::WaitOptions::empty()).unwrap();
    }

    #[test]
    fn what_nobody_reads_comes_out_of_a_socket_before_it_is_closed() {
        let (slow, _other) = lingering(60);
        let (one, end) = UnixStream::pair().unwrap();
        for _ in 0..3 {
            crate::socket::send_fds(&one, b"x", &[slow.as_fd()]).unwrap();
        }
        drop(slow);
        let mut strays = Strays::default();
        let begun = Instant::now();
        strays.take(crate::socket::drain(&end));
        drop(end);
        assert_eq!(strays.kept.len(), 3);
        strays.let_go().unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it was waited for"
        );
        let copy = strays.copies.remove(0);
        process::signal(&copy.pidfd, libc::SIGKILL).unwrap();
        let number = rustix::process::Pid::from_raw(i32::try_from(copy.pid).unwrap());
        rustix::process::waitpid(number, rustix::process::WaitOptions::empty()).unwrap();
    }

    #[test]
    fn pipes_and_files_in_memory_are_closed_at_once() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut strays = Strays::default();
        let memory = crate::handoff::seal("memory", b"").unwrap();
        strays.take([write, memory]);
        assert!(strays.kept.is_empty());
        assert_eq!(rustix::io::read(&read, &mut [0]), Ok(0));
    }
}

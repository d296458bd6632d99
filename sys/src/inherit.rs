//! Descriptors that whoever started us left open, and waiting on them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags};

use crate::error::{Cannot, Result, SysError};

/// First descriptor of socket activation (`SD_LISTEN_FDS_START`, sd_listen_fds(3)).
pub const FIRST_ACTIVATED: RawFd = 3;

static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over an inherited descriptor by its number, close-on-exec from now on. Standard input, output and error are
/// duplicated and stay open.
///
/// # Errors
/// Nothing is open under that number, or it was taken before.
pub fn take(number: RawFd) -> Result<OwnedFd> {
    let shown = format!("descriptor {number}");
    match number {
        0 => return rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3).cannot("use", shown),
        1 => return rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3).cannot("use", shown),
        2 => return rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3).cannot("use", shown),
        _ => {}
    }
    let first_time = number > 2
        && TAKEN.lock().map_or_else(
            |poisoned| poisoned.into_inner().insert(number),
            |mut all| all.insert(number),
        );
    if !first_time || !std::path::Path::new(&format!("/proc/self/fd/{number}")).exists() {
        return Err(SysError::invalid(
            "use",
            shown,
            "it is not open, or was taken before",
        ));
    }
    // SAFETY: the descriptor is open (just seen in /proc) and belongs to nobody else: inherited numbers are handed out
    // here alone, each once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC).cannot("use", shown)?;
    Ok(fd)
}

/// Waits until there is something to read (or to accept, or the other side hung up). False: the time passed first.
///
/// # Errors
/// What poll(2) reports.
pub fn wait_readable(fd: impl AsFd, at_most: Duration) -> Result<bool> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) | Err(Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(error).cannot("wait for", "a descriptor"),
    }
}

/// What became of two descriptors that were waited on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// There is something to read from the first one, or its other side hung up.
    One,
    /// The other side of the second one hung up. What may be read there does not matter.
    OtherHungUp,
    /// The time passed.
    Time,
}

/// Waits until `one` is readable or hangs up, or `other` hangs up; without a time for ever.
///
/// # Errors
/// What poll(2) reports.
pub fn wait_either(
    one: impl AsFd,
    other: Option<BorrowedFd<'_>>,
    at_most: Option<Duration>,
) -> Result<First> {
    let timeout = at_most.and_then(|time| Timespec::try_from(time).ok());
    loop {
        let mut fds = vec![PollFd::new(&one, PollFlags::IN)];
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(First::Time),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error).cannot("wait for", "descriptors"),
            Ok(_) => {}
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        return Ok(if fds.first().is_some_and(is_ready) {
            First::One
        } else {
            First::OtherHungUp
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn an_inherited_descriptor_is_given_away_once() {
        // A number that no other test of this process has taken: each is given away once.
        let null = std::fs::File::open("/dev/null").unwrap();
        let high = rustix::io::fcntl_dupfd_cloexec(&null, 700).unwrap();
        let number = high.into_raw_fd();
        let taken = take(number).unwrap();
        assert!(take(number).is_err());
        drop(taken);
        assert!(take(9999).is_err() && take(-1).is_err());
    }

    #[test]
    fn of_two_the_one_that_ended_is_named() {
        let pair = || std::os::unix::net::UnixStream::pair().unwrap();
        let ((one, far), (other, client)) = (pair(), pair());
        let now = Some(Duration::ZERO);
        let mut writer = &client;
        std::io::Write::write_all(&mut writer, b"a further request").unwrap();
        let first = |at_most| wait_either(&one, Some(other.as_fd()), at_most).unwrap();
        assert_eq!(first(now), First::Time);
        drop(client);
        assert_eq!(first(None), First::OtherHungUp);
        drop(far);
        assert_eq!(first(None), First::One);
    }

    #[test]
    fn waiting_ends_with_data_or_with_the_time() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!wait_readable(&one, Duration::ZERO).unwrap());
        drop(other);
        assert!(wait_readable(&one, Duration::from_secs(5)).unwrap());
    }
}

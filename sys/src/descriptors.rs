//! What descriptors are, asked in ways that wait for nobody; and how many a process may have open (`RLIMIT_NOFILE`,
//! getrlimit(2)).

use std::os::fd::{AsFd, AsRawFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, FileType, StatxFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Cannot, Result};

/// A process may raise its own bound up to `hard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// What programs are started with by other inits too (systemd since 240): 1024, because select(2) knows no larger
/// numbers; whoever knows better raises it.
pub const ORDINARY: Limit = Limit {
    soft: 1024,
    hard: 524_288,
};

/// The largest limit the kernel allows anybody (proc_sys_fs(5)); its default where it cannot be read.
fn most() -> u64 {
    const DEFAULT: u64 = 1 << 20;
    let text = crate::fs::read_text("/proc/sys/fs/nr_open", 64);
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT)
}

/// Lets this process open as many descriptors as the kernel allows; without the right to that, as many as it may.
/// Returns what holds then.
///
/// # Errors
/// None expected: a process may always raise its own bound to the hard one.
pub fn raise() -> Result<Limit> {
    let most = most();
    let all = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    if setrlimit(Resource::Nofile, all).is_err() {
        let own = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current: own.maximum,
            maximum: own.maximum,
        };
        setrlimit(Resource::Nofile, limit).cannot("raise", "the limit of open files")?;
    }
    Ok(own())
}

/// The limit of this process.
#[must_use]
pub fn own() -> Limit {
    let found = getrlimit(Resource::Nofile);
    Limit {
        soft: found.current.unwrap_or(u64::MAX),
        hard: found.maximum.unwrap_or(u64::MAX),
    }
}

impl Limit {
    /// This limit, as far as a process under `bound` can give it to a child without any right.
    #[must_use]
    pub fn within(self, bound: Self) -> Self {
        let hard = self.hard.min(bound.hard);
        Self {
            soft: self.soft.min(hard),
            hard,
        }
    }
}

/// The kind of file behind a descriptor, and its inode number: as far as the kernel knows them, no server is asked (statx(2)).
#[must_use]
pub fn identity(fd: impl AsFd) -> Option<(FileType, u64)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(fd, "", flags, StatxFlags::TYPE | StatxFlags::INO).ok()?;
    let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
    Some((kind, stat.stx_ino))
}

/// True if both lead to the same open file, not just to the same place. A kernel without the call (kcmp(2)) knows of none.
#[must_use]
pub fn is_same(one: impl AsFd, other: impl AsFd) -> bool {
    const KCMP_FILE: libc::c_long = 0;
    let me = libc::c_long::from(rustix::process::getpid().as_raw_nonzero().get());
    let number = |fd: &dyn AsRawFd| libc::c_long::from(fd.as_raw_fd());
    let (one, other) = (number(&one.as_fd()), number(&other.as_fd()));
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_kcmp, me, me, KCMP_FILE, one, other) == 0 }
}

/// True if the other side may hang up, and asking whether it has waits for nobody: of sockets and pipes. Whoever drives
/// another file is asked itself, and need not answer.
#[must_use]
pub fn can_hang_up(fd: impl AsFd) -> bool {
    let kind = identity(fd).map(|(kind, _)| kind);
    matches!(kind, Some(FileType::Socket | FileType::Fifo))
}

/// True if the other side has hung up, or there is an error on it. For what [`can_hang_up`].
#[must_use]
pub fn has_hung_up(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let told = rustix::event::poll(&mut fds, Some(&now));
    told.is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_descriptor_are_the_same_and_two_of_a_kind_are_not() {
        let one = std::fs::File::open("/dev/null").unwrap();
        let other = std::fs::File::open("/dev/null").unwrap();
        assert!(is_same(&one, one.try_clone().unwrap()));
        assert!(!is_same(&one, &other));
        assert_eq!(identity(&one), identity(&other));
        assert_eq!(identity(&one).unwrap().0, FileType::CharacterDevice);
    }

    #[test]
    fn whoever_hangs_up_is_noticed() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert!(can_hang_up(&one) && can_hang_up(&read));
        assert!(!has_hung_up(&one) && !has_hung_up(&read) && !has_hung_up(&write));
        drop((other, read));
        assert!(has_hung_up(&one) && has_hung_up(&write));
        assert!(!can_hang_up(std::fs::File::open("/dev/null").unwrap()));
    }

    #[test]
    fn nobody_is_given_more_than_we_have() {
        let bound = Limit {
            soft: 100,
            hard: 4096,
        };
        let given = ORDINARY.within(bound);
        assert_eq!((given.soft, given.hard), (1024, 4096));
        assert_eq!(
            Limit { soft: 8, hard: 9 }.within(bound),
            Limit { soft: 8, hard: 9 }
        );
    }
}

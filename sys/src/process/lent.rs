//! How a child comes to a table of descriptors of its own without copying ours.
//!
//! A copy costs as much as there are descriptors in it, and closing them at exec costs twice that: with two for each
//! service, starting one takes the longer the more there are. So a child begins with our table itself (`CLONE_FILES`), and
//! its first act is to leave it with the low numbers only (`CLOSE_RANGE_UNSHARE` of close_range(2), Linux 5.9). What it
//! needs is lent to it down there; what lives long is kept above ([`keep_high`]). Then it closes all that is not its own.
//!
//! What is lent has to stay open until the child has left. We do not wait for that: whoever is about to wait for events
//! calls [`settle`], which takes back what it can, and asks a child that has not come so far to wake us by its report.
//!
//! One process has one table, so there is one list.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use rustix::event::Timespec;
use rustix::thread::futex;

use crate::error::{Cannot, Result};

/// Numbers from here on are not copied. PID 1 itself needs about 20, each child under way 6.
const HIGH: i32 = 512;
/// So many children may be on their way out of our table. More get a copy.
const MOST: usize = 32;
/// How long to wait for one of those, in nanoseconds: where that many are started at once, there is nothing better to do
/// than to leave them the processor.
const PATIENCE: i64 = 1_000_000;

/// The child has not left yet.
const HERE: u32 = 0;
/// It has.
pub(super) const LEFT: u32 = 1;
/// It has not, and its report is to tell when it has.
pub(super) const ASKED: u32 = 2;
/// The same, by the futex.
pub(super) const AWAITED: u32 = 3;

/// Where a child says that it has left.
pub(super) type Mark = Arc<AtomicU32>;

/// What one child uses.
#[derive(Debug)]
struct Lent {
    /// 0: not known yet.
    pid: u32,
    mark: Mark,
    _fds: Vec<OwnedFd>,
}

#[derive(Debug, Default)]
struct List {
    all: VecDeque<Lent>,
    /// Waiting was in vain (a frozen cgroup, a starving one): it is not tried again before something has moved.
    hopeless: bool,
}

static LIST: Mutex<List> = Mutex::new(List {
    all: VecDeque::new(),
    hopeless: false,
});

fn list() -> MutexGuard<'static, List> {
    LIST.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl List {
    /// Takes back what is no longer used.
    fn take_back(&mut self) {
        let before = self.all.len();
        let is_here = |lent: &Lent| lent.mark.load(Ordering::Acquire) != LEFT;
        self.all.retain(is_here);
        self.hopeless &= self.all.len() == before;
    }

    /// True if another child may share our table.
    fn has_room(&mut self) -> bool {
        self.take_back();
        if self.all.len() < MOST {
            return true;
        }
        if let (Some(first), false) = (self.all.front(), self.hopeless) {
            await_it(&first.mark);
            self.hopeless = true;
            self.take_back();
        }
        self.all.len() < MOST
    }
}

/// Where the child has not left meanwhile.
fn change(mark: &AtomicU32, from: [u32; 2], to: u32) {
    for from in from {
        mark.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .ok();
    }
}

fn await_it(mark: &AtomicU32) {
    change(mark, [HERE, ASKED], AWAITED);
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: PATIENCE,
    };
    // Awake early or late: the mark itself is looked at.
    futex::wait(mark, futex::Flags::PRIVATE, AWAITED, Some(&timeout)).ok();
}

/// Moves a descriptor that lives long out of the way of children. Where the limit does not allow for that, it stays.
#[must_use]
pub fn keep_high(fd: OwnedFd) -> OwnedFd {
    if fd.as_raw_fd() >= HIGH {
        return fd;
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, HIGH).unwrap_or(fd)
}

/// The kernel can do it: asked once, about a number that is never open.
fn is_possible() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        // SAFETY: closes one number, which is beyond all limits.
        unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) == 0 }
    })
}

/// What a child is to be lent.
#[derive(Debug)]
pub(super) struct Loan {
    fds: Vec<OwnedFd>,
    pub(super) mark: Mark,
}

impl Loan {
    /// `None`: this child gets a copy of our table.
    pub(super) fn begin() -> Option<Self> {
        (is_possible() && list().has_room()).then(|| Self {
            fds: Vec::new(),
            mark: Mark::default(),
        })
    }

    /// Lends one; returns its number.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub(super) fn lend(&mut self, fd: BorrowedFd<'_>) -> Result<i32> {
        let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3).cannot("lend", "a descriptor")?;
        let number = copy.as_raw_fd();
        self.fds.push(copy);
        Ok(number)
    }

    /// The numbers, in ascending order.
    pub(super) fn numbers(&self) -> Vec<i32> {
        let mut all: Vec<i32> = self.fds.iter().map(AsRawFd::as_raw_fd).collect();
        all.sort_unstable();
        all
    }

    /// The child is on its way.
    pub(super) fn to(self, pid: u32) {
        list().all.push_back(Lent {
            pid,
            mark: self.mark,
            _fds: self.fds,
        });
    }
}

/// Before waiting for events: takes back what children no longer use, and has the others tell when they are so far.
pub fn settle() {
    let mut list = list();
    if list.all.is_empty() {
        return;
    }
    for lent in &list.all {
        change(&lent.mark, [HERE, AWAITED], ASKED);
    }
    list.take_back();
}

/// A child has been collected: it uses nothing any more, however far it came.
pub(super) fn collected(pid: u32) {
    list().all.retain(|lent| lent.pid != pid);
}

/// In a copy of this process: its copies of what is lent are closed, or the ends of reports would not be seen while it lives.
pub(super) fn forget_in_copy() {
    list().all.clear();
}

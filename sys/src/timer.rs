//! One timer for the nearest of all deadlines, and one for the clock on the wall.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::error::{Cannot, Result};

/// Milliseconds of the clock that all deadlines are on (`CLOCK_MONOTONIC`: a suspended machine starts no timeouts).
#[must_use]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let rest = u64::try_from(time.tv_nsec).unwrap_or_default();
    let millis = rest.checked_div(1_000_000).unwrap_or_default();
    seconds.saturating_mul(1000).saturating_add(millis)
}

/// Milliseconds as the kernel's calls take them; what is too long is the longest there is.
pub(crate) fn span(millis: u64) -> rustix::event::Timespec {
    rustix::event::Timespec {
        tv_sec: i64::try_from(millis.div_euclid(1000)).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(millis.rem_euclid(1000))
            .map_or(0, |rest| rest.saturating_mul(1_000_000)),
    }
}

/// A timer that becomes readable at its deadline.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
    set: Option<u64>,
}

impl Timer {
    /// A timer without a deadline.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn new() -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags).cannot("make", "a timer")?;
        Ok(Self { fd, set: None })
    }

    /// Sets the deadline, in the clock of [`now`]; `None`: never. A later one than the one set is not told to the
    /// kernel: the timer then fires early, which costs one look at the clock instead of a call per change.
    ///
    /// # Errors
    /// None that the kernel documents for this use.
    pub fn set(&mut self, deadline: Option<u64>) -> Result<()> {
        let earlier = match (deadline, self.set) {
            (Some(new), Some(old)) => new < old,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !earlier {
            return Ok(());
        }
        // 0 would disarm it; and a millisecond that has begun is over only at its end.
        let millis = deadline.unwrap_or_default().max(1);
        let seconds = millis.checked_div(1000).unwrap_or_default();
        let rest = millis
            .checked_rem(1000)
            .unwrap_or_default()
            .saturating_mul(1_000_000);
        let value = Timespec {
            tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(rest).unwrap_or_default(),
        };
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: value,
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec).cannot("set", "a timer")?;
        self.set = deadline;
        Ok(())
    }

    /// To be called when it is readable: makes it ready to be set again.
    pub fn fired(&mut self) {
        let mut count = [0; 8];
        // Nothing to read: it was set anew in the meantime, which is just as well.
        rustix::io::read(&self.fd, &mut count).ok();
        self.set = None;
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Milliseconds since 1970 as the clock on the wall shows them (`CLOCK_REALTIME`).
#[must_use]
pub fn on_wall() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let millis = time.tv_nsec.checked_div(1_000_000).unwrap_or_default();
    time.tv_sec.saturating_mul(1000).saturating_add(millis)
}

/// A timer on the clock on the wall, which also tells when that is set.
#[derive(Debug)]
pub struct WallTimer {
    fd: OwnedFd,
    moment: Option<i64>,
    was_set: bool,
}

/// Far enough away where there is no moment to wait for, in seconds since 1970: the year 2248.
const NEVER: i64 = 1 << 33;

impl WallTimer {
    /// A timer without a moment.
    ///
    /// # Errors
    /// No descriptor to be had.
    pub fn new() -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Realtime, flags).cannot("make", "a timer")?;
        let mut timer = Self {
            fd,
            moment: None,
            was_set: false,
        };
        timer.tell_kernel(None)?;
        Ok(timer)
    }

    /// Sets the moment, in milliseconds since 1970; `None`: only the setting of the clock is waited for.
    ///
    /// # Errors
    /// None that the kernel documents for this use.
    pub fn set(&mut self, moment: Option<i64>) -> Result<()> {
        if moment == self.moment {
            return Ok(());
        }
        self.tell_kernel(moment)
    }

    fn tell_kernel(&mut self, moment: Option<i64>) -> Result<()> {
        let millis = moment.unwrap_or(i64::MAX).max(1);
        let (seconds, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
        let spec = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: seconds.min(NEVER),
                tv_nsec: rest.saturating_mul(1_000_000),
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.fd, flags, &spec) {
            Ok(_) => {}
            // It is set all the same; the clock has been too since it was last asked (timerfd_create(2)).
            Err(rustix::io::Errno::CANCELED) => self.was_set = true,
            Err(error) => return Err(crate::SysError::new("set", "a timer", error)),
        }
        self.moment = moment;
        Ok(())
    }

    /// Takes note that it is readable, if it is. True: the clock was set since the last time.
    pub fn take(&mut self) -> bool {
        let mut count = [0; 8];
        match rustix::io::read(&self.fd, &mut count) {
            Ok(_) => self.moment = None,
            Err(rustix::io::Errno::CANCELED) => {
                self.was_set = true;
                self.moment = None;
            }
            // Nothing yet.
            Err(_) => {}
        }
        std::mem::take(&mut self.was_set)
    }
}

impl AsFd for WallTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoll::{Epoll, Interest};

    #[test]
    fn it_fires_at_the_nearest_deadline_and_can_be_set_again() {
        let mut timer = Timer::new().unwrap();
        let mut epoll = Epoll::new().unwrap();
        epoll.add(&timer, 1, Interest::Read).unwrap();
        let mut found = Vec::new();
        for _ in 0..2 {
            let begin = now();
            timer.set(Some(begin + 5000)).unwrap();
            timer.set(Some(begin + 20)).unwrap();
            timer.set(Some(begin + 9000)).unwrap();
            epoll.wait(&mut found).unwrap();
            assert!(now() >= begin + 20);
            timer.fired();
        }
    }

    #[test]
    fn a_moment_on_the_wall_comes_once() {
        let mut timer = WallTimer::new().unwrap();
        let mut epoll = Epoll::new().unwrap();
        epoll.add(&timer, 1, Interest::Read).unwrap();
        let moment = on_wall() + 20;
        timer.set(Some(moment)).unwrap();
        let mut found = Vec::new();
        epoll.wait(&mut found).unwrap();
        assert!(on_wall() >= moment);
        // Nobody sets the clock of a test machine.
        assert!(!timer.take());
        let mut count = [0; 8];
        let again = rustix::io::read(&timer, &mut count);
        assert_eq!(again, Err(rustix::io::Errno::AGAIN));
    }
}

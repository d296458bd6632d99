//! The hardware watchdog: it resets a machine whose loop stands still. It is let hear from us in every half of its time, by
//! the loop's own timer; where it is off, nothing wakes up for it.

use sys::error::Result;
use sys::watchdog::{Dog, Watchdog};

use crate::init::Init;
use crate::shutdown::How;

/// The kernel's first watchdog.
pub(crate) const DEVICE: &str = "/dev/watchdog";
/// Seconds that the shutdown stage has, which does not ping: as long as unmounting may reasonably take.
const LAST: u32 = 180;

/// A watchdog that is wanted.
#[derive(Debug)]
pub(crate) struct Guard<D> {
    /// Seconds of silence after which the machine is reset.
    wanted: u32,
    running: Option<Running<D>>,
}

#[derive(Debug)]
struct Running<D> {
    dog: D,
    /// Milliseconds between two pings.
    every: u64,
    due: u64,
}

impl<D: Dog> Guard<D> {
    /// One that resets the machine after so many seconds; not yet at work.
    pub(crate) fn new(wanted: u32) -> Self {
        let running = None;
        Self { wanted, running }
    }

    /// Puts it to work if it is not: `open` finds the device. Returns what to say.
    ///
    /// # Errors
    /// There is no device, or it cannot do what it is for.
    pub(crate) fn start(
        &mut self,
        now: u64,
        open: impl FnOnce() -> Result<D>,
    ) -> Result<Option<String>> {
        if self.running.is_some() {
            return Ok(None);
        }
        let mut dog = open()?;
        let seconds = dog.set_timeout(self.wanted)?;
        let every = u64::from(seconds).saturating_mul(500);
        self.running = Some(Running {
            dog,
            every,
            due: now.saturating_add(every),
        });
        Ok(Some(format!(
            "the hardware watchdog resets this machine after {seconds} s of silence"
        )))
    }

    /// When it must hear from us next.
    pub(crate) fn due(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.due)
    }

    /// Lets it hear from us, if it is time. A device that fails is given up.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn ping(&mut self, now: u64) -> Result<()> {
        let Some(running) = self.running.as_mut().filter(|running| now >= running.due) else {
            return Ok(());
        };
        running.due = now.saturating_add(running.every);
        let answer = running.dog.ping();
        if answer.is_err() {
            self.running = None;
        }
        answer
    }

    /// The last steps of a shutdown follow, which nobody pings: it gets a longer time, so that they end in a reset if they hang.
    pub(crate) fn leave(&mut self, now: u64) {
        if let Some(running) = &mut self.running {
            // A device that cannot have so long a time keeps the one it has.
            if running.dog.set_timeout(LAST.max(self.wanted)).is_err() {
                running.dog.ping().ok();
            }
            running.due = now.saturating_add(running.every);
        }
    }

    /// The machine is to stand still: no reset.
    pub(crate) fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(running) => running.dog.stop(),
            None => Ok(()),
        }
    }
}

impl Init {
    /// Puts the watchdog to work, if it is wanted. `loud`: its absence is told; its driver may come late.
    pub(crate) fn watch_over(&mut self, loud: bool) {
        let now = sys::timer::now();
        let Some(guard) = &mut self.watchdog else {
            return;
        };
        match guard.start(now, || Watchdog::open(DEVICE)) {
            Ok(Some(words)) => self.voice.note(&words),
            Ok(None) => {}
            Err(error) if loud => {
                let text = sys::chain(&error);
                self.voice
                    .shout(&format!("no watchdog looks after this machine: {text}"));
            }
            Err(_) => {}
        }
    }

    pub(crate) fn ping(&mut self) {
        let now = sys::timer::now();
        if let Some(Err(error)) = self.watchdog.as_mut().map(|guard| guard.ping(now)) {
            let text = sys::chain(&error);
            self.voice
                .shout(&format!("the watchdog is given up: {text}"));
        }
    }

    /// The loop ends: what follows is not pinged.
    pub(crate) fn leave_watchdog(&mut self, how: How) {
        let now = sys::timer::now();
        let Some(guard) = &mut self.watchdog else {
            return;
        };
        match how {
            // Whoever comes next takes it over, or the machine is reset.
            How::Reboot | How::PowerOff | How::Kexec | How::Soft => guard.leave(now),
            How::Halt => {
                if let Err(error) = guard.stop() {
                    let text = sys::chain(&error);
                    self.voice
                        .shout(&format!("{text}; the machine will be reset"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    use sys::SysError;

    /// Writes down what it hears; it has no times beyond `most`, and no voice once `broken`.
    #[derive(Debug, Clone, Default)]
    struct Fake {
        heard: Rc<RefCell<Vec<String>>>,
        most: u32,
        broken: bool,
    }

    impl Fake {
        fn hear(&self, what: String) {
            self.heard.borrow_mut().push(what);
        }
    }

    impl Dog for Fake {
        fn set_timeout(&mut self, seconds: u32) -> Result<u32> {
            self.hear(format!("{seconds} s"));
            if seconds <= self.most {
                Ok(seconds)
            } else {
                Err(SysError::invalid("set", "fake", "too long"))
            }
        }

        fn ping(&mut self) -> Result<()> {
            self.hear("ping".to_owned());
            if self.broken {
                return Err(SysError::invalid("ping", "fake", "it is gone"));
            }
            Ok(())
        }

        fn stop(self) -> Result<()> {
            self.hear("stop".to_owned());
            Ok(())
        }
    }

    fn fake(most: u32, broken: bool) -> Fake {
        Fake {
            most,
            broken,
            ..Fake::default()
        }
    }

    fn started(dog: &Fake) -> Guard<Fake> {
        let mut guard = Guard::new(30);
        let said = guard.start(1_000, || Ok(dog.clone())).unwrap().unwrap();
        assert!(said.contains("30 s"), "{said}");
        guard
    }

    #[test]
    fn it_hears_from_us_twice_in_its_time_and_not_more_often() {
        let dog = fake(300, false);
        let mut guard = started(&dog);
        assert_eq!(guard.due(), Some(16_000));
        for now in [1_000, 15_999, 16_000, 16_001, 31_000] {
            guard.ping(now).unwrap();
        }
        assert_eq!(*dog.heard.borrow(), ["30 s", "ping", "ping"]);
        assert!(guard.start(2_000, || unreachable!()).unwrap().is_none());
    }

    #[test]
    fn without_a_device_nothing_is_due() {
        let mut guard: Guard<Fake> = Guard::new(30);
        let absent = || Err(SysError::invalid("open", "fake", "no device"));
        assert!(guard.start(0, absent).is_err());
        assert_eq!(guard.due(), None);
        guard.ping(1 << 40).unwrap();
        guard.leave(0);
        guard.stop().unwrap();
    }

    #[test]
    fn one_that_fails_is_given_up_and_wakes_nobody() {
        let mut guard = started(&fake(300, true));
        assert!(guard.ping(16_000).is_err());
        assert_eq!(guard.due(), None);
        assert!(guard.ping(99_000).is_ok());
    }

    #[test]
    fn a_shutdown_gets_a_longer_time_or_a_last_ping_and_halting_stops_it() {
        let dog = fake(300, false);
        started(&dog).leave(2_000);
        assert_eq!(*dog.heard.borrow(), ["30 s", "180 s"]);
        let short = fake(60, false);
        started(&short).leave(2_000);
        assert_eq!(*short.heard.borrow(), ["30 s", "180 s", "ping"]);
        let halted = fake(300, false);
        let mut guard = started(&halted);
        guard.stop().unwrap();
        assert_eq!(*halted.heard.borrow(), ["30 s", "stop"]);
        assert_eq!(guard.due(), None);
    }
}

//! The system goes down: who asks for it, and when it is over.

use sys::kernel::Kernel;

use super::{Init, Phase};
use crate::gate::Verdict;
use crate::shutdown::{How, Shutdown, of_signal, soft};
use crate::supervisor::Event;
use crate::words;

impl Init {
    /// Ctrl-Alt-Del: an orderly reboot; pressed again and again, one at once.
    pub(super) fn three_keys(&mut self) {
        let now = sys::timer::now();
        self.go_down(How::Reboot, "on Ctrl-Alt-Del");
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.pressed(now);
        }
    }

    pub(super) fn go_down_by_signal(&mut self, number: i32) {
        let Some((how, at_once)) = of_signal(number) else {
            return;
        };
        match self.can_end(how) {
            Ok(()) => {
                self.go_down(how, &format!("on signal {number}"));
                if let (true, Some(shutdown)) = (at_once, &mut self.shutdown) {
                    shutdown.hurry();
                }
            }
            Err(why) => self
                .voice
                .shout(&format!("no {} on signal {number}: {why}", how.word())),
        }
    }

    /// Whether what is to come after the end is there.
    ///
    /// # Errors
    /// It is not, in words.
    pub(crate) fn can_end(&mut self, how: How) -> Result<(), String> {
        const LOADED: &str = "/sys/kernel/kexec_loaded";
        match how {
            How::Reboot | How::PowerOff | How::Halt => Ok(()),
            How::Kexec => match self.kernel().read_file(LOADED) {
                Err(_) => Err("this kernel cannot start another one".to_owned()),
                Ok(text) if text.trim() == "1" => Ok(()),
                Ok(_) => Err("no kernel is loaded (kexec --load does that)".to_owned()),
            },
            How::Soft if matches!(self.verdict, Verdict::Pending(_) | Verdict::Unconfirmed(_)) => {
                Err("this boot is still being judged".to_owned())
            }
            How::Soft => soft::is_possible(),
        }
    }

    /// Begins to go down, in order.
    pub(crate) fn go_down(&mut self, how: How, why: &str) {
        if self.shutdown.is_some() {
            return;
        }
        let words = how.doing();
        self.voice.shout(&format!("{words} {why}"));
        let deadline = words::duration(self.settings.shutdown_deadline);
        self.voice.note(&format!("services have {deadline} to end"));
        let now = sys::timer::now();
        self.shutdown = Some(Shutdown::new(how, now, self.settings.shutdown_deadline));
        self.phase = Phase::Stopping;
        self.all.handle(Event::StopAll);
    }

    /// While the system goes down: says what is waited for, and ends when it is time.
    pub(super) fn go_on_down(&mut self) {
        if let Some(shutdown) = &mut self.shutdown {
            let now = sys::timer::now();
            if let Some(words) = shutdown.complain(now, &self.all.core) {
                self.voice.shout(&words);
            }
            if shutdown.is_due(now, &self.all.core) {
                let how = shutdown.how();
                self.end(how);
            }
        }
    }

    pub(super) fn end(&mut self, how: How) {
        let orderly = || {
            let left = crate::shutdown::left(&self.all.core);
            if !left.is_empty() {
                self.voice
                    .shout(&format!("not waiting any longer for {left}"));
            }
            self.tell_news();
            self.feed_logger();
            self.leave_watchdog(how);
            crate::shutdown::finish(self, how);
        };
        crate::shutdown::surely(orderly, || crate::shutdown::directly(how));
    }

    pub(super) fn is_ending(&self) -> bool {
        self.shutdown.as_ref().is_some_and(Shutdown::is_over)
    }
}

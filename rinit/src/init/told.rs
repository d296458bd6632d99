//! What becomes of units is told: on the console, in the log, to the logger.

use rootspec::logs::Handover;
use sys::kernel::Kernel;
use sys::process::Wait;

use super::{Init, LOGGER, Phase, take_panic};
use crate::logs::Whose;
use crate::supervisor::{News, State};
use crate::voice;

impl Init {
    pub(crate) fn tell_news(&mut self) {
        let (news, notes) = self.all.take_news();
        // What is for the log only is written at once: each write wakes the logger.
        let mut quiet = String::new();
        for item in news {
            self.note_for_timers(item.unit);
            self.note_for_paths(item.unit);
            let name = &self.all.core.unit(item.unit).name;
            let (loud, text) = words_of(&item);
            // Whoever connects could fill the console.
            let loud = loud && self.all.core.unit(item.unit).serves().is_none();
            if loud || quiet.len() > voice::WHOLE {
                self.voice.note(&std::mem::take(&mut quiet));
            }
            if loud {
                self.voice.shout(&format!("{name} {text}"));
            } else {
                quiet.extend([&**name, " ", &*text, "\n"]);
            }
        }
        self.voice.note(&quiet);
        for note in notes {
            self.voice.shout(&note);
        }
        let panicked = take_panic();
        if !panicked.is_empty() {
            self.voice
                .shout(&format!("a fault in rinit itself: {panicked}"));
        }
    }

    /// Starts the logger when there is something to log, and gives it what is new.
    pub(super) fn feed_logger(&mut self) {
        let new = self.all.hands.take_new_logs();
        let now = sys::timer::now();
        let wanted = !new.is_empty() || self.phase != Phase::Starting;
        if !self.logs.runs() && wanted && now >= self.logs.pause_until() && !self.is_ending() {
            if let Err(error) = self.logs.listen() {
                let text = format!("messages of syslog are not logged: {}", sys::chain(&error));
                self.voice.note(&text);
            }
            if let Err(error) = self.logs.start(&mut self.all.hands.kernel, LOGGER) {
                let text = sys::chain(&error);
                self.voice
                    .shout(&format!("services are not logged: {text}"));
                self.logs.died(now);
                return;
            }
            self.hand_over_logs();
        } else {
            for unit in new {
                self.logs.hand_over(Whose::Unit(unit));
            }
        }
        self.flush_logs();
    }

    /// All logs, to a logger that has none yet or knows them under other rules.
    pub(crate) fn hand_over_logs(&mut self) {
        self.logs.hand_over(Whose::Ours);
        for (unit, _) in self.all.hands.logs() {
            self.logs.hand_over(Whose::Unit(unit));
        }
    }

    /// Gives the logger what it takes without waiting.
    pub(crate) fn flush_logs(&mut self) {
        use std::os::fd::AsFd;
        let (core, hands, voice) = (&self.all.core, &self.all.hands, &self.voice);
        self.logs.flush(|whose| {
            let ours = || Handover {
                id: u32::MAX,
                name: voice::NAME.into(),
                console: false,
                rules: None,
            };
            match whose {
                Whose::Ours => Some((ours(), voice.log()?)),
                Whose::Unit(unit) => {
                    let definition = core.unit(unit);
                    let exec = definition.exec();
                    let what = Handover {
                        id: unit,
                        name: definition.name.clone(),
                        console: exec.is_some_and(|exec| exec.console),
                        rules: exec.and_then(|exec| exec.log.clone()),
                    };
                    Some((what, hands.log(unit)?.as_fd()))
                }
            }
        });
    }

    /// The logger's start is decided: a failure would else be told by nobody.
    pub(super) fn logger_started(&mut self) {
        let Some(pid) = self.logs.pid() else { return };
        if let Ok(Wait::Failed(stage, errno)) = self.kernel().start_of(pid) {
            let error = std::io::Error::from_raw_os_error(errno);
            let step = stage.words();
            self.voice.shout(&format!(
                "services are not logged: cannot {step} the logger: {error}"
            ));
        }
    }
}

/// What to say about a change; true: on the console.
fn words_of(news: &News) -> (bool, String) {
    let why = &news.reason;
    match news.state {
        State::Up if !why.is_empty() => (true, format!("is up, but {why}")),
        State::Up => (false, "is up".to_owned()),
        State::Failed => (true, format!("failed: {why}")),
        State::Backoff => (true, format!("is started again: {why}")),
        State::Down if why.is_empty() => (false, "is down".to_owned()),
        State::Down => (false, format!("is down: {why}")),
        State::Stopping(_) => (true, "did not end in time and was killed".to_owned()),
        State::Waiting | State::Starting(_) => (false, "starts".to_owned()),
    }
}

//! Brings machine and hands together: events in, decisions made, deeds done, until nothing follows any more.
//!
//! A panic in between is caught per event and per deed: it costs the unit concerned, not PID 1.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sys::kernel::Kernel;

use crate::hands::{Hands, token};
use crate::supervisor::{Core, Event, News, UnitId};

/// All units and everything that is open for them.
#[derive(Debug)]
pub(crate) struct Supervisor<K: Kernel> {
    pub(crate) core: Core,
    pub(crate) hands: Hands<K>,
    inbox: VecDeque<Event>,
    /// Events so far.
    events: u64,
}

impl<K: Kernel> Supervisor<K> {
    pub(crate) fn new(core: Core, hands: Hands<K>) -> Self {
        Self {
            core,
            hands,
            inbox: VecDeque::new(),
            events: 0,
        }
    }

    /// How many events were handled so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// Takes an event and everything that follows from it.
    pub(crate) fn handle(&mut self, event: Event) {
        self.inbox.push_back(event);
        self.work_off();
    }

    /// Something came by the descriptor watched under this number.
    pub(crate) fn came(&mut self, number: u64) {
        let Some((kind, unit)) = token::split(number) else {
            return;
        };
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let definition = self.core.unit(unit);
            self.hands.came(kind, (unit, definition), &mut self.inbox);
        }));
        if caught.is_err() {
            self.inbox.push_back(fault(unit));
        }
        self.work_off();
    }

    /// Children have died. True: there may be more.
    pub(crate) fn reap(&mut self) -> bool {
        self.hands.concerned = None;
        let caught = catch_unwind(AssertUnwindSafe(|| self.hands.reap(&mut self.inbox)));
        if let (Err(_), Some(unit)) = (&caught, self.hands.concerned) {
            self.inbox.push_back(fault(unit));
        }
        self.work_off();
        caught.unwrap_or(true)
    }

    /// Time has passed.
    pub(crate) fn time(&mut self) {
        let now = self.hands.kernel.now();
        if self.core.deadline().is_some_and(|due| due <= now) {
            self.handle(Event::Time);
        }
    }

    /// Takes what people should know: changes of units, and notes.
    pub(crate) fn take_news(&mut self) -> (Vec<News>, Vec<String>) {
        (self.core.take_news(), self.hands.take_notes())
    }

    fn work_off(&mut self) {
        while let Some(event) = self.inbox.pop_front() {
            self.events = self.events.wrapping_add(1);
            let now = self.hands.kernel.now();
            let (unit, was_fault) = (event.unit(), matches!(event, Event::Fault(..)));
            let core = &mut self.core;
            let caught = catch_unwind(AssertUnwindSafe(|| core.handle(event, now)));
            if let (Err(_), Some(unit), false) = (caught, unit, was_fault) {
                self.inbox.push_back(fault(unit));
            }
            for action in self.core.take_actions() {
                let unit = self.core.unit(action.unit());
                let (hands, inbox) = (&mut self.hands, &mut self.inbox);
                let caught = catch_unwind(AssertUnwindSafe(|| hands.perform(action, unit, inbox)));
                if caught.is_err() && !was_fault {
                    self.inbox.push_back(fault(action.unit()));
                }
            }
        }
    }
}

fn fault(unit: UnitId) -> Event {
    Event::Fault(unit, "see the log of rinit".to_owned())
}

//! Sockets that start a unit. They are never given up: after too much of anything they rest, and are armed again.

use rootspec::plan::Socket;

use super::model::{Clock, Listen};
use super::stop::PAUSE;
use super::{Action, Core, UnitId};

impl Core {
    /// The socket whose limits count: the first that starts the unit.
    fn lazy(&self, unit: UnitId) -> Option<&Socket> {
        self.unit(unit).sockets.iter().find(|socket| socket.lazy)
    }

    pub(super) fn arm_all(&mut self) {
        let all: Vec<UnitId> = self.records.iter().map(|(unit, _)| unit).collect();
        for unit in all {
            self.arm_if_lazy(unit);
        }
    }

    pub(super) fn arm_if_lazy(&mut self, unit: UnitId) {
        if self.lazy(unit).is_some() {
            self.arm(unit);
        }
    }

    fn arm(&mut self, unit: UnitId) {
        if !self.closing {
            self.records.at_mut(unit).listen = Listen::Armed;
            self.actions.push(Action::Arm(unit));
        }
    }

    pub(super) fn rearm(&mut self, unit: UnitId) {
        if self.records.at(unit).listen == Listen::Held {
            self.arm(unit);
        }
    }

    pub(super) fn hold_sockets(&mut self, unit: UnitId) {
        self.set_deadline(unit, Clock::Socket, None);
        self.records.at_mut(unit).listen = Listen::Held;
        self.actions.push(Action::Disarm(unit));
    }

    pub(super) fn pause_sockets(&mut self, unit: UnitId) {
        self.records.at_mut(unit).listen = Listen::Paused;
        self.actions.push(Action::Disarm(unit));
        let pause = self.lazy(unit).map_or(PAUSE, |socket| socket.pause);
        self.set_timeout(unit, Clock::Socket, pause);
    }

    pub(super) fn socket_pause_over(&mut self, unit: UnitId) {
        if self.records.at(unit).listen == Listen::Paused {
            self.arm(unit);
        }
    }

    pub(super) fn traffic(&mut self, unit: UnitId) {
        let now = self.now;
        let (limit, window) = self
            .lazy(unit)
            .map_or((0, 0), |socket| (socket.limit, socket.window));
        let record = self.records.at_mut(unit);
        if record.listen != Listen::Armed {
            return;
        }
        let old = |then: &u64| now.saturating_sub(*then) > window;
        while record.traffic.front().is_some_and(old) {
            record.traffic.pop_front();
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit > 0 && record.traffic.len() >= limit {
            record.reason = "its socket rests: too many starts in a short time".to_owned();
            return self.pause_sockets(unit);
        }
        if limit > 0 {
            record.traffic.push_back(now);
        }
        if self.accept(unit).is_some() {
            return self.client_waits(unit);
        }
        self.hold_sockets(unit);
        self.wish_up(unit);
    }
}

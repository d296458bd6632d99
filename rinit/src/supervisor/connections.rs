//! Connections that are served by a run each, in one of the places that the plan has for them.
//!
//! While all places are taken nobody accepts: further clients wait in the socket.

use rootspec::plan::{Accept, TieKind};

use super::model::Listen;
use super::{Action, Core, State, UnitId, Wish};

impl Core {
    /// How the unit's sockets accept, if they do: the first one's limits count.
    pub(super) fn accept(&self, unit: UnitId) -> Option<Accept> {
        let mut sockets = self.unit(unit).sockets.iter();
        sockets.find_map(|socket| socket.accept)
    }

    /// A place for a connection that serves none.
    pub(super) fn is_vacant(&self, place: UnitId) -> bool {
        let record = self.records.at(place);
        let rests = matches!(record.state, State::Down | State::Failed);
        self.unit(place).serves().is_some() && rests && record.wish == Wish::Down
    }

    /// A client waits at a socket that is looked at.
    pub(super) fn client_waits(&mut self, unit: UnitId) {
        let vacant = self
            .tied(unit, TieKind::Serves)
            .find(|place| self.is_vacant(*place));
        match vacant {
            Some(place) => self.actions.push(Action::Accept(place)),
            None => self.hold_sockets(unit),
        }
    }

    /// A place has its connection; so many others come from the same place or user.
    pub(super) fn connected(&mut self, place: UnitId, others: usize) {
        let unit = self.unit(place).serves();
        let most = unit
            .and_then(|unit| self.accept(unit))
            .map(|accept| accept.per_source);
        let most = most.filter(|most| *most > 0).map(usize::from);
        if self.closing || most.is_some_and(|most| others >= most) {
            return self.actions.push(Action::Forget(place));
        }
        self.wish_up(place);
    }

    /// There are connections, and none can be had: trying again at once would be all that is done.
    pub(super) fn not_accepted(&mut self, unit: UnitId, why: String) {
        if self.records.at(unit).listen == Listen::Armed {
            self.records.at_mut(unit).reason = why;
            self.pause_sockets(unit);
        }
    }

    /// A unit has entered this state: if it served a connection, that is over, and there is a place for another one.
    pub(super) fn connection_over(&mut self, place: UnitId, state: State) {
        let rests = matches!(state, State::Down | State::Failed);
        if let (true, Some(unit)) = (rests, self.unit(place).serves()) {
            self.actions.push(Action::Forget(place));
            self.rearm(unit);
        }
    }
}

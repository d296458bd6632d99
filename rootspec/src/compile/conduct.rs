//! How a unit ends, where it says more about that than most.

use crate::plan::{Conduct, Exits};
use crate::units::{Alive, Exit, Kind, Millis, OnTimeout, UnitFile};

/// `None`: as usual, which is what nearly all units say.
pub(super) fn lower(file: &UnitFile) -> Option<Box<Conduct>> {
    let conduct = Conduct {
        never_on: exits(&file.restart.never_on),
        always_on: exits(&file.restart.always_on),
        on_limit: file.restart.on_limit.into(),
        last_signal: file.stop.final_signal.0,
        hup: file.stop.hup,
        abort: file.stop.on_timeout == OnTimeout::Abort,
        remain: file
            .remain
            .filter(|remain| *remain != (file.kind == Kind::Oneshot)),
        by_cgroup: file.alive == Alive::Cgroup,
        max_runtime: file.max_runtime.filter(|t| *t != Millis::OFF).map(|t| t.0),
        manual: file.manual,
        only_if_needed: file.stop_when_unneeded,
        on_failure: file.on.failure_action,
        on_success: file.on.success_action,
    };
    (conduct != Conduct::default()).then(|| Box::new(conduct))
}

/// Codes and signals apart.
pub(super) fn exits(all: &[Exit]) -> Exits {
    let mut exits = Exits::default();
    for exit in all {
        match exit {
            Exit::Code(code) => exits.codes.push(*code),
            Exit::Signal(signal) => exits.signals.push(signal.0),
        }
    }
    exits
}

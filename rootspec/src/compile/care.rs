//! `[watchdog]` and `[health]` to what the supervisor watches.

use crate::plan::{Ask, Care, Health, Place, Question, Watchdog};
use crate::units::{self, UnitFile};

/// SIGABRT: it leaves a core dump of what hung.
const ABRT: i32 = 6;

/// `None`: nobody cares, and nothing is remembered for it.
pub(super) fn lower(file: &UnitFile) -> Option<Box<Care>> {
    let watchdog = file.watchdog.as_ref().map(|table| {
        let from = table.get_ref();
        Watchdog {
            interval: from.interval.get_ref().0,
            signal: from.signal.map_or(ABRT, |signal| signal.0),
            remedy: from.action,
        }
    });
    let health = file.health.as_ref().and_then(|table| {
        let from = table.get_ref();
        Some(Health {
            question: Question {
                ask: ask(from)?,
                interval: from.interval.get_ref().0,
                timeout: from.timeout.get_ref().0,
            },
            start_period: from.start_period.0,
            retries: *from.retries.get_ref(),
            remedy: from.on_fail,
        })
    });
    let care = Care { watchdog, health };
    (care != Care::default()).then(|| Box::new(care))
}

/// How it is asked; the reader sees to it that there is a way.
pub(super) fn ask(from: &units::Health) -> Option<Ask> {
    if let Some(command) = &from.cmd {
        return Some(Ask::Command(command.get_ref().0.clone()));
    }
    if let Some(url) = &from.http {
        let url = url.get_ref();
        let words = ["http", &url.address.to_string(), &url.host, &url.path];
        return Some(Ask::Own(words.map(str::to_owned).to_vec()));
    }
    let address = from.tcp.as_ref()?.get_ref().0;
    Some(super::ready::connect(&Place::Net(address)))
}

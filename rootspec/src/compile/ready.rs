//! `[ready]` to what the supervisor waits for.

use crate::plan::{Ask, NotifyFrom, PidFile, Place, Question, Ready, Reload};
use crate::units::{self, ReadyMode, UnitFile};

/// Pause between two questions when the file does not say, in milliseconds.
const INTERVAL: u64 = 500;
/// Longest time for an answer, in milliseconds.
const ANSWER: u64 = 5_000;

pub(super) fn lower(from: &units::Ready, health: Option<&units::Health>, oneshot: bool) -> Ready {
    let interval = from
        .interval
        .as_ref()
        .map_or(INTERVAL, |interval| interval.get_ref().0);
    let asked = |ask: Option<Ask>| match ask {
        Some(ask) => Ready::Asked(Box::new(Question {
            ask,
            interval,
            timeout: ANSWER,
        })),
        // The reader refuses these modes without their keys.
        None => Ready::Exec,
    };
    match (from.mode(), oneshot) {
        (_, true) | (Some(ReadyMode::Exit), _) => Ready::Exit,
        (Some(ReadyMode::Started), _) => Ready::Started,
        (Some(ReadyMode::Notify), _) => Ready::Notify,
        (Some(ReadyMode::Fd), _) => Ready::Fd(from.fd.as_ref().map_or(3, |fd| *fd.get_ref())),
        (Some(ReadyMode::PidFile), _) => {
            let path = from.pidfile.as_ref().map(|path| path.get_ref().as_str());
            Ready::PidFile(Box::new(PidFile {
                path: path.unwrap_or_default().into(),
                interval,
            }))
        }
        (Some(ReadyMode::Check), _) => {
            let check = from.check.as_ref();
            asked(check.map(|check| Ask::Command(check.get_ref().0.clone())))
        }
        (Some(ReadyMode::Socket), _) => {
            let socket = from.socket.as_ref();
            asked(socket.map(|socket| connect(&socket.get_ref().0.place)))
        }
        (Some(ReadyMode::Bus), _) => {
            let name = from.bus_name.as_ref();
            asked(name.map(|name| Ask::Own(vec!["bus".to_owned(), name.get_ref().clone()])))
        }
        (Some(ReadyMode::Health), _) => asked(health.and_then(super::care::ask)),
        (Some(ReadyMode::Exec) | None, _) => Ready::Exec,
    }
}

/// Whether somebody accepts connections there.
pub(super) fn connect(place: &Place) -> Ask {
    Ask::Own(vec!["connect".to_owned(), place.to_string()])
}

/// Whose notifications count; a unit that nobody expects any from has no socket for them.
pub(super) fn notify(file: &UnitFile, reload: Option<&Reload>) -> Option<NotifyFrom> {
    let ready = &file.ready;
    let awaited = ready.mode() == Some(ReadyMode::Notify)
        || reload == Some(&Reload::Notify)
        || file.watchdog.is_some()
        || file.fdstore.max > 0;
    ready
        .notify_from
        .or_else(|| awaited.then(NotifyFrom::default))
}

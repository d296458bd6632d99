//! `[ready]`: when a unit counts as ready.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Carries, Command, Kind, Listen, Millis};

/// Shortest pause between two questions, in milliseconds: asking costs a process.
const LEAST_INTERVAL: u64 = 50;

/// `[ready]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// How readiness is told; the default follows from the other keys, else it is `exec`, for a oneshot `exit`.
    pub mode: Option<Spanned<ReadyMode>>,
    /// Descriptor for the mode `fd`; the default is 3.
    pub fd: Option<Spanned<u32>>,
    /// File for the mode `pidfile`.
    pub pidfile: Option<Spanned<String>>,
    /// Command for the mode `check`.
    pub check: Option<Spanned<Command>>,
    /// Place for the mode `socket`.
    pub socket: Option<Spanned<Listen>>,
    /// Name for the mode `bus`.
    pub bus_name: Option<Spanned<String>>,
    /// Whose notifications count; the default is `main`.
    pub notify_from: Option<NotifyFrom>,
    /// Pause between two questions of the modes that ask; the default is 500 ms.
    pub interval: Option<Spanned<Millis>>,
    /// How long it may take; the default is 90 s, for a oneshot no limit.
    pub timeout: Option<Millis>,
}

/// How a unit tells that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyMode {
    /// Its process was started.
    Started,
    /// Its program was executed.
    Exec,
    /// It sends `READY=1` to `NOTIFY_SOCKET` (`sd_notify(3)`).
    Notify,
    /// It writes a newline to a descriptor (s6's protocol).
    Fd,
    /// Its command ends and leaves a process whose id is in a file.
    PidFile,
    /// A socket of its own accepts connections.
    Socket,
    /// A command succeeds.
    Check,
    /// A name on the system bus (D-Bus) has an owner.
    Bus,
    /// The first question of `[health]` is answered well.
    Health,
    /// It ended well.
    Exit,
}

/// Whose notifications count (`sd_notify(3)`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyFrom {
    /// The main process'.
    #[default]
    Main,
    /// Those of all processes that `rinit` started for the unit.
    Exec,
    /// Everybody's who can send to the socket: its user, and root.
    All,
}

impl Ready {
    /// The mode, where one is said or follows from what is said.
    pub(crate) fn mode(&self) -> Option<ReadyMode> {
        let said = self.mode.as_ref().map(|mode| *mode.get_ref());
        said.or_else(|| self.belongings().first().map(|(mode, ..)| *mode))
    }

    /// Keys that belong to one mode: the mode, the key, its place.
    fn belongings(&self) -> Vec<(ReadyMode, &'static str, Range<usize>)> {
        let all = [
            (
                ReadyMode::PidFile,
                "pidfile",
                self.pidfile.as_ref().map(Spanned::span),
            ),
            (
                ReadyMode::Check,
                "check",
                self.check.as_ref().map(Spanned::span),
            ),
            (
                ReadyMode::Socket,
                "socket",
                self.socket.as_ref().map(Spanned::span),
            ),
            (
                ReadyMode::Bus,
                "bus_name",
                self.bus_name.as_ref().map(Spanned::span),
            ),
        ];
        let said = |(mode, key, span)| Option::map(span, |span| (mode, key, span));
        all.into_iter().filter_map(said).collect()
    }

    /// What is wrong with it, each with its place.
    pub(super) fn wrong(&self, kind: Kind, health: bool) -> Vec<(Range<usize>, String)> {
        let mut wrong = Vec::new();
        let mode = self.mode();
        let place = self.mode.as_ref().map_or(0..0, Spanned::span);
        let belongings = self.belongings();
        for (of, key, span) in &belongings {
            if mode != Some(*of) {
                let words = format!("{key} belongs to another mode than the one that is said");
                wrong.push((span.clone(), words));
            }
        }
        let example = match mode {
            Some(ReadyMode::PidFile) => Some("pidfile = \"/run/web.pid\""),
            Some(ReadyMode::Check) => Some("check = [\"/usr/bin/web-is-up\"]"),
            Some(ReadyMode::Socket) => Some("socket = \"stream:/run/web.sock\""),
            Some(ReadyMode::Bus) => Some("bus_name = \"org.example.Web\""),
            _ => None,
        };
        if let (Some(example), true) = (example, belongings.is_empty()) {
            wrong.push((place.clone(), format!("this mode needs {example}")));
        }
        if let (Some(ReadyMode::Health), false) = (mode, health) {
            let words = "this mode needs a [health] table".to_owned();
            wrong.push((place.clone(), words));
        }
        let fits = match (kind, mode) {
            (Kind::Oneshot | Kind::Mount | Kind::Swap, Some(mode)) if mode != ReadyMode::Exit => {
                Some("a oneshot or mount is ready when its commands have ended: leave this out")
            }
            (
                Kind::Container,
                Some(ReadyMode::Started | ReadyMode::Notify | ReadyMode::Fd | ReadyMode::PidFile),
            ) => Some(
                "a container cannot tell this way: say socket, check, bus_name or health, or leave it out",
            ),
            _ => None,
        };
        if let Some(words) = fits {
            let at = belongings
                .first()
                .map_or(place, |(_, _, span)| span.clone());
            wrong.push((at, words.to_owned()));
        }
        self.wrong_values(&mut wrong);
        wrong
    }

    fn wrong_values(&self, wrong: &mut Vec<(Range<usize>, String)>) {
        if let Some(fd) = &self.fd {
            if !(3..=9).contains(fd.get_ref()) {
                wrong.push((fd.span(), "expected a descriptor from 3 to 9".to_owned()));
            }
        }
        if let Some(path) = &self.pidfile {
            if let Some(words) = wrong_pid_file(path.get_ref()) {
                wrong.push((path.span(), words));
            }
        }
        if let Some(socket) = &self.socket {
            if socket.get_ref().0.kind != Carries::Stream {
                let words = "only a socket of streams accepts connections: say \"stream:…\"";
                wrong.push((socket.span(), words.to_owned()));
            }
        }
        if let Some(name) = &self.bus_name {
            if !is_bus_name(name.get_ref()) {
                let words = "expected a well-known name of D-Bus such as \"org.example.Web\"";
                wrong.push((name.span(), words.to_owned()));
            }
        }
        if let Some(interval) = &self.interval {
            if !(LEAST_INTERVAL..u64::MAX).contains(&interval.get_ref().0) {
                wrong.push((
                    interval.span(),
                    "expected a pause of 50ms or more".to_owned(),
                ));
            }
        }
    }
}

/// PID 1 reads it itself, so it must be where nothing can hang.
fn wrong_pid_file(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("/var/run/") {
        return Some(format!(
            "expected a path below /run, did you mean \"/run/{rest}\"?"
        ));
    }
    let below = path.strip_prefix("/run/").unwrap_or_default();
    let parts = || below.split('/');
    let clean = parts().all(|part| !matches!(part, "" | "." | ".."));
    (!clean || path.contains('\0'))
        .then(|| "expected a path below /run such as \"/run/web.pid\"".to_owned())
}

/// A well-known bus name (D-Bus specification, "Valid names").
fn is_bus_name(name: &str) -> bool {
    let element = |part: &str| {
        let first = part.bytes().next();
        first.is_some_and(|byte| !byte.is_ascii_digit())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    name.len() <= 255 && name.contains('.') && name.split('.').all(element)
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn said(ready: &str) -> String {
        let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[ready]\n{ready}\n");
        match parse("a.toml", &text) {
            Ok(_) => String::new(),
            Err(wrong) => wrong.iter().map(|spot| format!("{spot}\n")).collect(),
        }
    }

    #[test]
    fn a_key_of_a_mode_chooses_it() {
        for (ready, mode) in [
            ("pidfile = \"/run/a/b.pid\"", super::ReadyMode::PidFile),
            ("check = \"/x -y\"", super::ReadyMode::Check),
            ("socket = \"stream:80\"", super::ReadyMode::Socket),
            ("bus_name = \"org.a.B-c\"", super::ReadyMode::Bus),
        ] {
            let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[ready]\n{ready}\n");
            let unit = parse("a.toml", &text).unwrap();
            assert_eq!(unit.ready.mode(), Some(mode));
        }
    }

    #[test]
    fn what_does_not_go_together_is_told_with_its_place() {
        for (ready, place, words) in [
            ("mode = \"pidfile\"", "5:", "needs pidfile ="),
            ("mode = \"exec\"\ncheck = \"/x\"", "6:", "another mode"),
            (
                "check = \"/x\"\nbus_name = \"org.a.B\"",
                "6:",
                "another mode",
            ),
            ("pidfile = \"/var/run/a.pid\"", "5:", "mean \"/run/a.pid\"?"),
            ("pidfile = \"/run/../etc/a\"", "5:", "below /run"),
            ("pidfile = \"/srv/a.pid\"", "5:", "below /run"),
            ("socket = \"dgram:80\"", "5:", "stream:"),
            ("check = [[\"/a\"], [\"/b\"]]", "5:", "one command"),
            ("bus_name = \"org\"", "5:", "well-known"),
            ("bus_name = \"org.1a\"", "5:", "well-known"),
            ("interval = \"0ms\"", "5:", "50ms"),
            ("interval = \"off\"", "5:", "50ms"),
            ("notify_from = \"mian\"", "5:", "did you mean \"main\""),
            ("mode = \"notfy\"", "5:", "did you mean \"notify\""),
        ] {
            let shown = said(ready);
            assert!(
                shown.contains(&format!("a.toml:{place}")),
                "{ready}\n{shown}"
            );
            assert!(shown.contains(words), "{ready}\n{shown}");
        }
    }

    #[test]
    fn a_oneshot_and_a_container_are_ready_in_fewer_ways() {
        let oneshot =
            "schema = 1\nkind = \"oneshot\"\n[exec]\nstart = \"/x\"\n[ready]\nmode = \"exec\"\n";
        let container = "schema = 1\nkind = \"container\"\n[container]\nbundle = \"/b\"\n[ready]\nmode = \"notify\"\n";
        for text in [oneshot, container] {
            assert!(parse("a.toml", text).is_err(), "{text}");
        }
        let checked = container.replace("mode = \"notify\"", "check = \"/x\"");
        assert!(parse("a.toml", &checked).is_ok());
    }
}

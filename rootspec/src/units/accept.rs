//! Sockets whose connections are served by a run each.

use super::{Activate, Carries, Kind, Output, RestartPolicy, UnitFile};

/// Most connections at the same time: as many places are kept in the memory of PID 1.
const MOST: u16 = 512;

type Wrong = (String, &'static str);

/// What is wrong with the keys about them, by their path.
pub(super) fn wrong(unit: &UnitFile) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut say = |path: &str, words| wrong.push((path.to_owned(), words));
    for (number, socket) in unit.socket.iter().enumerate() {
        let mut at = |key: &str, words| say(&format!("socket.{number}.{key}"), words);
        if !socket.accept {
            if unit.socket.iter().any(|other| other.accept) {
                at(
                    "listen",
                    "another socket of the unit accepts: say accept = true here too",
                );
            }
            if socket.max_connections.is_some() {
                at("max_connections", "this needs accept = true");
            }
            if socket.max_per_source.is_some() {
                at("max_per_source", "this needs accept = true");
            }
            continue;
        }
        if let Carries::Datagrams | Carries::Fifo = socket.listen.0.kind {
            let words = "there are no connections: accept is for \"stream:\" and \"seqpacket:\"";
            at("accept", words);
        }
        if socket.activate == Activate::Early {
            at("activate", "a socket that accepts is always \"lazy\"");
        }
        if socket
            .max_connections
            .is_some_and(|most| !(1..=MOST).contains(&most))
        {
            at("max_connections", "expected 1 to 512");
        }
    }
    let accepts = unit.socket.iter().any(|socket| socket.accept);
    if accepts {
        for (path, words) in wrong_beside(unit) {
            say(path, words);
        }
    }
    let outputs = [
        ("stdout", Some(unit.log.stdout)),
        ("stderr", unit.log.stderr),
    ];
    for (key, _) in outputs
        .into_iter()
        .filter(|(_, output)| *output == Some(Output::Socket) && !accepts)
    {
        let words = "there is no connection: this needs a [[socket]] with accept = true";
        say(&format!("log.{key}"), words);
    }
    wrong
}

/// What makes no sense beside them.
fn wrong_beside(unit: &UnitFile) -> Vec<(&'static str, &'static str)> {
    let mut wrong = Vec::new();
    if unit.kind != Kind::Service {
        wrong.push(("kind", "only a service serves connections"));
    }
    if unit
        .restart
        .policy
        .is_some_and(|policy| policy != RestartPolicy::No)
    {
        wrong.push((
            "restart.policy",
            "a connection that is over cannot be served again: leave it out",
        ));
    }
    if unit.remain == Some(true) {
        wrong.push((
            "remain",
            "a connection is over when its command has ended: leave it out",
        ));
    }
    if unit.fdstore.max > 0 {
        wrong.push(("fdstore.max", "a connection has no next run: leave it out"));
    }
    wrong
}

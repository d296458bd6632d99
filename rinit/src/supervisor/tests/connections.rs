//! Stories of connections that are served by a run each.

use super::*;
use sys::listen::From;

const AT: &str = "/run/a";

/// A unit that accepts, with more keys of its socket.
fn unit(more: &str) -> String {
    format!("[[socket]]\nlisten = \"stream:{AT}\"\naccept = true\n{more}")
}

fn client(w: &mut World) {
    w.kernel().connect(AT);
    w.run();
}

/// How many processes serve.
fn served(w: &mut World) -> usize {
    let processes = w.kernel().processes.values();
    processes.filter(|p| p.job.argv == ["/bin/a"]).count()
}

/// Names of what is shown.
fn shown(w: &World) -> Vec<String> {
    let core = &w.all.core;
    let names = core
        .records()
        .map(|(unit, _)| core.unit(unit).name.to_string());
    names.collect()
}

#[test]
fn each_connection_has_a_process_and_leaves_nothing_behind() {
    let mut w = world(&[("a", &unit("max_connections = 3")), ("z", "")]);
    let units = w.all.core.plan().units.len();
    assert_eq!(
        (units, shown(&w)),
        (5, vec!["a".to_owned(), "z".to_owned()])
    );
    client(&mut w);
    client(&mut w);
    assert_eq!((served(&mut w), shown(&w).len()), (2, 4));
    assert_eq!(
        w.states(&["a", "a@1", "a@2", "a@3"]),
        ["up", "up", "up", "down"]
    );
    let pid = w.kernel().pid_of("/bin/a").unwrap();
    let env = w.kernel().processes[&pid].job.env.clone();
    assert!(
        env.contains(&"LISTEN_FDNAMES=connection".to_owned()),
        "{env:?}"
    );
    for _ in 0..2 {
        w.dies("/bin/a", Exit::Code(0));
    }
    assert_eq!((served(&mut w), shown(&w).len()), (0, 2));
    // Ours were let go of when the processes had them.
    assert_eq!(w.kernel().discarded, 2);
    for _ in 0..10_000 {
        client(&mut w);
        w.dies("/bin/a", Exit::Code(1));
        w.pass(100);
    }
    assert_eq!(w.all.core.plan().units.len(), units);
    assert_eq!((served(&mut w), w.state("a")), (0, "up"));
}

#[test]
fn while_all_places_are_taken_clients_wait_and_then_have_their_turn() {
    let mut w = world(&[("a", &unit("max_connections = 2"))]);
    for _ in 0..4 {
        client(&mut w);
    }
    assert_eq!(served(&mut w), 2);
    w.dies("/bin/a", Exit::Signal(9));
    assert_eq!(served(&mut w), 2);
    w.dies("/bin/a", Exit::Code(0));
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(served(&mut w), 1);
    w.dies("/bin/a", Exit::Code(0));
    client(&mut w);
    assert_eq!(served(&mut w), 1);
}

#[test]
fn too_many_from_one_address_are_closed_and_others_are_not() {
    let mut w = world(&[("a", &unit("max_per_source = 1"))]);
    for address in ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"] {
        let from = From::Net(address.parse().unwrap());
        w.kernel().callers.push_back(from);
        client(&mut w);
    }
    assert_eq!(served(&mut w), 2);
    let addresses: Vec<_> = w
        .kernel()
        .processes
        .values()
        .flat_map(|process| process.job.env.clone())
        .filter(|entry| entry.starts_with("REMOTE_"))
        .collect();
    assert_eq!(
        addresses,
        [
            "REMOTE_ADDR=192.0.2.1",
            "REMOTE_PORT=1",
            "REMOTE_ADDR=192.0.2.2",
            "REMOTE_PORT=1"
        ]
    );
}

#[test]
fn a_flood_makes_the_socket_rest_and_it_comes_back() {
    let limit = "trigger_limit = { count = 2, window = \"10s\", pause = \"5s\" }";
    let mut w = world(&[("a", &unit(limit))]);
    for _ in 0..4 {
        client(&mut w);
    }
    assert_eq!(served(&mut w), 2);
    w.pass(4_999);
    assert_eq!(served(&mut w), 2);
    w.pass(11_000);
    assert_eq!(served(&mut w), 4);
}

#[test]
fn what_cannot_be_accepted_makes_it_rest_and_not_spin() {
    let mut w = world(&[("a", &unit(""))]);
    let next = w.kernel().calls + 1;
    w.kernel().fail_at = Some(next);
    client(&mut w);
    assert_eq!(served(&mut w), 0);
    assert!(w.reason("a").contains("accept"), "{}", w.reason("a"));
    w.pass(30_000);
    assert_eq!(served(&mut w), 1);
}

#[test]
fn a_connection_without_what_the_unit_needs_is_closed_and_further_ones_wait() {
    let text = format!("{}\n[deps]\nneeds = [\"b\"]", unit(""));
    let mut w = world(&[("a", &text), ("b", "kind = \"oneshot\"")]);
    w.kernel()
        .programs
        .insert("/bin/b".into(), program(|p| p.ends = Some(Exit::Code(1))));
    client(&mut w);
    assert_eq!((served(&mut w), w.kernel().discarded), (0, 1));
    assert_eq!(w.state("a"), "failed");
    client(&mut w);
    assert_eq!(w.kernel().discarded, 1);
    w.kernel()
        .programs
        .insert("/bin/b".into(), program(|p| p.ends = Some(Exit::Code(0))));
    w.pass(30_000);
    assert_eq!((served(&mut w), w.state("a")), (1, "up"));
}

#[test]
fn a_stop_ends_all_of_them_and_a_shutdown_takes_no_more() {
    let mut w = world(&[("a", &unit(""))]);
    client(&mut w);
    client(&mut w);
    w.stop("a");
    assert_eq!((served(&mut w), w.state("a")), (0, "down"));
    client(&mut w);
    assert_eq!(served(&mut w), 1);
    w.all.handle(Event::StopAll);
    w.run();
    client(&mut w);
    assert!(w.all.core.is_quiet() && served(&mut w) == 0);
}

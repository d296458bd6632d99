//! Stories of descriptors that units leave for their next run.

use super::*;

const EAR: &str = "/run/rinit/notify/a";

fn leave(w: &mut World, text: &str, fds: u32) {
    let pid = w.kernel().pid_of("/bin/a").unwrap();
    w.kernel().send_as(pid, EAR, text, fds);
    w.run();
}

fn stored(w: &World) -> usize {
    w.all.hands.stored(w.id("a"))
}

/// What the process finds in its environment about descriptors.
fn announced(w: &mut World) -> Vec<String> {
    let pid = w.kernel().pid_of("/bin/a").unwrap();
    let env = w.kernel().processes[&pid].job.env.clone();
    let about = |entry: &String| entry.starts_with("LISTEN_FD") || entry.starts_with("FDSTORE");
    env.into_iter().filter(about).collect()
}

fn unit(keep: &str) -> String {
    format!("[fdstore]\nmax = 3\nkeep = \"{keep}\"\n[restart]\ndelay = \"1s\"")
}

#[test]
fn what_a_unit_left_comes_back_behind_its_sockets() {
    let text = format!(
        "{}\n[[socket]]\nlisten = \"stream:/run/a\"",
        unit("restart")
    );
    let mut w = world(&[("a", &text)]);
    w.start("a");
    assert_eq!(
        announced(&mut w),
        ["FDSTORE=3", "LISTEN_FDS=1", "LISTEN_FDNAMES=a"]
    );
    leave(&mut w, "FDSTORE=1\nFDNAME=client", 1);
    leave(&mut w, "FDSTORE=1", 1);
    assert_eq!(stored(&w), 2);
    w.dies("/bin/a", Exit::Signal(11));
    w.pass(1_000);
    assert_eq!(
        announced(&mut w),
        [
            "FDSTORE=3",
            "LISTEN_FDS=3",
            "LISTEN_FDNAMES=a:client:stored"
        ]
    );
    // A restart on request is one too.
    w.all.handle(Event::Restart(w.id("a")));
    w.run();
    assert_eq!((w.state("a"), stored(&w)), ("up", 2));
    w.stop("a");
    assert_eq!((stored(&w), w.kernel().discarded), (0, 2));
    w.start("a");
    assert_eq!(
        announced(&mut w),
        ["FDSTORE=3", "LISTEN_FDS=1", "LISTEN_FDNAMES=a"]
    );
}

#[test]
fn how_long_they_are_kept_is_what_the_unit_says() {
    for (keep, after_a_crash, after_a_stop) in [("no", 0, 0), ("restart", 1, 0), ("always", 1, 1)] {
        let mut w = world(&[("a", &unit(keep))]);
        w.start("a");
        leave(&mut w, "FDSTORE=1", 1);
        w.dies("/bin/a", Exit::Code(1));
        assert_eq!(
            (w.state("a"), stored(&w)),
            ("backoff", after_a_crash),
            "{keep}"
        );
        w.pass(1_000);
        leave(&mut w, "FDSTOREREMOVE=1\nFDNAME=stored", 0);
        leave(&mut w, "FDSTORE=1", 1);
        w.stop("a");
        assert_eq!(stored(&w), after_a_stop, "{keep}");
        w.start("a");
        assert_eq!(stored(&w), after_a_stop, "{keep}");
    }
}

#[test]
fn too_many_are_let_go_of_and_told_once() {
    let mut w = world(&[("a", &unit("always"))]);
    w.start("a");
    leave(&mut w, "FDSTORE=1", 2);
    for _ in 0..2 {
        leave(&mut w, "FDSTORE=1", 2);
    }
    assert_eq!((stored(&w), w.kernel().discarded), (3, 3));
    let (_, notes) = w.all.take_news();
    assert_eq!(
        notes,
        ["a: it leaves more descriptors than [fdstore] max = 3; the others are closed"]
    );
}

#[test]
fn what_is_not_to_be_stored_and_what_others_send_is_let_go_of() {
    let mut w = world(&[
        ("a", &unit("always")),
        ("b", "[ready]\nnotify_from = \"main\""),
    ]);
    w.start("a");
    leave(&mut w, "READY=1", 1);
    leave(&mut w, "FDSTORE=0\nFDNAME=x", 1);
    w.kernel().send_as(7, EAR, "FDSTORE=1", 1);
    w.run();
    assert_eq!((stored(&w), w.kernel().discarded), (0, 3));
    // A unit that may not leave anything.
    w.start("b");
    let pid = w.kernel().pid_of("/bin/b").unwrap();
    w.kernel()
        .send_as(pid, "/run/rinit/notify/b", "FDSTORE=1", 1);
    w.run();
    assert_eq!(
        (w.all.hands.stored(w.id("b")), w.kernel().discarded),
        (0, 4)
    );
}

#[test]
fn some_are_taken_away_by_name_and_some_by_the_other_side() {
    let mut w = world(&[("a", &unit("restart"))]);
    w.start("a");
    leave(&mut w, "FDSTORE=1\nFDNAME=one", 1);
    leave(&mut w, "FDSTORE=1\nFDNAME=two", 1);
    leave(&mut w, "FDSTORE=1\nFDNAME=three\nFDPOLL=0", 1);
    for (text, left) in [
        ("FDSTOREREMOVE=1\nFDNAME=four", 3),
        ("FDSTOREREMOVE=1", 3),
        ("FDSTOREREMOVE=1\nFDNAME=one", 2),
    ] {
        leave(&mut w, text, 0);
        assert_eq!(stored(&w), left, "{text}");
    }
    w.dies("/bin/a", Exit::Code(1));
    w.pass(1_000);
    let pid = w.kernel().pid_of("/bin/a").unwrap();
    for (number, left) in [(4, 2), (3, 1)] {
        w.kernel().hang_up(pid, number);
        w.run();
        assert_eq!(stored(&w), left, "descriptor {number}");
    }
}

#[test]
fn a_number_that_may_be_needed_is_not_given_twice() {
    let text = format!("{}\n[ready]\nmode = \"fd\"\nfd = 5", unit("restart"));
    let mut w = world(&[("a", &text.replace("1s", "1m"))]);
    w.start("a");
    assert!(w.reason("a").contains("ready.fd"), "{}", w.reason("a"));
}

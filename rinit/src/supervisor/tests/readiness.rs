//! Stories of how units become ready, and of what they say about themselves.

use super::*;

#[test]
fn a_started_unit_is_up_before_its_program_is_executed_and_fails_with_it() {
    let mut w = world(&[(
        "a",
        "[ready]\nmode = \"started\"\n[restart]\npolicy = \"no\"",
    )]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.exec_fails = Some(2)));
    w.all.handle(Event::Start(w.id("a")));
    assert_eq!(w.state("a"), "up");
    w.run();
    assert_eq!(w.state("a"), "failed");
    assert!(w.reason("a").contains("execute"), "{}", w.reason("a"));
}

const DAEMON: &str = "[ready]\npidfile = \"/run/a.pid\"\n[restart]\npolicy = \"no\"";

/// A daemon whose command forks and ends; the pid of what it left.
fn daemon(w: &mut World) -> u32 {
    w.start("a");
    let first = w.kernel().pid_of("/bin/a").unwrap();
    let left = w.kernel().fork(first);
    w.kernel().end(first, Exit::Code(0));
    w.run();
    left
}

#[test]
fn a_daemon_is_up_when_its_file_names_a_process_of_its_own() {
    let mut w = world(&[("a", DAEMON), ("b", "")]);
    w.start("b");
    let foreign = w.kernel().pid_of("/bin/b").unwrap();
    let left = daemon(&mut w);
    assert_eq!(w.state("a"), "starting");
    for text in ["", "no number", "1", "99999", &foreign.to_string()] {
        w.kernel().files.insert("/run/a.pid".into(), text.into());
        w.pass(500);
        assert_eq!(w.state("a"), "starting", "{text}");
    }
    let text = format!("{left}\n");
    w.kernel().files.insert("/run/a.pid".into(), text);
    w.pass(500);
    assert_eq!(w.state("a"), "up");
    let a = w.id("a");
    assert_eq!(w.all.hands.main_pid(a), Some(left));
    w.kernel().end(left, Exit::Signal(11));
    w.run();
    assert_eq!(w.state("a"), "failed");
    assert_eq!(w.reason("a"), "it was killed by signal 11");
}

#[test]
fn a_daemon_that_leaves_no_file_or_no_process_has_failed() {
    let mut w = world(&[(
        "a",
        &format!("{DAEMON}\n[ready]")
            .replace("[ready]\npid", "[ready]\ntimeout = \"2s\"\npid")
            .replace("\n[ready]", ""),
    )]);
    daemon(&mut w);
    w.pass(2_000);
    assert_eq!(w.state("a"), "failed");
    assert!(
        w.reason("a")
            .contains("not ready within 2 s; the last answer: cannot read"),
        "{}",
        w.reason("a")
    );

    let mut w = world(&[("a", DAEMON)]);
    let left = daemon(&mut w);
    w.kernel().end(left, Exit::Code(0));
    w.run();
    assert_eq!(w.state("a"), "failed");
    assert!(w.reason("a").contains("no process of it is left"));
}

#[test]
fn a_check_is_repeated_until_it_succeeds() {
    let mut w = world(&[("a", "[ready]\ncheck = \"/bin/check\"\ninterval = \"1s\"")]);
    w.kernel().programs.insert(
        "/bin/check".into(),
        program(|p| p.ends = Some(Exit::Code(1))),
    );
    w.start("a");
    assert_eq!(w.log(), ["run /bin/a", "run /bin/check"]);
    w.pass(2_000);
    assert_eq!(w.log(), ["run /bin/check", "run /bin/check"]);
    assert_eq!(w.state("a"), "starting");
    w.kernel().programs.insert(
        "/bin/check".into(),
        program(|p| p.ends = Some(Exit::Code(0))),
    );
    w.pass(1_000);
    assert_eq!(w.state("a"), "up");
    w.log();
    w.pass(60_000);
    assert_eq!(w.log(), Vec::<String>::new());
}

#[test]
fn a_check_that_hangs_is_killed_and_one_that_is_not_needed_any_more_too() {
    let mut w = world(&[(
        "a",
        "[ready]\ncheck = \"/bin/check\"\ninterval = \"1s\"\ntimeout = \"20s\"\n[restart]\npolicy = \"no\"",
    )]);
    w.start("a");
    w.pass(5_000);
    assert_eq!(
        w.log(),
        ["run /bin/a", "run /bin/check", "signal 9 /bin/check"]
    );
    w.pass(1_000);
    assert_eq!(w.log(), ["run /bin/check"]);
    w.stop("a");
    assert_eq!(w.state("a"), "down");
    assert!(w.kernel().pid_of("/bin/check").is_none());
    w.start("a");
    w.pass(20_000);
    assert_eq!(w.state("a"), "failed");
    assert_eq!(
        w.reason("a"),
        "it was not ready within 20 s; the last answer: no answer within 5 s"
    );
}

#[test]
fn a_socket_is_asked_by_our_helper_and_not_by_its_executor() {
    let mut w = world(&[(
        "a",
        "[ready]\nsocket = \"stream:/run/a.sock\"\n[exec]\nstart = \"/bin/a\"\nnice = 5",
    )]);
    w.start("a");
    assert_eq!(
        w.log(),
        ["run /bin/a", "run rinit-helper ask connect /run/a.sock"]
    );
    let asker = w.kernel().pid_of("rinit-helper").unwrap();
    let job = &w.kernel().processes[&asker].job;
    assert!(job.by_helper && job.executor.is_none());
    w.kernel().end(asker, Exit::Code(111));
    w.run();
    w.stop("a");
    assert_eq!(w.state("a"), "down");
}

const TALKS: &str =
    "[ready]\nmode = \"notify\"\n[restart]\npolicy = \"no\"\n[stop]\ntimeout = \"10s\"";

fn says(w: &mut World, text: &str) {
    w.kernel().send("/run/rinit/notify/a", text);
    w.run();
}

#[test]
fn only_those_count_who_may_speak_for_the_unit() {
    let mut w = world(&[("a", TALKS)]);
    w.start("a");
    w.kernel()
        .send_as(4711, "/run/rinit/notify/a", "READY=1", 0);
    w.run();
    assert_eq!(w.state("a"), "starting");
    let (_, notes) = w.all.take_news();
    assert!(notes[0].contains("notify_from"), "{notes:?}");
    says(&mut w, "READY=1");
    assert_eq!(w.state("a"), "up");

    let all = TALKS.replace("\"notify\"", "\"notify\"\nnotify_from = \"all\"");
    let mut w = world(&[("a", &all)]);
    w.start("a");
    w.kernel()
        .send_as(4711, "/run/rinit/notify/a", "READY=1", 0);
    w.run();
    assert_eq!(w.state("a"), "up");
}

#[test]
fn another_main_process_may_be_named_if_it_is_one_of_the_units() {
    let mut w = world(&[("a", TALKS), ("b", "")]);
    w.start("b");
    w.start("a");
    let (a, b) = (w.id("a"), w.kernel().pid_of("/bin/b").unwrap());
    let first = w.kernel().pid_of("/bin/a").unwrap();
    says(&mut w, &format!("MAINPID={b}\nREADY=1"));
    assert_eq!((w.state("a"), w.all.hands.main_pid(a)), ("up", Some(first)));
    let second = w.kernel().fork(first);
    // It is read although its sender is dead by then.
    w.kernel()
        .send("/run/rinit/notify/a", &format!("MAINPID={second}"));
    w.kernel().end(first, Exit::Code(0));
    w.run();
    assert_eq!(
        (w.state("a"), w.all.hands.main_pid(a)),
        ("up", Some(second))
    );
    w.kernel().end(second, Exit::Code(3));
    w.run();
    assert_eq!(w.reason("a"), "it exited with code 3");
}

#[test]
fn what_takes_longer_is_given_longer_and_never_less() {
    let text = TALKS.replace("\"notify\"", "\"notify\"\ntimeout = \"10s\"");
    let mut w = world(&[("a", &text)]);
    w.start("a");
    says(&mut w, "EXTEND_TIMEOUT_USEC=1000");
    w.pass(9_000);
    assert_eq!(w.state("a"), "starting");
    says(&mut w, "EXTEND_TIMEOUT_USEC=5000000");
    w.pass(4_900);
    assert_eq!(w.state("a"), "starting");
    w.pass(100);
    assert_eq!(w.state("a"), "failed");
}

#[test]
fn a_unit_that_says_that_it_stops_has_so_long_for_it() {
    let mut w = world(&[("a", TALKS)]);
    w.start("a");
    says(&mut w, "READY=1\nSTATUS=serving");
    says(&mut w, "STOPPING=1\nERRNO=2");
    assert_eq!(
        w.all.hands.status(w.id("a")),
        "serving: No such file or directory"
    );
    w.pass(9_999);
    assert_eq!(w.state("a"), "up");
    w.pass(1);
    assert_eq!(w.state("a"), "failed");
    assert_eq!(
        w.reason("a"),
        "it said that it stops, and did not within 10 s"
    );

    let mut w = world(&[("a", TALKS)]);
    w.start("a");
    says(&mut w, "READY=1");
    says(&mut w, "STOPPING=1");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.state("a"), "down");
}

#[test]
fn a_unit_that_reloads_by_itself_tells_when_it_is_through() {
    let mut w = world(&[("a", TALKS)]);
    w.start("a");
    says(&mut w, "READY=1");
    says(&mut w, "RELOADING=1\nMONOTONIC_USEC=5");
    assert!(!w.all.core.record(w.id("a")).is_settled());
    says(&mut w, "READY=1");
    assert!(w.all.core.record(w.id("a")).is_settled());
    says(&mut w, "RELOADING=1");
    w.pass(90_000);
    assert_eq!(w.state("a"), "up");
    assert!(
        w.reason("a").contains("its reload failed"),
        "{}",
        w.reason("a")
    );
}

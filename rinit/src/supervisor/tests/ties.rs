//! What units have to do with each other beyond needs, wants and order.

use sys::process::Exit;

use super::{program, world};

#[test]
fn a_milestone_is_passed_once_and_what_becomes_of_it_then_does_not_matter() {
    let mut w = world(&[
        ("a", "[deps]\nmilestone = [\"m\"]"),
        ("m", "[ready]\nmode = \"fd\""),
    ]);
    w.start("a");
    assert_eq!(w.log(), ["run /bin/m"]);
    let m = w.kernel().pid_of("/bin/m").unwrap();
    w.kernel().write(m, 3, b"\n");
    w.run();
    assert_eq!(w.log(), ["run /bin/a"]);
    w.stop("m");
    assert_eq!(w.states(&["a", "m"]), ["up", "down"]);
    w.stop("a");
    w.log();
    w.start("a");
    assert_eq!((w.state("m"), w.log()), ("down", vec!["run /bin/a".into()]));
}

#[test]
fn a_milestone_that_fails_is_never_passed() {
    let mut w = world(&[
        ("a", "[deps]\nmilestone = [\"m\"]"),
        ("m", "kind = \"oneshot\""),
    ]);
    let fails = program(|p| p.ends = Some(Exit::Code(1)));
    w.kernel().programs.insert("/bin/m".into(), fails);
    w.start("a");
    assert_eq!(w.states(&["a", "m"]), ["failed", "failed"]);
    assert_eq!(w.reason("a"), "requires m, which is failed");
}

#[test]
fn what_is_required_is_not_started_and_takes_its_dependents_along() {
    let mut w = world(&[("a", "[deps]\nrequires_active = [\"b\"]"), ("b", "")]);
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["failed", "down"]);
    assert_eq!(w.reason("a"), "requires b, which is down");
    w.start("b");
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
    w.log();
    w.stop("b");
    assert_eq!(w.log(), ["signal 15 /bin/a", "signal 15 /bin/b"]);
}

#[test]
fn what_is_bound_goes_down_and_comes_back_with_the_other_one() {
    let mut w = world(&[
        ("a", "[deps]\nbound_to = [\"b\"]"),
        ("b", ""),
        ("c", "[deps]\nneeds = [\"a\"]"),
    ]);
    w.start("c");
    w.log();
    w.dies("/bin/b", Exit::Signal(9));
    assert_eq!(w.states(&["a", "b", "c"]), ["waiting", "backoff", "up"]);
    w.pass(200);
    assert_eq!(w.states(&["a", "b", "c"]), ["up", "up", "up"]);
    assert_eq!(w.log(), ["signal 15 /bin/a", "run /bin/b", "run /bin/a"]);
    w.stop("b");
    assert_eq!(w.states(&["a", "b", "c"]), ["down", "down", "down"]);
}

#[test]
fn a_part_stops_and_restarts_with_the_whole_and_does_not_start_with_it() {
    let mut w = world(&[
        ("part", "[deps]\npart_of = [\"whole\"]\nafter = [\"whole\"]"),
        ("whole", ""),
    ]);
    w.start("whole");
    assert_eq!(w.state("part"), "down");
    w.start("part");
    w.log();
    let whole = w.id("whole");
    w.all.handle(super::Event::Restart(whole));
    assert!(!w.all.core.record(whole).is_settled());
    w.run();
    // Down in front of it, up behind it.
    assert_eq!(
        w.log(),
        [
            "signal 15 /bin/part",
            "signal 15 /bin/whole",
            "run /bin/whole",
            "run /bin/part"
        ]
    );
    assert_eq!(w.states(&["part", "whole"]), ["up", "up"]);
    w.stop("whole");
    assert_eq!(w.states(&["part", "whole"]), ["down", "down"]);
    assert_eq!(w.reason("part"), "stopped with whole");
}

#[test]
fn what_prepares_a_unit_runs_again_before_each_further_start() {
    let mut w = world(&[
        ("a", "[deps]\nprepared_by = [\"p\"]"),
        ("p", "kind = \"oneshot\""),
        ("other", "[deps]\nneeds = [\"p\"]"),
    ]);
    let well = program(|p| p.ends = Some(Exit::Code(0)));
    w.kernel().programs.insert("/bin/p".into(), well);
    w.start("other");
    w.start("a");
    assert_eq!(w.log(), ["run /bin/p", "run /bin/other", "run /bin/a"]);
    w.dies("/bin/a", Exit::Code(1));
    w.pass(200);
    assert_eq!(w.log(), ["run /bin/p", "run /bin/a"]);
    w.stop("a");
    w.log();
    w.start("a");
    assert_eq!(w.log(), ["run /bin/p", "run /bin/a"]);
    assert_eq!(w.states(&["a", "p", "other"]), ["up", "up", "up"]);
}

#[test]
fn what_is_upheld_comes_back_however_it_ended_and_only_while_somebody_upholds_it() {
    let mut w = world(&[
        ("a", "[deps]\nupholds = [\"b\"]"),
        ("b", "[restart]\npolicy = \"no\""),
    ]);
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
    w.stop("b");
    assert_eq!(w.state("b"), "down");
    w.pass(200);
    assert_eq!(w.state("b"), "up");
    w.dies("/bin/b", Exit::Code(1));
    w.pass(29_000);
    assert_eq!(w.state("b"), "failed");
    w.pass(1_000);
    assert_eq!(w.state("b"), "up");
    w.stop("a");
    assert_eq!(w.state("b"), "up");
    w.stop("b");
    w.pass(100_000);
    assert_eq!(w.state("b"), "down");
    assert_eq!(w.all.core.deadline(), None);
}

#[test]
fn of_two_that_conflict_the_later_one_runs_once_the_other_one_is_gone() {
    let mut w = world(&[("a", "[deps]\nconflicts = [\"b\"]"), ("b", "")]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.stubborn = true));
    w.start("a");
    w.start("b");
    assert_eq!(w.states(&["a", "b"]), ["stopping", "waiting"]);
    w.pass(20_000);
    assert_eq!(w.states(&["a", "b"]), ["down", "up"]);
    assert_eq!(w.reason("a"), "stopped because it conflicts with b");
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "down"]);
}

#[test]
fn a_reload_reaches_those_that_reload_with_it() {
    let exec = |name: &str, more: &str| {
        format!("{more}\n[exec]\nstart = \"/bin/{name}\"\nreload = {{ signal = \"HUP\" }}")
    };
    let (a, b) = (exec("a", ""), exec("b", "[deps]\nreload_with = [\"a\"]"));
    let c = exec("c", "[deps]\nreload_with = [\"b\", \"a\"]");
    let mut w = world(&[("a", &a), ("b", &b), ("c", &c)]);
    for name in ["a", "b", "c"] {
        w.start(name);
    }
    w.log();
    w.all.handle(super::Event::Reload(w.id("a")));
    w.run();
    assert_eq!(
        w.log(),
        ["signal 1 /bin/a", "signal 1 /bin/b", "signal 1 /bin/c"]
    );
}

#[test]
fn an_end_starts_what_comes_after_it() {
    let mut w = world(&[
        (
            "a",
            "[on]\nfailure = [\"f\"]\nsuccess = [\"s\"]\n[restart]\npolicy = \"no\"",
        ),
        ("f", ""),
        ("s", ""),
        ("once", "kind = \"oneshot\"\n[on]\nsuccess = [\"t\"]"),
        ("t", ""),
    ]);
    w.start("a");
    w.stop("a");
    assert_eq!(w.states(&["f", "s"]), ["down", "down"]);
    w.start("a");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.states(&["f", "s"]), ["down", "up"]);
    w.start("a");
    w.dies("/bin/a", Exit::Code(1));
    assert_eq!(w.states(&["a", "f"]), ["failed", "up"]);
    let well = program(|p| p.ends = Some(Exit::Code(0)));
    w.kernel().programs.insert("/bin/once".into(), well);
    w.start("once");
    assert_eq!(w.states(&["once", "t"]), ["up", "up"]);
}

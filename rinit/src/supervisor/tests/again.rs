//! Stories of what is started again after an end, and of what goes round with it.

use super::*;

/// What becomes of a unit with these keys in `[restart]` after such an end.
fn after(keys: &str, exit: Exit) -> (&'static str, String) {
    let mut w = world(&[("a", &format!("[restart]\n{keys}"))]);
    w.start("a");
    w.dies("/bin/a", exit);
    (w.state("a"), w.reason("a").to_owned())
}

#[test]
fn some_exits_are_never_followed_by_a_start_and_some_always_are() {
    let keys = "policy = \"always\"\nnever_on = [3, \"KILL\"]";
    for (exit, state) in [
        (Exit::Code(0), "backoff"),
        (Exit::Code(3), "failed"),
        (Exit::Signal(9), "failed"),
        (Exit::Signal(11), "backoff"),
    ] {
        assert_eq!(after(keys, exit).0, state, "{exit}");
    }
    let keys = "policy = \"no\"\nalways_on = [3, \"KILL\"]\nsuccess_exit = [3]";
    for (exit, state) in [
        (Exit::Code(0), "down"),
        (Exit::Code(3), "backoff"),
        (Exit::Signal(9), "backoff"),
        (Exit::Code(4), "failed"),
    ] {
        assert_eq!(after(keys, exit).0, state, "{exit}");
    }
}

#[test]
fn an_end_that_is_well_and_never_to_be_repeated_is_no_failure() {
    let keys = "policy = \"always\"\nsuccess_exit = [3]\nnever_on = [3]";
    let (state, reason) = after(keys, Exit::Code(3));
    assert_eq!((state, &*reason), ("down", "it exited with code 3"));
}

#[test]
fn what_counts_is_the_main_process_and_no_command_beside_it() {
    let text = "[exec]\nstart = \"/bin/a\"\nstart_pre = \"/bin/pre\"\n[restart]\nnever_on = [3]";
    let mut w = world(&[("a", text)]);
    let ends = program(|p| p.ends = Some(Exit::Code(3)));
    w.kernel().programs.insert("/bin/pre".into(), ends);
    w.start("a");
    assert_eq!(w.state("a"), "backoff");
}

#[test]
fn who_hangs_is_started_again_where_that_alone_is_a_reason() {
    let text = "[watchdog]\ninterval = \"10s\"\n[restart]\npolicy = \"on-watchdog\"";
    let mut w = world(&[("a", text)]);
    w.start("a");
    w.pass(10_000);
    assert_eq!(w.state("a"), "backoff");
    w.pass(1_000);
    w.dies("/bin/a", Exit::Signal(11));
    assert_eq!(w.state("a"), "failed");
}

#[test]
fn who_cannot_hold_its_dependents_takes_them_round() {
    let mut w = world(&[
        ("db", "[restart]\nhold_dependents = false\ndelay = \"1s\""),
        ("web", "[deps]\nneeds = [\"db\"]"),
        ("shop", "[deps]\nneeds = [\"web\"]"),
    ]);
    w.start("shop");
    w.log();
    w.dies("/bin/db", Exit::Code(1));
    assert_eq!(
        w.states(&["db", "web", "shop"]),
        ["backoff", "waiting", "up"]
    );
    w.pass(1_000);
    assert_eq!(w.states(&["db", "web", "shop"]), ["up", "up", "up"]);
    assert_eq!(
        w.log(),
        ["signal 15 /bin/web", "run /bin/db", "run /bin/web"]
    );
}

//! Stories of units that hang, or answer badly.

use super::*;

fn says(w: &mut World, text: &str) {
    w.kernel().send("/run/rinit/notify/a", text);
    w.run();
}

fn watched(more: &str) -> World {
    let text = format!(
        "[watchdog]\ninterval = \"10s\"\n{more}\n[restart]\ndelay = \"1s\"\n[stop]\ntimeout = \"5s\""
    );
    let mut w = world(&[("a", &text)]);
    w.start("a");
    assert_eq!(w.state("a"), "up");
    w
}

#[test]
fn a_unit_that_gives_no_sign_of_life_is_aborted_and_restarted() {
    let mut w = watched("");
    let pid = w.kernel().pid_of("/bin/a").unwrap();
    let job = w.kernel().processes[&pid].job.clone();
    assert!(job.env.contains(&"WATCHDOG_USEC=10000000".to_owned()));
    assert_eq!(job.own_id, ["WATCHDOG_PID"]);
    for _ in 0..3 {
        w.pass(9_999);
        says(&mut w, "WATCHDOG=1");
    }
    assert_eq!(w.state("a"), "up");
    w.log();
    w.pass(10_000);
    assert_eq!(w.log(), ["signal 6 /bin/a"]);
    assert_eq!(w.state("a"), "backoff");
    assert_eq!(w.reason("a"), "it gave no sign of life within 10 s");
    w.pass(1_000);
    assert_eq!(w.state("a"), "up");
}

#[test]
fn what_survives_being_aborted_is_killed() {
    let mut w = watched("");
    w.stop("a");
    let stubborn = program(|p| (p.stubborn, p.leaves) = (true, 1));
    w.kernel().programs.insert("/bin/a".into(), stubborn);
    w.start("a");
    w.log();
    w.pass(15_000);
    assert_eq!(
        w.log(),
        ["signal 6 /bin/a", "kill group a", "signal 9 /bin/a"]
    );
    assert_eq!(w.state("a"), "backoff");
}

#[test]
fn a_unit_tells_another_pace_or_that_it_hangs() {
    let mut w = watched("");
    says(&mut w, "WATCHDOG_USEC=2000000");
    w.pass(2_000);
    assert_eq!(w.reason("a"), "it gave no sign of life within 2 s");
    w.pass(1_000);
    // A new process begins with what its file says.
    w.pass(9_000);
    assert_eq!(w.state("a"), "up");
    says(&mut w, "WATCHDOG=trigger");
    assert_eq!(w.state("a"), "backoff");
}

#[test]
fn who_says_that_it_stops_is_not_watched_any_more() {
    let mut w = watched("");
    w.pass(9_000);
    says(&mut w, "STOPPING=1");
    w.pass(4_000);
    assert_eq!(w.state("a"), "up");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.state("a"), "down");
    w.pass(60_000);
    assert_eq!(w.state("a"), "down");
}

#[test]
fn a_mark_goes_with_the_next_sign_of_life() {
    let mut w = watched("action = \"mark\"");
    w.pass(10_000);
    assert_eq!(w.state("a"), "up");
    assert_eq!(w.reason("a"), "it gave no sign of life within 10 s");
    says(&mut w, "WATCHDOG=1");
    assert_eq!((w.state("a"), w.reason("a")), ("up", ""));
}

const ASKED: &str = "[health]\ncmd = \"/bin/well\"\ninterval = \"10s\"\nretries = 2\n";

fn asked(more: &str) -> World {
    let text = format!("{ASKED}{more}\n[restart]\npolicy = \"always\"");
    let mut w = world(&[("a", &text), ("b", "[deps]\nneeds = [\"a\"]")]);
    w.start("b");
    w.log();
    w
}

fn answers(w: &mut World, code: u8) {
    let answer = program(|p| p.ends = Some(Exit::Code(code)));
    w.kernel().programs.insert("/bin/well".into(), answer);
}

#[test]
fn bad_answers_in_a_row_are_a_failure_and_single_ones_are_not() {
    let mut w = asked("");
    for code in [1, 0, 1, 0] {
        answers(&mut w, code);
        w.pass(10_000);
        assert_eq!(w.log(), ["run /bin/well"]);
        assert_eq!(w.state("a"), "up", "{code}");
    }
    answers(&mut w, 1);
    w.pass(20_000);
    assert_eq!(w.state("a"), "backoff");
    assert_eq!(
        w.reason("a"),
        "it is not well, as it was asked 2 times: it exited with code 1"
    );
    assert_eq!(w.state("b"), "up");
}

#[test]
fn who_does_not_answer_in_time_is_not_well_either() {
    let mut w = asked("timeout = \"1s\"");
    w.pass(22_000);
    assert_eq!(w.state("a"), "backoff");
    assert!(
        w.reason("a").contains("no answer within 1 s"),
        "{}",
        w.reason("a")
    );
    assert!(w.kernel().pid_of("/bin/well").is_none());
}

#[test]
fn at_first_bad_answers_do_not_count() {
    let mut w = asked("start_period = \"35s\"");
    answers(&mut w, 1);
    w.pass(49_999);
    assert_eq!(w.state("a"), "up");
    w.pass(1);
    assert_eq!(w.state("a"), "backoff");
}

#[test]
fn a_unit_may_be_marked_stopped_or_a_reason_against_the_snapshot() {
    let mut w = asked("on_fail = \"mark\"");
    answers(&mut w, 1);
    w.pass(20_000);
    let a = w.id("a");
    assert_eq!(w.state("a"), "up");
    assert!(w.all.core.record(a).is_unwell() && !w.all.core.spoils_the_boot(a));
    answers(&mut w, 0);
    w.pass(10_000);
    assert_eq!(
        (w.reason("a"), w.all.core.record(a).is_unwell()),
        ("", false)
    );

    let mut w = asked("on_fail = \"stop\"");
    answers(&mut w, 1);
    w.pass(20_000);
    assert_eq!(w.states(&["a", "b"]), ["failed", "failed"]);
    w.pass(60_000);
    assert_eq!(w.state("a"), "failed");

    let mut w = asked("on_fail = \"gate\"");
    answers(&mut w, 1);
    w.pass(20_000);
    assert_eq!(w.state("a"), "up");
    assert!(w.all.core.spoils_the_boot(w.id("a")));
}

#[test]
fn health_can_be_what_readiness_waits_for() {
    let text = format!("{ASKED}[ready]\nmode = \"health\"\ninterval = \"1s\"");
    let mut w = world(&[("a", &text)]);
    answers(&mut w, 1);
    w.start("a");
    w.pass(2_000);
    assert_eq!(w.state("a"), "starting");
    answers(&mut w, 0);
    w.pass(1_000);
    assert_eq!(w.state("a"), "up");
    w.log();
    w.pass(10_000);
    assert_eq!(w.log(), ["run /bin/well"]);
}

//! Stories of how long a unit is up.

use super::*;

#[test]
fn a_oneshot_that_does_not_remain_is_met_and_runs_each_time() {
    let job = "kind = \"oneshot\"\nremain = false\n[exec]\nstart = \"/bin/job\"\nstop_post = \"/bin/after\"";
    let mut w = world(&[
        ("job", job),
        ("web", "[deps]\nneeds = [\"job\"]"),
        ("shop", "[deps]\nneeds = [\"web\", \"job\"]"),
    ]);
    for program_name in ["/bin/job", "/bin/after"] {
        let ends = program(|p| p.ends = Some(Exit::Code(0)));
        w.kernel().programs.insert(program_name.into(), ends);
    }
    w.start("web");
    assert_eq!(w.log(), ["run /bin/job", "run /bin/after", "run /bin/web"]);
    assert_eq!(w.states(&["job", "web"]), ["down", "up"]);
    assert_eq!(w.reason("job"), "done");
    w.start("shop");
    assert_eq!(w.log(), ["run /bin/job", "run /bin/after", "run /bin/shop"]);
    assert_eq!(w.states(&["job", "web", "shop"]), ["down", "up", "up"]);
}

#[test]
fn a_oneshot_that_fails_is_not_met_whether_it_would_remain_or_not() {
    let mut w = world(&[
        ("job", "kind = \"oneshot\"\nremain = false"),
        ("web", "[deps]\nneeds = [\"job\"]"),
    ]);
    w.start("web");
    w.dies("/bin/job", Exit::Code(1));
    assert_eq!(w.states(&["job", "web"]), ["failed", "failed"]);
}

#[test]
fn a_service_that_remains_is_up_when_it_has_ended_well_and_is_stopped_by_its_commands() {
    let text = "remain = true\n[exec]\nstart = \"/bin/a\"\nstop = \"/bin/undo\"";
    let mut w = world(&[("a", text)]);
    let ends = program(|p| p.ends = Some(Exit::Code(0)));
    w.kernel().programs.insert("/bin/undo".into(), ends);
    w.start("a");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.state("a"), "up");
    w.log();
    w.stop("a");
    assert_eq!(w.log(), ["run /bin/undo"]);
    assert_eq!(w.state("a"), "down");
    w.start("a");
    w.dies("/bin/a", Exit::Code(1));
    assert_eq!(w.state("a"), "backoff");
}

#[test]
fn any_process_keeps_a_service_up_that_says_so() {
    let mut w = world(&[("a", "alive = \"cgroup\"")]);
    let leaves = program(|p| p.leaves = 1);
    w.kernel().programs.insert("/bin/a".into(), leaves);
    w.start("a");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.state("a"), "up");
    w.stop("a");
    assert_eq!(w.state("a"), "stopping");
    w.pass(20_000);
    assert_eq!(w.state("a"), "down");
    // One that fails takes the others with it; they are asked first.
    w.start("a");
    w.dies("/bin/a", Exit::Code(1));
    assert_eq!(w.state("a"), "stopping");
    w.pass(20_000);
    assert_eq!(
        (w.state("a"), w.reason("a")),
        ("backoff", "it exited with code 1")
    );
}

#[test]
fn who_was_up_for_as_long_as_it_may_has_failed() {
    let mut w = world(&[("a", "max_runtime = \"1h\"\n[restart]\ndelay = \"1s\"")]);
    w.start("a");
    w.pass(3_599_999);
    assert_eq!(w.state("a"), "up");
    w.pass(1);
    assert_eq!(
        (w.state("a"), w.reason("a")),
        ("backoff", "it was up for 60 min")
    );
    w.pass(1_000 + 3_599_999);
    assert_eq!(w.state("a"), "up");
}

#[test]
fn who_is_up_for_others_goes_with_the_last_of_them() {
    let mut w = world(&[
        ("db", "stop_when_unneeded = true"),
        ("web", "[deps]\nneeds = [\"db\"]"),
        ("shop", "[deps]\nwants = [\"db\"]"),
    ]);
    w.start("web");
    w.start("shop");
    w.stop("web");
    assert_eq!(w.states(&["db", "shop"]), ["up", "up"]);
    w.dies("/bin/shop", Exit::Code(0));
    assert_eq!(w.states(&["db", "shop"]), ["down", "down"]);
    assert_eq!(w.reason("db"), "nobody needs it any more");
}

#[test]
fn it_stays_while_the_last_of_them_is_started_again() {
    let mut w = world(&[
        ("db", "stop_when_unneeded = true"),
        ("web", "[deps]\nneeds = [\"db\"]"),
    ]);
    w.start("web");
    w.log();
    w.dies("/bin/web", Exit::Code(1));
    w.pass(1_000);
    assert_eq!(w.log(), ["run /bin/web"]);
    assert_eq!(w.states(&["db", "web"]), ["up", "up"]);
}

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

/// What was asked for the system as a whole since the last time, with the unit's name.
fn calls(w: &mut World) -> Vec<String> {
    let calls = w.all.core.take_calls().into_iter();
    let words = calls.map(|call| {
        let name = w.all.core.unit(call.unit).name.to_string();
        format!("{name} {}: {}", call.recourse.word(), call.why)
    });
    words.collect()
}

#[test]
fn too_many_restarts_are_a_matter_for_the_whole_system_where_that_is_said() {
    let text = "[restart]\nlimit = { count = 1, window = \"60s\" }\non_limit = \"rollback\"\n[on]\nfailure_action = \"reboot\"";
    let mut w = world(&[("a", text)]);
    w.start("a");
    w.dies("/bin/a", Exit::Code(1));
    assert_eq!(calls(&mut w), [""; 0]);
    w.pass(1_000);
    w.dies("/bin/a", Exit::Code(1));
    let why = "failed: it exited with code 1; it was restarted 1 times within 60 s";
    let all = [format!("a rollback: {why}"), format!("a reboot: {why}")];
    assert_eq!(calls(&mut w), all);
}

#[test]
fn an_end_that_is_well_is_one_too_and_a_stop_is_none() {
    let text = "[on]\nsuccess_action = \"poweroff\"";
    let job = format!("kind = \"oneshot\"\n{text}");
    let mut w = world(&[("a", text), ("job", &job)]);
    w.start("a");
    w.stop("a");
    assert_eq!(calls(&mut w), [""; 0]);
    w.start("a");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(calls(&mut w), ["a poweroff: ended well"]);
    w.start("job");
    w.dies("/bin/job", Exit::Code(0));
    assert_eq!(calls(&mut w), ["job poweroff: ended well"]);
}

#[test]
fn who_fails_while_the_system_goes_down_has_no_say() {
    let mut w = world(&[("a", "[on]\nfailure_action = \"reboot\"")]);
    let stubborn = program(|p| p.stubborn = true);
    w.kernel().programs.insert("/bin/a".into(), stubborn);
    w.start("a");
    w.all.handle(Event::StopAll);
    w.dies("/bin/a", Exit::Signal(9));
    assert_eq!(calls(&mut w), [""; 0]);
}

#[test]
fn one_unit_goes_on_alone_with_what_it_needs() {
    let mut w = world(&[
        ("rescue", "[deps]\nneeds = [\"disk\"]"),
        ("disk", ""),
        ("web", "[deps]\nneeds = [\"db\"]"),
        ("db", "[deps]\nneeds = [\"disk\"]"),
    ]);
    w.start("web");
    let rescue = w.id("rescue");
    w.all.handle(Event::Isolate(rescue));
    w.run();
    let names = ["rescue", "disk", "web", "db"];
    assert_eq!(w.states(&names), ["up", "up", "down", "down"]);
    assert_eq!(w.reason("web"), "stopped because only rescue goes on");
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

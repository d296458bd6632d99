//! Stories of commands around the main one, and of settings read again.

use super::*;

/// Programs that end at once with these codes; all others stay.
fn world_with(units: &[(&str, &str)], codes: &[(&str, u8)]) -> World {
    let mut kernel = Fake::new();
    for (name, code) in codes {
        let ends = program(|p| p.ends = Some(Exit::Code(*code)));
        kernel.programs.insert((*name).to_owned(), ends);
    }
    world_on(kernel, units)
}

const CODES: [(&str, u8); 4] = [
    ("/bin/yes", 0),
    ("/bin/no", 1),
    ("/bin/broken", 255),
    ("/bin/also", 0),
];

#[test]
fn a_condition_goes_on_skips_or_fails() {
    let unit = |condition: &str| {
        format!(
            "[exec]\nstart = \"/bin/a\"\ncondition = {condition}\nstop_post = \"/bin/also\"\n[restart]\npolicy = \"no\"\n"
        )
    };
    let (good, skip, bad) = (
        unit("[[\"/bin/yes\"], [\"/bin/also\"]]"),
        unit("\"/bin/no\""),
        unit("\"/bin/broken\""),
    );
    let mut w = world_with(
        &[
            ("good", &good),
            ("skip", &skip),
            ("bad", &bad),
            ("user", "[deps]\nneeds = [\"skip\"]"),
        ],
        &CODES,
    );
    w.start("good");
    assert_eq!(w.log(), ["run /bin/yes", "run /bin/also", "run /bin/a"]);
    w.start("user");
    assert_eq!(w.log(), ["run /bin/no", "run /bin/user"]);
    assert_eq!(w.reason("skip"), "skipped: /bin/no: it exited with code 1");
    w.start("bad");
    assert_eq!(
        w.states(&["good", "skip", "user", "bad"]),
        ["up", "down", "up", "failed"]
    );
    assert_eq!(w.reason("bad"), "/bin/broken: it exited with code 255");
}

#[test]
fn what_comes_after_the_start_holds_up_and_can_fail_it() {
    let unit = |late: &str| {
        format!("[exec]\nstart = \"/bin/a\"\nstart_post = \"{late}\"\n[restart]\npolicy = \"no\"\n")
    };
    let (slow, bad) = (unit("/bin/slow"), unit("/bin/no"));
    let once = "kind = \"oneshot\"\n[exec]\nstart = \"/bin/yes\"\nstart_post = \"/bin/also\"\n";
    let mut w = world_with(&[("slow", &slow), ("bad", &bad), ("once", once)], &CODES);
    w.start("slow");
    assert_eq!(w.state("slow"), "starting");
    let late = w.kernel().pid_of("/bin/slow").unwrap();
    let main = w.kernel().pid_of("/bin/a").unwrap();
    let env = w.kernel().processes[&late].job.env.clone();
    assert!(env.contains(&format!("MAINPID={main}")), "{env:?}");
    w.dies("/bin/slow", Exit::Code(0));
    assert_eq!(w.state("slow"), "up");
    w.start("once");
    assert_eq!(w.state("once"), "up");
    w.start("bad");
    assert_eq!(w.reason("bad"), "/bin/no: it exited with code 1");
}

#[test]
fn a_unit_that_is_up_is_asked_by_its_commands_before_the_signal() {
    let unit = "[exec]\nstart = \"/bin/a\"\nstop = [[\"/bin/no\"], [\"/bin/yes\"]]\n[restart]\npolicy = \"no\"\n";
    let once = "kind = \"oneshot\"\n[exec]\nstart = \"/bin/also\"\nstop = \"/bin/yes\"\n";
    let mut w = world_with(&[("a", unit), ("once", once)], &CODES);
    w.start("a");
    w.start("once");
    w.log();
    w.stop("a");
    assert_eq!(w.log(), ["run /bin/no", "run /bin/yes", "signal 15 /bin/a"]);
    w.stop("once");
    assert_eq!(
        (w.log(), w.state("once")),
        (vec!["run /bin/yes".to_owned()], "down")
    );
    // What ended by itself cannot be asked any more.
    w.start("a");
    w.log();
    w.dies("/bin/a", Exit::Code(3));
    assert_eq!((w.log(), w.state("a")), (Vec::new(), "failed"));
}

#[test]
fn a_command_that_hangs_while_it_stops_is_killed_with_the_rest() {
    let unit = "[exec]\nstart = \"/bin/a\"\nstop = \"/bin/hangs\"\n[stop]\ntimeout = \"5s\"\n";
    let mut w = world_with(&[("a", unit)], &[]);
    w.start("a");
    w.stop("a");
    assert_eq!(w.state("a"), "stopping");
    w.pass(5_000);
    assert_eq!((w.state("a"), w.kernel().processes.len()), ("down", 0));
}

#[test]
fn settings_are_read_again_in_four_ways() {
    let unit = |reload: &str, more: &str| format!("[exec]\nstart = \"/bin/a\"\n{reload}\n{more}");
    let signal = unit("reload = { signal = \"USR1\" }", "");
    let good = unit("reload = \"/bin/yes\"", "");
    let bad = unit("reload = \"/bin/no\"", "");
    let notify = unit(
        "reload = \"notify\"",
        "[ready]\nmode = \"notify\"\ntimeout = \"4s\"\n",
    );
    let plain = unit("", "");
    let mut kernel = Fake::new();
    let stays = program(|p| p.stubborn = true);
    kernel.programs.insert("/bin/a".to_owned(), stays);
    for (name, code) in CODES {
        let ends = program(|p| p.ends = Some(Exit::Code(code)));
        kernel.programs.insert(name.to_owned(), ends);
    }
    let mut w = world_on(
        kernel,
        &[
            ("signal", &signal),
            ("good", &good),
            ("bad", &bad),
            ("notify", &notify),
            ("plain", &plain),
        ],
    );
    let reload = |w: &mut World, name: &str| {
        w.log();
        w.all.handle(Event::Reload(w.id(name)));
        w.run();
        w.log()
    };
    for name in ["signal", "good", "bad", "notify"] {
        w.start(name);
    }
    assert_eq!(reload(&mut w, "signal"), ["signal 10 /bin/a"]);
    assert_eq!(reload(&mut w, "good"), ["run /bin/yes"]);
    assert_eq!(reload(&mut w, "bad"), ["run /bin/no"]);
    assert_eq!(w.states(&["signal", "good", "bad"]), ["up", "up", "up"]);
    assert_eq!(
        (w.reason("good"), w.reason("bad")),
        ("", "its reload failed: /bin/no: it exited with code 1")
    );
    let says = |w: &mut World| {
        w.kernel().send("/run/rinit/notify/notify", "READY=1");
        w.run();
    };
    says(&mut w);
    assert_eq!(reload(&mut w, "notify"), ["signal 1 /bin/a"]);
    assert!(!w.all.core.record(w.id("notify")).is_settled());
    says(&mut w);
    assert!(w.all.core.record(w.id("notify")).is_settled());
    assert_eq!(reload(&mut w, "notify"), ["signal 1 /bin/a"]);
    w.pass(4_000);
    assert_eq!(
        (w.state("notify"), w.reason("notify")),
        ("up", "its reload failed: it was not through within 4 s")
    );
    // What is down stays down; what has no other way is restarted.
    assert!(reload(&mut w, "plain").is_empty() && w.state("plain") == "down");
}

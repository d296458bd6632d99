//! Stories of units that do not end when they are asked.

use super::*;

/// A unit that does nothing on being asked, and is to stop now.
fn stubborn(keys: &str) -> World {
    let mut w = world(&[("a", &format!("[stop]\ntimeout = \"5s\"\n{keys}"))]);
    let stubborn = program(|p| p.stubborn = true);
    w.kernel().programs.insert("/bin/a".into(), stubborn);
    w.start("a");
    w.log();
    w.stop("a");
    w
}

#[test]
fn another_last_signal_is_followed_by_the_kill_after_all() {
    let mut w = stubborn("final_signal = \"QUIT\"");
    w.pass(5_000);
    assert_eq!(w.log(), ["signal 15 /bin/a", "signal 3 /bin/a"]);
    assert_eq!(w.state("a"), "stopping");
    w.pass(10_000);
    assert_eq!(w.log(), ["kill group a", "signal 9 /bin/a"]);
    assert_eq!(w.state("a"), "down");
}

#[test]
fn who_is_not_to_be_killed_is_waited_for() {
    let mut w = stubborn("final_signal = \"none\"");
    w.pass(3_600_000);
    assert_eq!(w.log(), ["signal 15 /bin/a"]);
    assert_eq!(w.state("a"), "stopping");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.state("a"), "down");
}

#[test]
fn when_the_system_goes_down_it_is_killed_all_the_same() {
    let mut w = stubborn("final_signal = \"none\"");
    w.pass(60_000);
    w.all.handle(Event::StopAll);
    w.log();
    w.pass(10_000);
    assert_eq!(w.log(), ["kill group a", "signal 9 /bin/a"]);
    assert!(w.all.core.is_quiet());
}

#[test]
fn who_is_late_may_leave_a_core_dump_first() {
    let mut w = stubborn("on_timeout = \"abort\"");
    w.pass(5_000);
    assert_eq!(w.log(), ["signal 15 /bin/a", "signal 6 /bin/a"]);
    w.pass(5_000);
    assert_eq!(w.log(), ["kill group a", "signal 9 /bin/a"]);
    assert_eq!(
        (w.state("a"), w.reason("a")),
        ("down", "stopped on request")
    );
}

#[test]
fn a_shell_is_told_to_hang_up_too() {
    let w = &mut stubborn("hup = true");
    assert_eq!(w.log(), ["signal 15 /bin/a", "signal 1 /bin/a"]);
    let w = &mut stubborn("hup = true\nsignal = \"HUP\"");
    assert_eq!(w.log(), ["signal 1 /bin/a"]);
}

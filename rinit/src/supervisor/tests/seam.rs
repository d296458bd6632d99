//! Whichever call of the kernel fails, and with whatever error: PID 1 lives, goes on, and can be shut down.

use sys::process::Exit;

use super::*;

/// Errors that have nothing to do with what was asked for.
const ERRORS: [(&str, i32); 5] = [
    ("ENOMEM", 12),
    ("EMFILE", 24),
    ("EAGAIN", 11),
    ("EINTR", 4),
    ("ENOSPC", 28),
];

const FIVE: [(&str, &str); 6] = [
    (
        "all",
        "kind = \"group\"\n[deps]\nwants = [\"a\", \"b\", \"c\", \"d\", \"e\"]",
    ),
    (
        "a",
        "[deps]\nneeds = [\"b\"]\n[restart]\npolicy = \"always\"",
    ),
    ("b", "[ready]\nmode = \"fd\"\n[cgroup]\npids_max = 5"),
    (
        "c",
        "[ready]\nmode = \"notify\"\n[condition]\npath_exists = \"!/etc/nologin\"",
    ),
    (
        "d",
        "kind = \"oneshot\"\n[exec]\nstart_pre = \"/bin/p\"\nstart = \"/bin/d\"",
    ),
    (
        "e",
        "[[socket]]\nlisten = \"stream:/run/e\"\n[exec]\nstart = \"/bin/e\"",
    ),
];

fn five(mut kernel: Fake) -> World {
    let well = program(|p| p.ends = Some(Exit::Code(0)));
    kernel.programs.insert("/bin/d".into(), well.clone());
    kernel.programs.insert("/bin/p".into(), well);
    let b = program(|p| p.writes = Some((3, b"\n".to_vec())));
    kernel.programs.insert("/bin/b".into(), b);
    let c = program(|p| p.notifies = Some("READY=1".into()));
    kernel.programs.insert("/bin/c".into(), c);
    world_on(kernel, &FIVE)
}

/// A boot, then everything dies three times, and the system goes down while the last of it is under way. Returns the calls
/// made until the boot was through, until the storm was over, and until the end.
fn live(kernel: Fake, what: &str) -> [u64; 3] {
    let panics = kernel.panic_at.is_some();
    let mut w = five(kernel);
    w.start("all");
    w.pass(200_000);
    assert_eq!(w.state("all"), "up", "{what}");
    let boot = w.kernel().calls;
    for round in 1..=3 {
        let mains = ["/bin/a", "/bin/b", "/bin/c", "/bin/e"];
        let found = mains.map(|program| w.kernel().pid_of(program));
        for (program, pid) in mains.iter().zip(found) {
            // A panic costs what it happened to.
            let states =
                ["a", "b", "c", "e"].map(|unit| (w.state(unit), w.reason(unit).to_owned()));
            assert!(
                pid.is_some() || panics,
                "{what}: no {program} in round {round}: {states:?}"
            );
            pid.into_iter()
                .for_each(|pid| w.kernel().end(pid, Exit::Signal(9)));
        }
        w.run();
        w.pass(200_000);
    }
    let storm = w.kernel().calls;
    let last = w.kernel().pid_of("/bin/c");
    last.into_iter()
        .for_each(|pid| w.kernel().end(pid, Exit::Signal(9)));
    w.all.handle(Event::StopAll);
    w.run();
    w.pass(200_000);
    assert!(w.all.core.is_quiet(), "{what}");
    let left = &w.kernel().processes;
    assert!(left.is_empty(), "{what}: {left:?}");
    [boot, storm, w.kernel().calls]
}

#[test]
fn whichever_call_fails_the_system_boots_restarts_what_dies_and_goes_down() {
    let [boot, storm, end] = live(Fake::new(), "no call fails");
    assert!(
        boot > 20 && storm > boot + 20 && end > storm,
        "{boot} {storm} {end}"
    );
    for (name, error) in ERRORS {
        for n in 1..=end {
            let mut kernel = Fake::new();
            (kernel.fail_at, kernel.error) = (Some(n), error);
            live(
                kernel,
                &format!("call {n} of {boot}, {storm}, {end} fails with {name}"),
            );
        }
    }
}

#[test]
fn whichever_call_panics_the_system_boots_restarts_what_dies_and_goes_down() {
    let [.., end] = live(Fake::new(), "no call panics");
    // Before the plan is in place a panic is caught elsewhere.
    for n in 2..=end {
        let mut kernel = Fake::new();
        kernel.panic_at = Some(n);
        live(kernel, &format!("call {n} panics"));
    }
}

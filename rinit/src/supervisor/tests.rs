//! Stories: units from text, a kernel of paper, and what people would see.

mod again;
mod care;
mod commands;
mod conditions;
mod connections;
mod life;
mod random;
mod readiness;
mod seam;
mod stops;
mod stored;
mod ties;

use rootspec::compile::{Source, compile};
use sys::fake::{Fake, Occurrence, Program};
use sys::process::Exit;

use super::{Core, Event, State, UnitId};
use crate::hands::Hands;
use crate::supervise::Supervisor;

struct World {
    all: Supervisor<Fake>,
}

/// Compiles units; a unit without an `[exec]` table gets `/bin/NAME`.
fn world(units: &[(&str, &str)]) -> World {
    world_on(Fake::new(), units)
}

fn world_on(kernel: Fake, units: &[(&str, &str)]) -> World {
    let sources: Vec<_> = units
        .iter()
        .map(|(name, text)| {
            let runs = text.contains("[exec]")
                || text.contains("[container]")
                || text.contains("\"group\"");
            let exec = if runs {
                String::new()
            } else {
                format!("[exec]\nstart = \"/bin/{name}\"\n")
            };
            Source {
                name: name.parse().unwrap(),
                file: format!("{name}.toml"),
                text: format!("schema = 1\n{text}\n{exec}"),
            }
        })
        .collect();
    let plan = compile(&sources, &[]);
    assert_eq!(plan.problems, Vec::<String>::new());
    let mut hands = Hands::new(kernel, plan.units.len(), "quiet root=/dev/x");
    hands.listen(&plan);
    let mut all = Supervisor::new(Core::new(plan, 0), hands);
    all.handle(Event::Loaded);
    World { all }
}

impl World {
    fn kernel(&mut self) -> &mut Fake {
        &mut self.all.hands.kernel
    }

    fn id(&self, name: &str) -> UnitId {
        self.all.core.plan().find(name).unwrap()
    }

    fn start(&mut self, name: &str) {
        self.all.handle(Event::Start(self.id(name)));
        self.run();
    }

    fn stop(&mut self, name: &str) {
        self.all.handle(Event::Stop(self.id(name)));
        self.run();
    }

    /// Until nothing happens by itself any more.
    fn run(&mut self) {
        for _ in 0..10_000 {
            match self.kernel().next_occurrence() {
                Some(Occurrence::Token(number)) => self.all.came(number),
                Some(Occurrence::Child) => while self.all.reap() {},
                None => return,
            }
        }
        panic!("the story does not end");
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, millis: u64) {
        let end = self.kernel().time + millis;
        while let Some(due) = self.all.core.deadline().filter(|due| *due <= end) {
            let now = self.kernel().time;
            self.kernel().time = due.max(now);
            self.all.time();
            self.run();
        }
        self.kernel().time = end;
        self.all.time();
        self.run();
    }

    fn dies(&mut self, program: &str, exit: Exit) {
        let pid = self
            .kernel()
            .pid_of(program)
            .unwrap_or_else(|| panic!("{program} does not run"));
        self.kernel().end(pid, exit);
        self.run();
    }

    fn state(&self, name: &str) -> &'static str {
        self.all.core.record(self.id(name)).state_word()
    }

    fn reason(&self, name: &str) -> &str {
        &self.all.core.record(self.id(name)).reason
    }

    fn states(&self, names: &[&str]) -> Vec<&'static str> {
        names.iter().map(|name| self.state(name)).collect()
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kernel().log)
    }
}

fn program(change: impl FnOnce(&mut Program)) -> Program {
    let mut program = Program::default();
    change(&mut program);
    program
}

#[test]
fn needs_start_first_and_stop_last() {
    let mut w = world(&[
        ("a", "[deps]\nneeds = [\"b\"]"),
        ("b", "[deps]\nneeds = [\"c\"]"),
        ("c", ""),
    ]);
    w.start("a");
    assert_eq!(w.log(), ["run /bin/c", "run /bin/b", "run /bin/a"]);
    assert_eq!(w.states(&["a", "b", "c"]), ["up", "up", "up"]);
    w.stop("c");
    assert_eq!(
        w.log(),
        ["signal 15 /bin/a", "signal 15 /bin/b", "signal 15 /bin/c"]
    );
    assert_eq!(w.states(&["a", "b", "c"]), ["down", "down", "down"]);
    assert_eq!(w.reason("a"), "stopped because it needs c");
}

#[test]
fn an_ordering_holds_only_when_both_start() {
    let mut w = world(&[
        ("a", "[deps]\nafter = [\"b\"]"),
        ("b", "[ready]\nmode = \"fd\"\n"),
        ("g", "kind = \"group\"\n[deps]\nwants = [\"a\", \"b\"]"),
    ]);
    w.start("a");
    assert_eq!(w.log(), ["run /bin/a"]);
    w.stop("a");
    w.log();
    w.start("g");
    assert_eq!(w.log(), ["run /bin/b"]);
    let b = w.kernel().pid_of("/bin/b").unwrap();
    w.kernel().write(b, 3, b"\n");
    w.run();
    assert_eq!(w.log(), ["run /bin/a"]);
    assert_eq!(w.state("g"), "up");
}

#[test]
fn a_need_that_fails_takes_its_dependents_with_it_and_says_why() {
    let mut w = world(&[
        ("a", "[deps]\nneeds = [\"b\"]"),
        ("b", "[deps]\nneeds = [\"c\"]"),
        ("c", "kind = \"oneshot\""),
        ("d", "[deps]\nwants = [\"c\"]"),
    ]);
    w.kernel()
        .programs
        .insert("/bin/c".into(), program(|p| p.ends = Some(Exit::Code(3))));
    w.start("a");
    w.start("d");
    assert_eq!(
        w.states(&["a", "b", "c", "d"]),
        ["failed", "failed", "failed", "up"]
    );
    assert_eq!(w.reason("c"), "it exited with code 3");
    assert_eq!(
        w.reason("b"),
        "needs c, which failed: it exited with code 3"
    );
    assert!(w.reason("a").starts_with("needs "), "{}", w.reason("a"));
}

#[test]
fn dependents_hold_while_a_need_restarts() {
    let mut w = world(&[("a", "[deps]\nneeds = [\"b\"]"), ("b", "")]);
    w.start("a");
    w.log();
    w.dies("/bin/b", Exit::Signal(9));
    assert_eq!(w.states(&["a", "b"]), ["up", "backoff"]);
    w.pass(200);
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
    assert_eq!(w.log(), ["run /bin/b"]);
}

#[test]
fn restarts_slow_down_and_end_at_the_limit() {
    let mut w = world(&[(
        "a",
        "[restart]\ndelay = \"100ms\"\nlimit = { count = 3, window = \"60s\" }",
    )]);
    w.start("a");
    for pause in [100, 200, 400] {
        w.dies("/bin/a", Exit::Code(1));
        assert_eq!(w.state("a"), "backoff");
        w.pass(pause - 1);
        assert_eq!(w.state("a"), "backoff");
        w.pass(1);
        assert_eq!(w.state("a"), "up");
    }
    w.dies("/bin/a", Exit::Code(1));
    assert_eq!(w.state("a"), "failed");
    assert_eq!(
        w.reason("a"),
        "it exited with code 1; it was restarted 3 times within 60 s"
    );
    w.start("a");
    assert_eq!(w.state("a"), "up");
}

#[test]
fn a_start_that_fails_at_once_is_not_tried_without_a_breath() {
    let text = "[exec]\nstart = \"/bin/a\"\nuser = \"nobody-knows\"\n\
                [restart]\ndelay = \"0ms\"\nlimit = { count = 0, window = \"1s\" }";
    let mut w = world(&[("a", text)]);
    w.start("a");
    assert_eq!(w.state("a"), "backoff");
    assert_eq!(w.reason("a"), "the user or group nobody-knows is unknown");
    w.pass(1000);
    assert_eq!(w.all.core.record(w.id("a")).restarts, 11);
}

#[test]
fn a_long_quiet_time_forgives() {
    let mut w = world(&[("a", "[restart]\nlimit = { count = 1, window = \"1h\" }")]);
    w.start("a");
    for _ in 0..5 {
        w.dies("/bin/a", Exit::Code(1));
        w.pass(200);
        w.pass(60_000);
    }
    assert_eq!(w.state("a"), "up");
}

#[test]
fn a_service_that_ends_well_is_down_unless_it_should_always_run() {
    let mut w = world(&[
        ("a", ""),
        ("b", "[restart]\npolicy = \"always\"\ndelay = \"0ms\""),
        ("c", "[restart]\nsuccess_exit = [\"HUP\", 7]"),
    ]);
    for name in ["a", "b", "c"] {
        w.start(name);
    }
    w.dies("/bin/a", Exit::Code(0));
    w.dies("/bin/b", Exit::Code(0));
    w.dies("/bin/c", Exit::Signal(1));
    assert_eq!(w.states(&["a", "b", "c"]), ["down", "up", "down"]);
}

#[test]
fn what_does_not_end_in_time_is_killed() {
    let mut w = world(&[("a", "[stop]\ntimeout = \"2s\"\nsignal = \"INT\"")]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.stubborn = true));
    w.start("a");
    w.log();
    w.stop("a");
    assert_eq!(w.log(), ["signal 2 /bin/a"]);
    w.pass(1999);
    assert_eq!(w.state("a"), "stopping");
    w.pass(1);
    assert_eq!(w.log(), ["kill group a", "signal 9 /bin/a"]);
    assert_eq!(w.state("a"), "down");
}

#[test]
fn what_a_crash_leaves_behind_is_killed_before_the_restart() {
    let mut w = world(&[("a", "[restart]\ndelay = \"0ms\"")]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.leaves = 2));
    w.start("a");
    w.log();
    w.dies("/bin/a", Exit::Signal(11));
    assert_eq!(w.log(), ["kill group a", "run /bin/a"]);
    assert_eq!(w.state("a"), "up");
}

#[test]
fn with_kill_main_others_may_outlive_the_unit() {
    let mut w = world(&[("a", "[stop]\nkill = \"main\"")]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.leaves = 2));
    w.start("a");
    w.stop("a");
    assert_eq!(w.log(), ["run /bin/a", "signal 15 /bin/a"]);
    assert_eq!(w.state("a"), "down");
}

#[test]
fn a_start_that_is_never_ready_ends_as_a_failure() {
    let mut w = world(&[(
        "a",
        "[ready]\nmode = \"notify\"\ntimeout = \"3s\"\n[restart]\npolicy = \"no\"",
    )]);
    w.start("a");
    w.pass(2999);
    assert_eq!(w.state("a"), "starting");
    w.pass(1);
    assert_eq!(
        (w.state("a"), w.reason("a")),
        ("failed", "it was not ready within 3 s")
    );
}

#[test]
fn readiness_is_told_in_four_ways() {
    let mut w = world(&[
        ("e", ""),
        ("f", "[ready]\nmode = \"fd\"\nfd = 5"),
        ("n", "[ready]\nmode = \"notify\""),
        ("o", "kind = \"oneshot\""),
    ]);
    for name in ["e", "f", "n", "o"] {
        w.start(name);
    }
    assert_eq!(
        w.states(&["e", "f", "n", "o"]),
        ["up", "starting", "starting", "starting"]
    );
    let f = w.kernel().pid_of("/bin/f").unwrap();
    w.kernel().write(f, 5, b"almost");
    w.run();
    assert_eq!(w.state("f"), "starting");
    w.kernel().write(f, 5, b"\n");
    w.kernel().send("/run/rinit/notify/n", "STATUS=warming up");
    w.run();
    assert_eq!(w.states(&["f", "n"]), ["up", "starting"]);
    assert_eq!(w.all.hands.status(w.id("n")), "warming up");
    w.kernel()
        .send("/run/rinit/notify/n", "STOPPING=0\nREADY=1");
    w.run();
    w.dies("/bin/o", Exit::Code(0));
    assert_eq!(w.states(&["n", "o"]), ["up", "up"]);
}

#[test]
fn a_program_that_cannot_be_executed_says_so() {
    let mut w = world(&[("a", "[restart]\npolicy = \"no\"")]);
    w.kernel()
        .programs
        .insert("/bin/a".into(), program(|p| p.exec_fails = Some(2)));
    w.start("a");
    assert_eq!(w.state("a"), "failed");
    assert_eq!(
        w.reason("a"),
        "cannot execute its program: No such file or directory"
    );
}

#[test]
fn ending_before_readiness_is_a_failure_even_with_code_0() {
    let mut w = world(&[("a", "[ready]\nmode = \"fd\"\n[restart]\npolicy = \"no\"")]);
    w.start("a");
    w.dies("/bin/a", Exit::Code(0));
    assert_eq!(w.reason("a"), "it exited with code 0 before it was ready");
}

#[test]
fn commands_before_and_after_run_in_order_and_a_failed_one_stops_the_start() {
    let text = "[exec]\nstart_pre = [[\"/p1\"], [\"/p2\"]]\nstart = \"/bin/a\"\nstop_post = [\"/q\"]\n[restart]\npolicy = \"no\"";
    let mut w = world(&[("a", text)]);
    let well = program(|p| p.ends = Some(Exit::Code(0)));
    for name in ["/p1", "/p2", "/q"] {
        w.kernel().programs.insert(name.into(), well.clone());
    }
    w.start("a");
    w.stop("a");
    assert_eq!(
        w.log(),
        [
            "run /p1",
            "run /p2",
            "run /bin/a",
            "signal 15 /bin/a",
            "run /q"
        ]
    );
    w.kernel()
        .programs
        .insert("/p2".into(), program(|p| p.ends = Some(Exit::Code(1))));
    w.start("a");
    assert_eq!(w.log(), ["run /p1", "run /p2", "run /q"]);
    assert_eq!(w.reason("a"), "/p2: it exited with code 1");
}

#[test]
fn a_condition_that_does_not_hold_skips_and_counts_as_met() {
    let mut w = world(&[
        ("a", "[deps]\nneeds = [\"b\"]"),
        (
            "b",
            "[condition]\npath_exists = \"/etc/b\"\ncmdline = \"!single\"",
        ),
    ]);
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "down"]);
    assert_eq!(w.reason("b"), "skipped: because not: /etc/b exists");
    w.kernel().paths.insert("/etc/b".into());
    w.start("b");
    assert_eq!(w.state("b"), "up");
}

/// A unit whose condition lies where nobody answers.
fn unanswered() -> World {
    let mut kernel = Fake::new();
    kernel.silent.insert("/srv/flag".into());
    kernel.paths.insert("/etc/flag".into());
    world_on(
        kernel,
        &[
            ("a", "[deps]\nneeds = [\"b\"]"),
            (
                "b",
                "[condition]\npath_exists = [\"/etc/flag\", \"/srv/flag\"]",
            ),
            ("c", "[deps]\nafter = [\"b\"]"),
        ],
    )
}

#[test]
fn a_path_that_is_not_answered_about_fails_its_unit_and_holds_nobody_for_long() {
    let mut w = unanswered();
    for name in ["a", "c"] {
        w.start(name);
    }
    assert_eq!(w.states(&["a", "b", "c"]), ["waiting"; 3]);
    w.pass(5_000);
    assert_eq!(w.states(&["a", "b", "c"]), ["failed", "failed", "up"]);
    assert_eq!(
        w.reason("b"),
        "cannot find out whether /etc/flag exists, /srv/flag exists: no answer within 5 s"
    );
    w.kernel().silent.clear();
    w.kernel().paths.insert("/srv/flag".into());
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
}

#[test]
fn a_unit_stops_while_its_conditions_are_looked_at() {
    let mut w = unanswered();
    w.start("b");
    w.stop("b");
    assert_eq!(w.state("b"), "down");
    w.kernel().silent.clear();
    w.start("b");
    assert_eq!(w.reason("b"), "skipped: because not: /srv/flag exists");
    w.start("b");
    w.all.handle(Event::StopAll);
    assert!(w.all.core.is_quiet());
}

#[test]
fn a_getty_waits_for_quiet_but_not_for_ever() {
    let idle = "[exec]\nidle = true\nstart = \"/bin/getty\"";
    let mut w = world(&[
        ("getty", idle),
        ("slow", "[ready]\nmode = \"fd\""),
        (
            "g",
            "kind = \"group\"\n[deps]\nwants = [\"getty\", \"slow\"]",
        ),
    ]);
    w.start("g");
    assert_eq!(w.states(&["getty", "slow"]), ["waiting", "starting"]);
    w.pass(5000);
    assert_eq!(w.state("getty"), "up");
    w.stop("getty");
    w.stop("slow");
    w.stop("g");
    w.start("g");
    let slow = w.kernel().pid_of("/bin/slow").unwrap();
    w.kernel().write(slow, 3, b"\n");
    w.run();
    assert_eq!(w.states(&["getty", "slow", "g"]), ["up", "up", "up"]);
}

const LAZY: &str = "[[socket]]\nlisten = \"stream:/run/lazy\"\n[exec]\nstart = \"/bin/lazy\"";

#[test]
fn traffic_starts_a_unit_and_again_after_it_has_ended() {
    let mut w = world(&[("lazy", LAZY)]);
    assert_eq!(w.state("lazy"), "down");
    for _ in 0..3 {
        w.kernel().connect("/run/lazy");
        w.run();
        assert_eq!(w.state("lazy"), "up");
        w.kernel().accept("/run/lazy");
        let pid = w.kernel().pid_of("/bin/lazy").unwrap();
        let env = w.kernel().processes[&pid].job.env.clone();
        assert!(
            env.contains(&"LISTEN_FDS=1".to_owned())
                && env.contains(&"LISTEN_FDNAMES=lazy".to_owned())
        );
        w.pass(5000);
        w.dies("/bin/lazy", Exit::Code(0));
        assert_eq!(w.state("lazy"), "down");
    }
}

#[test]
fn a_storm_of_starts_pauses_the_socket_and_never_kills_it() {
    let mut w = world(&[("lazy", LAZY)]);
    w.kernel().programs.insert(
        "/bin/lazy".into(),
        program(|p| p.ends = Some(Exit::Code(0))),
    );
    for _ in 0..50 {
        w.kernel().connect("/run/lazy");
        w.run();
    }
    let starts = w.log().len();
    assert!((15..=25).contains(&starts), "{starts} starts");
    w.pass(30_000);
    w.kernel().connect("/run/lazy");
    w.run();
    assert!(!w.log().is_empty());
}

#[test]
fn a_storm_is_what_the_socket_says_and_so_is_its_rest() {
    let text = LAZY.replace(
        "[exec]",
        "trigger_limit = { count = 2, window = \"1s\", pause = \"3s\" }\n[exec]",
    );
    let mut w = world(&[("lazy", &text)]);
    let ends = program(|p| p.ends = Some(Exit::Code(0)));
    w.kernel().programs.insert("/bin/lazy".into(), ends);
    w.kernel().connect("/run/lazy");
    w.run();
    assert_eq!(w.log(), ["run /bin/lazy", "run /bin/lazy"]);
    assert!(w.reason("lazy").contains("its socket rests"));
    w.pass(2_900);
    assert_eq!(w.log(), Vec::<String>::new());
    w.pass(100);
    assert_eq!(w.log(), ["run /bin/lazy", "run /bin/lazy"]);
}

#[test]
fn traffic_on_an_early_socket_waits_for_its_unit() {
    let text = "[[socket]]\nlisten = \"stream:/run/early\"\nactivate = \"early\"\n\
                [[socket]]\nlisten = \"dgram:@second\"\nactivate = \"early\"\nname = \"two\"\n\
                [exec]\nstart = \"/bin/early\"";
    let mut w = world(&[("early", text)]);
    w.kernel().connect("/run/early");
    w.run();
    assert_eq!(w.state("early"), "down");
    w.start("early");
    let pid = w.kernel().pid_of("/bin/early").unwrap();
    let env = &w.kernel().processes[&pid].job.env;
    assert!(env.contains(&"LISTEN_FDNAMES=early:two".to_owned()));
    w.stop("early");
    w.run();
    assert_eq!(w.state("early"), "down");
}

#[test]
fn a_socket_that_could_not_be_opened_does_not_give_its_name_to_another_one() {
    let text = "[[socket]]\nlisten = \"stream:/run/one\"\nname = \"one\"\n\
                [[socket]]\nlisten = \"stream:/run/two\"\nname = \"two\"\n\
                [exec]\nstart = \"/bin/both\"";
    let mut kernel = Fake::new();
    kernel.fail_at = Some(1);
    let mut w = world_on(kernel, &[("both", text)]);
    w.start("both");
    let pid = w.kernel().pid_of("/bin/both").unwrap();
    let env = &w.kernel().processes[&pid].job.env;
    assert!(env.contains(&"LISTEN_FDS=1".to_owned()), "{env:?}");
    assert!(env.contains(&"LISTEN_FDNAMES=two".to_owned()), "{env:?}");
}

#[test]
fn a_starting_unit_can_be_stopped_at_once() {
    let mut w = world(&[("a", "[ready]\nmode = \"notify\"")]);
    w.start("a");
    w.stop("a");
    assert_eq!(
        (w.state("a"), w.reason("a")),
        ("down", "stopped on request")
    );
}

#[test]
fn restarting_on_request_keeps_dependents_up() {
    let mut w = world(&[("a", "[deps]\nneeds = [\"b\"]"), ("b", "")]);
    w.start("a");
    w.log();
    w.all.handle(Event::Restart(w.id("b")));
    w.run();
    assert_eq!(w.log(), ["signal 15 /bin/b", "run /bin/b"]);
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
}

#[test]
fn the_system_goes_down_in_reverse_order_and_is_quiet_then() {
    let mut w = world(&[
        ("a", "[deps]\nneeds = [\"b\"]"),
        ("b", "[ready]\nmode = \"fd\""),
        ("c", "[deps]\nafter = [\"b\"]"),
        ("g", "kind = \"group\"\n[deps]\nwants = [\"a\", \"c\"]"),
    ]);
    w.start("g");
    let b = w.kernel().pid_of("/bin/b").unwrap();
    w.kernel().write(b, 3, b"\n");
    w.run();
    w.log();
    w.all.handle(Event::StopAll);
    w.run();
    let log = w.log();
    assert_eq!(log.last().unwrap(), "signal 15 /bin/b", "{log:?}");
    assert!(w.all.core.is_quiet());
    w.start("a");
    assert_eq!(w.state("a"), "down");
}

#[test]
fn a_container_is_created_taken_over_started_and_deleted() {
    let mut w = world(&[(
        "c",
        "kind = \"container\"\n[container]\nbundle = \"/b\"\nruntime = \"/usr/bin/crun\"\n[restart]\npolicy = \"no\"",
    )]);
    w.start("c");
    let create = w.kernel().pid_of("/usr/bin/crun").unwrap();
    // The runtime leaves a process behind, which becomes ours.
    w.kernel().files.insert(
        "/run/rinit/containers/c".into(),
        format!("{}\n", create + 1000),
    );
    let twin = w.kernel().processes[&create].clone();
    w.kernel().processes.insert(create + 1000, twin);
    w.kernel().end(create, Exit::Code(0));
    w.run();
    let log = w.log();
    assert_eq!(
        log[0],
        "run /usr/bin/crun --cgroup-manager=disabled create --bundle /b --pid-file /run/rinit/containers/c c"
    );
    assert_eq!(
        log[1],
        "run /usr/bin/crun --cgroup-manager=disabled start c"
    );
    assert_eq!(w.all.hands.main_pid(w.id("c")), Some(create + 1000));
    w.kernel().end(create + 1, Exit::Code(0));
    w.run();
    assert_eq!(w.state("c"), "up");
    w.kernel().end(create + 1000, Exit::Code(0));
    w.run();
    assert!(w.log()[0].ends_with("delete --force c"));
}

#[test]
fn a_panic_costs_the_unit_concerned_and_nobody_else() {
    let units = [("a", "[deps]\nneeds = [\"b\"]"), ("b", ""), ("c", "")];
    let mut quiet = world(&units);
    quiet.start("c");
    let calls = quiet.kernel().calls;
    let mut kernel = Fake::new();
    kernel.panic_at = Some(calls + 2);
    let mut w = world_on(kernel, &units);
    w.start("c");
    w.start("a");
    assert_eq!(w.states(&["a", "b", "c"]), ["failed", "failed", "up"]);
    assert!(
        w.reason("b").contains("a fault in rinit itself"),
        "{}",
        w.reason("b")
    );
    w.start("a");
    assert_eq!(w.states(&["a", "b"]), ["up", "up"]);
}

#[test]
fn states_have_the_words_of_the_protocol() {
    let record = super::Record {
        state: State::Backoff,
        ..super::Record::default()
    };
    assert_eq!(record.state_word(), "backoff");
}

#[test]
fn the_first_start_is_remembered_and_later_ones_are_not() {
    let mut w = world(&[
        ("a", "[deps]\nneeds = [\"b\"]"),
        ("b", "[ready]\nmode = \"fd\""),
        ("c", ""),
    ]);
    w.pass(1000);
    w.start("a");
    w.pass(70);
    let b = w.kernel().pid_of("/bin/b").unwrap();
    w.kernel().write(b, 3, b"\n");
    w.run();
    let first = |w: &World, name: &str| w.all.core.record(w.id(name)).first;
    let expected = super::model::FirstStart {
        wanted: Some(1000),
        began: Some(1070),
        settled: Some((1070, State::Up)),
    };
    assert_eq!(first(&w, "a"), expected);
    assert_eq!(first(&w, "b").began, Some(1000));
    assert_eq!(first(&w, "c"), super::model::FirstStart::default());
    w.pass(5000);
    w.stop("a");
    w.start("a");
    assert_eq!(first(&w, "a"), expected);
}

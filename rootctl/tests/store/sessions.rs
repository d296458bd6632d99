//! Edit sessions: a shell in a copy, which nothing but a person's word makes a snapshot or throws away.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sys::terminal::Size;

use super::Test;
use super::bench::{Answer, Bench, answer};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_shell_without_a_terminal_reads_commands_and_its_work_is_kept",
        kept,
    ),
    (
        "what_is_held_is_gone_on_with_until_it_is_kept_or_dropped",
        held,
    ),
    ("a_session_that_changed_nothing_leaves_nothing", unchanged),
    ("a_shell_has_a_terminal_with_size_and_signals", terminal),
    ("a_person_at_a_terminal_is_asked", asked),
    (
        "a_session_outlives_its_client_its_terminal_and_its_broker",
        killed,
    ),
    (
        "a_broker_that_dies_at_any_step_of_a_session_loses_no_work",
        cuts,
    ),
    (
        "others_change_the_store_while_somebody_works_in_a_session",
        not_alone,
    ),
    (
        "a_session_whose_snapshot_is_gone_can_be_kept",
        source_is_gone,
    ),
    ("what_cannot_be_a_snapshot_stays_a_session", cannot_be_kept),
    ("hostile_words_for_sessions_are_refused", hostile),
    ("a_damaged_session_hides_no_other", damaged),
];

/// Types a command whose standard input is `input`.
fn typed(bench: &Bench, words: &[&str], input: &str) -> Answer {
    let mut child = start(bench, words);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    answer(&child.wait_with_output().unwrap())
}

/// The same, started only.
fn start(bench: &Bench, words: &[&str]) -> Child {
    let mut command = bench.command();
    command
        .arg("--root")
        .arg(bench.top())
        .arg("--esp")
        .arg(bench.esp())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until `done`, for 60 s at most.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what}: not within 60 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ids of the processes one of whose words is `word`.
fn processes(word: &str) -> Vec<i32> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|b| *b == 0).any(|w| w == word.as_bytes()) {
            all.push(pid);
        }
    }
    all
}

/// Id of the broker that a client started.
fn broker(client: u32) -> i32 {
    let mut found = None;
    wait_until("a broker", || {
        found = processes("--serve-fd").into_iter().find(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|text| text.contains(&format!("PPid:\t{client}\n")))
        });
        found.is_some()
    });
    found.unwrap()
}

fn kill(pid: i32, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Mounts of this machine that lie in the bench's folder.
fn mounts(bench: &Bench) -> usize {
    let all = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = bench.dir.display().to_string();
    all.lines().filter(|line| line.contains(&dir)).count()
}

fn kept() {
    let bench = Bench::new("shell-kept");
    let script = "echo new > /usr/new; echo said; cat /proc/self/mounts | while read a b c; do echo at $b; done\n";
    let words = ["shell", "base", "--name", "web", "-m", "by hand", "--keep"];
    let ran = typed(&bench, &words, script).code(0);
    assert!(
        ran.out.starts_with("said\n") && ran.out.ends_with("\n2\n"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains(&bench.dir.display().to_string()),
        "{}",
        ran.out
    );
    assert!(bench.store("snaps/2/root/usr/new").exists());
    assert!(!bench.store("snaps/1/root/usr/new").exists());
    bench.rootctl(&["snap", "show", "web"]).code(0).says(&[
        "parent  1",
        "shell: session of root",
        "by hand",
    ]);
    bench.rootctl(&["session", "list"]).code(0);
    assert!(
        std::fs::read_dir(bench.store("sessions"))
            .unwrap()
            .next()
            .is_none()
    );
    bench.rootctl(&["snap", "verify", "2"]).code(0);
    bench.rootctl(&["doctor"]).code(0);
    bench.rootctl(&["deploy", "web"]).code(0);
    bench.must_boot();
    // A command instead of a shell, and its words as they are.
    let words = [
        "shell",
        "web",
        "--discard",
        "--",
        "sh",
        "-c",
        "echo \"$1\"; exit 7",
        "x",
        "a  b",
    ];
    typed(&bench, &words, "").code(0).says(&["a  b\n"]);
    let words = [
        "--json",
        "shell",
        "web",
        "--discard",
        "--",
        "sh",
        "-c",
        "exit 7",
    ];
    typed(&bench, &words, "")
        .code(0)
        .says(&["\"exit\": 7", "\"outcome\": \"discarded\""]);
    bench
        .rootctl(&["log"])
        .code(0)
        .says(&["shell base", "session keep 2", "session drop 3"]);
}

fn held() {
    let bench = Bench::new("shell-held");
    let words = ["shell", "1", "--name", "web"];
    typed(&bench, &words, "echo one > /usr/one; echo x > /etc/x\n")
        .code(0)
        .says(&["session 2 stays", "session resume 2"]);
    bench.rootctl(&["session", "list"]).code(0).says(&[
        "held",
        "web",
        "root",
        "1 added in /etc; 1 added elsewhere",
    ]);
    assert_eq!(bench.status("sessions"), "1");
    // Its number is taken, and it is no snapshot.
    assert_eq!(bench.rootctl(&["snap", "new"]).code(0).out, "3\n");
    bench.rootctl(&["snap", "show", "2"]).code(1);
    bench.rootctl(&["doctor"]).code(0);
    bench.rootctl(&["doctor", "--fix"]).code(0);
    typed(
        &bench,
        &["session", "resume", "web", "--hold"],
        "cat /usr/one; echo two > /usr/two\n",
    )
    .code(0)
    .says(&["one\n"]);
    bench
        .rootctl(&["-n", "session", "keep", "2"])
        .code(0)
        .says(&[
            "nothing was changed",
            "publish it, read-only, as snapshot 2",
        ]);
    bench
        .rootctl(&["-n", "session", "drop", "2"])
        .code(0)
        .says(&["nothing was changed", "throw away session 2"]);
    bench
        .rootctl(&["-n", "shell", "1"])
        .code(0)
        .says(&["nothing was changed", "as session 4, writable"]);
    bench
        .rootctl(&["session", "keep", "web", "--name", "shop"])
        .code(0)
        .says(&["2\n"]);
    assert!(bench.store("snaps/2/root/usr/two").exists());
    bench.rootctl(&["snap", "show", "shop"]).code(0);
    bench
        .rootctl(&["session", "keep", "2"])
        .code(1)
        .says(&["no session", "rootctl session list"]);
    typed(&bench, &["shell", "2", "--hold"], "rm /usr/two\n").code(0);
    bench.rootctl(&["session", "drop", "4"]).code(0);
    assert_eq!(bench.status("sessions"), "");
    assert_eq!(bench.status("snapshots"), "3");
}

fn unchanged() {
    let bench = Bench::new("shell-same");
    typed(
        &bench,
        &["shell", "1"],
        "cat /etc/passwd; touch /run/x /tmp/x\n",
    )
    .code(0)
    .says(&["nothing was changed"]);
    assert_eq!(bench.status("sessions"), "");
    assert_eq!(bench.status("snapshots"), "1");
}

/// A client at a terminal of its own.
struct Person {
    client: Child,
    terminal: File,
    seen: String,
}

impl Person {
    fn new(bench: &Bench, words: &[&str]) -> Self {
        let size = Size {
            rows: 33,
            columns: 101,
        };
        let pair = sys::terminal::pair(size).unwrap();
        let slave = || {
            let opened = File::options().read(true).write(true).open(&pair.slave);
            Stdio::from(opened.unwrap())
        };
        // A session and a controlling terminal of its own, as at a login.
        let mut command = Command::new("setsid");
        command
            .args(["--ctty", env!("CARGO_BIN_EXE_rootctl"), "--root"])
            .arg(bench.top())
            .arg("--esp")
            .arg(bench.esp())
            .args(words)
            .env("ROOTCTLD", env!("CARGO_BIN_EXE_rootctld"))
            .env("ROOTCTL_BOOT_REPORT", bench.report())
            .env("NO_COLOR", "1")
            .env("TERM", "vt100")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave());
        let client = command.spawn().unwrap();
        drop(command);
        sys::terminal::never_wait(&pair.master).unwrap();
        Self {
            client,
            terminal: File::from(pair.master),
            seen: String::new(),
        }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the terminal shows `text`, behind what was waited for before; gives what it showed until then.
    #[track_caller]
    fn sees(&mut self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            assert!(Instant::now() < end, "not seen: {text:?}\n{}", self.seen);
            let mut buffer = [0; 4096];
            match self.terminal.read(&mut buffer) {
                Ok(count) => self
                    .seen
                    .push_str(&String::from_utf8_lossy(&buffer[..count])),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// The terminal is closed under the client.
    fn hangs_up(mut self) -> Self {
        self.terminal = File::open("/dev/null").unwrap();
        self
    }

    fn resize(&self, rows: u16, columns: u16) {
        sys::terminal::set_size(&self.terminal, Size { rows, columns }).unwrap();
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // After a failure; the broker ends with its client.
        drop(self.client.kill());
        drop(self.client.wait());
    }
}

fn terminal() {
    let bench = Bench::new("shell-tty");
    let mut person = Person::new(&bench, &["shell", "1"]);
    // What is printed differs from what was typed, so that the echo does not count.
    person.types("echo re''ady $TERM $ROOTCTL_SESSION; busybox tty; busybox stty size\n");
    person.sees("ready vt100 2");
    person.sees("/dev/pts/0");
    person.sees("33 101");
    person.resize(40, 90);
    // The signal and the command travel on different ways.
    wait_until("the new size", || {
        person.types("busybox stty size; echo e''nd\n");
        person.sees("end\r\n").contains("40 90")
    });
    // Ctrl-C ends what runs in the foreground, and not the shell.
    person.types("echo sl''eeps; sleep 7654321\n");
    person.sees("sleeps");
    wait_until("the sleeper", || !processes("7654321").is_empty());
    person.types("\x03");
    wait_until("its end", || processes("7654321").is_empty());
    // Job control: Ctrl-Z stops it, and the shell has the terminal back.
    person.types("echo sl''eeps; sleep 7654322\n");
    person.sees("sleeps");
    wait_until("the sleeper", || !processes("7654322").is_empty());
    person.types("\x1a");
    person.types("jobs; echo s''till here\n");
    person.sees("Stopped");
    person.sees("still here");
    // `wait` would not wait for a job that the shell still takes for stopped.
    person.types("kill -9 %1; fg; touch /usr/by-hand; exit\n");
    person.sees("changed: 1 added elsewhere");
    person.types("h\n");
    person.sees("session 2 stays");
    assert!(person.client.wait().unwrap().success());
    bench.rootctl(&["session", "drop", "2"]).code(0);
}

fn asked() {
    let bench = Bench::new("shell-asked");
    let mut person = Person::new(&bench, &["shell", "1"]);
    person.types("touch /usr/a; false\n");
    // The last command failed; that decides nothing.
    person.types("exit\n");
    person.sees("[keep/discard/hold] (keep) ");
    person.types("what\n");
    person.sees("[keep/discard/hold] (keep) ");
    person.types("\n");
    person.sees("publish snapshot 2");
    assert!(person.client.wait().unwrap().success());
    assert!(bench.store("snaps/2/root/usr/a").exists());
    let mut person = Person::new(&bench, &["shell", "1"]);
    person.types("touch /usr/b; kill -9 $$\n");
    person.sees("(hold) ");
    person.types("d\n");
    assert!(person.client.wait().unwrap().success());
    assert_eq!(
        (bench.status("snapshots"), bench.status("sessions")),
        ("2".into(), String::new())
    );
}

fn killed() {
    let bench = Bench::new("shell-killed");
    // A root whose resolv.conf has to be put there: a killed stage leaves it.
    std::fs::remove_file(bench.root().join("etc/resolv.conf")).ok();
    let before = mounts(&bench);
    for (number, victim) in ["client", "broker", "stage", "terminal"].iter().enumerate() {
        let marker = format!("{}{number}", std::process::id());
        let script = format!("touch /usr/{victim}; sleep {marker} & sleep {marker}; echo never\n");
        let id = 2 + number;
        let mut person = None;
        let mut client = None;
        if *victim == "terminal" {
            let person = person.insert(Person::new(&bench, &["shell", "1"]));
            person.types(&script);
        } else {
            let client = client.insert(start(&bench, &["shell", "1"]));
            let input = client.stdin.as_mut().unwrap();
            input.write_all(script.as_bytes()).unwrap();
        }
        let typist = client.as_ref().or(person.as_ref().map(|p| &p.client));
        let typist = typist.unwrap().id();
        wait_until("the programs", || processes(&marker).len() == 2);
        let broker = broker(typist);
        match *victim {
            "client" => kill(i32::try_from(typist).unwrap(), "-9"),
            "broker" => kill(broker, "-9"),
            "stage" => {
                let dir = bench.store(&format!("sessions/{id}/root"));
                let stage = processes("enter").into_iter().find(|pid| {
                    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                    String::from_utf8_lossy(&line).contains(&dir.display().to_string())
                });
                kill(stage.unwrap(), "-9");
            }
            // The window is closed.
            _ => person = person.map(Person::hangs_up),
        }
        if let Some(mut client) = client {
            drop(client.stdin.take());
            let said = answer(&client.wait_with_output().unwrap());
            match *victim {
                "broker" => drop(said.code(1).says(&[
                    &format!("session {id} stays as it is"),
                    &format!("next: rootctl session resume {id}"),
                ])),
                "stage" => drop(said.code(0).says(&[&format!("session {id} stays")])),
                _ => assert_ne!(said.code, 0, "{said:?}"),
            }
        }
        if let Some(person) = &mut person {
            assert!(!person.client.wait().unwrap().success());
        }
        wait_until("the end of all programs", || {
            processes(&marker).is_empty() && !processes("--serve-fd").contains(&broker)
        });
        assert_eq!(mounts(&bench), before, "{victim}");
        bench.rootctl(&["session", "list"]).code(0).says(&["held"]);
        let look = format!("echo found /usr/{victim}; cat /usr/{victim}\n");
        typed(
            &bench,
            &["session", "resume", &id.to_string(), "--keep"],
            &look,
        )
        .code(0)
        .says(&["found"]);
        assert!(
            bench
                .store(&format!("snaps/{id}/root/usr/{victim}"))
                .exists()
        );
        assert!(
            !bench
                .store(&format!("snaps/{id}/root/etc/resolv.conf"))
                .exists(),
            "{victim}: what was put there for the shell has stayed"
        );
    }
    assert_eq!(bench.status("sessions"), "");
}

fn cuts() {
    let bench = Bench::new("shell-cuts");
    let die = |at| [("ROOTCTLD_DIE_AT", at)];
    // While it begins: nobody has worked in it yet.
    for (at, is_there) in [
        ("T1-recorded", false),
        ("T2-begun", true),
        ("T5-entered", true),
    ] {
        let words = ["shell", "1", "--hold", "--", "true"];
        bench.rootctl_with(&words, &die(at)).code(1);
        assert_eq!(
            bench.rootctl(&["snap", "new"]).code(0).err,
            if is_there {
                ""
            } else {
                "- threw away 1 unfinished snapshots\n"
            },
            "{at}"
        );
        let all = bench.rootctl(&["session", "list", "--json"]).code(0).out;
        assert_eq!(all.contains("\"id\""), is_there, "{at}: {all}");
        bench.rootctl(&["doctor"]).code(0);
        if is_there {
            let id = all
                .split("\"id\": ")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap();
            bench.rootctl(&["session", "drop", id]).code(0);
        }
    }
    // While it is kept: it is a session, or a snapshot, and never neither.
    for at in ["S5-sealed", "S6-synced", "S7-published", "T3-kept"] {
        typed(
            &bench,
            &["shell", "1", "--name", "cut"],
            "echo work > /usr/work\n",
        )
        .code(0);
        bench
            .rootctl_with(&["session", "keep", "cut"], &die(at))
            .code(1);
        let is_snapshot = bench.rootctl(&["snap", "show", "cut"]).code == 0;
        assert_eq!(is_snapshot, at == "S7-published" || at == "T3-kept", "{at}");
        bench.rootctl(&["doctor", "--fix"]).code(0);
        if !is_snapshot {
            typed(
                &bench,
                &["session", "resume", "cut", "--keep"],
                "echo more >> /usr/work\n",
            )
            .code(0);
        }
        let id = bench
            .rootctl(&["snap", "show", "cut", "--json"])
            .code(0)
            .out;
        let id = id
            .split("\"id\": ")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap()
            .to_owned();
        let work = std::fs::read_to_string(bench.store(&format!("snaps/{id}/root/usr/work")));
        assert!(work.unwrap().starts_with("work\n"), "{at}");
        bench.rootctl(&["snap", "verify", "cut"]).code(0);
        assert_eq!(bench.status("sessions"), "", "{at}");
        bench.rootctl(&["snap", "delete", "--now", &id]).code(0);
    }
    // While it is dropped.
    typed(
        &bench,
        &["shell", "1", "--name", "cut"],
        "echo work > /usr/work\n",
    )
    .code(0);
    bench
        .rootctl_with(&["session", "drop", "cut"], &die("T4-dropped"))
        .code(1);
    bench.rootctl(&["doctor", "--fix"]).code(0);
    assert_eq!(bench.status("sessions"), "");
    for folder in ["tmp", "sessions"] {
        assert!(
            std::fs::read_dir(bench.store(folder))
                .unwrap()
                .next()
                .is_none()
        );
    }
}

fn not_alone() {
    let bench = Bench::new("shell-busy");
    let mut one = start(&bench, &["shell", "1", "--keep"]);
    let mut input = one.stdin.take().unwrap();
    let marker = format!("{}88", std::process::id());
    input
        .write_all(format!("echo a > /usr/a; sleep {marker}\n").as_bytes())
        .unwrap();
    wait_until("the shell", || !processes(&marker).is_empty());
    bench.rootctl(&["session", "list"]).code(0).says(&["open"]);
    bench
        .rootctl(&["session", "resume", "2", "--", "true"])
        .code(4)
        .says(&["somebody works in session 2"]);
    for words in [&["session", "drop", "2"][..], &["session", "keep", "2"]] {
        bench
            .rootctl(words)
            .code(4)
            .says(&["somebody works in session 2"]);
    }
    // The store is free: snapshots are made, deployed, deleted; another session begins.
    assert_eq!(bench.rootctl(&["snap", "new", "other"]).code(0).out, "3\n");
    bench.rootctl(&["deploy", "other"]).code(0);
    typed(&bench, &["shell", "1", "--keep"], "echo b > /usr/b\n")
        .code(0)
        .says(&["4\n"]);
    bench.rootctl(&["doctor", "--fix"]).code(0);
    for pid in processes(&marker) {
        kill(pid, "-9");
    }
    drop(input);
    let said = answer(&one.wait_with_output().unwrap()).code(0);
    assert!(said.out.ends_with("2\n"), "{}", said.out);
    assert!(
        bench.store("snaps/2/root/usr/a").exists() && bench.store("snaps/4/root/usr/b").exists()
    );
}

fn source_is_gone() {
    let bench = Bench::new("shell-orphan");
    bench.rootctl(&["snap", "new", "source"]).code(0);
    typed(
        &bench,
        &["shell", "source", "--name", "web"],
        "echo x > /usr/x\n",
    )
    .code(0);
    bench
        .rootctl(&["snap", "delete", "--now", "source"])
        .code(0);
    bench
        .rootctl(&["session", "list"])
        .code(0)
        .says(&["held", "?"]);
    bench
        .rootctl(&["session", "keep", "web"])
        .code(0)
        .says(&["build the initramfs", "3\n"]);
    bench.rootctl(&["deploy", "web"]).code(0);
    bench.must_boot();
    bench.rootctl(&["snap", "verify", "web"]).code(0);
}

fn cannot_be_kept() {
    let bench = Bench::new("shell-broken");
    typed(
        &bench,
        &["shell", "1", "--keep"],
        "mv /usr/bin/rinit /usr/rinit\n",
    )
    .code(3)
    .says(&["stays a session", "no program /usr/bin/rinit"]);
    assert_eq!(bench.status("snapshots"), "1");
    typed(
        &bench,
        &["session", "resume", "2", "--keep"],
        "mv /usr/rinit /usr/bin/rinit\n",
    )
    .code(0);
    assert_eq!(bench.status("snapshots"), "2");
    let no_shell = typed(
        &bench,
        &["shell", "1", "--hold", "--", "/no/such/program"],
        "",
    );
    no_shell.code(0).says(&["session 3 stays"]);
}

fn hostile() {
    let bench = Bench::new("shell-hostile");
    let long = "x".repeat(4096);
    for bad in ["../1", "1/root", "a\nb", "", "~1", "@x", &long] {
        let target = bench.rootctl(&["shell", bad, "--", "true"]);
        assert!([1, 2].contains(&target.code), "{bad:?}: {target:?}");
        for verb in ["keep", "drop", "resume"] {
            let said = bench.rootctl(&["session", verb, bad]);
            assert!([1, 2].contains(&said.code), "{verb} {bad:?}: {said:?}");
            assert!(said.err.len() < 600, "{}", said.err);
        }
        if !bad.is_empty() {
            bench
                .rootctl(&["shell", "1", "--name", bad, "--", "true"])
                .code(2);
        }
    }
    bench
        .rootctl(&["shell", "1", "-m", "a\nb", "--", "true"])
        .code(2);
    bench.rootctl(&["shell", "1", "--hold", "--", ""]).code(2);
    let mut command = bench.command();
    command
        .arg("--root")
        .arg(bench.top())
        .arg("shell")
        .arg(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    answer(&command.output().unwrap()).code(2);
    bench.rootctl(&["shell", "1", "--hold"]).code(0);
    bench.rootctl(&["session", "drop", "2", "2"]).code(0);
    assert_eq!(bench.status("sessions"), "");
    assert!(
        std::fs::read_dir(bench.store("tmp"))
            .unwrap()
            .next()
            .is_none()
    );
}

fn damaged() {
    let bench = Bench::new("shell-damaged");
    for name in ["one", "two", "three"] {
        typed(&bench, &["shell", "1", "--name", name], "echo x > /usr/x\n").code(0);
    }
    std::fs::write(bench.store("sessions/2.toml"), "schema = 1\nid = \"\0").unwrap();
    std::fs::write(bench.store("sessions/3.toml"), "schema = 99\n").unwrap();
    bench
        .rootctl(&["session", "list"])
        .code(0)
        .says(&["damaged", "three", "held"]);
    for id in ["2", "3"] {
        bench
            .rootctl(&["session", "resume", id, "--", "true"])
            .code(3)
            .says(&["is damaged"]);
        bench.rootctl(&["session", "keep", id]).code(3);
    }
    assert!(
        bench.store("sessions/2/root/usr/x").exists(),
        "the work is there"
    );
    bench.rootctl(&["session", "drop", "2", "3"]).code(0);
    bench.rootctl(&["session", "keep", "three"]).code(0);
}

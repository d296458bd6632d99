//! The running system's way: the broker behind a socket, everyone may look, some may change, one at a time.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Test;
use super::bench::Bench;

pub(crate) const TESTS: &[Test] = &[
    (
        "an_activated_broker_serves_everyone_and_lets_root_change",
        activated,
    ),
    ("two_changes_at_once_are_one_change_and_one_busy", busy),
    (
        "requests_that_are_too_large_or_no_requests_are_refused",
        bad_requests,
    ),
    ("varlinks_own_questions_are_answered", introspection),
    ("however_many_connections_others_hold_root_gets_in", crowded),
    ("a_client_that_goes_away_does_not_end_the_work", client_gone),
    (
        "a_broker_that_is_killed_takes_its_command_along",
        broker_killed,
    ),
];

/// A broker started as `rinit` starts it: descriptor 3 listens. Its system is "the running one", on our image.
struct Broker {
    child: Child,
    socket: PathBuf,
}

impl Broker {
    fn start(bench: &Bench, more: &[&str]) -> Self {
        bench.booted(1);
        let text = std::fs::read_to_string(bench.report()).unwrap();
        let device = loop_device(bench);
        std::fs::write(
            bench.report(),
            format!("root_device = \"{device}\"\n{text}"),
        )
        .unwrap();
        let socket = bench.dir.join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        // Only a shell can give a child descriptor 3 without unsafe code. Its own /run keeps the host's clean.
        let script =
            "mount -t tmpfs tmpfs /run && exec 3<&0 </dev/null && LISTEN_FDS=1 exec \"$0\" \"$@\"";
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_rootctld"))
            .arg("--esp")
            .arg(bench.esp())
            .args(more)
            .env("ROOTCTL_BOOT_REPORT", bench.report())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    fn ask(&self, request: &str) -> String {
        ask(&mut UnixStream::connect(&self.socket).unwrap(), request)
    }

    /// The same as another user.
    fn ask_as(&self, user: u32, group: u32, request: &str) -> String {
        let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(sys.argv[2].encode()+b'\\0')\nb=b''\nwhile not b.endswith(b'\\0'):\n c=s.recv(65536)\n if not c: break\n b+=c\nprint(b.decode())\n";
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(&self.socket)
            .arg(request)
            .uid(user)
            .gid(group)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn loop_device(bench: &Bench) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let top = bench.top().display().to_string();
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(&top))
        .unwrap();
    line.split(' ').next().unwrap().to_owned()
}

fn send(stream: &mut UnixStream, request: &str) {
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"\0").unwrap();
}

fn receive(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap_or(0) == 1 && byte[0] != 0 {
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn ask(stream: &mut UnixStream, request: &str) -> String {
    send(stream, request);
    receive(stream)
}

/// One call of a broker of its own, started as `rootctl` starts it.
#[track_caller]
pub(crate) fn call(
    bench: &Bench,
    method: &str,
    parameters: &serde_json::Value,
) -> serde_json::Value {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rootctld"));
    command
        .args(["--serve-fd", "0", "--root"])
        .arg(bench.top())
        .arg("--esp")
        .arg(bench.esp())
        .env("ROOTCTL_BOOT_REPORT", bench.report())
        .stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut child = command.spawn().unwrap();
    drop(command);
    let request = serde_json::json!({ "method": method, "parameters": parameters });
    let answer = ask(&mut ours, &request.to_string());
    drop(ours);
    child.wait().unwrap();
    let mut answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer["parameters"].take()
}

fn activated() {
    let bench = Bench::new("socket");
    let broker = Broker::start(&bench, &[]);
    let status = broker.ask(r#"{"method":"org.rootctl.Store.Status"}"#);
    assert!(
        status.contains("\"booted\":1") && status.contains("\"good\":1"),
        "{status}"
    );
    let made = broker.ask(r#"{"method":"org.rootctl.Store.New","parameters":{"name":"x"}}"#);
    assert!(made.contains("\"id\":2"), "{made}");
    let done = broker.ask(r#"{"method":"org.rootctl.Store.Deploy","parameters":{"target":"x"}}"#);
    assert!(done.contains("\"steps\""), "{done}");
    assert_eq!(bench.menu(), [1, 2]);
    let list = broker.ask_as(54_321, 54_321, r#"{"method":"org.rootctl.Store.List"}"#);
    assert!(list.contains("\"name\":\"x\""), "{list}");
    let no = broker.ask_as(54_321, 54_321, r#"{"method":"org.rootctl.Store.New"}"#);
    assert!(
        no.contains("org.rootctl.Store.Refused") && no.contains("may only look"),
        "{no}"
    );
    // One connection serves any number of requests.
    let mut one = UnixStream::connect(&broker.socket).unwrap();
    for _ in 0..3 {
        let status = ask(&mut one, r#"{"method":"org.rootctl.Store.Status"}"#);
        assert!(status.contains("\"good\":1"), "{status}");
    }
    drop(one);
    let run = r#"{"method":"org.rootctl.Store.Run","parameters":{"target":"1","argv":["sh","-c","mkdir -m 700 /usr/own /usr/all; echo x > /usr/own/secret; chmod 755 /usr/all; echo x > /usr/all/plain"]}}"#;
    let made = broker.ask(run);
    assert!(made.contains("\"id\":3"), "{made}");
    let diff = r#"{"method":"org.rootctl.Store.Diff","parameters":{"to":"3"}}"#;
    let mine = broker.ask(diff);
    assert!(
        mine.contains("/usr/own/secret") && mine.contains("\"hidden\":false"),
        "{mine}"
    );
    let theirs = broker.ask_as(54_321, 54_321, diff);
    assert!(theirs.contains("/usr/all/plain"), "{theirs}");
    assert!(
        !theirs.contains("secret") && theirs.contains("\"hidden\":true"),
        "{theirs}"
    );
    bench.rootctl(&["snap", "delete", "-y", "3"]).code(0);
    assert_eq!(bench.status("snapshots"), "2");
    // Nothing of the broker's mounts is visible outside.
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains("/run/rootctl/top"));
}

fn busy() {
    let bench = Bench::new("busy");
    let broker = Broker::start(&bench, &[]);
    let mut long = UnixStream::connect(&broker.socket).unwrap();
    send(
        &mut long,
        r#"{"method":"org.rootctl.Store.Run","more":true,"parameters":{"target":"1","argv":["sh","-c","echo started; while [ ! -e /var/go ]; do sleep 0.1; done"]}}"#,
    );
    while !receive(&mut long).contains("started") {}
    // While a command runs others change the store; the copy it works in is out of their reach.
    let second = broker.ask(r#"{"method":"org.rootctl.Store.New"}"#);
    assert!(second.contains("\"id\":3"), "{second}");
    bench.rootctl(&["session", "list"]).code(0).says(&["runs"]);
    for verb in ["drop", "keep", "resume"] {
        bench
            .rootctl(&["session", verb, "2"])
            .code(4)
            .says(&["somebody works in session 2"]);
    }
    // Both ways to the store meet the same lock; looking needs none.
    let held = sys::fs::FileLock::take(bench.store("lock")).unwrap();
    std::fs::write(bench.store("lock"), "process 7: deploy\n").unwrap();
    let second = broker.ask(r#"{"method":"org.rootctl.Store.New"}"#);
    assert!(
        second.contains("org.rootctl.Store.Busy") && second.contains(": deploy"),
        "{second}"
    );
    bench
        .rootctl(&["snap", "new"])
        .code(4)
        .says(&["is being changed by process 7: deploy", "wait"]);
    bench.rootctl(&["status"]).code(0);
    assert!(
        broker
            .ask(r#"{"method":"org.rootctl.Store.Status"}"#)
            .contains("\"good\":1")
    );
    // The command ends, and waits for its turn rather than lose its work.
    std::fs::write(bench.store("sessions/2/root/var/go"), "").unwrap();
    drop(held);
    let mut last = receive(&mut long);
    while last.contains("continues") {
        last = receive(&mut long);
    }
    assert!(last.contains("\"id\":2"), "{last}");
    bench.rootctl(&["snap", "new"]).code(0);
}

fn bad_requests() {
    let bench = Bench::new("requests");
    let broker = Broker::start(&bench, &[]);
    for bad in ["hello", "[]", "{}", r#"{"method":7}"#] {
        let answer = broker.ask(bad);
        assert!(
            answer.contains("Usage") || answer.is_empty(),
            "{bad}: {answer}"
        );
    }
    let mut stream = UnixStream::connect(&broker.socket).unwrap();
    let large = vec![b' '; 70_000];
    drop(stream.write_all(&large));
    assert!(receive(&mut stream).contains("at most 65536 bytes"));
    let upgrade = broker.ask(r#"{"method":"org.rootctl.Store.Status","upgrade":true}"#);
    assert!(upgrade.contains("Usage"), "{upgrade}");
    let unknown = broker.ask(r#"{"method":"org.rootctl.Store.Format"}"#);
    assert!(
        unknown.contains("org.varlink.service.MethodNotFound"),
        "{unknown}"
    );
    // Unknown fields are for newer brokers.
    let fine = broker
        .ask(r#"{"method":"org.rootctl.Store.Show","parameters":{"target":"1","colour":"red"}}"#);
    assert!(fine.contains("\"id\":1"), "{fine}");
}

fn introspection() {
    let bench = Bench::new("varlink");
    let broker = Broker::start(&bench, &[]);
    let info = broker.ask(r#"{"method":"org.varlink.service.GetInfo"}"#);
    assert!(info.contains("org.rootctl.Store"), "{info}");
    let text = broker.ask(
        r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.rootctl.Store"}}"#,
    );
    assert!(text.contains("interface org.rootctl.Store"), "{text}");
}

/// Another user who holds as many connections as it gets.
struct Holder {
    child: Child,
    /// How many were served, and how many turned away.
    served: usize,
    refused: usize,
}

impl Holder {
    fn new(broker: &Broker, user: u32, tries: usize) -> Self {
        let script = "\
import socket, sys
held, refused = [], 0
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    answer = b''
    try:
        s.sendall(b'{\"method\":\"org.varlink.service.GetInfo\"}\\0')
    except BrokenPipeError:
        pass
    while not answer.endswith(b'\\0'):
        piece = s.recv(65536)
        if not piece:
            break
        answer += piece
    if b'org.rootctl.Store.Busy' in answer and b'next' in answer:
        refused += 1
    elif b'rootctld' in answer:
        held.append(s)
print(len(held), refused, flush=True)
sys.stdin.read()
";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(&broker.socket)
            .arg(tries.to_string())
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap());
        Self {
            served: numbers.next().unwrap(),
            refused: numbers.next().unwrap(),
            child,
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn crowded() {
    let bench = Bench::new("crowded");
    let broker = Broker::start(&bench, &[]);
    let first = Holder::new(&broker, 54_321, 40);
    assert_eq!((first.served, first.refused), (8, 32), "one user");
    let more: Vec<Holder> = (54_322..54_327)
        .map(|user| Holder::new(&broker, user, 8))
        .collect();
    let served: Vec<usize> = more.iter().map(|holder| holder.served).collect();
    assert_eq!(served, [8, 8, 8, 0, 0], "all users but root");
    for _ in 0..3 {
        let status = broker.ask(r#"{"method":"org.rootctl.Store.Status"}"#);
        assert!(status.contains("\"good\":1"), "{status}");
    }
    let made = broker.ask(r#"{"method":"org.rootctl.Store.New"}"#);
    assert!(made.contains("\"id\":2"), "{made}");
}

fn client_gone() {
    let bench = Bench::new("gone");
    let broker = Broker::start(&bench, &[]);
    let mut stream = UnixStream::connect(&broker.socket).unwrap();
    send(
        &mut stream,
        r#"{"method":"org.rootctl.Store.Run","more":true,"parameters":{"target":"1","argv":["sh","-c","echo started; sleep 1; echo more"]}}"#,
    );
    while !receive(&mut stream).contains("started") {}
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.status("snapshots") != "2" {
        assert!(Instant::now() < deadline, "the work was given up");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn broker_killed() {
    let bench = Bench::new("killed");
    let mut command = bench.command();
    command
        .arg("--root")
        .arg(bench.top())
        .arg("--esp")
        .arg(bench.esp());
    command.args(["run", "1", "--", "sh", "-c", "echo started; sleep 600"]);
    let mut client = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = [0; 8];
    client.stdout.take().unwrap().read_exact(&mut out).unwrap();
    let holder = std::fs::read_to_string(bench.store("lock")).unwrap();
    let broker = holder.split([' ', ':']).nth(1).unwrap().to_owned();
    super::bench::shell(&format!("kill -9 {broker}"));
    assert!(!client.wait().unwrap().success());
    // Its root is no longer in use by anything, so the next change can throw it away.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        bench.rootctl(&["snap", "new"]).code(0);
        let is_empty = |folder| {
            let mut left = std::fs::read_dir(bench.store(folder)).unwrap();
            left.next().is_none()
        };
        if is_empty("tmp") && is_empty("sessions") {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "something still uses the unfinished snapshot"
        );
    }
}

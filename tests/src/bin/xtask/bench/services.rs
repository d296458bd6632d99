//! Many services that run: started, killed, stopped and asked about, in namespaces. rinit against a program that only
//! starts them, against the bare socket, and against dinit where there is one. All times come from the stamps of the
//! services, but for those of whole commands.

use super::class::RealTime;
use super::processes::{self, Supervisor};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::bench::board::{self, BOARD, Stamp};
use tests::bench::graph::{DUMMY, Service};
use tests::ns::{Namespace, Recipe};
use tests::{programs, run, say, varlink};

/// For anything that is waited for.
const SOON: Duration = Duration::from_secs(120);
/// Between two deaths: nothing of the one before is still under way.
const PAUSE: Duration = Duration::from_millis(20);
const SOCKET: &str = "/run/rinit/control.sock";
/// Requests on one connection, and runs of the whole command.
const REQUESTS: u32 = 2000;
const COMMANDS: usize = 200;

/// Options of `cargo xtask bench services`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How many services
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// How often each
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How many single deaths per run
    #[arg(long, default_value_t = 100)]
    deaths: usize,
    /// Measure in the real-time class: for a host that has other work to do
    #[arg(long)]
    rt: bool,
    /// Folder with dinit and dinitctl, if they are not in PATH
    #[arg(long, value_name = "DIR")]
    dinit: Option<PathBuf>,
}

/// Who is measured: its root, and how its commands are called.
struct Contender {
    name: &'static str,
    recipe: Recipe,
    start: Vec<String>,
    stop: Vec<String>,
    status: Vec<String>,
}

/// What one contender took; milliseconds.
#[derive(Default)]
struct Times {
    start: Vec<f64>,
    death: Vec<f64>,
    all_killed: Vec<f64>,
    stop: Vec<f64>,
    status: Vec<f64>,
    memory: Vec<f64>,
}

pub(super) fn services(options: &Options) -> Result<()> {
    let limit = limit(options.count)?;
    let mut contenders = vec![(rinit(options.count)?, Times::default())];
    match dinit_folder(options.dinit.as_deref()) {
        Some(folder) => contenders.push((dinit(&folder, options.count)?, Times::default())),
        None => say::line("dinit is not in PATH, nor named by --dinit: no peer is measured"),
    }
    let mut limits = Vec::new();
    for _ in 0..options.runs.max(1) {
        limits.push(only_started(&limit, options).context("the contender limit")?);
        for (contender, times) in &mut contenders {
            let measured = measure(contender, times, options);
            measured.with_context(|| format!("the contender {}", contender.name))?;
        }
    }
    let (count, runs) = (options.count, options.runs.max(1));
    let class = if options.rt { ", real-time class" } else { "" };
    say::line(&format!("{count} services, {runs} runs in turns{class}"));
    let limit = middle(&mut limits, 50);
    say::line(&format!(
        "limit: started by a program that does only that: {limit:.1} ms"
    ));
    let mut first: Option<Vec<f64>> = None;
    for (contender, times) in &mut contenders {
        let rows = rows(times);
        say::line(&format!("{}, medians", contender.name));
        for (at, (what, value, unit)) in rows.iter().enumerate() {
            let to_first = first.as_ref().and_then(|first| first.get(at));
            let ratio = to_first.map_or(String::new(), |first| {
                format!("  rinit / this {:.2}", first / value)
            });
            say::line(&format!("  {what:<36} {value:>9.2} {unit}{ratio}"));
        }
        let values = rows.into_iter().map(|(_, value, _)| value).collect();
        first.get_or_insert(values);
    }
    requests(options)
}

fn rows(times: &mut Times) -> [(&'static str, f64, &'static str); 7] {
    let p99 = middle(&mut times.death, 99);
    [
        (
            "all started by one command",
            middle(&mut times.start, 50),
            "ms",
        ),
        ("death to its successor", middle(&mut times.death, 50), "ms"),
        ("the same, 99 of 100", p99, "ms"),
        (
            "all killed at once, until all are back",
            middle(&mut times.all_killed, 50),
            "ms",
        ),
        (
            "all stopped by one command",
            middle(&mut times.stop, 50),
            "ms",
        ),
        (
            "status of one, the whole command",
            middle(&mut times.status, 50) * 1000.0,
            "us",
        ),
        (
            "memory of all that supervises (PSS)",
            middle(&mut times.memory, 50),
            "KiB",
        ),
    ]
}

/// The value that so many of a hundred do not exceed.
fn middle(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_mul(percent) / 100;
    let at = at.min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn service(number: usize) -> Service {
    Service {
        name: format!("d{number}"),
        oneshot: false,
        needs: None,
    }
}

fn recipe(program: &[&str]) -> Result<Recipe> {
    let mut argv = vec![DUMMY, "exec"];
    argv.extend(program);
    Ok(Recipe::new(&argv)
        .copy(&programs::bench()?, DUMMY)
        .text(BOARD, ""))
}

fn limit(count: usize) -> Result<Recipe> {
    recipe(&[DUMMY, "limit", "0", "0", &count.to_string()])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn rinit(count: usize) -> Result<Contender> {
    const RESTART: &str =
        "[restart]\npolicy = \"always\"\ndelay = \"0ms\"\nlimit = { count = 0, window = \"1m\" }\n";
    let unit = |name: &str| format!("/etc/rinit/services/{name}.toml");
    let names: Vec<String> = (0..count).map(|number| service(number).name).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let group = |wants: &str| format!("schema = 1\nkind = \"group\"\ndeps.wants = [{wants}]\n");
    let mut recipe = recipe(&["/usr/bin/rinit"])?
        .rinit()?
        .copy(&programs::rootctl()?, "/usr/bin/rootctl")
        .text("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .text("/etc/group", "root:x:0:\n")
        .text(&unit("default"), &group(""))
        .text(&unit("all"), &group(&quoted.join(", ")));
    for number in 0..count {
        let service = service(number);
        recipe = recipe.text(&unit(&service.name), &(service.unit() + RESTART));
    }
    let mut stop = words(&["/usr/bin/rootctl", "svc", "stop"]);
    stop.extend(names);
    Ok(Contender {
        name: "rinit",
        recipe,
        start: words(&["/usr/bin/rootctl", "svc", "start", "all"]),
        stop,
        status: words(&["/usr/bin/rootctl", "svc", "status", "d0"]),
    })
}

fn dinit_folder(named: Option<&Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let has_both =
        |folder: &Path| folder.join("dinit").exists() && folder.join("dinitctl").exists();
    match named {
        Some(folder) => Some(folder.to_path_buf()),
        None => folders.find(|folder| has_both(folder)),
    }
}

fn dinit(folder: &Path, count: usize) -> Result<Contender> {
    const CONTROL: [&str; 3] = ["/usr/bin/dinitctl", "-p", "/run/dinitctl"];
    let file = |name: &str| format!("/etc/dinit.d/{name}");
    let mut recipe = recipe(&[
        "/usr/bin/dinit",
        "-o",
        "-q",
        "-d",
        "/etc/dinit.d",
        "-p",
        "/run/dinitctl",
    ])?;
    let mut all = "type = internal\n".to_owned();
    for program in ["dinit", "dinitctl"] {
        let from = folder.join(program);
        for library in libraries(&from)? {
            recipe = recipe.copy(Path::new(&library), &library);
        }
        recipe = recipe.copy(&from, &format!("/usr/bin/{program}"));
    }
    for number in 0..count {
        let name = service(number).name;
        all += &format!("waits-for: {name}\n");
        recipe = recipe.text(&file(&name), &format!(
            "type = process\ncommand = {DUMMY} daemon {name} 3\nready-notification = pipefd:3\nrestart = yes\n\
             smooth-recovery = yes\nrestart-delay = 0\nrestart-limit-count = 0\nlog-type = none\n"
        ));
    }
    let command = |rest: &[&str]| words(&[&CONTROL, rest].concat());
    Ok(Contender {
        name: "dinit",
        recipe: recipe
            .text(&file("all"), &all)
            .text(&file("boot"), "type = internal\n"),
        start: command(&["start", "all"]),
        stop: command(&["stop", "--force", "all"]),
        status: command(&["is-started", "d0"]),
    })
}

/// What a dynamic program loads, by absolute paths (ldd(1)).
fn libraries(program: &Path) -> Result<Vec<String>> {
    let text = run::output(&mut run::command("ldd", [program]))?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(str::to_owned).collect())
}

/// A booted contender and what its services have said so far.
struct Running {
    ns: Namespace,
    board: File,
    stamps: Vec<Stamp>,
    text: String,
}

impl Running {
    fn boot(recipe: &Recipe, real_time: bool) -> Result<Self> {
        let _class = real_time.then(RealTime::enter).transpose()?;
        let ns = Namespace::start(recipe)?;
        let path = format!("/proc/{}/root{BOARD}", ns.pid()?);
        let board = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        Ok(Self {
            ns,
            board,
            stamps: Vec::new(),
            text: String::new(),
        })
    }

    /// Waits until there are so many stamps.
    fn wait(&mut self, count: usize) -> Result<()> {
        let end = Instant::now() + SOON;
        loop {
            self.board
                .read_to_string(&mut self.text)
                .context("cannot read the stamps")?;
            let whole = self.text.rfind('\n').map_or(0, |at| at + 1);
            let lines: String = self.text.drain(..whole).collect();
            self.stamps
                .extend(board::parse(&lines).context("a stamp is damaged")?);
            if self.stamps.len() >= count {
                return Ok(());
            }
            let console = || self.ns.console.last_lines();
            ensure!(
                Instant::now() < end,
                "{} of {count} stamps came\n{}",
                self.stamps.len(),
                console()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs a command inside; milliseconds it took, by our clock.
    fn command(&self, argv: &[String]) -> Result<f64> {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let mut command = self.ns.inside(&argv)?;
        let begun = now();
        run::quiet(&mut command)?;
        Ok(millis(begun, now()))
    }

    /// Waits until its control program is answered.
    fn answers(&self, status: &[String]) -> Result<()> {
        let argv: Vec<&str> = status.iter().map(String::as_str).collect();
        let end = Instant::now() + SOON;
        // The service is down, which some say with an exit status: what counts is that the socket is there.
        while !self
            .ns
            .inside(&["/bin/busybox", "test", "-S", self.socket(&argv)])?
            .status()?
            .success()
        {
            ensure!(
                Instant::now() < end,
                "its control socket does not come\n{}",
                self.ns.console.last_lines()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn socket<'a>(&self, status: &[&'a str]) -> &'a str {
        status
            .get(2)
            .filter(|word| word.starts_with("/run"))
            .copied()
            .unwrap_or(SOCKET)
    }
}

/// Nanoseconds of the clock that stamps are on.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or_default() * 1_000_000_000 + rest.unwrap_or_default()
}

fn millis(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64() * 1000.0
}

fn only_started(recipe: &Recipe, options: &Options) -> Result<f64> {
    let mut running = Running::boot(recipe, options.rt)?;
    running.wait(options.count + 1)?;
    let begun = running
        .stamps
        .iter()
        .find(|stamp| stamp.name == board::EXEC);
    let begun = begun.context("no stamp of the exec")?.ready;
    let last = running.stamps.iter().map(|stamp| stamp.ready).max();
    Ok(millis(begun, last.unwrap_or_default()))
}

fn measure(contender: &Contender, times: &mut Times, options: &Options) -> Result<()> {
    let mut running = Running::boot(&contender.recipe, options.rt)?;
    running.answers(&contender.status)?;
    let _class = options.rt.then(RealTime::enter).transpose()?;
    let begun = now();
    running.command(&contender.start)?;
    let mut seen = options.count + 1;
    running.wait(seen)?;
    times.start.push(millis(begun, latest(&running.stamps)));
    std::thread::sleep(Duration::from_secs(1));
    times.memory.push(memory(&running.ns)?);
    for number in 0..options.deaths {
        let name = service(number % options.count).name;
        let pid = pid_of(&running.ns, &name)?;
        let begun = now();
        kill_process(pid, Signal::KILL).context("cannot kill a service")?;
        seen += 1;
        running.wait(seen)?;
        times.death.push(millis(begun, latest(&running.stamps)));
        std::thread::sleep(PAUSE);
    }
    times
        .status
        .extend(status(&mut running, &contender.status)?);
    seen = running.stamps.len() + options.count;
    let pids = pids(&running.ns)?;
    let begun = now();
    for (pid, _) in pids {
        kill_process(pid, Signal::KILL).context("cannot kill a service")?;
    }
    running.wait(seen)?;
    times
        .all_killed
        .push(millis(begun, latest(&running.stamps)));
    std::thread::sleep(Duration::from_secs(1));
    times.stop.push(running.command(&contender.stop)?);
    let left = pids_left(&running.ns)?;
    ensure!(left == 0, "{left} services outlived their stop");
    Ok(())
}

fn latest(stamps: &[Stamp]) -> u64 {
    stamps
        .iter()
        .map(|stamp| stamp.begun.max(stamp.ready))
        .max()
        .unwrap_or_default()
}

/// Processes that are services, with their names.
fn pids(ns: &Namespace) -> Result<Vec<(Pid, String)>> {
    let mut found = Vec::new();
    for pid in processes::children(ns.pid()?)? {
        // It may have died since the list was made.
        let Ok(line) = processes::command_line(pid) else {
            continue;
        };
        if let Some(rest) = line.strip_prefix(DUMMY) {
            let name = rest.split(' ').nth(2).unwrap_or_default().to_owned();
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            found.push((pid.context("a process has no id")?, name));
        }
    }
    Ok(found)
}

fn pids_left(ns: &Namespace) -> Result<usize> {
    Ok(pids(ns)?.len())
}

fn pid_of(ns: &Namespace, name: &str) -> Result<Pid> {
    let found = pids(ns)?.into_iter().find(|(_, other)| other == name);
    Ok(found.with_context(|| format!("{name} does not run"))?.0)
}

fn memory(ns: &Namespace) -> Result<f64> {
    let all = processes::supervisors(ns.pid()?, DUMMY)?;
    let memory = all.iter().map(Supervisor::memory).sum::<Result<u64>>()?;
    Ok(f64::from(u32::try_from(memory).unwrap_or(u32::MAX)))
}

/// Runs of the whole command, timed from next to it; milliseconds each.
fn status(running: &mut Running, command: &[String]) -> Result<Vec<f64>> {
    let count = COMMANDS.to_string();
    let mut argv = vec![DUMMY, "time", &count];
    argv.extend(command.iter().map(String::as_str));
    let before = running.stamps.len();
    let status = running.ns.inside(&argv)?.stdout(Stdio::null()).status();
    ensure!(
        status.context("cannot start nsenter")?.success(),
        "the status command fails"
    );
    running.wait(before + COMMANDS)?;
    let stamps = running.stamps.iter().skip(before);
    Ok(stamps
        .map(|stamp| millis(stamp.begun, stamp.ready))
        .collect())
}

/// Requests on one connection, against a thread that only answers as much.
fn requests(options: &Options) -> Result<()> {
    let running = Running::boot(&rinit(50)?.recipe, options.rt)?;
    running.answers(&[])?;
    let _class = options.rt.then(RealTime::enter).transpose()?;
    let path = format!("/proc/{}/root{SOCKET}", running.ns.pid()?);
    let mut stream =
        UnixStream::connect(&path).with_context(|| format!("cannot connect to {path}"))?;
    let ask = json!({ "units": ["d0"] });
    let mut ours = Vec::new();
    let mut length = 0;
    for _ in 0..REQUESTS {
        let begun = now();
        let reply = varlink::call(&mut stream, "org.rootctl.Init.Status", &ask)?;
        ours.push(millis(begun, now()) * 1000.0);
        length = reply.to_string().len();
    }
    let mut bare = echo(length)?;
    let (ours, bare) = (middle(&mut ours, 50), middle(&mut bare, 50));
    say::line(&format!(
        "status of one by one request: {ours:.1} us; a bare socket takes {bare:.1} us"
    ));
    Ok(())
}

fn echo(length: usize) -> Result<Vec<f64>> {
    let (mut ours, mut theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    let answer = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while theirs.read(&mut bytes).is_ok_and(|count| count > 0) {
            if theirs.write_all(&vec![b'x'; length]).is_err() {
                break;
            }
        }
    });
    let mut times = Vec::new();
    let mut bytes = vec![0; length];
    for _ in 0..REQUESTS {
        let begun = now();
        ours.write_all(&[b'x'; 80]).context("cannot ask")?;
        ours.read_exact(&mut bytes).context("no answer")?;
        times.push(millis(begun, now()) * 1000.0);
    }
    drop(ours);
    drop(answer.join());
    Ok(times)
}

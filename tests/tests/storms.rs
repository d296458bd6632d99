//! Tier 2: what overwhelms a service, or comes from one, does not overwhelm process 1.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, Uid, setrlimit};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::inside::Inside;
use tests::tier::{self, Outcome, Tier, test};
use tests::{programs, run, varlink};

const DUMMY: &str = "/bench/dummy";
const SLEEPER: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
/// User `web` of the namespace.
const WEB: u32 = 33;

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("thirty_thousand_orphans_are_all_collected", orphans),
            test("a_fork_bomb_is_stopped_with_all_it_made", bomb),
            test("ten_thousand_connections_keep_nobody_out", connections),
        ],
    )
}

fn start(units: &[(&str, &str)]) -> Result<Inside> {
    let dummy = programs::bench()?;
    Inside::start_with(units, |recipe| recipe.copy(&dummy, DUMMY))
}

/// Processes of the namespace: state and user.
fn processes(inside: &Inside) -> Result<Vec<(String, String)>> {
    let words = ["/bin/busybox", "ps", "-o", "stat,user,args"];
    let list = run::output(&mut inside.ns.inside(&words)?)?;
    let lines = list.lines().skip(1).map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        )
    });
    Ok(lines.collect())
}

fn orphans() -> Result<Outcome> {
    let leaves =
        format!("kind = \"oneshot\"\n[exec]\nstart = [\"{DUMMY}\", \"orphans\", \"10000\"]\n");
    let groups = [
        ("a", SLEEPER),
        ("x", &leaves),
        ("y", &leaves),
        ("z", &leaves),
    ];
    // A group is through when its oneshots are.
    let inside = start(&groups)?;
    for name in ["x", "y", "z"] {
        ensure!(
            inside.unit(name)?["state"] == "up",
            "{}",
            inside.unit(name)?
        );
    }
    inside.until("none of the dead is left", || {
        let dead = processes(&inside)?
            .iter()
            .filter(|(state, _)| state.starts_with('Z'))
            .count();
        ensure!(dead == 0, "{dead} are left");
        Ok(true)
    })?;
    ensure!(inside.unit("a")?["restarts"] == 0 && inside.unit("a")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn bomb() -> Result<Outcome> {
    // The kernel counts all processes of that user on this machine.
    let bomb = format!(
        "[exec]\nstart = [\"{DUMMY}\", \"bomb\"]\nuser = \"web\"\nlimits = {{ nproc = \"300\" }}\nnice = 10\n\
         [restart]\npolicy = \"no\"\n[stop]\ntimeout = \"100ms\"\n"
    );
    let inside = start(&[("a", SLEEPER), ("bomb", &bomb)])?;
    let of_web = || {
        let all = processes(&inside)?;
        Ok::<_, anyhow::Error>(
            all.iter()
                .filter(|(_, user)| user == "web" || user == "33")
                .count(),
        )
    };
    inside.until("it has gone off", || Ok(of_web()? > 200))?;
    let before = inside.unit("a")?["pid"].clone();
    inside.call("Stop", &json!({ "units": ["bomb"] }))?;
    ensure!(of_web()? == 0, "{} are left", of_web()?);
    ensure!(inside.unit("a")?["pid"] == before);
    Ok(Outcome::Passed)
}

/// Becomes another user, this thread alone, and does it.
fn as_user<T>(uid: u32, deed: impl FnOnce() -> T) -> Result<T> {
    let (uid, root) = (Uid::from_raw(uid), Uid::ROOT);
    rustix::thread::set_thread_res_uid(uid, uid, root).context("cannot become a user")?;
    let done = deed();
    rustix::thread::set_thread_res_uid(root, root, root).context("cannot become root again")?;
    Ok(done)
}

fn ask(path: &str) -> Result<Value> {
    let mut stream = UnixStream::connect(path).context("cannot connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    varlink::call(&mut stream, "org.rootctl.Init.Overview", &json!({}))
}

fn connections() -> Result<Outcome> {
    const MANY: usize = 10_000;
    let limit = Rlimit {
        current: Some(20_000),
        maximum: Some(20_000),
    };
    setrlimit(Resource::Nofile, limit).context("cannot have so many connections")?;
    let inside = start(&[("a", SLEEPER)])?;
    // A user may not look into the root of another one's process; but it may go on from where this one is.
    std::env::set_current_dir(inside.path("/run/rinit")?).context("cannot enter /run/rinit")?;
    let path = "control.sock";
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let flood = as_user(WEB, || -> Result<usize> {
                let mut all = Vec::new();
                for number in 0..MANY {
                    let stream = UnixStream::connect(path).context("cannot connect")?;
                    if number % 2 == 0 {
                        use std::io::Write;
                        // Half a request; it may be closed while we write.
                        drop((&stream).write_all(b"{\"method\":"));
                    }
                    all.push(stream);
                }
                Ok(all.len())
            });
            over.store(true, Ordering::Release);
            flood?
        });
        let mut asked = 0;
        while !over.load(Ordering::Acquire) {
            for uid in [0, WEB + 1] {
                let answer = as_user(uid, || ask(path))?;
                let console = || format!("user {uid}:\n{}", inside.ns.console.last_lines());
                let answer = answer.with_context(console)?;
                ensure!(answer["phase"] == "running", "{answer}");
                asked += 1;
            }
        }
        let Ok(made) = flood.join() else {
            bail!("the flood panicked");
        };
        ensure!(made? == MANY && asked > 0);
        Ok(())
    })?;
    ensure!(inside.unit("a")?["state"] == "up");
    let folder = format!("/proc/{}/fd", inside.ns.pid()?);
    inside.until("nothing is left of them", || {
        Ok(std::fs::read_dir(&folder)?.count() < 100)
    })?;
    Ok(Outcome::Passed)
}

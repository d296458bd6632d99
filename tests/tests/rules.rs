//! Tier 2: what follows when a real service hangs, is not well, or ends in one way or another.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use tests::inside::{Inside, SOON};
use tests::ns::{End, Recipe};
use tests::paths::Scratch;
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "who_gives_no_more_sign_of_life_is_aborted_and_started_again",
                silent,
            ),
            test("a_mark_goes_with_the_next_sign_of_life", marked),
            test("bad_answers_in_a_row_restart_a_service", ill),
            test(
                "a_question_that_hangs_is_killed_with_all_it_started",
                hanging,
            ),
            test("a_trial_that_is_not_well_is_rejected", gate),
            test("a_policy_tells_a_signal_from_an_exit_code", policy),
            test("who_needs_it_goes_round_with_it", round),
            test("a_real_machine_is_asked_for_what_it_is", conditions),
            test("any_process_keeps_a_service_up_that_says_so", alive),
            test("what_is_not_to_be_done_by_hand_is_refused", manual),
            test("a_stop_is_for_whom_it_is_meant", kills),
            test("who_is_not_to_be_killed_is_waited_for", waited),
            test(
                "a_failure_has_the_machine_rebooted_twice_and_then_stays",
                reboots,
            ),
            test("what_cannot_be_counted_is_not_done", uncounted),
            test("an_end_that_is_well_may_be_that_of_the_machine", poweroff),
            test("nothing_but_a_rescue_login_goes_on", rescue),
            test("a_unit_asks_for_the_snapshot_before", rollback),
            test("a_trial_that_asks_for_a_reboot_is_bad", asking_trial),
        ],
    )
}

/// Says its word and then that it is ready; when it is aborted or asked to end it says another one.
fn daemon(name: &str) -> String {
    format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", '\
         trap \"echo aborted {name} >> /run/said; exit 1\" ABRT; \
         trap \"echo down {name} >> /run/said; exit 0\" TERM; \
         echo up {name} >> /run/said; echo >&3; while :; do sleep 0.1; done']\n\
         [ready]\nmode = \"fd\"\nnotify_from = \"all\"\n[restart]\ndelay = \"10ms\"\n"
    )
}

/// Says something to rinit in the name of a unit, as root may.
fn says(inside: &Inside, unit: &str, words: &str) -> Result<()> {
    let path = inside.path(&format!("/run/rinit/notify/{unit}"))?;
    let socket = UnixDatagram::unbound().context("no socket")?;
    socket
        .send_to(words.as_bytes(), &path)
        .with_context(|| format!("cannot say {words} to {path}"))?;
    Ok(())
}

fn reason(unit: &Value) -> &str {
    unit["reason"].as_str().unwrap_or_default()
}

fn kill(inside: &Inside, unit: &str, signal: &str) -> Result<()> {
    let pid = inside.unit(unit)?["pid"].to_string();
    let mut kill = inside.ns.inside(&["/bin/busybox", "kill", signal, &pid])?;
    run::quiet(&mut kill)
}

fn silent() -> Result<Outcome> {
    let text = daemon("web") + "[watchdog]\ninterval = \"1s\"\n";
    let inside = Inside::start(&[("web", &text)])?;
    inside.until("it is up", || Ok(inside.unit("web")?["state"] == "up"))?;
    // While it gives signs, nothing happens for longer than the interval.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        says(&inside, "web", "WATCHDOG=1")?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let unit = inside.unit("web")?;
    ensure!(unit["restarts"] == 0 && unit["state"] == "up", "{unit}");
    inside.until("it was started again", || {
        let unit = inside.unit("web")?;
        Ok(unit["restarts"] == 1 && unit["state"] == "up")
    })?;
    let said = inside.read("/run/said")?;
    ensure!(said.starts_with("up web\naborted web\nup web\n"), "{said}");
    Ok(Outcome::Passed)
}

fn marked() -> Result<Outcome> {
    let text = daemon("web") + "[watchdog]\ninterval = \"200ms\"\naction = \"mark\"\n";
    let inside = Inside::start(&[("web", &text)])?;
    inside.until("it is marked", || {
        Ok(reason(&inside.unit("web")?) == "it gave no sign of life within 200 ms")
    })?;
    // From here on the pace is another one, so that the mark does not come back at once.
    says(&inside, "web", "WATCHDOG_USEC=600000000\nWATCHDOG=1")?;
    inside.until("the mark is gone", || {
        Ok(reason(&inside.unit("web")?).is_empty())
    })?;
    ensure!(inside.read("/run/said")? == "up web\n");
    Ok(Outcome::Passed)
}

fn ill() -> Result<Outcome> {
    let ask = "echo asked >> /run/said; test ! -e /run/ill";
    let text = daemon("web")
        + &format!(
            "[health]\ncmd = [\"/bin/sh\", \"-c\", \"{ask}\"]\ninterval = \"100ms\"\nretries = 3\n"
        );
    let inside = Inside::start(&[("web", &text)])?;
    inside.until("it was asked", || {
        Ok(inside.read("/run/said")?.matches("asked").count() > 3)
    })?;
    ensure!(inside.unit("web")?["restarts"] == 0);
    std::fs::write(inside.path("/run/ill")?, "")?;
    inside.until("it was started again", || {
        Ok(inside.unit("web")?["restarts"] != 0)
    })?;
    std::fs::remove_file(inside.path("/run/ill")?)?;
    inside.until("it is up", || Ok(inside.unit("web")?["state"] == "up"))?;
    let said = inside.read("/run/said")?;
    // Asked to end, not aborted: whoever answers can be spoken to.
    ensure!(said.contains("asked\ndown web\nup web\n"), "{said}");
    let log = inside.read("/var/log/rinit/rinit.log")?;
    ensure!(
        log.contains("it is not well, as it was asked 3 times: it exited with code 1"),
        "{log}"
    );
    Ok(Outcome::Passed)
}

fn hanging() -> Result<Outcome> {
    let ask = "echo $$ > /run/asker; exec sleep 100000";
    let text = daemon("web")
        + &format!(
            "[health]\ncmd = [\"/bin/sh\", \"-c\", \"{ask}\"]\ninterval = \"100ms\"\ntimeout = \"500ms\"\nretries = 1\n\
             on_fail = \"mark\"\n"
        );
    let inside = Inside::start(&[("web", &text)])?;
    inside.until("it is marked", || {
        Ok(reason(&inside.unit("web")?).ends_with("no answer within 500 ms"))
    })?;
    // Each asker is gone before the next one asks.
    let asker = || inside.read("/run/asker");
    let first = asker()?;
    inside.until("the next one asks", || Ok(asker()? != first))?;
    let old = inside.path(&format!("/proc/{}", first.trim()))?;
    ensure!(!std::path::Path::new(&old).exists(), "{first} is there");
    let unit = inside.unit("web")?;
    ensure!(unit["state"] == "up" && unit["restarts"] == 0, "{unit}");
    Ok(Outcome::Passed)
}

const REPORT: &str = "schema = 1\nsnapshot = 7\ntry_number = 1\ntries_max = 3\nmode = \"tmpfs\"\nreason = \"trial\"\ndegraded = false\nboot_id = \"x\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n";

/// A boot with the report of a trial.
fn trial(recipe: Recipe) -> Recipe {
    let boot = "busybox mkdir -p /run/rootctl; busybox cp /etc/report.toml /run/rootctl/boot.toml; exec /usr/bin/rinit";
    let bad = "schema = 1\nkind = \"oneshot\"\n[exec]\n\
               start = [\"/bin/sh\", \"-c\", \"echo REJECTED $0 > /dev/console\"]\n";
    recipe
        .argv(&["/bin/sh", "-c", boot])
        .text("/etc/report.toml", REPORT)
        .text("/etc/rinit/services/boot-bad.toml", bad)
}

fn gate() -> Result<Outcome> {
    let text = daemon("web")
        + "[health]\ncmd = \"/bin/busybox false\"\ninterval = \"100ms\"\nretries = 2\non_fail = \"gate\"\n\
           [gate]\nrequired = true\nstable = \"10m\"\n";
    let mut inside = Inside::start_with(&[("web", &text)], trial)?;
    inside
        .ns
        .console
        .expect("REJECTED web failed: it is not well", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn policy() -> Result<Outcome> {
    let text = daemon("web") + "policy = \"on-abort\"\nnever_on = [\"SEGV\"]\n";
    let inside = Inside::start(&[("web", &text)])?;
    for (signal, restarts, state) in [("-KILL", 1, "up"), ("-SEGV", 1, "failed")] {
        inside.until("it is up", || Ok(inside.unit("web")?["state"] == "up"))?;
        kill(&inside, "web", signal)?;
        inside.until(&format!("{signal} has its effect"), || {
            let unit = inside.unit("web")?;
            Ok(unit["restarts"] == restarts && unit["state"] == state)
        })?;
    }
    Ok(Outcome::Passed)
}

fn round() -> Result<Outcome> {
    let db = daemon("db") + "hold_dependents = false\n";
    let web = daemon("web") + "[deps]\nneeds = [\"db\"]\n";
    let inside = Inside::start(&[("db", &db), ("web", &web)])?;
    inside.until("both are up", || {
        Ok(inside.read("/run/said")? == "up db\nup web\n")
    })?;
    kill(&inside, "db", "-KILL")?;
    inside.until("both are up again", || {
        let said = inside.read("/run/said")?;
        Ok(said == "up db\nup web\ndown web\nup db\nup web\n")
    })?;
    ensure!(inside.unit("web")?["state"] == "up");
    Ok(Outcome::Passed)
}

/// Fails, and has the machine do something about it.
fn broken(action: &str) -> String {
    format!(
        "[exec]\nstart = \"/bin/busybox false\"\n[restart]\npolicy = \"no\"\n[on]\nfailure_action = \"{action}\"\n"
    )
}

/// Waits until the verdict of an ordinary boot says `words`.
fn degraded(inside: &Inside, words: &str) -> Result<()> {
    inside.until(&format!("the verdict says {words}"), || {
        let overview = inside.call("Overview", &json!({}))?;
        let reasons = overview["reasons"].to_string();
        ensure!(reasons.contains(words), "{overview}");
        Ok(overview["verdict"] == "degraded")
    })
}

fn reboots() -> Result<Outcome> {
    let var = Scratch::new("reboots")?;
    let units = [("web", &*broken("reboot")), ("shell", &*daemon("shell"))];
    let shared = |recipe: Recipe| recipe.bind(var.path(), "/var/lib/rinit");
    for _ in 0..2 {
        let mut inside = Inside::launch(&units, shared)?;
        inside
            .ns
            .console
            .expect("rebooting because web failed", SOON)?;
        ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    }
    let inside = Inside::launch(&units, shared)?;
    inside.until("it runs", || {
        Ok(inside.call("Overview", &json!({}))?["phase"] == "running")
    })?;
    degraded(&inside, "that was done 2 times within 12 hours")?;
    ensure!(inside.unit("shell")?["state"] == "up");
    let text = std::fs::read_to_string(var.join("reboots"))?;
    ensure!(text.matches(" web reboot\n").count() == 2, "{text}");
    Ok(Outcome::Passed)
}

fn uncounted() -> Result<Outcome> {
    let full = |recipe: Recipe| recipe.text("/var/lib/rinit", "this is no folder\n");
    let inside = Inside::start_with(&[("web", &broken("reboot"))], full)?;
    degraded(&inside, "no reboot: ")?;
    ensure!(inside.unit("web")?["state"] == "failed");
    Ok(Outcome::Passed)
}

fn poweroff() -> Result<Outcome> {
    let job = "kind = \"oneshot\"\n[exec]\nstart = \"/bin/busybox true\"\n[on]\nsuccess_action = \"poweroff\"\n";
    let mut inside = Inside::launch(&[("job", job)], |recipe| recipe)?;
    inside
        .ns
        .console
        .expect("switching off because job ended well", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn rescue() -> Result<Outcome> {
    let login = format!("schema = 1\n{}", daemon("rescue"));
    let inside = Inside::start_with(
        &[("shell", &daemon("shell")), ("web", &broken("rescue"))],
        |recipe| recipe.text("/etc/rinit/services/rescue.toml", &login),
    )?;
    inside.until("the rescue login is up alone", || {
        let states = ["rescue", "shell", "web"].map(|name| inside.unit(name));
        let [rescue, shell, web] = states;
        let (rescue, shell, web) = (rescue?, shell?, web?);
        ensure!(rescue["state"] == "up", "{rescue}");
        ensure!(web["state"] == "failed", "{web}");
        Ok(reason(&shell) == "stopped because only rescue goes on")
    })?;
    Ok(Outcome::Passed)
}

fn rollback() -> Result<Outcome> {
    for (script, done) in [("echo ROLLED BACK > /dev/console", true), ("exit 3", false)] {
        let unit = format!(
            "schema = 1\nkind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n"
        );
        let mut inside = Inside::launch(&[("web", &broken("rollback"))], |recipe| {
            recipe.text("/etc/rinit/services/roll-back.toml", &unit)
        })?;
        if done {
            inside.ns.console.expect("ROLLED BACK", SOON)?;
            ensure!(inside.ns.wait_end(SOON)? == End::Restart);
        } else {
            degraded(&inside, "roll-back failed: it exited with code 3")?;
        }
    }
    Ok(Outcome::Passed)
}

fn asking_trial() -> Result<Outcome> {
    let text = broken("reboot");
    let mut inside = Inside::launch(&[("web", &text), ("shell", &daemon("shell"))], trial)?;
    inside.ns.console.expect("REJECTED web failed", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

/// A main process, a child in its process group, and one that has left that; `trap` is what all of them do first.
fn family(keys: &str, trap: &str) -> Result<Inside> {
    let member = |name: &str, more: &str| {
        format!("{trap}\necho {name} $$ >> /run/family\n{more}\nwhile :; do sleep 0.1; done\n")
    };
    let text = format!(
        "[exec]\nstart = [\"/bin/sh\", \"/etc/family\"]\n[stop]\ntimeout = \"1s\"\n{keys}\n"
    );
    let main = member("main", "sh /etc/near &\nbusybox setsid sh /etc/far &");
    let inside = Inside::start_with(&[("web", &text)], |recipe| {
        recipe
            .text("/etc/family", &main)
            .text("/etc/near", &member("near", ""))
            .text("/etc/far", &member("far", ""))
    })?;
    inside.until("all run", || Ok(runs(&inside)?.len() == 3))?;
    Ok(inside)
}

/// Who of them runs.
fn runs(inside: &Inside) -> Result<Vec<String>> {
    let text = inside.read("/run/family")?;
    let mut alive = Vec::new();
    for (name, pid) in text.lines().filter_map(|line| line.split_once(' ')) {
        let stat = inside.read(&format!("/proc/{pid}/stat"));
        if stat.is_ok_and(|stat| !stat.contains(") Z ")) {
            alive.push(name.to_owned());
        }
    }
    alive.sort_unstable();
    Ok(alive)
}

fn kills() -> Result<Outcome> {
    for (kill, left) in [
        ("cgroup", &[][..]),
        ("mixed", &[]),
        ("group", &["far"]),
        ("main", &["far", "near"]),
    ] {
        let inside = family(&format!("kill = \"{kill}\""), "")?;
        inside.call("Stop", &json!({ "units": ["web"] }))?;
        inside.until(&format!("{kill} has done its work"), || {
            Ok(runs(&inside)? == left)
        })?;
        ensure!(inside.unit("web")?["state"] == "down", "{kill}");
    }
    Ok(Outcome::Passed)
}

fn waited() -> Result<Outcome> {
    let mut inside = family("final_signal = \"none\"", "trap : TERM")?;
    inside.call("Stop", &json!({ "units": ["web"], "no_wait": true }))?;
    // What is not to happen has no event: the time for it is over several times.
    std::thread::sleep(Duration::from_secs(3));
    ensure!(runs(&inside)?.contains(&"main".to_owned()));
    ensure!(inside.unit("web")?["state"] == "stopping");
    inside.call("Power", &json!({ "action": "poweroff", "force": true }))?;
    ensure!(inside.ns.wait_end(SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn alive() -> Result<Outcome> {
    let script = "sleep 100000 & sleep 1";
    let text = format!(
        "alive = \"cgroup\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n[restart]\npolicy = \"no\"\n"
    );
    let short = text.replace("alive", "max_runtime = \"2s\"\nalive");
    let inside = Inside::start(&[("web", &text), ("short", &short)])?;
    inside.until("the main process has ended", || {
        Ok(inside.unit("web")?["pid"].is_null())
    })?;
    ensure!(inside.unit("web")?["state"] == "up");
    inside.until("the other one was up for long enough", || {
        Ok(reason(&inside.unit("short")?) == "it was up for 2 s")
    })?;
    // The last process ends as one does.
    let script = "busybox kill $(busybox pidof sleep)";
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", script])?)?;
    inside.until("it is over", || {
        let unit = inside.unit("web")?;
        Ok(unit["state"] == "down" && reason(&unit) == "its last process ended")
    })?;
    Ok(Outcome::Passed)
}

fn manual() -> Result<Outcome> {
    let text = format!("manual = \"start\"\n{}", daemon("web"));
    let inside = Inside::start(&[("web", &text)])?;
    for method in ["Stop", "Restart"] {
        let answer = inside.call(method, &json!({ "units": ["web"] }));
        let why = answer.err().map(|why| format!("{why:#}"));
        let words = "its file does not allow that (manual = \\\"start\\\")";
        let plain = words.replace('\\', "");
        ensure!(
            why.as_ref()
                .is_some_and(|why| why.contains(words) || why.contains(&plain)),
            "{method}: {why:?}"
        );
    }
    inside.call("Start", &json!({ "units": ["web"] }))?;
    ensure!(inside.unit("web")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn conditions() -> Result<Outcome> {
    const SLEEPS: &str = "[exec]\nstart = \"/bin/busybox sleep 100000\"\n";
    let machine = run::output(&mut run::command("uname", ["-m"]))?;
    let machine = machine.trim();
    let met = [
        "path_exists = \"/proc/1\"",
        "path_glob = \"/etc/rinit/serv*/default.to?l\"",
        "path_is_dir = [\"/proc\", \"!/etc/passwd\"]",
        "path_is_symlink = \"/proc/self\"",
        "path_is_mount = [\"/proc\", \"!/etc/rinit\"]",
        "path_is_rw = \"/run\"",
        "dir_not_empty = \"/etc\"",
        "file_not_empty = \"/etc/passwd\"",
        "file_is_executable = [\"/bin/busybox\", \"!/etc/passwd\"]",
        "kernel = [\">=4.0\", \"!<4.0\", \"4\"]",
        &format!("arch = [\"{machine}\", \"!vax\"]"),
        "host = \"!nobody\"",
        "os_release = [\"ID=testian\", \"VERSION_ID>=12\", \"!VERSION_ID>12\"]",
        "memory = [\">=1M\", \"!>=1000000G\"]",
        "cpus = [\">=1\", \"!>100000\"]",
        "env = \"!SURELY_NOT_SET\"",
        "snapshot = \"!7\"",
        "try = false",
    ];
    let name = |at: usize| format!("met{at}");
    let mut units: Vec<(String, String)> = met
        .iter()
        .enumerate()
        .map(|(at, line)| (name(at), format!("{SLEEPS}[assert]\n{line}\n")))
        .collect();
    let unmet = format!("{SLEEPS}[condition]\npath_is_mount = \"/etc/rinit\"\n");
    let wrong = format!("{SLEEPS}[assert]\nkernel = \"<2\"\n");
    units.extend([("unmet".to_owned(), unmet), ("wrong".to_owned(), wrong)]);
    let all: Vec<(&str, &str)> = units
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let release = "ID=testian\nVERSION_ID=\"12\"\n";
    let inside = Inside::start_with(&all, |recipe| recipe.text("/etc/os-release", release))?;
    for (at, line) in met.iter().enumerate() {
        let unit = inside.unit(&name(at))?;
        ensure!(unit["state"] == "up", "{line}: {unit}");
    }
    let unmet = inside.unit("unmet")?;
    ensure!(
        unmet["state"] == "down"
            && reason(&unmet) == "skipped: because not: path_is_mount /etc/rinit",
        "{unmet}"
    );
    let wrong = inside.unit("wrong")?;
    ensure!(
        wrong["state"] == "failed" && reason(&wrong) == "because not: kernel <2",
        "{wrong}"
    );
    Ok(Outcome::Passed)
}

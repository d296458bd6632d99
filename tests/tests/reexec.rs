//! Tier 2: rinit becomes another program while everything else goes on: on request, and after a crash.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use tests::inside::{Inside, SOON};
use tests::ns::End;
use tests::tier::{self, Outcome, Tier, test};
use tests::{run, varlink};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("services_keep_their_processes", kept),
            test("a_connection_that_waits_reaches_its_unit", connection),
            test("a_oneshot_in_flight_comes_to_its_end", oneshot),
            test("a_stop_in_flight_is_answered_by_the_new_program", stop),
            test("no_line_of_a_service_is_lost", lines),
            test("fifty_times_in_a_row_leak_nothing", fifty),
            test("a_program_that_cannot_go_on_is_not_executed", refused),
            test("a_crash_costs_no_service", crash),
            test("programs_may_be_exchanged_while_they_run", exchanged),
            test("a_crash_right_after_a_start_adopts_what_runs", early),
            test("a_trial_that_keeps_crashing_is_left", trial),
            test("a_trial_found_degraded_is_not_good_afterwards", degraded),
        ],
    )
}

const STAYS: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
const TALKS: &str = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"i=0; while :; do i=$((i+1)); echo line $i; \
                     busybox usleep 5000; done\"]\n";

fn reexec(inside: &Inside) -> Result<Value> {
    inside.call("Reexec", &json!({}))
}

/// Process 1 is another program image by now if its address space starts elsewhere.
fn image(inside: &Inside) -> Result<String> {
    let maps = inside.read("/proc/1/stat")?;
    // Fields 26 and 28: the addresses of code and stack.
    let fields: Vec<&str> = maps.split_whitespace().collect();
    Ok(format!("{:?}", fields.get(25..28)))
}

fn pids(inside: &Inside, names: &[&str]) -> Result<BTreeMap<String, Value>> {
    let pid = |name: &&str| Ok(((*name).to_owned(), inside.unit(name)?["pid"].clone()));
    names.iter().map(pid).collect()
}

/// Descriptors of process 1.
fn descriptors(inside: &Inside) -> Result<usize> {
    let folder = format!("/proc/{}/fd", inside.ns.pid()?);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    Ok(entries.count())
}

fn crash_by(inside: &Inside, signal: &str) -> Result<()> {
    let pid = inside.ns.pid()?.to_string();
    let before = image(inside)?;
    run::quiet(&mut run::command("kill", [signal, &pid]))?;
    inside.until("another program goes on", || Ok(image(inside)? != before))?;
    inside.until("it answers", || {
        Ok(inside.call("Overview", &json!({})).is_ok())
    })
}

fn kept() -> Result<Outcome> {
    const NOTIFIES: &str = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"while :; do \
         echo said; busybox sleep 1; done\"]\n";
    let inside = Inside::start(&[("a", STAYS), ("b", NOTIFIES), ("c", STAYS)])?;
    let names = ["a", "b", "c"];
    let (before, old) = (pids(&inside, &names)?, image(&inside)?);
    let overview = inside.call("Overview", &json!({}))?;
    let reply = reexec(&inside)?;
    ensure!(reply["version"] == overview["version"], "{reply}");
    ensure!(image(&inside)? != old, "it is still the same program");
    ensure!(pids(&inside, &names)? == before);
    ensure!(inside.call("Overview", &json!({}))? == overview);
    // They are still supervised.
    inside.call("Restart", &json!({ "units": ["a"] }))?;
    ensure!(inside.unit("a")?["pid"] != before["a"]);
    let pid = before["c"].to_string();
    run::quiet(&mut inside.ns.inside(&["/bin/busybox", "kill", "-9", &pid])?)?;
    inside.until("its death was seen", || {
        Ok(inside.unit("c")?["restarts"] == 1)
    })?;
    Ok(Outcome::Passed)
}

fn connection() -> Result<Outcome> {
    let text = format!("schema = 1\n[[socket]]\nlisten = \"stream:/run/lazy.sock\"\n{STAYS}");
    let inside = Inside::start_with(&[], |recipe| {
        recipe.text("/etc/rinit/services/lazy.toml", &text)
    })?;
    reexec(&inside)?;
    ensure!(inside.unit("lazy")?["state"] == "down");
    let mut stream = UnixStream::connect(inside.path("/run/lazy.sock")?)?;
    stream.write_all(b"hello")?;
    inside.until("it is up", || Ok(inside.unit("lazy")?["state"] == "up"))?;
    let pid = inside.unit("lazy")?["pid"].clone();
    // Nobody has accepted it: it waits in the socket.
    reexec(&inside)?;
    ensure!(inside.unit("lazy")?["pid"] == pid);
    stream.set_nonblocking(true)?;
    let answer = stream.read(&mut [0; 8]).map_err(|why| why.kind());
    ensure!(answer == Err(std::io::ErrorKind::WouldBlock), "{answer:?}");
    // A connection that was let go would be a broken pipe.
    stream.write_all(b" and again")?;
    Ok(Outcome::Passed)
}

fn oneshot() -> Result<Outcome> {
    let text = "kind = \"oneshot\"\n[exec]\nstart = [[\"/bin/sh\", \"-c\", \"echo first >> /run/steps; while ! busybox test -e /run/go; do busybox usleep 20000; done\"], \
                [\"/bin/sh\", \"-c\", \"echo second >> /run/steps\"]]\n";
    let inside = Inside::start_with(&[("stays", STAYS)], |recipe| {
        recipe.text(
            "/etc/rinit/services/slow.toml",
            &format!("schema = 1\n{text}"),
        )
    })?;
    inside.call("Start", &json!({ "units": ["slow"], "no_wait": true }))?;
    inside.until("its first step runs", || {
        Ok(inside.read("/run/steps").is_ok())
    })?;
    reexec(&inside)?;
    ensure!(inside.unit("slow")?["state"] == "starting");
    std::fs::write(inside.path("/run/go")?, "").context("cannot write")?;
    inside.until(
        "it is through",
        || Ok(inside.unit("slow")?["state"] == "up"),
    )?;
    ensure!(inside.read("/run/steps")? == "first\nsecond\n");
    Ok(Outcome::Passed)
}

fn stop() -> Result<Outcome> {
    let text = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"trap : TERM; while ! busybox test -e /run/go; do busybox usleep 20000; done\"]\n\
                [stop]\ntimeout = \"60s\"\n";
    let inside = Inside::start(&[("slow", text)])?;
    let mut stream = UnixStream::connect(inside.path("/run/rinit/control.sock")?)?;
    stream.set_read_timeout(Some(SOON))?;
    let ask = json!({ "method": "org.rootctl.Init.Stop", "parameters": { "units": ["slow"] } });
    stream.write_all(format!("{ask}\0").as_bytes())?;
    inside.until("it is stopping", || {
        Ok(inside.unit("slow")?["state"] == "stopping")
    })?;
    reexec(&inside)?;
    ensure!(inside.unit("slow")?["state"] == "stopping");
    std::fs::write(inside.path("/run/go")?, "").context("cannot write")?;
    let mut reply = vec![0; 4096];
    let length = stream
        .read(&mut reply)
        .context("nobody answers who waited")?;
    let reply = String::from_utf8_lossy(reply.get(..length).unwrap_or_default()).into_owned();
    ensure!(reply.contains("\"down\""), "{reply}");
    // The connection can be used again.
    let overview = varlink::call(&mut stream, "org.rootctl.Init.Overview", &json!({}))?;
    ensure!(overview["phase"] == "running", "{overview}");
    Ok(Outcome::Passed)
}

/// Numbers of the lines that a unit has said, in order.
fn numbers(inside: &Inside, unit: &str) -> Result<Vec<u64>> {
    let said = inside.said(unit)?;
    let lines = said.lines().filter_map(|line| line.strip_prefix("line "));
    Ok(lines.filter_map(|number| number.parse().ok()).collect())
}

fn is_gapless(numbers: &[u64]) -> bool {
    numbers
        .iter()
        .copied()
        .eq(1..=numbers.last().copied().unwrap_or_default())
}

fn lines() -> Result<Outcome> {
    let inside = Inside::start(&[("talk", TALKS)])?;
    for round in 1..=5 {
        reexec(&inside)?;
        let have = numbers(&inside, "talk").unwrap_or_default().len();
        inside.until("there are more lines", || {
            Ok(numbers(&inside, "talk")?.len() > have.max(round * 10))
        })?;
    }
    let found = numbers(&inside, "talk")?;
    ensure!(is_gapless(&found), "{found:?}");
    Ok(Outcome::Passed)
}

fn fifty() -> Result<Outcome> {
    let socket = "[[socket]]\nlisten = \"stream:/run/lazy.sock\"\n";
    let lazy = format!("{socket}{STAYS}");
    let inside = Inside::start(&[("a", STAYS), ("talk", TALKS), ("lazy", &lazy)])?;
    reexec(&inside)?;
    let names = ["a", "talk", "lazy"];
    let before = pids(&inside, &names)?;
    inside.until("the state was kept for a crash", || {
        Ok(descriptors(&inside)? > 0)
    })?;
    let mut least = descriptors(&inside)?;
    for _ in 0..50 {
        reexec(&inside)?;
        least = least.min(descriptors(&inside)?);
    }
    ensure!(pids(&inside, &names)? == before);
    // Clients come and go, and the state for a crash is written a while later.
    inside.until("none is left over", || {
        Ok(descriptors(&inside)? <= least + 4)
    })?;
    ensure!(is_gapless(&numbers(&inside, "talk")?));
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome> {
    let inside = Inside::start(&[("a", STAYS)])?;
    let before = pids(&inside, &["a"])?;
    let (old, program) = (image(&inside)?, inside.path("/usr/bin/rinit")?);
    let bad = format!("{program}.new");
    for text in [
        "#!/bin/sh\necho the state comes from the future\n",
        "nonsense",
    ] {
        std::fs::write(&bad, text).context("cannot write")?;
        run::quiet(&mut run::command("chmod", ["0755", &bad]))?;
        std::fs::rename(&bad, &program).context("cannot replace")?;
        let Err(why) = reexec(&inside) else {
            anyhow::bail!("it was executed");
        };
        ensure!(
            format!("{why:#}").contains("cannot execute rinit anew: /usr/bin/rinit"),
            "{why:#}"
        );
    }
    ensure!(image(&inside)? == old && pids(&inside, &["a"])? == before);
    // And the way back works.
    std::fs::copy(tests::programs::rinit()?, &bad).context("cannot copy")?;
    std::fs::rename(&bad, &program).context("cannot replace")?;
    reexec(&inside)?;
    ensure!(image(&inside)? != old && pids(&inside, &["a"])? == before);
    Ok(Outcome::Passed)
}

fn crash() -> Result<Outcome> {
    let mut inside = Inside::start(&[("a", STAYS), ("talk", TALKS)])?;
    let done =
        "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo x >> /run/runs\"]\n";
    let path = inside.path("/etc/rinit/services/once.toml")?;
    std::fs::write(&path, format!("schema = 1\n{done}")).context("cannot write")?;
    inside.call("Apply", &json!({}))?;
    inside.call("Start", &json!({ "units": ["once"] }))?;
    let names = ["a", "talk"];
    let before = pids(&inside, &names)?;
    // What changed a moment before a crash may be forgotten; it is written down within half a second.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    for signal in ["-SEGV", "-ABRT"] {
        crash_by(&inside, signal)?;
        ensure!(pids(&inside, &names)? == before);
    }
    inside.ns.console.expect(
        "crashed by signal 11 and goes on (crash 1 within a minute)",
        SOON,
    )?;
    inside.ns.console.expect(
        "crashed by signal 6 and goes on (crash 2 within a minute)",
        SOON,
    )?;
    ensure!(inside.unit("once")?["state"] == "up");
    ensure!(
        inside.read("/run/runs")? == "x\n",
        "a oneshot was run again"
    );
    let have = numbers(&inside, "talk")?.len();
    inside.until("its lines are written", || {
        Ok(numbers(&inside, "talk")?.len() > have + 10)
    })?;
    ensure!(is_gapless(&numbers(&inside, "talk")?));
    // A third one is told, and the system goes on.
    crash_by(&inside, "-BUS")?;
    inside.until("it is degraded", || {
        Ok(inside.call("Overview", &json!({}))?["verdict"] == "degraded")
    })?;
    ensure!(pids(&inside, &names)? == before);
    inside.call("Restart", &json!({ "units": ["a"] }))?;
    // The end is an orderly one.
    inside.call("Power", &json!({ "action": "reboot" }))?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

/// What a package manager does: the new helper is there before the new rinit runs.
fn exchanged() -> Result<Outcome> {
    const PREPARED: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\nnice = 1\n";
    let inside = Inside::start(&[("a", PREPARED)])?;
    let helper = inside.path("/usr/lib/rinit/rinit-helper")?;
    let new = format!("{helper}.new");
    let script = "#!/bin/sh\necho of another kind >&2\nexit 5\n";
    std::fs::write(&new, script).context("cannot write")?;
    run::quiet(&mut run::command("chmod", ["0755", &new]))?;
    std::fs::rename(&new, &helper).context("cannot replace")?;
    let restart = || inside.call("Restart", &json!({ "units": ["a"] }));
    restart()?;
    ensure!(inside.unit("a")?["state"] == "up");
    // The state is written down within half a second.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    crash_by(&inside, "-SEGV")?;
    restart()?;
    ensure!(inside.unit("a")?["state"] == "up");
    // The new rinit has the new one.
    reexec(&inside)?;
    inside.call("Stop", &json!({ "units": ["a"] }))?;
    ensure!(inside.call("Start", &json!({ "units": ["a"] })).is_err());
    std::fs::remove_file(&helper).context("cannot remove")?;
    reexec(&inside)?;
    // There is none, so the one before is kept.
    ensure!(inside.call("Start", &json!({ "units": ["a"] })).is_err());
    Ok(Outcome::Passed)
}

fn early() -> Result<Outcome> {
    let inside = Inside::start(&[("a", STAYS)])?;
    // Started less than half a second ago: the state that was kept may not know them.
    let files = ["x", "y"];
    for name in files {
        let path = inside.path(&format!("/etc/rinit/services/{name}.toml"))?;
        std::fs::write(&path, format!("schema = 1\n{STAYS}")).context("cannot write")?;
    }
    inside.call("Apply", &json!({}))?;
    std::thread::sleep(std::time::Duration::from_millis(1500));
    inside.call("Start", &json!({ "units": files }))?;
    let before = pids(&inside, &files)?;
    crash_by(&inside, "-SEGV")?;
    ensure!(pids(&inside, &files)? == before, "{}", inside.unit("x")?);
    ensure!(inside.unit("x")?["state"] == "up");
    Ok(Outcome::Passed)
}

/// Starts on a trial, with these words of `/bin/sh` as what confirms it.
fn start_trial(services: &[(&str, &str)], confirms: &str) -> Result<Inside> {
    const REPORT: &str = "schema = 1\nsnapshot = 7\ntry_number = 1\ntries_max = 3\nmode = \"tmpfs\"\nreason = \"trial\"\n\
                          degraded = false\nboot_id = \"x\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n";
    let bad = "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo REJECTED $0 > /dev/console\"]\n";
    let good =
        format!("kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"{confirms}\"]\n");
    Inside::start_with(services, |recipe| {
        recipe
            .text("/etc/rinit/services/boot-bad.toml", &format!("schema = 1\n{bad}"))
            .text("/etc/rinit/services/boot-good.toml", &format!("schema = 1\n{good}"))
            .text("/etc/report.toml", REPORT)
            .argv(&[
                "/bin/sh",
                "-c",
                "busybox mkdir -p /run/rootctl; busybox cp /etc/report.toml /run/rootctl/boot.toml; exec /usr/bin/rinit",
            ])
    })
}

fn degraded() -> Result<Outcome> {
    let flawed = "[exec]\nstart = [\"/bin/busybox\", \"false\"]\n[restart]\npolicy = \"no\"\n[gate]\nrequired = true\nweight = \"soft\"\n";
    let confirms = "until busybox test -e /run/confirm; do busybox sleep 0.1; done";
    let inside = start_trial(&[("flawed", flawed)], confirms)?;
    let verdict =
        || -> Result<Value> { Ok(inside.call("Overview", &json!({}))?["verdict"].clone()) };
    inside.until("it is being confirmed", || {
        Ok(inside.unit("boot-good")?["state"] == "starting")
    })?;
    reexec(&inside)?;
    ensure!(verdict()? == "pending", "{}", verdict()?);
    std::fs::write(inside.path("/run/confirm")?, "").context("cannot write")?;
    inside.until("it is confirmed", || Ok(verdict()? != "pending"))?;
    ensure!(verdict()? == "degraded", "{}", verdict()?);
    Ok(Outcome::Passed)
}

fn trial() -> Result<Outcome> {
    let web = format!("{STAYS}[gate]\nrequired = true\nwithin = \"60s\"\nstable = \"50s\"\n");
    let mut inside = start_trial(&[("web", &web)], "true")?;
    for signal in ["-SEGV", "-SEGV"] {
        crash_by(&inside, signal)?;
    }
    ensure!(inside.call("Overview", &json!({}))?["verdict"] == "pending");
    let pid = inside.ns.pid()?.to_string();
    run::quiet(&mut run::command("kill", ["-SEGV", &pid]))?;
    inside
        .ns
        .console
        .expect("REJECTED rinit crashed 3 times within a minute", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

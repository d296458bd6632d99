//! Tier 2: rinit as process 1 of fresh namespaces, asked through its control socket by the real rootctl.

use anyhow::{Context, Result, ensure};
use rootspec::protocol::init::{Overview, UnitList, UnitStatus};
use std::time::{Duration, Instant};
use tests::ns::{End, Namespace, Recipe};
use tests::tier::{self, Outcome, Tier, test};
use tests::{programs, run};

const SOON: Duration = Duration::from_secs(30);

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("enabled_units_start_in_their_order", starts_in_order),
            test(
                "a_bad_unit_file_disables_itself_and_the_rest_boots",
                bad_file,
            ),
            test("a_service_that_dies_is_started_again", restarts),
            test(
                "a_service_counts_as_up_when_it_says_so_on_its_descriptor",
                ready_by_descriptor,
            ),
            test(
                "stop_takes_the_dependents_down_and_start_brings_them_back",
                stops_and_starts,
            ),
            test("power_off_stops_everything_in_reverse_order", powers_off),
            test("reboot_ends_in_a_restart", reboots),
            test("children_left_behind_are_reaped_by_process_1", reaps),
            test("a_boot_can_say_what_it_waited_for", says_where_time_went),
        ],
    )
}

/// A root with rinit, rootctl and these units, all enabled.
fn recipe(units: &[(&str, &str)]) -> Result<Recipe> {
    let programs = programs::build()?;
    let mut recipe = Recipe::new(&["/usr/bin/rinit"])
        .rinit()?
        .copy(&programs.rootctl, "/usr/bin/rootctl")
        .text(
            "/etc/rinit/services/basic.toml",
            "schema = 1\nkind = \"group\"\ndefault_deps = false\n",
        )
        .text(
            "/etc/rinit/services/default.toml",
            "schema = 1\nkind = \"group\"\n",
        );
    for (name, text) in units {
        recipe = recipe
            .text(
                &format!("/etc/rinit/services/{name}.toml"),
                &format!("schema = 1\n{text}"),
            )
            .text(&format!("/etc/rinit/groups/default.d/{name}"), "");
    }
    Ok(recipe)
}

fn start(units: &[(&str, &str)]) -> Result<Namespace> {
    let ns = Namespace::start(&recipe(units)?)?;
    until(&ns, "the phase is running", |ns| {
        Ok(overview(ns)?.phase == "running")
    })?;
    Ok(ns)
}

/// Asks again and again until it holds: rinit answers while it works, so there is nothing to wait on.
fn until(ns: &Namespace, what: &str, holds: impl Fn(&Namespace) -> Result<bool>) -> Result<()> {
    let end = Instant::now() + SOON;
    loop {
        let answer = holds(ns);
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > end {
            let answer = answer
                .map(|_| "it does not".to_owned())
                .unwrap_or_else(|why| format!("{why:#}"));
            anyhow::bail!(
                "{what}: after {} s: {answer}\n{}",
                SOON.as_secs(),
                ns.console.last_lines()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(ns: &Namespace, words: &[&str]) -> Result<String> {
    let mut argv = vec!["/usr/bin/rootctl"];
    argv.extend(words);
    run::output(&mut ns.inside(&argv)?)
}

fn overview(ns: &Namespace) -> Result<Overview> {
    let text = ask(ns, &["--json", "svc", "status"])?;
    serde_json::from_str(&text).with_context(|| format!("not an overview: {text}"))
}

fn unit(ns: &Namespace, name: &str) -> Result<UnitStatus> {
    let text = ask(ns, &["--json", "svc", "list"])?;
    let list: UnitList =
        serde_json::from_str(&text).with_context(|| format!("not a list of units: {text}"))?;
    list.units
        .into_iter()
        .find(|unit| unit.name == name)
        .with_context(|| format!("there is no unit {name}: {text}"))
}

fn file(ns: &Namespace, path: &str) -> Result<String> {
    run::output(&mut ns.inside(&["/bin/busybox", "cat", path])?)
}

/// A oneshot that adds its name to a file.
fn note(name: &str, deps: &str) -> String {
    format!(
        "kind = \"oneshot\"\n[deps]\n{deps}\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo {name} >> /run/order\"]\n"
    )
}

const SLEEPER: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";

fn starts_in_order() -> Result<Outcome> {
    let (a, b, c) = (
        note("a", "needs = [\"b\"]"),
        note("b", "after = [\"c\"]"),
        note("c", ""),
    );
    let ns = start(&[("a", &a), ("b", &b), ("c", &c)])?;
    let order = file(&ns, "/run/order")?;
    ensure!(order == "c\nb\na\n", "the order was {order:?}");
    Ok(Outcome::Passed)
}

fn bad_file() -> Result<Outcome> {
    let ns = start(&[
        ("good", SLEEPER),
        ("bad", "[exec]\nstrat = [\"/bin/true\"]\n"),
    ])?;
    ensure!(unit(&ns, "good")?.state == "up");
    let problems = overview(&ns)?.problems.join("\n");
    for part in ["bad.toml", "strat", "^"] {
        ensure!(problems.contains(part), "{part} is missing in: {problems}");
    }
    Ok(Outcome::Passed)
}

fn restarts() -> Result<Outcome> {
    let ns = start(&[(
        "sleeper",
        &format!("{SLEEPER}[restart]\ndelay = \"10ms\"\n"),
    )])?;
    let before = unit(&ns, "sleeper")?.pid.context("it has no process")?;
    run::quiet(&mut ns.inside(&["/bin/busybox", "kill", "-9", &before.to_string()])?)?;
    until(&ns, "another process runs", |ns| {
        let now = unit(ns, "sleeper")?;
        Ok(now.state == "up" && now.pid.is_some_and(|pid| pid != before) && now.restarts == 1)
    })?;
    Ok(Outcome::Passed)
}

fn ready_by_descriptor() -> Result<Outcome> {
    let text = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"read go < /run/gate; echo >&3; exec sleep 100000\"]\n\
                start_pre = [[\"/bin/busybox\", \"mkfifo\", \"/run/gate\"]]\n[ready]\nmode = \"fd\"\n";
    let ns = Namespace::start(&recipe(&[("told", text)])?)?;
    until(&ns, "it is starting", |ns| {
        Ok(unit(ns, "told")?.state == "starting" && unit(ns, "told")?.pid.is_some())
    })?;
    run::quiet(&mut ns.inside(&["/bin/sh", "-c", "echo go > /run/gate"])?)?;
    until(&ns, "it is up", |ns| Ok(unit(ns, "told")?.state == "up"))?;
    Ok(Outcome::Passed)
}

fn stops_and_starts() -> Result<Outcome> {
    let upper = format!("{SLEEPER}[deps]\nneeds = [\"lower\"]\n");
    let ns = start(&[("lower", SLEEPER), ("upper", &upper)])?;
    ask(&ns, &["svc", "stop", "lower"])?;
    for name in ["lower", "upper"] {
        ensure!(
            unit(&ns, name)?.state == "down",
            "{name} is {}",
            unit(&ns, name)?.state
        );
    }
    ask(&ns, &["svc", "start", "upper"])?;
    for name in ["lower", "upper"] {
        ensure!(
            unit(&ns, name)?.state == "up",
            "{name} is {}",
            unit(&ns, name)?.state
        );
    }
    Ok(Outcome::Passed)
}

/// A service that says on the console that it was asked to stop.
fn speaker(name: &str, deps: &str) -> String {
    format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"trap 'echo {name} stops > /dev/console; exit 0' TERM; \
         echo >&3; while :; do sleep 1000 & wait $!; done\"]\n[ready]\nmode = \"fd\"\n[deps]\n{deps}\n"
    )
}

/// The machine may end before the command that ends it has: from outside it is no child that process 1 would wait for.
fn power(ns: &Namespace, action: &str) -> Result<()> {
    let mut command = ns.inside(&["/usr/bin/rootctl", "power", action])?;
    let status = command.status().context("cannot start nsenter")?;
    ensure!(status.code().unwrap_or(0) == 0, "it ended with {status}");
    Ok(())
}

fn powers_off() -> Result<Outcome> {
    let mut ns = start(&[
        ("lower", &speaker("lower", "")),
        ("upper", &speaker("upper", "needs = [\"lower\"]")),
    ])?;
    power(&ns, "poweroff")?;
    ns.console.expect("upper stops", SOON)?;
    ns.console.expect("lower stops", SOON)?;
    let end = ns.wait_end(SOON)?;
    ensure!(end == End::PowerOff, "it ended as {end:?}");
    Ok(Outcome::Passed)
}

fn reboots() -> Result<Outcome> {
    let mut ns = start(&[("sleeper", SLEEPER)])?;
    power(&ns, "reboot")?;
    let end = ns.wait_end(SOON)?;
    ensure!(end == End::Restart, "it ended as {end:?}");
    Ok(Outcome::Passed)
}

fn reaps() -> Result<Outcome> {
    let orphan = "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \
                  \"(sleep 0.3; echo > /run/done) & exit 0\"]\n[stop]\nkill = \"main\"\n";
    let ns = start(&[("orphan", orphan)])?;
    until(&ns, "the orphan has ended and nobody is a zombie", |ns| {
        let list =
            run::output(&mut ns.inside(&["/bin/sh", "-c", "cat /run/done /proc/[0-9]*/stat"])?)?;
        Ok(!list.contains(") Z "))
    })?;
    Ok(Outcome::Passed)
}

fn says_where_time_went() -> Result<Outcome> {
    let slow = "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"0.3\"]\n";
    let ns = start(&[
        ("web", &note("web", "needs = [\"disk\"]")),
        ("disk", slow),
        ("other", SLEEPER),
    ])?;
    let text = ask(&ns, &["--json", "boot", "blame"])?;
    let story: serde_json::Value = serde_json::from_str(&text)?;
    ensure!(
        story["chain"] == serde_json::json!(["disk", "web"]),
        "{text}"
    );
    let blame = ask(&ns, &["boot", "blame"])?;
    let slowest = blame.lines().nth(1).unwrap_or_default();
    ensure!(
        slowest.ends_with("disk   up"),
        "the slowest is not disk:\n{blame}"
    );
    ensure!(blame.contains("it waited for disk, then web"), "{blame}");
    ask(&ns, &["boot", "chart", "-o", "/run/boot.svg"])?;
    let picture = file(&ns, "/run/boot.svg")?;
    ensure!(
        picture.starts_with("<svg ") && picture.contains("<title>disk started in "),
        "{picture}"
    );
    Ok(Outcome::Passed)
}

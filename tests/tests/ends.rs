//! Tier 2: how a boot ends: what the machine does next, who may hurry it, and what is refused.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tests::inside::{Inside, SOON};
use tests::ns::End;
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("another_root_takes_the_place_of_this_one", soft),
            test("a_root_without_a_program_is_left_by_a_reboot", empty),
            test("what_cannot_follow_is_refused", refused),
            test("signals_mean_what_they_mean_to_systemd", signals),
            test("who_is_forced_does_not_wait_for_services", forced),
            test("a_start_is_no_reason_to_stay_up", starting),
            test("what_had_to_be_killed_starts_again", killed),
        ],
    )
}

const STAYS: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
/// Does not end for a long time.
const STUBBORN: &str = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"trap '' TERM; while :; do busybox sleep 1; done\"]\n\
                        [stop]\ntimeout = \"10m\"\n";

/// Waits until this boot is judged.
fn judged(inside: &Inside) -> Result<()> {
    inside.until("it is judged", || {
        Ok(inside.call("Overview", &json!({}))?["verdict"] == "good")
    })
}

fn shell(inside: &Inside, script: &str) -> Result<()> {
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", script])?)
}

fn power(inside: &Inside, action: &str) -> Result<()> {
    inside.call("Power", &json!({ "action": action })).map(drop)
}

fn gated() -> String {
    format!("{STAYS}[gate]\nrequired = true\nstable = \"0s\"\n")
}

fn soft() -> Result<Outcome> {
    let mut inside = Inside::start(&[("old", &gated())])?;
    judged(&inside)?;
    let pid = inside.ns.pid()?;
    shell(
        &inside,
        "set -e; next=/run/nextroot; busybox mkdir $next; busybox mount -t tmpfs next $next; cd $next; \
         busybox mkdir proc sys dev run tmp var; busybox cp -a /bin /etc /usr .; \
         busybox mv etc/rinit/services/old.toml etc/rinit/services/new.toml; \
         busybox mv etc/rinit/groups/default.d/old etc/rinit/groups/default.d/new; \
         busybox mkdir /var/disk; busybox mount -t tmpfs disk /var/disk",
    )?;
    power(&inside, "soft-reboot")?;
    inside.until("the next root runs", || {
        Ok(inside.unit("new")?["state"] == "up")
    })?;
    ensure!(inside.ns.pid()? == pid, "it is another process 1");
    ensure!(
        inside.unit("old").is_err(),
        "a unit of the old root is known"
    );
    let mounts = inside.read("/proc/1/mountinfo")?;
    ensure!(
        !mounts.contains("/old") && !mounts.contains(" - tmpfs disk "),
        "{mounts}"
    );
    ensure!(mounts.contains(" / / "), "{mounts}");
    // It ends as any other.
    power(&inside, "reboot")?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn empty() -> Result<Outcome> {
    let mut inside = Inside::start(&[("a", &gated())])?;
    judged(&inside)?;
    shell(
        &inside,
        "busybox mkdir /run/nextroot; busybox mount -t tmpfs next /run/nextroot; busybox mkdir /run/nextroot/tmp",
    )?;
    power(&inside, "soft-reboot")?;
    inside.ns.console.expect(
        "the next root cannot be started: cannot execute /sbin/init",
        SOON,
    )?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome> {
    let inside = Inside::start(&[("a", &gated())])?;
    judged(&inside)?;
    for (action, words) in [
        (
            "soft-reboot",
            "cannot soft-reboot: nothing is mounted at /run/nextroot",
        ),
        ("kexec", "cannot kexec: "),
        ("explode", "action"),
    ] {
        let Err(why) = power(&inside, action) else {
            bail!("{action} was taken");
        };
        ensure!(format!("{why:#}").contains(words), "{why:#}");
    }
    ensure!(inside.call("Overview", &json!({}))?["phase"] == "running");
    let undecided = format!("{STAYS}[gate]\nrequired = true\nstable = \"10m\"\n");
    let inside = Inside::start(&[("a", &undecided)])?;
    let Err(why) = power(&inside, "soft-reboot") else {
        bail!("it was taken");
    };
    ensure!(format!("{why:#}").contains("still being judged"), "{why:#}");
    Ok(Outcome::Passed)
}

fn signals() -> Result<Outcome> {
    for (number, units, end) in [
        ("38", STAYS, End::PowerOff),
        ("39", STAYS, End::Restart),
        ("49", STUBBORN, End::Restart),
    ] {
        let mut inside = Inside::start(&[("a", units)])?;
        let pid = inside.ns.pid()?.to_string();
        // The kernel cannot be exchanged here: that is said, and nothing happens.
        run::quiet(&mut run::command("kill", ["-40", &pid]))?;
        inside.ns.console.expect("no kexec on signal 40", SOON)?;
        run::quiet(&mut run::command("kill", [&format!("-{number}"), &pid]))?;
        ensure!(inside.ns.wait_end(SOON)? == end, "signal {number}");
    }
    Ok(Outcome::Passed)
}

fn forced() -> Result<Outcome> {
    let mut inside = Inside::start(&[("a", STUBBORN)])?;
    inside
        .call("Power", &json!({ "action": "poweroff", "force": true }))
        .context("it is not taken")?;
    inside
        .ns
        .console
        .expect("not waiting any longer for a", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn starting() -> Result<Outcome> {
    let slow = "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n[ready]\ntimeout = \"10m\"\n";
    let mut inside = Inside::start_with(&[("a", STAYS)], |recipe| {
        recipe.text(
            "/etc/rinit/services/slow.toml",
            &format!("schema = 1\n{slow}"),
        )
    })?;
    inside.call("Start", &json!({ "units": ["slow"], "no_wait": true }))?;
    inside.until("it starts", || {
        Ok(inside.unit("slow")?["state"] == "starting")
    })?;
    power(&inside, "reboot")?;
    ensure!(inside.ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn killed() -> Result<Outcome> {
    let text = STUBBORN.replace("10m", "100ms").replace(
        "[stop]",
        "stop_post = \"/bin/busybox touch /run/tidied\"\n[stop]",
    );
    let inside = Inside::start(&[("a", &text)])?;
    for _ in 0..3 {
        let pid = inside.unit("a")?["pid"].clone();
        inside.call("Restart", &json!({ "units": ["a"] }))?;
        let unit = inside.unit("a")?;
        ensure!(unit["state"] == "up" && unit["restarts"] == 0, "{unit}");
        ensure!(unit["pid"] != pid, "{unit}");
        std::fs::remove_file(inside.path("/run/tidied")?).context("nobody tidied up")?;
    }
    Ok(Outcome::Passed)
}

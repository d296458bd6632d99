//! Tier 2: what a person chooses at the boot menu for one boot.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::inside::Inside;
use tests::tier::{self, Outcome, Tier, test};

const SLEEPER: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
/// The boot report of a snapshot on trial.
const TRIAL: &str = "schema = 1\nsnapshot = 7\ntry_number = 1\ntries_max = 3\nmode = \"tmpfs\"\nreason = \"trial\"\n\
                     degraded = false\nboot_id = \"x\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n";

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("a_word_at_boot_starts_nothing_but_a_login", single),
            test("a_word_at_boot_chooses_another_group", group),
            test(
                "a_group_that_is_not_there_is_told_and_the_default_one_started",
                absent,
            ),
        ],
    )
}

/// A boot on trial with these words on the kernel command line.
fn boot(words: &str, units: &[(&str, &str)]) -> Result<Inside> {
    let script = format!(
        "cd /run; busybox mkdir -p rootctl /sbin; busybox printf '#!/bin/sh\nexec busybox sleep 100000\n' > /sbin/sulogin; \
         busybox chmod 0755 /sbin/sulogin; busybox printf '{}' > rootctl/boot.toml; \
         echo 'root=/dev/x {words}' > cmdline; busybox mount -o bind cmdline /proc/cmdline; exec /usr/bin/rinit",
        TRIAL.replace('\n', "\\n")
    );
    Inside::start_as(&["/bin/sh", "-c", &script], units)
}

fn state(inside: &Inside, unit: &str) -> Result<String> {
    let state = inside.unit(unit)?["state"].clone();
    Ok(state.as_str().context("no state")?.to_owned())
}

/// Not judged: it is no trial any more, and it is not confirmed.
fn ensure_not_judged(inside: &Inside) -> Result<()> {
    inside.until("there is a verdict", || {
        Ok(inside.call("Overview", &json!({}))?["verdict"] != "pending")
    })?;
    for mark in ["boot-good", "boot-bad"] {
        ensure!(state(inside, mark)? == "down", "{mark} was started");
    }
    Ok(())
}

const GOOD: (&str, &str) = (
    "boot-good",
    "kind = \"oneshot\"\nexec.start = [\"/bin/busybox\", \"true\"]\n",
);
const BAD: (&str, &str) = (
    "boot-bad",
    "kind = \"oneshot\"\nexec.start = [\"/bin/busybox\", \"true\"]\n",
);

/// Units that nobody wants.
fn lying_there(inside: &Inside, units: &[(&str, &str)]) -> Result<()> {
    for (name, text) in units {
        let path = inside.path(&format!("/etc/rinit/services/{name}.toml"))?;
        std::fs::write(path, format!("schema = 1\n{text}")).context("cannot write")?;
    }
    inside.call("Apply", &json!({}))?;
    Ok(())
}

fn single() -> Result<Outcome> {
    let mut inside = boot("single", &[("a", SLEEPER)])?;
    inside
        .ns
        .console
        .expect("starts the group rescue", tests::inside::SOON)?;
    ensure!(state(&inside, "a")? == "down");
    ensure!(inside.call("Overview", &json!({}))?["group"] == "rescue");
    // The login is in no file, and stays when files are read.
    lying_there(&inside, &[GOOD, BAD, ("b", SLEEPER)])?;
    ensure!(inside.unit("rescue")?["name"] == "rescue");
    ensure_not_judged(&inside)?;
    inside.call("Start", &json!({ "units": ["b"] }))?;
    ensure!(state(&inside, "b")? == "up");
    Ok(Outcome::Passed)
}

fn group() -> Result<Outcome> {
    let small = "kind = \"group\"\n[deps]\nwants = [\"b\"]\n";
    let inside = boot(
        "rinit.group=small",
        &[("a", SLEEPER), ("b", SLEEPER), ("small", small), GOOD, BAD],
    )?;
    ensure!(state(&inside, "a")? == "down" && state(&inside, "b")? == "up");
    ensure_not_judged(&inside)?;
    Ok(Outcome::Passed)
}

fn absent() -> Result<Outcome> {
    let mut inside = boot("rinit.group=smal", &[("a", SLEEPER)])?;
    inside
        .ns
        .console
        .expect("there is no group \"smal\"", tests::inside::SOON)?;
    ensure!(state(&inside, "a")? == "up");
    Ok(Outcome::Passed)
}

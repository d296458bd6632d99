//! Tier 2: units that have to do with each other, as real processes under rinit as process 1.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::inside::Inside;
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("what_is_bound_comes_back_behind_the_other_one", bound),
            test("a_unit_is_prepared_again_before_it_restarts", prepared),
            test("two_that_conflict_never_run_together", conflicts),
            test("a_failure_starts_what_was_named_for_it", failure),
            test("what_is_upheld_does_not_stay_down", upheld),
        ],
    )
}

/// Says its word in a file that all share, and stays.
fn daemon(word: &str) -> String {
    let says = |what: &str| format!("echo {what} {word} >> /run/said");
    format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", '{}; trap \"{}; exit 0\" TERM; echo >&3; while :; do sleep 0.1; done']\n\
         [ready]\nmode = \"fd\"\n[restart]\ndelay = \"10ms\"\n",
        says("up"),
        says("down")
    )
}

/// Kills the main process of a unit, and waits until it is up with another one.
fn kill(inside: &Inside, name: &str) -> Result<()> {
    let pid = inside.unit(name)?["pid"].clone();
    run::quiet(
        &mut inside
            .ns
            .inside(&["/bin/busybox", "kill", "-9", &pid.to_string()])?,
    )?;
    inside.until(&format!("{name} is back"), || {
        let found = inside.unit(name)?;
        Ok(found["state"] == "up" && found["pid"] != pid)
    })
}

fn bound() -> Result<Outcome> {
    let web = daemon("web") + "[deps]\nbound_to = [\"db\"]\n";
    let part = daemon("part") + "[deps]\npart_of = [\"web\"]\nafter = [\"web\"]\n";
    let units = [("db", daemon("db")), ("web", web), ("part", part)];
    let inside = Inside::start(&units.each_ref().map(|(name, text)| (*name, &**text)))?;
    kill(&inside, "db")?;
    inside.until("all are up", || {
        let said = inside.read("/run/said")?;
        Ok(said.ends_with("up part\n") && said.lines().count() == 8)
    })?;
    inside.call("Stop", &json!({ "units": ["db"] }))?;
    let said = inside.read("/run/said")?;
    let lines: Vec<_> = said.lines().collect();
    ensure!(
        lines[..8]
            == [
                "up db",
                "up web",
                "up part",
                "down part",
                "down web",
                "up db",
                "up web",
                "up part"
            ],
        "{said}"
    );
    for (name, state) in [("db", "down"), ("web", "down"), ("part", "down")] {
        ensure!(inside.unit(name)?["state"] == state, "{name}\n{said}");
    }
    Ok(Outcome::Passed)
}

fn prepared() -> Result<Outcome> {
    let keys =
        "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", 'echo keys >> /run/said']\n";
    let web = daemon("web") + "[deps]\nprepared_by = [\"keys\"]\n";
    let inside = Inside::start(&[("keys", keys), ("web", &web)])?;
    kill(&inside, "web")?;
    let said = inside.read("/run/said")?;
    ensure!(said == "keys\nup web\nkeys\nup web\n", "{said}");
    Ok(Outcome::Passed)
}

fn conflicts() -> Result<Outcome> {
    let new = daemon("new") + "[deps]\nconflicts = [\"old\"]\n";
    let group = "kind = \"group\"\n";
    let inside = Inside::start_with(&[("g", group)], |recipe| {
        recipe
            .text(
                "/etc/rinit/services/old.toml",
                &format!("schema = 1\n{}", daemon("old")),
            )
            .text(
                "/etc/rinit/services/new.toml",
                &format!("schema = 1\n{new}"),
            )
    })?;
    for name in ["old", "new", "old"] {
        inside.call("Start", &json!({ "units": [name] }))?;
    }
    let said = inside.read("/run/said")?;
    ensure!(
        said == "up old\ndown old\nup new\ndown new\nup old\n",
        "{said}"
    );
    let new = inside.unit("new")?;
    ensure!(
        new["state"] == "down" && new["reason"] == "stopped because it conflicts with old",
        "{new}"
    );
    Ok(Outcome::Passed)
}

fn failure() -> Result<Outcome> {
    let broken =
        "kind = \"oneshot\"\n[exec]\nstart = \"/bin/busybox false\"\n[on]\nfailure = [\"alert\"]\n";
    let alert = format!("schema = 1\n{}", daemon("alert"));
    let inside = Inside::start_with(&[("broken", broken)], |recipe| {
        recipe.text("/etc/rinit/services/alert.toml", &alert)
    })?;
    inside.until("the alert is up", || {
        Ok(inside.unit("alert")?["state"] == "up")
    })?;
    ensure!(inside.unit("broken")?["state"] == "failed");
    Ok(Outcome::Passed)
}

fn upheld() -> Result<Outcome> {
    let work = format!("schema = 1\n{}", daemon("work"));
    let boss = daemon("boss") + "[deps]\nupholds = [\"work\"]\n";
    let inside = Inside::start_with(&[("boss", &boss)], |recipe| {
        recipe.text("/etc/rinit/services/work.toml", &work)
    })?;
    inside.until("the work is up", || {
        Ok(inside.unit("work")?["state"] == "up")
    })?;
    inside.call("Stop", &json!({ "units": ["work"] }))?;
    inside.until("the work is up again", || {
        Ok(inside.read("/run/said")?.ends_with("down work\nup work\n"))
    })?;
    inside.call("Stop", &json!({ "units": ["boss"] }))?;
    inside.call("Stop", &json!({ "units": ["work"] }))?;
    ensure!(inside.unit("work")?["state"] == "down");
    Ok(Outcome::Passed)
}

//! Tier 2: unit files that change while the system runs: what is said before is what is done, and nothing else.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::inside::Inside;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("only_what_was_named_is_touched", named),
            test("a_service_ends_as_it_was_started", old_stop),
            test("a_file_with_a_mistake_leaves_its_unit_running", mistake),
            test(
                "files_that_changed_since_the_plan_are_not_taken",
                changed_since,
            ),
            test("a_socket_that_is_new_starts_its_unit", socket),
        ],
    )
}

const STAYS: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";

/// Writes a unit file; `None`: takes it away.
fn file(inside: &Inside, name: &str, text: Option<&str>) -> Result<()> {
    let path = inside.path(&format!("/etc/rinit/services/{name}.toml"))?;
    match text {
        Some(text) => std::fs::write(&path, format!("schema = 1\n{text}")),
        None => std::fs::remove_file(&path),
    }
    .with_context(|| format!("cannot change {path}"))
}

/// What would be done, as `unit: deed`, in order of the names.
fn plan(inside: &Inside) -> Result<(Vec<String>, Value)> {
    let planned = inside.call("Plan", &json!({}))?;
    let steps = planned["steps"].as_array().context("there are no steps")?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut steps: Vec<String> = steps
        .iter()
        .map(|step| format!("{}: {}", word(&step["unit"]), word(&step["deed"])))
        .collect();
    steps.sort();
    Ok((steps, planned))
}

fn named() -> Result<Outcome> {
    let units = [
        ("same", STAYS),
        ("other", STAYS),
        ("text", STAYS),
        ("gone", STAYS),
    ];
    let inside = Inside::start(&units)?;
    ensure!(
        plan(&inside)?.0.is_empty(),
        "something is to be done: {}",
        plan(&inside)?.1
    );
    let pid = |name: &str| -> Result<Value> { Ok(inside.unit(name)?["pid"].clone()) };
    let before = (pid("same")?, pid("other")?, pid("text")?);
    file(
        &inside,
        "other",
        Some("[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"200000\"]\n"),
    )?;
    file(
        &inside,
        "text",
        Some(&format!(
            "description = \"words\"\n{STAYS}[stop]\ntimeout = \"3s\"\n"
        )),
    )?;
    file(&inside, "gone", None)?;
    file(&inside, "idle", Some(STAYS))?;
    file(&inside, "fresh", Some(STAYS))?;
    let link = inside.path("/etc/rinit/groups/default.d/fresh")?;
    std::fs::write(&link, "").with_context(|| format!("cannot write {link}"))?;
    let (steps, planned) = plan(&inside)?;
    let wanted = [
        "default: update",
        "fresh: start",
        "gone: stop",
        "idle: add",
        "other: restart",
        "text: update",
    ];
    ensure!(steps == wanted, "{steps:?}");
    ensure!(
        inside.unit("gone")?["state"] == "up",
        "a plan changes nothing"
    );
    inside.call("Apply", &json!({ "digest": planned["digest"] }))?;
    let after = (pid("same")?, pid("other")?, pid("text")?);
    ensure!(
        before.0 == after.0 && before.1 != after.1 && before.2 == after.2,
        "{before:?} {after:?}"
    );
    let state = |name: &str| -> Result<Value> { Ok(inside.unit(name)?["state"].clone()) };
    ensure!(state("fresh")? == "up" && state("idle")? == "down" && state("other")? == "up");
    ensure!(inside.unit("text")?["description"] == "words");
    ensure!(inside.unit("gone").is_err(), "it is still known");
    let known = inside.call("Overview", &json!({}))?["units"].clone();
    ensure!(known == 6, "{known} units are known");
    ensure!(plan(&inside)?.0.is_empty(), "{}", plan(&inside)?.1);
    // Back again, under its old name.
    file(&inside, "gone", Some(STAYS))?;
    inside.call("Apply", &json!({}))?;
    ensure!(state("gone")? == "up", "{}", inside.unit("gone")?);
    Ok(Outcome::Passed)
}

fn old_stop() -> Result<Outcome> {
    let text = |word: &str| {
        format!("{STAYS}stop = [\"/bin/sh\", \"-c\", \"echo stopped as {word} >> /run/said\"]\n")
    };
    let inside = Inside::start(&[("web", &text("old"))])?;
    let new = text("new").replace("100000", "200000");
    file(&inside, "web", Some(&new))?;
    inside.call("Apply", &json!({}))?;
    ensure!(
        inside.read("/run/said")? == "stopped as old\n",
        "{}",
        inside.read("/run/said")?
    );
    inside.call("Stop", &json!({ "units": ["web"] }))?;
    let said = inside.read("/run/said")?;
    ensure!(said == "stopped as old\nstopped as new\n", "{said}");
    Ok(Outcome::Passed)
}

fn mistake() -> Result<Outcome> {
    let inside = Inside::start(&[("web", STAYS), ("other", STAYS)])?;
    let pid = inside.unit("web")?["pid"].clone();
    file(&inside, "web", Some("[exec]\nsrart = \"/x\"\n"))?;
    let (steps, planned) = plan(&inside)?;
    ensure!(steps == ["web: keep"], "{steps:?}");
    let problem = planned["problems"][0].as_str().unwrap_or_default();
    ensure!(
        problem.contains("web.toml:3:1") && problem.contains("did you mean \"start\""),
        "{problem}"
    );
    inside.call("Apply", &json!({}))?;
    let now = inside.unit("web")?;
    ensure!(now["state"] == "up" && now["pid"] == pid, "{now}");
    // All of them at once, the default group too: nothing is taken.
    file(&inside, "default", Some("kind = \"gruop\"\n"))?;
    let answer = inside.call("Apply", &json!({}));
    let why = format!("{:#}", answer.err().context("it was taken")?);
    ensure!(why.contains("no usable group default"), "{why}");
    ensure!(inside.unit("other")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn changed_since() -> Result<Outcome> {
    let inside = Inside::start(&[("web", STAYS)])?;
    file(&inside, "more", Some(STAYS))?;
    let digest = inside.call("Plan", &json!({}))?["digest"].clone();
    file(&inside, "web", None)?;
    let answer = inside.call("Apply", &json!({ "digest": digest }));
    let why = format!("{:#}", answer.err().context("it was taken")?);
    ensure!(why.contains("have changed since"), "{why}");
    ensure!(inside.unit("web")?["state"] == "up");
    ensure!(inside.unit("more").is_err(), "it is known");
    Ok(Outcome::Passed)
}

fn socket() -> Result<Outcome> {
    let inside = Inside::start(&[("web", STAYS)])?;
    let text = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo here >> /run/said; exec sleep 100000\"]\n\
                [[socket]]\nlisten = \"stream:/run/late.sock\"\n";
    file(&inside, "late", Some(text))?;
    inside.call("Apply", &json!({}))?;
    ensure!(
        inside.unit("late")?["state"] == "down",
        "{}",
        inside.unit("late")?
    );
    let path = inside.path("/run/late.sock")?;
    let _client = std::os::unix::net::UnixStream::connect(&path)
        .with_context(|| format!("cannot connect to {path}"))?;
    inside.until("the unit is up", || {
        Ok(inside.unit("late")?["state"] == "up")
    })?;
    inside.until("it said so", || Ok(inside.read("/run/said")? == "here\n"))?;
    Ok(Outcome::Passed)
}

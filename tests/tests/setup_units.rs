//! Tier 2: the units that set a machine up, as they are shipped.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tests::inside::Inside;
use tests::paths;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("no_two_boots_get_the_same_random_bytes", seed),
            test("whose_program_is_absent_is_skipped", absent),
        ],
    )
}

/// The text of a shipped unit, without its first line: whoever writes it into the root adds that.
fn shipped(name: &str) -> Result<String> {
    let path = paths::workspace().join(format!("services/{name}.toml"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.replace("schema = 1\n", ""))
}

/// A group that all units need, as on every machine.
const BASIC: (&str, &str) = ("basic", "kind = \"group\"\ndefault_deps = false\n");

fn seed() -> Result<Outcome> {
    let inside = Inside::start(&[BASIC, ("random-seed", &shipped("random-seed")?)])?;
    let path = inside.path("/var/lib/random-seed/seed")?;
    let read = || std::fs::read(&path).with_context(|| format!("cannot read {path}"));
    ensure!(
        inside.unit("random-seed")?["state"] == "up",
        "{}",
        inside.unit("random-seed")?
    );
    let first = read()?;
    ensure!(first.len() == 512, "{} bytes", first.len());
    let mode = std::fs::metadata(&path)?.permissions().mode();
    ensure!(mode & 0o7777 == 0o600, "{mode:o}");
    inside.call("Stop", &json!({ "units": ["random-seed"] }))?;
    let second = read()?;
    ensure!(
        second.len() == 512 && second != first,
        "the end left what it found"
    );
    inside.call("Start", &json!({ "units": ["random-seed"] }))?;
    ensure!(read()? != second, "what was used may be used again");
    Ok(Outcome::Passed)
}

fn absent() -> Result<Outcome> {
    let names = ["sysusers", "tmpfiles", "sysctl", "hardware-clock"];
    let texts: Vec<String> = names.into_iter().map(shipped).collect::<Result<_>>()?;
    let mut units = vec![BASIC];
    units.extend(names.into_iter().zip(texts.iter().map(String::as_str)));
    let inside = Inside::start(&units)?;
    for name in names {
        let unit = inside.unit(name)?;
        let reason = unit["reason"].as_str().unwrap_or_default();
        ensure!(
            unit["state"] == "down" && reason.starts_with("skipped: "),
            "{unit}"
        );
    }
    ensure!(inside.call("Overview", &json!({}))?["failed"] == 0);
    Ok(Outcome::Passed)
}

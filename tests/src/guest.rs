//! Questions and orders to a system that runs in a machine, given at its login shell.

use crate::console::Console;
use crate::system::CONTAINER;
use anyhow::{Context, Result, bail};
use rootspec::protocol::{init, store};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// How long one command may take; under TCG on a busy host seconds become half a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// From power-on to the login prompt.
pub const BOOT: Duration = Duration::from_secs(300);

/// What the boot stage says when it hands over.
pub const STAGE_WORDS: &str = "rinit-boot: ";
/// What process 1 says first.
pub const RINIT_WORDS: &str = "rinit: ";

/// A snapshot's number, 0 for none.
pub fn number(id: Option<rootspec::SnapshotId>) -> u32 {
    id.map_or(0, rootspec::SnapshotId::get)
}

/// Waits until the enabled services and the container are up.
///
/// # Errors
/// When one is not in time: all units with their state.
pub fn services_up(console: &mut Console) -> Result<String> {
    const NAMES: [&str; 6] = [
        "udev",
        "dbus",
        "network",
        "sshd",
        "console-getty",
        CONTAINER,
    ];
    let up = |list: &init::UnitList| {
        let is_up = |name: &&str| {
            list.units
                .iter()
                .any(|unit| unit.name == **name && unit.state == "up")
        };
        NAMES.iter().all(is_up)
    };
    until(console, BOOT, units, up)?;
    Ok(NAMES.join(", "))
}

/// Waits until the network card has an address of the network that QEMU makes (its manual, "Network emulation"), and
/// says which.
///
/// # Errors
/// When it has none in time: all addresses.
pub fn address(console: &mut Console) -> Result<String> {
    const NETWORK: &str = "inet 10.0.2.";
    let ask = |console: &mut Console| {
        console.succeed("ip -4 -oneline address show scope global", PATIENCE)
    };
    until(console, BOOT, ask, |said| said.contains(NETWORK))
}

/// Makes a snapshot of the running one in which `script` was run.
///
/// # Errors
/// When `rootctl run` fails.
pub fn make_snapshot(console: &mut Console, name: &str, script: &str) -> Result<String> {
    let quoted = script.replace('\'', r"'\''");
    console.succeed(
        &format!("rootctl run @booted --name {name} -- sh -c '{quoted}'"),
        PATIENCE,
    )
}

/// A script that adds a required service which never says that it is ready.
pub fn never_ready() -> String {
    let unit = r#"schema = 1\n[exec]\nstart = ["/bin/sleep", "1000000"]\n[ready]\nmode = "notify"\ntimeout = "15s"\n[restart]\npolicy = "no"\n[gate]\nrequired = true\nwithin = "60s"\n"#;
    format!(
        "printf '{unit}' > /usr/lib/rinit/services/never.toml && mkdir -p /usr/lib/rinit/groups/default.d && \
         : > /usr/lib/rinit/groups/default.d/never"
    )
}

/// Waits until snapshot `id` is confirmed: good, and no trial left.
///
/// # Errors
/// When it is not in time: the last status.
pub fn confirmed(console: &mut Console, id: u32) -> Result<store::Status> {
    until(console, BOOT, status, |status| {
        number(status.good) == id && status.trial.is_none()
    })
}

/// What the broker says about the store.
///
/// # Errors
/// When rootctl fails or says something else.
pub fn status(console: &mut Console) -> Result<store::Status> {
    answer(console, "rootctl --json status")
}

/// What process 1 says about the whole system.
///
/// # Errors
/// As [`status`].
pub fn units(console: &mut Console) -> Result<init::UnitList> {
    answer(console, "rootctl --json svc list")
}

/// Asks the same thing until the answer is right.
///
/// # Errors
/// When it is not after `deadline`: the last answer.
pub fn until<T: std::fmt::Debug>(
    console: &mut Console,
    deadline: Duration,
    ask: impl Fn(&mut Console) -> Result<T>,
    right: impl Fn(&T) -> bool,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let answer = ask(console)?;
        if right(&answer) {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!(
                "after {} s the answer is still {answer:?}",
                deadline.as_secs()
            );
        }
        // The guest does the waiting: it has better things to do than to answer us.
        console.succeed("sleep 1", PATIENCE)?;
    }
}

fn answer<T: DeserializeOwned>(console: &mut Console, command: &str) -> Result<T> {
    let said = console.succeed(command, PATIENCE)?;
    // Somebody else may write on the console too: the answer is what is between the outer braces.
    let json = said
        .find('{')
        .zip(said.rfind('}'))
        .and_then(|(from, to)| said.get(from..=to));
    let json = json.with_context(|| format!("`{command}` gave no JSON: {said}"))?;
    serde_json::from_str(json).with_context(|| format!("`{command}` gave another answer: {said}"))
}

//! Questions and orders to a system that runs in a machine, given at its login shell.

use crate::console::Console;
use anyhow::{Context, Result, bail};
use rootspec::protocol::{init, store};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// How long one command may take; under TCG on a busy host seconds become half a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// From power-on to the login prompt.
pub const BOOT: Duration = Duration::from_secs(300);

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

//! Tier 3: a sample of the states in which a cut of the power may leave a disk; `cargo xtask powercut` takes them all.

use anyhow::{Result, ensure};
use tests::powercut::cuts::{Choice, Disk};
use tests::powercut::{self, story};
use tests::say;
use tests::tier::{self, Outcome, Tier, test};

/// About 200 states.
const EVERY: usize = 12;

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Machine,
        vec![test(
            "no_power_cut_breaks_what_was_promised_and_a_lying_disk_is_found_out",
            sample,
        )],
    )
}

fn sample() -> Result<Outcome> {
    let recording = story::record()?;
    let honest = Choice {
        disk: Disk::Honest,
        every: EVERY,
        randoms: 1,
        seed: 0x0007_0A57,
    };
    let verdict = powercut::examine(&recording, honest, |_, _| {})?;
    say::line(&verdict.summary());
    ensure!(verdict.states > 50, "only {} states", verdict.states);
    ensure!(verdict.broken.is_empty(), "{}", verdict.list());
    // The check must be able to fail.
    let lying = Choice {
        disk: Disk::Liar(200),
        randoms: 2,
        ..honest
    };
    let verdict = powercut::examine(&recording, lying, |_, _| {})?;
    say::line(&format!(
        "a disk that ignores flushes: {}",
        verdict.summary()
    ));
    ensure!(
        !verdict.broken.is_empty(),
        "nothing was lost on a disk that loses what was flushed"
    );
    Ok(Outcome::Passed)
}

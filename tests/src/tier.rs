//! The front of the tests that need more than a compiler: each may find out at run time that this host
//! cannot run it, and then says why.
//!
//! Tier 2 needs root and a real kernel but boots nothing; tier 3 boots machines in QEMU.

use crate::{isolate, say};
use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

/// How a test went, when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and everything held.
    Passed,
    /// It could not run here; the reason, for a person.
    Skipped(String),
}

/// Which tests a file holds, and so what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// A real kernel: root, mounts, namespaces.
    Kernel,
    /// QEMU: minutes per test.
    Machine,
}

/// Set by the front door. Without it a plain `cargo test` over the workspace leaves the slow tests out.
pub const STARTED_BY_XTASK: &str = "ROOTCTL_TESTS_XTASK";

/// One test.
#[derive(Debug)]
pub struct Test {
    name: &'static str,
    body: fn() -> Result<Outcome>,
}

/// Names a test, as a sentence.
pub const fn test(name: &'static str, body: fn() -> Result<Outcome>) -> Test {
    Test { name, body }
}

/// Runs the tests of one file, one after the other, as the command line asks (filters and `--list` as
/// of any Rust test).
pub fn main(tier: Tier, tests: Vec<Test>) -> ExitCode {
    if let Err(why) = isolate::enter() {
        say::failure(&why);
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    // Two machines at once would only take time from each other.
    arguments.test_threads = Some(1);
    let obstacle = obstacle(tier, &arguments);
    let trials = tests
        .into_iter()
        .map(|test| trial(test, obstacle.clone()))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Why no test of this tier can run here.
fn obstacle(tier: Tier, arguments: &Arguments) -> Option<String> {
    let asked = std::env::var_os(STARTED_BY_XTASK).is_some() || arguments.filter.is_some();
    if tier == Tier::Machine && !asked {
        return Some(
            "boots machines for many minutes; start it with `cargo xtask test`, or name a test"
                .into(),
        );
    }
    if !isolate::is_root() {
        return Some("needs root for mounts and loop devices".into());
    }
    (!isolate::can_make_namespaces()).then(|| "this host lets root make no namespaces".into())
}

fn trial(test: Test, obstacle: Option<String>) -> Trial {
    Trial::ignorable_test(test.name, move || {
        let outcome = match obstacle {
            Some(reason) => Outcome::Skipped(reason),
            None => (test.body)().map_err(|why| Failed::from(format!("{why:#}")))?,
        };
        match outcome {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
        }
    })
}

/// Passed, failed and skipped tests, summed over everything that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Tests that passed.
    pub passed: u64,
    /// Tests and steps that failed.
    pub failed: u64,
    /// Tests and steps left out, each with a reason printed.
    pub skipped: u64,
}

impl Sum {
    /// Adds what a line `test result: ok. 3 passed; 1 failed; 2 ignored; ...` says; other lines add nothing.
    pub fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(kind)) = (words.next().map(str::parse::<u64>), words.next())
            else {
                continue;
            };
            match kind {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }

    /// The last line of a test run.
    pub fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_other_lines_ignored() {
        let mut sum = Sum::default();
        sum.add_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s");
        sum.add_line(
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        sum.add_line("running 4 tests");
        assert_eq!(
            sum,
            Sum {
                passed: 13,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(sum.line(), "13 passed, 2 failed, 1 skipped");
    }
}

//! `cargo xtask test`: every step in order, their output as it comes, one line of sums at the end.

use crate::Common;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tests::tier::{STARTED_BY_XTASK, Sum};
use tests::{fuzz, host, limine, paths, programs, qemu, run, say};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests that boot machines in QEMU
    #[arg(long)]
    fast: bool,
    #[command(flatten)]
    common: Common,
    /// Run only tests whose name contains this word; formatting and lints are then left out
    filter: Option<String>,
}

/// Tests that need root and a real kernel, but boot nothing.
const KERNEL_TESTS: &[&str] = &[
    "namespaces",
    "init",
    "storms",
    "chosen",
    "supervise",
    "readiness",
    "logs",
    "reexec",
    "fdstore",
    "accept",
    "ends",
    "setup_units",
    "sandbox",
    "ties",
    "rules",
    "paths",
    "mounts",
    "boot_plan",
    "apply",
    "stage",
    "boot_stage",
    "hooks",
    "docs",
    "programs",
];
/// Tests that boot machines.
const MACHINE_TESTS: &[&str] = &["loaders", "boot", "hook_boots", "powercut"];

/// So long each fuzz target runs here; `cargo xtask fuzz` takes more time.
const FUZZED: Duration = Duration::from_secs(8);

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    host::ensure(options.common.install())?;
    let mut run = Run {
        sum: Sum::default(),
        filter: options.filter.clone(),
    };
    if options.filter.is_none() {
        run.style();
    }
    let built = run.step("build our programs", || programs::build().map(drop));
    run.cargo(
        "tests beside the code",
        &["--workspace", "--exclude", "tests", "--all-features"],
    );
    run.cargo(
        "tests of the test machine",
        &["--package", "tests", "--lib", "--bins"],
    );
    for file in KERNEL_TESTS {
        if !built {
            run.skip(
                &format!("tests on this kernel: {file}"),
                "our programs were not built",
            );
            continue;
        }
        run.cargo(
            &format!("tests on this kernel: {file}"),
            &["--package", "tests", "--test", file],
        );
    }
    if options.filter.is_none() {
        run.hostile_bytes(options.fast);
    }
    if options.fast {
        run.skip("everything that boots in QEMU", "--fast was given");
    } else if !built {
        run.skip(
            "everything that boots in QEMU",
            "our programs were not built",
        );
    } else {
        run.machines();
    }
    if let (
        Some(word),
        Sum {
            passed: 0,
            failed: 0,
            ..
        },
    ) = (&options.filter, run.sum)
    {
        anyhow::bail!("no test that ran has {word:?} in its name; next: cargo xtask test --help");
    }
    say::line(&run.sum.line());
    Ok(if run.sum.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One run over all steps.
struct Run {
    sum: Sum,
    filter: Option<String>,
}

impl Run {
    fn style(&mut self) {
        self.tool("format", "cargo fmt", &["fmt", "--all", "--check"]);
        let lint = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ];
        self.tool("lint", "cargo clippy", &lint);
        // A workspace of its own.
        let apart = ["--manifest-path", "fuzz/Cargo.toml"];
        let format = [&["fmt"], &apart[..], &["--check"]].concat();
        self.tool("format of the fuzz targets", "cargo fmt", &format);
        let kept = ["--target-dir", "target/fuzz", "--", "-D", "warnings"];
        let lint = [&["clippy", "--locked"], &apart[..], &kept].concat();
        self.tool("lint of the fuzz targets", "cargo clippy", &lint);
    }

    fn machines(&mut self) {
        match qemu::accel::best() {
            Ok(accel) => say::line(accel.sentence()),
            Err(why) => return self.fail("start QEMU", &why),
        }
        for file in MACHINE_TESTS {
            self.cargo(
                &format!("tests that boot: {file}"),
                &["--package", "tests", "--test", file],
            );
        }
        if let Err(reason) = limine::folder() {
            say::line(&format!("no real Limine was booted: {reason:#}"));
        }
    }

    /// A while of hostile bytes for each reader of a format.
    fn hostile_bytes(&mut self, fast: bool) {
        if fast {
            return self.skip("hostile bytes for readers of formats", "--fast was given");
        }
        let built = match fuzz::build() {
            Ok(built) => built,
            Err(why) => return self.fail("build the fuzz targets", &why),
        };
        for target in built.names() {
            let held = self.step(&format!("hostile bytes: {target}"), || {
                built.run(target, FUZZED)
            });
            self.sum.passed += u64::from(held);
        }
    }

    /// A step with a result of its own: only a failure counts. Says whether it went well.
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        let started = Instant::now();
        say::line(&format!("== {name}"));
        let result = work();
        match &result {
            Ok(()) => say::line(&format!(
                "== {name}: done in {:.1} s",
                started.elapsed().as_secs_f64()
            )),
            Err(why) => self.fail(name, why),
        }
        result.is_ok()
    }

    /// A part of cargo that not every installation has.
    fn tool(&mut self, name: &str, shown: &str, arguments: &[&str]) {
        let Some(verb) = arguments.first() else {
            return;
        };
        if !run::succeeds(cargo(&[verb, "--version"]).stdin(Stdio::null())) {
            return self.skip(name, &format!("{shown} is not installed"));
        }
        self.step(name, || {
            let status = run::shown_live(&mut cargo(arguments))?;
            anyhow::ensure!(status.success(), "{shown} ended with {status}");
            Ok(())
        });
    }

    /// One call of `cargo test`; its result lines are added up.
    fn cargo(&mut self, name: &str, arguments: &[&str]) {
        let mut words = vec!["test"];
        words.extend(arguments);
        // One crate's failure must not hide the others'.
        words.push("--no-fail-fast");
        let filter = self.filter.clone();
        if let Some(filter) = &filter {
            words.extend(["--", filter]);
        }
        let started = Instant::now();
        say::line(&format!("== {name}"));
        let before = self.sum;
        match streamed(&mut cargo(&words), &mut self.sum) {
            // A crate that does not compile prints no result line, and still failed.
            Ok(false) if self.sum.failed == before.failed => self.sum.failed += 1,
            Ok(_) => {}
            Err(why) => return self.fail(name, &why),
        }
        say::line(&format!(
            "== {name}: {:.1} s",
            started.elapsed().as_secs_f64()
        ));
    }

    fn fail(&mut self, name: &str, why: &anyhow::Error) {
        self.sum.failed += 1;
        say::line(&format!("== {name}: FAILED: {why:#}"));
    }

    fn skip(&mut self, name: &str, reason: &str) {
        self.sum.skipped += 1;
        say::line(&format!("== {name}: skipped: {reason}"));
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut cargo = Command::new(program);
    cargo
        .args(arguments)
        .current_dir(paths::workspace())
        .env(STARTED_BY_XTASK, "1");
    cargo
}

/// Runs a command, shows its output as it comes and sums its result lines; says whether it succeeded.
fn streamed(command: &mut Command, sum: &mut Sum) -> Result<bool> {
    let text = run::shown(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let output = child.stdout.take().context("a pipe is missing")?;
    for line in BufReader::new(output).lines() {
        let line = line.with_context(|| format!("cannot read the output of `{text}`"))?;
        sum.add_line(&line);
        say::line(&line);
    }
    Ok(child
        .wait()
        .with_context(|| format!("cannot wait for `{text}`"))?
        .success())
}

#[cfg(test)]
mod lists {
    use super::*;

    #[test]
    fn every_file_of_tests_is_run() {
        let folder = paths::workspace().join("tests/tests");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|file| file.extension().is_some_and(|end| end == "rs"))
            .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut listed: Vec<&str> = KERNEL_TESTS.iter().chain(MACHINE_TESTS).copied().collect();
        listed.sort_unstable();
        assert_eq!(listed, files);
    }
}

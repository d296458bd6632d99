//! Hostile bytes for every reader of a format that is trusted: builds the targets in `fuzz/` and runs them.
//!
//! The fuzzer is libFuzzer. What it needs to see of the code (counters at every edge, operands of comparisons) a stable
//! compiler can give; the flags are those of `cargo fuzz`, without its sanitizer, which needs a nightly one.

use crate::{paths, run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Named, so that build scripts and macros of the compiler's own get no counters.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// `SanitizerCoverage` as libFuzzer wants it (<https://llvm.org/docs/LibFuzzer.html>).
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Most memory that reading one input may take, in MiB.
const MEMORY: u32 = 1024;
/// Longest time that reading one input may take, in seconds; far more than any takes.
const PATIENCE: u32 = 20;

/// The programs, built.
#[derive(Debug)]
pub struct Fuzzers {
    folder: PathBuf,
    names: Vec<String>,
}

fn home() -> PathBuf {
    paths::workspace().join("fuzz")
}

/// Where new inputs and crashes go.
fn found() -> PathBuf {
    paths::target().join("fuzz/found")
}

/// Builds all targets.
///
/// # Errors
/// When cargo fails; its own words are on the terminal.
pub fn build() -> Result<Fuzzers> {
    let target = paths::target().join("fuzz");
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut cargo = run::command(&program, ["build", "--quiet", "--release", "--locked"]);
    cargo
        .args(["--target", TARGET])
        .current_dir(home())
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", COVERAGE);
    let status = run::shown_live(&mut cargo)?;
    anyhow::ensure!(
        status.success(),
        "`{}` ended with {status}",
        run::shown(&cargo)
    );
    Ok(Fuzzers {
        folder: target.join(TARGET).join("release"),
        names: names(&home().join("targets"))?,
    })
}

/// Names of the targets: one file each.
fn names(folder: &Path) -> Result<Vec<String>> {
    let reading = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(reading)? {
        let file = entry.with_context(reading)?.path();
        if let Some(name) = file.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

impl Fuzzers {
    /// All targets.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Runs one target for so long, from its corpus and what was found before.
    ///
    /// # Errors
    /// There is no such target, or an input breaks what it promises; the error has the fuzzer's last words, and names the
    /// file with the input.
    pub fn run(&self, name: &str, time: Duration) -> Result<()> {
        anyhow::ensure!(
            self.names.iter().any(|known| known == name),
            "there is no fuzz target {name:?}; next: one of {}",
            self.names.join(", ")
        );
        let new = found().join(name);
        fs::create_dir_all(&new).with_context(|| format!("cannot make {}", new.display()))?;
        let crash = found().join(format!("{name}-"));
        let mut fuzzer = self.program(name);
        fuzzer
            .args([&new, &corpus(name)])
            .arg(format!("-max_total_time={}", time.as_secs().max(1)))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-timeout={PATIENCE}"))
            .arg(format!("-artifact_prefix={}", crash.display()))
            .args(["-verbosity=0", "-print_final_stats=0"]);
        run::quiet(&mut fuzzer).with_context(|| {
            let again = self.folder.join(name);
            format!(
                "an input breaks what {name} promises; it is a file {}…; next: {} THAT-FILE",
                crash.display(),
                again.display()
            )
        })
    }

    fn program(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }

    /// Adds to the corpus of a target those inputs found that reach further than what it holds.
    ///
    /// # Errors
    /// The fuzzer fails.
    pub fn keep(&self, name: &str) -> Result<()> {
        let mut fuzzer = self.program(name);
        fuzzer.args(["-merge=1", "-verbosity=0"]);
        fuzzer.args([corpus(name), found().join(name)]);
        run::quiet(&mut fuzzer)
    }
}

fn corpus(name: &str) -> PathBuf {
    home().join("corpus").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_built_has_a_corpus_and_is_explained() {
        let manifest = fs::read_to_string(home().join("Cargo.toml")).unwrap();
        let readme = fs::read_to_string(home().join("README.md")).unwrap();
        let names = names(&home().join("targets")).unwrap();
        assert!(names.len() >= 10, "{names:?}");
        for name in &names {
            assert!(
                manifest.contains(&format!("path = \"targets/{name}.rs\"")),
                "{name} is not built"
            );
            assert!(
                readme.contains(&format!("| `{name}` |")),
                "{name} is not explained"
            );
            let seeds = fs::read_dir(corpus(name)).map_or(0, Iterator::count);
            assert!(seeds > 0, "{name} has nothing to begin with");
        }
    }
}

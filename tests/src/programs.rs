//! Builds our own programs, each the way it ships, and says where they lie.

use crate::{paths, run};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A static build needs the target named: else the flag would reach the build's own proc macros, which
/// cannot be static.
const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where they lie in a root.
const RINIT: &str = "usr/bin/rinit";
const PLANNER: &str = "usr/bin/rinit-plan";
const HELPER: &str = "usr/lib/rinit/rinit-helper";

/// The built programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Process 1, static.
    pub rinit: PathBuf,
    /// What reads unit files for it, static.
    pub rinit_plan: PathBuf,
    /// What rinit starts for what it may not do itself, static.
    pub rinit_helper: PathBuf,
    /// The command people type, static.
    pub rootctl: PathBuf,
    /// `/init` of our initramfs, static.
    pub rinit_boot: PathBuf,
    /// The broker; dynamic, because of the libraries of kmod and btrfs.
    pub rootctld: PathBuf,
}

impl Programs {
    /// Each program with its place inside a root.
    pub fn places(&self) -> [(&Path, &'static str); 6] {
        [
            (&self.rinit, RINIT),
            (&self.rinit_plan, PLANNER),
            (&self.rinit_helper, HELPER),
            (&self.rootctl, "usr/bin/rootctl"),
            (&self.rootctld, "usr/lib/rootctl/rootctld"),
            (&self.rinit_boot, "usr/lib/rootctl/rinit-boot"),
        ]
    }

    /// Puts the programs, the shipped services and the `init` link into a root folder.
    ///
    /// # Errors
    /// When something cannot be copied.
    pub fn install(&self, root: &Path) -> Result<()> {
        for (program, place) in self.places() {
            let mut install = run::command("install", ["-D", "-m", "0755"]);
            run::quiet(install.arg(program).arg(root.join(place)))?;
        }
        install_units(root)?;
        let sbin = root.join("usr/sbin");
        fs::create_dir_all(&sbin).with_context(|| format!("cannot make {}", sbin.display()))?;
        run::quiet(run::command("ln", ["-sfn", "../bin/rinit"]).arg(root.join("usr/sbin/init")))
    }
}

/// The shipped units, and the empty files that enable some of them.
fn install_units(root: &Path) -> Result<()> {
    let shipped = paths::workspace().join("services");
    let target = root.join("usr/lib/rinit");
    let units = target.join("services");
    fs::create_dir_all(&units).with_context(|| format!("cannot make {}", units.display()))?;
    let entries =
        fs::read_dir(&shipped).with_context(|| format!("cannot read {}", shipped.display()))?;
    for entry in entries {
        let file = entry
            .with_context(|| format!("cannot read {}", shipped.display()))?
            .path();
        if file.extension().is_some_and(|end| end == "toml") {
            run::quiet(
                run::command("install", ["-m", "0644", "-t"])
                    .arg(&units)
                    .arg(&file),
            )?;
        }
    }
    let mut copy = run::command("cp", ["-r", "--no-preserve=ownership"]);
    run::quiet(copy.arg(shipped.join("groups")).arg(&target))
}

/// Builds all programs, release profile, once per process; cargo itself skips what is fresh.
///
/// # Errors
/// When cargo fails; its own words are on the terminal.
pub fn build() -> Result<Programs> {
    static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_now().map_err(|why| format!("{why:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build_now() -> Result<Programs> {
    Ok(Programs {
        rinit: rinit()?,
        rinit_plan: planner()?,
        rinit_helper: helper()?,
        rootctl: rootctl()?,
        rinit_boot: boot_stage()?,
        rootctld: broker()?,
    })
}

/// Builds the boot stage only.
///
/// # Errors
/// As [`build`].
pub fn boot_stage() -> Result<PathBuf> {
    fixed("initramfs-hook", "rinit-boot")
}

/// Builds rinit and the programs it starts; each with its place inside a root.
///
/// # Errors
/// As [`build`].
pub fn of_rinit() -> Result<[(PathBuf, &'static str); 3]> {
    Ok([
        (rinit()?, RINIT),
        (planner()?, PLANNER),
        (helper()?, HELPER),
    ])
}

/// Builds rinit only.
///
/// # Errors
/// As [`build`].
pub fn rinit() -> Result<PathBuf> {
    fixed("rinit", "rinit")
}

/// Builds the program that reads unit files for rinit.
///
/// # Errors
/// As [`build`].
pub fn planner() -> Result<PathBuf> {
    fixed("rinit", "rinit-plan")
}

/// Builds the program that rinit starts for what it may not do itself.
///
/// # Errors
/// As [`build`].
pub fn helper() -> Result<PathBuf> {
    fixed("rinit", "rinit-helper")
}

/// Builds rootctl only.
///
/// # Errors
/// As [`build`].
pub fn rootctl() -> Result<PathBuf> {
    fixed("rootctl", "rootctl")
}

/// Builds the small program that the benchmark of boots runs inside. It has no C library, which cargo cannot
/// be told about one program only.
///
/// # Errors
/// When the compiler fails; its own words are on the terminal.
pub fn bench() -> Result<PathBuf> {
    let made = paths::cache()?.join("bench");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut build = run::command(&compiler, ["--edition", "2024", "--target", STATIC_TARGET]);
    build.args(BARE).arg("-o").arg(&made);
    run_cargo(build.arg(paths::workspace().join("sys/bare/bench.rs")))?;
    Ok(made)
}

/// Builds the search for changed inodes that `rootctl diff` is measured against.
///
/// # Errors
/// When cargo fails; its own words are on the terminal.
pub fn inode_search() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["--package", "sys", "--example", "inode_search"]);
    run_cargo(&mut build)?;
    made(paths::target().join("release/examples/inode_search"))
}

/// A program that begins at its own `_start` and calls nobody.
const BARE: [&str; 8] = [
    "-Copt-level=3",
    "-Clto=fat",
    "-Cpanic=abort",
    "-Cstrip=symbols",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Clink-args=-nostartfiles -nostdlib",
    "--crate-type=bin",
];

/// A static program. Each package is built by itself: built together, each would get the features that any
/// of them asks of a shared crate.
fn fixed(package: &str, program: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "--target",
        STATIC_TARGET,
        "--package",
        package,
        "--bin",
        program,
    ]);
    build.env(
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
        "-C target-feature=+crt-static",
    );
    run_cargo(&mut build)?;
    made(
        paths::target()
            .join(STATIC_TARGET)
            .join("release")
            .join(program),
    )
}

fn broker() -> Result<PathBuf> {
    let mut build = cargo();
    build.args([
        "--package",
        "rootctl",
        "--features",
        "broker",
        "--bin",
        "rootctld",
    ]);
    run_cargo(&mut build)?;
    made(paths::target().join("release/rootctld"))
}

fn made(program: PathBuf) -> Result<PathBuf> {
    anyhow::ensure!(program.exists(), "cargo made no {}", program.display());
    Ok(program)
}

fn cargo() -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = run::command(&cargo, ["build", "--quiet", "--release"]);
    build
        .current_dir(paths::workspace())
        .env("CARGO_TARGET_DIR", paths::target());
    build
}

fn run_cargo(build: &mut Command) -> Result<()> {
    let status = run::shown_live(build)?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` ended with {status}", run::shown(build))
}

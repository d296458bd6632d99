//! `cargo xtask bench`: figures against their goals. No timed tests: a person reads them, on a quiet machine.
//!
//! - `diff.rs`: `rootctl diff` on a large tree, against the kernel's search for changed inodes;
//! - `init.rs`: rinit with fifty services, in namespaces, against a program that only starts them;
//! - `plan.rs`: what a thousand definitions of units cost a boot, from the plan that was kept and from files;
//! - `services.rs`: a thousand services started, killed, stopped and asked about;
//! - `processes.rs`: memory and wake-ups of what supervises;
//! - `race.rs`: the boot stage against an initramfs of busybox and shell, in QEMU;
//! - `class.rs`: the real-time class, for a host that has other work to do.

mod class;
mod diff;
mod init;
mod plan;
mod processes;
mod race;
mod services;

use crate::Common;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use tests::paths::Scratch;
use tests::store_image::StoreImage;
use tests::{host, initramfs, programs, rootfs, run, say, stage_run};

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Sizes of the programs, and of the initramfs without kernel modules
    Size,
    /// The boot stage's own work on this kernel, from its start to the complete tree
    BootStage {
        /// How often
        #[arg(long, default_value_t = 20)]
        runs: u32,
    },
    /// From the exec of rinit to fifty services ready, against a program that only starts them; memory, wake-ups
    Init {
        /// How often each
        #[arg(long, default_value_t = 7)]
        runs: u32,
        /// Measure in the real-time class: for a host that has other work to do
        #[arg(long)]
        rt: bool,
    },
    /// What a thousand definitions of units cost a boot: from the plan that was kept, and from all files
    Plan {
        /// How often each
        #[arg(long, default_value_t = 21)]
        runs: u32,
        /// Measure in the real-time class: for a host that has other work to do
        #[arg(long)]
        rt: bool,
    },
    /// A thousand services: started by one command, killed, stopped, asked about; memory
    Services(services::Options),
    /// What differs between two snapshots of a large tree, against the kernel's search for changed inodes
    Diff {
        /// How often each
        #[arg(long, default_value_t = 21)]
        runs: u32,
    },
    /// From the start of /init to the system's own, against a busybox initramfs, in QEMU
    Race {
        /// How often each
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// Measure in the real-time class: for a host that has other work to do
        #[arg(long)]
        rt: bool,
    },
}

/// Bytes a static `rinit` may have.
const RINIT_GOAL: u64 = 5 * 1024 * 1024 / 2;
/// Bytes an initramfs without modules may have.
const INITRAMFS_GOAL: u64 = 3 * 1024 * 1024;
/// Milliseconds the boot stage may work.
const STAGE_GOAL: u64 = 50;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    host::ensure(options.common.install())?;
    match &options.what {
        What::Size => size()?,
        What::BootStage { runs } => boot_stage((*runs).max(1))?,
        What::Init { runs, rt } => init::init((*runs).max(1), *rt)?,
        What::Services(options) => services::services(options)?,
        What::Plan { runs, rt } => plan::plan((*runs).max(1), *rt)?,
        What::Race { runs, rt } => race::race((*runs).max(1), *rt)?,
        What::Diff { runs } => diff::diff((*runs).max(1))?,
    }
    // A missed goal is for a person to judge, who knows what else the machine did.
    Ok(ExitCode::SUCCESS)
}

fn size() -> Result<()> {
    let programs = programs::build()?;
    for (program, place) in programs.places() {
        say::line(&format!("{place:<32} {:>9} bytes", bytes(program)?));
    }
    let rinit = bytes(&programs.rinit)?;
    judge("rinit, static", rinit, RINIT_GOAL, "bytes");
    let initramfs = initramfs_bytes(&programs)?;
    judge(
        "initramfs without modules",
        initramfs,
        INITRAMFS_GOAL,
        "bytes",
    );
    Ok(())
}

/// Lets the real builder make an initramfs for a root that has a kernel but no modules.
fn initramfs_bytes(programs: &programs::Programs) -> Result<u64> {
    let scratch = Scratch::new("bench")?;
    let root = scratch.join("root");
    let release = "0.0.0-bench";
    let modules = format!("usr/lib/modules/{release}");
    for folder in ["usr/sbin", "boot", modules.as_str()] {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // depmod looks there, as all of Debian does.
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).context("cannot link lib")?;
    programs.install(&root)?;
    initramfs::kernel_of(
        &rootfs::tar()?,
        &root.join(format!("boot/vmlinuz-{release}")),
    )?;
    run::quiet(
        run::command("depmod", ["--basedir"])
            .arg(&root)
            .arg(release),
    )?;
    let image = scratch.join("initramfs");
    let mut build = run::command(
        &programs.rootctl.to_string_lossy(),
        ["initramfs", "build", "--for"],
    );
    build
        .arg(&root)
        .args(["--release", release, "--output"])
        .arg(&image);
    run::quiet(build.env("ROOTCTLD", &programs.rootctld))?;
    bytes(&image)
}

/// From the start of the program to the complete tree, as its own report says; the device is there already.
fn boot_stage(runs: u32) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let image = StoreImage::new()?;
        let run = stage_run::boot(&image, "rootctl.snap=2 rootctl.mode=tmpfs")?;
        let report = run.good()?.report()?;
        times.push(report.assembled_ms.saturating_sub(report.started_ms));
    }
    times.sort_unstable();
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    let (median, worst) = (at(times.len() / 2), at(times.len() - 1));
    say::line(&format!(
        "boot stage, {runs} runs in mode tmpfs: {} ms at best, {worst} ms at worst",
        at(0)
    ));
    judge("boot stage, median", median, STAGE_GOAL, "ms");
    Ok(())
}

fn judge(what: &str, value: u64, goal: u64, unit: &str) {
    let verdict = if value <= goal { "kept" } else { "MISSED" };
    say::line(&format!(
        "{what:<32} {value:>9} {unit}, at most {goal}: {verdict}"
    ));
}

fn bytes(file: &Path) -> Result<u64> {
    Ok(file
        .metadata()
        .with_context(|| format!("cannot read the size of {}", file.display()))?
        .len())
}

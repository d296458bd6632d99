//! One run of the boot stage in namespaces: `rinit-boot --assemble` over a store on a loop device, with the
//! kernel command line of our choice.

use crate::disk::btrfs::Loop;
use crate::ns::{Mounts, Namespace, Recipe};
use crate::store_image::StoreImage;
use crate::{programs, run};
use anyhow::{Context, Result, ensure};
use rootspec::report::BootReport;
use std::process::Output;

/// What a run said, and the namespace it left, with the tree at `/sysroot`.
#[derive(Debug)]
pub struct StageRun {
    ns: Namespace,
    output: Output,
    // Dropped last: what the namespace mounted is gone then.
    _device: Loop,
}

/// Runs the boot stage with these words behind `root=`, which names the image by its label.
///
/// # Errors
/// When it cannot be started; how it ended is the caller's to judge.
pub fn boot(image: &StoreImage, words: &str) -> Result<StageRun> {
    boot_line(image, &format!("root=LABEL={} {words}", image.label))
}

/// Runs the boot stage with this kernel command line.
///
/// # Errors
/// As [`boot`].
pub fn boot_line(image: &StoreImage, line: &str) -> Result<StageRun> {
    let device = image.attach()?;
    let recipe = Recipe::new(&["/bin/sh", "-c", "read forever"])
        .mounts(Mounts::Disks)
        .copy(&programs::boot_stage()?, "/rinit-boot")
        .text("/cmdline", &format!("{line}\n"))
        .text("/sysroot/empty", "");
    let ns = Namespace::start(&recipe)?;
    let script =
        "busybox mount --bind /cmdline /proc/cmdline && exec /rinit-boot --assemble /sysroot";
    let output = ns
        .inside(&["/bin/sh", "-c", script])?
        .output()
        .context("cannot start nsenter")?;
    Ok(StageRun {
        ns,
        output,
        _device: device,
    })
}

impl StageRun {
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Itself, when the root is there.
    ///
    /// # Errors
    /// When the boot stage failed: its words.
    pub fn good(&self) -> Result<&Self> {
        ensure!(
            self.output.status.success(),
            "it ended with {}: {}",
            self.output.status,
            self.said()
        );
        Ok(self)
    }

    /// Checks that it failed with this code and said these words.
    ///
    /// # Errors
    /// When it did not: what it did instead.
    pub fn failed(&self, code: i32, words: &[&str]) -> Result<()> {
        let said = self.said();
        ensure!(
            self.output.status.code() == Some(code),
            "it ended with {}: {said}",
            self.output.status
        );
        for word in words {
            ensure!(said.contains(word), "{word:?} is not in: {said}");
        }
        Ok(())
    }

    /// What a shell command says inside.
    ///
    /// # Errors
    /// When it fails.
    pub fn sh(&self, script: &str) -> Result<String> {
        run::output(&mut self.ns.inside(&["/bin/sh", "-c", script])?)
    }

    /// The word by which a root of [`StoreImage`] is known.
    ///
    /// # Errors
    /// When the tree has none.
    pub fn word(&self) -> Result<String> {
        Ok(self.sh("cat /sysroot/etc/word")?.trim().to_owned())
    }

    /// The boot report.
    ///
    /// # Errors
    /// When there is none.
    pub fn report(&self) -> Result<BootReport> {
        let text = self.sh("cat /run/rootctl/boot.toml")?;
        BootReport::from_toml(&text).with_context(|| format!("cannot read the boot report {text}"))
    }
}

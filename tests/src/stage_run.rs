//! One run of the boot stage in namespaces: `rinit-boot --assemble` over a store on a loop device, with the
//! kernel command line of our choice.

use crate::disk::btrfs::Loop;
use crate::ns::{Mounts, Namespace, Recipe};
use crate::store_image::StoreImage;
use crate::{programs, run};
use anyhow::{Context, Result, bail, ensure};
use rootspec::report::BootReport;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
    boot_by(image, |_device| line.to_owned())
}

/// Runs the boot stage with a kernel command line about the device node that the image has. [`LINK`] leads to it.
///
/// # Errors
/// As [`boot`].
pub fn boot_by(image: &StoreImage, line: impl FnOnce(&Path) -> String) -> Result<StageRun> {
    let device = image.attach()?;
    let ns = namespace(&line(device.device()))?;
    let output = stage(&ns, device.device())?
        .output()
        .context("cannot start nsenter")?;
    Ok(StageRun {
        ns,
        output,
        _device: device,
    })
}

/// A link to the node of the image's device.
pub const LINK: &str = "/dev/the-store";

/// As [`boot`], but the image's device appears only when the boot stage has looked at all there are and waits.
///
/// # Errors
/// As [`boot`]; or the boot stage ends without waiting.
pub fn boot_late(image: &StoreImage, words: &str) -> Result<StageRun> {
    let ns = namespace(&format!("root=LABEL={} {words}", image.label))?;
    let mut command = stage(&ns, Path::new("nowhere"))?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start nsenter")?;
    let attached = until_it_waits(&mut child).and_then(|()| image.attach());
    if attached.is_err() {
        // It would wait for its device; an error means that it has ended already.
        drop(child.kill());
    }
    let output = child
        .wait_with_output()
        .context("cannot wait for nsenter")?;
    let device = attached.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(StageRun {
        ns,
        output,
        _device: device,
    })
}

fn namespace(line: &str) -> Result<Namespace> {
    let recipe = Recipe::new(&["/bin/sh", "-c", "read forever"])
        .mounts(Mounts::Disks)
        .copy(&programs::boot_stage()?, STAGE)
        .text("/cmdline", &format!("{line}\n"))
        .text("/sysroot/empty", "");
    Namespace::start(&recipe)
}

/// Where the boot stage lies in the namespace.
const STAGE: &str = "/rinit-boot";

fn stage(ns: &Namespace, node: &Path) -> Result<Command> {
    let script = format!(
        "busybox ln -s {} {LINK} && busybox mount --bind /cmdline /proc/cmdline && \
         exec {STAGE} --assemble /sysroot",
        node.display()
    );
    ns.inside(&["/bin/sh", "-c", &script])
}

/// Waits until the boot stage, a child of nsenter, sleeps in poll(2), which it does only to wait for devices.
fn until_it_waits(nsenter: &mut Child) -> Result<()> {
    // Numbers of poll and ppoll (arch/x86/entry/syscalls/syscall_64.tbl).
    const POLLS: [&str; 2] = ["7 ", "271 "];
    let parent = nsenter.id();
    let children = format!("/proc/{parent}/task/{parent}/children");
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if let Some(status) = nsenter.try_wait().context("cannot wait for nsenter")? {
            bail!("the boot stage waited for no device: it ended with {status}");
        }
        // What is not there yet, or ends while we look, is looked at again.
        let text = |path: String| fs::read_to_string(path).unwrap_or_default();
        let pid = text(children.clone());
        let pid = pid.trim();
        let is_stage = text(format!("/proc/{pid}/comm")).trim() == STAGE.trim_start_matches('/');
        let call = text(format!("/proc/{pid}/syscall"));
        if is_stage && POLLS.iter().any(|number| call.starts_with(number)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!(
        "the boot stage did not wait for a device within {} s",
        SOON.as_secs()
    )
}

/// Nothing that is waited for here takes longer, on a busy host too.
const SOON: Duration = Duration::from_secs(60);

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

//! KVM or emulation: what this host can really do.

use super::{Machine, Start};
use crate::{paths, say};
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// How the processor is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The host's own, through /dev/kvm.
    Kvm,
    /// Emulated: much slower.
    Tcg,
}

impl Accel {
    /// QEMU's words for it.
    pub(super) const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// What to tell the person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Kvm => "QEMU uses KVM",
            Self::Tcg => {
                "QEMU emulates the processor (TCG): KVM is absent or brings up no guest here, so boots are slow"
            }
        }
    }
}

/// How long a KVM guest gets to print one word; a working one needs two seconds.
const PROBE_DEADLINE: Duration = Duration::from_secs(20);

/// The accelerator to use. KVM only when a real guest comes up with it: a /dev/kvm that opens proves
/// nothing inside some virtual machines. The answer is kept under the target folder.
///
/// # Errors
/// When the probe's kernel or initramfs cannot be made.
pub fn best() -> Result<Accel> {
    if !can_open_kvm() {
        return Ok(Accel::Tcg);
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let answer = paths::cache()?.join(format!("kvm-{}", release.trim()));
    if let Ok(text) = fs::read_to_string(&answer) {
        return Ok(if text.trim() == "works" {
            Accel::Kvm
        } else {
            Accel::Tcg
        });
    }
    say::line("trying whether a guest comes up with KVM ...");
    let works = probe_kvm()?;
    fs::write(&answer, if works { "works" } else { "hangs" })
        .with_context(|| format!("cannot write {}", answer.display()))?;
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}

fn can_open_kvm() -> bool {
    fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok()
}

fn probe_kvm() -> Result<bool> {
    const WORD: &str = "guest-is-up";
    let scratch = paths::Scratch::new("kvm")?;
    let (kernel, initramfs) = (scratch.join("kernel"), scratch.join("initramfs"));
    crate::initramfs::kernel_of(&crate::rootfs::tar()?, &kernel)?;
    let recipe = crate::initramfs::Recipe {
        script: "echo guest-is-\"up\"\npoweroff -f\n",
        files: Vec::new(),
    };
    crate::initramfs::pack(&recipe, &initramfs)?;
    let start = Start::Kernel {
        kernel,
        initramfs,
        cmdline: format!("{} panic=-1", super::KERNEL_WORDS),
        image: None,
    };
    // QEMU that cannot even start with KVM is an answer too.
    let Ok(mut machine) = Machine::start_with(&start, Accel::Kvm) else {
        return Ok(false);
    };
    Ok(machine.console.expect(WORD, PROBE_DEADLINE).is_ok())
}

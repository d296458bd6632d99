//! KVM or emulation: what this host can really do.

use super::{Machine, QEMU, Start};
use crate::{paths, run, say};
use anyhow::{Context, Result};
use std::fs;
use std::sync::OnceLock;
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

    /// How many processors a guest gets.
    pub(super) fn processors(self) -> u8 {
        match self {
            Self::Kvm => 2,
            Self::Tcg if emulates_several() => 2,
            Self::Tcg => 1,
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

/// Whether the emulator keeps several processors apart. Before 8.1, one could go on for ever with a translation of code
/// that another had just changed, as Linux does with its jump labels: guests stood still, about one in twenty of busy
/// ones (mended by QEMU's commit deba78709ae8, "accel/tcg: Always lock pages before translation").
fn emulates_several() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let text = run::output(&mut run::command(QEMU, ["--version"])).unwrap_or_default();
        version(&text).is_some_and(|version| version >= (8, 1))
    })
}

/// Major and minor version: `QEMU emulator version 7.2.22 (Debian 1:7.2…)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("version ")?;
    let mut numbers = rest.split(|byte: char| !byte.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
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
    let Ok(mut machine) = Machine::start_with(&start, Accel::Kvm, 2) else {
        return Ok(false);
    };
    Ok(machine.console.expect(WORD, PROBE_DEADLINE).is_ok())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn qemu_says_its_version() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright";
        assert_eq!(version(debian), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(version("no such program"), None);
    }
}

//! Starts QEMU, steers it and stops it by its process id.
//!
//! - [`accel`]: KVM or emulation; - `qmp`: the control socket.

pub mod accel;
mod qmp;

use crate::console::{Console, Found};
use crate::{paths, run, say};
use accel::Accel;
use anyhow::{Context, Result, bail};
use qmp::Qmp;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Words every kernel under this test machine needs: the serial line is the console, and under TCG on a
/// busy host the kernel's timer check sometimes panics.
pub const KERNEL_WORDS: &str = "console=ttyS0,115200 no_timer_check";

/// The firmware of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// OVMF, with variables of its own that live as long as the machine's folder.
    Uefi,
    /// SeaBIOS.
    Bios,
}

impl Firmware {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uefi => "uefi",
            Self::Bios => "bios",
        }
    }
}

/// What the machine starts from.
#[derive(Debug, Clone)]
pub enum Start {
    /// A disk, through firmware and boot loader.
    Disk {
        /// Which firmware.
        firmware: Firmware,
        /// The image.
        image: PathBuf,
        /// UEFI only: the file of variables; made when absent.
        variables: PathBuf,
        /// Where every write and flush is noted, if at all.
        log: Option<PathBuf>,
    },
    /// A kernel loaded by QEMU itself, with an optional disk.
    Kernel {
        /// The kernel image.
        kernel: PathBuf,
        /// The initramfs.
        initramfs: PathBuf,
        /// The command line, as it is.
        cmdline: String,
        /// A disk to attach.
        image: Option<PathBuf>,
    },
}

/// The program.
const QEMU: &str = "qemu-system-x86_64";

/// A running QEMU; killed when dropped.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    /// Its serial console.
    pub console: Console,
    qmp: Qmp,
    _folder: paths::Scratch,
}

impl Machine {
    /// Starts a machine with the best accelerator of this host.
    ///
    /// # Errors
    /// When QEMU cannot be started or ends at once.
    pub fn start(start: &Start) -> Result<Self> {
        let accel = accel::best()?;
        Self::start_with(start, accel, accel.processors())
    }

    /// The same with two processors, also where an old emulator may lose its guest over it.
    ///
    /// # Errors
    /// When QEMU cannot be started or ends at once.
    pub fn start_on_two(start: &Start) -> Result<Self> {
        Self::start_with(start, accel::best()?, 2)
    }

    fn start_with(start: &Start, accel: Accel, processors: u8) -> Result<Self> {
        let folder = paths::Scratch::new("qemu")?;
        // We listen and QEMU connects: so nobody has to wait for a socket to appear.
        let (listener, socket) = listen()?;
        let mut qemu = command(start, accel, processors)?;
        qemu.arg("-qmp")
            .arg(format!("unix:{},server=off", socket.display()));
        let text = run::shown(&qemu);
        let stderr =
            fs::File::create(folder.join("stderr")).context("cannot keep QEMU's messages")?;
        let mut child = qemu
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start `{text}`"))?;
        let console = Console::of_child(&mut child)?;
        let accepted = Qmp::accept(&listener, &mut child);
        drop(fs::remove_file(&socket));
        let qmp = match accepted {
            Ok(qmp) => qmp,
            Err(why) => {
                stop(&mut child);
                let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
                return Err(why.context(format!("`{text}` did not come up: {}", said.trim())));
            }
        };
        Ok(Self {
            child,
            console,
            qmp,
            _folder: folder,
        })
    }

    /// QEMU's process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `pattern` is said, as [`Console::expect`] does, over a start of the machine or several. A machine whose
    /// firmware stands still is reset, as a person would do it. OVMF under an emulator was seen to do so now and then, its
    /// processor busy in the code of the timer; before edk2 202302 a callback of the timer interrupt can wait for a clock that
    /// this interrupt, not yet ended, has stopped (bug 4162). Nothing of ours runs then, and a try that was to be entered is
    /// counted or not, as after a cut of the power.
    ///
    /// # Errors
    /// As [`Console::expect`].
    pub fn expect(&mut self, pattern: &str, deadline: Duration) -> Result<Found> {
        let end = Instant::now() + deadline;
        loop {
            let said = self.console.length();
            let left = end.saturating_duration_since(Instant::now());
            let why = match self.console.expect(pattern, left.min(STANDS_STILL)) {
                Ok(found) => return Ok(found),
                Err(why) if left <= STANDS_STILL => {
                    return Err(why.context(format!("{} s in all", deadline.as_secs())));
                }
                Err(why) => why,
            };
            if self.console.ended() {
                return Err(why);
            }
            if self.console.length() == said && in_firmware(&self.console.transcript()) {
                say::line("the firmware stands still; the machine is reset");
                self.qmp.execute("system_reset")?;
            }
        }
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn press_power_button(&mut self) -> Result<()> {
        self.qmp.execute("system_powerdown")
    }

    /// Waits until the guest has switched itself off and QEMU has ended.
    ///
    /// # Errors
    /// When that has not happened after `deadline`; the machine is then killed.
    pub fn wait_off(mut self, deadline: Duration) -> Result<()> {
        // The console's end is QEMU's end: it owns the other side of the pipe.
        if self.console.wait_end(deadline) {
            self.child.wait().context("cannot wait for QEMU")?;
            return Ok(());
        }
        bail!(
            "the machine was not off after {} s\n{}",
            deadline.as_secs(),
            self.console.last_lines()
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// How long the firmware and the loader are silent before they count as standing still. Loading a kernel and an initramfs
/// takes them 20 s on a busy host.
const STANDS_STILL: Duration = Duration::from_secs(90);

/// Whether a kernel has let go of the machine, or OVMF has begun, and no kernel has said its first word since.
fn in_firmware(transcript: &str) -> bool {
    let begins = ["reboot: Restarting system", "BdsDxe: "];
    let begun = begins.map(|words| transcript.rfind(words));
    begun.into_iter().max().flatten() > transcript.rfind("Linux version ")
}

fn stop(child: &mut Child) {
    // An error means that it is dead already.
    drop(child.kill());
    drop(child.wait());
}

/// Binds a socket in the system's temporary folder: a socket's name has at most 107 bytes (`sun_path`),
/// and target folders may be deep.
fn listen() -> Result<(UnixListener, PathBuf)> {
    let socket = std::env::temp_dir().join(format!("rootctl-qmp-{}", paths::unique()));
    let listener = UnixListener::bind(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    Ok((listener, socket))
}

fn command(start: &Start, accel: Accel, processors: u8) -> Result<Command> {
    let mut qemu = Command::new(QEMU);
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "q35,graphics=off", // then SeaBIOS speaks on the serial line
    ]);
    qemu.args(["-smp", &processors.to_string(), "-m", "1024"]);
    qemu.args(accel.words());
    qemu.args([
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
    ]);
    qemu.args(["-device", "virtio-rng-pci", "-netdev", "user,id=net"]);
    // Without its boot ROM: nobody boots from the network here, and looking for one takes time.
    qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    let image = match start {
        Start::Disk {
            firmware,
            image,
            variables,
            ..
        } => {
            if *firmware == Firmware::Uefi {
                add_uefi(&mut qemu, variables)?;
            }
            Some(image)
        }
        Start::Kernel {
            kernel,
            initramfs,
            cmdline,
            image,
        } => {
            qemu.arg("-kernel")
                .arg(kernel)
                .arg("-initrd")
                .arg(initramfs);
            qemu.arg("-append").arg(cmdline);
            image.as_ref()
        }
    };
    if let Some(image) = image {
        match start {
            Start::Disk { log: Some(log), .. } => add_recorded(&mut qemu, image, log),
            Start::Disk { log: None, .. } | Start::Kernel { .. } => {
                // The lock keeps a second QEMU, and a mistake of ours, away from a disk in use.
                qemu.arg("-drive").arg(format!(
                    "if=none,id=disk,format=raw,discard=unmap,file.locking=on,file={}",
                    value(image)
                ));
            }
        }
        // A kernel that QEMU loads itself counts as the first thing to boot.
        let first = matches!(start, Start::Disk { .. });
        let device = if first {
            "virtio-blk-pci,drive=disk,bootindex=0"
        } else {
            "virtio-blk-pci,drive=disk"
        };
        qemu.args(["-device", device]);
    }
    Ok(qemu)
}

/// A disk whose every write, flush and discard goes into `log`, in order (QEMU's filter `blklogwrites`).
fn add_recorded(qemu: &mut Command, image: &Path, log: &Path) {
    for (node, file) in [("image", image), ("log", log)] {
        qemu.arg("-blockdev").arg(format!(
            "driver=raw,node-name={node},discard=unmap,file.driver=file,file.locking=on,file.discard=unmap,\
             file.filename={}",
            value(file)
        ));
    }
    qemu.args([
        "-blockdev",
        "driver=blklogwrites,node-name=disk,file=image,log=log",
    ]);
}

/// A file name as a value of an option: a comma would end it.
fn value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

fn add_uefi(qemu: &mut Command, variables: &Path) -> Result<()> {
    const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    const EMPTY: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
    if !variables.exists() {
        fs::copy(EMPTY, variables).with_context(|| format!("cannot copy {EMPTY}"))?;
    }
    qemu.arg("-drive").arg(format!(
        "if=pflash,unit=0,format=raw,readonly=on,file={CODE}"
    ));
    let path = variables.to_string_lossy().replace(',', ",,");
    qemu.arg("-drive")
        .arg(format!("if=pflash,unit=1,format=raw,file={path}"));
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::in_firmware;

    #[test]
    fn a_machine_is_in_its_firmware_until_a_kernel_speaks() {
        let firmware = "BdsDxe: loading Boot0001\nWelcome to GRUB!\n";
        let kernel = "[    0.000000] Linux version 6.1\n";
        assert!(in_firmware(firmware));
        assert!(in_firmware(&format!("{firmware}{kernel}{firmware}")));
        assert!(!in_firmware(&format!("{firmware}{kernel}")));
        assert!(in_firmware(&format!(
            "{kernel}[    9.1] reboot: Restarting system\n"
        )));
        assert!(!in_firmware("SeaBIOS (version 1.16)\nWelcome to GRUB!\n"));
        assert!(!in_firmware(""));
    }
}

//! `cargo xtask demo`: the whole system in QEMU, for a person; with `--story` it plays by itself.

use crate::{Common, story};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Stdin};
use std::time::Duration;
use tests::console::Show;
use tests::qemu::{Firmware, Machine, accel};
use tests::system::{Loader, System};
use tests::{host, isolate, limine, rootfs, say};

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Play the whole story without a person; succeeds only if every step was seen
    #[arg(long)]
    story: bool,
    /// The firmware of the machine
    #[arg(long, value_enum, default_value = "uefi")]
    firmware: FirmwareName,
    /// The boot loader; limine needs LIMINE_DIR, the folder of its binaries
    #[arg(long, value_enum, default_value = "grub")]
    loader: LoaderName,
    /// Leave the disk image in place and say where it is
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FirmwareName {
    Uefi,
    Bios,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LoaderName {
    Grub,
    Limine,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    host::ensure(options.common.install())?;
    if !isolate::is_root() {
        bail!(
            "making a disk needs root for loop devices and mounts; next: sudo -E cargo xtask demo"
        );
    }
    let firmware = match options.firmware {
        FirmwareName::Uefi => Firmware::Uefi,
        FirmwareName::Bios => Firmware::Bios,
    };
    let loader = match options.loader {
        LoaderName::Grub => Loader::Grub,
        LoaderName::Limine => {
            limine::folder()?;
            Loader::Limine
        }
    };
    say::line("building our programs, a Debian root and a disk ...");
    let mut system = System::install(loader)?;
    say::line(accel::best()?.sentence());
    if options.keep {
        say::line(&format!(
            "the disk image stays: {}",
            system.keep()?.display()
        ));
    }
    if options.story {
        return story::play(&system, firmware);
    }
    interactive(system.start(firmware)?)
}

/// Ctrl and ], as telnet has it: nothing in a login session means it.
const LEAVE: u8 = 0x1D;

fn interactive(mut machine: Machine) -> Result<()> {
    say::line(&format!(
        "log in as root with the password {}; to leave: ctrl-] (the power is cut)",
        rootfs::PASSWORD
    ));
    say::line("try: rootctl status, rootctl svc list, rootctl snap tree, rootctl power poweroff");
    let _raw = Raw::enter()?;
    machine.console.show(Show::Output);
    let mut stdin = std::io::stdin();
    let mut open = true;
    while !machine.console.wait_end(Duration::ZERO) {
        match typed(&mut stdin, open)? {
            Typed::Nothing => {}
            Typed::Closed => open = false,
            Typed::Bytes(bytes) if bytes.contains(&LEAVE) => break,
            Typed::Bytes(bytes) => machine.console.send(&bytes)?,
        }
    }
    Ok(())
}

/// What the person did within a moment.
enum Typed {
    Nothing,
    Closed,
    Bytes(Vec<u8>),
}

/// Waits a tenth of a second at most, so that the end of the machine is noticed.
fn typed(stdin: &mut Stdin, open: bool) -> Result<Typed> {
    const MOMENT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    let mut watch = Vec::new();
    let handle = std::io::stdin();
    if open {
        watch.push(PollFd::new(&handle, PollFlags::IN));
    }
    match poll(&mut watch, Some(&MOMENT)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Typed::Nothing),
        Ok(_) => {}
        Err(why) => return Err(why).context("cannot wait for the terminal"),
    }
    let mut buffer = [0u8; 256];
    let count = stdin
        .read(&mut buffer)
        .context("cannot read the terminal")?;
    Ok(match buffer.get(..count).unwrap_or_default() {
        [] => Typed::Closed,
        bytes => Typed::Bytes(bytes.to_vec()),
    })
}

/// The person's terminal in raw mode: every key goes to the guest. Restored when dropped.
struct Raw {
    before: Option<Termios>,
}

impl Raw {
    fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        if !isatty(&stdin) {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(&stdin).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)
            .context("cannot change the terminal's settings")?;
        Ok(Self {
            before: Some(before),
        })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            if tcsetattr(std::io::stdin(), OptionalActions::Now, before).is_err() {
                say::error("cannot restore the terminal; next: reset");
            }
            say::line("");
        }
    }
}

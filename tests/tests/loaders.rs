//! Tier 3: the test machine itself. Boot loaders, put into our image without their installers, start a real
//! Debian kernel on both firmwares. GRUB always; Limine when `LIMINE_DIR` names its binaries.

use anyhow::{Result, ensure};
use blake2::{Blake2b512, Digest};
use std::time::Duration;
use tests::disk::{Disk, Sizes};
use tests::paths::Scratch;
use tests::qemu::{Firmware, KERNEL_WORDS, Machine, Start};
use tests::tier::{self, Outcome, Tier, test};
use tests::{grub, initramfs, limine, limine_reader, rootfs};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Machine,
        vec![
            test("grub_starts_a_kernel_from_our_image_on_uefi", || {
                with_grub(Firmware::Uefi)
            }),
            test("grub_starts_a_kernel_from_our_image_on_bios", || {
                with_grub(Firmware::Bios)
            }),
            test("limine_starts_a_kernel_from_our_image_on_uefi", || {
                with_limine(Firmware::Uefi)
            }),
            test("limine_starts_a_kernel_from_our_image_on_bios", || {
                with_limine(Firmware::Bios)
            }),
        ],
    )
}

/// What `rootctl` writes, for the line that every menu of it begins with: a loader must pass over it.
const GRUB_MENU: &str = include_str!("../../limine/golden/grub.cfg");
const LIMINE_MENU: &str = include_str!("../../limine/golden/limine.conf");

const KERNEL: &str = "/rootctl/0a.vmz";
const INITRD: &str = "/rootctl/0b.ird";

/// A disk with a kernel and an initramfs that says a word and switches off, and no loader yet.
fn disk(scratch: &Scratch) -> Result<Disk> {
    let (kernel, initrd) = (scratch.join("kernel"), scratch.join("initramfs"));
    initramfs::kernel_of(&rootfs::tar()?, &kernel)?;
    let recipe = initramfs::Recipe {
        script: "echo kernel-is-\"up\"\npoweroff -f\n",
        files: Vec::new(),
    };
    initramfs::pack(&recipe, &initrd)?;
    let disk = Disk::create(
        &scratch.join("disk"),
        Sizes {
            esp_mib: 96,
            root_mib: 64,
        },
    )?;
    disk.esp()?.put(&kernel, KERNEL)?;
    disk.esp()?.put(&initrd, INITRD)?;
    Ok(disk)
}

fn boots(firmware: Firmware, disk: &Disk, scratch: &Scratch) -> Result<Outcome> {
    let start = Start::Disk {
        firmware,
        image: disk.path().to_path_buf(),
        variables: scratch.join("variables"),
        log: None,
    };
    let mut machine = Machine::start(&start)?;
    machine
        .console
        .expect("kernel-is-up", Duration::from_secs(180))?;
    machine.wait_off(Duration::from_secs(60))?;
    Ok(Outcome::Passed)
}

fn first_line(menu: &str) -> Result<&str> {
    let line = menu.lines().next().unwrap_or_default();
    ensure!(
        line.starts_with('#') && line.contains(" Store "),
        "the menu does not begin with its store: {line}"
    );
    Ok(line)
}

fn with_grub(firmware: Firmware) -> Result<Outcome> {
    let scratch = Scratch::new("grub-boots")?;
    let disk = disk(&scratch)?;
    grub::install(&disk)?;
    let menu = format!(
        "{}\nset timeout=0\nmenuentry trial {{\n linux {KERNEL} {KERNEL_WORDS} panic=-1\n initrd {INITRD}\n}}\n",
        first_line(GRUB_MENU)?
    );
    disk.esp()?.write("/rootctl/grub.cfg", menu.as_bytes())?;
    boots(firmware, &disk, &scratch)
}

fn with_limine(firmware: Firmware) -> Result<Outcome> {
    let folder = match limine::folder() {
        Ok(folder) => folder,
        Err(reason) => return Ok(Outcome::Skipped(format!("{reason:#}"))),
    };
    let scratch = Scratch::new("limine-boots")?;
    let disk = disk(&scratch)?;
    limine::install(&disk, &folder)?;
    let hash = |file: &str| -> Result<String> {
        let bytes = std::fs::read(scratch.join(file))?;
        Ok(Blake2b512::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    };
    let menu = format!(
        "{}\ntimeout: 0\n\n/trial\n    protocol: linux\n    kernel_path: boot():{KERNEL}#{}\n    \
         module_path: boot():{INITRD}#{}\n    cmdline: {KERNEL_WORDS} panic=-1\n",
        first_line(LIMINE_MENU)?,
        hash("kernel")?,
        hash("initramfs")?
    );
    disk.esp()?.write(limine::CONFIG, menu.as_bytes())?;
    let (_, faults) = limine_reader::check(&disk.esp()?, limine::CONFIG)?;
    ensure!(
        faults.is_empty(),
        "the reader finds faults: {}",
        faults.join("; ")
    );
    boots(firmware, &disk, &scratch)
}

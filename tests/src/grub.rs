//! Puts GRUB into an image without grub-install, which wants a running system and probes its disks.
//!
//! UEFI: one image file at the fallback place of the ESP. BIOS: `boot.img` in sector 0 and a core image
//! in the BIOS boot partition, tied together by the sector numbers that `grub-bios-setup` writes. Both
//! carry a first config that finds our ESP by its id and goes on with `/rootctl/grub.cfg` there.

use crate::disk::Disk;
use crate::disk::gpt::Purpose;
use crate::{paths, run};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where GRUB keeps the modules and images of its platforms (Debian).
const LIBRARY: &str = "/usr/lib/grub";

/// What the menus that rootctl writes may use, on both firmwares. GRUB loads nothing else at run time:
/// there is no module folder on the ESP.
const MODULES: &[&str] = &[
    "part_gpt",
    "fat",
    "btrfs",
    "normal",
    "configfile",
    "linux",
    "loadenv",
    "test",
    "true",
    "echo",
    "sleep",
    "search",
    "search_fs_uuid",
    "search_label",
    "search_fs_file",
    "regexp",
    "gzio",
    "reboot",
    "halt",
    "serial",
    "terminal",
    "minicmd",
    "ls",
    "cat",
    "all_video",
];

/// The BIOS places boot code and core at these segments and offsets (GRUB's `boot.h`).
mod place {
    /// In boot.img: the sector of the core image, 64 bits.
    pub(super) const KERNEL_SECTOR: usize = 0x5C;
    /// In boot.img: a jump that must be two no-ops on a hard disk, for firmware that passes a wrong drive.
    pub(super) const DRIVE_CHECK: usize = 0x66;
    /// In boot.img: up to here it is code; behind lie disk signature and partition table.
    pub(super) const CODE_END: usize = 440;
    /// In boot.img: a jump of 3 bytes, then parameters up to here that belong to the disk.
    pub(super) const PARAMETERS: std::ops::Range<usize> = 3..0x5A;
    /// In the core's first sector: where its only block list begins (start, length, segment).
    pub(super) const BLOCK_LIST: usize = 500;
    /// Segment at which the rest of the core is loaded.
    pub(super) const CORE_SEGMENT: u16 = 0x820;
}

/// Installs GRUB for UEFI and for BIOS.
///
/// # Errors
/// When grub-mkimage fails, the core does not fit its partition or the image cannot be written.
pub fn install(disk: &Disk) -> Result<()> {
    let scratch = paths::Scratch::new("grub")?;
    let efi = make_image(Platform::Efi, &disk.esp_uuid(), &scratch)?;
    disk.esp()?.put(&efi, "/EFI/BOOT/BOOTX64.EFI")?;

    let core = make_image(Platform::Pc, &disk.esp_uuid(), &scratch)?;
    let core = fs::read(&core).context("cannot read GRUB's core image")?;
    let boot = fs::read(Path::new(LIBRARY).join("i386-pc/boot.img"))
        .context("cannot read GRUB's boot.img")?;
    write_bios_parts(disk, &boot, core)
}

/// The config inside GRUB. It is read by GRUB's rescue parser, which knows no `if`. The screen needs no
/// word: both firmwares of the test machine show it on the serial line.
fn early_config(esp: &str) -> String {
    format!(
        "search --no-floppy --fs-uuid --set=root {esp}\nset prefix=($root)/rootctl\n\
         configfile /rootctl/grub.cfg\n"
    )
}

/// The two firmwares GRUB is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform {
    Efi,
    Pc,
}

impl Platform {
    /// GRUB's name for it.
    const fn name(self) -> &'static str {
        match self {
            Self::Efi => "x86_64-efi",
            Self::Pc => "i386-pc",
        }
    }

    /// Modules only this platform has.
    const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Efi => &[],
            Self::Pc => &["biosdisk"],
        }
    }
}

/// Makes GRUB's image for a platform and returns its file.
fn make_image(platform: Platform, esp: &str, scratch: &paths::Scratch) -> Result<PathBuf> {
    let name = platform.name();
    let early = scratch.join(&format!("{name}.cfg"));
    fs::write(&early, early_config(esp)).context("cannot write GRUB's first config")?;
    let image = scratch.join(&format!("{name}.img"));
    let mut make = run::command("grub-mkimage", ["-O", name, "-p", "/rootctl", "-c"]);
    make.arg(&early).arg("-o").arg(&image);
    run::quiet(make.args(MODULES).args(platform.modules()))
        .with_context(|| format!("cannot make GRUB for {name}"))?;
    Ok(image)
}

fn write_bios_parts(disk: &Disk, boot: &[u8], core: Vec<u8>) -> Result<()> {
    let partition = disk.partition(Purpose::BiosBoot)?;
    if core.len() as u64 > partition.bytes {
        bail!(
            "GRUB's core has {} bytes, the BIOS boot partition {}",
            core.len(),
            partition.bytes
        );
    }
    let first = partition.first_sector();
    let core = patch_core(core, first)?;
    let image = File::options()
        .read(true)
        .write(true)
        .open(disk.path())
        .with_context(|| format!("cannot open {}", disk.path().display()))?;
    let mut sector = [0u8; 512];
    image
        .read_exact_at(&mut sector, 0)
        .context("cannot read sector 0")?;
    let sector = patch_boot(boot, &sector, first)?;
    image
        .write_all_at(&core, partition.offset)
        .context("cannot write GRUB's core")?;
    image
        .write_all_at(&sector, 0)
        .context("cannot write sector 0")
}

/// Sector 0 with GRUB's code: the disk's own parameters and table stay.
fn patch_boot(boot: &[u8], sector: &[u8; 512], core_sector: u64) -> Result<[u8; 512]> {
    let code = boot
        .get(..place::CODE_END)
        .context("GRUB's boot.img is too short")?;
    let mut patched = *sector;
    patched[..place::CODE_END].copy_from_slice(code);
    patched[place::PARAMETERS].copy_from_slice(&sector[place::PARAMETERS]);
    patched[place::KERNEL_SECTOR..][..8].copy_from_slice(&core_sector.to_le_bytes());
    patched[place::DRIVE_CHECK..][..2].copy_from_slice(&[0x90, 0x90]);
    Ok(patched)
}

/// The core image with the block list of its first sector set: that sector loads all the others.
fn patch_core(mut core: Vec<u8>, first_sector: u64) -> Result<Vec<u8>> {
    let sectors = core.len().div_ceil(512);
    core.resize(sectors * 512, 0);
    let rest = u16::try_from(sectors - 1).context("GRUB's core is too long for one block list")?;
    let list = core
        .get_mut(place::BLOCK_LIST..512)
        .context("GRUB's core is too short")?;
    list[..8].copy_from_slice(&(first_sector + 1).to_le_bytes());
    list[8..10].copy_from_slice(&rest.to_le_bytes());
    list[10..12].copy_from_slice(&place::CORE_SEGMENT.to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_list_names_the_sectors_after_the_first() {
        let core = patch_core(vec![1; 1300], 2048).unwrap();
        assert_eq!(core.len(), 1536);
        assert_eq!(
            core[500..512],
            [0x01, 0x08, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 0x08]
        );
    }

    #[test]
    fn sector_0_keeps_the_partition_table_and_the_disks_parameters() {
        let mut old = [7u8; 512];
        old[510..].copy_from_slice(&[0x55, 0xAA]);
        let new = patch_boot(&[1; 512], &old, 2048).unwrap();
        assert_eq!((new[0], new[3], new[0x59], new[0x5A]), (1, 7, 7, 1));
        assert_eq!(new[0x5C..0x64], 2048u64.to_le_bytes());
        assert_eq!((new[439], new[440], new[511]), (1, 7, 0xAA));
    }

    #[test]
    fn the_first_config_searches_the_esp_by_its_id_in_words_of_the_rescue_parser() {
        let text = early_config("1234-ABCD");
        assert!(text.contains("--fs-uuid --set=root 1234-ABCD"));
        assert!(!text.contains("if "));
    }
}

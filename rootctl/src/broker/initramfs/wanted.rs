//! Which modules go into an image.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::glob;
use super::tables::{Texts, canonical};

/// File systems and what mounting them takes: names, not drivers, so every image has them.
const FILE_SYSTEMS: [&str; 11] = [
    "btrfs",
    "overlay",
    "loop",
    "squashfs",
    "erofs",
    "vfat",
    "nls_ascii",
    "nls_cp437",
    "nls_iso8859_1",
    "nls_utf8",
    "efivarfs",
];

/// Where a root may live on machines we have not seen: virtual machines, NVMe, SATA, USB, SD cards, and the common
/// controllers of servers and clouds.
const STORAGE: [&str; 34] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "nvme",
    "ahci",
    "ata_piix",
    "ata_generic",
    "sd_mod",
    "sr_mod",
    "usb_storage",
    "uas",
    "xhci_pci",
    "xhci_hcd",
    "ehci_pci",
    "ohci_pci",
    "uhci_hcd",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "xen_blkfront",
    "hv_storvsc",
    "hv_vmbus",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "mpt3sas",
    "megaraid_sas",
    "aacraid",
    "hpsa",
    "smartpqi",
    "sym53c8xx",
    "ufshcd_pci",
    "pci_hyperv",
];

/// Folders of drivers that a root's device can need; everything else this machine uses can wait for udev.
const FOR_ROOT: [&str; 15] = [
    "drivers/ata/",
    "drivers/block/",
    "drivers/hv/",
    "drivers/md/",
    "drivers/message/",
    "drivers/mmc/",
    "drivers/nvme/",
    "drivers/pci/",
    "drivers/scsi/",
    "drivers/ufs/",
    "drivers/usb/host/",
    "drivers/usb/storage/",
    "drivers/virtio/",
    "drivers/xen/",
    "drivers/cdrom/",
];

/// What is wanted, by name.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Wanted, and told when the kernel lacks it.
    pub(super) names: BTreeSet<String>,
    /// Wanted if there is such a module and it is a driver that a root's device can need.
    pub(super) if_storage: BTreeSet<String>,
}

/// For any machine.
pub(super) fn generic() -> Wanted {
    Wanted {
        names: FILE_SYSTEMS.iter().map(|n| canonical(n)).collect(),
        if_storage: STORAGE.iter().map(|n| canonical(n)).collect(),
    }
}

/// For the machine we run on: what its devices ask for, and what its kernel has loaded.
pub(super) fn this_machine(texts: &Texts) -> Result<Wanted> {
    let mut if_storage = BTreeSet::new();
    // A kernel without modules has no such file, and libkmod would complain.
    if Path::new("/proc/modules").exists() {
        let context = kmod::Context::new().map_err(|e| anyhow!("cannot use libkmod: {e}"))?;
        let loaded = context
            .modules_loaded()
            .map_err(|e| anyhow!("cannot list the loaded modules: {e}"))?;
        if_storage.extend(loaded.map(|module| canonical(&module.name().to_string_lossy())));
    }
    let mut devices = BTreeSet::new();
    collect(Path::new("/sys/devices"), &mut devices, 0)?;
    for (pattern, name) in &texts.aliases {
        if devices.iter().any(|device| glob::matches(pattern, device)) {
            if_storage.insert(name.clone());
        }
    }
    Ok(Wanted {
        names: FILE_SYSTEMS.iter().map(|n| canonical(n)).collect(),
        if_storage,
    })
}

/// Reads every `modalias` below a folder of sysfs. Links are not followed: they lead back up.
fn collect(folder: &Path, found: &mut BTreeSet<String>, depth: u32) -> Result<()> {
    if depth > 40 {
        return Ok(());
    }
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()));
    // Devices come and go while we look.
    let Ok(entries) = entries else { return Ok(()) };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            collect(&entry.path(), found, depth + 1)?;
        } else if entry.file_name() == "modalias" {
            let text = sys::fs::read_text(entry.path(), 4096).unwrap_or_default();
            found.insert(text.trim().to_owned());
        }
    }
    Ok(())
}

/// True for a driver that a root's device can need; `below` is its path under `kernel/`.
pub(super) fn is_for_root(below: &str) -> bool {
    FOR_ROOT.iter().any(|folder| below.contains(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_of_disks_are_told_from_others() {
        assert!(is_for_root("kernel/drivers/nvme/host/nvme.ko"));
        assert!(!is_for_root("kernel/drivers/net/virtio_net.ko"));
        assert!(!is_for_root("kernel/drivers/usb/serial/ftdi.ko"));
    }

    #[test]
    fn names_are_in_the_form_the_boot_stage_compares() {
        let wanted = generic();
        let mut all = wanted.names.iter().chain(&wanted.if_storage);
        assert!(all.all(|name| !name.contains('-')));
    }
}

//! Microcode for the processor: an uncompressed archive in front of the image, where the kernel looks before it unpacks
//! anything (kernel documentation, `arch/x86/microcode`).

use std::path::Path;

use anyhow::{Context, Result};

use super::cpio::Archive;

/// Largest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;
/// A maker of processors: its folder below the firmware folder, the name the kernel looks for, its files.
struct Maker {
    folder: &'static str,
    target: &'static str,
    belongs: fn(&str) -> bool,
}

const MAKERS: [Maker; 2] = [
    Maker {
        folder: "amd-ucode",
        target: "kernel/x86/microcode/AuthenticAMD.bin",
        belongs: is_amd,
    },
    Maker {
        folder: "intel-ucode",
        target: "kernel/x86/microcode/GenuineIntel.bin",
        belongs: is_intel,
    },
];

fn is_amd(name: &str) -> bool {
    name.starts_with("microcode_amd") && name.ends_with(".bin")
}

/// Family, model and stepping in hex: `06-8f-08`, some with `.initramfs` behind.
fn is_intel(name: &str) -> bool {
    let name = name.strip_suffix(".initramfs").unwrap_or(name);
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.split('-').count() == 3 && name.split('-').all(hex)
}

/// The early archive; empty when the root holds no microcode.
pub(super) fn early(root: &Path) -> Result<Vec<u8>> {
    let firmware = root.join("usr/lib/firmware");
    let firmware = if firmware.is_dir() {
        firmware
    } else {
        root.join("lib/firmware")
    };
    let mut archive = Archive::default();
    let mut any = false;
    for maker in MAKERS {
        let bytes = collect(&firmware.join(maker.folder), maker.belongs)?;
        if !bytes.is_empty() {
            archive.file(maker.target, 0o644, bytes);
            any = true;
        }
    }
    if !any {
        return Ok(Vec::new());
    }
    let mut bytes = archive.finish();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    Ok(bytes)
}

/// All files of a maker one behind the other, by name.
fn collect(folder: &Path, belongs: fn(&str) -> bool) -> Result<Vec<u8>> {
    let listing = || format!("cannot list {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(listing)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(listing)?.file_name();
        names.extend(
            name.to_str()
                .filter(|name| belongs(name))
                .map(str::to_owned),
        );
    }
    names.sort();
    let mut all = Vec::new();
    for name in names {
        all.extend(sys::fs::read(folder.join(name), LIMIT)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    #[test]
    fn microcode_is_joined_by_name_and_other_files_are_left_out() {
        let dir = TestDir::new("microcode");
        let intel = dir.path().join("usr/lib/firmware/intel-ucode");
        assert_eq!(early(dir.path()).unwrap(), b"");
        std::fs::create_dir_all(&intel).unwrap();
        for (name, text) in [
            ("06-8f-08", "BBBB"),
            ("06-55-04", "AAAA"),
            ("LICENSE", "no"),
            ("06-8f", "no"),
        ] {
            std::fs::write(intel.join(name), text).unwrap();
        }
        let bytes = early(dir.path()).unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("GenuineIntel.bin") && text.contains("AAAABBBB") && !text.contains("no")
        );
    }
}

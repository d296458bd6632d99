//! Puts Limine into an image. Debian has no package of it: `LIMINE_DIR` names a folder with its binaries
//! (`BOOTX64.EFI`, `limine-bios.sys`, and the host tool `limine` or its source `limine.c`).

use crate::disk::Disk;
use crate::disk::gpt::Purpose;
use crate::{paths, run};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Where the loader lies on the ESP; its config lies beside it, so that no other can shadow it.
pub const LOADER: &str = "/EFI/BOOT/BOOTX64.EFI";
/// The live config.
pub const CONFIG: &str = "/EFI/BOOT/limine.conf";

/// The folder of Limine's binaries.
///
/// # Errors
/// When `LIMINE_DIR` is not set or does not hold them: the reason for a skip.
pub fn folder() -> Result<PathBuf> {
    let Some(folder) = std::env::var_os("LIMINE_DIR").filter(|folder| !folder.is_empty()) else {
        bail!("LIMINE_DIR is not set; it names a folder with Limine's binaries (8.0 or newer)");
    };
    let folder = PathBuf::from(folder);
    for name in ["BOOTX64.EFI", "limine-bios.sys"] {
        if !folder.join(name).exists() {
            bail!("LIMINE_DIR is {} and holds no {name}", folder.display());
        }
    }
    Ok(folder)
}

/// Installs Limine for UEFI and for BIOS from `folder`.
///
/// # Errors
/// When files are missing, the host tool cannot be built or refuses the image.
pub fn install(disk: &Disk, folder: &Path) -> Result<()> {
    let esp = disk.esp()?;
    esp.put(&folder.join("BOOTX64.EFI"), LOADER)?;
    // The BIOS part looks in /, /limine, /boot and /boot/limine, in every version.
    esp.put(&folder.join("limine-bios.sys"), "/limine-bios.sys")?;
    let scratch = paths::Scratch::new("limine")?;
    let tool = tool(folder, &scratch)?;
    let number = disk.number(Purpose::BiosBoot)?.to_string();
    let mut install = run::command(&tool.to_string_lossy(), ["bios-install"]);
    run::quiet(install.arg(disk.path()).arg(number)).context("cannot install Limine for BIOS")
}

/// The version, as the host tool says it.
///
/// # Errors
/// When the tool cannot be built or run.
pub fn version(folder: &Path) -> Result<String> {
    let scratch = paths::Scratch::new("limine")?;
    let tool = tool(folder, &scratch)?;
    let said = run::output(&mut run::command(&tool.to_string_lossy(), ["version"]))?;
    Ok(said
        .lines()
        .next()
        .unwrap_or("of an unknown version")
        .to_owned())
}

/// The host tool: the one in the folder, or compiled from the source there.
fn tool(folder: &Path, scratch: &paths::Scratch) -> Result<PathBuf> {
    let ready = folder.join("limine");
    if ready.is_file() {
        return Ok(ready);
    }
    let source = folder.join("limine.c");
    if !source.exists() {
        bail!(
            "{} holds neither the tool limine nor its source limine.c",
            folder.display()
        );
    }
    let tool = scratch.join("limine");
    let mut compile = run::command("cc", ["-std=gnu99", "-O1", "-w", "-I"]);
    run::quiet(compile.arg(folder).arg(&source).arg("-o").arg(&tool))
        .context("cannot compile Limine's host tool")?;
    Ok(tool)
}

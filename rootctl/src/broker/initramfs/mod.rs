//! The initramfs builder: kernel modules of a root, their tables, the boot stage, packed the same byte for byte every
//! time.
//!
//! | open | for |
//! |---|---|
//! | `wanted` | which modules: the generic set, or what this machine needs |
//! | `closure` | what those need, and where their files are |
//! | `tables` | the texts that the boot stage reads |
//! | `glob` | patterns of `modules.alias` |
//! | `decompress` | `.ko.xz` and `.ko.zst` |
//! | `microcode` | the early part for the processor |
//! | `cpio` | the archive format |

mod closure;
mod cpio;
mod decompress;
mod glob;
mod microcode;
mod tables;
mod wanted;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::paths::{initramfs as names, program};
use rootspec::protocol::store::{BuildInitramfs, BuiltInitramfs};

use crate::checks;
use crate::guard::Guard;
use crate::progress::Progress;
use closure::Module;
use cpio::Archive;

/// Compression level of zstd: higher ones take much longer and save little.
const LEVEL: i32 = 12;
/// Largest boot stage and largest module that are read, in bytes.
const LARGEST_FILE: u64 = 256 << 20;

/// What to build an initramfs from.
#[derive(Debug, Clone)]
pub(crate) struct Recipe<'a> {
    /// The root that holds modules and boot stage.
    pub(crate) root: &'a Path,
    /// Kernel release.
    pub(crate) release: &'a str,
    /// For which machines.
    pub(crate) reach: Reach,
}

/// For which machines an initramfs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Any.
    Generic,
    /// The one we run on.
    ThisMachine,
}

/// A finished initramfs.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Number of kernel modules in it.
    pub(crate) modules: usize,
    /// Modules that were wanted and that this kernel does not have.
    pub(crate) absent: Vec<String>,
}

/// Builds an initramfs. Reads the root, writes nothing.
pub(crate) fn build(recipe: &Recipe<'_>) -> Result<Image> {
    let stage = boot_stage(recipe.root)?;
    let folder = checks::modules_dir(recipe.root, recipe.release)?;
    let texts = tables::Texts::read(&folder)?;
    let wanted = match recipe.reach {
        Reach::Generic => wanted::generic(),
        Reach::ThisMachine => wanted::this_machine(&texts)?,
    };
    let found = closure::find(&folder, &wanted, &texts)?;
    let mut archive = Archive::default();
    for dir in ["dev", "proc", "run", "sys", "sysroot"] {
        archive.folder(dir);
    }
    archive.console();
    archive.file("init", 0o755, stage);
    for module in &found.modules {
        archive.file(&module.place(recipe.release), 0o644, module_bytes(module)?);
    }
    let tables = tables::render(&found.modules, &texts, recipe.release);
    archive.file(names::MODULES, 0o644, tables.modules.into_bytes());
    archive.file(names::ALIASES, 0o644, tables.aliases.into_bytes());
    archive.file(names::LOAD, 0o644, tables.load.into_bytes());
    let mut bytes = microcode::early(recipe.root)?;
    let packed = zstd::bulk::compress(&archive.finish(), LEVEL).context("cannot compress")?;
    bytes.extend_from_slice(&packed);
    Ok(Image {
        bytes,
        modules: found.modules.len(),
        absent: found.absent,
    })
}

fn boot_stage(root: &Path) -> Result<Vec<u8>> {
    let path = root.join(program::BOOT_STAGE.trim_start_matches('/'));
    sys::fs::read(&path, LARGEST_FILE).with_context(|| {
        Guard::failed("the root has no boot stage to put into an initramfs")
            .next(format!("install {} there", program::BOOT_STAGE))
    })
}

fn module_bytes(module: &Module) -> Result<Vec<u8>> {
    let bytes = sys::fs::read(&module.file, LARGEST_FILE)?;
    decompress::module(&module.file, bytes)
}

/// The method `BuildInitramfs`.
pub(crate) fn build_to_file(
    ask: &BuildInitramfs,
    progress: &mut Progress<'_>,
) -> Result<BuiltInitramfs> {
    let (root, output) = (PathBuf::from(&ask.root), PathBuf::from(&ask.output));
    if !root.is_absolute() || !output.is_absolute() {
        return Guard::usage("root and output must be absolute paths").err();
    }
    let release = match &ask.release {
        Some(release) => checks::release(release)?.to_owned(),
        None => checks::only_modules(&root)?,
    };
    let reach = if ask.host_only == Some(true) {
        Reach::ThisMachine
    } else {
        Reach::Generic
    };
    progress.step(&format!("build an initramfs for kernel {release}"));
    let image = build(&Recipe {
        root: &root,
        release: &release,
        reach,
    })?;
    if !image.absent.is_empty() {
        progress.step(&format!("this kernel has no {}", image.absent.join(", ")));
    }
    sys::fs::write_atomic(&output, &image.bytes, 0o644)?;
    let (blake2b, size) =
        crate::esp::copies::hash(image.bytes.as_slice()).context("cannot hash the image")?;
    Ok(BuiltInitramfs {
        release,
        modules: u32::try_from(image.modules).unwrap_or(u32::MAX),
        size,
        blake2b,
    })
}

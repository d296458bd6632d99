//! Kernel and initramfs of a snapshot under work: they and the root are one unit.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use blake2::{Blake2b512, Digest};
use rootspec::meta::{Kernel, Meta};
use rootspec::paths::{program, store as names};

use crate::checks::{self, KernelFiles};
use crate::esp::copies;
use crate::initramfs::{self, Reach, Recipe};
use crate::progress::Progress;
use crate::store::publish::Draft;
use crate::store::write_synced;

/// Copies the kernel and builds the initramfs into the draft's folder.
pub(crate) fn make(
    draft: &Draft<'_>,
    kernel: &KernelFiles,
    progress: &mut Progress<'_>,
) -> Result<Kernel> {
    progress.step(&format!(
        "build the initramfs for kernel {}",
        kernel.release
    ));
    let image = initramfs::build(&Recipe {
        root: &draft.root(),
        release: &kernel.release,
        reach: Reach::Generic,
    })?;
    let initrd = draft.dir().join(names::INITRD);
    write_synced(&initrd, &image.bytes)?;
    let vmlinuz = draft.dir().join(names::KERNEL);
    sys::copy::copy_file(&kernel.image, &vmlinuz)?;
    describe(draft, &kernel.release)
}

/// What the initramfs of the parent was built from, as found in the copy `root` before it is changed; `None` if that
/// cannot be told.
pub(crate) fn built_from(root: &Path, kernel: Option<&Kernel>) -> Option<String> {
    let found = checks::root(root).ok()?;
    if kernel.is_none_or(|kernel| kernel.release != found.release) {
        return None;
    }
    fingerprint(root, &found).ok()
}

/// Kernel and initramfs of a changed root: the parent's, from its folder, if nothing they are made of was touched.
pub(crate) fn of_changed(
    draft: &Draft<'_>,
    parent: &Meta,
    before: Option<String>,
    folder: Option<&Path>,
    progress: &mut Progress<'_>,
) -> Result<Kernel> {
    let found = checks::root(&draft.root())?;
    let after = fingerprint(&draft.root(), &found)?;
    if before.as_ref() == Some(&after) {
        if let Some(folder) = folder {
            return reuse(draft, folder, &found.release);
        }
    }
    let old = parent.kernel.as_ref();
    progress.step(&format!(
        "kernel, modules or boot stage changed ({} to {})",
        old.map_or("none", |kernel| kernel.release.as_str()),
        found.release
    ));
    make(draft, &found, progress)
}

/// Takes both from the folder of the snapshot the draft was copied from.
fn reuse(draft: &Draft<'_>, parent: &Path, release: &str) -> Result<Kernel> {
    for file in [names::KERNEL, names::INITRD] {
        sys::copy::copy_file(parent.join(file), draft.dir().join(file))?;
    }
    describe(draft, release)
}

fn describe(draft: &Draft<'_>, release: &str) -> Result<Kernel> {
    Ok(Kernel {
        release: release.to_owned(),
        vmlinuz: copies::boot_file(&draft.dir().join(names::KERNEL))?,
        initrd: copies::boot_file(&draft.dir().join(names::INITRD))?,
    })
}

/// A digest of everything an initramfs is built from. A snapshot's files keep their inodes and times, so equal digests
/// mean that nothing was touched; no content is read.
fn fingerprint(root: &Path, kernel: &KernelFiles) -> Result<String> {
    let mut digest = Blake2b512::new();
    add(&checks::modules_dir(root, &kernel.release)?, &mut digest)?;
    for place in [
        program::BOOT_STAGE.trim_start_matches('/'),
        "usr/lib/firmware/amd-ucode",
        "usr/lib/firmware/intel-ucode",
        "lib/firmware/amd-ucode",
        "lib/firmware/intel-ucode",
    ] {
        let path = root.join(place);
        if path.exists() {
            add(&path, &mut digest)?;
        }
    }
    add(&kernel.image, &mut digest)?;
    Ok(digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

fn add(path: &Path, digest: &mut Blake2b512) -> Result<()> {
    let looking = || format!("cannot look at {}", path.display());
    let found = path.symlink_metadata().with_context(looking)?;
    let name = path.file_name().unwrap_or_default();
    let facts = format!(
        "{name:?} {} {} {}.{} {}.{}\n",
        found.ino(),
        found.len(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    );
    digest.update(facts.as_bytes());
    if found.is_dir() {
        let mut inner = Vec::new();
        for entry in std::fs::read_dir(path).with_context(looking)? {
            inner.push(entry.with_context(looking)?.path());
        }
        inner.sort();
        for path in inner {
            add(&path, digest)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    #[test]
    fn the_fingerprint_changes_with_any_file_that_goes_into_an_initramfs() {
        let dir = TestDir::new("fingerprint");
        let modules = dir.path().join("usr/lib/modules/6.1/kernel");
        std::fs::create_dir_all(&modules).unwrap();
        let image = dir.path().join("vmlinuz");
        std::fs::write(&image, "k").unwrap();
        std::fs::write(modules.join("a.ko"), "a").unwrap();
        let kernel = KernelFiles {
            release: "6.1".into(),
            image,
        };
        let first = fingerprint(dir.path(), &kernel).unwrap();
        assert_eq!(fingerprint(dir.path(), &kernel).unwrap(), first);
        std::fs::write(modules.join("b.ko"), "b").unwrap();
        assert_ne!(fingerprint(dir.path(), &kernel).unwrap(), first);
        std::fs::remove_file(modules.join("a.ko")).unwrap();
        assert!(!dir.path().join("usr/lib/rootctl").exists());
    }
}

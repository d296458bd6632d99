//! Kernels and initramfs on the ESP: created once under a name made of their content, never changed, removed only when
//! no menu names them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use blake2::{Blake2b512, Digest};

use crate::guard::Guard;
use crate::menu::EspFile;
use crate::progress::point;

/// BLAKE2b-512 of a stream, in hex, and its length.
pub(crate) fn hash(mut from: impl Read) -> std::io::Result<(String, u64)> {
    let mut hasher = Blake2b512::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        length += count as u64;
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
    let hex = hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok((hex, length))
}

/// The hash of a file as published: its BLAKE2b-512 and size.
pub(crate) fn boot_file(path: &Path) -> Result<rootspec::meta::BootFile> {
    let reading = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(reading)?;
    let (blake2b, size) = hash(file).with_context(reading)?;
    Ok(rootspec::meta::BootFile { blake2b, size })
}

/// True for names this module gives: `1a2b3c4d.vmz`, `1a2b3c4d.ird`.
pub(super) fn is_ours(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else {
        return false;
    };
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    stem.len() == 8 && stem.bytes().all(hex) && matches!(ending, "vmz" | "ird")
}

/// Our boot files in `dir`, with their sizes; none if there is no such folder.
pub(crate) fn present(dir: &Path) -> Result<BTreeMap<String, u64>> {
    let listing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        other => other.with_context(listing)?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry.with_context(listing)?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if is_ours(&name) {
            found.insert(name, entry.metadata().with_context(listing)?.len());
        }
    }
    Ok(found)
}

/// Brings `source` to the ESP as `file`. A copy with the right content is used as it is; one with another content is
/// what a cut or a bad medium left, and is replaced. Not durable before the next barrier on `dir`.
pub(crate) fn bring(source: &Path, file: &EspFile, dir: &Path) -> Result<()> {
    let target = dir.join(&file.name);
    if target.exists() {
        if content_is(&target, file)? {
            return Ok(());
        }
        std::fs::remove_file(&target)
            .with_context(|| format!("cannot replace the damaged {}", target.display()))?;
        sys::fs::fat_barrier(dir)?;
    }
    let copied = copy(source, &target);
    if copied.is_err() {
        // Nothing names it yet; leave the room to others.
        drop(std::fs::remove_file(&target));
    }
    let (blake2b, size) = copied?;
    point("E1")?;
    if blake2b == file.blake2b && size == file.size {
        return Ok(());
    }
    drop(std::fs::remove_file(&target));
    Guard::refused(format!(
        "{} is not what was published: it has {size} bytes and another hash",
        source.display()
    ))
    .next("rootctl snap list, and take another snapshot")
    .err()
}

/// Copies under the final name, which must be new, and hashes what went through.
fn copy(source: &Path, target: &Path) -> Result<(String, u64)> {
    struct Tee<'a>(File, &'a mut File);
    impl Read for Tee<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.write_all(buffer.get(..count).unwrap_or_default())?;
            Ok(count)
        }
    }
    let copying = || format!("cannot copy {} to {}", source.display(), target.display());
    let from = File::open(source).with_context(copying)?;
    let mut to = File::create_new(target).with_context(copying)?;
    let hashed = hash(Tee(from, &mut to)).with_context(copying)?;
    to.sync_all().with_context(copying)?;
    Ok(hashed)
}

/// Reads a copy back from the medium, past the page cache: a bad medium shows here and not in the loader.
pub(crate) fn verify(file: &EspFile, dir: &Path) -> Result<()> {
    let path = dir.join(&file.name);
    if content_is(&path, file)? {
        return Ok(());
    }
    Guard::failed(format!(
        "{} reads back with other content than was written",
        path.display()
    ))
    .next("the ESP's medium may be failing: see `dmesg`, and copy the disk while you can")
    .err()
}

fn content_is(path: &Path, file: &EspFile) -> Result<bool> {
    let reading = || format!("cannot read {}", path.display());
    let open = File::open(path).with_context(reading)?;
    if open.metadata().with_context(reading)?.len() != file.size {
        return Ok(false);
    }
    // A file system without a cache to drop (tmpfs) refuses nothing we need.
    drop(sys::space::forget_cached(&open));
    Ok(hash(open).with_context(reading)?.0 == file.blake2b)
}

/// Removes boot files that nothing names: neither our menu, whose files are `ours`, nor any menu on the ESP.
pub(crate) fn collect(dir: &Path, ours: &[EspFile], named: &BTreeSet<String>) -> Result<u32> {
    let mut removed = 0;
    for name in present(dir)?.keys() {
        if !named.contains(name) && !ours.iter().any(|file| file.name == *name) {
            if removed == 0 {
                // The menu that was read may be in the cache only, if whoever wrote it was killed.
                sys::fs::fat_barrier(dir)?;
            }
            let path = dir.join(name);
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
            removed += 1;
        }
    }
    if removed > 0 {
        sys::fs::fat_barrier(dir)?;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    fn file_of(content: &[u8]) -> EspFile {
        let (blake2b, size) = hash(content).unwrap();
        EspFile {
            name: format!("{}.vmz", &blake2b[..8]),
            blake2b,
            size,
        }
    }

    #[test]
    fn the_hash_is_blake2b_512() {
        // RFC 7693, appendix A.
        let (hex, length) = hash(&b"abc"[..]).unwrap();
        assert!(hex.starts_with("ba80a53f981c4d0d6a2797b69f12f6e9") && hex.len() == 128);
        assert_eq!(length, 3);
    }

    #[test]
    fn a_copy_is_made_once_and_a_damaged_one_is_replaced() {
        let dir = TestDir::new("copies");
        let source = dir.path().join("source");
        std::fs::write(&source, b"kernel").unwrap();
        let file = file_of(b"kernel");
        let target = dir.path().join(&file.name);
        for damage in [
            None,
            Some(&b"kernel"[..]),
            Some(b"kernex"),
            Some(b"ker"),
            Some(b""),
        ] {
            if let Some(damage) = damage {
                std::fs::write(&target, damage).unwrap();
            }
            bring(&source, &file, dir.path()).unwrap();
            verify(&file, dir.path()).unwrap();
        }
    }

    #[test]
    fn a_source_that_changed_since_it_was_published_is_refused_and_leaves_nothing() {
        let dir = TestDir::new("copies-changed");
        let source = dir.path().join("source");
        std::fs::write(&source, b"other").unwrap();
        let file = file_of(b"kernel");
        let error = bring(&source, &file, dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("not what was published"),
            "{error}"
        );
        assert!(!dir.path().join(&file.name).exists());
    }

    #[test]
    fn only_our_own_files_that_nothing_names_are_collected() {
        let dir = TestDir::new("collect");
        let named = file_of(b"named");
        for name in [
            named.name.as_str(),
            "0123abcd.ird",
            "4567abcd.ird",
            "grub.cfg",
            "grubenv",
            "0123abcd.efi",
            "kernel.vmz",
            "0123ABCZ.vmz",
        ] {
            std::fs::write(dir.path().join(name), b"x").unwrap();
        }
        let by_others = BTreeSet::from(["4567abcd.ird".to_owned()]);
        assert_eq!(collect(dir.path(), &[named], &by_others).unwrap(), 1);
        assert!(!dir.path().join("0123abcd.ird").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 7);
    }
}

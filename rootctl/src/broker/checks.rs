//! What a root must have before it is published as a snapshot, and where its kernel is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::paths::program;

use crate::guard::Guard;

/// A root's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelFiles {
    /// Release.
    pub(crate) release: String,
    /// The kernel image.
    pub(crate) image: PathBuf,
}

/// Checks a root and finds its kernel.
pub(crate) fn root(root: &Path) -> Result<KernelFiles> {
    let kernel = only_kernel(root)?;
    modules_dir(root, &kernel.release)?;
    must_be_program(root, program::RINIT)?;
    must_be_program(root, program::PLANNER)?;
    must_be_program(root, program::HELPER)?;
    must_be_program(root, program::BOOT_STAGE)?;
    os_release(root)?;
    Ok(kernel)
}

/// A release as part of a path: nothing that leads elsewhere.
pub(crate) fn release(text: &str) -> Result<&str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._+-~".contains(&b);
    if text.is_empty() || text.len() > 128 || text.starts_with('.') || !text.bytes().all(legal) {
        return Guard::usage(format!("{text:?} is no kernel release")).err();
    }
    Ok(text)
}

/// `/usr/lib/modules`, or `/lib/modules` of a root without merged folders.
fn modules_root(root: &Path) -> PathBuf {
    let merged = root.join("usr/lib/modules");
    if merged.is_dir() {
        merged
    } else {
        root.join("lib/modules")
    }
}

/// The folder of a release's modules.
pub(crate) fn modules_dir(root: &Path, wanted: &str) -> Result<PathBuf> {
    let dir = modules_root(root).join(release(wanted)?);
    if dir.is_dir() {
        return Ok(dir);
    }
    Guard::refused(format!(
        "kernel {wanted} has no modules: {} is absent",
        dir.display()
    ))
    .next("install the modules of that kernel in the root")
    .err()
}

/// Names in a folder, sorted; none if it is absent.
fn names(dir: &Path) -> Result<Vec<String>> {
    let listing = || format!("cannot list {}", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(listing)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(listing)?.file_name();
        names.extend(name.to_str().map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// All kernels of a root: `boot/vmlinuz-RELEASE`, or `vmlinuz` beside the modules.
fn kernels(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|m| m.is_file());
    let modules = modules_root(root);
    for name in names(&modules)? {
        let image = modules.join(&name).join("vmlinuz");
        if is_file(&image) {
            found.insert(name, image);
        }
    }
    let boot = root.join("boot");
    for name in names(&boot)? {
        let Some(release) = name.strip_prefix("vmlinuz-") else {
            continue;
        };
        let image = boot.join(&name);
        if is_file(&image) && !release.ends_with(".old") {
            found.insert(release.to_owned(), image);
        }
    }
    Ok(found)
}

fn only_kernel(root: &Path) -> Result<KernelFiles> {
    let found = kernels(root)?;
    let mut all = found.into_iter();
    match (all.next(), all.next()) {
        (Some((name, image)), None) => Ok(KernelFiles {
            release: release(&name)?.to_owned(),
            image,
        }),
        (None, _) => Guard::refused(
            "the root has no kernel: there is neither boot/vmlinuz-RELEASE nor usr/lib/modules/RELEASE/vmlinuz",
        )
        .next("install a kernel in the root")
        .err(),
        (Some((one, _)), Some((other, _))) => Guard::refused(format!(
            "the root has more than one kernel ({one}, {other}); a snapshot boots exactly one"
        ))
        .next("remove all but one of them in the same run")
        .err(),
    }
}

/// The only release that has modules, for building an initramfs without naming one.
pub(crate) fn only_modules(root: &Path) -> Result<String> {
    let dir = modules_root(root);
    let mut found = names(&dir)?;
    found.retain(|name| dir.join(name).is_dir());
    match found.as_slice() {
        [only] => Ok(release(only)?.to_owned()),
        [] => Guard::refused(format!("{} holds no kernel modules", dir.display()))
            .next("install a kernel in the root")
            .err(),
        several => Guard::usage(format!(
            "{} holds modules of several kernels: {}",
            dir.display(),
            several.join(", ")
        ))
        .next("repeat with --release")
        .err(),
    }
}

fn must_be_program(root: &Path, path: &str) -> Result<()> {
    let inside = root.join(path.trim_start_matches('/'));
    let found = inside.metadata();
    if found.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0) {
        return Ok(());
    }
    Guard::refused(format!(
        "the root has no program {path}, and would not boot without it"
    ))
    .next(format!("install {path} in the root"))
    .err()
}

fn os_release(root: &Path) -> Result<()> {
    // /etc/os-release is a link to the other one on most systems; a relative one, so it can be followed here.
    let places = ["usr/lib/os-release", "etc/os-release"];
    if places
        .iter()
        .any(|place| sys::fs::read_text(root.join(place), 64 * 1024).is_ok())
    {
        return Ok(());
    }
    Guard::refused("the root has no readable usr/lib/os-release: is it a root at all?")
        .next("look at what was imported or removed")
        .err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    fn add(root: &Path, path: &str, mode: u32) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn complete(dir: &TestDir) -> &Path {
        let root = dir.path();
        add(root, "boot/vmlinuz-6.1", 0o644);
        add(root, "usr/lib/modules/6.1/modules.dep", 0o644);
        add(root, "usr/bin/rinit", 0o755);
        add(root, "usr/bin/rinit-plan", 0o755);
        add(root, "usr/lib/rinit/rinit-helper", 0o755);
        add(root, "usr/lib/rootctl/rinit-boot", 0o755);
        add(root, "usr/lib/os-release", 0o644);
        root
    }

    #[test]
    fn a_complete_root_passes_and_names_its_kernel() {
        let dir = TestDir::new("root-complete");
        let found = root(complete(&dir)).unwrap();
        assert_eq!(found.release, "6.1");
        assert!(found.image.ends_with("boot/vmlinuz-6.1"));
    }

    #[test]
    fn each_missing_part_is_named() {
        for (gone, words) in [
            ("boot/vmlinuz-6.1", "no kernel"),
            ("usr/lib/modules", "has no modules"),
            ("usr/bin/rinit", "/usr/bin/rinit"),
            ("usr/bin/rinit-plan", "/usr/bin/rinit-plan"),
            ("usr/lib/rinit/rinit-helper", "rinit-helper"),
            ("usr/lib/rootctl/rinit-boot", "rinit-boot"),
            ("usr/lib/os-release", "os-release"),
        ] {
            let dir = TestDir::new("root-gone");
            let path = complete(&dir).join(gone);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
            let error = root(dir.path()).unwrap_err().to_string();
            assert!(error.contains(words), "{gone}: {error}");
        }
    }

    #[test]
    fn two_kernels_and_odd_releases_are_refused() {
        let dir = TestDir::new("root-two");
        add(complete(&dir), "usr/lib/modules/6.2/vmlinuz", 0o644);
        let error = root(dir.path()).unwrap_err().to_string();
        assert!(error.contains("6.1, 6.2"), "{error}");
        for bad in ["", "..", "../x", "a/b", "a b", "a\n"] {
            assert!(release(bad).is_err(), "{bad:?}");
        }
        assert!(release("6.1.0-56-cloud-amd64+x~1").is_ok());
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_none() {
        let dir = TestDir::new("root-mode");
        add(complete(&dir), "usr/bin/rinit", 0o644);
        assert!(root(dir.path()).is_err());
    }
}

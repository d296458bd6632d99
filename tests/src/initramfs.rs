//! A small busybox initramfs: proves that a kernel came up, and stands in where our own is not the point.

use crate::run;
use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The static busybox of Debian's busybox-static.
pub const BUSYBOX: &str = "/bin/busybox";

/// What `/init` of a small initramfs does.
#[derive(Debug, Clone, Default)]
pub struct Recipe<'a> {
    /// Shell lines run after /proc, /sys and /dev are mounted.
    pub script: &'a str,
    /// Host files to add: where from, and the name inside, without a leading slash.
    pub files: Vec<(PathBuf, String)>,
}

/// Packs an initramfs, gzip-compressed, into `target`.
///
/// # Errors
/// When busybox is missing or cpio fails.
pub fn pack(recipe: &Recipe<'_>, target: &Path) -> Result<()> {
    let scratch = crate::paths::Scratch::new("initramfs")?;
    let root = scratch.join("root");
    for folder in ["bin", "dev", "proc", "sys", "run", "mnt"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    install(Path::new(BUSYBOX), &root.join("bin/busybox"))?;
    for (from, name) in &recipe.files {
        install(from, &root.join(name))?;
    }
    let init = root.join("init");
    fs::write(&init, script(recipe.script))
        .with_context(|| format!("cannot write {}", init.display()))?;
    run::quiet(run::command("chmod", ["0755"]).arg(&init))?;
    // The names go through the shell's find because cpio reads them from its input.
    let mut pack = run::command(
        "sh",
        [
            "-c",
            "find . | cpio --quiet -o -H newc | gzip -1 > \"$1\"",
            "sh",
        ],
    );
    run::quiet(pack.arg(target).current_dir(&root)).context("cannot pack the initramfs")
}

fn install(from: &Path, to: &Path) -> Result<()> {
    run::quiet(
        run::command("install", ["-D", "-m", "0755"])
            .arg(from)
            .arg(to),
    )
}

fn script(body: &str) -> Vec<u8> {
    let mut text = Vec::new();
    let head = "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\n\
                mount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n";
    drop(writeln!(text, "{head}{body}"));
    text
}

/// Takes kernel image `vmlinuz-*` out of the tar of a root.
///
/// # Errors
/// When the tar holds none.
pub fn kernel_of(tar: &Path, target: &Path) -> Result<()> {
    let file =
        fs::File::create(target).with_context(|| format!("cannot make {}", target.display()))?;
    let mut extract = run::command("tar", ["--wildcards", "-xOf"]);
    let status = extract
        .arg(tar)
        .arg("./boot/vmlinuz-*")
        .stdout(file)
        .status()
        .context("cannot start tar")?;
    anyhow::ensure!(status.success(), "there is no kernel in {}", tar.display());
    Ok(())
}

//! What this host must have before anything can be built or booted, and the Debian packages that bring it.

use crate::{isolate, run, say};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// How we see that a need is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// A program in one of the usual folders.
    Program(&'static str),
    /// A file at this place.
    File(&'static str),
    /// The package itself: for what has no fixed path.
    Installed,
}

/// One need and its Debian package (the name is the same in Debian 12 and 13).
#[derive(Debug, Clone, Copy)]
struct Need {
    proof: Proof,
    package: &'static str,
}

const fn program(name: &'static str, package: &'static str) -> Need {
    Need {
        proof: Proof::Program(name),
        package,
    }
}

const fn file(path: &'static str, package: &'static str) -> Need {
    Need {
        proof: Proof::File(path),
        package,
    }
}

/// Everything, in the order a person would miss it: first what building needs, then roots, disks, boots.
const NEEDS: &[Need] = &[
    program("cc", "gcc"),
    file("/usr/include/stdlib.h", "libc6-dev"),
    program("c++", "g++"),
    program("pkg-config", "pkg-config"),
    file("/usr/include/libkmod.h", "libkmod-dev"),
    file("/usr/include/btrfsutil.h", "libbtrfsutil-dev"),
    Need {
        proof: Proof::Installed,
        package: "libclang-dev",
    },
    program("mmdebstrap", "mmdebstrap"),
    program("busybox", "busybox-static"),
    program("depmod", "kmod"),
    program("cpio", "cpio"),
    program("zstd", "zstd"),
    program("mkfs.btrfs", "btrfs-progs"),
    program("mkfs.fat", "dosfstools"),
    program("mcopy", "mtools"),
    program("mksquashfs", "squashfs-tools"),
    program("mkfs.erofs", "erofs-utils"),
    program("losetup", "mount"),
    program("grub-mkimage", "grub-common"),
    file("/usr/lib/grub/x86_64-efi/normal.mod", "grub-efi-amd64-bin"),
    file("/usr/lib/grub/i386-pc/boot.img", "grub-pc-bin"),
    program("qemu-system-x86_64", "qemu-system-x86"),
    file("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    file("/usr/share/seabios/bios-256k.bin", "seabios"),
    program("crun", "crun"),
    program("python3", "python3"),
];

/// Whether missing packages may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// Install what is missing, when we are root.
    Allowed,
    /// Only name what is missing.
    No,
}

/// Makes sure that every need is met: names each missing package, then installs it or stops.
///
/// # Errors
/// When something is missing and may not or cannot be installed; the error holds the command to type.
pub fn ensure(install: Install) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    say::line(&format!("missing on this host: {}", missing.join(" ")));
    let by_hand = format!("apt-get install {}", missing.join(" "));
    if install == Install::No {
        bail!("packages are missing and --no-install was given; next: {by_hand}");
    }
    if !isolate::is_root() {
        bail!("packages are missing and only root can install them; next: sudo {by_hand}");
    }
    if !run::succeeds(&mut run::command("apt-get", ["--version"])) {
        bail!(
            "packages are missing and this host has no apt-get; install the like of: {}",
            missing.join(" ")
        );
    }
    install_with_apt(&missing)?;
    let still = self::missing();
    if !still.is_empty() {
        bail!(
            "apt-get said it was done, but these needs are not met: {}",
            still.join(" ")
        );
    }
    Ok(())
}

/// The packages of all needs that are not met, each once, in the order of the table.
pub fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&'static str> = Vec::new();
    for need in NEEDS {
        if !is_met(need) && !packages.contains(&need.package) {
            packages.push(need.package);
        }
    }
    packages
}

fn is_met(need: &Need) -> bool {
    match need.proof {
        Proof::Program(name) => find_program(name),
        Proof::File(path) => Path::new(path).exists(),
        Proof::Installed => {
            let mut query =
                run::command("dpkg-query", ["-W", "-f=${db:Status-Status}", need.package]);
            run::output(&mut query).is_ok_and(|status| status == "installed")
        }
    }
}

/// Root's own folders are searched too: a plain user's PATH often lacks them.
fn find_program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .any(|dir| !dir.is_empty() && Path::new(dir).join(name).exists())
}

fn install_with_apt(packages: &[&str]) -> Result<()> {
    if !package_lists_exist() {
        update_lists()?;
    }
    if apt_install(packages)? {
        return Ok(());
    }
    // Lists that are older than the mirror name files that are gone: fetch them once and try again.
    update_lists()?;
    if apt_install(packages)? {
        return Ok(());
    }
    bail!(
        "apt-get could not install {}; its own words are above",
        packages.join(" ")
    )
}

fn apt_install(packages: &[&str]) -> Result<bool> {
    let mut apt = run::command("apt-get", ["install", "--yes", "--no-install-recommends"]);
    apt.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(run::shown_live(&mut apt)?.success())
}

fn update_lists() -> Result<()> {
    // A broken third-party source makes this fail although Debian's own lists arrived: let the install judge.
    let status = run::shown_live(&mut run::command("apt-get", ["update"]))?;
    if !status.success() {
        say::line(&format!(
            "apt-get update ended with {status}; going on with the lists that are there"
        ));
    }
    Ok(())
}

fn package_lists_exist() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

/// Whether this kernel can mount such a file system; its module is loaded where nobody has used it yet.
///
/// # Errors
/// When the kernel's list cannot be read.
pub fn knows_file_system(name: &str) -> Result<bool> {
    // What comes of it shows in the list; a host without modules needs no modprobe.
    run::succeeds(&mut run::command("modprobe", ["-q", name]));
    let known = fs::read_to_string("/proc/filesystems").context("cannot read /proc/filesystems")?;
    Ok(known.lines().any(|line| line.trim() == name))
}

/// The release name of this host (`bookworm`, `trixie`): test roots are made of the same release.
///
/// # Errors
/// When `/etc/os-release` cannot be read or names no Debian release.
pub fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    suite_of(&text)
}

fn suite_of(os_release: &str) -> Result<String> {
    let value = |key: &str| {
        os_release
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    match (value("ID").as_deref(), value("VERSION_CODENAME")) {
        (Some("debian"), Some(suite)) => Ok(suite),
        (id, _) => bail!(
            "test roots need a Debian host with a release name, and /etc/os-release says ID={}",
            id.unwrap_or("nothing")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_os_release() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\n";
        assert_eq!(suite_of(text).unwrap(), "trixie");
    }

    #[test]
    fn another_distribution_is_refused_by_name() {
        let error = suite_of("ID=fedora\n").unwrap_err();
        assert!(error.to_string().contains("ID=fedora"));
    }

    #[test]
    fn every_need_names_a_package() {
        assert!(NEEDS.iter().all(|need| !need.package.is_empty()));
    }
}

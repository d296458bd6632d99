//! The Debian root that the machine tests boot: made by mmdebstrap from this host's own package sources,
//! with Debian's kernel, and kept as a tar because making it takes minutes.

use crate::{host, paths, run, say};
use anyhow::{Context, Result, bail};
use blake2::{Blake2b512, Digest};
use std::fs;
use std::path::{Path, PathBuf};

/// Root's password inside the test root: for the login on the serial console.
pub const PASSWORD: &str = "rootctl";

/// Change this when the recipe below changes: older tars are then made anew.
const RECIPE: &str = "1";

/// What goes into the root besides the minimal system. All names are the same in Debian 12 and 13.
const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64", // small, has virtio, btrfs, overlay, loop, squashfs, erofs, vfat, efivarfs
    "kmod",
    "udev",
    "systemd-standalone-sysusers", // else udev of Debian 13 brings all of systemd
    "dbus",
    "openssh-server",
    "iproute2",
    "udhcpc",
    "procps",
    "login",
    "passwd",
    "util-linux",
    "crun",
    "btrfs-progs",
    "libkmod2",
    "libbtrfsutil1",
    "busybox-static",
    "e2fsprogs",
    "ca-certificates",
];

/// Modules that a boot needs; the root is refused when its kernel lacks one.
const MODULES: &[&str] = &[
    "virtio_blk",
    "virtio_pci",
    "virtio_net",
    "btrfs",
    "overlay",
    "loop",
    "squashfs",
    "erofs",
    "vfat",
    "efivarfs",
];

/// The kernel package demands some generator of initramfs. Ours makes the initramfs when a snapshot is
/// deployed, so this empty package answers the demand and keeps initramfs-tools out.
const STAND_IN: &str = "Package: rootctl-initramfs\nVersion: 1\nArchitecture: all\n\
    Maintainer: test machine <root@localhost>\nProvides: linux-initramfs-tool\n\
    Description: the initramfs is made by rootctl when a snapshot is deployed\n";

/// Returns the tar of the root, making it first when there is none for this release and recipe.
///
/// # Errors
/// When the host is no Debian, has no Debian package source, or mmdebstrap fails.
pub fn tar() -> Result<PathBuf> {
    let suite = host::suite()?;
    let tar = paths::cache()?.join(format!("root-{suite}-{}.tar", key(&suite)));
    if tar.exists() {
        return Ok(tar);
    }
    say::line(&format!(
        "making a Debian root of {suite} (once; takes a few minutes) ..."
    ));
    let scratch = paths::Scratch::new("root")?;
    let unfinished = scratch.join("root.tar");
    make(&suite, &unfinished, &scratch)?;
    fs::rename(&unfinished, &tar)
        .with_context(|| format!("cannot keep the root as {}", tar.display()))?;
    Ok(tar)
}

fn key(suite: &str) -> String {
    let text = format!("{RECIPE} {suite} {} {STAND_IN}", PACKAGES.join(" "));
    Blake2b512::digest(text.as_bytes())
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn make(suite: &str, tar: &Path, scratch: &paths::Scratch) -> Result<()> {
    let sources = sources(suite)?;
    let stand_in = stand_in(scratch)?;
    let mut mmdebstrap = run::command(
        "mmdebstrap",
        ["--variant=minbase", "--mode=auto", "--format=tar"],
    );
    mmdebstrap.arg(format!("--include={}", PACKAGES.join(",")));
    mmdebstrap.arg(format!("--include={}", stand_in.display()));
    // Local packages are only seen inside the root when their folder is mounted there.
    mmdebstrap.arg("--hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount");
    for place in [
        "/usr/share/doc/*",
        "/usr/share/man/*",
        "/usr/share/info/*",
        "/usr/share/locale/*",
    ] {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={place}"));
    }
    mmdebstrap.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    for option in proxy_options()? {
        mmdebstrap.arg(format!("--aptopt={option}"));
    }
    for step in finishing_steps() {
        mmdebstrap.arg(format!("--customize-hook={step}"));
    }
    mmdebstrap.arg(suite).arg(tar).arg("-");
    run::feed(&mut mmdebstrap, sources.as_bytes()).context("cannot make the Debian root")?;
    check_modules(tar)
}

/// What is done to the root before it is packed; `$1` is its folder.
fn finishing_steps() -> Vec<String> {
    vec![
        format!("echo 'root:{PASSWORD}' | chroot \"$1\" chpasswd"),
        "echo rootctl-demo > \"$1/etc/hostname\"".into(),
        "printf '127.0.0.1 localhost rootctl-demo\\n::1 localhost\\n' > \"$1/etc/hosts\"".into(),
        // Keys shared by every machine are no keys: the first start of sshd makes them.
        "rm -f \"$1\"/etc/ssh/ssh_host_*".into(),
        // Filled at boot; an empty file is what machine-id(5) asks of an image.
        ": > \"$1/etc/machine-id\"; rm -f \"$1/var/lib/dbus/machine-id\"".into(),
        "rm -rf \"$1\"/var/cache/* \"$1\"/var/lib/apt/lists/* \"$1\"/var/log/*.log".into(),
    ]
}

/// Builds the empty package that stands for an initramfs generator.
fn stand_in(scratch: &paths::Scratch) -> Result<PathBuf> {
    let control = scratch.join("package/DEBIAN");
    fs::create_dir_all(&control).with_context(|| format!("cannot make {}", control.display()))?;
    fs::write(control.join("control"), STAND_IN).context("cannot write the control file")?;
    let package = scratch.join("rootctl-initramfs_1_all.deb");
    let mut build = run::command("dpkg-deb", ["--build", "--root-owner-group"]);
    run::quiet(build.arg(scratch.join("package")).arg(&package))?;
    Ok(package)
}

fn check_modules(tar: &Path) -> Result<()> {
    let names = run::output(run::command("tar", ["-tf"]).arg(tar))?;
    let lacks: Vec<&str> = MODULES
        .iter()
        .filter(|module| !names.contains(&format!("/{module}.ko")))
        .filter(|module| !is_builtin(tar, module))
        .copied()
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    bail!(
        "the kernel of the Debian root lacks the modules {}",
        lacks.join(" ")
    )
}

fn is_builtin(tar: &Path, module: &str) -> bool {
    let mut list = run::command("tar", ["--wildcards", "-xOf"]);
    list.arg(tar).arg("*/modules.builtin");
    run::output(&mut list).is_ok_and(|text| text.contains(&format!("/{module}.ko")))
}

/// Proxies set for apt on this host hold for the root's apt too.
fn proxy_options() -> Result<Vec<String>> {
    let dump = run::output(&mut run::command(
        "apt-config",
        ["dump", "--format", "%f \"%v\";%n", "Acquire"],
    ))?;
    let wanted = |line: &&str| line.contains("::Proxy") || line.contains("::Check-");
    Ok(dump
        .lines()
        .filter(wanted)
        .filter(|line| !line.ends_with("\"\";"))
        .map(str::to_owned)
        .collect())
}

/// This host's package sources of Debian itself, other vendors' left out.
fn sources(suite: &str) -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|end| end.to_str()) {
            Some("sources") => lines.extend(stanzas(&text, suite)),
            Some("list") => lines.extend(one_liners(&text, suite)),
            _ => {}
        }
    }
    if lines.is_empty() {
        bail!(
            "no package source for {suite} is set in /etc/apt; next: add Debian's own and run apt-get update"
        );
    }
    Ok(lines.join("\n") + "\n")
}

fn is_of(suite: &str, word: &str) -> bool {
    let word = word.trim_end_matches('/');
    [
        suite.to_owned(),
        format!("{suite}-updates"),
        format!("{suite}-security"),
    ]
    .iter()
    .any(|name| name == word)
}

/// The `deb` lines of the suite in the one-line format.
fn one_liners(text: &str, suite: &str) -> Vec<String> {
    let wanted = |line: &&str| {
        line.starts_with("deb ") && line.split_whitespace().any(|word| is_of(suite, word))
    };
    text.lines()
        .map(str::trim)
        .filter(wanted)
        .map(str::to_owned)
        .collect()
}

/// The stanzas of the suite in the deb822 format, as lines of the one-line format: the two cannot be
/// mixed in one file.
fn stanzas(text: &str, suite: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let (Some(types), Some(uris), Some(suites)) =
            (field("Types"), field("URIs"), field("Suites"))
        else {
            continue;
        };
        if !types.split_whitespace().any(|kind| kind == "deb")
            || field("Enabled").as_deref() == Some("no")
        {
            continue;
        }
        // A key given in the text itself spans lines; the host's key ring holds Debian's keys anyway.
        let key = field("Signed-By").filter(|key| key.starts_with('/'));
        let options = key
            .map(|key| format!("[signed-by={key}] "))
            .unwrap_or_default();
        let components = field("Components").unwrap_or_default();
        for uri in uris.split_whitespace() {
            for word in suites.split_whitespace().filter(|word| is_of(suite, word)) {
                lines.push(format!("deb {options}{uri} {word} {components}"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_other_vendors_are_left_out() {
        let text = "deb http://a.example/debian bookworm main\n# deb http://b bookworm main\n\
                    deb https://c.example/apt vendor-bookworm main\n";
        assert_eq!(
            one_liners(text, "bookworm"),
            ["deb http://a.example/debian bookworm main"]
        );
    }

    #[test]
    fn deb822_stanzas_become_lines() {
        let text = "Types: deb\n# old: http://x\nURIs: http://a.example/debian\nSuites: trixie trixie-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                    Types: deb\nURIs: http://v.example\nSuites: nodistro\nComponents: main\n";
        let key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
        assert_eq!(
            stanzas(text, "trixie"),
            [
                format!("deb {key} http://a.example/debian trixie main"),
                format!("deb {key} http://a.example/debian trixie-updates main")
            ]
        );
    }

    #[test]
    fn another_release_is_another_tar() {
        assert_ne!(key("bookworm"), key("trixie"));
    }
}

//! Images that other generators of initramfs make with our hooks: each by Debian's own package, in a copy of
//! the Debian root, so that the host needs neither.

use crate::paths::Scratch;
use crate::{paths, programs, rootfs, run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A generator of initramfs that Debian has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// Debian's own.
    InitramfsTools,
    /// The one of many other distributions.
    Dracut,
}

impl Generator {
    /// The package with the generator itself, which leaves the kernel's hooks alone.
    const fn package(self) -> &'static str {
        match self {
            Self::InitramfsTools => "initramfs-tools-core",
            Self::Dracut => "dracut-core",
        }
    }

    /// Our hook files below `initramfs-hook`: mode, and place in the root.
    const fn files(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::InitramfsTools => &[
                (
                    "initramfs-tools/hooks/rootctl",
                    "0755",
                    "usr/share/initramfs-tools/hooks/rootctl",
                ),
                (
                    "initramfs-tools/scripts/rootctl",
                    "0644",
                    "usr/share/initramfs-tools/scripts/rootctl",
                ),
            ],
            Self::Dracut => &[
                (
                    "dracut/90rootctl/module-setup.sh",
                    "0755",
                    "usr/lib/dracut/modules.d/90rootctl/module-setup.sh",
                ),
                (
                    "dracut/90rootctl/rootctl-cmdline.sh",
                    "0755",
                    "usr/lib/dracut/modules.d/90rootctl/rootctl-cmdline.sh",
                ),
                (
                    "dracut/90rootctl/rootctl-mount.sh",
                    "0755",
                    "usr/lib/dracut/modules.d/90rootctl/rootctl-mount.sh",
                ),
                (
                    "dracut/rootctl.conf",
                    "0644",
                    "etc/dracut.conf.d/rootctl.conf",
                ),
            ],
        }
    }

    /// The command that makes [`IMAGE`] for a kernel.
    fn make(self, release: &str) -> Vec<&str> {
        match self {
            Self::InitramfsTools => vec!["mkinitramfs", "-o", IMAGE, release],
            // For any machine: what this host has says nothing about the one that boots.
            Self::Dracut => vec![
                "dracut",
                "--force",
                "--no-hostonly",
                "--kver",
                release,
                IMAGE,
            ],
        }
    }

    /// The command that lists an image; each line ends with a name.
    const fn list(self) -> &'static str {
        match self {
            Self::InitramfsTools => "lsinitramfs",
            Self::Dracut => "lsinitrd",
        }
    }
}

/// Where the image is made, inside the root.
const IMAGE: &str = "/boot/image";

/// The folder inside the root for packages that are to be installed.
const PACKAGES: &str = "var/cache/apt/archives";

/// A copy of the Debian root, for one generator.
#[derive(Debug)]
pub struct Workshop {
    generator: Generator,
    folder: Scratch,
}

impl Workshop {
    /// Unpacks the Debian root.
    ///
    /// # Errors
    /// When there is none, or the disk is full.
    pub fn new(generator: Generator) -> Result<Self> {
        let folder = Scratch::new("workshop")?;
        let shop = Self { generator, folder };
        let root = shop.root();
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let mut extract = run::command("tar", ["--numeric-owner", "-xpf"]);
        run::quiet(extract.arg(rootfs::tar()?).arg("-C").arg(&root))?;
        Ok(shop)
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Downloads the generator's package, and what else the root lacks for it, from this host's package
    /// sources.
    ///
    /// # Errors
    /// When the sources cannot be reached or do not have it.
    pub fn fetch(&self) -> Result<()> {
        let partial = self.root().join(PACKAGES).join("partial");
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        if self.download(&[]).is_ok() {
            return Ok(());
        }
        // The host's lists are absent, or older than the mirror: fetch lists of our own, and leave the host's.
        let lists = self.folder.join("lists");
        let own = [format!("Dir::State::lists={}", lists.display())];
        fs::create_dir_all(lists.join("partial"))
            .with_context(|| format!("cannot make {}", lists.display()))?;
        // A broken source of somebody else makes this fail although Debian's lists arrived: the download judges.
        run::succeeds(self.apt(&own).arg("update"));
        self.download(&own).with_context(|| {
            let package = self.generator.package();
            format!("cannot fetch {package} from this host's package sources")
        })
    }

    fn download(&self, options: &[String]) -> Result<()> {
        let mut apt = self.apt(options);
        apt.args([
            "install",
            "--download-only",
            "--yes",
            "--no-install-recommends",
        ]);
        run::quiet(apt.arg(self.generator.package()))
    }

    /// The host's apt, with the root's list of what is installed.
    fn apt(&self, options: &[String]) -> Command {
        let root = self.root();
        let status = root.join("var/lib/dpkg/status");
        let packages = root.join(PACKAGES);
        let mut apt = run::command("apt-get", ["--quiet"]);
        apt.arg("-o")
            .arg(format!("Dir::State::status={}", status.display()))
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", packages.display()))
            // Nothing on the host is changed, so a package manager at work there need not be waited for; and
            // apt's own user may not write into our folder.
            .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]);
        for option in options {
            apt.arg("-o").arg(option);
        }
        apt
    }

    /// Installs what was fetched, the boot stage and our hook files, and makes an image.
    ///
    /// # Errors
    /// When a package cannot be installed or the generator fails: its words.
    pub fn make(self) -> Result<Made> {
        let install = format!("dpkg --install /{PACKAGES}/*.deb");
        run::quiet(&mut self.inside(&["sh", "-c", &install]))?;
        let root = self.root();
        let hooks = paths::workspace().join("initramfs-hook");
        put(
            &programs::boot_stage()?,
            "0755",
            &root.join("usr/lib/rootctl/rinit-boot"),
        )?;
        for (file, mode, place) in self.generator.files() {
            put(&hooks.join(file), mode, &root.join(place))?;
        }
        let release = release(&root)?;
        run::quiet(&mut self.inside(&self.generator.make(&release)))?;
        let listing = run::output(&mut self.inside(&[self.generator.list(), IMAGE]))?;
        let built_in = root
            .join("lib/modules")
            .join(&release)
            .join("modules.builtin");
        let built_in = fs::read_to_string(&built_in)
            .with_context(|| format!("cannot read {}", built_in.display()))?;
        Ok(Made {
            image: root.join(IMAGE.trim_start_matches('/')),
            kernel: root.join(format!("boot/vmlinuz-{release}")),
            listing,
            built_in,
            _folder: self.folder,
        })
    }

    /// A command inside the root; what it needs mounted is gone when it ends.
    fn inside(&self, words: &[&str]) -> Command {
        const SCRIPT: &str =
            "mount -t proc proc \"$1/proc\"; mount --bind /dev \"$1/dev\"; exec chroot \"$@\"";
        let mut inside = run::command("unshare", ["--mount", "--propagation", "private"]);
        inside.args(["sh", "-ec", SCRIPT, "sh"]).arg(self.root());
        inside
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            // A folder of the host.
            .env_remove("TMPDIR");
        inside
    }
}

/// An image that a generator made.
#[derive(Debug)]
pub struct Made {
    /// The image.
    pub image: PathBuf,
    /// The kernel it is for.
    pub kernel: PathBuf,
    listing: String,
    built_in: String,
    // Image and kernel lie in it.
    _folder: Scratch,
}

impl Made {
    /// Whether a file of the image has a name with this end.
    pub fn has(&self, name: &str) -> bool {
        self.listing.lines().any(|line| line.ends_with(name))
    }

    /// Whether the image has this kernel module, or the kernel has no need of it.
    pub fn has_module(&self, module: &str) -> bool {
        // A module may be compressed, and its name then goes on.
        let file = format!("/{module}.ko");
        [&self.listing, &self.built_in]
            .iter()
            .any(|text| text.contains(&file))
    }
}

fn release(root: &Path) -> Result<String> {
    let folder = root.join("lib/modules");
    let mut entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let first = entries
        .next()
        .with_context(|| format!("{} is empty", folder.display()))?
        .with_context(|| format!("cannot read {}", folder.display()))?;
    Ok(first.file_name().to_string_lossy().into_owned())
}

fn put(from: &Path, mode: &str, to: &Path) -> Result<()> {
    run::quiet(
        run::command("install", ["-D", "-m", mode])
            .arg(from)
            .arg(to),
    )
}

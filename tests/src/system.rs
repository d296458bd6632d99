//! A whole installed system on a disk image: Debian's root with our programs, imported by `rootctl store
//! init` as the first snapshot, with a boot loader. What the demo shows and the machine tests boot.

use crate::disk::{Disk, Sizes, btrfs};
use crate::paths::Scratch;
use crate::programs::{self, Programs};
use crate::qemu::{Firmware, KERNEL_WORDS, Machine, Start};
use crate::{grub, initramfs, limine, limine_reader, rootfs, run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which loader starts the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// GRUB of this host's packages.
    Grub,
    /// Limine out of `LIMINE_DIR`.
    Limine,
}

impl Loader {
    /// Its name as `rootctl store init --loader` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::Limine => "limine",
        }
    }

    /// What it says on the serial console when it starts an entry. On BIOS Limine says nothing there.
    pub const fn greeting(self, firmware: Firmware) -> Option<&'static str> {
        match (self, firmware) {
            (Self::Grub, _) => Some("Booting `"),
            (Self::Limine, Firmware::Uefi) => Some("linux: Loading kernel"),
            (Self::Limine, Firmware::Bios) => None,
        }
    }

    /// Where its menu lies on the ESP.
    pub const fn menu(self) -> &'static str {
        match self {
            Self::Grub => "/rootctl/grub.cfg",
            Self::Limine => limine::CONFIG,
        }
    }
}

/// Where a small Debian package lies in the root, for work on packages that needs no network.
pub const PACKAGE: &str = "/usr/share/rootctl-demo/rootctl-story_1_all.deb";
/// A file that only this package brings.
pub const PACKAGE_FILE: &str = "/usr/share/rootctl-story/word";
/// A program that can take the place of process 1: it says so in the kernel's log at once, names the modules in
/// the order of loading, and switches off. For measuring what comes before it.
pub const MARK: &str = "/usr/lib/rootctl-demo/mark";
/// What it says first.
pub const MARK_WORDS: &str = "the root is complete";
/// The shipped unit that runs a container.
pub const CONTAINER: &str = "hello-container";
/// Where that unit expects its bundle.
const BUNDLE: &str = "var/lib/containers/hello";

/// An installed disk.
#[derive(Debug)]
pub struct System {
    disk: Disk,
    variables: PathBuf,
    loader: Loader,
    folder: Scratch,
}

impl System {
    /// Builds our programs, a root with them, and a disk with that root as its first snapshot (`base`,
    /// under a tmpfs overlay).
    ///
    /// # Errors
    /// When any part cannot be made; the command that failed and its words.
    pub fn install(loader: Loader) -> Result<Self> {
        let programs = programs::build()?;
        let folder = Scratch::new("system")?;
        let root = folder.join("root");
        make_root(&root, &programs)?;

        let disk = Disk::create(&folder.join("disk"), Sizes::default())?;
        btrfs::format(&disk, "rootctl")?;
        let esp = folder.join("esp");
        fs::create_dir_all(&esp).with_context(|| format!("cannot make {}", esp.display()))?;
        install_loader(loader, &disk)?;
        {
            let top = btrfs::mount(&disk, &folder.join("top"))?;
            store_init(&programs, top.path(), &esp, &root, loader)?;
        }
        // rootctl filled a plain folder, because a host kernel may have no vfat.
        disk.esp()?.put_tree(&esp, "/")?;
        fs::remove_dir_all(&root).with_context(|| format!("cannot delete {}", root.display()))?;
        let variables = folder.join("variables");
        Ok(Self {
            disk,
            variables,
            loader,
            folder,
        })
    }

    /// A second disk with the same content.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(&self) -> Result<Self> {
        let folder = Scratch::new("system")?;
        let disk = self.disk.copy_to(&folder.join("disk"))?;
        let variables = folder.join("variables");
        Ok(Self {
            disk,
            variables,
            loader: self.loader,
            folder,
        })
    }

    /// The disk.
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The loader it was installed with.
    pub const fn loader(&self) -> Loader {
        self.loader
    }

    /// Boots what the first entry of `limine.conf` names, with QEMU in the place of Limine: the same kernel,
    /// initramfs and command line, but no loader. Never a test of Limine itself.
    ///
    /// # Errors
    /// When the config has faults, or QEMU does not start.
    pub fn start_first_limine_entry(&self) -> Result<Machine> {
        let esp = self.disk.esp()?;
        let (config, faults) = limine_reader::check(&esp, limine::CONFIG)?;
        anyhow::ensure!(
            faults.is_empty(),
            "limine.conf has faults: {}",
            faults.join("; ")
        );
        let entry = config.entries.first().context("limine.conf has no entry")?;
        let mut start = Vec::new();
        for value in entry.all("kernel_path").chain(entry.all("module_path")) {
            let file = limine_reader::path(value)?;
            let copy = self
                .folder
                .join(file.name.rsplit('/').next().unwrap_or_default());
            fs::write(&copy, esp.read(&file.name)?)
                .with_context(|| format!("cannot write {}", copy.display()))?;
            start.push(copy);
        }
        let [kernel, initramfs] = start.as_slice() else {
            anyhow::bail!(
                "the first entry names {} files, not a kernel and an initramfs",
                start.len()
            );
        };
        Machine::start(&Start::Kernel {
            kernel: kernel.clone(),
            initramfs: initramfs.clone(),
            cmdline: entry.cmdline().unwrap_or_default().to_owned(),
            image: Some(self.disk.path().to_path_buf()),
        })
    }

    /// A copy of the only kernel (`.vmz`) or initramfs (`.ird`) that rootctl put on the ESP.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn boot_file(&self, ending: &str) -> Result<PathBuf> {
        let esp = self.disk.esp()?;
        let names = esp.list()?;
        let right = |name: &&String| name.to_lowercase().ends_with(ending);
        let right: Vec<&String> = names.iter().filter(right).collect();
        let [name] = right.as_slice() else {
            anyhow::bail!("the ESP must have one file {ending}: {names:?}");
        };
        let copy = self.folder.join(&format!("boot{ending}"));
        fs::write(&copy, esp.read(name)?)
            .with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(copy)
    }

    /// Boots the kernel and the initramfs of the only snapshot with this command line and no loader.
    ///
    /// # Errors
    /// When there is more than one snapshot, or QEMU does not start.
    pub fn start_with_line(&self, words: &str) -> Result<Machine> {
        Machine::start(&Start::Kernel {
            kernel: self.boot_file(".vmz")?,
            initramfs: self.boot_file(".ird")?,
            cmdline: format!("{KERNEL_WORDS} panic=-1 {words}"),
            image: Some(self.disk.path().to_path_buf()),
        })
    }

    /// Leaves the image where it is; says where.
    ///
    /// # Errors
    /// When that cannot be noted beside it.
    pub fn keep(&mut self) -> Result<&Path> {
        self.folder.keep()?;
        Ok(self.disk.path())
    }

    /// Switches a machine with this disk on.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn start(&self, firmware: Firmware) -> Result<Machine> {
        Machine::start(&self.power_on(firmware, None))
    }

    /// The same, up to the first word of the kernel.
    ///
    /// # Errors
    /// When QEMU does not start, or no kernel does within `deadline`.
    pub fn boot(&self, firmware: Firmware, deadline: Duration) -> Result<Machine> {
        let mut machine = self.start(firmware)?;
        machine.expect("Linux version", deadline)?;
        Ok(machine)
    }

    /// The same as [`Self::start`], and everything that is written to the disk is noted in the new file `log`.
    ///
    /// # Errors
    /// When the file cannot be made, or QEMU does not start.
    pub fn start_recorded(&self, firmware: Firmware, log: &Path) -> Result<Machine> {
        fs::File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        Machine::start(&self.power_on(firmware, Some(log)))
    }

    fn power_on(&self, firmware: Firmware, log: Option<&Path>) -> Start {
        Start::Disk {
            firmware,
            image: self.disk.path().to_path_buf(),
            variables: self.variables.clone(),
            log: log.map(Path::to_path_buf),
        }
    }
}

fn install_loader(loader: Loader, disk: &Disk) -> Result<()> {
    match loader {
        Loader::Grub => grub::install(disk),
        // Its menu can be judged, and booted by a stand-in, without its binaries.
        Loader::Limine => match limine::folder() {
            Ok(folder) => limine::install(disk, &folder),
            Err(_) => Ok(()),
        },
    }
}

fn store_init(
    programs: &Programs,
    top: &Path,
    esp: &Path,
    root: &Path,
    loader: Loader,
) -> Result<()> {
    let mut init = run::command(&programs.rootctl.to_string_lossy(), ["--root"]);
    init.arg(top)
        .arg("--esp")
        .arg(esp)
        .args(["store", "init", "--name", "base", "--mode", "tmpfs"]);
    init.args([
        "--loader",
        loader.name(),
        "--cmdline",
        KERNEL_WORDS,
        "--import",
    ])
    .arg(root);
    run::quiet(init.env("ROOTCTLD", &programs.rootctld)).context("cannot make the store")
}

/// Debian's root with our programs, a container and a package to install.
fn make_root(root: &Path, programs: &Programs) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    let mut extract = run::command(
        "tar",
        ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"],
    );
    run::quiet(extract.arg(rootfs::tar()?).arg("-C").arg(root))?;
    programs.install(root)?;
    add_container(root)?;
    add_mark(root)?;
    add_package(root)
}

fn add_mark(root: &Path) -> Result<()> {
    // Small and static, so that its own start adds nothing to what is measured; it goes on as the script.
    let file = root.join(MARK.trim_start_matches('/'));
    let script = "echo modules: $(busybox tac /proc/modules | busybox cut -d ' ' -f 1) > /dev/console\n\
                  exec busybox poweroff -f\n";
    write(&file.with_extension("sh"), script)?;
    run::quiet(
        run::command("install", ["-m", "0755"])
            .arg(programs::bench()?)
            .arg(file),
    )
}

/// The OCI runtime specification's `config.json`. A process 1 ignores signals it does not handle: so the
/// shell has a trap.
const CONTAINER_CONFIG: &str = r#"{
  "ociVersion": "1.0.2",
  "process": {
    "user": { "uid": 0, "gid": 0 },
    "args": ["/bin/sh", "-c", "trap 'exit 0' TERM; echo container up; while :; do sleep 3600 & wait $!; done"],
    "env": ["PATH=/bin"],
    "cwd": "/",
    "noNewPrivileges": true
  },
  "root": { "path": "rootfs", "readonly": true },
  "hostname": "hello",
  "mounts": [
    { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }
  ],
  "linux": {
    "namespaces": [
      { "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }, { "type": "cgroup" }
    ]
  }
}
"#;

fn add_container(root: &Path) -> Result<()> {
    let bundle = root.join(BUNDLE);
    let bin = bundle.join("rootfs/bin");
    for folder in [
        &bin,
        &bundle.join("rootfs/proc"),
        &bundle.join("rootfs/dev"),
    ] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    run::quiet(
        run::command("install", ["-m", "0755", initramfs::BUSYBOX]).arg(bin.join("busybox")),
    )?;
    for name in ["sh", "sleep", "echo"] {
        std::os::unix::fs::symlink("busybox", bin.join(name))
            .context("cannot link a program of busybox")?;
    }
    write(&bundle.join("config.json"), CONTAINER_CONFIG)?;
    write(&root.join("etc/rinit/groups/default.d").join(CONTAINER), "")
}

fn add_package(root: &Path) -> Result<()> {
    let scratch = Scratch::new("package")?;
    let control = "Package: rootctl-story\nVersion: 1\nArchitecture: all\nMaintainer: demo <root@localhost>\n\
                   Description: a word that a new snapshot has and the old one lacks\n";
    write(&scratch.join("tree/DEBIAN/control"), control)?;
    write(&scratch.join(&format!("tree{PACKAGE_FILE}")), "second\n")?;
    let target = root.join(PACKAGE.trim_start_matches('/'));
    fs::create_dir_all(target.parent().unwrap_or(root))
        .with_context(|| format!("cannot make {}", target.display()))?;
    let mut build = run::command("dpkg-deb", ["--build", "--root-owner-group"]);
    run::quiet(build.arg(scratch.join("tree")).arg(target))
}

fn write(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

//! A store of its own for each test.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Release of the kernel in the small root.
pub(crate) const RELEASE: &str = "6.1.0-test";

/// Why these tests cannot run here.
pub(crate) fn obstacle() -> Option<String> {
    let own = std::fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return Some("needs root for loop devices and mounts".into());
    }
    for program in [
        "mkfs.btrfs",
        "mount",
        "umount",
        "depmod",
        "busybox",
        "python3",
    ] {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output();
        if !found.is_ok_and(|out| out.status.success()) {
            return Some(format!("there is no {program} here"));
        }
    }
    // Where it is a module that nobody has used yet, the list below lacks it; what modprobe makes of that shows there.
    drop(Command::new("modprobe").args(["-q", "btrfs"]).status());
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    (!known.contains("btrfs")).then(|| "this kernel has no btrfs".into())
}

/// A btrfs in an image, mounted, with an ESP beside it (a folder: exchanging files works there as on vfat).
pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    mounts: Vec<PathBuf>,
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// The command must have ended with this code; for the message, all it said is shown.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.out, self.err
        );
        self
    }

    /// It must have said all of these, wherever.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.out.contains(word) || self.err.contains(word);
            assert!(
                said,
                "nobody said {word:?}\nstdout: {}\nstderr: {}",
                self.out, self.err
            );
        }
        self
    }
}

impl Bench {
    /// An empty btrfs of this size.
    pub(crate) fn empty(name: &str, megabytes: u64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("store-{name}-{}-{number}", std::process::id()));
        for folder in ["top", "esp"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let mut bench = Self {
            dir,
            mounts: Vec::new(),
        };
        let image = bench.dir.join("image");
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(megabytes << 20).unwrap();
        drop(file);
        shell(&format!("mkfs.btrfs -q {}", image.display()));
        shell(&format!(
            "mount -o loop {} {}",
            image.display(),
            bench.top().display()
        ));
        bench.mounts.push(bench.top());
        make_root(&bench.root());
        bench
    }

    /// A store with the small root as snapshot 1, good.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &["--loader", "grub"])
    }

    /// The same, `init` getting more words.
    pub(crate) fn with(name: &str, more: &[&str]) -> Self {
        let bench = Self::empty(name, 300);
        bench.init(more).code(0);
        bench
    }

    pub(crate) fn init(&self, more: &[&str]) -> Answer {
        let root = self.root().display().to_string();
        let mut words = vec!["store", "init", "--import", &root];
        words.extend(more);
        self.rootctl(&words)
    }

    pub(crate) fn top(&self) -> PathBuf {
        self.dir.join("top")
    }

    pub(crate) fn esp(&self) -> PathBuf {
        self.dir.join("esp")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The power goes: what the kernel had not written to the disk is lost. What it had is mounted again.
    pub(crate) fn cut_power(&self) {
        let (image, top) = (self.dir.join("image"), self.top());
        let (image, top) = (image.display(), top.display());
        shell(&format!(
            "cp --sparse=always {image} {image}.cut && umount {top} && mv {image}.cut {image} && mount -o loop {image} {top}"
        ));
    }

    /// A file of the store.
    pub(crate) fn store(&self, path: &str) -> PathBuf {
        self.top().join("rootctl").join(path)
    }

    /// Makes a small tmpfs the ESP.
    pub(crate) fn small_esp(&mut self, size: &str) {
        let esp = self.esp();
        shell(&format!(
            "mount -t tmpfs -o size={size} tmpfs {}",
            esp.display()
        ));
        self.mounts.push(esp);
    }

    /// Types a command with --root and --esp.
    pub(crate) fn rootctl(&self, words: &[&str]) -> Answer {
        self.rootctl_with(words, &[])
    }

    /// The same with environment variables.
    pub(crate) fn rootctl_with(&self, words: &[&str], environment: &[(&str, &str)]) -> Answer {
        let mut command = self.command();
        command
            .arg("--root")
            .arg(self.top())
            .arg("--esp")
            .arg(self.esp());
        command.args(words).envs(environment.iter().copied());
        answer(&command.output().unwrap())
    }

    /// The program with what keeps it to our own files.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rootctl"));
        command
            .env("ROOTCTLD", env!("CARGO_BIN_EXE_rootctld"))
            .env("ROOTCTL_BOOT_REPORT", self.report())
            .env("NO_COLOR", "1");
        command
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.dir.join("boot.toml")
    }

    pub(crate) fn uuid(&self) -> String {
        let out = Command::new("btrfs")
            .args(["filesystem", "show", "--raw"])
            .arg(self.top())
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.split("uuid: ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    }

    /// As if snapshot `id` had been booted.
    pub(crate) fn booted(&self, id: u32) {
        let text = format!(
            "schema = 1\nsnapshot = {id}\nmode = \"ro\"\nreason = \"it was asked for\"\ndegraded = false\n\
             root_uuid = \"{}\"\nboot_id = \"b\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n",
            self.uuid()
        );
        std::fs::write(self.report(), text).unwrap();
    }

    /// A field of `status --json`, as JSON text.
    pub(crate) fn status(&self, field: &str) -> String {
        let answer = self.rootctl(&["--json", "status"]).code(0);
        let value: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
        value
            .get(field)
            .map_or_else(String::new, ToString::to_string)
    }

    pub(crate) fn warnings(&self) -> String {
        self.status("warnings")
    }

    /// The live menu of GRUB.
    pub(crate) fn grub(&self) -> String {
        std::fs::read_to_string(self.esp().join("rootctl/grub.cfg")).unwrap()
    }

    /// GRUB's environment block.
    pub(crate) fn grubenv(&self) -> String {
        let text = std::fs::read_to_string(self.esp().join("rootctl/grubenv")).unwrap();
        assert_eq!(text.len(), 1024);
        text
    }

    /// Ids in the menu, in its order.
    pub(crate) fn menu(&self) -> Vec<u32> {
        let text = self.grub();
        let ids = text.lines().filter_map(|line| {
            line.strip_prefix("menuentry 'rootctl ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        });
        ids.collect()
    }

    /// Does every entry of the menu have its files, whole, and its snapshot?
    #[track_caller]
    pub(crate) fn must_boot(&self) {
        let text = self.grub();
        let mut entries = 0;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["linux", file, rest @ ..] => {
                    entries += 1;
                    let id = rest
                        .iter()
                        .find_map(|w| w.strip_prefix("rootctl.snap="))
                        .unwrap();
                    let published = self.store(&format!("snaps/{id}/vmlinuz"));
                    let copy = self.esp().join(file.trim_start_matches('/'));
                    assert_eq!(
                        std::fs::read(copy).unwrap(),
                        std::fs::read(published).unwrap()
                    );
                    assert!(
                        self.store(&format!("snaps/{id}/root/usr/bin/rinit"))
                            .exists()
                    );
                }
                ["initrd", file] => {
                    assert!(
                        self.esp()
                            .join(file.trim_start_matches('/'))
                            .metadata()
                            .unwrap()
                            .len()
                            > 0
                    );
                }
                _ => {}
            }
        }
        assert!(entries > 0, "{text}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            drop(Command::new("umount").arg(mount).status());
        }
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

pub(crate) fn answer(output: &Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
pub(crate) fn shell(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn write(path: &Path, mode: u32, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path)
        .unwrap()
        .write_all(content)
        .unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The smallest root that can be a snapshot: busybox, a file that passes for a kernel, and an index of no modules.
pub(crate) fn make_root(root: &Path) {
    let kernel: Vec<u8> = (0..300_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    write(
        &root.join(format!("boot/vmlinuz-{RELEASE}")),
        0o644,
        &kernel,
    );
    write(&root.join("usr/bin/rinit"), 0o755, b"rinit");
    write(&root.join("usr/bin/rinit-plan"), 0o755, b"rinit-plan");
    write(
        &root.join("usr/lib/rinit/rinit-helper"),
        0o755,
        b"rinit-helper",
    );
    write(
        &root.join("usr/lib/rootctl/rinit-boot"),
        0o755,
        b"rinit-boot",
    );
    write(&root.join("usr/lib/os-release"), 0o644, b"NAME=Small\n");
    write(
        &root.join("etc/passwd"),
        0o644,
        b"root:x:0:0::/root:/bin/sh\n",
    );
    write(&root.join("var/lib/dpkg/status"), 0o644, b"packages");
    write(&root.join("var/log/old.log"), 0o600, b"log");
    std::fs::create_dir_all(root.join(format!("usr/lib/modules/{RELEASE}/kernel"))).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .into_iter()
        .find(|p| Path::new(p).exists());
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy(busybox.unwrap(), root.join("bin/busybox")).unwrap();
    for name in [
        "sh", "echo", "touch", "mkdir", "rm", "mv", "sleep", "kill", "cat", "id", "ps", "mount",
        "hostname", "dd",
    ] {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    shell(&format!(
        "depmod -b {} {RELEASE} 2>/dev/null; true",
        root.display()
    ));
}

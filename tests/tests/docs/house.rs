//! Where the shown commands are run: a store on a btrfs of its own, and a machine whose process 1 is the real rinit.
//!
//! The store is as a person finds it some day: snapshot 1 `base`, snapshot 2 `web` made from it, tried and confirmed. A
//! reboot is played: what would boot next is then the booted one.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::disk::btrfs::{Loop, Mounted};
use tests::ns::{End, Namespace, Recipe};
use tests::paths::Scratch;
use tests::{initramfs, paths, programs, run, varlink};

const SOON: Duration = Duration::from_secs(30);
/// btrfs needs about 110 MiB for itself.
const BYTES: u64 = 300 << 20;
/// Release of the stand-in for a kernel.
const RELEASE: &str = "6.1.0-docs";

/// A btrfs top level, an ESP beside it (a folder: exchanging files works there as on vfat), and a root to import.
pub(crate) struct Store {
    // Before the folder: it must be unmounted first.
    mounted: Mounted,
    folder: Scratch,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Both, for messages.
    pub(crate) all: String,
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Result<Self> {
        let shown = run::shown(command);
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
        Ok(Self {
            code: output.status.code().unwrap_or(-1),
            out,
            all,
        })
    }
}

impl Store {
    /// An empty btrfs, and a small root to import.
    pub(crate) fn empty() -> Result<Self> {
        let folder = Scratch::new("docs")?;
        let image = folder.join("image");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(BYTES))
            .with_context(|| format!("cannot make {}", image.display()))?;
        run::quiet(run::command("mkfs.btrfs", ["--quiet"]).arg(&image))?;
        let mounted = Mounted::new(
            Loop::attach(&image, 0, BYTES)?,
            "btrfs",
            "noatime",
            &folder.join("top"),
        )?;
        std::fs::create_dir_all(folder.join("esp")).context("cannot make the folder of the ESP")?;
        make_root(&folder.join("root"))?;
        Ok(Self { mounted, folder })
    }

    /// The store of the first paragraph.
    pub(crate) fn new() -> Result<Self> {
        let store = Self::empty()?;
        let import = format!(
            "store init --import {} --loader grub --cmdline quiet",
            store.root().display()
        );
        store.must(&import)?;
        store.boot(1)?;
        store.must("run base --name web -- sh -c 'echo web > /etc/hostname'")?;
        store.must("deploy web")?;
        store.boot(2)?;
        store.must("boot-ok")?;
        Ok(store)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    pub(crate) fn top(&self) -> &Path {
        self.mounted.path()
    }

    pub(crate) fn esp(&self) -> PathBuf {
        self.folder.join("esp")
    }

    fn must(&self, words: &str) -> Result<()> {
        let answer = self.type_line(&format!("rootctl {words}"), None)?;
        ensure!(
            answer.code == 0,
            "`rootctl {words}` ended with {}:\n{}",
            answer.code,
            answer.all
        );
        Ok(())
    }

    /// Types a line into a shell whose `rootctl` works on this store; with a machine, reboots are asked of its rinit.
    pub(crate) fn type_line(&self, line: &str, machine: Option<&Machine>) -> Result<Answer> {
        let programs = programs::build()?;
        let bin = self.folder.join("bin");
        std::fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
        // A line that names the folders itself has been given ours already.
        let options = if line.contains(" --root ") {
            String::new()
        } else {
            format!(
                "--root {} --esp {}",
                self.top().display(),
                self.esp().display()
            )
        };
        let wrapper = format!(
            "#!/bin/sh\nexec {} {options} \"$@\"\n",
            programs.rootctl.display()
        );
        let file = bin.join("rootctl");
        std::fs::write(&file, wrapper)
            .with_context(|| format!("cannot write {}", file.display()))?;
        run::quiet(run::command("chmod", ["755"]).arg(&file))?;
        let mut command = match machine {
            None => run::command("sh", ["-c", line]),
            Some(machine) => machine.outside(line)?,
        };
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        command
            .env("PATH", path)
            .env("ROOTCTLD", &programs.rootctld)
            .env("ROOTCTL_BOOT_REPORT", self.report())
            .env("NO_COLOR", "1");
        Answer::of(&mut command)
    }

    fn report(&self) -> PathBuf {
        self.folder.join("boot.toml")
    }

    /// As the boot stage leaves it after booting this snapshot.
    fn boot(&self, id: u64) -> Result<()> {
        let uuid = run::output(
            run::command("findmnt", ["--noheadings", "--output", "UUID"]).arg(self.top()),
        )?;
        let text = format!(
            "schema = 1\nsnapshot = {id}\nmode = \"ro\"\nreason = \"snapshot {id} was asked for\"\ndegraded = false\n\
             root_uuid = \"{}\"\nboot_id = \"b\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n",
            uuid.trim()
        );
        std::fs::write(self.report(), text).context("cannot write the boot report")?;
        // Its first boot gives it an /etc of its own.
        let store = self.top().join("rootctl");
        let (own, shipped) = (
            store.join(format!("etc/{id}")),
            store.join(format!("snaps/{id}/root/etc")),
        );
        if !own.exists() {
            run::quiet(run::command("btrfs", ["subvolume", "create"]).arg(&own))?;
            run::quiet(run::command("cp", ["-a"]).arg(shipped.join(".")).arg(&own))?;
        }
        Ok(())
    }

    /// The next boot, into what the store says comes next.
    pub(crate) fn reboot(&self) -> Result<()> {
        let answer = self.type_line("rootctl status --json", None)?;
        let status: Value =
            serde_json::from_str(&answer.out).with_context(|| answer.all.clone())?;
        let next = status["next"]
            .as_u64()
            .with_context(|| format!("nothing boots next: {status}"))?;
        self.boot(next)
    }

    /// One call of the store's interface, as over its socket.
    pub(crate) fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let mut broker = Command::new(programs::build()?.rootctld);
        broker
            .args(["--serve-fd", "0", "--root"])
            .arg(self.top())
            .arg("--esp")
            .arg(self.esp());
        broker
            .env("ROOTCTL_BOOT_REPORT", self.report())
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let mut child = broker.spawn().context("cannot start the broker")?;
        drop(broker);
        let answer = asked(ours, method, parameters);
        child.wait().context("cannot wait for the broker")?;
        answer
    }
}

/// One call on a fresh connection, which is closed afterwards.
fn asked(mut stream: UnixStream, method: &str, parameters: &Value) -> Result<Value> {
    stream
        .set_read_timeout(Some(SOON))
        .context("cannot set a timeout")?;
    varlink::call(&mut stream, method, parameters)
}

/// The smallest root that can be a snapshot: busybox, a file that passes for a kernel, an index of no modules.
fn make_root(root: &Path) -> Result<()> {
    const SCRIPT: &str = "set -e; mkdir -p \"$1\"; cd \"$1\"
        mkdir -p boot bin etc usr/bin usr/share usr/lib/rinit usr/lib/rootctl usr/lib/modules/$2/kernel var/lib/dpkg
        head -c 300000 /dev/urandom > boot/vmlinuz-$2
        cp \"$3\" bin/busybox; ln -s busybox bin/sh; ln -s busybox bin/mkdir
        ln -s ../../bin/busybox usr/bin/rinit; ln -s ../../bin/busybox usr/bin/rinit-plan
        ln -s ../../../bin/busybox usr/lib/rinit/rinit-helper; ln -s ../../../bin/busybox usr/lib/rootctl/rinit-boot
        echo NAME=Small > usr/lib/os-release; echo packages > var/lib/dpkg/status
        echo root:x:0:0::/root:/bin/sh > etc/passwd; ln -s usr/lib lib
        depmod -b . $2 2> /dev/null || true";
    let mut make = run::command("sh", ["-c", SCRIPT, "sh"]);
    make.arg(root).arg(RELEASE).arg(initramfs::BUSYBOX);
    run::quiet(&mut make)
}

/// rinit as process 1 of a namespace, with the shipped units and a service `sshd` that needs no network.
pub(crate) struct Machine {
    ns: Namespace,
}

impl Machine {
    pub(crate) fn start() -> Result<Self> {
        let programs = programs::build()?;
        let mut recipe = Recipe::new(&["/usr/bin/rinit"])
            .rinit()?
            .copy(&programs.rootctl, "/usr/bin/rootctl")
            .text("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
            .text("/etc/group", "root:x:0:\nadm:x:4:\n")
            .text(
                "/etc/rinit/services/sshd.toml",
                "schema = 1\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo listening; exec sleep 100000\"]\n",
            )
            .text("/etc/rinit/groups/default.d/sshd", "");
        // What a boot before has left: in a namespace nobody says anything there.
        for (log, words) in [
            ("kernel", "Linux version 6.1.0"),
            ("syslog", "sshd[812]: Server listening on 0.0.0.0 port 22."),
        ] {
            recipe = recipe.text(
                &format!("/var/log/rinit/{log}.log"),
                &format!("2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 {log}[-]: {words}\n"),
            );
        }
        let shipped = paths::workspace().join("services");
        let entries = std::fs::read_dir(&shipped)
            .with_context(|| format!("cannot read {}", shipped.display()))?;
        for name in entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
        {
            if Path::new(&name)
                .extension()
                .is_some_and(|end| end == "toml")
            {
                recipe = recipe.copy(
                    &shipped.join(&name),
                    &format!("/usr/lib/rinit/services/{name}"),
                );
            }
        }
        let machine = Self {
            ns: Namespace::start(&recipe)?,
        };
        machine.until_it_runs()?;
        Ok(machine)
    }

    fn until_it_runs(&self) -> Result<()> {
        let end = Instant::now() + SOON;
        loop {
            let log = std::fs::read_to_string(self.inside_path("/var/log/rinit/sshd.log")?);
            let runs = self
                .call("org.rootctl.Init.Overview", &json!({}))
                .is_ok_and(|all| all["phase"] == "running");
            if runs && log.is_ok_and(|log| log.contains("listening")) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("rinit does not run\n{}", self.ns.console.last_lines());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A path of the machine, seen from here.
    pub(crate) fn inside_path(&self, path: &str) -> Result<String> {
        Ok(format!("/proc/{}/root{path}", self.ns.pid()?))
    }

    /// Types a line into a shell inside.
    pub(crate) fn type_line(&self, line: &str) -> Result<Answer> {
        Answer::of(
            self.ns
                .inside(&["/bin/sh", "-c", line])?
                .env("PATH", "/usr/bin:/bin"),
        )
    }

    /// A line in a shell that is none of the machine's processes, and finds its control socket where rootctl looks: going
    /// down, rinit ends everything inside, the one who asked for it too.
    fn outside(&self, line: &str) -> Result<Command> {
        const SCRIPT: &str =
            "mount -t tmpfs none /run && ln -s \"$1\" /run/rinit && exec sh -c \"$2\"";
        let there = self.inside_path("/run/rinit")?;
        let words = [
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            SCRIPT,
            "sh",
            &there,
            line,
        ];
        Ok(run::command("unshare", words))
    }

    /// Types a line about power.
    pub(crate) fn power(&self, line: &str) -> Result<Answer> {
        let rootctl = programs::build()?.rootctl;
        let bin = rootctl.parent().context("a program lies in a folder")?;
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        Answer::of(self.outside(line)?.env("PATH", path))
    }

    /// One call of rinit's interface.
    pub(crate) fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let path = self.inside_path("/run/rinit/control.sock")?;
        asked(
            UnixStream::connect(path).context("cannot connect")?,
            method,
            parameters,
        )
    }

    /// It was told to reboot, and does.
    pub(crate) fn must_end(mut self, wanted: End) -> Result<()> {
        let end = self.ns.wait_end(SOON)?;
        ensure!(
            end == wanted,
            "the machine ended with {end:?} instead of {wanted:?}"
        );
        Ok(())
    }
}

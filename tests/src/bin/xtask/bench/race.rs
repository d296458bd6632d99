//! Our boot stage against an initramfs of busybox and shell: the same kernel, the same modules, the same disk,
//! the same overlay, in turns. Both hand over to the same script, which says so in the kernel's log; the time
//! is the kernel's, from the start of `/init`.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::disk::Disk;
use tests::paths::Scratch;
use tests::qemu::{KERNEL_WORDS, Machine, Start};
use tests::system::{Loader, MARK, MARK_WORDS, System};
use tests::{initramfs, rootfs, run, say};

/// Our time over busybox' time may be at most this.
const GOAL: f64 = 0.6;
const BOOT: Duration = Duration::from_secs(300);

pub(super) fn race(runs: u32) -> Result<()> {
    let system = System::install(Loader::Grub)?;
    let scratch = Scratch::new("race")?;
    let uuid = tests::disk::btrfs::uuid(system.disk())?;
    let (kernel, ours) = (scratch.join("kernel"), scratch.join("ours"));
    take(system.disk(), ".vmz", &kernel)?;
    take(system.disk(), ".ird", &ours)?;

    let line = format!("root=UUID={uuid} rootctl.snap=1 rootctl.mode=tmpfs rootctl.init={MARK}");
    let first = boot(system.disk(), &kernel, &ours, &line)?;
    let theirs = scratch.join("busybox");
    pack_busybox(&first.modules, &theirs)?;

    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let their = boot(system.disk(), &kernel, &theirs, "")?;
        ensure!(
            their.modules == first.modules,
            "busybox loaded {:?}, we loaded {:?}",
            their.modules,
            first.modules
        );
        their_times.push(their.seconds);
        our_times.push(boot(system.disk(), &kernel, &ours, &line)?.seconds);
    }
    let (ours, theirs) = (median(&mut our_times), median(&mut their_times));
    say::line(&format!(
        "{} modules, {runs} runs each, medians:",
        first.modules.len()
    ));
    say::line(&format!("boot stage      {ours:6.2} s  {our_times:.2?}"));
    say::line(&format!(
        "busybox, shell  {theirs:6.2} s  {their_times:.2?}"
    ));
    let ratio = ours / theirs;
    let verdict = if ratio <= GOAL { "kept" } else { "MISSED" };
    say::line(&format!("ratio {ratio:.2}, at most {GOAL}: {verdict}"));
    Ok(())
}

/// Copies the only file of this kind in our folder of the ESP.
fn take(disk: &Disk, ending: &str, target: &Path) -> Result<()> {
    let esp = disk.esp()?;
    let names = esp.list()?;
    let name = names
        .iter()
        .find(|name| name.to_lowercase().ends_with(ending));
    let name = name.with_context(|| format!("the ESP has no file {ending}: {names:?}"))?;
    std::fs::write(target, esp.read(name)?)
        .with_context(|| format!("cannot write {}", target.display()))
}

struct Lap {
    /// From the start of `/init` to the handed-over script.
    seconds: f64,
    /// In the order of loading.
    modules: Vec<String>,
}

fn boot(disk: &Disk, kernel: &Path, initramfs: &Path, words: &str) -> Result<Lap> {
    let start = Start::Kernel {
        kernel: kernel.to_path_buf(),
        initramfs: initramfs.to_path_buf(),
        cmdline: format!("{KERNEL_WORDS} panic=-1 {words}"),
        image: Some(disk.path().to_path_buf()),
    };
    let mut machine = Machine::start(&start)?;
    let begin = machine
        .console
        .expect("Run /init as init process", BOOT)?
        .line;
    let end = machine.console.expect(MARK_WORDS, BOOT)?.line;
    let list = machine.console.expect("modules:", BOOT)?;
    machine.console.expect("\n", BOOT)?;
    let modules = machine
        .console
        .line_at(&list)
        .split_whitespace()
        .skip(1)
        .map(str::to_owned)
        .collect();
    machine.wait_off(BOOT)?;
    Ok(Lap {
        seconds: stamp(&end)? - stamp(&begin)?,
        modules,
    })
}

/// The time in front of a kernel message: `[    1.734693] text`.
fn stamp(line: &str) -> Result<f64> {
    let inside = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    let time = inside.and_then(|(time, _)| time.trim().parse().ok());
    time.with_context(|| format!("there is no time in the kernel message {line:?}"))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What a careful administrator writes by hand. The device is waited for as shells do it.
const SCRIPT: &str = "\
for module in $(cat /modules/order); do insmod /modules/$module.ko; done
until [ -b /dev/vda3 ]; do sleep 0.1; done
mkdir /lower /changes /sysroot
mount -t btrfs -o ro,subvol=rootctl/snaps/1/root /dev/vda3 /lower
mount -t tmpfs -o size=50%,mode=0755 changes /changes
mkdir /changes/upper /changes/work
mount -t overlay -o lowerdir=/lower,upperdir=/changes/upper,workdir=/changes/work root /sysroot
for name in var home root; do mount -t btrfs -o subvol=@$name /dev/vda3 /sysroot/$name; done
mount -t tmpfs run /run
for name in dev proc sys run; do mount --move /$name /sysroot/$name; done
exec switch_root /sysroot ";

fn pack_busybox(modules: &[String], target: &Path) -> Result<()> {
    let scratch = Scratch::new("busybox")?;
    let tree = scratch.join("tree");
    std::fs::create_dir_all(&tree).with_context(|| format!("cannot make {}", tree.display()))?;
    let mut extract = run::command("tar", ["--wildcards", "-xf"]);
    run::quiet(
        extract
            .arg(rootfs::tar()?)
            .arg("-C")
            .arg(&tree)
            .arg("*/kernel/*.ko*"),
    )?;
    run::quiet(&mut run::command(
        "sh",
        ["-c", UNPACK, "sh", &tree.to_string_lossy()],
    ))?;
    let order = scratch.join("order");
    std::fs::write(&order, modules.join("\n")).context("cannot write the list of modules")?;
    let mut files = vec![(order, "modules/order".to_owned())];
    for module in modules {
        files.push((find(&tree, module)?, format!("modules/{module}.ko")));
    }
    let script = format!("{SCRIPT}{MARK}\n");
    initramfs::pack(
        &initramfs::Recipe {
            script: &script,
            files,
        },
        target,
    )
}

/// Debian 13 compresses modules; busybox gets them plain, as our own initramfs has them.
const UNPACK: &str = "find \"$1\" -name '*.ko.xz' -exec xz -d {} +";

fn find(tree: &Path, module: &str) -> Result<PathBuf> {
    // A module's own name has underscores, its file may have dashes.
    let pattern = format!("{}.ko", module.replace('_', "[-_]"));
    let mut find = run::command("find", [&tree.to_string_lossy(), "-name"]);
    let found = run::output(find.arg(&pattern))?;
    found
        .lines()
        .next()
        .map(PathBuf::from)
        .with_context(|| format!("there is no file of the module {module}"))
}

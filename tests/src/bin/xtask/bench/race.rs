//! Our boot stage against an initramfs of busybox and shell: the same kernel, the same modules, the same disk, the same
//! overlay, in turns. Both hand over to the same small program, which says so in the kernel's log; the time is the
//! kernel's, from the start of `/init`.
//!
//! The other one does what an initramfs that somebody writes with care does with busybox' own tools: it finds the root
//! by its UUID (`findfs`) and loads modules by name with what they need (one `modprobe`, the tables are depmod's). It is
//! spared some of our work: it is told which drivers this machine needs, and which snapshot; it does not look at the
//! state record, checks nothing, and writes no report. Each has two processors.

use super::class::RealTime;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tests::disk::Disk;
use tests::paths::Scratch;
use tests::qemu::{KERNEL_WORDS, Machine, Start};
use tests::system::{Loader, MARK, MARK_WORDS, System};
use tests::{initramfs, rootfs, run, say};

/// Our time over busybox' time may be at most this.
const GOAL: f64 = 0.6;
const BOOT: Duration = Duration::from_secs(300);
/// A kernel under emulation takes two or three seconds to its `/init`.
const KERNEL: Duration = Duration::from_secs(90);
const STARTS: u32 = 3;

pub(super) fn race(runs: u32, real_time: bool) -> Result<()> {
    let system = System::install(Loader::Grub)?;
    let scratch = Scratch::new("race")?;
    let uuid = tests::disk::btrfs::uuid(system.disk())?;
    let (kernel, ours) = (system.boot_file(".vmz")?, system.boot_file(".ird")?);

    let root = format!("root=UUID={uuid}");
    let line = format!("{root} rootctl.snap=1 rootctl.mode=tmpfs rootctl.init={MARK}");
    let first = boot(system.disk(), &kernel, &ours, &line, None)?;
    let theirs = scratch.join("busybox");
    pack_busybox(&first.modules, &theirs)?;

    let class = real_time.then(RealTime::enter).transpose()?;
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let their = boot(system.disk(), &kernel, &theirs, &root, class.as_ref())?;
        ensure!(
            their.modules == first.modules,
            "busybox loaded {:?}, we loaded {:?}",
            their.modules,
            first.modules
        );
        their_times.push(their.seconds);
        let our = boot(system.disk(), &kernel, &ours, &line, class.as_ref())?;
        our_times.push(our.seconds);
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

struct Lap {
    /// From the start of `/init` to the handed-over script.
    seconds: f64,
    /// By name.
    modules: BTreeSet<String>,
}

fn boot(
    disk: &Disk,
    kernel: &Path,
    initramfs: &Path,
    words: &str,
    class: Option<&RealTime>,
) -> Result<Lap> {
    let start = Start::Kernel {
        kernel: kernel.to_path_buf(),
        initramfs: initramfs.to_path_buf(),
        cmdline: format!("{KERNEL_WORDS} panic=-1 {words}"),
        image: Some(disk.path().to_path_buf()),
    };
    let (mut machine, begin) = up_to_init(&start, class)?;
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

/// Starts a machine with two processors. An emulator older than 8.1 loses some guests before they come to `/init`: then
/// nothing was measured yet, and another one is started.
fn up_to_init(start: &Start, class: Option<&RealTime>) -> Result<(Machine, String)> {
    let mut last = None;
    for _ in 0..STARTS {
        let mut machine = Machine::start_on_two(start)?;
        class.map_or(Ok(()), |class| class.first_thread_first(machine.process()))?;
        let begin = machine.console.expect("Run /init as init process", KERNEL);
        match begin {
            Ok(begin) => return Ok((machine, begin.line)),
            Err(error) => {
                say::line("a guest stood still before its /init; starting another one");
                last = Some(error);
            }
        }
    }
    Err(last.context("no guest was started")?)
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

/// What somebody writes by hand with care. The device is waited for as shells do it.
const SCRIPT: &str = "\
for word in $(cat /proc/cmdline); do case $word in root=*) root=${word#root=};; esac; done
modprobe -a MODULES
until device=$(findfs $root 2>/dev/null); do sleep 0.1; done
mkdir /lower /changes /sysroot
mount -t btrfs -o ro,subvol=rootctl/snaps/1/root $device /lower
mount -t tmpfs -o size=50%,mode=0755 changes /changes
mkdir /changes/upper /changes/work
mount -t overlay -o lowerdir=/lower,upperdir=/changes/upper,workdir=/changes/work root /sysroot
for name in var home root; do mount -t btrfs -o subvol=@$name $device /sysroot/$name; done
mount -t tmpfs run /run
for name in dev proc sys run; do mount --move /$name /sysroot/$name; done
exec switch_root /sysroot ";

fn pack_busybox(modules: &BTreeSet<String>, target: &Path) -> Result<()> {
    let scratch = Scratch::new("busybox")?;
    let base = scratch.join("base");
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let mut extract = run::command("tar", ["--wildcards", "-xf"]);
    let root = rootfs::tar()?;
    run::quiet(
        extract
            .arg(root)
            .arg("-C")
            .arg(&base)
            .arg("*/lib/modules/*"),
    )?;
    let place = base.to_string_lossy();
    let is_wanted = |file: &&str| modules.contains(&module_of(file));
    let all = run::output(&mut run::command("find", [&*place, "-name", "*.ko*"]))?;
    for file in all.lines().filter(|file| !is_wanted(file)) {
        fs::remove_file(file).with_context(|| format!("cannot delete {file}"))?;
    }
    run::quiet(&mut run::command("sh", ["-c", PREPARE, "sh", &place]))?;
    let left = run::output(&mut run::command("find", [&*place, "-type", "f"]))?;
    let file = left.lines().find(|file| file.ends_with("/modules.dep"));
    let table = file.context("depmod made no table")?;
    let table = fs::read_to_string(table).context("cannot read depmod's table")?;
    let script = SCRIPT.replace("MODULES", &named(modules, &table).join(" "));
    let inside = |file: &str| {
        file.trim_start_matches(&*place)
            .trim_start_matches("/usr/")
            .to_owned()
    };
    let recipe = initramfs::Recipe {
        script: &format!("{script}{MARK}\n"),
        files: left
            .lines()
            .map(|file| (file.into(), inside(file)))
            .collect(),
    };
    initramfs::pack(&recipe, target)
}

/// Debian 13 compresses modules; busybox gets them plain, as our own initramfs has them. depmod looks below `lib`.
const PREPARE: &str = "cd \"$1\" && find . -name '*.ko.xz' -exec xz -d {} + && ln -s usr/lib lib && \
    depmod --basedir . $(ls lib/modules)";

/// Name of the module in a file: it has underscores where the file may have dashes.
fn module_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

/// What has to be named, because depmod's table does not name it as needed by another; the file systems last, for what
/// they would like to have before.
fn named(modules: &BTreeSet<String>, table: &str) -> Vec<String> {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let needed: BTreeSet<String> = lines
        .flat_map(|(_, needs)| needs.split_whitespace().map(module_of))
        .collect();
    let mut names: Vec<String> = modules.difference(&needed).cloned().collect();
    names.sort_by_key(|name| ["btrfs", "overlay"].contains(&name.as_str()));
    names
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn only_what_no_other_module_needs_is_named_and_file_systems_last() {
        let modules = [
            "btrfs",
            "overlay",
            "virtio_blk",
            "virtio_ring",
            "xor",
            "crc32c_intel",
        ];
        let modules = modules.map(str::to_owned).into();
        let table = "kernel/fs/btrfs.ko: kernel/crypto/xor.ko\nkernel/virtio-blk.ko: kernel/virtio-ring.ko\n\
                     kernel/crypto/xor.ko:\nkernel/overlay.ko:\nkernel/crc32c-intel.ko:\n";
        assert_eq!(
            named(&modules, table),
            ["crc32c_intel", "virtio_blk", "btrfs", "overlay"]
        );
    }
}

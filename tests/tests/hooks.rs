//! Tier 2: the thin hooks for other generators of initramfs. First their shell against stand-ins for what the
//! generators give them, with every way the boot stage may end; then images that Debian's generators make.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use tests::hooks::{Generator, Workshop};
use tests::paths::{self, Scratch};
use tests::tier::{self, Outcome, Tier, test};
use tests::{initramfs, run};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("the_hooks_are_shell_that_their_shells_can_read", syntax),
            test(
                "the_install_file_for_mkinitcpio_asks_for_the_boot_stage_and_its_modules",
                mkinitcpio_build,
            ),
            test(
                "the_hook_for_mkinitcpio_mounts_gives_up_or_reboots_as_the_boot_stage_says",
                || obeys(&MKINITCPIO),
            ),
            test(
                "the_script_for_initramfs_tools_mounts_gives_up_or_reboots_as_the_boot_stage_says",
                || obeys(&INITRAMFS_TOOLS),
            ),
            test(
                "the_hooks_for_dracut_mount_give_up_or_reboot_as_the_boot_stage_says",
                || obeys(&DRACUT),
            ),
            test(
                "mkinitcpio_and_dracut_mount_the_root_themselves_without_a_word_of_rootctl",
                stays_out,
            ),
            test(
                "initramfs_tools_of_debian_packs_the_boot_stage_its_script_and_modules",
                || packs(Generator::InitramfsTools, &["scripts/rootctl"]),
            ),
            test(
                "dracut_of_debian_packs_the_boot_stage_its_scripts_and_modules",
                || {
                    packs(
                        Generator::Dracut,
                        &["rootctl-cmdline.sh", "rootctl-mount.sh"],
                    )
                },
            ),
        ],
    )
}

/// Each file, and the shell that reads it.
const FILES: &[(&str, &[&str])] = &[
    ("initramfs-tools/hooks/rootctl", &["dash"]),
    ("initramfs-tools/scripts/rootctl", &["dash", "busybox"]),
    ("dracut/90rootctl/module-setup.sh", &["bash"]),
    (
        "dracut/90rootctl/rootctl-cmdline.sh",
        &["bash", "dash", "busybox"],
    ),
    (
        "dracut/90rootctl/rootctl-mount.sh",
        &["bash", "dash", "busybox"],
    ),
    ("dracut/rootctl.conf", &["bash"]),
    ("mkinitcpio/install/rootctl", &["bash"]),
    ("mkinitcpio/hooks/rootctl", &["busybox"]),
];

fn syntax() -> Result<Outcome> {
    for (file, shells) in FILES {
        for shell in *shells {
            let words: &[&str] = if *shell == "busybox" {
                &["sh", "-n"]
            } else {
                &["-n"]
            };
            run::quiet(run::command(shell, words).arg(hooks().join(file)))?;
        }
    }
    Ok(Outcome::Passed)
}

fn hooks() -> std::path::PathBuf {
    paths::workspace().join("initramfs-hook")
}

/// Stands for mkinitcpio's own functions: each writes down what it was asked for, and a name that
/// mkinitcpio does not have is written down too.
const MKINITCPIO_FUNCTIONS: &str = "
add_module() { echo \"module $*\"; }
add_binary() { echo \"binary $*\"; }
add_file() { echo \"file $*\"; }
add_runscript() { echo \"runscript $*\"; }
command_not_found_handle() { echo \"unknown $*\"; return 127; }
. \"$1\"
";

fn mkinitcpio_build() -> Result<Outcome> {
    let file = hooks().join("mkinitcpio/install/rootctl");
    let call = |function: &str| {
        let script = format!("{MKINITCPIO_FUNCTIONS}{function}");
        run::output(run::command("bash", ["-euc", &script, "bash"]).arg(&file))
    };
    let said = call("build")?;
    let mut asked: Vec<&str> = said.lines().collect();
    asked.sort_unstable();
    // The question mark lets a module be absent; a run script without a name is the one of the same name.
    let wanted = [
        "binary /usr/lib/rootctl/rinit-boot",
        "module btrfs",
        "module efivarfs?",
        "module erofs",
        "module loop",
        "module overlay",
        "module squashfs",
        "runscript ",
    ];
    ensure!(asked == wanted, "build() asked for {asked:?}");
    ensure!(
        call("help")?.contains("rootctl"),
        "`mkinitcpio --hookhelp` has nothing to show"
    );
    Ok(Outcome::Passed)
}

/// What one generator's init is to the hook, and what must have happened then.
struct Front {
    /// The folder of its hook files.
    folder: &'static str,
    /// What its init does around the hook: `said` writes a line down.
    init: &'static str,
    /// What must be written down when the root is there (exit code 0).
    mounted: &'static str,
    /// When it failed (1).
    failed: &'static str,
    /// When it was a trial that failed (3).
    trial: &'static str,
}

const MKINITCPIO: Front = Front {
    folder: "mkinitcpio/hooks",
    init: "
mount_handler=default_mount_handler
init=/sbin/init
default_mount_handler() { said \"default_mount_handler $*\"; }
err() { said \"err $*\"; }
launch_interactive_shell() { said 'a shell'; }
. /hook/rootctl
run_hook
\"$mount_handler\" /new_root
said \"init=$init\"
",
    mounted: "\
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /new_root
init=/usr/bin/rinit
",
    failed: "\
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /new_root
err rootctl could not put the root together; the reason is above
a shell
init=/sbin/init
",
    trial: "\
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /new_root
sleep 10
rinit-boot --reboot
init=/sbin/init
",
};

const INITRAMFS_TOOLS: Front = Front {
    folder: "initramfs-tools/scripts",
    init: "
rootmnt=/root
init=/sbin/init
local_top() { said local_top; }
local_premount() { said local_premount; }
local_bottom() { said local_bottom; }
panic() { said \"panic $*\"; }
. /hook/rootctl
mount_top
mount_premount
mountroot
mount_bottom
said \"init=$(sh -c 'echo \"$init\"')\"
",
    mounted: "\
local_top
local_premount
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /root
local_bottom
init=/usr/bin/rinit
",
    failed: "\
local_top
local_premount
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /root
panic rootctl could not put the root together; the reason is above
local_bottom
init=
",
    trial: "\
local_top
local_premount
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /root
sleep 10
rinit-boot --reboot
local_bottom
init=
",
};

const DRACUT: Front = Front {
    folder: "dracut/90rootctl",
    init: "
NEWROOT=/sysroot
root=LABEL=x
ismounted() { return 1; }
warn() { said \"warn $*\"; }
die() { said \"die $*\"; exit 1; }
. /hook/rootctl-cmdline.sh
said \"root=$root rootok=${rootok:-}\"
. /hook/rootctl-mount.sh
said \"$(cat /etc/cmdline.d/*)\"
",
    mounted: "\
root=rootctl:LABEL=x rootok=1
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /sysroot
init=/usr/bin/rinit
",
    failed: "\
root=rootctl:LABEL=x rootok=1
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /sysroot
die rootctl could not put the root together; the reason is above
",
    trial: "\
root=rootctl:LABEL=x rootok=1
modprobe -q btrfs
modprobe -q overlay
modprobe -q loop
rinit-boot --assemble /sysroot
warn rootctl: the trial failed, rebooting
sleep 10
rinit-boot --reboot

",
};

/// What every init has: programs that write down that they were called. Modules that are part of the kernel
/// make modprobe fail on some systems, so it fails here.
const COMMON: &str = "
said() { echo \"$*\" >>/said; }
modprobe() { said \"modprobe $*\"; return 1; }
sleep() { said \"sleep $*\"; }
";

/// Stands for the boot stage; `@` is the exit code.
const BOOT_STAGE: &str = "#!/bin/sh
echo \"rinit-boot $*\" >>/said
[ \"$1\" = --assemble ] || exit 0
[ @ = 0 ] && echo /usr/bin/rinit
exit @
";

fn obeys(front: &Front) -> Result<Outcome> {
    for (code, wanted) in [(0, front.mounted), (1, front.failed), (3, front.trial)] {
        let said = play(front, "quiet rootctl.snap=1 rw", code)?;
        ensure!(
            said == wanted,
            "for exit code {code} it did:\n{said}wanted:\n{wanted}"
        );
    }
    Ok(Outcome::Passed)
}

fn stays_out() -> Result<Outcome> {
    let said = play(&MKINITCPIO, "root=LABEL=x rw", 0)?;
    ensure!(
        said == "default_mount_handler /new_root\ninit=/sbin/init\n",
        "mkinitcpio: {said}"
    );
    let said = play(&DRACUT, "root=LABEL=x rw", 0)?;
    ensure!(said == "root=LABEL=x rootok=\n\n", "dracut: {said}");
    Ok(Outcome::Passed)
}

/// Plays a generator's init in a root of its own, under busybox, with a boot stage that ends with `code`;
/// says what was written down.
fn play(front: &Front, cmdline: &str, code: u8) -> Result<String> {
    let root = Scratch::new("front")?;
    run::quiet(run::command("install", ["-D", initramfs::BUSYBOX]).arg(root.join("bin/busybox")))?;
    // A plain file in a plain folder: the kernel's own cannot be chosen.
    put(&root.join("proc/cmdline"), &format!("{cmdline}\n"))?;
    put(&root.join("said"), "")?;
    put(&root.join("etc/cmdline.d/00-empty.conf"), "")?;
    let stage = root.join("usr/lib/rootctl/rinit-boot");
    put(&stage, &BOOT_STAGE.replace('@', &code.to_string()))?;
    run::quiet(run::command("chmod", ["0755"]).arg(&stage))?;
    let mut copy = run::command("cp", ["-r"]);
    run::quiet(copy.arg(hooks().join(front.folder)).arg(root.join("hook")))?;
    put(&root.join("init"), &format!("{COMMON}{}", front.init))?;
    let chroot = |words: &[&str]| {
        let mut chroot = run::command("chroot", [root.path()]);
        chroot
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        chroot
    };
    run::quiet(&mut chroot(&["/bin/busybox", "--install", "-s", "/bin"]))?;
    // How it ends says nothing: some of the stand-ins end it, as the real ones do.
    chroot(&["/bin/sh", "/init"])
        .output()
        .context("cannot start chroot")?;
    fs::read_to_string(root.join("said")).context("nothing was written down")
}

fn put(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes an image with Debian's package of a generator, and looks for what a boot needs.
fn packs(generator: Generator, scripts: &[&str]) -> Result<Outcome> {
    // The store, the layers, images, the next try; and the disk of the machine tests, which is not our hooks' to add.
    const MODULES: &[&str] = &[
        "btrfs",
        "overlay",
        "loop",
        "squashfs",
        "erofs",
        "efivarfs",
        "virtio_blk",
    ];
    let workshop = Workshop::new(generator)?;
    if let Err(why) = workshop.fetch() {
        return Ok(Outcome::Skipped(format!("{why:#}")));
    }
    let made = workshop.make()?;
    for name in ["usr/lib/rootctl/rinit-boot"].iter().chain(scripts) {
        ensure!(made.has(name), "the image of {generator:?} has no {name}");
    }
    for module in MODULES {
        ensure!(
            made.has_module(module),
            "the image of {generator:?} has no module {module}"
        );
    }
    Ok(Outcome::Passed)
}

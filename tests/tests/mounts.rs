//! Tier 2: file systems, swap and devices as units of rinit as process 1, with real loop devices and real file systems.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use tests::disk::btrfs::Loop;
use tests::inside::{Inside, SOON};
use tests::ns::{End, Mounts, Recipe};
use tests::paths::Scratch;
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

/// Bytes of an image.
const IMAGE: u64 = 16 << 20;

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "a_mount_waits_for_its_device_and_carries_who_needs_it",
                carries,
            ),
            test(
                "a_device_that_never_appears_costs_only_who_needs_it",
                absent,
            ),
            test("mounts_lie_in_each_other_and_go_in_their_order", nested),
            test("what_is_in_use_is_not_said_to_be_down", busy),
            test("a_file_system_is_checked_before_it_is_mounted", checked),
            test(
                "a_server_that_does_not_answer_costs_its_mount_only",
                hanging,
            ),
            test("a_swap_area_is_used_while_its_unit_is_up", swap),
            test("the_end_leaves_a_clean_file_system", end),
            test("lines_of_fstab_are_mounted_and_bad_ones_hold_nobody", fstab),
        ],
    )
}

/// A file system on a loop device of the host, for a namespace that has the same nodes.
struct Disk {
    device: Loop,
    folder: Scratch,
}

impl Disk {
    fn new(maker: &str, words: &[&str]) -> Result<Self> {
        let folder = Scratch::new("mounts")?;
        let image = folder.join("image");
        let file = File::create(&image).context("cannot make an image")?;
        file.set_len(IMAGE).context("cannot make an image")?;
        std::fs::set_permissions(&image, std::fs::Permissions::from_mode(0o600))?;
        run::quiet(run::command(maker, words.iter().copied()).arg(&image))?;
        let device = Loop::attach(&image, 0, IMAGE)?;
        Ok(Self { device, folder })
    }

    fn ext4() -> Result<Self> {
        Self::new("mkfs.ext4", &["-q", "-F"])
    }

    /// Its node, here and there.
    fn node(&self) -> String {
        self.device.device().display().to_string()
    }
}

fn start(units: &[(&str, &str)]) -> Result<Inside> {
    Inside::start_with(units, |recipe| recipe.mounts(Mounts::Disks))
}

/// A mount with these lines in its table.
fn mount(what: &str, at: &str, more: &str) -> String {
    format!("kind = \"mount\"\n[mount]\nwhat = \"{what}\"\nwhere = \"{at}\"\n{more}\n")
}

/// The line of /proc/self/mountinfo about a place, if something is mounted there.
fn mounted(inside: &Inside, at: &str) -> Result<Option<String>> {
    let file = format!("/proc/{}/mountinfo", inside.ns.pid()?);
    let table = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let mark = format!(" {at} ");
    Ok(table
        .lines()
        .rfind(|line| line.contains(&mark))
        .map(str::to_owned))
}

fn reason(inside: &Inside, unit: &str) -> Result<String> {
    let found = inside.unit(unit)?;
    Ok(found["reason"].as_str().unwrap_or_default().to_owned())
}

fn is(inside: &Inside, unit: &str, state: &str) -> Result<()> {
    inside.until(&format!("{unit} is {state}"), || {
        Ok(inside.unit(unit)?["state"] == state)
    })
}

fn carries() -> Result<Outcome> {
    let disk = Disk::ext4()?;
    let data = mount(
        "LABEL=my data",
        "/srv/deep/data",
        "options = [\"noatime\", \"nodev\", \"errors=remount-ro\"]\nmkdir_mode = \"0750\"\ntimeout = \"60s\"",
    );
    let web = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo web > /srv/deep/data/www; exec sleep 100000\"]\n\
               [deps]\nmounts = [\"/srv/deep/data/www\"]\n";
    let raw = "kind = \"oneshot\"\n[exec]\nstart = \"/bin/sh -c 'echo there'\"\nuser = \"web\"\n\
               [deps]\ndevices = [\"/dev/disk/by-label/my\\\\x20data\"]\n[ready]\ntimeout = \"60s\"\n\
               [sandbox]\nprivate = [\"devices\"]\n";
    // Not enabled: a boot would be none before they are up.
    let inside = Inside::start_with(&[], |recipe| {
        let units = [("data", &*data), ("raw", raw), ("web", web)];
        let add = |recipe: Recipe, (name, text): (&str, &str)| {
            let file = format!("/etc/rinit/services/{name}.toml");
            recipe.text(&file, &format!("schema = 1\n{text}"))
        };
        units.into_iter().fold(recipe.mounts(Mounts::Disks), add)
    })?;
    // The answer comes when all are up: it is not waited for.
    let mut asked = UnixStream::connect(inside.path("/run/rinit/control.sock")?)?;
    let wanted =
        json!({ "method": "org.rootctl.Init.Start", "parameters": { "units": ["raw", "web"] } });
    asked.write_all(format!("{wanted}\0").as_bytes())?;
    // The device is there, but not by the name that it is wanted by.
    is(&inside, "data", "starting")?;
    is(&inside, "raw", "starting")?;
    is(&inside, "web", "waiting")?;
    let links = inside.path("/dev/disk/by-label")?;
    std::fs::create_dir_all(&links)?;
    std::os::unix::fs::symlink(disk.node(), Path::new(&links).join("my\\x20data"))?;
    is(&inside, "raw", "up")?;
    is(&inside, "web", "up")?;
    let line = mounted(&inside, "/srv/deep/data")?.context("nothing is mounted")?;
    ensure!(
        line.contains("noatime") && line.contains("nodev") && line.contains(" ext4 "),
        "{line}"
    );
    inside.until("the file is written", || {
        Ok(inside.read("/srv/deep/data/www")? == "web\n")
    })?;
    inside.call("Stop", &json!({ "units": ["data"] }))?;
    is(&inside, "data", "down")?;
    ensure!(inside.unit("web")?["state"] != "up");
    ensure!(mounted(&inside, "/srv/deep/data")?.is_none());
    let mode = std::fs::metadata(inside.path("/srv/deep/data")?)?
        .permissions()
        .mode();
    ensure!(mode & 0o777 == 0o750, "{mode:o}");
    Ok(Outcome::Passed)
}

fn absent() -> Result<Outcome> {
    let gone = mount("UUID=1234", "/srv/gone", "timeout = \"500ms\"");
    let user = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n[deps]\nmounts = [\"/srv/gone/x\"]\n";
    let fond = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n[deps]\nmounts_optional = [\"/srv/gone/x\"]\n";
    let inside = start(&[("fond", fond), ("gone", &gone), ("user", user)])?;
    is(&inside, "fond", "up")?;
    is(&inside, "user", "failed")?;
    ensure!(inside.unit("default")?["state"] == "up");
    let why = reason(&inside, "gone")?;
    let said =
        "the device /dev/disk/by-uuid/1234 did not appear within 500 ms; udev makes such names";
    ensure!(why.starts_with(said), "{why}");
    let why = reason(&inside, "user")?;
    ensure!(
        why.starts_with("needs gone, which failed: the device"),
        "{why}"
    );
    Ok(Outcome::Passed)
}

fn nested() -> Result<Outcome> {
    let units = [
        (
            "deep",
            mount(
                "tmpfs",
                "/srv/a/deep",
                "type = \"tmpfs\"\noptions = [\"size=1M\", \"mode=0711\"]",
            ),
        ),
        (
            "also",
            mount("/srv/a/deep", "/also", "options = [\"bind\", \"ro\"]"),
        ),
        ("above", mount("tmpfs", "/srv/a", "type = \"tmpfs\"")),
    ];
    let inside = start(&units.each_ref().map(|(name, text)| (*name, &**text)))?;
    for (name, _) in &units {
        is(&inside, name, "up")?;
    }
    let deep = mounted(&inside, "/srv/a/deep")?.context("nothing is mounted")?;
    ensure!(
        deep.contains("size=1024k") && deep.contains("mode=711"),
        "{deep}"
    );
    std::fs::write(inside.path("/srv/a/deep/file")?, "x")?;
    ensure!(inside.read("/also/file")? == "x");
    let refused = std::fs::write(inside.path("/also/file")?, "y");
    ensure!(refused.is_err_and(|error| error.kind() == std::io::ErrorKind::ReadOnlyFilesystem));
    inside.call("Stop", &json!({ "units": ["above"] }))?;
    for (name, _) in &units {
        ensure!(inside.unit(name)?["state"] != "up", "{name}");
    }
    for at in ["/srv/a", "/srv/a/deep", "/also"] {
        ensure!(mounted(&inside, at)?.is_none(), "{at} is still mounted");
    }
    Ok(Outcome::Passed)
}

fn busy() -> Result<Outcome> {
    let data = mount(
        "tmpfs",
        "/srv",
        "type = \"tmpfs\"\n[stop]\ntimeout = \"2500ms\"",
    );
    let inside = start(&[("data", &data)])?;
    is(&inside, "data", "up")?;
    let open = File::create(inside.path("/srv/file")?)?;
    let answer = inside.call("Stop", &json!({ "units": ["data"] }));
    let said = answer.err().context("it is said to be down")?.to_string();
    ensure!(
        said.contains("cannot stop data: cannot unmount /srv: "),
        "{said}"
    );
    is(&inside, "data", "failed")?;
    let why = reason(&inside, "data")?;
    ensure!(
        why.starts_with("cannot unmount /srv: ") && why.contains("it stays mounted"),
        "{why}"
    );
    ensure!(mounted(&inside, "/srv")?.is_some());
    // It is what it was: up again without being mounted twice.
    inside.call("Start", &json!({ "units": ["data"] }))?;
    is(&inside, "data", "up")?;
    drop(open);
    inside.call("Stop", &json!({ "units": ["data"] }))?;
    is(&inside, "data", "down")?;
    ensure!(mounted(&inside, "/srv")?.is_none());
    Ok(Outcome::Passed)
}

/// The host's checker and what it is linked to.
fn with_checker(recipe: Recipe) -> Recipe {
    let mut recipe = recipe.mounts(Mounts::Disks);
    for folder in ["/lib", "/lib64"] {
        let here = Path::new(folder);
        if here.exists() {
            recipe = recipe.bind(here, folder);
        }
    }
    recipe.copy(Path::new("/usr/sbin/fsck.ext4"), "/usr/sbin/fsck.ext4")
}

fn checked() -> Result<Outcome> {
    let (good, bad, other) = (Disk::ext4()?, Disk::ext4()?, Disk::ext4()?);
    // Its root folder is in use and not marked so: nothing that is corrected without being asked.
    for words in [["-w", "-R", "clri <2>"], ["-w", "-R", "ssv state 0"]] {
        run::quiet(run::command("debugfs", words).arg(bad.node()))?;
    }
    let units = [
        ("good", mount(&good.node(), "/good", "fsck = \"force\"")),
        ("bad", mount(&bad.node(), "/bad", "")),
        (
            "no",
            mount(&other.node(), "/no", "type = \"xfs\"\nfsck = \"preen\""),
        ),
    ];
    let units = units.each_ref().map(|(name, text)| (*name, &**text));
    let inside = Inside::start_with(&units, with_checker)?;
    is(&inside, "good", "up")?;
    is(&inside, "bad", "failed")?;
    is(&inside, "no", "failed")?;
    let why = reason(&inside, "bad")?;
    ensure!(
        why.contains("has errors that fsck.ext4 does not correct by itself"),
        "{why}"
    );
    ensure!(
        why.ends_with(&format!("next: fsck.ext4 {}", bad.node())),
        "{why}"
    );
    let why = reason(&inside, "no")?;
    ensure!(why.ends_with("there is no program fsck.xfs"), "{why}");
    let said = inside.said("good")?;
    ensure!(said.contains("Pass 5"), "{said}");
    Ok(Outcome::Passed)
}

fn hanging() -> Result<Outcome> {
    let folder = Scratch::new("mounts")?;
    let program = folder.join("mount");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 100000\n")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let far = mount(
        "server:/x",
        "/far",
        "type = \"fuse.far\"\ntimeout = \"500ms\"",
    );
    let inside = Inside::start_with(&[("far", &far)], |recipe| {
        recipe
            .copy(&program, "/usr/sbin/mount")
            .mounts(Mounts::Disks)
    })?;
    is(&inside, "far", "failed")?;
    let why = reason(&inside, "far")?;
    ensure!(
        why == "cannot mount server:/x on /far: it was not done within 1 s",
        "{why}"
    );
    // Nobody is left behind.
    let members = inside.ns.cgroup().path().join("rinit/far/cgroup.procs");
    inside.until("all of it is gone", || {
        Ok(std::fs::read_to_string(&members)
            .unwrap_or_default()
            .is_empty())
    })?;
    Ok(Outcome::Passed)
}

fn swap() -> Result<Outcome> {
    let disk = Disk::new("mkswap", &[])?;
    let area = format!(
        "kind = \"swap\"\n[swap]\nwhat = \"{}\"\npriority = 5\n",
        disk.node()
    );
    let other = "kind = \"swap\"\n[swap]\nwhat = \"/dev/null\"\n";
    let inside = start(&[("area", &area), ("other", other)])?;
    is(&inside, "area", "up")?;
    is(&inside, "other", "failed")?;
    let why = reason(&inside, "other")?;
    ensure!(why.starts_with("cannot swap to /dev/null: "), "{why}");
    let areas = std::fs::read_to_string("/proc/swaps")?;
    let line = areas.lines().find(|line| line.starts_with(&disk.node()));
    ensure!(
        line.is_some_and(|line| line.trim_end().ends_with('5')),
        "{areas}"
    );
    inside.call("Stop", &json!({ "units": ["area"] }))?;
    is(&inside, "area", "down")?;
    ensure!(!std::fs::read_to_string("/proc/swaps")?.contains(&disk.node()));
    Ok(Outcome::Passed)
}

fn end() -> Result<Outcome> {
    let disk = Disk::ext4()?;
    let data = mount(&disk.node(), "/srv", "fsck = \"no\"");
    // Does not say that it needs the mount, and keeps it busy for a while when it is to stop.
    let user = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"cd /srv; trap 'sleep 1; echo bye > last; exit 0' TERM; echo >&3; while :; do sleep 0.1; done\"]\n\
                [ready]\nmode = \"fd\"\n[deps]\nafter = [\"data\"]\n";
    let mut inside = start(&[("data", &data), ("user", user)])?;
    is(&inside, "user", "up")?;
    inside.call("Power", &json!({ "action": "poweroff" }))?;
    inside
        .ns
        .console
        .expect("all file systems are unmounted", SOON)?;
    ensure!(inside.ns.wait_end(SOON)? == End::PowerOff);
    let shown = run::output(run::command("dumpe2fs", ["-h"]).arg(disk.folder.join("image")))?;
    ensure!(
        shown
            .lines()
            .any(|line| line.starts_with("Filesystem state:") && line.ends_with("clean")),
        "{shown}"
    );
    let content =
        run::output(run::command("debugfs", ["-R", "cat last"]).arg(disk.folder.join("image")))?;
    ensure!(content.contains("bye"), "{content}");
    Ok(Outcome::Passed)
}

fn fstab() -> Result<Outcome> {
    let disk = Disk::ext4()?;
    let lines = format!(
        "/dev/root / ext4 defaults 0 1\n\
         {} /srv/my\\040data auto noatime 0 2\n\
         /srv/my\\040data/www /www none bind,ro\n\
         tmpfs /small tmpfs size=1M,mode=0700\n\
         LABEL=gone /gone ext4 x-systemd.device-timeout=1s 0 0\n\
         LABEL=later /later ext4 nofail,x-systemd.device-timeout=1s 0 0\n\
         LABEL=never /never ext4 noauto 0 0\n\
         UUID=1 relative ext4 defaults 0 0\n",
        disk.node()
    );
    let basic = "schema = 1\nkind = \"group\"\ndefault_deps = false\n";
    let login = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
    let early = "kind = \"oneshot\"\ndefault_deps = false\n\
                 [deps]\nmounts = [\"/srv/my data/www\"]\nbefore = [\"mount:www\"]\n\
                 [exec]\nstart = [\"/bin/sh\", \"-c\", \"cd '/srv/my data' && mkdir www && echo x > www/x\"]\n";
    let mut inside = Inside::start_with(&[("early", early), ("login", login)], |recipe| {
        recipe
            .text("/etc/fstab", &lines)
            .text("/etc/rinit/services/basic.toml", basic)
            .mounts(Mounts::Disks)
    })?;
    for (unit, state) in [
        ("mount:srv:my_20data", "up"),
        ("mount:www", "up"),
        ("mount:small", "up"),
        ("mount:gone", "failed"),
        ("mount:later", "failed"),
        ("mount:never", "down"),
        ("basic", "up"),
        ("login", "up"),
    ] {
        is(&inside, unit, state)?;
    }
    ensure!(inside.read("/www/x")? == "x\n");
    let line = mounted(&inside, "/small")?.context("nothing is mounted")?;
    ensure!(line.contains("size=1024k"), "{line}");
    inside
        .ns
        .console
        .expect("/etc/fstab:8:8: expected an absolute path", SOON)?;
    inside.call("Power", &json!({ "action": "poweroff" }))?;
    ensure!(inside.ns.wait_end(SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

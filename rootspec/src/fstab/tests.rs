use super::*;
use crate::compile::{Source, compile};
use crate::mounting::{Chore, Fsck, Mount};
use crate::plan::Plan;

fn plan(text: &str) -> (Fstab, Plan) {
    let found = read("fstab", text);
    let sources: Vec<_> = found
        .entries
        .iter()
        .map(|entry| Source {
            name: entry.name.clone(),
            file: format!("fstab line {}", entry.line),
            text: entry.text.clone(),
        })
        .collect();
    let plan = compile(&sources, &[]);
    (found, plan)
}

fn chores(plan: &Plan) -> Vec<Chore> {
    let commands = plan
        .units
        .iter()
        .filter_map(|unit| unit.exec()?.start.first());
    let chores = commands.map(|argv| Chore::from_words(argv.iter().skip(2).map(String::as_str)));
    chores.collect::<Option<_>>().unwrap()
}

fn one(text: &str) -> Mount {
    let (found, plan) = plan(text);
    assert_eq!((&found.wrong, &plan.problems), (&vec![], &vec![]), "{text}");
    match chores(&plan).pop() {
        Some(Chore::Mount(mount)) => mount,
        other => panic!("{text}: {other:?}"),
    }
}

/// What an installer of Debian writes, and what people add.
const USUAL: &str = "\
# <file system> <mount point>   <type>  <options>       <dump>  <pass>
UUID=6d0c   /               ext4    errors=remount-ro 0       1
UUID=AB-12  /boot/efi       vfat    umask=0077      0       1
UUID=0f1e   none            swap    sw,pri=5        0       0
/dev/sr0    /media/cdrom0   udf,iso9660 user,noauto     0       0
LABEL=data\t/srv/my\\040data\txfs\tnofail,x-systemd.device-timeout=5s,noatime 0 2
nas:/export /mnt/nas        nfs4    rw,x-systemd.mount-timeout=2min   0 0
tmpfs       /tmp            tmpfs   size=1G
/srv/my\\040data/www /var/www none  bind,ro
";

#[test]
fn the_usual_lines_become_units() {
    let (found, plan) = plan(USUAL);
    assert_eq!((&found.wrong, &found.ignored), (&vec![], &vec![]));
    assert_eq!(plan.problems, Vec::<String>::new());
    let names: Vec<_> = found
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.wanted))
        .collect();
    assert_eq!(
        names,
        [
            ("mount:boot:efi", Wanted::Early),
            ("swap:UUID_3d0f1e", Wanted::Early),
            ("mount:media:cdrom0", Wanted::Never),
            ("mount:srv:my_20data", Wanted::Late),
            ("mount:mnt:nas", Wanted::Late),
            ("mount:tmp", Wanted::Early),
            ("mount:var:www", Wanted::Early),
        ]
    );
    let chores = chores(&plan);
    let Some(Chore::Mount(data)) = chores
        .iter()
        .find(|chore| matches!(chore, Chore::Mount(mount) if mount.at == "/srv/my data"))
    else {
        panic!("{chores:?}")
    };
    assert_eq!(
        (&*data.kind, data.device_timeout, data.fsck),
        ("xfs", 5_000, Fsck::Auto)
    );
    assert_eq!(data.options, ["noatime"]);
    let www = plan.find("mount:var:www").unwrap();
    assert_eq!(
        plan.units[www as usize].needs,
        [plan.find("mount:srv:my_20data").unwrap()]
    );
    let swap = chores.iter().find(|chore| {
        matches!(
            chore,
            Chore::SwapOn {
                priority: Some(5),
                ..
            }
        )
    });
    assert!(swap.is_some(), "{chores:?}");
}

#[test]
fn what_is_said_reaches_the_mount() {
    let mount = one(
        "LABEL=\"a\\040b\" /x ext4 ro,x-mount.mkdir=0700,x-systemd.rw-only,data=\"$HOME{name}\" 0 0\n",
    );
    assert_eq!(
        (&*mount.what, mount.mkdir_mode, mount.rw_only),
        ("LABEL=\"a b\"", 0o700, true)
    );
}

#[test]
fn escapes_braces_and_quotes_arrive_as_they_are_meant() {
    let mount = one("/dev/a\\134\\040b /x{name}/${i}/y\\043 auto a{i},b\\042 0 0");
    assert_eq!(
        (&*mount.what, &*mount.at),
        ("/dev/a\\ b", "/x{name}/${i}/y#")
    );
    assert_eq!(mount.options, ["a{i}", "b\""]);
    assert_eq!(mount.fsck, Fsck::No);
}

#[test]
fn words_of_systemd_become_dependencies() {
    let line = "/dev/a /x ext4 x-systemd.requires=lvm.service,x-systemd.after=b.target,x-systemd.requires-mounts-for=/y,x-systemd.requires=/dev/b,_netdev 0 0";
    let text = &read("fstab", line).entries[0].text;
    for words in [
        "needs = [\"lvm\"]",
        "after = [\"b\"]",
        "mounts = [\"/y\"]",
        "devices = [\"/dev/b\"]",
        "wants = [\"network-online\"]",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn a_bad_line_names_its_place_and_costs_itself_only() {
    for (line, words) in [
        ("/dev/a", "fstab:2:1: expected a device, a place, a type"),
        (
            "/dev/a x ext4 defaults",
            "fstab:2:8: expected an absolute path",
        ),
        (
            "/dev/a /x/../y ext4 defaults",
            "fstab:2:8: expected an absolute path",
        ),
        (
            "/dev/a /a b ext4 defaults 0 0",
            "fstab:2:29: more than six fields",
        ),
        (
            "/dev/a /x ext4 defaults 0 two",
            "fstab:2:27: expected a number",
        ),
        (
            "/dev/a /x ext4 x-systemd.device-timeout=soon",
            "fstab:2:16: \"soon\" is no time",
        ),
        (
            "/dev/a /x ext4 x-systemd.requires=a/b",
            "fstab:2:16: \"a/b\" is no unit name",
        ),
        (
            "/dev/a /x\\000y ext4 defaults",
            "fstab:2:8: there is a character",
        ),
        ("/dev/a /x ext4 x-mount.mkdir=9", "expected octal"),
        ("/dev/a /x ext4 remount,ro", "remount"),
        (
            "a /x none bind",
            "fstab:2:1: expected an absolute path: it is to be bound",
        ),
        (
            "UUID=1 none swap pri=99999",
            "expected a number up to 32767",
        ),
        (
            "swapfile none swap sw",
            "fstab:2:1: expected a device, a file",
        ),
        ("tmpfs /good/ tmpfs", "fstab:2:1: line 1 is about the same"),
    ] {
        let (found, plan) = plan(&format!("tmpfs /good tmpfs\n{line}\n/dev/z /z ext4\n"));
        let said: Vec<String> = found.wrong.iter().map(ToString::to_string).collect();
        assert!(
            said.len() == 1 && said[0].contains(words),
            "{line}: {said:?}"
        );
        assert_eq!(plan.units.len(), 2, "{line}");
    }
}

#[test]
fn what_cannot_be_done_is_said_and_the_line_counts_all_the_same() {
    let (found, plan) =
        plan("/dev/a /x ext4 noauto,x-systemd.automount,x-systemd.growfs,x-systemd.new=1\n");
    assert_eq!(
        (found.ignored.len(), found.wrong.len(), plan.units.len()),
        (3, 0, 1)
    );
    assert_eq!(found.entries[0].wanted, Wanted::Late);
}

#[test]
fn the_root_comments_and_lines_to_ignore_are_no_units() {
    let found = read(
        "fstab",
        "# x\n\n  # y\n/dev/a / ext4 defaults\n/dev/b /b ignore\n/dev/c // ext4\n",
    );
    assert_eq!((found.entries.len(), found.wrong.len()), (0, 0));
}

/// A small generator of numbers, so that what failed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 24] = [
            "/", "a", "b_", ".", "..", "\\040", "\\134", "{", "}", "name", "$", "\"", "=", "#",
            "é", "\\", "LABEL=", "-", "@", ":", "/dev/", "srv", "\\011", "\\1",
        ];
        let length = self.roll(6);
        (0..=length)
            .map(|_| PARTS[self.roll(PARTS.len())])
            .collect()
    }
}

#[test]
fn whatever_stands_in_a_line_it_is_refused_with_its_place_or_mounted_as_written() {
    const OPTIONS: [&str; 10] = [
        "defaults",
        "ro",
        "nofail",
        "noauto",
        "bind",
        "pri=3",
        "x-systemd.device-timeout=3",
        "subvol=@x",
        "_netdev",
        "",
    ];
    const KINDS: [&str; 5] = ["ext4", "swap", "none", "auto", "nfs"];
    for seed in 0..4_000 {
        let mut dice = Dice(seed);
        let (what, place) = (dice.text(), dice.text());
        let at = if dice.roll(2) == 0 {
            format!("/{place}")
        } else {
            place
        };
        let options = format!("{},{}", OPTIONS[dice.roll(10)], dice.text());
        let line = format!(
            "{what} {at} {} {options} 0 {}",
            KINDS[dice.roll(5)],
            dice.roll(3)
        );
        let (found, plan) = plan(&line);
        for spot in &found.wrong {
            assert!(
                spot.place().is_some_and(|(line, _)| line == 1),
                "{line}: {spot}"
            );
        }
        // What was understood can be compiled: a mistake that shows only there would have no place in the file.
        let named = |problem: &&String| !problem.contains("which does not exist");
        assert_eq!(
            plan.problems.iter().find(named),
            None,
            "{line}\n{:?}",
            found.entries
        );
        let Some(Chore::Mount(mount)) = chores(&plan).pop() else {
            continue;
        };
        assert_eq!(mount.what, unescaped(&what), "{line}");
        let parts = |path: &str| -> Vec<String> {
            path.split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(parts(&mount.at), parts(&unescaped(&at)), "{line}");
    }
}

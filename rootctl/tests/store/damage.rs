//! Broken input: a clear sentence that names the object, the cause and the next command; nothing lost; `status` answers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    ("one_damaged_slot_is_survived_and_repaired", one_slot),
    (
        "two_damaged_slots_change_nothing_until_a_person_decides",
        both_slots,
    ),
    ("a_truncated_state_record_is_survived", truncated_state),
    ("a_record_of_the_future_is_never_written_over", future_state),
    ("a_damaged_meta_file_hides_no_other_snapshot", damaged_meta),
    ("a_meta_file_of_the_future_is_named", future_meta),
    ("a_swapped_or_missing_root_is_noticed", swapped_root),
    (
        "an_unknown_snapshot_is_named_by_every_verb",
        unknown_snapshot,
    ),
    ("a_place_without_a_store_is_named", no_store),
    ("a_root_device_that_is_gone_is_named", lost_device),
    ("boot_files_that_changed_are_refused", changed_boot_files),
    ("a_missing_esp_is_named", missing_esp),
    ("a_full_esp_is_refused_with_numbers", full_esp),
    (
        "an_esp_that_is_full_at_the_verdict_leaves_a_default_that_boots",
        esp_full_at_the_verdict,
    ),
    ("a_full_btrfs_loses_nothing", full_btrfs),
    (
        "on_a_full_btrfs_no_default_moves_and_no_trial_is_armed",
        full_at_a_change,
    ),
    ("a_store_of_the_future_is_never_written", future_store),
    ("a_second_limine_config_is_refused_by_name", second_config),
    ("somebody_elses_limine_config_is_left_alone", foreign_config),
    (
        "a_lost_menu_and_lost_boot_files_are_brought_back",
        lost_menu,
    ),
    ("roots_that_cannot_boot_are_not_imported", bad_roots),
    ("hostile_names_and_targets_are_refused", hostile_names),
    ("an_interrupted_init_can_be_repeated", interrupted_init),
    (
        "damaged_settings_are_shown_with_their_place",
        damaged_settings,
    ),
];

/// A store with a second snapshot, both slots of its record in use.
fn two(name: &str) -> Bench {
    let bench = Bench::new(name);
    bench.rootctl(&["snap", "new", "two"]).code(0);
    bench.rootctl(&["deploy", "two"]).code(0);
    bench
}

fn flip(bench: &Bench, at: usize) {
    let path = bench.store("state.ab");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
}

fn one_slot() {
    let bench = two("slot");
    flip(&bench, 4096 + 10);
    flip(&bench, 4096 + 11);
    assert!(
        bench.warnings().contains("slot 1") && bench.warnings().contains("checksum"),
        "{}",
        bench.warnings()
    );
    bench.rootctl(&["snap", "list"]).code(0);
    bench.booted(1);
    bench.rootctl(&["rollback", "2"]).code(0);
    assert_eq!(
        (bench.status("good").as_str(), bench.warnings().as_str()),
        ("2", "[]")
    );
}

fn both_slots() {
    let bench = two("slots");
    let menu = bench.grub();
    flip(&bench, 10);
    flip(&bench, 4096 + 10);
    bench.rootctl(&["status"]).code(0).says(&[
        "cannot be read",
        "rootctl rollback N",
        "slot 0",
        "slot 1",
    ]);
    bench
        .rootctl(&["snap", "tree"])
        .code(0)
        .says(&["1 base", "2 two"]);
    bench
        .rootctl(&["deploy", "two"])
        .code(3)
        .says(&["state record", "state.ab", "rollback N"]);
    bench.rootctl(&["snap", "delete", "two"]).code(3);
    bench.rootctl(&["rollback"]).code(3);
    assert_eq!(bench.grub(), menu, "what boots did not change");
    // Copies still work, and their number is a new one.
    assert_eq!(
        bench.rootctl(&["snap", "new", "--from", "1"]).code(0).out,
        "3\n"
    );
    bench.rootctl(&["rollback", "1"]).code(0);
    assert_eq!(
        (bench.status("good").as_str(), bench.warnings().as_str()),
        ("1", "[]")
    );
    bench.must_boot();
    assert_eq!(bench.rootctl(&["snap", "new"]).code(0).out, "4\n");
}

fn truncated_state() {
    for length in [0u64, 100, 4096, 5000] {
        let bench = two("cut");
        let file = std::fs::File::options()
            .write(true)
            .open(bench.store("state.ab"))
            .unwrap();
        file.set_len(length).unwrap();
        drop(file);
        assert!(
            bench.warnings().contains("expected 8192"),
            "{length}: {}",
            bench.warnings()
        );
        bench.rootctl(&["rollback", "1"]).code(0);
        assert_eq!(
            (bench.status("good").as_str(), bench.warnings().as_str()),
            ("1", "[]"),
            "{length}"
        );
        assert_eq!(bench.store("state.ab").metadata().unwrap().len(), 8192);
    }
    let bench = two("gone");
    std::fs::remove_file(bench.store("state.ab")).unwrap();
    bench.rootctl(&["status"]).code(0).says(&["cannot be read"]);
    bench.rootctl(&["rollback", "2"]).code(0);
    assert_eq!(bench.status("good"), "2");
}

fn future_state() {
    let bench = two("future");
    let path = bench.store("state.ab");
    let bytes = std::fs::read(&path).unwrap();
    // What a newer version would write: another schema with a right checksum.
    let mut body: Vec<u8> = b"schema = 9\nseq = 99\n".to_vec();
    body.resize(4096 - 20, b'\n');
    let crc = crc32c(&body);
    body.extend(format!("crc32c = \"{crc:08x}\"\n").bytes());
    std::fs::write(&path, [&body, &bytes[4096..]].concat()).unwrap();
    let before = (std::fs::read(&path).unwrap(), bench.grub());
    bench.rootctl(&["status"]).code(0).says(&["format 9"]);
    for words in [
        &["rollback", "1"][..],
        &["deploy", "two"],
        &["snap", "new"],
        &["snap", "delete", "two"],
    ] {
        bench
            .rootctl(words)
            .code(3)
            .says(&["newer rootctl", "update rootctl"]);
    }
    assert!(before == (std::fs::read(&path).unwrap(), bench.grub()));
}

/// CRC-32C bit by bit (RFC 3720, appendix B.4): another implementation than the program's.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn damaged_meta() {
    let bench = two("meta");
    bench.rootctl(&["snap", "new", "three"]).code(0);
    let path = bench.store("snaps/3/meta.toml");
    let whole = std::fs::read_to_string(&path).unwrap();
    for broken in [
        "",
        "schema = ",
        &whole[..40],
        &whole.replace("id = 3", "id = 7"),
    ] {
        std::fs::write(&path, broken).unwrap();
        bench
            .rootctl(&["snap", "list"])
            .code(0)
            .says(&["1   base", "2   two", "damaged"]);
        assert!(
            bench.warnings().contains("snapshot 3 is damaged"),
            "{}",
            bench.warnings()
        );
        bench.rootctl(&["deploy", "3"]).code(3).says(&[
            "snapshot 3 is damaged",
            "meta.toml",
            "next:",
        ]);
        bench.rootctl(&["snap", "new", "--from", "3"]).code(3);
    }
    // While a meta file cannot be read, nothing is collected on the ESP.
    let stray = bench.esp().join("rootctl/01234567.vmz");
    std::fs::write(&stray, "x").unwrap();
    bench.rootctl(&["snap", "new"]).code(0);
    assert!(stray.exists());
    bench.rootctl(&["snap", "delete", "3"]).code(0);
    bench.rootctl(&["snap", "new"]).code(0);
    assert!(!stray.exists());
}

fn future_meta() {
    let bench = two("meta-future");
    let path = bench.store("snaps/2/meta.toml");
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("schema = 1", "schema = 5");
    std::fs::write(&path, text).unwrap();
    bench
        .rootctl(&["status"])
        .code(0)
        .says(&["format 5", "update rootctl"]);
    // The trial cannot be put into a menu any more; the menu that exists stays.
    let menu = bench.grub();
    bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
    assert_eq!(bench.grub(), menu);
    bench.rootctl(&["rollback"]).code(0);
    assert_eq!(bench.menu(), [1]);
}

fn swapped_root() {
    let bench = two("swapped");
    let root = |id: u32| bench.store(&format!("snaps/{id}/root"));
    shell(&format!(
        "btrfs property set {} ro false; btrfs subvolume delete -c {}",
        root(2).display(),
        root(2).display()
    ));
    bench
        .rootctl(&["rollback", "2"])
        .code(3)
        .says(&["snapshot 2 is damaged", "No such file"]);
    shell(&format!(
        "btrfs subvolume snapshot -r {} {}",
        root(1).display(),
        root(2).display()
    ));
    bench
        .rootctl(&["rollback", "2"])
        .code(3)
        .says(&["another subvolume than the one published"]);
    assert_eq!(bench.status("good"), "1");
}

fn unknown_snapshot() {
    let bench = two("unknown");
    let before = (bench.grub(), bench.status("snapshots"));
    for target in ["99", "nobody", "@prev", "1~3"] {
        for words in [
            &["snap", "show", target][..],
            &["snap", "new", "--from", target],
            &["snap", "delete", target],
            &["run", target, "--", "true"],
            &["deploy", target],
            &["rollback", target],
        ] {
            bench.rootctl(words).code(1).says(&[
                "there is no snapshot",
                target,
                "rootctl snap list",
            ]);
        }
    }
    assert_eq!((bench.grub(), bench.status("snapshots")), before);
}

fn no_store() {
    let bench = Bench::empty("no-store", 120);
    let ask = |words: &[&str]| super::bench::answer(&bench.command().args(words).output().unwrap());
    let (top, esp) = (
        bench.top().display().to_string(),
        bench.esp().display().to_string(),
    );
    for place in ["/no/such/folder", "/proc"] {
        ask(&["--root", place, "status"]).code(1).says(&[
            place,
            "is not a mounted btrfs",
            "next: mount -o subvolid=5",
        ]);
    }
    ask(&["--root", &top, "status"])
        .code(1)
        .says(&[&top, "holds no store", "next:", "store init"]);
    ask(&[
        "--root", &top, "--esp", &esp, "store", "init", "--import", "/no/root",
    ])
    .code(1)
    .says(&["nothing to import at /no/root", "next:"]);
}

fn lost_device() {
    let bench = Bench::new("lost-device");
    bench.booted(1);
    let report = std::fs::read_to_string(bench.report()).unwrap();
    let gone = "ffffffff-0000-1111-2222-333344445555";
    std::fs::write(bench.report(), report.replace(&bench.uuid(), gone)).unwrap();
    for words in [&["status"][..], &["deploy", "1"]] {
        let answer = bench.command().args(words).output().unwrap();
        super::bench::answer(&answer).code(1).says(&[
            "no device holds the btrfs",
            gone,
            "next:",
            "lsblk",
        ]);
    }
}

fn changed_boot_files() {
    let bench = Bench::new("changed");
    bench
        .rootctl(&[
            "run",
            "1",
            "--",
            "sh",
            "-c",
            "echo k > /boot/vmlinuz-6.1.0-test",
        ])
        .code(0);
    // Same length, other bytes: only the hash tells.
    std::fs::write(bench.store("snaps/2/vmlinuz"), "x\n").unwrap();
    let before = (
        bench.grub(),
        std::fs::read(bench.store("state.ab")).unwrap(),
    );
    bench
        .rootctl(&["deploy", "2"])
        .code(3)
        .says(&["not what was published", "vmlinuz"]);
    assert!(
        before
            == (
                bench.grub(),
                std::fs::read(bench.store("state.ab")).unwrap()
            )
    );
    std::fs::write(bench.store("snaps/2/vmlinuz"), "longer\n").unwrap();
    bench
        .rootctl(&["deploy", "2"])
        .code(3)
        .says(&["7 bytes, 2 were published"]);
}

fn missing_esp() {
    let bench = two("esp");
    let top = bench.top().display().to_string();
    let ask = |words: &[&str]| {
        let mut command = bench.command();
        command.args(["--root", &top]).args(words);
        super::bench::answer(&command.output().unwrap())
    };
    ask(&["status"]).code(0);
    ask(&["snap", "new", "free"]).code(0);
    ask(&["deploy", "free"])
        .code(1)
        .says(&["no ESP was named", "--esp DIR"]);
    ask(&["rollback", "1"]).code(1).says(&["--esp DIR"]);
    ask(&["--esp", "/no/such/folder", "status"])
        .code(1)
        .says(&["/no/such/folder"]);
    assert_eq!(bench.warnings(), "[]");
}

fn full_esp() {
    let mut bench = Bench::empty("esp-full", 300);
    bench.small_esp("24m");
    bench.init(&["--loader", "grub"]).code(0);
    let script = "dd if=/dev/urandom of=/boot/vmlinuz-6.1.0-test bs=1048576 count=9 2>/dev/null";
    bench
        .rootctl(&["run", "1", "--name", "large", "--", "sh", "-c", script])
        .code(0);
    let before = bench.grub();
    for dry in [&["deploy", "large"][..], &["-n", "deploy", "large"]] {
        bench.rootctl(dry).code(3).says(&[
            "the ESP has",
            "are needed",
            "must stay free",
            "nothing was written",
            "next:",
        ]);
    }
    assert_eq!(bench.grub(), before);
    assert_eq!(
        std::fs::read_dir(bench.esp().join("rootctl"))
            .unwrap()
            .count(),
        4
    );
    bench.must_boot();
    assert_eq!(bench.status("next"), "1");
    // Really full, by somebody else: what is there already still works.
    drop(std::fs::write(
        bench.esp().join("foreign"),
        vec![0; 30 << 20],
    ));
    bench.rootctl(&["snap", "new", "small"]).code(0);
    bench
        .rootctl(&["deploy", "small"])
        .code(3)
        .says(&["the ESP has"]);
    bench.must_boot();
}

/// Takes all room in a folder's file system; the file that does so.
fn fill(folder: &Path) -> PathBuf {
    let ballast = folder.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    for bytes in [1 << 20, 64 << 10, 4 << 10] {
        let piece = vec![1; bytes];
        // Only what is on the disk takes room for sure.
        while file
            .write_all(&piece)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    ballast
}

/// What decides what boots: the menu and the state record, and the default by name.
fn what_boots(bench: &Bench) -> (String, String, Vec<u8>) {
    let record = std::fs::read(bench.store("state.ab")).unwrap();
    (bench.grub(), bench.status("good"), record)
}

fn esp_full_at_the_verdict() {
    let mut bench = Bench::empty("verdict-full", 300);
    bench.small_esp("24m");
    bench.init(&["--loader", "grub"]).code(0);
    bench.rootctl(&["snap", "new", "two"]).code(0);
    bench.rootctl(&["deploy", "two"]).code(0);
    let ballast = fill(&bench.esp());
    bench.booted(2);
    // The old menu's place is there for the new one.
    bench.rootctl(&["boot-ok"]).code(0);
    assert_eq!(
        (bench.menu(), bench.status("good").as_str()),
        (vec![2, 1], "2")
    );
    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(bench.esp().join("rootctl/grub.alt")).unwrap();
    fill(&bench.esp());
    let before = bench.grub();
    bench
        .rootctl(&["rollback"])
        .code(3)
        .says(&["the ESP has", "nothing was written", "next:"]);
    assert_eq!((bench.grub(), bench.status("good").as_str()), (before, "2"));
    bench.must_boot();
    std::fs::remove_file(ballast).unwrap();
    bench.rootctl(&["rollback"]).code(0);
    assert_eq!(bench.status("good"), "1");
}

fn full_at_a_change() {
    let bench = Bench::new("change-full");
    bench.rootctl(&["snap", "new", "two"]).code(0);
    let ballast = fill(&bench.top());
    let before = what_boots(&bench);
    bench
        .rootctl(&["deploy", "two"])
        .code(1)
        .says(&["No space left", "next:"]);
    assert!(what_boots(&bench).1 == "1" && what_boots(&bench).2 == before.2);
    assert_eq!(bench.status("trial"), "");
    bench.must_boot();
    std::fs::remove_file(&ballast).unwrap();
    bench.rootctl(&["deploy", "two"]).code(0);
    fill(&bench.top());
    let before = what_boots(&bench);
    bench.booted(2);
    for words in [&["boot-ok"][..], &["rollback", "2"]] {
        bench
            .rootctl(words)
            .code(1)
            .says(&["No space left", "next:"]);
        assert!(what_boots(&bench) == before, "{words:?}");
    }
    std::fs::remove_file(&ballast).unwrap();
    bench.rootctl(&["boot-ok"]).code(0);
    assert_eq!(bench.status("good"), "2");
    bench.must_boot();
}

fn future_store() {
    let bench = two("store-future");
    std::fs::write(bench.store("FORMAT"), "9\n").unwrap();
    let files = || {
        shell(&format!("sync -f {}", bench.top().display()));
        let list = format!(
            "cd {} && find . -printf '%p %T@ %s\\n' | sort; cat {}",
            bench.store("").display(),
            bench.esp().join("rootctl/grub.cfg").display()
        );
        Command::new("sh")
            .args(["-c", &list])
            .output()
            .unwrap()
            .stdout
    };
    let before = files();
    for words in [
        &["status"][..],
        &["snap", "new"],
        &["snap", "delete", "two"],
        &["run", "1", "--", "true"],
        &["deploy", "two"],
        &["rollback", "2"],
    ] {
        bench.rootctl(words).code(3).says(&["9", "update rootctl"]);
    }
    assert!(files() == before, "something was written");
}

fn full_btrfs() {
    let bench = Bench::empty("btrfs-full", 260);
    bench.init(&["--loader", "grub"]).code(0);
    let script = "dd if=/dev/urandom of=/usr/big bs=1048576 count=400";
    let answer = bench.rootctl(&["run", "1", "--", "sh", "-c", script]);
    assert_ne!(answer.code, 0);
    answer.says(&["nothing changed"]);
    assert!(
        std::fs::read_dir(bench.store("tmp"))
            .unwrap()
            .next()
            .is_none(),
        "its work was thrown away"
    );
    drop(std::fs::write(
        bench.top().join("filler"),
        vec![1; 400 << 20],
    ));
    for words in [&["snap", "new"][..], &["run", "1", "--", "true"]] {
        bench.rootctl(words).code(3).says(&[
            "free of",
            "are needed",
            "nothing was written",
            "snap delete",
        ]);
    }
    bench.rootctl(&["status"]).code(0).says(&["good       1"]);
    std::fs::remove_file(bench.top().join("filler")).unwrap();
    // btrfs gives room back in its own time.
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let top = bench.top().display().to_string();
        shell(&format!(
            "btrfs subvolume sync {top}; btrfs filesystem sync {top}"
        ));
        if bench.rootctl(&["snap", "new"]).code == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "the room did not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    bench.must_boot();
}

fn second_config() {
    let bench = Bench::with("shadow", &["--loader", "limine"]);
    bench.rootctl(&["snap", "new"]).code(0);
    std::fs::write(bench.esp().join("limine.conf"), "timeout: 5\n").unwrap();
    assert!(
        bench
            .warnings()
            .contains("second Limine config, limine.conf"),
        "{}",
        bench.warnings()
    );
    for words in [&["rollback", "2"][..], &["-n", "rollback", "2"]] {
        bench
            .rootctl(words)
            .code(3)
            .says(&["second Limine config, limine.conf", "rename limine.conf"]);
    }
    assert_eq!(
        std::fs::read_to_string(bench.esp().join("limine.conf")).unwrap(),
        "timeout: 5\n"
    );
    std::fs::remove_file(bench.esp().join("limine.conf")).unwrap();
    bench.rootctl(&["rollback", "2"]).code(0);
}

fn foreign_config() {
    let bench = Bench::empty("foreign", 300);
    let dir = bench.esp().join("EFI/BOOT");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("limine.conf"), "/Other system\n").unwrap();
    // The loader is found by its config; the config is somebody's.
    bench
        .init(&[])
        .code(3)
        .says(&["not written by rootctl", "another name"]);
    assert_eq!(
        std::fs::read_to_string(dir.join("limine.conf")).unwrap(),
        "/Other system\n"
    );
    std::fs::remove_file(dir.join("limine.conf")).unwrap();
    bench.init(&["--loader", "limine"]).code(0);
    assert_eq!(bench.status("loader"), "\"limine\"");
}

fn lost_menu() {
    let bench = two("lost");
    let menu = bench.grub();
    std::fs::write(
        bench.esp().join("rootctl/grub.cfg"),
        "# The boot menu of rootctl, made from its",
    )
    .unwrap();
    assert!(
        bench.warnings().contains("not written by") || bench.warnings().contains("does not fit"),
        "{}",
        bench.warnings()
    );
    for name in ["grub.cfg", "grubenv", "grub.alt"] {
        drop(std::fs::remove_file(bench.esp().join("rootctl").join(name)));
    }
    for entry in std::fs::read_dir(bench.esp().join("rootctl")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(
        bench.warnings().contains("no boot menu")
            && bench.warnings().contains("missing on the ESP"),
        "{}",
        bench.warnings()
    );
    bench
        .rootctl(&["snap", "new", "--from", "1"])
        .code(0)
        .says(&["write the menu anew"]);
    assert_eq!(bench.grub(), menu);
    bench.must_boot();
}

fn bad_roots() {
    for (script, words) in [
        ("rm -r usr/lib/modules", "has no modules"),
        ("rm boot/vmlinuz*", "no kernel"),
        ("rm usr/bin/rinit", "/usr/bin/rinit"),
        ("rm usr/lib/rootctl/rinit-boot", "rinit-boot"),
        ("rm usr/lib/modules/*/modules.dep.bin", "depmod"),
        ("rm -r ./*", "no kernel"),
    ] {
        let bench = Bench::empty("bad-root", 120);
        shell(&format!("cd {} && {script}", bench.root().display()));
        bench.init(&[]).code(3).says(&[words, "next:"]);
        assert!(!bench.store("FORMAT").exists() && !bench.esp().join("rootctl").exists());
        bench
            .rootctl(&["status"])
            .code(1)
            .says(&["holds no store", "store init"]);
    }
    let bench = Bench::empty("no-root", 120);
    for (import, words) in [
        ("/no/such/place", "nothing to import"),
        ("/etc/passwd", "no tar"),
    ] {
        let answer = bench
            .rootctl(&["store", "init", "--import", import])
            .says(&[words]);
        assert_ne!(answer.code, 0);
    }
    bench.init(&["--mode", "image"]).code(2);
    bench
        .init(&["--mode", "nonsense"])
        .code(2)
        .says(&["is no mode"]);
    bench
        .init(&["--cmdline", "a=\"b c\""])
        .code(2)
        .says(&["without quotes"]);
    bench
        .init(&["--name", "../x"])
        .code(2)
        .says(&["is no snapshot name"]);
}

fn hostile_names() {
    let bench = Bench::new("hostile");
    for name in [
        "../../x",
        "a/b",
        "a b",
        "7",
        "@good",
        "a\nb",
        "",
        "\u{1b}[2J",
        &"x".repeat(65),
    ] {
        bench
            .rootctl(&["snap", "new", "--", name])
            .code(2)
            .says(&["is no snapshot name"]);
    }
    for target in ["../1", "1/..", "", "~", "1~x", "@", "\u{1b}[2J", "-1"] {
        let answer = bench.rootctl(&["snap", "show", "--", target]);
        assert_eq!(answer.code, 2, "{target:?}: {}", answer.err);
        assert!(!answer.err.contains('\u{1b}'), "{:?}", answer.err);
    }
    bench.rootctl(&["snap", "new", "-m", "two\nlines"]).code(2);
    bench
        .rootctl(&["deploy", "1", "--mode", "persist:../x"])
        .says(&["snapshot 1 is the good one"]);
    bench.rootctl(&["snap", "new"]).code(0);
    bench
        .rootctl(&["deploy", "2", "--mode", "persist:../x"])
        .code(2)
        .says(&["is no mode"]);
    assert_eq!(bench.status("snapshots"), "2");
}

fn interrupted_init() {
    for at in ["S5-sealed", "S7-published", "E1", "I9"] {
        let bench = Bench::empty("init-cut", 200);
        let root = bench.root().display().to_string();
        let words = ["store", "init", "--import", &root];
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1)
            .says(&["ended without an answer"]);
        bench.rootctl(&["status"]).code(1).says(&["holds no store"]);
        bench.rootctl(&words).code(0);
        assert_eq!(
            (bench.status("good").as_str(), bench.warnings().as_str()),
            ("1", "[]"),
            "{at}"
        );
        bench.must_boot();
    }
}

fn damaged_settings() {
    let bench = two("settings");
    std::fs::write(
        bench.store("settings.toml"),
        "schema = 1\nloader = \"lilo\"\n",
    )
    .unwrap();
    bench.rootctl(&["status"]).code(0).says(&[
        "settings.toml:2:10",
        "good       1",
        "loader     none",
    ]);
    bench
        .rootctl(&["deploy", "2"])
        .code(1)
        .says(&["settings.toml", "repair"]);
    bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
}

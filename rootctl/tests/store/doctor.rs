//! `doctor` and `snap verify`: whatever is broken is found, named, and hides nothing else.

use std::os::unix::fs::FileExt;

use rootspec::protocol::store::{Diagnosis, Finding};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    ("a_healthy_store_has_no_findings", healthy),
    (
        "doctor_names_every_broken_rule_with_the_next_command",
        broken,
    ),
    (
        "doctor_works_on_a_store_that_is_damaged_everywhere",
        all_at_once,
    ),
    ("doctor_fixes_what_an_interrupted_change_left", fixed),
    ("doctor_says_when_there_is_no_room", no_room),
    ("what_is_kept_and_lost_can_be_let_go", lost),
    ("verify_reads_a_snapshot_to_the_last_byte", verified),
    ("verify_notices_what_was_changed_and_sealed_again", changed),
];

/// Checks with findings, each finding as `check: severity: message (next)`.
fn findings(bench: &Bench, words: &[&str]) -> Vec<String> {
    let answer = bench.rootctl(&[words, &["--json"]].concat());
    let found: Diagnosis = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, i32::from(found.has_errors()), "{found:?}");
    let all = found.checks.iter().flat_map(|check| {
        let words = |one: &Finding| {
            let next = one.next.as_deref().unwrap_or("nothing comes next");
            let severity = one.severity.word();
            format!("{}: {severity}: {} ({next})", check.name, one.message)
        };
        check.findings.iter().map(words).collect::<Vec<_>>()
    });
    let all: Vec<String> = all.collect();
    let ends = all
        .iter()
        .filter(|one| one.ends_with("(nothing comes next)"));
    assert_eq!(ends.count(), 0, "{all:?}");
    all
}

fn healthy() {
    let bench = Bench::new("healthy");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["deploy", "web"]).code(0);
    bench.booted(2);
    bench.rootctl(&["boot-ok"]).code(0);
    bench.rootctl(&["snap", "new", "other"]).code(0);
    bench.rootctl(&["snap", "keep", "web"]).code(0);
    bench.rootctl(&["snap", "delete", "other"]).code(0);
    assert_eq!(findings(&bench, &["doctor"]), Vec::<String>::new());
    assert_eq!(
        findings(&bench, &["snap", "verify", "1", "web"]),
        Vec::<String>::new()
    );
    bench
        .rootctl(&["doctor"])
        .code(0)
        .says(&["ok       record", "ok       boot menu"]);
    bench
        .rootctl(&["snap", "verify", "2", "2"])
        .code(0)
        .says(&["ok       snapshot 2", "read snapshot 2"]);
    bench
        .rootctl(&["snap", "verify", "9"])
        .code(1)
        .says(&["no snapshot 9"]);
    let report = std::fs::read_to_string(bench.report()).unwrap();
    let fell_back = report.replace("degraded = false", "degraded = true");
    std::fs::write(bench.report(), fell_back).unwrap();
    let found = findings(&bench, &["doctor"]);
    assert!(
        found.len() == 1
            && found[0].starts_with("this boot: warning: this boot is not what was asked for"),
        "{found:?}"
    );
}

/// One way to break a rule: the shell words that break it, those that mend it, the beginning of what is found, and a part of
/// the rest.
type Case = (String, String, &'static str, &'static str);

/// Folders and names.
fn in_the_layout(bench: &Bench) -> Vec<Case> {
    let path = |name: &str| bench.store(name).display().to_string();
    let over = path("over");
    vec![
        (
            format!("chmod 755 {}", path("")),
            format!("chmod 700 {}", path("")),
            "layout: error",
            "chmod 700",
        ),
        (
            format!("touch {}", path("stray")),
            format!("rm {}", path("stray")),
            "layout: warning",
            "none of ours",
        ),
        (
            format!("mkdir {}", path("snaps/old")),
            format!("rmdir {}", path("snaps/old")),
            "layout: warning",
            "no number",
        ),
        (
            format!("mkdir {}", path("tmp/7")),
            format!("rmdir {}", path("tmp/7")),
            "layout: warning",
            "tmp/",
        ),
        (
            format!("mv {over} {over}.x"),
            format!("mv {over}.x {over}"),
            "layout: error",
            "mkdir -m 700",
        ),
        (
            format!("touch {}", path(".settings.toml.512.tmp")),
            format!("rm {}", path(".settings.toml.512.tmp")),
            "layout: warning",
            "interrupted",
        ),
        (
            format!("mkdir {}", path("trash/x")),
            format!("rmdir {}", path("trash/x")),
            "layout: warning",
            "no number",
        ),
    ]
}

/// Snapshots, their `/etc`, and deleted ones.
fn in_what_it_holds(bench: &Bench) -> Vec<Case> {
    let path = |name: &str| bench.store(name).display().to_string();
    let (etc, web) = (path("etc"), path("snaps/2"));
    let seal = |value: &str| format!("btrfs property set -t subvol {web}/root ro {value}");
    vec![
        (
            seal("false"),
            seal("true"),
            "snapshots: error",
            "rootctl snap new --from 2",
        ),
        (
            format!("echo x > {web}/label.toml"),
            format!("rm {web}/label.toml"),
            "snapshots: warning",
            "rootctl snap rename 2",
        ),
        (
            format!("mv {web}/vmlinuz {web}/k"),
            format!("mv {web}/k {web}/vmlinuz"),
            "snapshots: error",
            "rootctl snap delete 2",
        ),
        (
            format!("mkdir {etc}/9"),
            format!("rmdir {etc}/9"),
            "etc: error",
            "no subvolume",
        ),
        (
            format!("btrfs -q subvolume create {etc}/9"),
            format!("btrfs -q subvolume delete {etc}/9"),
            "etc: warning",
            "belongs to no snapshot",
        ),
        (
            format!("btrfs -q subvolume create {etc}/9.new"),
            format!("btrfs -q subvolume delete {etc}/9.new"),
            "etc: warning",
            "9.new belongs to no snapshot",
        ),
        (
            format!("mv {0}/gone.toml {0}/x", path("trash/3")),
            format!("mv {0}/x {0}/gone.toml", path("trash/3")),
            "trash: warning",
            "when it was deleted",
        ),
    ]
}

/// Persistent roots, and the ESP.
fn elsewhere(bench: &Bench) -> Vec<Case> {
    let over = bench.store("over").display().to_string();
    let esp = bench.esp().join("rootctl").display().to_string();
    let menu = format!("{esp}/grub.cfg");
    vec![
        (
            format!("printf 'schema = 1\\nbase = 2\\ncreated = 1\\n' > {over}/dev.toml"),
            format!("rm {over}/dev.toml"),
            "overlays: warning",
            "announced and not there",
        ),
        (
            format!("mkdir {over}/dev"),
            format!("rmdir {over}/dev"),
            "overlays: error",
            "persistent root dev",
        ),
        (
            format!("printf 'schema = 1\\nbase = 8\\ncreated = 1\\n' > {over}/dev.toml"),
            format!("rm {over}/dev.toml"),
            "overlays: warning",
            "rootctl snap undelete 8",
        ),
        (
            format!("cp {menu} {menu}.x; echo '#' >> {menu}"),
            format!("mv {menu}.x {menu}"),
            "boot menu: error",
            "does not fit",
        ),
        (
            format!("mkdir {esp}/k && mv {esp}/*.vmz {esp}/k"),
            format!("mv {esp}/k/* {esp} && rmdir {esp}/k"),
            "boot menu: error",
            "missing on the ESP",
        ),
    ]
}

/// One rule after the other is broken; each is found alone, and nothing else is.
fn broken() {
    let bench = Bench::new("broken");
    for name in ["web", "gone"] {
        bench.rootctl(&["snap", "new", name]).code(0);
    }
    bench.rootctl(&["snap", "delete", "gone"]).code(0);
    let cases = [
        in_the_layout(&bench),
        in_what_it_holds(&bench),
        elsewhere(&bench),
    ];
    assert_eq!(findings(&bench, &["doctor"]), Vec::<String>::new());
    for (breaking, mending, what, words) in cases.concat() {
        shell(&breaking);
        let found = findings(&bench, &["doctor"]);
        assert!(!found.is_empty(), "{breaking}");
        assert!(
            found
                .iter()
                .any(|one| one.starts_with(what) && one.contains(words)),
            "{breaking}: {found:?}"
        );
        let rule = what.split(':').next().unwrap();
        let others = found.iter().filter(|one| !one.starts_with(rule));
        assert_eq!(
            others.collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{breaking}"
        );
        shell(&mending);
    }
}

fn all_at_once() {
    let bench = Bench::new("everywhere");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    for file in [
        "state.ab",
        "settings.toml",
        "snaps/2/meta.toml",
        "snaps/1/initrd",
    ] {
        std::fs::write(bench.store(file), "nonsense").unwrap();
    }
    std::fs::remove_dir_all(bench.esp().join("rootctl")).unwrap();
    let found = findings(&bench, &["doctor"]);
    for what in [
        "record: error",
        "settings: error",
        "snapshots: error: snapshot 1",
        "snapshots: error: snapshot 2",
    ] {
        assert!(
            found.iter().any(|one| one.starts_with(what)),
            "{what}: {found:?}"
        );
    }
    bench
        .rootctl(&["snap", "verify", "1", "2"])
        .code(1)
        .says(&["snapshot 1 is damaged", "snapshot 2 is damaged"]);
    let written = std::fs::read(bench.store("state.ab")).unwrap();
    assert_eq!(written, b"nonsense", "it only looks");
}

/// A slot of the record, work under way, boot files: what a cut or a bad medium leaves, and the next change mends.
fn fixed() {
    let bench = Bench::new("fix");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["snap", "keep", "web"]).code(0);
    let record = bench.store("state.ab");
    let mut bytes = std::fs::read(&record).unwrap();
    let good = rootspec::state::StateRead::from_bytes(&bytes);
    let older = usize::from(good.state.unwrap().seq % 2 == 0) * rootspec::state::SLOT_SIZE;
    bytes[older + 7] ^= 1;
    std::fs::write(&record, bytes).unwrap();
    std::fs::create_dir(bench.store("tmp/7")).unwrap();
    let copies = |ending: &str| {
        let all = std::fs::read_dir(bench.esp().join("rootctl")).unwrap();
        let all = all.map(|file| file.unwrap().path());
        let some = all.filter(|path| path.extension().is_some_and(|found| found == ending));
        some.collect::<Vec<_>>()
    };
    for initrd in copies("ird") {
        std::fs::remove_file(initrd).unwrap();
    }
    let before = findings(&bench, &["doctor"]);
    let all = ["layout: warning", "record: warning", "boot menu: error"];
    for what in all {
        let named = |one: &String| one.starts_with(what) && one.contains("(rootctl doctor --fix)");
        assert!(before.iter().any(named), "{what}: {before:?}");
    }
    assert_eq!(before.len(), all.len(), "{before:?}");
    // Looked at, and not touched.
    assert_eq!(findings(&bench, &["doctor", "--fix", "-n"]), before);
    bench.rootctl(&["doctor", "--fix"]).code(0).says(&[
        "a slot was damaged",
        "threw away 1",
        "E1 copy initrd",
    ]);
    assert_eq!(findings(&bench, &["doctor"]), Vec::<String>::new());
    bench.must_boot();
    // A copy of the right size with another byte is seen by who reads it.
    for kernel in copies("vmz") {
        let mut bytes = std::fs::read(&kernel).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&kernel, bytes).unwrap();
    }
    bench
        .rootctl(&["snap", "verify", "web"])
        .code(1)
        .says(&[".vmz", "rootctl doctor --fix"]);
    bench.rootctl(&["doctor", "--fix"]).code(0);
    assert_eq!(
        findings(&bench, &["snap", "verify", "web"]),
        Vec::<String>::new()
    );
    bench.must_boot();
}

fn no_room() {
    let bench = Bench::empty("no-room", 115);
    bench.init(&["--loader", "grub"]).code(0);
    let found = findings(&bench, &["doctor"]);
    assert!(
        found.len() == 1
            && found[0].starts_with("room: error")
            && found[0].contains("rootctl snap gc --now"),
        "{found:?}"
    );
}

fn lost() {
    let bench = Bench::new("lost");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["snap", "keep", "web"]).code(0);
    std::fs::rename(bench.store("snaps/2"), bench.dir.join("elsewhere")).unwrap_or_else(
        |_cross_device| {
            shell(&format!(
                "mv {} {}",
                bench.store("snaps/2").display(),
                bench.top().join("elsewhere").display()
            ));
        },
    );
    let found = findings(&bench, &["doctor"]);
    assert!(
        found
            .iter()
            .any(|one| one.contains("record: error: the kept one")
                && one.contains("rootctl snap unkeep 2")),
        "{found:?}"
    );
    bench.rootctl(&["snap", "unkeep", "3"]).code(1);
    bench
        .rootctl(&["snap", "unkeep", "2"])
        .code(0)
        .says(&["kept now: no snapshot"]);
    assert_eq!(findings(&bench, &["doctor"]), Vec::<String>::new());
}

fn verified() {
    let bench = Bench::new("verify");
    // A block that does not fit its checksum, as a disk leaves it: the content is found in the image and one byte turned.
    let words = b"these bytes are nowhere else in this image 7c1f".repeat(200);
    std::fs::write(bench.root().join("etc/large"), &words).unwrap();
    let text = bench.root().join("etc/large").display().to_string();
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let root = bench.store("snaps/2/root");
    shell(&format!(
        "btrfs property set -t subvol {0} ro false && cp {text} {0}/etc/large && sync && btrfs property set -t subvol {0} ro true",
        root.display()
    ));
    shell(&format!("sync -f {}", bench.top().display()));
    let image = std::fs::File::options()
        .read(true)
        .write(true)
        .open(bench.dir.join("image"))
        .unwrap();
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut &image, &mut all).unwrap();
    let at = all
        .windows(47)
        .position(|window| window == &words[..47])
        .unwrap();
    image.write_at(b"X", u64::try_from(at).unwrap()).unwrap();
    image.sync_all().unwrap();
    let found = findings(&bench, &["snap", "verify", "web"]);
    assert!(
        found
            .iter()
            .any(|one| one.contains("snapshot 2: error: cannot read root/etc/large")),
        "{found:?}"
    );
    // A kernel that is not what was published, and one on the ESP.
    let kernel = bench.store("snaps/1/vmlinuz");
    let mut bytes = std::fs::read(&kernel).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&kernel, bytes).unwrap();
    let found = findings(&bench, &["snap", "verify", "1"]);
    assert!(
        found.len() == 1 && found[0].contains("vmlinuz is not what was published"),
        "{found:?}"
    );
    for copy in std::fs::read_dir(bench.esp().join("rootctl")).unwrap() {
        let copy = copy.unwrap().path();
        if copy.extension().is_some_and(|ending| ending == "ird") {
            let mut bytes = std::fs::read(&copy).unwrap();
            bytes[100] ^= 1;
            std::fs::write(&copy, bytes).unwrap();
        }
    }
    assert_eq!(findings(&bench, &["snap", "verify", "1"]).len(), 2);
}

fn changed() {
    let bench = Bench::new("changed");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let root = bench.store("snaps/2/root").display().to_string();
    shell(&format!(
        "btrfs property set -t subvol {root} ro false && echo x > {root}/etc/motd && sync -f {root} && btrfs property set -t subvol {root} ro true"
    ));
    let found = findings(&bench, &["snap", "verify", "web"]);
    assert!(
        found.len() == 1 && found[0].contains("changed after it was published"),
        "{found:?}"
    );
    assert_eq!(
        findings(&bench, &["snap", "verify", "1"]),
        Vec::<String>::new()
    );
}

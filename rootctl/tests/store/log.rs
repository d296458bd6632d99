//! The journal: who did what, what came of it, and that it never stands in the way.

use rootspec::SnapshotId;
use rootspec::protocol::store::{By, Logged, Operation};
use rootspec::state::{SLOT_SIZE, State, StateRead};
use rootspec::trial::{self, Arrival};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    ("the_log_tells_who_did_what_and_what_came_of_it", told),
    ("what_changes_nothing_leaves_no_line", silent),
    ("what_happens_without_being_asked_for_is_told", unasked),
    ("lines_that_cannot_be_read_are_skipped", unreadable),
    ("a_journal_that_cannot_be_written_stops_nothing", unwritable),
    ("a_full_disk_stops_nothing_because_of_the_journal", full),
    ("the_log_of_a_read_only_store_can_be_read", read_only),
    ("the_journal_is_bounded", bounded),
    ("the_log_of_a_snapshot_outlives_it", of_one),
];

fn logged(bench: &Bench, words: &[&str]) -> Logged {
    let all = [&["--json", "log", "--lines", "100000"], words].concat();
    serde_json::from_str(&bench.rootctl(&all).code(0).out).unwrap()
}

fn operations(bench: &Bench) -> Vec<Operation> {
    let logged = logged(bench, &[]);
    assert_eq!(logged.unreadable, Vec::<String>::new());
    logged.operations
}

fn ids(all: &[u32]) -> Vec<SnapshotId> {
    all.iter().filter_map(|n| SnapshotId::new(*n)).collect()
}

fn told() {
    let bench = Bench::new("log");
    bench
        .rootctl(&["snap", "new", "web", "-m", "before it"])
        .code(0);
    bench.rootctl(&["deploy", "web", "--try", "3"]).code(0);
    bench.booted(2);
    bench.rootctl(&["boot-ok"]).code(0);
    bench.rootctl(&["deploy", "web"]).code(3);
    bench
        .rootctl(&["run", "web", "--", "sh", "-c", "exit 3"])
        .code(1);
    bench.rootctl(&["snap", "new", "gone"]).code(0);
    bench.rootctl(&["snap", "delete", "gone"]).code(0);
    let all = operations(&bench);
    let words: Vec<_> = all.iter().map(|one| one.words.as_str()).collect();
    assert!(words[0].starts_with("store init --import /"), "{words:?}");
    assert_eq!(
        words[1..],
        [
            "snap new web --note 'before it'",
            "deploy web --try 3",
            "boot-ok",
            "deploy web",
            "run web -- sh -c 'exit 3'",
            "snap new gone",
            "snap delete 3",
        ]
    );
    for one in &all {
        assert_eq!((one.by, one.uid), (By::Request, Some(0)), "{one:?}");
        assert_eq!(one.user.as_deref(), Some("root"));
        assert!(one.time > 1_600_000_000 && one.boot_id.is_some(), "{one:?}");
    }
    assert_eq!((&all[1].made, &all[1].ids), (&ids(&[2]), &ids(&[2])));
    let trial = all[2].after.as_ref().and_then(|after| after.trial.clone());
    assert_eq!(trial.map(|trial| trial.tries_max), Some(3));
    let (before, after) = (all[3].before.clone(), all[3].after.clone());
    assert_eq!(before.unwrap().good, SnapshotId::new(1));
    let after = after.unwrap();
    assert_eq!(
        (after.good, after.previous, after.trial),
        (SnapshotId::new(2), SnapshotId::new(1), None)
    );
    assert_eq!(
        (all[3].booted, all[3].boot_id.as_deref()),
        (SnapshotId::new(2), Some("b"))
    );
    assert!(
        all[4]
            .error
            .as_ref()
            .unwrap()
            .contains("the good one already")
    );
    assert!(all[5].error.as_ref().unwrap().contains("status 3"));
    assert_eq!((&all[7].gone, &all[7].ids), (&ids(&[3]), &ids(&[3])));
    bench.rootctl(&["log"]).code(0).says(&[
        "root: deploy web --try 3",
        "trial: none -> 2 armed, 0 of 3 tries used",
        "good: 1 -> 2",
        "failed: the command ended with status 3",
        "deleted: 3",
    ]);
    bench
        .rootctl(&["log", "--lines", "1", "--verbose"])
        .code(0)
        .says(&["snapshot 2 was running, boot b", "7 earlier ones"]);
}

fn silent() {
    let bench = Bench::new("silent");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let before = operations(&bench);
    for words in [
        &["status"][..],
        &["snap", "list"],
        &["doctor"],
        &["log"],
        &["snap", "delete", "web", "-n"],
        &["deploy", "web", "-n"],
    ] {
        bench.rootctl(words).code(0);
    }
    bench.booted(1);
    bench.rootctl(&["boot-ok"]).code(0);
    // Nobody got as far as the store.
    bench.rootctl(&["snap", "new", "a/b", "--nonsense"]).code(2);
    assert_eq!(operations(&bench), before);
}

/// The newest record, and where the next one is written.
fn record(bench: &Bench) -> State {
    let bytes = std::fs::read(bench.store("state.ab")).unwrap();
    StateRead::from_bytes(&bytes).state.unwrap()
}

fn unasked() {
    let bench = Bench::new("unasked");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["deploy", "web"]).code(0);
    // The boot stage counts a try.
    let id = SnapshotId::new(2).unwrap();
    let Arrival::Try(next) = trial::arrive(&record(&bench), id, "boot") else {
        panic!("no try")
    };
    let (offset, slot) = next.to_slot().unwrap();
    let path = bench.store("state.ab");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(offset).unwrap();
    bytes[at..at + SLOT_SIZE].copy_from_slice(&slot);
    std::fs::write(&path, bytes).unwrap();
    // The trial never confirms; the loader has no tries left, and the good one boots.
    let env = bench.esp().join("rootctl/grubenv");
    let text = std::fs::read_to_string(&env).unwrap();
    let head = "# GRUB Environment Block\n";
    std::fs::write(&env, format!("{head:#<width$}", width = text.len())).unwrap();
    bench.booted(1);
    let before = operations(&bench).len();
    bench.rootctl(&["snap", "new", "next"]).code(0);
    let all = operations(&bench);
    let [elsewhere, broker, request] = &all[before..] else {
        panic!("{all:?}")
    };
    let trial_of = |one: &Operation| one.after.clone().unwrap().trial.unwrap();
    assert_eq!((elsewhere.by, elsewhere.uid), (By::Elsewhere, None));
    assert_eq!(
        (
            trial_of(elsewhere).phase.as_str(),
            trial_of(elsewhere).attempts
        ),
        ("trying", 1)
    );
    assert_eq!((broker.by, &broker.ids), (By::Broker, &ids(&[2])));
    let failed = trial_of(broker);
    assert_eq!(failed.phase, "failed");
    assert!(failed.reason.unwrap().contains("entered and not confirmed"));
    assert_eq!(
        (request.by, request.words.as_str(), &request.made),
        (By::Request, "snap new next", &ids(&[3]))
    );
    bench.rootctl(&["log"]).code(0).says(&[
        "found changed: by the boot stage",
        "trial: 2 armed, 0 of 2 tries used -> 2 trying, 1 of 2 tries used",
        "rootctld: finished what was left undone",
        "it was entered and not confirmed",
    ]);
}

fn unreadable() {
    let bench = Bench::new("unreadable");
    let file = bench.store("log");
    let first = std::fs::read(&file).unwrap();
    // Another version, bytes that are no text, a line without its fields, and one that was cut off.
    let mut bytes = first.clone();
    bytes.extend(b"{\"schema\":7,\"time\":\"a new form\"}\n\xff\x00\xfe\n{\"schema\":1}\n\n");
    bytes.extend(&first[..first.len() / 2]);
    std::fs::write(&file, bytes).unwrap();
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["deploy", "web"]).code(0);
    let logged = logged(&bench, &[]);
    let words = logged.operations.iter().map(|one| one.words.as_str());
    assert_eq!(
        words.skip(1).collect::<Vec<_>>(),
        ["snap new web", "deploy web"]
    );
    assert_eq!(logged.unreadable.len(), 4, "{:?}", logged.unreadable);
    assert!(logged.unreadable[0].contains("log, line 2: it has format 7"));
    bench
        .rootctl(&["log"])
        .code(0)
        .says(&["root: deploy web", "skipped: log, line 6"]);
    bench.rootctl(&["status"]).code(0);
    bench.rootctl(&["doctor"]).code(0);
}

fn unwritable() {
    let bench = Bench::new("unwritable");
    let log = bench.store("log").display().to_string();
    let outside = bench.dir.join("outside");
    std::fs::write(&outside, "mine\n").unwrap();
    for (number, obstacle) in [
        format!("mkdir {log}"),
        format!("mkfifo {log}"),
        format!("ln -s {} {log}", outside.display()),
        format!("touch {log}; chattr +i {log}"),
        format!("truncate -s 1M {log}; mkdir -p {log}.1/x"),
    ]
    .iter()
    .enumerate()
    {
        shell(&format!("rm -rf {log} && {obstacle}"));
        let name = format!("web{number}");
        bench
            .rootctl(&["snap", "new", &name])
            .code(0)
            .says(&["not in the journal"]);
        bench
            .rootctl(&["snap", "delete", "nobody"])
            .code(1)
            .says(&["nobody"]);
        bench.rootctl(&["log"]).code(0);
        shell(&format!("chattr -i {log} 2>/dev/null; true"));
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine\n");
    assert_eq!(bench.status("snapshots"), "6");
}

fn full() {
    let bench = Bench::new("full");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["snap", "keep", "web"]).code(0);
    // A journal of more than the few bytes that btrfs stores beside the name.
    let log = bench.store("log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text.repeat(20)).unwrap();
    let before = std::fs::read(&log).unwrap();
    let top = bench.top().display().to_string();
    // Down to the last byte that is to be had.
    shell(&format!(
        "for size in 1M 4k 1; do dd if=/dev/zero of={top}/ballast-$size bs=$size count=100000 status=none 2>/dev/null; sync -f {top}; done; true"
    ));
    bench.rootctl(&["snap", "new", "more"]).code(3);
    // It has nothing to write but its line.
    bench
        .rootctl(&["snap", "keep", "web"])
        .code(0)
        .says(&["not in the journal", "No space left"]);
    bench.rootctl(&["log"]).code(0);
    assert_eq!(std::fs::read(&log).unwrap(), before, "and no half line");
    shell(&format!("rm {top}/ballast-*; sync -f {top}"));
    bench.rootctl(&["snap", "new", "more"]).code(0);
    let last = operations(&bench).pop().unwrap();
    assert_eq!(last.words, "snap new more");
}

fn read_only() {
    let bench = Bench::new("read-only");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let before = operations(&bench);
    let top = bench.top().display().to_string();
    shell(&format!("mount -o remount,ro {top}"));
    let refused = bench.rootctl(&["snap", "new", "more"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(!refused.err.contains("journal"), "{refused:?}");
    assert_eq!(operations(&bench), before);
    shell(&format!("mount -o remount,rw {top}"));
}

fn bounded() {
    let bench = Bench::new("bounded");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let (log, old) = (bench.store("log"), bench.store("log.1"));
    let size = |path: &std::path::Path| path.metadata().map_or(0, |found| found.len());
    let text = std::fs::read_to_string(&log).unwrap();
    let line = text.lines().next_back().unwrap();
    let most: usize = 256 * 1024;
    for round in 0..2 {
        let before = operations(&bench).len();
        let mut text = std::fs::read_to_string(&log).unwrap();
        while text.len() + line.len() < most {
            text.push_str(&format!("{line}\n"));
        }
        std::fs::write(&log, &text).unwrap();
        bench.rootctl(&["snap", "note", "web", "a note"]).code(0);
        assert!(size(&log) < 4096, "{}", size(&log));
        assert!(size(&old) <= 256 * 1024, "{}", size(&old));
        let after = operations(&bench);
        assert_eq!(after.last().unwrap().words, "snap note web 'a note'");
        assert!(after.len() > before && after.len() > 100, "{round}");
    }
    // What boots is known across the two files: nothing is told as found changed.
    bench.rootctl(&["deploy", "web"]).code(0);
    assert!(operations(&bench).iter().all(|one| one.by == By::Request));
}

fn of_one() {
    let bench = Bench::new("of-one");
    for name in ["web", "other"] {
        bench.rootctl(&["snap", "new", name]).code(0);
    }
    bench.rootctl(&["deploy", "web"]).code(0);
    bench.rootctl(&["deploy", "other"]).code(0);
    bench.rootctl(&["snap", "delete", "web"]).code(0);
    let words = |target: &str| -> Vec<String> {
        let logged = logged(&bench, &["--snapshot", target]);
        logged.operations.into_iter().map(|one| one.words).collect()
    };
    let all = [
        "snap new web",
        "deploy web",
        "deploy other",
        "snap delete 2",
    ];
    assert_eq!(words("2"), all);
    assert_eq!(words("web"), all, "by the name of a deleted one");
    bench.rootctl(&["snap", "delete", "--now", "web"]).code(0);
    assert_eq!(words("2").len(), 5);
    bench
        .rootctl(&["log", "--snapshot", "nobody"])
        .code(1)
        .says(&["nobody"]);
}

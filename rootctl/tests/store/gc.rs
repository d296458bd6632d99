//! `snap gc`: what it says is what it does, and what must stay stays.

use rootspec::protocol::store::{Collected, Fate};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    ("gc_does_what_its_plan_says", as_planned),
    ("gc_never_takes_what_must_stay", guarded),
    ("gc_throws_away_what_was_deleted_long_ago", old_trash),
    ("gc_is_not_fooled_by_the_clock_or_by_damage", odd_dates),
    ("gc_refuses_policies_that_mean_nothing", bad_policies),
    ("gc_takes_only_what_somebody_agreed_to", only),
];

/// Sets when a snapshot was made, as if days had passed.
fn made(bench: &Bench, id: u32, time: u64) {
    let path = bench.store(&format!("snaps/{id}/meta.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("created", _)) => format!("created = {time}\n"),
        _ => format!("{line}\n"),
    });
    std::fs::write(&path, lines.collect::<String>()).unwrap();
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// A store with this many snapshots, each a day older than the next.
fn days(name: &str, count: u32) -> Bench {
    let bench = Bench::new(name);
    for id in 1..=count {
        if id > 1 {
            bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
        }
        made(&bench, id, now() - u64::from(count - id) * 86_400);
    }
    bench
}

fn plan(bench: &Bench, words: &[&str]) -> Collected {
    let words = [&["snap", "gc", "-n", "--json"], words].concat();
    serde_json::from_str(&bench.rootctl(&words).code(0).out).unwrap()
}

fn of(plan: &Collected, verdict: Fate) -> Vec<u32> {
    let some = plan.snapshots.iter().filter(|one| one.verdict == verdict);
    some.map(|one| one.id.get()).collect()
}

fn there(bench: &Bench, folder: &str) -> Vec<u32> {
    let all = std::fs::read_dir(bench.store(folder)).unwrap();
    let mut ids: Vec<u32> = all
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    ids.sort_unstable();
    ids
}

fn as_planned() {
    let bench = days("gc", 8);
    let ask = plan(&bench, &["--keep", "last=2,daily=4"]);
    assert_eq!(
        (of(&ask, Fate::Trash), of(&ask, Fate::Purge)),
        (vec![2, 3, 4], vec![])
    );
    bench
        .rootctl(&["snap", "gc", "--keep", "last=2,daily=4", "-n"])
        .code(0)
        .says(&[
            "nothing was changed; by the policy last=2,daily=4,weekly=0,monthly=0,trash=14",
            "is the base",
            "newest of its day",
        ]);
    assert_eq!(there(&bench, "snaps").len(), 8);
    bench
        .rootctl(&["snap", "gc", "--keep", "last=2,daily=4"])
        .code(0)
        .says(&["deleted: 2, 3, 4"]);
    assert_eq!(
        (there(&bench, "snaps"), there(&bench, "trash")),
        (vec![1, 5, 6, 7, 8], vec![2, 3, 4])
    );
    bench
        .rootctl(&["snap", "gc", "--keep", "last=2,daily=4"])
        .code(0)
        .says(&["nothing is to be deleted"]);
    bench.rootctl(&["snap", "undelete", "3"]).code(0);
    bench
        .rootctl(&["snap", "gc"])
        .code(0)
        .says(&["nothing is to be deleted"]);
    // For good: what goes, and the trash.
    let ask = plan(&bench, &["--keep", "last=2", "--now"]);
    assert_eq!(
        (of(&ask, Fate::Trash), of(&ask, Fate::Purge)),
        (vec![], vec![3, 5, 6, 2, 4])
    );
    bench
        .rootctl(&["snap", "gc", "--keep", "last=2", "--now"])
        .code(0)
        .says(&["thrown away: 3, 5, 6, 2, 4"]);
    assert_eq!(
        (there(&bench, "snaps"), there(&bench, "trash")),
        (vec![1, 7, 8], vec![])
    );
    bench.must_boot();
}

fn guarded() {
    let bench = days("gc-guards", 8);
    bench.rootctl(&["deploy", "2"]).code(0);
    bench.booted(2);
    bench.rootctl(&["boot-ok"]).code(0);
    bench.rootctl(&["deploy", "3"]).code(0);
    bench.booted(4);
    bench.rootctl(&["snap", "keep", "5"]).code(0);
    // 6 was deployed once, and the first boot of 7 takes over its /etc.
    shell(&format!(
        "btrfs subvolume create {}",
        bench.store("etc/6").display()
    ));
    bench.rootctl(&["run", "6", "--", "echo"]).code(0);
    made(&bench, 9, now());
    let ask = plan(&bench, &["--keep", "last=1"]);
    assert_eq!(of(&ask, Fate::Trash), [7, 8], "{ask:?}");
    bench.rootctl(&["snap", "gc", "--keep", "last=1"]).code(0);
    assert_eq!(there(&bench, "snaps"), [1, 2, 3, 4, 5, 6, 9]);
    bench.must_boot();
    assert_eq!(bench.status("good"), "2");
    // Without the record nobody knows what boots.
    std::fs::write(bench.store("state.ab"), "nonsense").unwrap();
    for words in [
        &["snap", "gc", "-n"][..],
        &["snap", "gc", "--keep", "last=1"],
    ] {
        bench
            .rootctl(words)
            .code(3)
            .says(&["cannot be read", "rootctl rollback N"]);
    }
    assert_eq!(there(&bench, "snaps").len(), 7);
}

fn old_trash() {
    let bench = days("gc-trash", 4);
    bench.rootctl(&["snap", "delete", "2", "3", "4"]).code(0);
    let gone = |id: u32, text: &str| {
        std::fs::write(bench.store(&format!("trash/{id}/gone.toml")), text).unwrap();
    };
    gone(
        2,
        &format!("schema = 1\ndeleted = {}\n", now() - 15 * 86_400),
    );
    gone(3, "");
    let ask = plan(&bench, &[]);
    assert_eq!(
        (of(&ask, Fate::Purge), of(&ask, Fate::Stays)),
        (vec![2], vec![1, 3, 4])
    );
    bench
        .rootctl(&["snap", "gc", "-n"])
        .code(0)
        .says(&["nobody knows when it was deleted", "less than 14 days ago"]);
    bench
        .rootctl(&["snap", "gc"])
        .code(0)
        .says(&["thrown away: 2"]);
    bench
        .rootctl(&["snap", "gc", "--keep", "last=1,trash=0"])
        .code(0)
        .says(&["thrown away: 4"]);
    assert_eq!(there(&bench, "trash"), [3]);
    bench
        .rootctl(&["snap", "gc", "--now"])
        .code(0)
        .says(&["thrown away: 3"]);
}

fn odd_dates() {
    let bench = days("gc-dates", 6);
    made(&bench, 2, now() + 86_400);
    std::fs::write(bench.store("snaps/3/meta.toml"), "schema = 1\n").unwrap();
    std::fs::write(bench.store("snaps/4/vmlinuz"), "cut").unwrap();
    let ask = plan(&bench, &["--keep", "last=1"]);
    assert_eq!(of(&ask, Fate::Trash), [5], "{ask:?}");
    bench
        .rootctl(&["snap", "gc", "-n"])
        .code(0)
        .says(&["the clock is wrong", "it is damaged: a person decides"]);
}

fn bad_policies() {
    let bench = days("gc-policies", 2);
    for policy in [
        "",
        "last",
        "last=-1",
        "last=0",
        "trash=5",
        "yearly=3",
        "last=1,last=1",
        "last=1;rm",
        "last=18446744073709551616",
    ] {
        bench
            .rootctl(&["snap", "gc", &format!("--keep={policy}")])
            .code(2)
            .says(&["cannot be used", "next: rootctl snap gc --keep"]);
    }
    assert_eq!(there(&bench, "snaps"), [1, 2]);
}

fn only() {
    let bench = days("gc-only", 5);
    // What came to be deletable after somebody looked stays: 3 and 4 were not among what they saw.
    let asked = serde_json::json!({"keep": "last=1", "only": [2, 77]});
    let done = super::socket::call(&bench, "org.rootctl.Store.Collect", &asked);
    let done: Collected = serde_json::from_value(done).unwrap();
    assert_eq!(of(&done, Fate::Trash), [2]);
    assert_eq!(
        (there(&bench, "snaps"), there(&bench, "trash")),
        (vec![1, 3, 4, 5], vec![2])
    );
}

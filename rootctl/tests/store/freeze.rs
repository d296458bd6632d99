//! Snapshots that may be changed in place for a while: marked, tried, and never what boots by default.

use super::Test;
use super::bench::{Bench, RELEASE, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "an_unfrozen_snapshot_is_changed_in_place_and_frozen_with_what_it_holds",
        changed_in_place,
    ),
    (
        "an_unfrozen_snapshot_runs_on_trial_and_the_default_stays",
        never_the_default,
    ),
    (
        "a_kernel_that_came_while_unfrozen_is_what_boots_once_frozen",
        new_kernel,
    ),
    ("what_anything_relies_on_stays_frozen", guarded),
    ("nothing_is_made_from_what_may_still_change", no_ground),
    ("what_cannot_be_a_snapshot_stays_unfrozen", broken),
    ("a_freeze_cut_at_any_step_is_done_or_not_done", cut),
];

/// A store with a snapshot 2, `box`, that nothing relies on.
fn one_more(name: &str) -> Bench {
    let bench = Bench::new(name);
    bench
        .rootctl(&["snap", "new", "box", "--note", "mine"])
        .code(0);
    bench
}

fn write(bench: &Bench, path: &str, content: &str) -> std::io::Result<()> {
    std::fs::write(bench.store(&format!("snaps/2/root/{path}")), content)
}

#[track_caller]
fn marks(bench: &Bench) -> String {
    let shown = bench.rootctl(&["snap", "show", "2", "--json"]).code(0);
    let list: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    list["snapshots"][0]["marks"].to_string()
}

fn changed_in_place() {
    let bench = one_more("unfreeze");
    bench.booted(1);
    assert!(write(&bench, "usr/x", "x").is_err(), "it is read-only");
    bench
        .rootctl(&["snap", "unfreeze", "box", "-n"])
        .code(0)
        .says(&["mark snapshot 2 as unfrozen"]);
    assert_eq!(marks(&bench), "[]");
    let done = bench
        .rootctl(&["snap", "unfreeze", "box", "--json"])
        .code(0);
    let done: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&done["id"], &done["frozen"]), (&2.into(), &false.into()));
    assert_eq!(marks(&bench), "[\"unfrozen\"]");
    write(&bench, "usr/x", "x").unwrap();
    bench
        .rootctl(&["snap", "unfreeze", "2"])
        .code(0)
        .says(&["unfrozen already"]);
    bench.rootctl(&["doctor"]).code(0);
    bench
        .rootctl(&["snap", "verify", "2"])
        .code(0)
        .says(&["compared with nothing"]);
    // Names go on as before, and a mark is not lost with them.
    bench.rootctl(&["snap", "rename", "2", "crate"]).code(0);
    assert_eq!(marks(&bench), "[\"unfrozen\"]");
    let plan = bench.rootctl(&["snap", "gc", "--keep", "last=1", "-n"]);
    plan.code(0);
    bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
    bench
        .rootctl(&["snap", "gc", "--keep", "last=1", "-n"])
        .code(0)
        .says(&["it is unfrozen: a person decides"]);
    // It may be deleted by hand, and comes back as it was.
    bench.rootctl(&["snap", "delete", "crate"]).code(0);
    bench.rootctl(&["snap", "undelete", "crate"]).code(0);
    assert_eq!(marks(&bench), "[\"unfrozen\"]");
    write(&bench, "usr/y", "y").unwrap();

    bench
        .rootctl(&["snap", "freeze", "crate", "-n"])
        .code(0)
        .says(&["publish it under the same number"]);
    assert!(write(&bench, "usr/z", "z").is_ok(), "that was only a plan");
    bench.rootctl(&["snap", "freeze", "crate"]).code(0);
    assert_eq!(marks(&bench), "[]");
    assert!(write(&bench, "usr/x", "else").is_err());
    bench
        .rootctl(&["diff", "crate"])
        .code(0)
        .says(&["/usr/x", "/usr/y", "/usr/z"]);
    bench.rootctl(&["snap", "verify", "1", "2"]).code(0);
    bench.rootctl(&["doctor"]).code(0);
    bench
        .rootctl(&["snap", "show", "2"])
        .code(0)
        .says(&["crate", "mine", "copy: of 1"]);
    bench
        .rootctl(&["snap", "freeze", "2"])
        .code(0)
        .says(&["frozen already"]);
    bench
        .rootctl(&["log"])
        .code(0)
        .says(&["snap unfreeze box", "snap freeze crate"]);
    let left = std::fs::read_dir(bench.store("tmp")).unwrap().count();
    assert_eq!(left, 0, "the other root is gone");
}

fn never_the_default() {
    let bench = one_more("unfrozen-trial");
    bench.booted(1);
    bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
    bench
        .rootctl(&["deploy", "2", "--mode", "tmpfs"])
        .code(3)
        .says(&["mode rw only", "rootctl snap freeze 2"]);
    bench
        .rootctl(&["rollback", "2"])
        .code(3)
        .says(&["cannot be the default", "rootctl snap freeze 2"]);
    bench
        .rootctl(&["rollback", "2", "-n"])
        .code(3)
        .says(&["rootctl snap freeze 2"]);
    bench.rootctl(&["deploy", "2"]).code(0);
    assert!(bench.grub().contains("rootctl.mode=rw"));
    assert_eq!(bench.menu(), [1, 2]);
    for verb in ["freeze", "unfreeze"] {
        let answer = bench.rootctl(&["snap", verb, "2"]);
        if verb == "freeze" {
            answer.code(3).says(&["is on trial", "rootctl rollback"]);
        } else {
            answer.code(0).says(&["already"]);
        }
    }
    // It boots, all is well with it, and the machine still boots the good one by itself.
    bench.booted(2);
    bench
        .rootctl(&["snap", "freeze", "2"])
        .code(3)
        .says(&["is running", "boot another one"]);
    bench
        .rootctl(&["boot-ok"])
        .code(0)
        .says(&["the default stays what it was"]);
    assert_eq!(
        (
            bench.status("good"),
            bench.status("next"),
            bench.status("trial")
        ),
        ("1".into(), "1".into(), String::new())
    );
    assert_eq!(bench.menu(), [1]);
    assert!(!bench.grubenv().contains("rootctl_trial"));
    bench.rootctl(&["boot-ok"]).code(0);
    assert_eq!(bench.status("good"), "1");
    // A trial that was judged bad is none that ran well.
    bench.rootctl(&["deploy", "2"]).code(0);
    bench.rootctl(&["boot-ok", "--reject", "no sshd"]).code(0);
    bench.rootctl(&["boot-ok"]).code(3).says(&["judged bad"]);
    bench.booted(1);
    // Frozen, it is a snapshot like any other, and read-only.
    bench.rootctl(&["snap", "freeze", "2"]).code(0);
    bench.rootctl(&["deploy", "2"]).code(0);
    assert!(!bench.grub().contains("rootctl.mode=rw"));
    bench.booted(2);
    bench.rootctl(&["boot-ok"]).code(0);
    assert_eq!(bench.status("good"), "2");
    assert_eq!(bench.warnings(), "[]");
}

fn new_kernel() {
    let bench = one_more("unfrozen-kernel");
    let published = |file: &str| std::fs::read(bench.store(&format!("snaps/2/{file}"))).unwrap();
    let (old_kernel, old_initrd) = (published("vmlinuz"), published("initrd"));
    bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
    write(&bench, "usr/x", "x").unwrap();
    bench.rootctl(&["snap", "freeze", "2"]).code(0);
    assert!(published("vmlinuz") == old_kernel && published("initrd") == old_initrd);
    bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
    write(
        &bench,
        &format!("boot/vmlinuz-{RELEASE}"),
        "another kernel\n",
    )
    .unwrap();
    write(&bench, "usr/lib/rootctl/rinit-boot", "another stage").unwrap();
    bench
        .rootctl(&["snap", "freeze", "2"])
        .code(0)
        .says(&["boot stage changed"]);
    assert_eq!(published("vmlinuz"), b"another kernel\n");
    assert!(published("initrd") != old_initrd);
    bench.rootctl(&["snap", "verify", "2"]).code(0);
    bench.rootctl(&["deploy", "2"]).code(0);
    bench.must_boot();
}

fn guarded() {
    let bench = Bench::new("unfreeze-guards");
    let no = |target: &str, words: &[&str]| {
        for more in [&[][..], &["-n"]] {
            let words_in = [&["snap", "unfreeze", target], more].concat();
            bench.rootctl(&words_in).code(3).says(words);
        }
    };
    no("1", &["is good", "rootctl snap new --from 1"]);
    for name in ["second", "third", "parent", "running"] {
        bench.rootctl(&["snap", "new", name, "--from", "1"]).code(0);
    }
    bench.booted(5);
    no("running", &["is running"]);
    bench.rootctl(&["rollback", "second"]).code(0);
    no("second", &["is good"]);
    no("1", &["was good before"]);
    bench.rootctl(&["rollback", "third"]).code(0);
    no("1", &["is the base"]);
    bench.rootctl(&["deploy", "parent"]).code(0);
    no("parent", &["is on trial"]);
    bench.rootctl(&["rollback"]).code(0);
    bench.rootctl(&["snap", "keep", "parent"]).code(0);
    no("parent", &["is kept", "rootctl snap unkeep 4"]);
    bench.rootctl(&["snap", "unkeep", "parent"]).code(0);

    // What was made from it tells its own change from it: there, in a session, or in the trash.
    bench
        .rootctl(&["shell", "parent", "--hold", "--", "mkdir", "/usr/own"])
        .code(0);
    no("parent", &["session 6 was made from"]);
    bench.rootctl(&["session", "drop", "6"]).code(0);
    bench
        .rootctl(&["snap", "new", "child", "--from", "parent"])
        .code(0);
    no("parent", &["was made from snapshot 4", "--from 4"]);
    bench.rootctl(&["snap", "delete", "child"]).code(0);
    no("parent", &["deleted snapshot", "rootctl snap delete --now"]);
    bench.rootctl(&["snap", "delete", "--now", "child"]).code(0);
    bench.rootctl(&["snap", "unfreeze", "parent"]).code(0);

    for bad in ["99", "../1", "x y", "@nobody"] {
        let code = bench.rootctl(&["snap", "unfreeze", bad]).code;
        assert!(code == 1 || code == 2, "{bad}: {code}");
    }
    for words in [&["snap", "freeze"][..], &["snap", "unfreeze", "1", "2"]] {
        bench.rootctl(words).code(2);
    }
}

fn no_ground() {
    let bench = one_more("unfrozen-ground");
    bench.booted(1);
    bench.rootctl(&["snap", "new", "other"]).code(0);
    bench.rootctl(&["snap", "unfreeze", "box"]).code(0);
    for words in [
        &["snap", "new", "--from", "box"][..],
        &["run", "box", "--", "true"],
        &["run", "box", "-n", "--", "true"],
        &["shell", "box", "--hold", "--", "true"],
        &["rebase", "other", "--onto", "box"],
        &["rebase", "box", "--onto", "other"],
        &["snap", "revert", "box", "--from", "box"],
        &["snap", "keep", "box"],
    ] {
        bench
            .rootctl(words)
            .code(3)
            .says(&["is unfrozen", "rootctl snap freeze 2"]);
    }
    assert_eq!(bench.status("snapshots"), "3");
    bench.rootctl(&["snap", "freeze", "box"]).code(0);
    bench.rootctl(&["snap", "new", "--from", "box"]).code(0);
}

fn broken() {
    let bench = one_more("unfrozen-broken");
    bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
    std::fs::remove_file(bench.store("snaps/2/root/usr/bin/rinit")).unwrap();
    bench
        .rootctl(&["snap", "freeze", "2"])
        .code(3)
        .says(&["/usr/bin/rinit", "it stays unfrozen"]);
    assert_eq!(marks(&bench), "[\"unfrozen\"]");
    write(&bench, "usr/bin/rinit", "rinit").unwrap();
    shell(&format!(
        "chmod 755 {}",
        bench.store("snaps/2/root/usr/bin/rinit").display()
    ));
    bench.rootctl(&["snap", "freeze", "2"]).code(0);
    bench.rootctl(&["doctor"]).code(0);
}

fn cut() {
    let bench = one_more("freeze-cut");
    bench.booted(1);
    for at in ["U1-marked", "U2-open"] {
        bench
            .rootctl_with(&["snap", "unfreeze", "2"], &[("ROOTCTLD_DIE_AT", at)])
            .code(1)
            .says(&["ended without an answer"]);
        assert_eq!(marks(&bench), "[\"unfrozen\"]", "{at}");
        bench.rootctl(&["doctor"]).code(0);
        bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
        write(&bench, "usr/x", at).unwrap();
        bench.rootctl(&["snap", "freeze", "2"]).code(0);
        bench.rootctl(&["snap", "verify", "2"]).code(0);
    }
    for at in [
        "F1-mode",
        "F2-copied",
        "S5-sealed",
        "S6-synced",
        "S7-published",
    ] {
        bench.rootctl(&["snap", "unfreeze", "2"]).code(0);
        bench.rootctl(&["deploy", "2"]).code(0);
        bench.rootctl(&["rollback"]).code(0);
        write(&bench, "usr/x", at).unwrap();
        write(&bench, "usr/lib/rootctl/rinit-boot", at).unwrap();
        bench
            .rootctl_with(&["snap", "freeze", "2"], &[("ROOTCTLD_DIE_AT", at)])
            .code(1)
            .says(&["ended without an answer"]);
        let done = at == "S7-published";
        assert_eq!(marks(&bench) == "[]", done, "{at}");
        assert_eq!(write(&bench, "usr/y", at).is_err(), done, "{at}");
        bench.rootctl(&["snap", "freeze", "2"]).code(0);
        // Whatever the cut left is cleared by the next change.
        bench.rootctl(&["snap", "note", "2", at]).code(0);
        let left = std::fs::read_dir(bench.store("tmp")).unwrap().count();
        assert_eq!(left, 0, "{at}");
        let held = std::fs::read_to_string(bench.store("snaps/2/root/usr/x"));
        assert_eq!(held.unwrap(), at);
        bench.rootctl(&["snap", "verify", "2"]).code(0);
        bench.rootctl(&["doctor"]).code(0);
        bench.rootctl(&["deploy", "2"]).code(0);
        bench.must_boot();
        bench.rootctl(&["rollback"]).code(0);
    }
}

//! Changes made once more on another snapshot, or undone: all of it, or nothing.

use super::Test;
use super::bench::Bench;

pub(crate) const TESTS: &[Test] = &[
    ("a_change_is_made_once_more_on_another_snapshot", rebased),
    (
        "what_was_made_from_a_snapshot_follows_it_and_each_comes_once",
        recursive,
    ),
    ("what_does_not_fit_is_named_and_nothing_changes", conflicts),
    ("a_change_is_undone_and_later_ones_stay", reverted),
    ("a_rebase_cut_at_any_step_leaves_all_or_nothing", rebase_cut),
    (
        "a_sync_takes_everything_to_the_newest_version_and_does_so_once",
        synced,
    ),
    (
        "a_new_base_and_what_was_made_from_the_old_one_come_together",
        base_updated,
    ),
    ("a_sync_cut_at_any_step_leaves_all_or_nothing", sync_cut),
    ("hostile_words_for_a_rebase_are_refused", hostile),
];

/// Runs a script in a copy of `from`, named `name`.
#[track_caller]
fn change(bench: &Bench, from: &str, name: &str, script: &str) {
    bench
        .rootctl(&["run", from, "--name", name, "--", "sh", "-ec", script])
        .code(0);
}

/// What a file of a snapshot holds.
fn read(bench: &Bench, id: u32, path: &str) -> Option<String> {
    std::fs::read_to_string(bench.store(&format!("snaps/{id}/root/{path}"))).ok()
}

/// Nothing unfinished lies about.
#[track_caller]
fn must_be_tidy(bench: &Bench) {
    for folder in ["tmp", "sessions"] {
        if let Ok(mut left) = std::fs::read_dir(bench.store(folder)) {
            assert!(left.next().is_none(), "{folder}");
        }
    }
    assert!(!bench.store("ready").exists());
    bench.rootctl(&["doctor"]).code(0);
}

fn rebased() {
    let bench = Bench::new("rebase");
    let script = "echo app > /usr/app; chown 12:34 /usr/app; chmod 4751 /usr/app; ln /usr/app /usr/again; \
                  mkdir -m 710 /usr/own; echo x > /usr/own/x; ln -s ../app /usr/own/link; \
                  echo 'app:x:700:700::/:/bin/sh' >> /etc/passwd; rm /usr/lib/os-release; echo ID=app > /etc/os-release";
    change(&bench, "1", "app", script);
    let script = "echo new > /usr/base; echo 'new:x:701:701::/:/bin/sh' >> /etc/passwd; mkdir -m 710 /usr/own; echo y > /usr/own/y";
    change(&bench, "1", "ground", script);
    let plan = bench.rootctl(&["rebase", "app", "--onto", "ground", "-n"]);
    plan.code(0).says(&["the change of 2 on 3, as 4", "paths"]);
    assert_eq!(bench.status("snapshots"), "3");
    let made = bench
        .rootctl(&["rebase", "app", "--onto", "ground"])
        .code(0);
    assert_eq!(made.out, "4\n");
    for (path, content) in [
        ("usr/app", Some("app\n")),
        ("usr/base", Some("new\n")),
        ("usr/own/x", Some("x\n")),
        ("usr/own/y", Some("y\n")),
        ("usr/lib/os-release", None),
    ] {
        assert_eq!(read(&bench, 4, path).as_deref(), content, "{path}");
    }
    let users = read(&bench, 4, "etc/passwd").unwrap();
    assert!(
        users.contains("app:x:700") && users.contains("new:x:701"),
        "{users}"
    );
    use std::os::unix::fs::MetadataExt;
    let look = |id: u32, path: &str| {
        let path = bench.store(&format!("snaps/{id}/root/{path}"));
        let found = path.symlink_metadata().unwrap();
        (
            found.mode(),
            found.uid(),
            found.gid(),
            found.mtime(),
            found.nlink(),
        )
    };
    for path in ["usr/app", "usr/again", "usr/own/link"] {
        assert_eq!(look(2, path), look(4, path), "{path}");
    }
    assert_eq!(
        look(4, "usr/app").4,
        2,
        "it is one file with two names, as before"
    );
    // The name means the newest; its history is that of what it is made from.
    bench
        .rootctl(&["snap", "show", "app"])
        .code(0)
        .says(&["parent  3", "rebase: the change of 2 on 3"]);
    let history = bench.rootctl(&["snap", "history", "app"]).code(0).out;
    let numbers: Vec<&str> = history
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(numbers, ["4", "3", "1"], "{history}");
    bench.rootctl(&["snap", "delete", "app"]).code(0);
    bench.rootctl(&["snap", "delete", "ground"]).code(0);
    bench.rootctl(&["snap", "undelete", "app"]).code(0);
    let history = bench.rootctl(&["snap", "history", "4"]).code(0).out;
    assert!(
        history.contains("deleted") && history.contains("ground"),
        "{history}"
    );
    bench.rootctl(&["snap", "undelete", "ground"]).code(0);
    bench.rootctl(&["diff", "4"]).code(0).says(&["/usr/app"]);
    bench.rootctl(&["snap", "verify", "4"]).code(0);
    bench.rootctl(&["deploy", "4"]).code(0);
    bench.must_boot();
    bench
        .rootctl(&["log", "--snapshot", "4"])
        .code(0)
        .says(&["rebase app --onto ground"]);
    must_be_tidy(&bench);
}

/// 2 from 1; 3 and 5 from 2; 4 from 3, which is deleted; 6 from 1, with a kernel of its own.
fn family(name: &str) -> Bench {
    let bench = Bench::new(name);
    change(&bench, "1", "two", "echo 2 > /usr/two");
    change(&bench, "2", "three", "echo 3 > /usr/three");
    change(&bench, "3", "four", "echo 4 > /usr/four");
    change(&bench, "2", "five", "echo 5 > /usr/five; rm /usr/two");
    change(
        &bench,
        "1",
        "six",
        "echo 6 > /usr/six; echo k > /boot/vmlinuz-6.1.0-test",
    );
    bench.rootctl(&["snap", "delete", "three"]).code(0);
    bench
}

fn recursive() {
    let bench = family("rebase-all");
    let plan = bench
        .rootctl(&["rebase", "two", "--onto", "six", "-r", "-n"])
        .code(0);
    plan.says(&["of 2 on 6, as 7", "of 4 on 7, as 8", "of 5 on 7, as 9"]);
    let made = bench
        .rootctl(&["rebase", "two", "--onto", "six", "-r"])
        .code(0);
    assert_eq!(made.out, "7\n8\n9\n");
    for (id, files) in [(7, "two six"), (8, "two four six"), (9, "five six")] {
        let found: Vec<&str> = ["two", "four", "five", "six"]
            .into_iter()
            .filter(|file| read(&bench, id, &format!("usr/{file}")).is_some())
            .collect();
        assert_eq!(found.join(" "), files, "{id}");
        let kernel = std::fs::read(bench.store(&format!("snaps/{id}/vmlinuz"))).unwrap();
        assert_eq!(kernel, b"k\n", "{id}");
    }
    let list = bench.rootctl(&["snap", "tree"]).code(0).out;
    assert_eq!(list.matches("four").count(), 2, "{list}");
    bench.rootctl(&["snap", "verify", "7", "8", "9"]).code(0);
    must_be_tidy(&bench);
}

fn conflicts() {
    let bench = Bench::new("rebase-conflict");
    change(
        &bench,
        "1",
        "one",
        "echo a > /usr/same; echo a > /usr/other; rm /etc/passwd; echo a > /usr/fine",
    );
    change(
        &bench,
        "1",
        "ground",
        "echo b > /usr/same; echo x >> /etc/passwd; echo a > /usr/other",
    );
    change(&bench, "one", "child", "echo c > /usr/child");
    for words in [
        &["rebase", "one", "--onto", "ground"][..],
        &["rebase", "one", "--onto", "ground", "-n"],
        &["rebase", "one", "--onto", "ground", "-r"],
    ] {
        let said = bench.rootctl(words).code(6);
        let said = said.says(&["/usr/same", "/etc/passwd", "nothing was changed", "--leave"]);
        assert!(
            !said.err.contains("/usr/other"),
            "both made it the same: {}",
            said.err
        );
        assert_eq!(bench.status("snapshots"), "4");
        must_be_tidy(&bench);
    }
    let left = bench
        .rootctl(&["rebase", "one", "--onto", "ground", "-r", "--leave"])
        .code(0);
    assert_eq!(left.out, "5\n6\n");
    assert!(
        left.err
            .contains("5 is as it was in 3: /usr/same, /etc/passwd"),
        "{}",
        left.err
    );
    assert_eq!(read(&bench, 5, "usr/same").unwrap(), "b\n");
    assert_eq!(
        read(&bench, 6, "usr/fine").unwrap() + &read(&bench, 6, "usr/child").unwrap(),
        "a\nc\n"
    );
    // The second of two does not fit: nor does the first come.
    change(&bench, "1", "late", "echo late > /usr/child");
    bench
        .rootctl(&["rebase", "2", "--onto", "late", "-r"])
        .code(6)
        .says(&["/usr/child", "snapshot 4"]);
    assert_eq!(bench.status("snapshots"), "7");
    must_be_tidy(&bench);
}

fn reverted() {
    let bench = Bench::new("revert");
    change(
        &bench,
        "1",
        "two",
        "echo 2 > /usr/two; echo 2 > /usr/both; rm /etc/passwd; mkdir /usr/dir; echo d > /usr/dir/d",
    );
    change(
        &bench,
        "two",
        "three",
        "echo 3 > /usr/three; echo 3 > /usr/both; echo own > /usr/dir/own",
    );
    let words = [
        "snap", "revert", "two", "--from", "three", "--name", "without",
    ];
    bench
        .rootctl(&words)
        .code(6)
        .says(&["/usr/both", "nothing was changed"]);
    assert_eq!(bench.status("snapshots"), "3");
    let left = bench.rootctl(&[&words[..], &["--leave"]].concat()).code(0);
    assert!(
        left.out == "4\n" && left.err.contains("/usr/both"),
        "{}",
        left.err
    );
    for (path, content) in [
        ("usr/two", None),
        ("usr/both", Some("3\n")),
        ("usr/three", Some("3\n")),
        ("usr/dir/d", None),
        ("usr/dir/own", Some("own\n")),
    ] {
        assert_eq!(read(&bench, 4, path).as_deref(), content, "{path}");
    }
    assert!(
        read(&bench, 4, "etc/passwd").is_some(),
        "what was removed is there again"
    );
    bench
        .rootctl(&["snap", "show", "without"])
        .code(0)
        .says(&["parent  3", "revert: 3 without the change of 2"]);
    // Undoing the change of a snapshot in a copy of itself gives what it was made from, also if that lies in the trash.
    change(&bench, "three", "five", "echo 5 > /usr/five");
    bench.rootctl(&["snap", "delete", "three"]).code(0);
    let plan = bench
        .rootctl(&["snap", "revert", "five", "--from", "five", "-n"])
        .code(0);
    plan.says(&["undo the change of 5 on 5, as 6"]);
    bench
        .rootctl(&["snap", "revert", "five", "--from", "five"])
        .code(0);
    assert!(read(&bench, 6, "usr/five").is_none() && read(&bench, 6, "usr/three").is_some());
    // With nothing to compare with, it is not known what was changed.
    bench
        .rootctl(&["snap", "revert", "1", "--from", "five"])
        .code(3)
        .says(&["is not known"]);
    bench
        .rootctl(&["snap", "revert", "five", "--from", "1"])
        .code(2)
        .says(&["was not made from 5"]);
    must_be_tidy(&bench);
}

fn rebase_cut() {
    let bench = family("rebase-cut");
    // By number: the names move on to the new ones.
    let words = ["rebase", "2", "--onto", "6", "-r"];
    for at in [
        "R2-copied",
        "R3-carried",
        "S5-sealed",
        "S6-synced",
        "S8-decided",
        "S9-moved",
        "S7-published",
    ] {
        let before: u32 = bench.status("snapshots").parse().unwrap();
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        let is_decided = ["S8-decided", "S9-moved", "S7-published"].contains(&at);
        bench.rootctl(&["doctor", "--fix"]).code(0);
        let more = if is_decided { 3 } else { 0 };
        assert_eq!(
            bench.status("snapshots"),
            (before + more).to_string(),
            "{at}"
        );
        must_be_tidy(&bench);
        bench.rootctl(&words).code(0);
        assert_eq!(
            bench.status("snapshots"),
            (before + more + 3).to_string(),
            "{at}"
        );
        // The newest of each name is whole.
        bench
            .rootctl(&["snap", "verify", "two", "four", "five"])
            .code(0);
    }
}

fn synced() {
    let bench = Bench::new("sync");
    bench.rootctl(&["snap", "rename", "1", "ground"]).code(0);
    change(
        &bench,
        "ground",
        "app",
        "echo app > /usr/app; chmod 4751 /usr/app",
    );
    change(
        &bench,
        "app",
        "shop",
        "echo shop > /usr/shop; rm /usr/lib/os-release; echo ID=s > /etc/os-release",
    );
    bench
        .rootctl(&["snap", "new", "--from", "1", "--top"])
        .code(0);
    change(
        &bench,
        "1",
        "ground",
        "echo new > /usr/ground; echo x >> /etc/motd",
    );
    change(&bench, "ground", "later", "echo later > /usr/later");
    let before = bench.status("snapshots");
    let plan = bench.rootctl(&["sync", "ground", "-n"]).code(0);
    plan.says(&[
        "the change of 2 on 5, as 7 (1 paths)",
        "the change of 3 on 7, as 8 (what does not fit shows when it is made)",
        "the change of 4 on 5, as 9",
    ]);
    assert_eq!(bench.status("snapshots"), before, "that was a plan");
    let done = bench.rootctl(&["sync", "ground", "--json"]).code(0).out;
    let done: rootspec::protocol::replay::Replayed = serde_json::from_str(&done).unwrap();
    let made: Vec<_> = done
        .snapshots
        .iter()
        .map(|one| (one.of.get(), one.onto.get(), one.id.get()))
        .collect();
    assert_eq!(made, [(2, 5, 7), (3, 7, 8), (4, 5, 9)]);
    for (path, content) in [
        ("usr/app", Some("app\n")),
        ("usr/shop", Some("shop\n")),
        ("usr/ground", Some("new\n")),
        ("usr/lib/os-release", None),
        ("usr/later", None),
    ] {
        assert_eq!(read(&bench, 8, path).as_deref(), content, "{path}");
    }
    use std::os::unix::fs::MetadataExt;
    let mode = |id: u32| {
        let path = bench.store(&format!("snaps/{id}/root/usr/app"));
        path.metadata().unwrap().mode()
    };
    assert_eq!(mode(8), mode(2), "setuid bits come along");
    bench
        .rootctl(&["snap", "show", "shop"])
        .code(0)
        .says(&["parent  7", "rebase: the change of 3 on 7"]);
    // All of it is done; again is no harm.
    bench
        .rootctl(&["sync", "ground"])
        .code(0)
        .says(&["nothing was made from an older version"]);
    // Also what somebody makes from an old one afterwards.
    change(&bench, "2", "late", "echo late > /usr/late");
    let again = bench.rootctl(&["sync", "ground"]).code(0);
    assert_eq!(again.out, "11\n");
    assert!(read(&bench, 11, "usr/late").is_some() && read(&bench, 11, "usr/ground").is_some());
    // What does not fit: all is named, and nothing is there that was not before.
    change(&bench, "ground", "ground", "echo theirs > /usr/app");
    let before = bench.status("snapshots");
    bench.rootctl(&["sync", "ground"]).code(6).says(&[
        "/usr/app",
        "nothing was changed",
        "rootctl sync 12 --leave",
    ]);
    bench.rootctl(&["sync", "ground", "-n"]).code(6);
    assert_eq!(bench.status("snapshots"), before);
    bench
        .rootctl(&["sync", "ground", "--leave"])
        .code(0)
        .says(&["/usr/app"]);
    let app = bench
        .rootctl(&["snap", "show", "app", "--json"])
        .code(0)
        .out;
    let app: serde_json::Value = serde_json::from_str(&app).unwrap();
    let id = u32::try_from(app["snapshots"][0]["id"].as_u64().unwrap()).unwrap();
    assert_eq!(read(&bench, id, "usr/app").as_deref(), Some("theirs\n"));
    must_be_tidy(&bench);
}

fn base_updated() {
    let bench = Bench::new("base-update");
    let words = [
        "base",
        "update",
        "--sync",
        "--",
        "sh",
        "-ec",
        "echo 2 > /usr/base",
    ];
    bench.rootctl(&["snap", "rename", "1", "--clear"]).code(0);
    bench
        .rootctl(&words)
        .code(2)
        .says(&["has no name", "rootctl snap rename 1 base"]);
    bench.rootctl(&["snap", "rename", "1", "base"]).code(0);
    change(&bench, "1", "web", "echo web > /usr/web");
    bench
        .rootctl(&[&["-n"], &words[..]].concat())
        .code(0)
        .says(&["rootctl sync base"]);
    assert_eq!(bench.status("snapshots"), "2");
    let made = bench.rootctl(&words).code(0);
    assert_eq!(made.out, "3\n4\n");
    assert!(read(&bench, 4, "usr/web").is_some() && read(&bench, 4, "usr/base").is_some());
    // The next one begins with the newest, and what failed leaves nothing.
    bench
        .rootctl(&["base", "update", "--sync", "--", "false"])
        .code(1);
    assert_eq!(bench.status("snapshots"), "4");
    bench
        .rootctl(&["base", "update", "--", "sh", "-ec", "echo 3 >> /usr/base"])
        .code(0);
    assert_eq!(read(&bench, 5, "usr/base").as_deref(), Some("2\n3\n"));
    let done = bench.rootctl(&["sync", "base"]).code(0);
    assert_eq!(done.out, "6\n", "the web of the newest base only");
    assert_eq!(read(&bench, 6, "usr/base").as_deref(), Some("2\n3\n"));
    must_be_tidy(&bench);
}

fn sync_cut() {
    let bench = Bench::new("sync-cut");
    change(&bench, "1", "web", "echo web > /usr/web");
    change(&bench, "web", "db", "echo db > /usr/db");
    for at in [
        "R2-copied",
        "R3-carried",
        "S6-synced",
        "S8-decided",
        "S9-moved",
        "S7-published",
    ] {
        let script = format!("echo {at} > /usr/base");
        change(&bench, "base", "base", &script);
        let before: u32 = bench.status("snapshots").parse().unwrap();
        bench
            .rootctl_with(&["sync", "base"], &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        bench.rootctl(&["doctor", "--fix"]).code(0);
        let is_decided = ["S8-decided", "S9-moved", "S7-published"].contains(&at);
        let made = if is_decided { 2 } else { 0 };
        assert_eq!(
            bench.status("snapshots"),
            (before + made).to_string(),
            "{at}"
        );
        // Once more finishes it, and never makes anything twice.
        bench.rootctl(&["sync", "base"]).code(0);
        assert_eq!(bench.status("snapshots"), (before + 2).to_string(), "{at}");
        must_be_tidy(&bench);
    }
}

fn hostile() {
    let bench = Bench::new("rebase-hostile");
    change(&bench, "1", "two", "echo 2 > /usr/two");
    change(&bench, "two", "three", "echo 3 > /usr/three");
    let long = "x".repeat(4096);
    for bad in ["../1", "1/root", "a\nb", "", "@x", "99", &long] {
        for words in [
            ["rebase", bad, "--onto", "1"],
            ["rebase", "two", "--onto", bad],
            ["snap", "revert", "two", "--from"],
        ] {
            let mut words = words.to_vec();
            if words[3] == "--from" {
                words.push(bad);
            }
            let said = bench.rootctl(&words);
            assert!([1, 2].contains(&said.code), "{words:?}: {said:?}");
        }
        for words in [["sync", bad, "--from", "1"], ["sync", "1", "--from", bad]] {
            let said = bench.rootctl(&words);
            assert!([1, 2].contains(&said.code), "{words:?}: {said:?}");
        }
        let said = bench.rootctl(&["snap", "history", bad]);
        assert!([1, 2].contains(&said.code), "{bad:?}: {said:?}");
        if bad != "99" {
            bench
                .rootctl(&["snap", "revert", "two", "--from", "three", "--name", bad])
                .code(2);
        }
    }
    for (words, why) in [
        (["rebase", "two", "--onto", "two"], "has its change already"),
        (
            ["rebase", "two", "--onto", "three"],
            "has its change already",
        ),
        (["rebase", "three", "--onto", "two"], "as it is"),
    ] {
        bench.rootctl(&words).code(2).says(&[why]);
    }
    bench.rootctl(&["snap", "rename", "1", "--clear"]).code(0);
    bench
        .rootctl(&["sync", "1"])
        .code(2)
        .says(&["has no name", "rootctl snap rename 1 NAME"]);
    bench
        .rootctl(&["sync", "two", "--from", "two"])
        .code(2)
        .says(&["no older version of itself"]);
    assert_eq!(bench.status("snapshots"), "3");
}

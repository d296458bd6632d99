//! Names, notes, places in the tree, what is kept, what is deleted and comes back.

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_snapshot_gets_another_name_and_stays_as_it_was_published",
        renamed,
    ),
    (
        "a_damaged_label_costs_the_name_and_nothing_else",
        damaged_label,
    ),
    ("names_and_notes_that_cannot_be_are_refused", bad_labels),
    ("what_is_kept_is_in_the_menu_and_stays", kept),
    (
        "a_snapshot_whose_kernel_has_no_room_on_the_esp_cannot_be_kept",
        kept_without_room,
    ),
    ("what_was_deleted_comes_back_with_its_etc", undeleted),
    ("deleting_for_good_frees_the_room", deleted_for_good),
    ("a_whole_branch_is_deleted_or_nothing", branch),
    (
        "a_deletion_or_its_undoing_cut_anywhere_is_whole_after_the_next_change",
        cuts,
    ),
    ("a_number_in_the_trash_is_not_given_again", numbers),
    ("a_copy_has_the_place_it_was_given", places),
];

fn json(bench: &Bench, words: &[&str]) -> serde_json::Value {
    let words = [words, &["--json"]].concat();
    serde_json::from_str(&bench.rootctl(&words).code(0).out).unwrap()
}

/// Numbers of the snapshots that are there, or of the deleted ones.
fn list(bench: &Bench, more: &[&str]) -> Vec<u64> {
    let answer = json(bench, &[&["snap", "list"], more].concat());
    let all = answer["snapshots"].as_array().unwrap().iter();
    all.map(|one| one["id"].as_u64().unwrap()).collect()
}

fn has(bench: &Bench, path: &str) -> bool {
    bench.store(path).symlink_metadata().is_ok()
}

fn renamed() {
    let bench = Bench::new("renamed");
    bench
        .rootctl(&["snap", "new", "web", "-m", "first"])
        .code(0);
    bench.rootctl(&["snap", "keep", "web"]).code(0);
    let meta = || std::fs::read(bench.store("snaps/2/meta.toml")).unwrap();
    let before = (meta(), bench.grub());
    bench
        .rootctl(&["-n", "snap", "rename", "web", "shop"])
        .code(0)
        .says(&["nothing was changed", "shop"]);
    assert!(before == (meta(), bench.grub()) && !has(&bench, "snaps/2/label.toml"));
    bench
        .rootctl(&["snap", "rename", "web", "shop"])
        .code(0)
        .says(&["snapshot 2, shop: first"]);
    bench
        .rootctl(&["snap", "note", "shop", "-sold out-"])
        .code(0);
    assert!(meta() == before.0, "the meta file is written once");
    assert!(
        bench.grub().contains("shop, kept, -sold out-"),
        "{}",
        bench.grub()
    );
    assert_eq!(bench.warnings(), "[]");
    bench.rootctl(&["snap", "show", "web"]).code(1);
    assert_eq!(
        json(&bench, &["snap", "show", "sh"])["snapshots"][0]["id"],
        2
    );
    // What runs and boots may be renamed: nothing that boots depends on it.
    bench.booted(1);
    bench
        .rootctl(&["snap", "rename", "@booted", "shop"])
        .code(0)
        .says(&["snapshot 2 is called shop too", "the name means snapshot 2"]);
    assert_eq!(
        json(&bench, &["snap", "show", "shop"])["snapshots"][0]["id"],
        2
    );
    bench.rootctl(&["snap", "rename", "2", "--clear"]).code(0);
    bench.rootctl(&["snap", "note", "2", "--clear"]).code(0);
    let shown = json(&bench, &["snap", "show", "2"]);
    assert!(shown["snapshots"][0].get("name").is_none() && shown["snapshots"][0]["note"] == "");
    // A copy is called what it is told, not what its parent is called.
    bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
    assert!(
        json(&bench, &["snap", "show", "3"])["snapshots"][0]
            .get("name")
            .is_none()
    );
    bench.must_boot();
}

fn damaged_label() {
    let bench = Bench::new("label");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["snap", "rename", "web", "shop"]).code(0);
    let label = bench.store("snaps/2/label.toml");
    let whole = std::fs::read(&label).unwrap();
    for bytes in [
        &b""[..],
        b"schema = 9\n",
        b"\xff\xfe",
        b"schema = 1\nname = \"../x\"\n",
        &whole[..whole.len() / 2],
    ] {
        std::fs::write(&label, bytes).unwrap();
        assert!(
            bench.warnings().contains("name and note of snapshot 2"),
            "{bytes:?}: {}",
            bench.warnings()
        );
        assert_eq!(
            json(&bench, &["snap", "show", "web"])["snapshots"][0]["id"],
            2
        );
    }
    bench.rootctl(&["deploy", "web"]).code(0);
    bench.must_boot();
    bench.rootctl(&["snap", "rename", "2", "again"]).code(0);
    assert_eq!(bench.warnings(), "[]");
    assert_eq!(
        json(&bench, &["snap", "show", "again"])["snapshots"][0]["id"],
        2
    );
}

fn bad_labels() {
    let bench = Bench::new("bad-labels");
    let long = "x".repeat(401);
    for name in ["../x", "7", "@good", "a b", "a\nb", "", "-rf"] {
        bench
            .rootctl(&["snap", "rename", "--", "1", name])
            .code(2)
            .says(&["no snapshot name"]);
    }
    for note in ["a\nb", "\u{1b}[2J", &long] {
        bench
            .rootctl(&["snap", "note", "1", note])
            .code(2)
            .says(&["one line"]);
    }
    bench
        .rootctl(&["snap", "rename", "9", "x"])
        .code(1)
        .says(&["no snapshot 9"]);
    std::fs::remove_file(bench.store("snaps/1/meta.toml")).unwrap();
    bench
        .rootctl(&["snap", "rename", "1", "x"])
        .code(3)
        .says(&["snapshot 1 is damaged"]);
    assert!(!has(&bench, "snaps/1/label.toml"));
}

fn kept() {
    let bench = Bench::new("kept");
    for name in ["a", "b"] {
        bench.rootctl(&["snap", "new", name]).code(0);
    }
    bench
        .rootctl(&["-n", "snap", "keep", "a"])
        .code(0)
        .says(&["then would be kept: 2"]);
    assert_eq!(bench.menu(), [1]);
    bench
        .rootctl(&["snap", "keep", "a", "b", "a"])
        .code(0)
        .says(&["kept now: 2, 3"]);
    bench.must_boot();
    assert_eq!(bench.menu(), [1, 2, 3]);
    bench
        .rootctl(&["snap", "delete", "b"])
        .code(3)
        .says(&["is pinned"]);
    bench.rootctl(&["snap", "delete", "b", "--now"]).code(3);
    bench
        .rootctl(&["snap", "unkeep", "b"])
        .code(0)
        .says(&["kept now: 2"]);
    bench.rootctl(&["snap", "delete", "b"]).code(0);
    assert_eq!(
        (bench.menu(), bench.warnings().as_str()),
        (vec![1, 2], "[]")
    );
    bench
        .rootctl(&["snap", "keep", "3"])
        .code(1)
        .says(&["snapshot 3 was deleted", "rootctl snap undelete 3"]);
    bench
        .rootctl(&["snap", "unkeep", "a"])
        .code(0)
        .says(&["kept now: no snapshot"]);
}

fn kept_without_room() {
    let mut bench = Bench::empty("kept-full", 300);
    bench.small_esp("34m");
    bench.init(&["--loader", "grub"]).code(0);
    let script = "dd if=/dev/urandom of=/boot/vmlinuz-6.1.0-test bs=1000000 count=20";
    bench
        .rootctl(&["run", "1", "--name", "big", "--", "sh", "-c", script])
        .code(0);
    let menu = bench.grub();
    bench
        .rootctl(&["snap", "keep", "big"])
        .code(3)
        .says(&["the ESP has", "nothing was written"]);
    assert!(
        bench.grub() == menu
            && json(&bench, &["snap", "show", "big"])["snapshots"][0]["marks"]
                == serde_json::json!([])
    );
    bench.rootctl(&["snap", "new"]).code(0);
}

fn undeleted() {
    let bench = Bench::new("undelete");
    bench
        .rootctl(&[
            "run",
            "1",
            "--name",
            "web",
            "--",
            "sh",
            "-c",
            "echo x > /usr/x",
        ])
        .code(0);
    bench.rootctl(&["snap", "rename", "web", "shop"]).code(0);
    // As if it had been booted: it has an /etc of its own.
    let etc = bench.store("etc/2");
    shell(&format!(
        "btrfs subvolume create {0} && echo mine > {0}/mine",
        etc.display()
    ));
    bench
        .rootctl(&["snap", "new", "child", "--from", "shop"])
        .code(0);
    bench
        .rootctl(&["snap", "delete", "shop"])
        .code(3)
        .says(&["first boot of snapshot 3"]);
    bench
        .rootctl(&["snap", "delete", "child", "shop"])
        .code(0)
        .says(&["deleted 3, 2"]);
    assert!(!has(&bench, "snaps/2") && !has(&bench, "etc/2"));
    assert_eq!(
        (list(&bench, &[]), list(&bench, &["--deleted"])),
        (vec![1], vec![2, 3])
    );
    bench
        .rootctl(&["snap", "list", "--deleted"])
        .code(0)
        .says(&["shop", "20"]);
    for words in [
        &["deploy", "shop"][..],
        &["snap", "show", "2"],
        &["diff", "1", "2"],
    ] {
        bench
            .rootctl(words)
            .code(1)
            .says(&["snapshot 2 was deleted", "rootctl snap undelete 2"]);
    }
    bench
        .rootctl(&["-n", "snap", "undelete", "sh"])
        .code(0)
        .says(&["nothing was changed", "bring back 2"]);
    assert_eq!(list(&bench, &[]), [1]);
    bench
        .rootctl(&["snap", "undelete", "sh", "2"])
        .code(0)
        .says(&["brought back 2"]);
    assert_eq!(std::fs::read_to_string(etc.join("mine")).unwrap(), "mine\n");
    assert!(!has(&bench, "snaps/2/gone.toml"));
    assert_eq!(
        json(&bench, &["snap", "show", "shop"])["snapshots"][0]["id"],
        2
    );
    bench.rootctl(&["deploy", "shop"]).code(0);
    bench.must_boot();
    assert_eq!(bench.warnings(), "[]");
    for (target, code) in [("2", 1), ("9", 1), ("../x", 2), ("@good", 1)] {
        let answer = bench.rootctl(&["snap", "undelete", target]).code(code);
        assert!(
            answer.err.contains("deleted") || code == 2,
            "{}",
            answer.err
        );
    }
    // One whose meta file is lost is still there, by its number.
    std::fs::remove_file(bench.store("trash/3/meta.toml")).unwrap();
    bench.rootctl(&["snap", "undelete", "3"]).code(0);
    assert!(bench.warnings().contains("snapshot 3 is damaged"));
}

fn deleted_for_good() {
    let bench = Bench::new("for-good");
    for name in ["a", "b", "c"] {
        bench.rootctl(&["snap", "new", name]).code(0);
    }
    bench.rootctl(&["snap", "delete", "a"]).code(0);
    bench
        .rootctl(&["snap", "delete", "a"])
        .code(1)
        .says(&["was deleted"]);
    bench
        .rootctl(&["-n", "snap", "delete", "--now", "a", "b"])
        .code(0)
        .says(&["would delete 3, 2"]);
    bench
        .rootctl(&["snap", "delete", "--now", "a", "b"])
        .code(0)
        .says(&["deleted 3, 2 for good"]);
    for path in ["trash/2", "trash/3", "snaps/3", "tmp/gone-2"] {
        assert!(!has(&bench, path), "{path}");
    }
    bench
        .rootctl(&["snap", "undelete", "2"])
        .code(1)
        .says(&["no deleted snapshot 2", "rootctl snap list --deleted"]);
    bench
        .rootctl(&["snap", "delete", "--now", "2"])
        .code(1)
        .says(&["there is no snapshot 2"]);
    bench
        .rootctl(&["snap", "delete", "--now", "1"])
        .code(3)
        .says(&["is the base"]);
    assert_eq!(list(&bench, &[]), [1, 4]);
}

fn branch() {
    let bench = Bench::new("branch");
    for (name, from) in [("a", "1"), ("b", "a"), ("c", "b"), ("d", "a")] {
        bench
            .rootctl(&["snap", "new", name, "--from", from])
            .code(0);
    }
    bench
        .rootctl(&["snap", "delete", "-r", "1"])
        .code(3)
        .says(&["snapshot 1"]);
    bench.rootctl(&["snap", "keep", "c"]).code(0);
    bench
        .rootctl(&["snap", "delete", "-r", "a"])
        .code(3)
        .says(&["snapshot 4", "pinned"]);
    assert_eq!(list(&bench, &[]), [1, 2, 3, 4, 5]);
    bench.rootctl(&["snap", "unkeep", "c"]).code(0);
    // The tree holds together where an inner one is gone.
    bench.rootctl(&["snap", "delete", "b"]).code(0);
    bench
        .rootctl(&["-n", "snap", "delete", "-r", "a"])
        .code(0)
        .says(&["delete 2, 4, 5"]);
    bench.rootctl(&["snap", "delete", "-r", "a"]).code(0);
    assert_eq!(
        (list(&bench, &[]), list(&bench, &["--deleted"])),
        (vec![1], vec![2, 3, 4, 5])
    );
    bench.rootctl(&["snap", "undelete", "b"]).code(0);
    assert_eq!(
        json(&bench, &["snap", "show", "b"])["snapshots"][0]["parent"],
        1
    );
    bench.rootctl(&["snap", "undelete", "a"]).code(0);
    assert_eq!(
        json(&bench, &["snap", "show", "b"])["snapshots"][0]["parent"],
        2
    );
}

fn cuts() {
    let bench = Bench::new("trash-cuts");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    let etc = bench.store("etc/2");
    shell(&format!(
        "btrfs subvolume create {0} && echo mine > {0}/mine; sync",
        etc.display()
    ));
    let at = |point: &str, words: &[&str], power: bool| {
        bench
            .rootctl_with(words, &[("ROOTCTLD_DIE_AT", point)])
            .code(1)
            .says(&["ended without an answer"]);
        if power {
            bench.cut_power();
        }
    };
    let whole = |there: bool| {
        let (here, gone) = ("etc/2/mine", "trash/2/etc/mine");
        assert_eq!(
            (has(&bench, "snaps/2"), has(&bench, "trash/2")),
            (there, !there)
        );
        assert_eq!((has(&bench, here), has(&bench, gone)), (there, !there));
    };
    for power in [false, true] {
        for point in ["D1", "D2"] {
            at(point, &["snap", "delete", "web"], power);
            bench.rootctl(&["snap", "rename", "1", "base"]).code(0);
            // Where the power went before the commit, nothing was deleted.
            let there = has(&bench, "snaps/2");
            assert!(power || !there, "{point}");
            whole(there);
            if !there {
                bench.rootctl(&["snap", "undelete", "web"]).code(0);
            }
            whole(true);
        }
        for (point, back) in [("U1", false), ("U2", true)] {
            bench.rootctl(&["snap", "delete", "web"]).code(0);
            at(point, &["snap", "undelete", "web"], power);
            bench.rootctl(&["snap", "rename", "1", "base"]).code(0);
            let there = has(&bench, "snaps/2");
            assert!(power || there == back, "{point}");
            whole(there);
            if !there {
                bench.rootctl(&["snap", "undelete", "web"]).code(0);
            }
            whole(true);
            assert_eq!(bench.warnings(), "[]", "{point}");
        }
    }
    at("D3", &["snap", "delete", "--now", "web"], false);
    bench.rootctl(&["snap", "rename", "1", "base"]).code(0);
    for path in ["snaps/2", "trash/2", "etc/2", "tmp/gone-2"] {
        assert!(!has(&bench, path), "{path}");
    }
}

fn numbers() {
    let bench = Bench::new("trash-numbers");
    bench.rootctl(&["snap", "new", "a"]).code(0);
    bench.rootctl(&["snap", "new", "b"]).code(0);
    bench.rootctl(&["snap", "delete", "b"]).code(0);
    // Even with the record lost, which knows the next number.
    std::fs::write(bench.store("state.ab"), vec![0; 8192]).unwrap();
    bench.rootctl(&["rollback", "1"]).code(0);
    assert_eq!(bench.rootctl(&["snap", "new"]).code(0).out, "4\n");
    // Somebody put a snapshot in the place of a deleted one: neither is lost.
    shell(&format!("mkdir {}", bench.store("snaps/3").display()));
    bench
        .rootctl(&["snap", "undelete", "b"])
        .code(3)
        .says(&["there is a snapshot 3 beside the deleted snapshot 3"]);
    bench
        .rootctl(&["snap", "delete", "3"])
        .code(1)
        .says(&["trash/3"]);
    assert!(has(&bench, "snaps/3") && has(&bench, "trash/3/root"));
}

fn places() {
    let bench = Bench::new("places");
    bench.rootctl(&["snap", "new", "web"]).code(0);
    bench.rootctl(&["snap", "new", "other"]).code(0);
    for (words, parent) in [
        (&["--beside"][..], Some(1)),
        (&["--under", "other"], Some(3)),
        (&["--top"], None),
        (&[], Some(2)),
    ] {
        let made = bench
            .rootctl(&[&["snap", "new", "--from", "web"], words].concat())
            .code(0);
        let shown = json(&bench, &["snap", "show", made.out.trim()]);
        assert_eq!(
            shown["snapshots"][0]
                .get("parent")
                .and_then(serde_json::Value::as_u64),
            parent,
            "{words:?}"
        );
        assert_eq!(shown["snapshots"][0]["origin"], "copy: of 2");
    }
    bench
        .rootctl(&["snap", "new", "--under", "9"])
        .code(1)
        .says(&["no snapshot 9"]);
    bench
        .rootctl(&["snap", "new", "--under", "1", "--beside"])
        .code(2);
    bench
        .rootctl(&["snap", "show", "5~2"])
        .code(0)
        .says(&["base"]);
}

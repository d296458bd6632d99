//! The broker dies at every step, as at a power cut with a disk that keeps order; the next command must find its way.

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_deploy_cut_at_any_step_leaves_the_good_one_the_default",
        deploy_cut,
    ),
    (
        "a_confirmation_cut_at_any_step_is_finished_by_the_next_change",
        confirm_cut,
    ),
    ("a_run_cut_at_any_step_leaves_all_or_nothing", run_cut),
    (
        "a_shared_var_is_filled_the_same_wherever_the_power_goes",
        var_cut,
    ),
    (
        "a_first_shared_var_is_whole_or_absent_wherever_the_power_goes",
        first_var_cut,
    ),
    (
        "a_deletion_cut_half_way_is_finished_by_the_next_change",
        delete_cut,
    ),
];

/// Every named point of a deploy, in order.
const DEPLOY: [&str; 11] = [
    "E0", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "state", "E8", "E9",
];

/// A store whose second snapshot has a kernel of its own.
fn two(name: &str) -> Bench {
    let bench = Bench::new(name);
    let script = "echo k > /boot/vmlinuz-6.1.0-test";
    bench
        .rootctl(&["run", "1", "--name", "two", "--", "sh", "-c", script])
        .code(0);
    bench
}

fn deploy_cut() {
    let bench = two("deploy-cut");
    for at in DEPLOY {
        bench
            .rootctl_with(&["deploy", "two"], &[("ROOTCTLD_DIE_AT", at)])
            .code(1)
            .says(&["ended without an answer"]);
        // Whatever the cut left: the menu is whole and its first entry is the good one.
        bench.must_boot();
        assert_eq!(bench.menu().first(), Some(&1), "{at}");
        assert_eq!(bench.status("good"), "1", "{at}");
        bench.rootctl(&["deploy", "two"]).code(0);
        bench.must_boot();
        assert_eq!(bench.menu(), [1, 2], "{at}");
        assert!(
            bench
                .grubenv()
                .contains("rootctl_trial=2\nrootctl_tries=2\n"),
            "{at}"
        );
        assert_eq!(bench.warnings(), "[]", "{at}");
        // Back to the start.
        bench.rootctl(&["rollback"]).code(0);
        assert_eq!(
            (bench.status("next").as_str(), bench.menu()),
            ("1", vec![1]),
            "{at}"
        );
        assert_eq!(
            std::fs::read_dir(bench.esp().join("rootctl"))
                .unwrap()
                .count(),
            5,
            "{at}: two files, two menus, a block"
        );
    }
}

fn confirm_cut() {
    let bench = two("confirm-cut");
    for at in ["state", "C1", "E4", "E6", "E7", "C2", "C3", "C4"] {
        let default = bench.status("good");
        let (good, new) = if default == "1" { (1, "2") } else { (2, "1") };
        bench.booted(good);
        bench.rootctl(&["deploy", new]).code(0);
        bench.booted(3 - good);
        bench
            .rootctl_with(&["boot-ok"], &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        bench.must_boot();
        bench.rootctl(&["status"]).code(0);
        // Any change finishes it; the judgement can be repeated.
        bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
        bench.rootctl(&["boot-ok"]).code(0);
        assert_eq!(bench.status("good"), new, "{at}");
        assert_eq!(bench.status("previous"), default, "{at}");
        assert_eq!(
            (bench.status("trial").as_str(), bench.warnings().as_str()),
            ("", "[]"),
            "{at}"
        );
        assert!(!bench.grubenv().contains("rootctl_trial"), "{at}");
        bench.must_boot();
    }
}

fn run_cut() {
    let bench = Bench::new("run-cut");
    let mut expected = 1;
    for at in [
        "T1-recorded",
        "T2-begun",
        "R1-ended",
        "S5-sealed",
        "S6-synced",
        "S7-published",
        "T3-kept",
    ] {
        let words = ["run", "1", "--", "sh", "-c", "echo x > /usr/x"];
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        if ["S7-published", "T3-kept"].contains(&at) {
            expected += 1;
        }
        assert_eq!(bench.status("snapshots"), expected.to_string(), "{at}");
        assert_eq!(bench.status("sessions"), "", "{at}");
        assert_eq!(bench.warnings(), "[]", "{at}");
        bench.rootctl(&["snap", "new"]).code(0);
        expected += 1;
        for folder in ["tmp", "sessions"] {
            let mut left = std::fs::read_dir(bench.store(folder)).unwrap();
            assert!(left.next().is_none(), "{at}: {folder}");
        }
        // What was interrupted can be done.
        bench.rootctl(&words).code(0);
        expected += 1;
    }
}

/// Everything in the shared `/var`: kinds, owners, modes, links and contents.
fn var(bench: &Bench) -> String {
    let script =
        "find . -printf '%y %m %U %n %p %l\\n' | sort; find . -type f | sort | xargs sha1sum";
    let out = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(bench.top().join("@var"))
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()
}

fn var_cut() {
    let bench = Bench::new("var-cut");
    let script = "cd /var; mkdir -p lib/new/deep lib/old; echo one > lib/new/deep/one; echo two > lib/old/two; \
                  dd if=/dev/urandom of=lib/new/big bs=65536 count=8; chmod 700 lib/new; ln -s ../old lib/new/link";
    bench
        .rootctl(&["run", "1", "--", "sh", "-c", script])
        .code(0);
    let shared = bench.top().join("@var");
    std::fs::create_dir(shared.join("lib/old")).unwrap();
    std::fs::write(shared.join("lib/old/mine"), "mine").unwrap();
    shell("sync");
    let clean = format!("rm -r {0}/lib/new {0}/lib/old/two; sync", shared.display());
    let before = var(&bench);
    bench.rootctl(&["deploy", "2"]).code(0);
    let after = var(&bench);
    assert!(after.contains("./lib/new/deep/one") && after.contains("./lib/old/two"));
    bench.rootctl(&["rollback", "1"]).code(0);
    for at in ["V1", "V2", "V3", "V4"] {
        for power in [false, true] {
            shell(&clean);
            assert_eq!(var(&bench), before, "{at}");
            bench
                .rootctl_with(&["deploy", "2"], &[("ROOTCTLD_DIE_AT", at)])
                .code(1)
                .says(&["ended without an answer"]);
            if power {
                bench.cut_power();
            }
            // Whatever is in its place is whole.
            for (path, content) in [("new/deep/one", "one\n"), ("old/two", "two\n")] {
                let there = std::fs::read_to_string(shared.join("lib").join(path));
                assert!(there.is_err() || there.unwrap() == content, "{at}: {path}");
            }
            bench.rootctl(&["deploy", "2"]).code(0);
            assert_eq!(var(&bench), after, "{at}, power cut: {power}");
            bench.rootctl(&["rollback", "1"]).code(0);
        }
    }
}

fn first_var_cut() {
    let whole = Bench::new("var-whole");
    for (at, power) in [("I3", false), ("I3", true), ("I4", true), ("I5", true)] {
        let bench = Bench::empty("var-first", 200);
        let root = bench.root().display().to_string();
        let words = ["store", "init", "--import", &root];
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        if power {
            bench.cut_power();
        }
        if bench.top().join("@var").exists() {
            assert_eq!(var(&bench), var(&whole), "{at}");
        }
        bench.rootctl(&words).code(0);
        assert_eq!(var(&bench), var(&whole), "{at}, power cut: {power}");
        assert!(bench.top().join("@home").exists() && bench.top().join("@root").exists());
    }
}

fn delete_cut() {
    let bench = two("delete-cut");
    bench
        .rootctl_with(&["snap", "delete", "two"], &[("ROOTCTLD_DIE_AT", "D1")])
        .code(1);
    assert_eq!(bench.status("snapshots"), "1");
    assert_eq!(bench.rootctl(&["snap", "new"]).code(0).out, "3\n");
    assert!(
        std::fs::read_dir(bench.store("tmp"))
            .unwrap()
            .next()
            .is_none()
    );
}

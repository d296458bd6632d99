//! The broker dies at every step, as at a power cut with a disk that keeps order; the next command must find its way.

use super::Test;
use super::bench::Bench;

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
    for at in ["S2", "S3", "S5-sealed", "S6-synced", "S7-published"] {
        let words = ["run", "1", "--", "sh", "-c", "echo x > /usr/x"];
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        if at == "S7-published" {
            expected += 1;
        }
        assert_eq!(bench.status("snapshots"), expected.to_string(), "{at}");
        assert_eq!(bench.warnings(), "[]", "{at}");
        bench.rootctl(&["snap", "new"]).code(0);
        expected += 1;
        assert!(
            std::fs::read_dir(bench.store("tmp"))
                .unwrap()
                .next()
                .is_none(),
            "{at}"
        );
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

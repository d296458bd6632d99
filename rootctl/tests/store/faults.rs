//! The disk refuses a step: full, broken, or read-only. The command says so, what boots stays what it was, and done once more, when
//! the disk takes it again, it comes to the same as if nothing had been.

use super::Test;
use super::bench::Bench;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_deploy_that_the_disk_refuses_can_be_done_once_more",
        deploy_fault,
    ),
    (
        "a_confirmation_that_the_disk_refuses_can_be_done_once_more",
        confirm_fault,
    ),
    (
        "a_new_snapshot_that_the_disk_refuses_leaves_nothing",
        run_fault,
    ),
    (
        "deletions_that_the_disk_refuses_can_be_done_once_more",
        delete_fault,
    ),
    (
        "a_freeze_that_the_disk_refuses_can_be_done_once_more",
        freeze_fault,
    ),
    (
        "a_sync_that_the_disk_refuses_leaves_all_or_nothing",
        sync_fault,
    ),
];

/// What the disk may answer, and the kernel's words for it.
const ERRORS: [(&str, &str); 3] = [
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EROFS", "Read-only file system"),
];

/// What is left for people and for the next boot, in comparable words.
fn outcome(bench: &Bench) -> String {
    let fields = ["good", "previous", "next", "trial", "warnings"];
    let status: Vec<String> = fields.iter().map(|field| bench.status(field)).collect();
    let env = bench.grubenv();
    format!(
        "{status:?} {:?} {}",
        bench.menu(),
        env.trim_end_matches('#')
    )
}

/// Does it at each step with each error: it must fail with the step's name and the kernel's words, and `after` looks at what is left.
fn at_each(
    bench: &Bench,
    words: &[&str],
    steps: &[&str],
    mut before: impl FnMut(&Bench),
    mut after: impl FnMut(&Bench, &str),
) {
    for at in steps {
        for (error, said) in ERRORS {
            before(bench);
            let fault = format!("{at}:{error}");
            bench
                .rootctl_with(words, &[("ROOTCTLD_FAIL_AT", &fault)])
                .code(1)
                .says(&[&format!("failing at {at} as asked"), said]);
            after(bench, &fault);
        }
    }
}

fn two(name: &str) -> Bench {
    let bench = Bench::new(name);
    let script = "echo k > /boot/vmlinuz-6.1.0-test";
    bench
        .rootctl(&["run", "1", "--name", "two", "--", "sh", "-c", script])
        .code(0);
    bench
}

fn deploy_fault() {
    let bench = two("deploy-fault");
    bench.rootctl(&["deploy", "two"]).code(0);
    let model = outcome(&bench);
    let steps = [
        "E0", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "state", "E8", "E9",
    ];
    let back = |bench: &Bench| {
        bench.rootctl(&["rollback"]).code(0);
    };
    at_each(&bench, &["deploy", "two"], &steps, back, |bench, fault| {
        bench.must_boot();
        assert_eq!(bench.menu().first(), Some(&1), "{fault}");
        assert_eq!(bench.status("good"), "1", "{fault}");
        bench.rootctl(&["deploy", "two"]).code(0);
        assert_eq!(outcome(bench), model, "{fault}");
        bench.must_boot();
    });
}

fn confirm_fault() {
    let bench = two("confirm-fault");
    let arm = |bench: &Bench| {
        bench.booted(1);
        bench.rootctl(&["rollback", "1"]).code(0);
        bench.rootctl(&["deploy", "two"]).code(0);
        bench.booted(2);
    };
    arm(&bench);
    bench.rootctl(&["boot-ok"]).code(0);
    let model = outcome(&bench);
    let steps = ["C1", "E4", "E5", "E6", "E7", "C2", "state", "C3", "C4"];
    at_each(&bench, &["boot-ok"], &steps, arm, |bench, fault| {
        bench.must_boot();
        bench.rootctl(&["status"]).code(0);
        bench.rootctl(&["boot-ok"]).code(0);
        // A judgement that was written down needs no second one: the next change finishes it.
        bench.rootctl(&["doctor", "--fix"]).code(0);
        assert_eq!(outcome(bench), model, "{fault}");
        bench.must_boot();
    });
}

/// Nothing unfinished is left once the next change was made.
#[track_caller]
fn must_be_tidy(bench: &Bench, fault: &str) {
    bench.rootctl(&["doctor", "--fix"]).code(0);
    for folder in ["tmp", "sessions"] {
        if let Ok(mut left) = std::fs::read_dir(bench.store(folder)) {
            assert!(left.next().is_none(), "{fault}: {folder}");
        }
    }
    assert!(!bench.store("ready").exists(), "{fault}");
    bench.rootctl(&["doctor"]).code(0);
}

fn run_fault() {
    let bench = Bench::new("run-fault");
    let words = [
        "run",
        "1",
        "--name",
        "new",
        "--",
        "sh",
        "-c",
        "echo x > /usr/x",
    ];
    let steps = ["T1-recorded", "T2-begun", "S5-sealed", "S6-synced"];
    let none = |_: &Bench| {};
    at_each(&bench, &words, &steps, none, |bench, fault| {
        assert_eq!(bench.status("snapshots"), "1", "{fault}");
        must_be_tidy(bench, fault);
        bench.rootctl(&words).code(0);
        bench.rootctl(&["snap", "verify", "new"]).code(0);
        bench.rootctl(&["snap", "delete", "--now", "new"]).code(0);
    });
    // Once it has its place it is there, whatever is said afterwards.
    at_each(&bench, &words, &["S7-published"], none, |bench, fault| {
        assert_eq!(bench.status("snapshots"), "2", "{fault}");
        let log = bench.rootctl(&["log", "--lines", "1"]).code(0);
        log.says(&["its snapshot is there"]);
        must_be_tidy(bench, fault);
        bench.rootctl(&["snap", "verify", "new"]).code(0);
        bench.rootctl(&["snap", "delete", "--now", "new"]).code(0);
    });
}

fn delete_fault() {
    let bench = Bench::new("delete-fault");
    let make = |bench: &Bench| {
        bench.rootctl(&["snap", "new", "gone"]).code(0);
    };
    let delete = ["snap", "delete", "gone"];
    at_each(&bench, &delete, &["D1", "D2"], make, |bench, fault| {
        must_be_tidy(bench, fault);
        // It is there, or deleted; either can be brought to an end.
        let again = bench.rootctl(&["snap", "delete", "--now", "gone"]);
        again.code(0);
        assert_eq!(bench.status("snapshots"), "1", "{fault}");
        must_be_tidy(bench, fault);
    });
    let buried = |bench: &Bench| {
        make(bench);
        bench.rootctl(&delete).code(0);
    };
    let undelete = ["snap", "undelete", "gone"];
    at_each(&bench, &undelete, &["U1", "U2"], buried, |bench, fault| {
        must_be_tidy(bench, fault);
        bench.rootctl(&["snap", "delete", "--now", "gone"]).code(0);
        assert_eq!(bench.status("snapshots"), "1", "{fault}");
    });
    let purge = ["snap", "delete", "--now", "gone"];
    at_each(&bench, &purge, &["D3"], buried, |bench, fault| {
        must_be_tidy(bench, fault);
        let left = bench.rootctl(&["snap", "list", "--deleted"]).code(0);
        assert!(!left.out.contains("gone"), "{fault}: {}", left.out);
    });
}

fn freeze_fault() {
    let bench = Bench::new("freeze-fault");
    bench.rootctl(&["snap", "new", "box"]).code(0);
    let file = bench.store("snaps/2/root/usr/x");
    let open = |bench: &Bench| {
        bench.rootctl(&["snap", "unfreeze", "box"]).code(0);
        std::fs::write(&file, "x").unwrap();
    };
    let steps = ["F2-copied", "S5-sealed", "S6-synced"];
    at_each(
        &bench,
        &["snap", "freeze", "box"],
        &steps,
        open,
        |bench, fault| {
            assert!(
                std::fs::write(&file, fault).is_ok(),
                "{fault}: it stays unfrozen"
            );
            bench.rootctl(&["snap", "freeze", "box"]).code(0);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), fault);
            bench.rootctl(&["snap", "verify", "box"]).code(0);
            must_be_tidy(bench, fault);
        },
    );
    let steps = ["U1-marked", "U2-open"];
    let shut = |bench: &Bench| {
        bench.rootctl(&["snap", "freeze", "box"]).code(0);
    };
    at_each(
        &bench,
        &["snap", "unfreeze", "box"],
        &steps,
        shut,
        |bench, fault| {
            must_be_tidy(bench, fault);
            bench.rootctl(&["snap", "unfreeze", "box"]).code(0);
            assert!(std::fs::write(&file, fault).is_ok(), "{fault}");
        },
    );
}

fn sync_fault() {
    let bench = Bench::new("sync-fault");
    let run = |from: &str, name: &str, script: &str| {
        bench
            .rootctl(&["run", from, "--name", name, "--", "sh", "-c", script])
            .code(0);
    };
    run("1", "web", "echo web > /usr/web");
    run("web", "db", "echo db > /usr/db");
    run("base", "base", "echo 2 > /usr/base");
    let sync = ["sync", "base"];
    let steps = ["R2-copied", "R3-carried", "S5-sealed", "S6-synced"];
    at_each(
        &bench,
        &sync,
        &steps,
        |_| {},
        |bench, fault| {
            assert_eq!(bench.status("snapshots"), "4", "{fault}");
            must_be_tidy(bench, fault);
        },
    );
    let mut count = 4;
    for at in ["S8-decided", "S9-moved", "S7-published"] {
        at_each(
            &bench,
            &sync,
            &[at],
            |_| {},
            |bench, fault| {
                count += 2;
                must_be_tidy(bench, fault);
                assert_eq!(bench.status("snapshots"), count.to_string(), "{fault}");
                bench.rootctl(&sync).code(0);
                assert_eq!(bench.status("snapshots"), count.to_string(), "{fault}");
                run("base", "base", &format!("echo {fault} > /usr/base"));
                count += 1;
            },
        );
    }
}

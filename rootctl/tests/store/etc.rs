//! The live `/etc` of deployments: what was changed, what will be merged, and putting things back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::Test;
use super::bench::{Bench, answer, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "changes_of_the_live_etc_are_shown_and_single_paths_put_back",
        shown_and_restored,
    ),
    ("what_a_first_boot_will_merge_is_told_before_it", foretold),
    (
        "changes_are_carried_into_an_earlier_deployment_before_going_back",
        merged,
    ),
    ("a_merge_cut_at_any_step_leaves_one_etc_whole", merge_cut),
    ("a_saved_etc_is_what_a_new_snapshot_ships", saved),
    ("a_link_in_the_live_etc_leads_nowhere", links),
    ("hostile_paths_in_etc_are_refused", hostile),
    (
        "an_etc_that_is_not_the_deployments_is_left_alone",
        other_modes,
    ),
];

/// A store whose snapshot 2 ships some files in `/etc`, was booted, and runs.
fn running(name: &str) -> Bench {
    let bench = Bench::new(name);
    let script = "cd /etc; echo one > a; echo one > b; echo one > c; mkdir d; echo x > d/x; echo y > d/y; \
                  echo 'games:x:5:' > group";
    bench
        .rootctl(&["run", "1", "--name", "two", "--", "sh", "-c", script])
        .code(0);
    first_boot(&bench, 2);
    bench.booted(2);
    bench
}

/// As the boot stage makes it where nothing is to be merged.
fn first_boot(bench: &Bench, id: u32) {
    let live = bench.store(&format!("etc/{id}"));
    let shipped = bench.store(&format!("snaps/{id}/root/etc"));
    shell(&format!(
        "btrfs -q subvolume create {0} && cp -a {1}/. {0}/",
        live.display(),
        shipped.display()
    ));
}

fn live(bench: &Bench, path: &str) -> PathBuf {
    bench.store("etc/2").join(path)
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn write(path: PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn shown_and_restored() {
    let bench = running("etc-diff");
    bench
        .rootctl(&["etc", "status"])
        .code(0)
        .says(&["/etc of snapshot 2: 0 added, 0 removed, 0 modified"]);
    write(live(&bench, "a"), "mine\n");
    std::fs::remove_file(live(&bench, "b")).unwrap();
    write(live(&bench, "new"), "new\n");
    std::fs::create_dir_all(live(&bench, "own/deep")).unwrap();
    write(live(&bench, "own/deep/file"), "f\n");
    std::fs::set_permissions(live(&bench, "c"), PermissionsExt::from_mode(0o600)).unwrap();
    // Written anew with the same content: no change.
    write(live(&bench, "d/x"), "x\n");
    let all = "~ /etc/a\n- /etc/b\n~ /etc/c\n+ /etc/new\n+ /etc/own\n+ /etc/own/deep\n+ /etc/own/deep/file\n";
    assert_eq!(bench.rootctl(&["etc", "diff"]).code(0).out, all);
    assert_eq!(
        bench
            .rootctl(&[
                "etc",
                "diff",
                "two",
                "--path",
                "/etc/own/deep",
                "--path",
                "/etc/a"
            ])
            .code(0)
            .out,
        "~ /etc/a\n+ /etc/own/deep\n+ /etc/own/deep/file\n"
    );
    bench
        .rootctl(&["etc", "status", "--json"])
        .code(0)
        .says(&["\"change\": \"removed\""]);

    bench
        .rootctl(&["-n", "etc", "restore", "/etc/a", "/etc/own"])
        .code(0)
        .says(&["nothing was changed", "~ /etc/a", "+ /etc/own/deep/file"]);
    assert_eq!(bench.rootctl(&["etc", "diff"]).code(0).out, all);
    bench
        .rootctl(&["etc", "restore", "/etc/a", "/etc/own", "/etc/b"])
        .code(0);
    assert_eq!(
        bench.rootctl(&["etc", "diff"]).code(0).out,
        "~ /etc/c\n+ /etc/new\n"
    );
    assert_eq!(
        (read(live(&bench, "a")), read(live(&bench, "b"))),
        ("one\n".into(), "one\n".into())
    );
    bench.rootctl(&["etc", "restore", "/etc"]).code(0);
    assert_eq!(bench.rootctl(&["etc", "diff"]).code(0).out, "");
    bench
        .rootctl(&["etc", "restore", "/etc/absent"])
        .code(1)
        .says(&["neither in /etc nor"]);
    bench
        .rootctl(&["log"])
        .code(0)
        .says(&["etc restore /etc/a"]);
}

fn foretold() {
    let bench = running("etc-foretold");
    bench.rootctl(&["etc", "conflicts"]).code(0);
    let script = "cd /etc; echo theirs > a; echo theirs > b; rm c; rm d/y; echo 'sshd:x:101:' >> group; mkdir e; echo e > e/e";
    bench
        .rootctl(&["run", "2", "--name", "three", "--", "sh", "-c", script])
        .code(0);
    bench
        .rootctl(&["etc", "conflicts", "three"])
        .code(0)
        .says(&[
            "takes over the /etc of 2",
            "take /etc/a",
            "remove /etc/c",
            "make the folder /etc/e",
        ]);
    write(live(&bench, "a"), "ours\n");
    write(live(&bench, "group"), "games:x:5:\nanna:x:1000:\n");
    let words = [
        "conflict: /etc/a stays",
        "merge the lines of /etc/group",
        "take /etc/b",
    ];
    bench
        .rootctl(&["etc", "conflicts", "three"])
        .code(6)
        .says(&words);
    // The next one is meant when none is named.
    bench.rootctl(&["deploy", "three"]).code(0);
    bench.rootctl(&["etc", "conflicts"]).code(6).says(&words);
    let json = bench.rootctl(&["etc", "conflicts", "--json"]).code(6).out;
    assert_eq!(json.matches("\"conflict\": true").count(), 1, "{json}");
    // What an earlier merge left stays undecided until somebody removes it.
    write(live(&bench, "a"), "theirs\n");
    bench.rootctl(&["etc", "conflicts"]).code(0);
    write(live(&bench, "a.rootctl-new"), "theirs\n");
    bench
        .rootctl(&["etc", "conflicts"])
        .code(6)
        .says(&["not decided: /etc/a.rootctl-new"]);
    bench
        .rootctl(&["etc", "status"])
        .code(0)
        .says(&["not decided"]);
}

/// Snapshot 3 was booted from a copy of 2; the one before is 2. Both have an `/etc` of their own.
fn two_deployments(name: &str) -> Bench {
    let bench = running(name);
    bench
        .rootctl(&[
            "run",
            "2",
            "--name",
            "three",
            "--",
            "sh",
            "-c",
            "echo three > /etc/a",
        ])
        .code(0);
    first_boot(&bench, 3);
    bench.booted(3);
    let new = bench.store("etc/3");
    // Since then: a new file, another one changed, one deleted, an account.
    write(new.join("b"), "new\n");
    write(new.join("key"), "key\n");
    std::fs::remove_file(new.join("d/y")).unwrap();
    write(new.join("group"), "games:x:5:\nanna:x:1000:\n");
    bench
}

fn merged() {
    let bench = two_deployments("etc-merge");
    bench
        .rootctl(&["-n", "etc", "merge", "two"])
        .code(0)
        .says(&[
            "nothing was changed",
            "take /etc/b",
            "take /etc/key",
            "remove /etc/d/y",
        ]);
    assert_eq!(read(live(&bench, "b")), "one\n");
    bench.rootctl(&["etc", "merge", "two"]).code(0);
    assert_eq!(
        (read(live(&bench, "b")), read(live(&bench, "key"))),
        ("new\n".into(), "key\n".into())
    );
    assert!(!live(&bench, "d/y").exists() && live(&bench, "d/x").exists());
    assert_eq!(read(live(&bench, "group")), "games:x:5:\nanna:x:1000:\n");
    assert_eq!(
        read(live(&bench, "a")),
        "one\n",
        "what 3 ships otherwise is no change of ours"
    );
    bench
        .rootctl(&["etc", "merge", "two"])
        .code(0)
        .says(&["nothing to merge"]);
    // Both were changed, differently.
    write(live(&bench, "c"), "here\n");
    write(bench.store("etc/3/c"), "there\n");
    bench.rootctl(&["etc", "merge", "two"]).code(6).says(&[
        "/etc/c",
        "nothing was changed",
        "--beside",
    ]);
    assert_eq!(read(live(&bench, "c")), "here\n");
    bench.rootctl(&["etc", "merge", "two", "--beside"]).code(0);
    assert_eq!(
        (read(live(&bench, "c")), read(live(&bench, "c.rootctl-new"))),
        ("here\n".into(), "there\n".into())
    );
    bench
        .rootctl(&["etc", "merge", "three"])
        .code(2)
        .says(&["both are"]);
    bench
        .rootctl(&["etc", "merge", "three", "--from", "two"])
        .code(3)
        .says(&["is running"]);
    bench.rootctl(&["snap", "new", "four"]).code(0);
    bench
        .rootctl(&["etc", "merge", "four"])
        .code(1)
        .says(&["never booted", "rootctl etc conflicts"]);
    bench.rootctl(&["doctor"]).code(0);
}

fn merge_cut() {
    let bench = two_deployments("etc-cut");
    for at in ["M1", "M2", "M3"] {
        write(bench.store("etc/3/b"), &format!("{at}\n"));
        let before = read(live(&bench, "b"));
        bench
            .rootctl_with(
                &["etc", "merge", "two", "--beside"],
                &[("ROOTCTLD_DIE_AT", at)],
            )
            .code(1)
            .says(&["ended without an answer"]);
        let after = read(live(&bench, "b"));
        assert!(
            after == before || after == format!("{at}\n"),
            "{at}: {after}"
        );
        bench.rootctl(&["etc", "merge", "two", "--beside"]).code(0);
        assert!(
            std::fs::read_dir(bench.store("tmp"))
                .unwrap()
                .next()
                .is_none(),
            "{at}"
        );
        bench
            .rootctl(&["etc", "restore", "/etc/b", "--target", "two"])
            .code(0);
        bench.rootctl(&["doctor"]).code(0);
    }
    for at in ["R1", "R2"] {
        write(live(&bench, "extra"), "x");
        write(live(&bench, "a"), "x");
        let words = ["etc", "restore", "/etc/a", "/etc/extra", "--target", "two"];
        bench
            .rootctl_with(&words, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        bench.rootctl(&words[..3]).code(0);
        bench
            .rootctl(&["etc", "restore", "/etc/a", "--target", "two"])
            .code(0);
        assert_eq!(read(live(&bench, "a")), "one\n", "{at}");
    }
}

fn saved() {
    let bench = running("etc-save");
    write(live(&bench, "a"), "mine\n");
    std::fs::remove_file(live(&bench, "b")).unwrap();
    std::fs::remove_dir_all(live(&bench, "d")).unwrap();
    write(live(&bench, "d"), "no folder\n");
    write(live(&bench, "machine-id"), "0123\n");
    write(live(&bench, "key"), "secret\n");
    std::fs::set_permissions(live(&bench, "key"), PermissionsExt::from_mode(0o600)).unwrap();
    bench.rootctl(&["-n", "etc", "save"]).code(0).says(&[
        "snapshot 3 would be made",
        "~ /etc/a",
        "- /etc/b",
    ]);
    assert_eq!(bench.status("snapshots"), "2");
    let words = ["etc", "save", "--name", "kept", "-m", "as it is"];
    assert_eq!(bench.rootctl(&words).code(0).out, "3\n");
    let shipped = |path: &str| bench.store("snaps/3/root/etc").join(path);
    assert_eq!(
        (read(shipped("a")), read(shipped("d"))),
        ("mine\n".into(), "no folder\n".into())
    );
    assert!(!shipped("b").exists() && !shipped("machine-id").exists());
    assert_eq!(
        shipped("key").metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(read(bench.store("snaps/2/root/etc/a")), "one\n");
    bench
        .rootctl(&["snap", "show", "kept"])
        .code(0)
        .says(&["etc: the live /etc of 2", "as it is"]);
    // Nothing is left to be decided at its first boot.
    bench.rootctl(&["etc", "conflicts", "kept"]).code(0);
    bench.rootctl(&["deploy", "kept"]).code(0);
    bench.must_boot();
}

fn links() {
    let bench = running("etc-links");
    let outside = bench.dir.join("outside");
    std::fs::create_dir(&outside).unwrap();
    write(outside.join("x"), "precious\n");
    std::fs::remove_dir_all(live(&bench, "d")).unwrap();
    symlink(&outside, live(&bench, "d")).unwrap();
    bench
        .rootctl(&["etc", "restore", "/etc/d/x"])
        .code(3)
        .says(&["/etc/d is no folder any more"]);
    assert_eq!(read(outside.join("x")), "precious\n");
    bench.rootctl(&["etc", "restore", "/etc/d"]).code(0);
    assert_eq!(
        (read(outside.join("x")), read(live(&bench, "d/x"))),
        ("precious\n".into(), "x\n".into())
    );
    // A link in the place of a file is itself replaced.
    std::fs::remove_file(live(&bench, "a")).unwrap();
    symlink(outside.join("x"), live(&bench, "a")).unwrap();
    bench.rootctl(&["etc", "restore", "/etc/a"]).code(0);
    assert_eq!(read(outside.join("x")), "precious\n");
    assert_eq!(read(live(&bench, "a")), "one\n");
}

fn hostile() {
    let bench = running("etc-hostile");
    let long = format!("/etc/{}", "x".repeat(5000));
    for bad in ["../x", "/etc/../root", "etc/a", "/usr/a", "", "/etc/\n"] {
        let said = bench.rootctl(&["etc", "restore", bad]);
        assert!([1, 2].contains(&said.code), "{bad:?}: {said:?}");
        if bad != "/etc/\n" {
            bench.rootctl(&["etc", "diff", "--path", bad]).code(2);
        }
    }
    assert!(bench.rootctl(&["etc", "restore", &long]).code > 0);
    let odd: &OsStr = OsStrExt::from_bytes(b"/etc/\xff\xfe");
    let mut command = bench.command();
    command
        .arg("--root")
        .arg(bench.top())
        .args(["etc", "restore"])
        .arg(odd);
    answer(&command.output().unwrap())
        .code(1)
        .says(&["/etc/\\xff\\xfe"]);
    let file: &OsStr = OsStrExt::from_bytes(b"\xff\n");
    write(bench.store("etc/2").join(file), "x");
    bench
        .rootctl(&["etc", "diff"])
        .code(0)
        .says(&["+ /etc/\\xff\\x0a"]);
    bench.rootctl(&["etc", "restore", "/etc"]).code(0);
    assert_eq!(bench.rootctl(&["etc", "diff"]).code(0).out, "");
}

fn other_modes() {
    let bench = running("etc-modes");
    let report = read(bench.report()).replace("\"ro\"", "\"tmpfs\"");
    write(bench.report(), &report);
    for words in [
        &["etc", "diff"][..],
        &["etc", "restore", "/etc/a"],
        &["etc", "save"],
    ] {
        bench.rootctl(words).code(3).says(&["has the mode tmpfs"]);
    }
    bench.rootctl(&["etc", "diff", "1"]).code(0);
}

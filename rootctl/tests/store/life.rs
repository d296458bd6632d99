//! The ordinary life of a store.

use std::os::unix::fs::MetadataExt;

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "init_makes_a_store_whose_first_snapshot_boots",
        init_makes_a_store,
    ),
    ("init_takes_a_tar_as_well_as_a_folder", init_takes_a_tar),
    ("init_refuses_what_is_a_store_already", init_refuses_a_store),
    (
        "a_copy_shares_kernel_and_initramfs_with_its_parent",
        a_copy_shares,
    ),
    ("a_command_that_succeeds_becomes_a_snapshot", run_succeeds),
    ("a_command_that_fails_changes_nothing", run_fails),
    (
        "a_command_sees_nothing_of_the_host_that_it_could_change",
        run_is_isolated,
    ),
    (
        "processes_that_a_command_leaves_behind_end_with_it",
        run_leaves_no_process,
    ),
    ("a_new_kernel_gets_a_new_initramfs", run_changes_the_kernel),
    (
        "a_deploy_is_tried_confirmed_and_taken_back",
        deploy_confirm_rollback,
    ),
    (
        "a_snapshot_whose_units_have_errors_is_not_deployed_by_mistake",
        units_are_checked,
    ),
    (
        "a_root_that_was_made_writable_is_sealed_before_it_is_relied_on",
        sealed_again,
    ),
    ("a_dry_run_changes_no_file", dry_run),
    ("a_rejected_trial_is_not_entered_again", reject),
    (
        "a_trial_that_never_came_back_is_recorded_as_failed",
        no_show,
    ),
    (
        "numbers_of_deleted_snapshots_are_not_used_again",
        ids_are_not_reused,
    ),
    ("limine_gets_its_menu_and_one_shot", limine),
    (
        "the_completion_for_bash_knows_names_and_is_silent_without_a_broker",
        completion,
    ),
    (
        "an_initramfs_is_the_same_byte_for_byte",
        initramfs_is_reproducible,
    ),
];

fn init_makes_a_store() {
    let bench = Bench::with(
        "init",
        &[
            "--loader",
            "grub",
            "--cmdline",
            "quiet console=ttyS0",
            "--mode",
            "tmpfs",
        ],
    );
    bench.must_boot();
    assert_eq!(bench.menu(), [1]);
    assert!(
        bench
            .grub()
            .contains("rootctl.mode=tmpfs quiet console=ttyS0")
    );
    assert_eq!(bench.grubenv().find("rootctl_trial"), None);
    bench
        .rootctl(&["status"])
        .code(0)
        .says(&["next       1", "good       1", "loader     grub"]);
    assert_eq!(bench.warnings(), "[]");
    // The package database is inside the snapshot, and both views of /var lead there.
    for var in [bench.top().join("@var"), bench.store("snaps/1/root/var")] {
        let link = std::fs::read_link(var.join("lib/dpkg")).unwrap();
        assert_eq!(link.to_str(), Some("../../usr/lib/sysimage/dpkg"));
    }
    let database = bench.store("snaps/1/root/usr/lib/sysimage/dpkg/status");
    assert_eq!(std::fs::read_to_string(database).unwrap(), "packages");
    // The live /etc is there, so the first boot merges nothing; it is writable, the root is not.
    std::fs::write(bench.store("etc/1/new"), "x").unwrap();
    assert!(std::fs::write(bench.store("snaps/1/root/new"), "x").is_err());
    assert_eq!(bench.store("").metadata().unwrap().mode() & 0o7777, 0o700);
}

fn init_takes_a_tar() {
    let bench = Bench::empty("tar", 300);
    let root = bench.root().display().to_string();
    let tar = bench.dir.join("root.tar.zst").display().to_string();
    shell(&format!(
        "tar -C {root} --numeric-owner -c . | zstd -q -1 -o {tar} || tar -C {root} -cf {tar} ."
    ));
    bench
        .rootctl(&["store", "init", "--import", &tar, "--name", "first"])
        .code(0);
    bench.must_boot();
    let listing = |dir: &str| {
        let script = format!(
            "cd {dir} && find . -type f -o -type l | grep -v dpkg | sort | xargs ls -ln --time-style=+%s"
        );
        let out = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(
        listing(&root),
        listing(&bench.store("snaps/1/root").display().to_string())
    );
    bench
        .rootctl(&["snap", "show", "first"])
        .code(0)
        .says(&["import: root.tar.zst"]);
}

fn init_refuses_a_store() {
    let bench = Bench::new("again");
    let before = bench.grub();
    bench.init(&[]).code(3).says(&["holds a store already"]);
    assert_eq!(bench.grub(), before);
    let plain = bench.dir.join("esp").display().to_string();
    let root = bench.root().display().to_string();
    let mut command = bench.command();
    command.args(["--root", &plain, "store", "init", "--import", &root]);
    super::bench::answer(&command.output().unwrap())
        .code(1)
        .says(&["not on a btrfs"]);
    // A folder inside is not the top level.
    let inner = bench.store("snaps").display().to_string();
    let mut command = bench.command();
    command.args(["--root", &inner, "status"]);
    super::bench::answer(&command.output().unwrap())
        .code(2)
        .says(&["not the top level", "subvolid=5"]);
}

fn a_copy_shares() {
    let bench = Bench::new("copy");
    let made = bench
        .rootctl(&["snap", "new", "web", "-m", "a copy"])
        .code(0);
    assert_eq!(made.out, "2\n");
    for file in ["vmlinuz", "initrd"] {
        let read = |id: u32| std::fs::read(bench.store(&format!("snaps/{id}/{file}"))).unwrap();
        assert_eq!(read(1), read(2));
    }
    bench
        .rootctl(&["snap", "tree"])
        .code(0)
        .says(&["> 1 base", "`- 2 web", "a copy"]);
    bench.rootctl(&["snap", "new", "--from", "w"]).code(0);
    bench
        .rootctl(&["snap", "show", "3~2", "--json"])
        .code(0)
        .says(&["\"id\": 1"]);
    assert_eq!(bench.status("snapshots"), "3");
    assert!(
        std::fs::read_dir(bench.store("tmp"))
            .unwrap()
            .next()
            .is_none()
    );
}

fn run_succeeds() {
    let bench = Bench::new("run");
    let script = "echo to stdout; echo to stderr >&2; echo new > /usr/new; mkdir -p /var/lib/thing; rm /etc/passwd";
    let ran = bench
        .rootctl(&[
            "run", "base", "--name", "made", "-m", "note", "--", "sh", "-c", script,
        ])
        .code(0);
    assert_eq!(ran.out, "to stdout\n2\n");
    assert!(
        ran.err.contains("to stderr\n") && ran.err.contains("- publish snapshot 2"),
        "{}",
        ran.err
    );
    assert_eq!(
        std::fs::read_to_string(bench.store("snaps/2/root/usr/new")).unwrap(),
        "new\n"
    );
    assert!(
        bench.store("snaps/1/root/etc/passwd").exists(),
        "the parent is untouched"
    );
    assert!(!bench.store("snaps/2/root/etc/passwd").exists());
    bench
        .rootctl(&["snap", "show", "made"])
        .code(0)
        .says(&["parent  1", "run: sh -c"]);
    // A package brings folders in /var: the shared one gets them when the snapshot is deployed.
    assert!(!bench.top().join("@var/lib/thing").exists());
    bench.rootctl(&["deploy", "made"]).code(0);
    assert!(bench.top().join("@var/lib/thing").exists());
}

fn run_fails() {
    let bench = Bench::new("run-fails");
    for (command, status) in [
        (&["sh", "-c", "echo x > /usr/x; exit 3"][..], "status 3"),
        (&["sh", "-c", "kill -9 $$"], "status 137"),
        (&["/no/such/program"], "status 127"),
    ] {
        let mut words = vec!["run", "1", "--"];
        words.extend(command);
        bench
            .rootctl(&words)
            .code(1)
            .says(&[status, "nothing changed"]);
    }
    bench
        .rootctl(&["run", "1", "--json", "--", "sh", "-c", "echo out; exit 4"])
        .code(1)
        .says(&["\"status\": 4", "\"id\": null"]);
    for (script, words) in [
        ("rm /usr/bin/rinit", "no program /usr/bin/rinit"),
        ("rm /boot/vmlinuz*", "no kernel"),
        ("touch /boot/vmlinuz-9.9", "more than one kernel"),
        ("rm /usr/lib/os-release", "os-release"),
        ("mv /usr/lib/modules/* /tmp", "has no modules"),
    ] {
        bench
            .rootctl(&["run", "1", "--", "sh", "-c", script])
            .code(3)
            .says(&[words]);
    }
    assert_eq!(bench.status("snapshots"), "1");
    assert!(
        std::fs::read_dir(bench.store("tmp"))
            .unwrap()
            .next()
            .is_none()
    );
    bench.rootctl(&["snap", "new"]).code(0).says(&["2"]);
}

fn run_is_isolated() {
    let bench = Bench::new("isolated");
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let script = "hostname other; echo pid $$; touch /run/x /tmp/x; echo uid $(id -u); \
                  cat /proc/mounts | while read a b c; do echo at $b; done; (echo x > /sys/x) 2>/dev/null; true";
    let ran = bench
        .rootctl(&["run", "1", "--", "sh", "-c", script])
        .code(0);
    assert_eq!(
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        before
    );
    assert!(
        ran.out.contains("pid 2\n") && ran.out.contains("uid 0\n"),
        "{}",
        ran.out
    );
    let inside = bench.dir.display().to_string();
    assert!(
        !ran.out.contains(&inside),
        "the host is still mounted: {}",
        ran.out
    );
    for left in ["run/x", "tmp/x", "dev/null", "proc/1"] {
        assert!(
            !bench.store(&format!("snaps/2/root/{left}")).exists(),
            "{left}"
        );
    }
}

fn run_leaves_no_process() {
    let bench = Bench::new("orphans");
    let started = std::time::Instant::now();
    bench
        .rootctl(&[
            "run",
            "1",
            "--",
            "sh",
            "-c",
            "sleep 600 & sleep 600 >/dev/null 2>&1 & echo done",
        ])
        .code(0)
        .says(&["done"]);
    assert!(
        started.elapsed().as_secs() < 300,
        "it waited for what was left behind"
    );
}

fn run_changes_the_kernel() {
    let bench = Bench::new("kernel");
    let read =
        |id: u32, file: &str| std::fs::read(bench.store(&format!("snaps/{id}/{file}"))).unwrap();
    bench
        .rootctl(&["run", "1", "--", "sh", "-c", "touch /usr/other"])
        .code(0);
    assert_eq!(read(2, "initrd"), read(1, "initrd"));
    let script =
        "echo another stage > /usr/lib/rootctl/rinit-boot; echo kernel > /boot/vmlinuz-6.1.0-test";
    bench
        .rootctl(&["run", "1", "--", "sh", "-c", script])
        .code(0)
        .says(&["boot stage changed"]);
    assert_ne!(read(3, "initrd"), read(1, "initrd"));
    assert_eq!(read(3, "vmlinuz"), b"kernel\n");
    bench.rootctl(&["deploy", "3"]).code(0);
    bench.must_boot();
}

fn deploy_confirm_rollback() {
    let bench = Bench::new("deploy");
    bench
        .rootctl(&[
            "run",
            "1",
            "--name",
            "web",
            "--",
            "sh",
            "-c",
            "echo k > /boot/vmlinuz-6.1.0-test",
        ])
        .code(0);
    bench.booted(1);
    bench
        .rootctl(&["deploy", "web", "--try", "3", "--mode", "rw"])
        .code(0)
        .says(&["E9"]);
    bench.must_boot();
    assert_eq!(bench.menu(), [1, 2]);
    assert!(
        bench.grub().contains("set default=rootctl-1\n"),
        "the default did not move"
    );
    assert!(
        bench.grubenv().contains("rootctl_trial=2\n")
            && bench.grubenv().contains("rootctl_tries=3\n")
    );
    assert_eq!(bench.status("next"), "2");
    // Somebody else's pairs in the block survive.
    let block = bench
        .grubenv()
        .replacen("rootctl_trial", "foreign=1\nrootctl_trial", 1);
    std::fs::write(bench.esp().join("rootctl/grubenv"), &block[..1024]).unwrap();

    bench.booted(2);
    bench
        .rootctl(&["boot-ok"])
        .code(0)
        .says(&["good       2", "previous   1"]);
    assert_eq!(bench.menu(), [2, 1]);
    assert!(bench.grub().contains("rootctl.snap=2 rootctl.mode=rw"));
    let block = bench.grubenv();
    assert!(
        !block.contains("rootctl_trial") && block.contains("foreign=1\n"),
        "{block}"
    );
    bench.must_boot();
    bench.rootctl(&["boot-ok"]).code(0);

    bench
        .rootctl(&["rollback"])
        .code(0)
        .says(&["snapshot 1 boots next"]);
    assert_eq!(bench.menu(), [1, 2]);
    bench.must_boot();
    assert_eq!(
        (bench.status("good").as_str(), bench.warnings().as_str()),
        ("1", "[]")
    );
    // Picking an old snapshot in the menu does not make it the default.
    bench
        .rootctl(&["boot-ok"])
        .code(3)
        .says(&["not on trial", "rollback 2"]);
    bench.rootctl(&["rollback", "2"]).code(0);
    assert_eq!(bench.status("good"), "2");
}

/// The snapshot's own linter is asked; here one that finds the same whatever it is shown.
fn units_are_checked() {
    let bench = Bench::new("units");
    let linter = |problem: &str| {
        let answer = format!(r#"{{"units":1,"problems":[{problem}]}}"#);
        format!(
            "printf '#!/bin/sh\necho \"$@\" >&2\ncat <<.\n%s\n.\n' '{answer}' > /usr/bin/rinit-plan"
        )
    };
    let wrong =
        r#"{"severity":"error","message":"unknown key","shown":"web.toml:3:1: unknown key"}"#;
    let odd = r#"{"severity":"warning","message":"gone","shown":"web.toml:4:1: gone"}"#;
    for (name, problem) in [("broken", wrong), ("odd", odd)] {
        bench
            .rootctl(&[
                "run",
                "1",
                "--name",
                name,
                "--",
                "sh",
                "-c",
                &linter(problem),
            ])
            .code(0);
    }
    let says = "error: web.toml:3:1: unknown key";
    bench.booted(1);
    for words in [&["deploy", "broken"][..], &["deploy", "broken", "-n"]] {
        bench.rootctl(words).code(3).says(&[says, "--unchecked"]);
    }
    assert_eq!(
        (bench.status("trial"), bench.menu()),
        (String::new(), vec![1])
    );
    bench
        .rootctl(&["svc", "check", "--snapshot", "broken"])
        .code(1)
        .says(&[says, "1 units can be used, 1 error, 0 warnings"]);
    bench
        .rootctl(&["svc", "check", "--snapshot", "odd", "--json"])
        .code(0)
        .says(&["\"severity\": \"warning\""]);
    bench
        .rootctl(&["svc", "check", "--snapshot", "1"])
        .code(1)
        .says(&[
            "the units of snapshot 1 cannot be checked",
            "/usr/bin/rinit-plan",
        ]);
    bench.rootctl(&["deploy", "odd"]).code(0).says(&[
        "warning: web.toml:4:1: gone",
        "no plan could be compiled: this is no boot plan",
    ]);
    bench
        .rootctl(&["deploy", "broken", "--unchecked"])
        .code(0)
        .says(&[says]);
    assert_eq!(bench.status("next"), "2");
    bench.must_boot();
}

fn sealed_again() {
    let bench = Bench::new("sealed-again");
    bench.rootctl(&["snap", "new", "two"]).code(0);
    let root = bench.store("snaps/2/root");
    let property =
        |value: &str| shell(&format!("btrfs property set {} ro {value}", root.display()));
    let is_writable = || std::fs::write(root.join("usr/new"), "x").is_ok();
    // As mode rw does.
    property("false");
    bench
        .rootctl(&["-n", "deploy", "two"])
        .code(0)
        .says(&["read-only again"]);
    assert!(is_writable());
    bench
        .rootctl(&["-n", "rollback", "two"])
        .code(0)
        .says(&["read-only again"]);
    assert!(is_writable());
    bench.rootctl(&["deploy", "two", "--mode", "rw"]).code(0);
    assert!(is_writable());
    bench.booted(2);
    bench
        .rootctl(&["boot-ok"])
        .code(0)
        .says(&["read-only again"]);
    assert!(!is_writable());
    bench.rootctl(&["rollback", "1"]).code(0);
    property("false");
    bench
        .rootctl(&["deploy", "two", "--mode", "ro"])
        .code(0)
        .says(&["read-only again"]);
    assert!(!is_writable());
}

fn dry_run() {
    let bench = Bench::new("dry");
    bench.rootctl(&["snap", "new", "two"]).code(0);
    bench.rootctl(&["snap", "new", "three"]).code(0);
    let state = || {
        let script = format!(
            "cd {} && find . -type f | sort | xargs cat | cksum; find . | sort | cksum",
            bench.dir.join("esp").display()
        );
        let esp = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap()
            .stdout;
        (
            esp,
            std::fs::read(bench.store("state.ab")).unwrap(),
            std::fs::read(bench.store("lock")).unwrap(),
        )
    };
    let before = state();
    bench.rootctl(&["-n", "deploy", "two"]).code(0).says(&[
        "nothing was changed",
        "E1 ",
        "E9 tell GRUB",
    ]);
    bench
        .rootctl(&["-n", "--json", "deploy", "two"])
        .code(0)
        .says(&["\"steps\""]);
    bench
        .rootctl(&["-n", "rollback", "two"])
        .code(0)
        .says(&["C1 ", "C6 "]);
    bench
        .rootctl(&["-n", "snap", "delete", "two", "three"])
        .code(0)
        .says(&["would delete 2, 3"]);
    bench
        .rootctl(&["-n", "snap", "new", "--beside"])
        .code(0)
        .says(&["copy snapshot 1", "snapshot 4, beside 1"]);
    bench
        .rootctl(&["-n", "run", "two", "--", "rm", "-rf", "/"])
        .code(0)
        .says(&["copy snapshot 2", "rm -rf /", "snapshot 4"]);
    bench.rootctl(&["-n", "run", "no", "--", "true"]).code(1);
    for verb in [&["boot-ok"][..], &["store", "init", "--import", "/"]] {
        let mut words = vec!["-n"];
        words.extend(verb);
        bench.rootctl(&words).code(2).says(&["no --dry-run"]);
    }
    assert!(before == state());
    assert_eq!(bench.status("snapshots"), "3");
}

fn completion() {
    let bench = Bench::new("completion");
    let script = bench.rootctl(&["completion", "bash"]).code(0).out;
    let file = bench.dir.join("completion");
    std::fs::write(&file, script).unwrap();
    for (words, expected) in [
        ("rootctl snap show w", "web"),
        ("rootctl deploy --try 3 s", "shop"),
        ("rootctl snap new --from 7", "7"),
        ("rootctl run web -- w", ""),
        ("rootctl svc start w", ""),
    ] {
        let last = words.rsplit(' ').next().unwrap();
        let script = format!(
            "rootctl() {{ printf '7\\nweb\\nshop\\n'; }}; source {}; COMP_WORDS=({words}); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _rootctl_known rootctl {last} x; \
             echo \"known: ${{COMPREPLY[*]}}\"",
            file.display()
        );
        let out = std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(out, format!("known: {expected}\n"), "{words}");
    }
    // Nobody listens here: nothing is said, and nothing started.
    let mut command = bench.command();
    command
        .args(["completion", "--candidates", "snapshots"])
        .env("ROOTCTLD", "/no/such/broker");
    let silent = super::bench::answer(&command.output().unwrap()).code(0);
    assert_eq!((silent.out.as_str(), silent.err.as_str()), ("", ""));
}

fn reject() {
    let bench = Bench::new("reject");
    bench.rootctl(&["snap", "new", "bad"]).code(0);
    bench.rootctl(&["deploy", "bad"]).code(0);
    bench.booted(2);
    bench
        .rootctl(&["deploy", "1"])
        .code(3)
        .says(&["is the good one already"]);
    bench.rootctl(&["snap", "new", "third"]).code(0);
    bench
        .rootctl(&["deploy", "third"])
        .code(3)
        .says(&["itself on trial"]);
    bench
        .rootctl(&["boot-ok", "--reject", "-sshd was not ready"])
        .code(0)
        .says(&["failed", "-sshd was not ready"]);
    assert!(!bench.grubenv().contains("rootctl_trial"));
    assert_eq!(bench.status("next"), "1");
    bench
        .rootctl(&["boot-ok"])
        .code(3)
        .says(&["judged bad", "rollback 2"]);
    assert!(
        bench.warnings().contains("failed its trial"),
        "{}",
        bench.warnings()
    );
    bench.booted(1);
    bench.rootctl(&["snap", "delete", "bad"]).code(0);
    assert_eq!(
        (bench.status("trial").as_str(), bench.warnings().as_str()),
        ("", "[]")
    );
}

fn no_show() {
    let bench = Bench::new("noshow");
    bench.rootctl(&["snap", "new", "dead"]).code(0);
    bench.rootctl(&["deploy", "dead", "--try", "1"]).code(0);
    bench.booted(1);
    // GRUB counted the try down, and the good one runs again.
    let block = bench
        .grubenv()
        .replace("rootctl_tries=1", "rootctl_tries=0");
    std::fs::write(bench.esp().join("rootctl/grubenv"), block).unwrap();
    let record = std::fs::read(bench.store("state.ab")).unwrap();
    bench.rootctl(&["status"]).code(0).says(&[
        "trial      2 failed",
        "never entered",
        "next       1",
    ]);
    assert!(
        record == std::fs::read(bench.store("state.ab")).unwrap(),
        "a look writes nothing"
    );
    bench.rootctl(&["snap", "new"]).code(0);
    assert!(record != std::fs::read(bench.store("state.ab")).unwrap());
    assert_eq!(
        (bench.status("next").as_str(), bench.menu()),
        ("1", vec![1])
    );
    // It may be tried again.
    bench.rootctl(&["deploy", "dead"]).code(0);
    assert_eq!(bench.menu(), [1, 2]);
}

fn ids_are_not_reused() {
    let bench = Bench::new("ids");
    bench.rootctl(&["snap", "new", "a"]).code(0);
    bench.rootctl(&["snap", "new", "b"]).code(0);
    bench
        .rootctl(&["snap", "delete", "b", "a", "3"])
        .code(0)
        .says(&["deleted 3, 2"]);
    assert_eq!(bench.rootctl(&["snap", "new"]).code(0).out, "4\n");
    for (target, words) in [
        ("1", "is the base"),
        ("9", "no snapshot 9"),
        ("../1", "names no snapshot"),
    ] {
        let answer = bench.rootctl(&["snap", "delete", target]).says(&[words]);
        assert_ne!(answer.code, 0);
    }
    bench.booted(4);
    bench
        .rootctl(&["snap", "delete", "4"])
        .code(3)
        .says(&["is running"]);
    let left: Vec<_> = std::fs::read_dir(bench.store("snaps")).unwrap().collect();
    assert_eq!(left.len(), 2);
}

fn limine() {
    let bench = Bench::with("limine", &["--loader", "limine"]);
    let variables = bench.dir.join("efivars");
    std::fs::create_dir(&variables).unwrap();
    let namespace = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let one_shot = variables.join(format!("LoaderEntryOneShot-{namespace}"));
    let conf = || std::fs::read_to_string(bench.esp().join("EFI/BOOT/limine.conf")).unwrap();
    assert!(conf().contains("\n/rootctl 1\n") && conf().contains("protocol: linux"));
    bench.rootctl(&["snap", "new"]).code(0);
    let deploy = |features: u64| {
        let mut value = 6u32.to_le_bytes().to_vec();
        value.extend(features.to_le_bytes());
        std::fs::write(variables.join(format!("LoaderFeatures-{namespace}")), value).unwrap();
        bench.rootctl_with(
            &["deploy", "2"],
            &[("ROOTCTLD_EFIVARS", variables.to_str().unwrap())],
        )
    };
    let before = conf();
    bench
        .rootctl(&["deploy", "2"])
        .code(3)
        .says(&["on the machine that boots it", "rollback N"]);
    assert!(
        !one_shot.exists() && conf() == before,
        "nothing was written before the refusal"
    );
    deploy(0x200f)
        .code(0)
        .says(&["tell Limine to enter snapshot 2"]);
    let text: Vec<u8> = "rootctl 2\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(
        std::fs::read(&one_shot).unwrap(),
        [&[7, 0, 0, 0], text.as_slice()].concat()
    );
    assert!(conf().find("/rootctl 1").unwrap() < conf().find("/rootctl 2").unwrap());
    bench.booted(2);
    bench
        .rootctl_with(
            &["boot-ok"],
            &[("ROOTCTLD_EFIVARS", variables.to_str().unwrap())],
        )
        .code(0);
    assert!(!one_shot.exists());
    assert!(conf().find("/rootctl 2").unwrap() < conf().find("/rootctl 1").unwrap());
}

fn initramfs_is_reproducible() {
    let bench = Bench::empty("initramfs", 120);
    let root = bench.root().display().to_string();
    let build = |name: &str, more: &[&str]| {
        let output = bench.dir.join(name);
        let mut words = vec![
            "initramfs",
            "build",
            "--for",
            &root,
            "-o",
            output.to_str().unwrap(),
        ];
        words.extend(more);
        let mut command = bench.command();
        command.args(&words);
        super::bench::answer(&command.output().unwrap()).code(0);
        std::fs::read(output).unwrap()
    };
    let one = build("one", &[]);
    shell(&format!("find {root} -exec touch -h {{}} +"));
    assert_eq!(one, build("two", &["--release", super::bench::RELEASE]));
    assert!(build("three", &["--host-only"]).starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

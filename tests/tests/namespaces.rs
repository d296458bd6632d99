//! Tier 2: the namespace runner itself. A process 1 made of shell lines sees its own machine.

use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Duration;
use tests::ns::{End, Mounts, Namespace, Recipe};
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

const SOON: Duration = Duration::from_secs(20);

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "process_1_sees_only_itself_and_its_own_cgroups",
                sees_only_itself,
            ),
            test(
                "power_off_and_restart_of_process_1_are_told_apart",
                tells_ends_apart,
            ),
            test("a_command_runs_beside_process_1", runs_beside),
            test("a_bare_root_has_nothing_mounted_but_the_console", bare),
            test("nothing_outlives_a_dropped_namespace", nothing_outlives),
        ],
    )
}

fn shell(script: &str) -> Recipe {
    Recipe::new(&["/bin/sh", "/script"])
        .text("/script", &format!("busybox --install -s /bin\n{script}"))
}

fn sees_only_itself() -> Result<Outcome> {
    let script = "echo pid=$$; mkdir /sys/fs/cgroup/child && cat /proc/self/cgroup | grep ^0:\n\
                  ls -d /proc/[0-9]* | wc -l; mount | grep -c ' on / '; hostname; read line; echo \"got $line\"; sleep 100";
    let mut ns = Namespace::start(&shell(script))?;
    for line in ["pid=1\n", "0::/\n", "namespace\n"] {
        ns.console.expect(line, SOON)?;
    }
    ns.console.send_line("word")?;
    ns.console.expect("got word", SOON)?;
    Ok(Outcome::Passed)
}

fn tells_ends_apart() -> Result<Outcome> {
    let ends = [
        ("poweroff -f", End::PowerOff),
        ("reboot -f", End::Restart),
        ("exit 3", End::Exited(3)),
    ];
    for (script, end) in ends {
        let mut ns = Namespace::start(&shell(script))?;
        let seen = ns.wait_end(SOON)?;
        ensure!(seen == end, "`{script}` ended as {seen:?}");
    }
    Ok(Outcome::Passed)
}

fn runs_beside() -> Result<Outcome> {
    let mut ns = Namespace::start(&shell("echo up > /run/word; echo ready; read forever"))?;
    ns.console.expect("ready", SOON)?;
    let said = run::output(&mut ns.inside(&["/bin/busybox", "cat", "/run/word"])?)?;
    ensure!(said == "up\n", "it said {said:?}");
    Ok(Outcome::Passed)
}

fn bare() -> Result<Outcome> {
    let script = "test ! -e /proc/self && test ! -e /sys/kernel && test ! -e /dev/null && echo nothing-here\nread x";
    let mut ns = Namespace::start(&shell(script).mounts(Mounts::Bare))?;
    ns.console.expect("nothing-here", SOON)?;
    Ok(Outcome::Passed)
}

fn nothing_outlives() -> Result<Outcome> {
    let mut ns = Namespace::start(&shell("sleep 1000 & sleep 1000 & echo started; wait"))?;
    ns.console.expect("started", SOON)?;
    let (init, cgroup) = (ns.pid()?, ns.cgroup().path().to_path_buf());
    drop(ns);
    ensure!(
        !Path::new(&format!("/proc/{init}/root")).exists(),
        "process 1 is still there"
    );
    ensure!(!cgroup.exists(), "the cgroup is still there");
    Ok(Outcome::Passed)
}

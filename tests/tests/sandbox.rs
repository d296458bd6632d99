//! Tier 2: what a unit says about its processes, as these processes see it themselves.

use anyhow::{Context, Result, ensure};
use tests::inside::Inside;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("a_process_is_born_with_its_attributes", attributes),
            test("the_environment_comes_from_all_its_sources", environment),
            test(
                "an_executor_that_fails_names_key_object_and_reason",
                failures,
            ),
            test("a_socket_reaches_a_process_behind_an_executor", sockets),
        ],
    )
}

/// A oneshot that runs this script, its lines as one shell would take them.
fn script(lines: &str) -> String {
    format!("kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", '''{lines}\necho done''']\n")
}

/// Every one of these lines must be among what it said.
fn holds(said: &str, lines: &[&str]) -> Result<()> {
    for line in lines {
        ensure!(
            said.lines().any(|other| other == *line),
            "it did not say {line:?} but\n{said}"
        );
    }
    Ok(())
}

fn attributes() -> Result<Outcome> {
    let look = "ulimit -Sn; ulimit -Hn; ulimit -c
busybox awk '{ print \"nice\", $19, \"policy\", $41 }' /proc/self/stat
busybox ionice -p $$
busybox cat /proc/$$/timerslack_ns /proc/$$/coredump_filter
busybox grep -E '^(Cpus_allowed_list|Groups)' /proc/$$/status";
    let text = script(look)
        + "groups = [\"video\"]\nnice = 7\nsched = \"batch\"\naffinity = \"0\"\nio = \"best-effort:6\"\n\
           timer_slack = \"77us\"\ncoredump_filter = \"0x21\"\n\
           [exec.limits]\nnofile = \"123:456\"\ncore = 0\n";
    let pipe = |more: &str| {
        format!(
            "[exec]\nstart = \"/bin/busybox grep SigIgn /proc/self/status\"\nnice = 1\n{more}[restart]\npolicy = \"no\"\n"
        )
    };
    let units = [
        ("a", text),
        ("ends", pipe("")),
        ("errs", pipe("ignore_sigpipe = true\n")),
    ];
    let units: Vec<_> = units
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let inside = Inside::start(&units)?;
    let said = inside.done("a")?;
    holds(
        &said,
        &[
            "123",
            "456",
            "0",
            "nice 7 policy 3",
            "best-effort: prio 6",
            "77000",
            "00000021",
            "Cpus_allowed_list:\t0",
            "Groups:\t0 44 ",
        ],
    )?;
    // Rust ignores SIGPIPE for itself; that must not reach a program that did not ask for it.
    for (name, ignored) in [("ends", false), ("errs", true)] {
        inside.until(name, || Ok(inside.said(name)?.contains("SigIgn")))?;
        let said = inside.said(name)?;
        let mask = said.trim().rsplit('\t').next().unwrap_or_default();
        let mask = u64::from_str_radix(mask, 16).with_context(|| said.clone())?;
        // Bit 12: signal 13.
        ensure!((mask & 0x1000 != 0) == ignored, "{name}: {said}");
    }
    Ok(Outcome::Passed)
}

fn environment() -> Result<Outcome> {
    let text = script("busybox env")
        + "user = \"web\"\nenv = { A = \"unit\", B = \"unit\" }\nenv_pass = [\"TERM\", \"A\", \"NOWHERE\"]\n\
           env_files = [\"/etc/a.env\", \"-/etc/absent.env\"]\nenv_unset = [\"SHELL\", \"GONE\"]\n";
    let file = "# by hand\nB=\"from the file\"\nGONE=1\nC=$A\n";
    let inside = Inside::start_with(&[("a", &text)], |recipe| recipe.text("/etc/a.env", file))?;
    let said = inside.done("a")?;
    holds(
        &said,
        &[
            "A=unit",
            "B=from the file",
            "C=$A",
            "TERM=linux",
            "USER=web",
            "HOME=/srv",
        ],
    )?;
    for name in ["SHELL=", "GONE=", "NOWHERE="] {
        ensure!(!said.lines().any(|line| line.starts_with(name)), "{said}");
    }
    Ok(Outcome::Passed)
}

fn failures() -> Result<Outcome> {
    let run = |program: &str, more: &str| {
        format!("[exec]\nstart = \"{program}\"\n{more}[restart]\npolicy = \"no\"\n")
    };
    let units = [
        (
            "file",
            run("/bin/true", "env_files = [\"/etc/absent.env\"]\n"),
            "[exec] env_files: cannot open /etc/absent.env: No such file or directory; next: rootctl svc logs file",
        ),
        (
            "line",
            run("/bin/true", "env_files = [\"/etc/passwd\"]\n"),
            "[exec] env_files: /etc/passwd line 1: expected NAME=value; next: rootctl svc logs line",
        ),
        (
            "cpu",
            run("/bin/true", "affinity = \"1000\"\n"),
            "[exec] affinity: cannot run on CPUs [1000]: Invalid argument; next: rootctl svc logs cpu",
        ),
        (
            "dir",
            run("/bin/true", "nice = 1\nworkdir = \"/absent\"\n"),
            "[exec] workdir: cannot enter /absent: No such file or directory; next: rootctl svc logs dir",
        ),
        (
            "program",
            run("/bin/absent", "nice = 1\n"),
            "cannot execute its program: No such file or directory",
        ),
        ("good", run("/bin/busybox sleep 100000", "nice = 1\n"), ""),
    ];
    let all: Vec<_> = units
        .iter()
        .map(|(name, text, _)| (*name, text.as_str()))
        .collect();
    let inside = Inside::start(&all)?;
    for (name, _, reason) in &units {
        let state = if reason.is_empty() { "up" } else { "failed" };
        let found = inside.unit(name)?;
        ensure!(
            found["state"] == state && found["reason"] == *reason,
            "{name}: {found}"
        );
    }
    Ok(Outcome::Passed)
}

fn sockets() -> Result<Outcome> {
    let text = |more: &str, name: &str| {
        format!(
            "[exec]\n{more}start = [\"/bin/sh\", \"-c\", \"echo $LISTEN_FDS $LISTEN_FDNAMES $(($LISTEN_PID - $$)); \
             busybox ls /proc/$$/fd; echo done; exec sleep 100000\"]\n\
             [[socket]]\nlisten = \"stream:/run/{name}.sock\"\nname = \"in\"\n"
        )
    };
    let (without, with) = (text("", "without"), text("nice = 1\n", "with"));
    let inside = Inside::start(&[("without", &without), ("with", &with)])?;
    let said = inside.done("with")?;
    holds(&said, &["1 in 0", "3"])?;
    // Neither errand nor report are left open.
    ensure!(said == inside.done("without")?, "{said}");
    Ok(Outcome::Passed)
}

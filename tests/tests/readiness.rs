//! Tier 2: how real processes under rinit as process 1 become ready.

use anyhow::{Context, Result, ensure};
use std::os::unix::net::UnixListener;
use tests::inside::Inside;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("a_daemon_in_the_background_is_adopted_and_watched", daemon),
            test(
                "a_file_that_names_a_foreign_process_does_not_count",
                foreign,
            ),
            test("a_socket_is_asked_until_somebody_accepts", socket),
            test("a_check_runs_as_the_units_user", check),
        ],
    )
}

fn daemon() -> Result<Outcome> {
    // The command ends before the file is there, as it should not, and does.
    let script = "(sleep 0.3; exec sleep 1000) & echo $! > /run/deep.pid.new; (sleep 1; mv /run/deep.pid.new /run/deep.pid) &";
    let text = format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n[ready]\npidfile = \"/run/deep.pid\"\ninterval = \"100ms\"\n"
    );
    let inside = Inside::start(&[("deep", &text)])?;
    inside.until("it is up", || Ok(inside.unit("deep")?["state"] == "up"))?;
    let pid = inside.unit("deep")?["pid"].clone();
    let words = pid.to_string();
    ensure!(inside.read("/run/deep.pid")?.trim() == words, "{pid}");
    let mut kill = inside.ns.inside(&["/bin/busybox", "kill", "-9", &words])?;
    tests::run::quiet(&mut kill)?;
    inside.until("it was restarted", || {
        let unit = inside.unit("deep")?;
        Ok(unit["state"] == "up" && unit["restarts"] == 1 && unit["pid"] != pid)
    })?;
    Ok(Outcome::Passed)
}

fn foreign() -> Result<Outcome> {
    // Process 1, a process of another unit, a link, a pipe: whoever may write there can write any of these.
    let sleeper = "[exec]\nstart = \"/bin/busybox sleep 100000\"\n";
    let liar = |file: &str| {
        let script = format!("sleep 100000 & {file}");
        format!(
            "[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n[ready]\npidfile = \"/run/FILE\"\ntimeout = \"2s\"\n[restart]\npolicy = \"no\"\n"
        )
    };
    let first = liar("echo 1 > /run/first").replace("FILE", "first");
    let link = liar("echo $! > /run/real; ln -s real /run/link").replace("FILE", "link");
    let pipe = liar("mkfifo /run/pipe").replace("FILE", "pipe");
    let inside = Inside::start(&[
        ("other", sleeper),
        ("first", &first),
        ("link", &link),
        ("pipe", &pipe),
    ])?;
    for (name, words) in [
        ("first", "holds no process id"),
        ("link", "Too many levels of symbolic links"),
        ("pipe", "it is no plain file"),
    ] {
        inside.until(&format!("{name} has failed"), || {
            Ok(inside.unit(name)?["state"] == "failed")
        })?;
        let unit = inside.unit(name)?;
        let reason = unit["reason"].as_str().context("no reason")?;
        ensure!(reason.contains(words), "{name}: {reason}");
    }
    ensure!(inside.unit("other")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn socket() -> Result<Outcome> {
    let text = "schema = 1\n[exec]\nstart = \"/bin/busybox sleep 100000\"\n[ready]\nsocket = \"stream:/run/deep.sock\"\ninterval = \"50ms\"\n";
    let inside = Inside::start_with(&[], |recipe| {
        recipe.text("/etc/rinit/services/deep.toml", text)
    })?;
    inside.call(
        "Start",
        &serde_json::json!({ "units": ["deep"], "no_wait": true }),
    )?;
    inside.until("it starts", || {
        Ok(inside.unit("deep")?["state"] == "starting")
    })?;
    let path = inside.path("/run/deep.sock")?;
    let _listener =
        UnixListener::bind(&path).with_context(|| format!("cannot listen on {path}"))?;
    inside.until("it is up", || Ok(inside.unit("deep")?["state"] == "up"))?;
    Ok(Outcome::Passed)
}

fn check() -> Result<Outcome> {
    let text = "[exec]\nuser = \"web\"\nstart = \"/bin/busybox sleep 100000\"\n[ready]\n\
                check = [\"/bin/sh\", \"-c\", \"id -u; cat /proc/self/cgroup\"]\n";
    let inside = Inside::start(&[("deep", text)])?;
    inside.until("it has said who it is", || {
        let log = inside.read("/var/log/rinit/deep.log")?;
        Ok(log.contains(": 33\n") && log.contains("rinit/deep\n"))
    })?;
    ensure!(inside.unit("deep")?["state"] == "up");
    Ok(Outcome::Passed)
}

//! Tier 2: connections that are served by a process each.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use tests::inside::{Inside, SOON};
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("each_connection_has_a_process_of_its_own", each),
            test("a_port_tells_who_calls", port),
            test("who_comes_too_late_waits_and_is_served", full),
            test("many_connections_leave_nothing_behind", many),
            test("connections_outlive_rinit_and_a_changed_file", outlives),
        ],
    )
}

/// A unit whose command has the connection as standard input and output.
fn unit(command: &str, socket: &str) -> String {
    format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"{command}\"]\n[log]\nstdout = \"socket\"\nstderr = \"log\"\n\
         [[socket]]\nlisten = \"stream:/run/a.sock\"\naccept = true\n{socket}\n"
    )
}

fn connect(inside: &Inside) -> Result<UnixStream> {
    let stream = UnixStream::connect(inside.path("/run/a.sock")?).context("cannot connect")?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// One line, without its end.
fn line(stream: &mut impl Read) -> Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// All units that are shown, by name.
fn units(inside: &Inside) -> Result<Vec<String>> {
    let list = inside.call("Status", &json!({}))?;
    let all = list["units"].as_array().context("no units")?;
    let name = |unit: &Value| unit["name"].as_str().unwrap_or_default().to_owned();
    Ok(all.iter().map(name).collect())
}

fn until_idle(inside: &Inside) -> Result<()> {
    inside.until("all places are vacant", || {
        Ok(!units(inside)?.iter().any(|name| name.contains('@')))
    })
}

fn each() -> Result<Outcome> {
    let text = unit("echo $$; read word; echo $word; echo bye >&2", "");
    let inside = Inside::start(&[("a", &text)])?;
    let (mut one, mut other) = (connect(&inside)?, connect(&inside)?);
    let pids = [line(&mut one)?, line(&mut other)?];
    ensure!(pids[0] != pids[1], "{pids:?}");
    let pid = inside.unit("a@1")?["pid"].to_string();
    ensure!(pid == pids[0], "{pids:?} {pid}");
    let shown = units(&inside)?;
    ensure!(
        shown.contains(&"a@1".into()) && shown.contains(&"a@2".into()),
        "{shown:?}"
    );
    for (stream, word) in [(&mut one, "first"), (&mut other, "second")] {
        writeln!(stream, "{word}")?;
        ensure!(line(stream)? == word);
        ensure!(stream.read(&mut [0])? == 0, "it goes on");
    }
    until_idle(&inside)?;
    // Their words are in one log, that of the unit.
    inside.until("both have said it", || {
        Ok(inside.said("a")?.matches("bye").count() == 2)
    })?;
    // Nobody can start a place, and a stop ends one connection.
    ensure!(inside.call("Start", &json!({ "units": ["a@1"] })).is_err());
    let mut one = connect(&inside)?;
    line(&mut one)?;
    inside.call("Stop", &json!({ "units": ["a@1"] }))?;
    ensure!(one.read(&mut [0])? == 0);
    Ok(Outcome::Passed)
}

fn port() -> Result<Outcome> {
    let text = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo $REMOTE_ADDR $REMOTE_PORT $LISTEN_FDS $LISTEN_FDNAMES >&3\"]\n\
                [[socket]]\nlisten = \"stream:8099\"\naccept = true\nmax_per_source = 1\n";
    let inside = Inside::start(&[("a", text)])?;
    let script = "busybox ip link set lo up; busybox nc 127.0.0.1 8099";
    inside.until("it answers", || {
        let said = tests::run::output(&mut inside.ns.inside(&["/bin/sh", "-c", script])?)?;
        let words: Vec<&str> = said.split_whitespace().collect();
        let [address, port, count, name] = *words else {
            return Ok(false);
        };
        ensure!(
            address == "127.0.0.1" && count == "1" && name == "connection",
            "{said}"
        );
        ensure!(port.parse::<u16>().is_ok_and(|port| port > 0), "{said}");
        Ok(true)
    })?;
    Ok(Outcome::Passed)
}

fn full() -> Result<Outcome> {
    let text = unit("echo in; read word", "max_connections = 2");
    let inside = Inside::start(&[("a", &text)])?;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(connect(&inside)?);
    }
    ensure!(line(&mut streams[0])? == "in" && line(&mut streams[1])? == "in");
    let busy = units(&inside)?
        .iter()
        .filter(|name| name.contains('@'))
        .count();
    ensure!(busy == 2, "{busy} are served");
    for (at, stream) in streams.iter_mut().enumerate() {
        if at > 1 {
            ensure!(line(stream)? == "in");
        }
        // Whoever was served makes room for the next one.
        writeln!(stream, "done")?;
    }
    until_idle(&inside)?;
    Ok(Outcome::Passed)
}

/// Private memory of process 1 in KiB.
fn memory(inside: &Inside) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", inside.ns.pid()?))?;
    let found = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = found.and_then(|rest| rest.split_whitespace().next());
    Ok(number.context("no RssAnon")?.parse()?)
}

fn descriptors(inside: &Inside) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", inside.ns.pid()?))?.count())
}

fn many() -> Result<Outcome> {
    let text = unit("", "max_connections = 16\ntrigger_limit = { count = 0 }").replace(
        "[\"/bin/sh\", \"-c\", \"\"]",
        "[\"/bin/busybox\", \"echo\", \"served\"]",
    );
    let inside = Inside::start(&[("a", &text)])?;
    let round = |count: usize| -> Result<()> {
        for _ in 0..count {
            ensure!(line(&mut connect(&inside)?)? == "served");
        }
        until_idle(&inside)
    };
    round(500)?;
    let before = (units(&inside)?, memory(&inside)?, descriptors(&inside)?);
    round(1_500)?;
    let after = (units(&inside)?, memory(&inside)?, descriptors(&inside)?);
    ensure!(before.0 == after.0, "{before:?} {after:?}");
    ensure!(
        after.1 <= before.1 + 256,
        "{} KiB, then {} KiB",
        before.1,
        after.1
    );
    ensure!(after.2 <= before.2 + 8, "{before:?} {after:?}");
    ensure!(inside.unit("a@1")?["restarts"] == 0);
    Ok(Outcome::Passed)
}

fn outlives() -> Result<Outcome> {
    let text = unit("echo in; read word; echo $word", "");
    let inside = Inside::start(&[("a", &text)])?;
    let mut stream = connect(&inside)?;
    ensure!(line(&mut stream)? == "in");
    inside.call("Reexec", &json!({}))?;
    // Who is served is served on; what is written in the file now is for those who come later.
    let changed = format!("schema = 1\n{}", text.replace("echo in", "echo new"));
    std::fs::write(inside.path("/etc/rinit/services/a.toml")?, changed)?;
    inside.call("Apply", &json!({}))?;
    ensure!(inside.unit("a@1")?["state"] == "up");
    ensure!(line(&mut connect(&inside)?)? == "new");
    writeln!(stream, "still")?;
    ensure!(line(&mut stream)? == "still");
    until_idle(&inside)?;
    ensure!(line(&mut connect(&inside)?)? == "new");
    Ok(Outcome::Passed)
}

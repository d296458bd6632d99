//! Tier 2: logs that survive what happens: a logger that is killed, a disk that is full, a folder that is not there yet.

use anyhow::{Context, Result, ensure};
use rootspec::record::Record;
use serde_json::json;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use tests::inside::Inside;
use tests::run;
use tests::stray;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("the_kernels_messages_are_logged_once_each", kernel),
            test("what_programs_say_to_dev_log_is_logged_once_each", syslog),
            test("nobody_who_writes_to_dev_log_holds_up_the_others", hostile),
            test(
                "a_logger_killed_again_and_again_loses_and_repeats_no_line",
                storm,
            ),
            test("a_unit_that_says_too_much_is_cut_short_and_told", rate),
            test("a_full_disk_costs_lines_and_says_how_many", full),
            test(
                "what_is_said_before_the_place_of_logs_is_there_comes_home",
                early,
            ),
            test(
                "logs_are_read_by_time_and_followed_when_they_are_turned_over",
                read_back,
            ),
            test(
                "what_has_no_end_and_what_is_no_text_is_kept_safely",
                strange,
            ),
        ],
    )
}

/// All records of a unit, the oldest first.
fn records(inside: &Inside, name: &str) -> Result<String> {
    let folder = "/var/log/rinit";
    let listed = run::output(&mut inside.ns.inside(&["/bin/busybox", "ls", folder])?)?;
    // A logger that is killed while it turns files over leaves a number free.
    let prefix = format!("{name}.log.");
    let numbers = listed
        .lines()
        .filter_map(|file| file.strip_prefix(&prefix)?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    let mut all = String::new();
    for number in numbers {
        all += &inside.read(&format!("{folder}/{prefix}{number}"))?;
    }
    all += &inside.read(&format!("{folder}/{name}.log"))?;
    Ok(all)
}

/// What a unit has said, joined where a record goes on with the one before it.
fn said(inside: &Inside, name: &str) -> Result<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for line in records(inside, name)?.lines() {
        let record = Record::parse(line).with_context(|| format!("no record: {line}"))?;
        match lines.last_mut() {
            Some(last) if record.continued => last.push_str(record.text),
            _ => lines.push(record.text.to_owned()),
        }
    }
    Ok(lines)
}

fn logger_pid(inside: &Inside) -> Result<Option<u32>> {
    let pid = inside.ns.pid()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut pids = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    Ok(pids.find(|pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("@log"))
    }))
}

fn kill(pid: u32) {
    // It may have died of the last round just now.
    drop(run::quiet(&mut run::command(
        "kill",
        ["-KILL", &pid.to_string()],
    )));
}

fn kernel() -> Result<Outcome> {
    let inside = Inside::start_with(&[], |recipe| {
        recipe.text("/etc/rinit/rinit.toml", "[manager]\nkernel_log = true\n")
    })?;
    let node = ["/bin/busybox", "mknod", "/dev/kmsg", "c", "1", "11"];
    run::quiet(&mut inside.ns.inside(&node)?)?;
    // The first logger found none: the next one does.
    // What earlier tests have said is still there.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let mark = format!("logs-test-{}", now.as_nanos());
    let say = |number: u32| {
        let text = format!("<13>{mark} says {number}\n");
        std::fs::write("/dev/kmsg", text).context("cannot write to the kernel's log")
    };
    let heard = || -> Result<Vec<String>> {
        let lines = said(&inside, "kernel").unwrap_or_default();
        Ok(lines
            .into_iter()
            .filter(|line| line.contains(&mark))
            .collect())
    };
    for round in 0..8 {
        say(round)?;
        if round % 2 == 1 {
            let whole = usize::try_from(round)?;
            inside.until("all but the last are heard", || Ok(heard()?.len() >= whole))?;
        }
        inside.until("there is a logger", || Ok(logger_pid(&inside)?.is_some()))?;
        let pid = logger_pid(&inside)?.context("it is gone")?;
        kill(pid);
        inside.until("it is dead", || Ok(logger_pid(&inside)? != Some(pid)))?;
    }
    inside.until("all is heard", || Ok(heard()?.len() >= 8))?;
    let expected: Vec<String> = (0..8).map(|n| format!("{mark} says {n}")).collect();
    ensure!(heard()? == expected, "{:?}", heard()?);
    let text = inside.read("/var/log/rinit/kernel.log")?;
    let first = text.lines().find_map(rootspec::record::Record::parse);
    ensure!(
        first.is_some_and(|record| record.priority.is_some()),
        "{text}"
    );
    Ok(Outcome::Passed)
}

/// A socket from which everything goes to `/dev/log` inside.
fn dev_log(inside: &Inside) -> Result<UnixDatagram> {
    let path = format!("/proc/{}/root/dev/log", inside.ns.pid()?);
    inside.until("there is /dev/log", || {
        Ok(std::fs::exists(&path)? && logger_pid(inside)?.is_some())
    })?;
    let socket = UnixDatagram::unbound()?;
    socket
        .connect(&path)
        .context("cannot connect to /dev/log")?;
    // Who finds no room waits, but not for ever.
    socket.set_write_timeout(Some(Duration::from_secs(60)))?;
    Ok(socket)
}

fn syslog() -> Result<Outcome> {
    const COUNT: u32 = 3_000;
    let inside = Inside::start(&[])?;
    let socket = dev_log(&inside)?;
    let sender = std::thread::spawn(move || -> Result<()> {
        for number in 1..=COUNT {
            socket.send(format!("<13>Dec  1 03:00:00 talker[1]: line {number}").as_bytes())?;
        }
        Ok(())
    });
    let mut killed = 0;
    while killed < 12 || !sender.is_finished() {
        inside.until("there is a logger", || Ok(logger_pid(&inside)?.is_some()))?;
        let pid = logger_pid(&inside)?.context("it is gone")?;
        kill(pid);
        killed += 1;
        inside.until("it is dead", || Ok(logger_pid(&inside)? != Some(pid)))?;
    }
    sender
        .join()
        .map_err(|_panic| anyhow::anyhow!("the sender panicked"))??;
    let last = format!(": line {COUNT}");
    inside.until("all is written", || {
        let lines = said(&inside, "syslog").unwrap_or_default();
        Ok(lines.last().is_some_and(|line| line.ends_with(&last)))
    })?;
    let expected: Vec<String> = (1..=COUNT)
        .map(|number| format!("talker[-]: line {number}"))
        .collect();
    for (line, expected) in said(&inside, "syslog")?.iter().zip(&expected) {
        ensure!(line == expected, "{line:?} instead of {expected:?}");
    }
    ensure!(said(&inside, "syslog")?.len() == expected.len());
    Ok(Outcome::Passed)
}

fn hostile() -> Result<Outcome> {
    let inside = Inside::start(&[])?;
    let socket = dev_log(&inside)?;
    let (slow, _other) = stray::lingering()?;
    stray::send_with(&socket, b"<13>evil: with a socket", &slow)?;
    drop(slow);
    socket.send(b"")?;
    socket.send(&[b'x'; 64 << 10])?;
    socket.send(b"<11>kernel: \x1b[2J\nrinit[-]: forged\xff")?;
    let logger = ["/bin/busybox", "logger", "-p", "auth.err", "-t", "sshd"];
    let mut logger = inside.ns.inside(&logger)?;
    let begun = Instant::now();
    run::quiet(logger.arg("hello"))?;
    inside.until("an honest message is heard", || {
        let lines = said(&inside, "syslog").unwrap_or_default();
        Ok(lines.iter().any(|line| line.ends_with("]: hello")))
    })?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(40), "it took {took:?}");
    let lines = said(&inside, "syslog")?;
    ensure!(lines.len() == 5, "{} lines", lines.len());
    ensure!(lines[0] == "evil[-]: with a socket" && lines[1] == "-[-]: ");
    ensure!(lines[2].ends_with("xx [cut after 16384 bytes]"));
    ensure!(lines[3] == "kernel[-]: \\x1b[2J\\x0arinit[-]: forged\\xff");
    // Who it was is known, whatever the message says.
    let pid = lines[4].strip_prefix("sshd[");
    let pid = pid.and_then(|rest| rest.strip_suffix("]: hello"));
    ensure!(
        pid.is_some_and(|pid| pid.parse::<u32>().is_ok()),
        "{}",
        lines[4]
    );
    ensure!(records(&inside, "syslog")?.contains(" pri=3 syslog[-]: sshd["));

    let quiet = Inside::start_with(&[], |recipe| {
        recipe.text("/etc/rinit/rinit.toml", "[manager]\nsyslog = false\n")
    })?;
    quiet.until("there is a logger", || Ok(logger_pid(&quiet)?.is_some()))?;
    ensure!(
        quiet.read("/dev/log").is_err()
            && !quiet
                .ns
                .inside(&["/bin/busybox", "test", "-e", "/dev/log"])?
                .status()?
                .success()
    );
    Ok(Outcome::Passed)
}

fn storm() -> Result<Outcome> {
    const ROUNDS: u32 = 25;
    let unit = |text: &str| {
        let script = format!(
            "i=0; while [ ! -e /run/stop ]; do i=$((i+1)); echo {text} $i; [ $((i % 500)) = 0 ] && sleep 0.03; done; echo end $i"
        );
        format!(
            "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"\"\"{script}\"\"\"]\n[log]\nrotate = {{ size = \"1M\", keep = 250 }}\n"
        )
    };
    let (short, long) = (unit("line"), unit(&"long ".repeat(300)));
    // Not enabled: a oneshot that runs for long would hold up the boot.
    let inside = Inside::start_with(&[], |recipe| {
        recipe
            .text(
                "/etc/rinit/services/short.toml",
                &format!("schema = 1\n{short}"),
            )
            .text(
                "/etc/rinit/services/long.toml",
                &format!("schema = 1\n{long}"),
            )
            .text("/etc/rinit/rinit.toml", "[manager]\nlog_max = \"2G\"\n")
    })?;
    inside.call(
        "Start",
        &json!({ "units": ["short", "long"], "no_wait": true }),
    )?;
    let mut wait = 3;
    for _ in 0..ROUNDS {
        inside.until("there is a logger", || Ok(logger_pid(&inside)?.is_some()))?;
        let pid = logger_pid(&inside)?.context("it is gone")?;
        // No fixed rhythm: it is to be met at another place each time.
        wait = wait * 31 % 97;
        let until = Instant::now() + Duration::from_micros(wait * 400);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        kill(pid);
        inside.until("it is dead", || Ok(logger_pid(&inside)? != Some(pid)))?;
    }
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", ": > /run/stop"])?)?;
    for name in ["short", "long"] {
        inside.until("all is written", || {
            // There is none for a moment when it is turned over.
            let text = inside
                .read(&format!("/var/log/rinit/{name}.log"))
                .unwrap_or_default();
            Ok(text
                .lines()
                .last()
                .is_some_and(|line| line.contains(": end ")))
        })?;
        let lines = said(&inside, name)?;
        let last = lines.last().context("nothing")?;
        let count: usize = last.trim_start_matches("end ").parse()?;
        ensure!(count > 1000, "{name} said only {count} lines");
        for (line, number) in lines.iter().zip(1..=count) {
            ensure!(
                line.ends_with(&format!(" {number}")),
                "{name}: {number} is missing or repeated: {:?}",
                line.get(line.len().saturating_sub(40)..)
            );
        }
        ensure!(lines.len() == count + 1, "{name}: {} lines", lines.len());
    }
    Ok(Outcome::Passed)
}

fn rate() -> Result<Outcome> {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; done; exec sleep 100000";
    let unit = format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n[log]\nrate = {{ count = 4, window = \"1s\" }}\n"
    );
    let inside = Inside::start(&[("loud", &unit)])?;
    // Nothing comes after it: the word is there all the same.
    inside.until("it is told", || Ok(said(&inside, "loud")?.len() == 5))?;
    let lines = said(&inside, "loud")?;
    ensure!(
        lines == ["1", "2", "3", "4", "5 lines dropped: more than 4 in 1 s"],
        "{lines:?}"
    );
    Ok(Outcome::Passed)
}

fn full() -> Result<Outcome> {
    let script = "while read line; do case $line in fill) i=0; while [ $i -lt 10000 ]; do i=$((i+1)); echo a line of some length, number $i; done;; filled) : > /run/filled;; *) echo $line;; esac; done < /run/orders";
    let unit = format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"\"\"busybox mkfifo /run/orders; exec 9<>/run/orders; {script}\"\"\"]\n"
    );
    let mount = "busybox mkdir -p /var/log/rinit; busybox mount -t tmpfs -o size=128k logs /var/log/rinit; exec /usr/bin/rinit";
    let inside = Inside::start_as(&["/bin/sh", "-c", mount], &[("talk", &unit)])?;
    let order = |word: &str| -> Result<()> {
        let script = format!("busybox test -p /run/orders && echo {word} > /run/orders");
        inside.until("it takes orders", || {
            Ok(run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", &script])?).is_ok())
        })
    };
    order("fill")?;
    order("filled")?;
    inside.until("it has said all", || Ok(inside.read("/run/filled").is_ok()))?;
    ensure!(
        inside.read("/run/rinit/log/talk.log").is_err(),
        "a full disk is no reason to fill the memory"
    );
    let grow = ["mount", "-o", "remount,size=8m", "/var/log/rinit"];
    run::quiet(inside.ns.inside(&["/bin/busybox"])?.args(grow))?;
    order("again")?;
    inside.until("it goes on", || {
        Ok(inside
            .read("/var/log/rinit/talk.log")?
            .contains(": again\n"))
    })?;
    let text = records(&inside, "talk")?;
    ensure!(
        text.lines().all(|line| Record::parse(line).is_some()),
        "a torn line"
    );
    let whole = text.lines().filter(|line| line.contains("number ")).count();
    let texts = text
        .lines()
        .filter_map(|line| Some(Record::parse(line)?.text));
    let counts = texts.filter_map(|text| text.strip_suffix(" lines lost: no room"));
    let lost: usize = counts.filter_map(|count| count.parse::<usize>().ok()).sum();
    ensure!(lost > 0, "nothing was lost: the disk was never full");
    ensure!(whole + lost == 10_000, "{whole} are there, {lost} lost");
    Ok(Outcome::Passed)
}

fn early() -> Result<Outcome> {
    let once = "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/busybox\", \"echo\", \"said early\"]\n";
    let block = "busybox mkdir -p /var/log; : > /var/log/rinit; exec /usr/bin/rinit";
    let inside = Inside::start_as(&["/bin/sh", "-c", block], &[("once", once)])?;
    inside.until("it is kept early", || {
        Ok(inside
            .read("/run/rinit/log/once.log")?
            .contains("said early"))
    })?;
    // A mount is what usually brings it; it tells the logger, which does not look again and again.
    let mount = "busybox rm /var/log/rinit; busybox mkdir /var/log/rinit; busybox mount -t tmpfs logs /var/log/rinit";
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", mount])?)?;
    inside.until("it has come home", || {
        Ok(inside.said("once")? == "said early\n")
    })?;
    ensure!(
        inside.read("/run/rinit/log/once.log").is_err(),
        "it is there twice"
    );
    Ok(Outcome::Passed)
}

fn strange() -> Result<Outcome> {
    let script = "busybox printf 'a\\\\033[2J\\\\377\\\\000b\\\\n'; busybox head -c 20000 /dev/zero | busybox tr '\\\\000' x; sleep 100000";
    let unit = format!("[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n");
    let inside = Inside::start(&[("odd", &unit)])?;
    inside.until("all is written", || {
        Ok(said(&inside, "odd")?
            .iter()
            .any(|line| line.len() == 20_000))
    })?;
    ensure!(said(&inside, "odd")?[0] == "a\\x1b[2J\\xff\\x00b");
    ensure!(
        records(&inside, "odd")?
            .lines()
            .all(|line| line.len() < 9000),
        "a record has no bound"
    );
    Ok(Outcome::Passed)
}

/// What `rootctl` prints inside.
fn rootctl(inside: &Inside, words: &[&str]) -> Result<String> {
    run::output(inside.ns.inside(&["/usr/bin/rootctl"])?.args(words))
}

fn read_back() -> Result<Outcome> {
    // They speak in turns: each waits for the word of the other one.
    let talk = |mine: &str, other: &str| {
        format!(
            "[exec]\nstart = [\"/bin/sh\", \"-c\", \"\"\"for i in 1 2 3; do while [ ! -e /run/{mine}$i ]; do sleep 0.02; done; \
             echo {mine} says $i; sleep 0.02; : > /run/{other}$((i+{})); done; read forever < /run/never\"\"\"]\n",
            u8::from(mine == "b")
        )
    };
    let program = tests::programs::rootctl()?;
    let inside = Inside::start_with(
        &[("a", &talk("a", "b")), ("b", &talk("b", "a"))],
        |recipe| recipe.copy(&program, "/usr/bin/rootctl"),
    )?;
    run::quiet(&mut inside.ns.inside(&[
        "/bin/sh",
        "-c",
        "busybox mkfifo /run/never; : > /run/a1",
    ])?)?;
    inside.until("both have spoken", || Ok(said(&inside, "b")?.len() == 3))?;
    let texts = |words: &[&str]| -> Result<Vec<String>> {
        let text = rootctl(&inside, words)?;
        let records = text.lines().filter_map(Record::parse);
        Ok(records.map(|record| record.text.to_owned()).collect())
    };
    let all = texts(&["logs", "-u", "a", "-u", "b"])?;
    let wanted = [
        "a says 1", "b says 1", "a says 2", "b says 2", "a says 3", "b says 3",
    ];
    ensure!(all == wanted, "{all:?}");
    ensure!(
        texts(&["logs", "-u", "a", "-u", "b", "--lines", "2", "--boot", "0"])?
            == ["a says 3", "b says 3"]
    );
    ensure!(
        texts(&["logs", "--since", "1d"])?.len() > 6,
        "rinit itself is missing"
    );
    ensure!(texts(&["logs", "--until", "1d"])?.is_empty());
    let json = rootctl(&inside, &["logs", "-u", "a", "--lines", "1", "--json"])?;
    let record: serde_json::Value = serde_json::from_str(&json)?;
    ensure!(
        record["text"] == "a says 3" && record["unit"] == "a",
        "{json}"
    );
    ensure!(rootctl(&inside, &["logs", "-u", "nobody"]).is_err());

    // Followed: the file is turned over twice before it is looked at, and nothing is missing.
    let follow = "rootctl logs -u a --follow > /run/seen 2>&1 & echo $! > /run/follower; while [ ! -s /run/seen ]; do sleep 0.02; done";
    run::quiet(
        inside
            .ns
            .inside(&["/bin/sh", "-c", follow])?
            .env("PATH", "/usr/bin:/bin"),
    )?;
    let turn = "cd /var/log/rinit; line() { busybox sed -n 1p a.log | busybox sed \"s/: .*/: $1/\"; }; x=$(line x); y=$(line y); \
                echo \"$x\" >> a.log; busybox mv a.log a.log.1; echo \"$y\" > a.log; busybox mv a.log.1 a.log.2; busybox mv a.log a.log.1; \
                echo \"$y\" > a.log";
    run::quiet(&mut inside.ns.inside(&["/bin/sh", "-c", turn])?)?;
    inside.until("all of it is seen", || {
        let seen = inside.read("/run/seen")?;
        let texts: Vec<&str> = seen
            .lines()
            .filter_map(|line| Some(Record::parse(line)?.text))
            .collect();
        Ok(texts == ["a says 1", "a says 2", "a says 3", "x", "y", "y"])
    })?;
    run::quiet(&mut inside.ns.inside(&[
        "/bin/sh",
        "-c",
        "busybox kill $(busybox cat /run/follower)",
    ])?)?;
    Ok(Outcome::Passed)
}

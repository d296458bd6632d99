//! Tier 2: what only a real kernel can show of rinit: cgroups, log pipes, sockets, containers, the verdict on a
//! trial, and the shutdown stage. The control socket is spoken to directly.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::ns::{End, Namespace, Recipe};
use tests::stray::{lingering, send_with};
use tests::tier::{self, Outcome, Tier, test};
use tests::{run, varlink};

const SOON: Duration = Duration::from_secs(30);
const SLEEPER: &str = "[exec]\nstart = [\"/bin/busybox\", \"sleep\", \"100000\"]\n";

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("no_line_is_lost_when_the_logger_is_killed", logger),
            test(
                "everything_a_crash_leaves_is_killed_before_the_restart",
                leftovers,
            ),
            test("traffic_on_a_socket_starts_its_unit", socket),
            test("a_timer_runs_its_unit_again_and_again", timer),
            test("a_path_on_a_dead_file_system_stops_nothing_else", dead_path),
            test("a_missed_time_is_made_up_for_after_a_boot", missed),
            test("sockets_of_all_kinds_reach_their_unit", sockets),
            test("a_service_runs_as_its_user_in_its_directories", user),
            test("instances_of_a_template_run_side_by_side", instances),
            test("what_does_not_end_is_killed_and_named", stubborn),
            test(
                "hostile_requests_cost_their_sender_the_connection_and_nothing_else",
                hostile,
            ),
            test(
                "descriptors_that_take_long_to_close_hold_nobody",
                slow_to_close,
            ),
            test("a_good_trial_is_confirmed", good_trial),
            test("a_confirmation_that_fails_is_tried_again", confirmed_later),
            test(
                "a_good_trial_that_cannot_be_confirmed_is_rejected_and_rebooted",
                unconfirmed,
            ),
            test("a_late_trial_is_rejected_and_rebooted", late_trial),
            test(
                "a_trial_whose_report_is_damaged_is_a_trial_all_the_same",
                damaged_report,
            ),
            test("a_hanging_loader_ends_in_a_rescue_login", hanging_loader),
            test("a_thousand_services_are_up_and_logged", thousand),
            test(
                "without_descriptors_the_control_socket_rests_and_comes_back",
                no_descriptors,
            ),
            test(
                "a_file_system_that_does_not_answer_stops_only_who_needs_it",
                dead_mount,
            ),
            test(
                "the_end_does_not_wait_for_a_program_that_cannot_be_read",
                dead_program,
            ),
            test(
                "a_delegated_cgroup_is_its_users_and_is_stopped_as_a_whole",
                delegated,
            ),
            test(
                "further_groups_of_a_caller_count_for_the_control_group",
                control_group,
            ),
            test("a_bare_start_mounts_what_is_missing", bare),
            test("the_shutdown_stage_lets_go_of_the_root", stage),
        ],
    )
}

fn recipe(units: &[(&str, &str)]) -> Result<Recipe> {
    recipe_of(&["/usr/bin/rinit"], units)
}

fn recipe_of(argv: &[&str], units: &[(&str, &str)]) -> Result<Recipe> {
    let mut recipe = Recipe::new(argv)
        .rinit()?
        .text(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n",
        )
        .text("/etc/group", "root:x:0:\nweb:x:33:\nvideo:x:44:web\n")
        .text(
            "/etc/rinit/services/default.toml",
            "schema = 1\nkind = \"group\"\n",
        );
    for (name, text) in units {
        let file = format!("/etc/rinit/services/{name}.toml");
        recipe = recipe.text(&file, &format!("schema = 1\n{text}"));
        if !text.contains("# not enabled") {
            recipe = recipe.text(&format!("/etc/rinit/groups/default.d/{name}"), "");
        }
    }
    Ok(recipe)
}

fn start(units: &[(&str, &str)]) -> Result<Namespace> {
    let ns = Namespace::start(&recipe(units)?)?;
    until(&ns, "it runs", || {
        Ok(call(&ns, "Overview", &json!({}))?["phase"] == "running")
    })?;
    Ok(ns)
}

/// Asks again and again until it holds: rinit answers while it works, so there is nothing to wait on.
fn until(ns: &Namespace, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + SOON;
    loop {
        let answer = holds();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!(
                "{what}: not after {} s ({answer:?})\n{}",
                SOON.as_secs(),
                ns.console.last_lines()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A path of the namespace, seen from here.
fn path(ns: &Namespace, inside: &str) -> Result<String> {
    Ok(format!("/proc/{}/root{inside}", ns.pid()?))
}

fn read(ns: &Namespace, inside: &str) -> Result<String> {
    let path = path(ns, inside)?;
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn connect(ns: &Namespace, inside: &str) -> Result<UnixStream> {
    let stream = UnixStream::connect(path(ns, inside)?).context("cannot connect")?;
    stream
        .set_read_timeout(Some(SOON))
        .context("cannot set a timeout")?;
    Ok(stream)
}

/// One request, one reply; an error of the service is an error here.
fn call(ns: &Namespace, method: &str, parameters: &Value) -> Result<Value> {
    let mut stream = connect(ns, "/run/rinit/control.sock")?;
    varlink::call(
        &mut stream,
        &format!("org.rootctl.Init.{method}"),
        parameters,
    )
}

fn unit(ns: &Namespace, name: &str) -> Result<Value> {
    Ok(call(ns, "Status", &json!({ "units": [name] }))?["units"][0].clone())
}

/// Processes of a unit, as the host sees them.
fn members(ns: &Namespace, name: &str) -> Result<Vec<u32>> {
    let file = ns
        .cgroup()
        .path()
        .join("rinit")
        .join(name)
        .join("cgroup.procs");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn kill(pid: u32) -> Result<()> {
    run::quiet(&mut run::command("kill", ["-KILL", &pid.to_string()]))
}

fn logger_pid(ns: &Namespace) -> Result<Option<u32>> {
    let pid = ns.pid()?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|pid: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains("@log"))
        }))
}

fn logger() -> Result<Outcome> {
    const COUNT: usize = 5000;
    let script = format!(
        "i=0; while [ $i -lt {COUNT} ]; do i=$((i+1)); echo line $i; done; exec sleep 100000"
    );
    let ns = start(&[(
        "talk",
        &format!("[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n"),
    )])?;
    for _ in 0..3 {
        until(&ns, "there is a logger", || Ok(logger_pid(&ns)?.is_some()))?;
        let pid = logger_pid(&ns)?.context("it is gone")?;
        // It may have died of the last round just now.
        drop(kill(pid));
        until(&ns, "it is dead", || Ok(logger_pid(&ns)? != Some(pid)))?;
    }
    until(&ns, "all is written", || {
        Ok(read(&ns, "/var/log/rinit/talk.log")?.contains(&format!("line {COUNT}\n")))
    })?;
    let text = read(&ns, "/var/log/rinit/talk.log")?;
    for number in 1..=COUNT {
        ensure!(
            text.contains(&format!("talk[-]: line {number}\n")),
            "line {number} is missing"
        );
    }
    Ok(Outcome::Passed)
}

fn leftovers() -> Result<Outcome> {
    let text =
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"setsid sleep 99999 & exec sleep 100000\"]\n";
    let ns = start(&[("a", text)])?;
    until(&ns, "both run", || Ok(members(&ns, "a")?.len() == 2))?;
    let before = members(&ns, "a")?;
    let main = before.first().copied().context("no process")?;
    kill(main)?;
    until(&ns, "it is up again", || {
        Ok(unit(&ns, "a")?["restarts"] == 1 && unit(&ns, "a")?["state"] == "up")
    })?;
    until(&ns, "both run again", || Ok(members(&ns, "a")?.len() == 2))?;
    ensure!(
        members(&ns, "a")?.iter().all(|pid| !before.contains(pid)),
        "an old process is left"
    );
    Ok(Outcome::Passed)
}

fn socket() -> Result<Outcome> {
    let text = "# not enabled\n[[socket]]\nlisten = \"stream:/run/lazy.sock\"\nname = \"in\"\n[exec]\n\
                start = [\"/bin/sh\", \"-c\", \"echo $LISTEN_FDS $LISTEN_FDNAMES $(($LISTEN_PID - $$)); exec sleep 100000\"]\n";
    let ns = start(&[("lazy", text)])?;
    ensure!(unit(&ns, "lazy")?["state"] == "down");
    let _connection = connect(&ns, "/run/lazy.sock")?;
    until(&ns, "it is up", || Ok(unit(&ns, "lazy")?["state"] == "up"))?;
    until(&ns, "it was given its socket", || {
        Ok(read(&ns, "/var/log/rinit/lazy.log")?.contains("lazy[-]: 1 in 0\n"))
    })?;
    Ok(Outcome::Passed)
}

fn timer() -> Result<Outcome> {
    let again = "kind = \"oneshot\"\n# not enabled\n[exec]\nstart = [\"/bin/busybox\", \"sh\", \"-c\", \"echo run >> /run/again\"]\n\
                 [[timer]]\nafter_start = \"0s\"\nafter_inactive = \"1s\"\naccuracy = \"0s\"\n";
    let by_clock = "kind = \"group\"\n# not enabled\n[[timer]]\ncalendar = \"*:*:*\"\nunit = \"other\"\n\
                    [[timer]]\ncalendar = \"2099-07-01 12:00\"\nunit = \"other\"\n";
    let other = format!("# not enabled\n{SLEEPER}");
    let mut recipe = recipe(&[("again", again), ("clock", by_clock), ("other", &other)])?;
    let zone = Path::new("/usr/share/zoneinfo/Asia/Tokyo");
    let has_zone = zone.exists();
    if has_zone {
        recipe = recipe.copy(zone, "/etc/localtime");
    }
    let ns = Namespace::start(&recipe)?;
    until(&ns, "the oneshot runs three times", || {
        Ok(read(&ns, "/run/again").unwrap_or_default().lines().count() >= 3)
    })?;
    until(&ns, "the clock has started a unit", || {
        let status = call(&ns, "Status", &json!({ "units": ["other", "again"] }))?;
        let next = status["units"][1]["next_start_ms"].as_i64();
        Ok(status["units"][0]["state"] == "up" && next.is_some())
    })?;
    let timers = call(&ns, "Timers", &json!({}))?;
    let list = timers["timers"].as_array().context("there is no list")?;
    let names: Vec<_> = list.iter().map(|timer| &timer["unit"]).collect();
    ensure!(names == ["again", "clock", "clock"], "{timers}");
    ensure!(
        list[1]["last_ms"].as_i64() > Some(1_700_000_000_000),
        "{timers}"
    );
    if has_zone {
        // Noon in Japan is 03:00 UTC.
        ensure!(timers["utc_offset"] == 32_400, "{timers}");
        ensure!(list[2]["next_ms"] == 4_086_558_000_000_i64, "{timers}");
    }
    Ok(Outcome::Passed)
}

fn dead_path() -> Result<Outcome> {
    let mut ns = start(&[("a", SLEEPER)])?;
    run::quiet(&mut ns.inside(&["/bin/busybox", "mkdir", "/srv"])?)?;
    let _server = mount_dead(&ns, "/srv")?;
    for (name, watched) in [("hangs", "/srv/deep/flag"), ("lives", "/run/go")] {
        let file = path(&ns, &format!("/etc/rinit/services/{name}.toml"))?;
        let text = format!("schema = 1\n{SLEEPER}[[path]]\nexists = \"{watched}\"\n");
        std::fs::write(file, text)?;
    }
    call(&ns, "Apply", &json!({}))?;
    std::fs::write(path(&ns, "/run/go")?, "")?;
    until(&ns, "the other unit is started", || {
        Ok(unit(&ns, "lives")?["state"] == "up")
    })?;
    ensure!(unit(&ns, "hangs")?["state"] == "down");
    call(&ns, "Power", &json!({ "action": "poweroff" }))?;
    ensure!(ns.wait_end(2 * SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn missed() -> Result<Outcome> {
    let backup = "kind = \"oneshot\"\n# not enabled\n[exec]\nstart = [\"/bin/busybox\", \"touch\", \"/run/backup\"]\n\
                  [[timer]]\ncalendar = \"daily\"\npersistent = true\n";
    let recipe = recipe(&[("backup", backup), ("fresh", backup)])?
        .text("/var/lib/rinit/timers/backup", "1000000000\n")
        .text("/var/lib/rinit/timers/odd", "nonsense\n");
    let ns = Namespace::start(&recipe)?;
    until(&ns, "the missed run is made up for", || {
        let stamp = read(&ns, "/var/lib/rinit/timers/backup")?;
        Ok(stamp.trim().parse::<i64>()? > 1_700_000_000 && read(&ns, "/run/backup").is_ok())
    })?;
    until(&ns, "what has no stamp gets one", || {
        Ok(read(&ns, "/var/lib/rinit/timers/fresh").is_ok())
    })?;
    let status = call(&ns, "Status", &json!({ "units": ["backup", "fresh"] }))?;
    ensure!(
        status["units"][0]["state"] == "up" && status["units"][1]["state"] == "down",
        "what has no stamp has missed nothing: {status}"
    );
    Ok(Outcome::Passed)
}

fn sockets() -> Result<Outcome> {
    let socket = |listen: &str, name: &str| {
        format!("[[socket]]\nlisten = \"{listen}\"\nname = \"{name}\"\nactivate = \"early\"\n")
    };
    let text = socket("stream:127.0.0.1:4711", "tcp")
        + &socket("dgram:4711", "udp")
        + &socket("seqpacket:@deep", "abstract")
        + &socket("fifo:/run/deep/pipe", "pipe").replace("early", "lazy")
        + "[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo $LISTEN_FDS $LISTEN_FDNAMES; read line <&6; echo got $line; \
           /bin/busybox grep -c '\\\\(:1267\\\\|@deep\\\\)' /proc/net/tcp /proc/net/udp6 /proc/net/unix; exec sleep 100000\"]\n";
    let ns = start(&[("all", &format!("# not enabled\n{text}"))])?;
    ensure!(unit(&ns, "all")?["state"] == "down");
    run::quiet(&mut ns.inside(&["/bin/sh", "-c", "echo hello > /run/deep/pipe"])?)?;
    until(&ns, "it has read what was sent before it ran", || {
        let said = read(&ns, "/var/log/rinit/all.log")?;
        let all = [
            "4 tcp:udp:abstract:pipe",
            "got hello",
            "tcp:1",
            "udp6:1",
            "unix:1",
        ];
        Ok(all.iter().all(|words| said.contains(words)))
    })?;
    Ok(Outcome::Passed)
}

fn instances() -> Result<Outcome> {
    let template = "schema = 1\n[install]\ndefault_instance = \"third\"\n[exec]\nenv = { WHO = \"nobody\", HOW = \"plain\" }\n\
                    start = [\"/bin/sh\", \"-c\", \"echo {i} of {name}: $WHO, ${HOW}; exec sleep 100000\"]\n";
    let folder = "/etc/rinit/services";
    let mut recipe = recipe(&[])?
        .text("/usr/lib/rinit/services/worker@.toml", template)
        .text(
            "/usr/lib/rinit/services/worker@.toml.d/10-who.toml",
            "[exec]\nenv = { WHO = \"all\" }\n",
        )
        .text(
            &format!("{folder}/worker@two.toml.d/10-who.toml"),
            "[exec]\nenv = { WHO = \"the second\" }\n",
        )
        .text(&format!("{folder}/worker@masked.toml"), "");
    for name in ["one", "two", "masked", ""] {
        recipe = recipe.text(&format!("/etc/rinit/groups/default.d/worker@{name}"), "");
    }
    let ns = Namespace::start(&recipe)?;
    for (name, words) in [
        ("one", "one of worker: all, plain"),
        ("two", "two of worker: the second, plain"),
        ("third", "third of worker: all, plain"),
    ] {
        until(&ns, name, || {
            let log = read(&ns, &format!("/var/log/rinit/worker@{name}.log"));
            Ok(log?.contains(&format!("worker@{name}[-]: {words}\n")))
        })?;
        let status = unit(&ns, &format!("worker@{name}"))?;
        ensure!(status["state"] == "up", "{status}");
        ensure!(members(&ns, &format!("worker@{name}"))?.len() == 1);
    }
    ensure!(unit(&ns, "worker@masked").is_err(), "a mask was passed by");
    Ok(Outcome::Passed)
}

fn user() -> Result<Outcome> {
    let text = "[exec]\nuser = \"web\"\nstart = [\"/bin/sh\", \"-c\", \"busybox id; echo $HOME; : > /run/web/mine; exec sleep 100000\"]\n[dirs]\nrun = \"web\"\n";
    let ns = start(&[("web", text)])?;
    until(&ns, "it has written", || {
        Ok(read(&ns, "/run/web/mine").is_ok()
            && read(&ns, "/var/log/rinit/web.log")?.contains("/srv"))
    })?;
    let log = read(&ns, "/var/log/rinit/web.log")?;
    ensure!(log.contains("uid=33") && log.contains("44(video)"), "{log}");
    Ok(Outcome::Passed)
}

fn stubborn() -> Result<Outcome> {
    let text = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"trap '' TERM; while :; do sleep 1; done\"]\n[stop]\ntimeout = \"7s\"\n";
    let mut ns = start(&[("stubborn", text)])?;
    call(&ns, "Power", &json!({ "action": "reboot" }))?;
    ns.console.expect("waiting for stubborn", SOON)?;
    ns.console
        .expect("stubborn did not end in time and was killed", SOON)?;
    ensure!(ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn hostile() -> Result<Outcome> {
    let ns = start(&[("a", SLEEPER)])?;
    let upgrade = b"{\"method\":\"org.rootctl.Init.Overview\",\"upgrade\":true}\0".to_vec();
    let endless = vec![b' '; 200_000];
    for bytes in [b"\0".to_vec(), b"nonsense\0".to_vec(), upgrade, endless] {
        let mut stream = connect(&ns, "/run/rinit/control.sock")?;
        // It may be closed while we write.
        drop(stream.write_all(&bytes));
        let closed = matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_));
        ensure!(closed, "the connection is still open");
    }
    let idle: Vec<_> = (0..100)
        .map(|_| connect(&ns, "/run/rinit/control.sock"))
        .collect();
    drop(idle);
    until(&ns, "it still answers", || {
        Ok(unit(&ns, "a")?["state"] == "up")
    })?;
    Ok(Outcome::Passed)
}

fn slow_to_close() -> Result<Outcome> {
    let ns = start(&[("a", SLEEPER)])?;
    let mut others = Vec::new();
    // Read in the midst of a request, with one that breaks the rules, and left unread behind such a one.
    for (before, with) in [("", " "), ("", "nonsense\0"), ("nonsense\0", " ")] {
        let mut stream = connect(&ns, "/run/rinit/control.sock")?;
        let (slow, other) = lingering()?;
        stream.write_all(before.as_bytes())?;
        // It may be closed while we write.
        drop(send_with(&stream, with.as_bytes(), &slow));
        others.push((stream, other));
    }
    let begun = Instant::now();
    until(&ns, "it still answers", || {
        Ok(unit(&ns, "a")?["state"] == "up")
    })?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(30), "it answers after {took:?}");
    Ok(Outcome::Passed)
}

const REPORT: &str = "schema = 1\nsnapshot = 7\ntry_number = 1\ntries_max = 3\nmode = \"tmpfs\"\nreason = \"trial\"\ndegraded = false\nboot_id = \"x\"\nstarted_ms = 1\nfound_ms = 2\nassembled_ms = 3\n";
const GATE: &str = "[gate]\nrequired = true\nwithin = \"3s\"\nstable = \"1s\"\n";

/// A oneshot that only the verdict starts.
fn verdict_unit(script: &str) -> String {
    format!(
        "# not enabled\nkind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n"
    )
}

const CONFIRM: &str = "echo CONFIRMED > /dev/console";

/// A boot with the report of a trial; `good` is what confirms it, and its rejection is said on the console.
fn trial(web: &str, good: &str) -> Result<Namespace> {
    trial_of(web, good, REPORT)
}

fn trial_of(web: &str, good: &str, report: &str) -> Result<Namespace> {
    let units = [
        ("web", web),
        ("boot-good", &verdict_unit(good)),
        ("boot-bad", &verdict_unit("echo REJECTED $0 > /dev/console")),
    ];
    // Stands in for the boot stage, which writes the report, and for the menu.
    let boot = "busybox mkdir -p /run/rootctl; busybox cp /etc/report.toml /run/rootctl/boot.toml; \
                busybox mount --bind /etc/cmdline /proc/cmdline; exec /usr/bin/rinit";
    let settings = "[manager]\nconfirm_deadline = \"4s\"\n";
    let recipe = recipe_of(&["/bin/sh", "-c", boot], &units)?
        .text("/etc/report.toml", report)
        .text("/etc/cmdline", "quiet rootctl.snap=7 rootctl.trial\n")
        .text("/etc/rinit/rinit.toml", settings);
    Namespace::start(&recipe)
}

fn good_trial() -> Result<Outcome> {
    let mut ns = trial(&format!("{SLEEPER}{GATE}"), CONFIRM)?;
    ns.console.expect("CONFIRMED", SOON)?;
    until(&ns, "it is good", || {
        Ok(call(&ns, "Overview", &json!({}))?["verdict"] == "good")
    })?;
    Ok(Outcome::Passed)
}

fn confirmed_later() -> Result<Outcome> {
    let third = "echo x >> /run/tries; busybox test $(busybox wc -l < /run/tries) -ge 3 && echo CONFIRMED > /dev/console";
    let mut ns = trial(&format!("{SLEEPER}{GATE}"), third)?;
    until(&ns, "it is not confirmed yet, and says why", || {
        let overview = call(&ns, "Overview", &json!({}))?;
        let reason = overview["reasons"][0].as_str().unwrap_or_default();
        Ok(overview["verdict"] == "pending" && reason.contains("boot-good failed"))
    })?;
    ns.console.expect("CONFIRMED", SOON)?;
    until(&ns, "it is good", || {
        Ok(call(&ns, "Overview", &json!({}))?["verdict"] == "good")
    })?;
    ensure!(read(&ns, "/run/tries")?.lines().count() == 3);
    Ok(Outcome::Passed)
}

fn unconfirmed() -> Result<Outcome> {
    let mut ns = trial(&format!("{SLEEPER}{GATE}"), "exit 7")?;
    ns.console.expect(
        "REJECTED it is good, but boot-good could not confirm it: it exited with code 7",
        SOON,
    )?;
    ensure!(ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn late_trial() -> Result<Outcome> {
    let mut ns = trial(&format!("{SLEEPER}{GATE}[ready]\nmode = \"fd\"\n"), CONFIRM)?;
    ns.console
        .expect("REJECTED web was not ready within 3 s", SOON)?;
    ensure!(ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn damaged_report() -> Result<Outcome> {
    let late = format!("{SLEEPER}{GATE}[ready]\nmode = \"fd\"\n");
    let mut ns = trial_of(&late, CONFIRM, "schema = ")?;
    ns.console
        .expect("REJECTED web was not ready within 3 s", SOON)?;
    ensure!(ns.wait_end(SOON)? == End::Restart);
    Ok(Outcome::Passed)
}

fn hanging_loader() -> Result<Outcome> {
    let boot = "busybox mkfifo /go; busybox cat /go; exec /usr/bin/rinit";
    let recipe = recipe_of(&["/bin/sh", "-c", boot], &[("a", SLEEPER)])?;
    let mut ns = Namespace::start(&recipe)?;
    let go = path(&ns, "/go")?;
    until(&ns, "the shell waits", || Ok(Path::new(&go).exists()))?;
    let _disk = mount_dead(&ns, "/etc/rinit/services")?;
    std::fs::write(&go, "").context("cannot let the shell go on")?;
    ns.console.expect("only a rescue login is started", SOON)?;
    until(&ns, "it answers", || {
        Ok(call(&ns, "Overview", &json!({}))?["group"] == "rescue")
    })?;
    Ok(Outcome::Passed)
}

fn thousand() -> Result<Outcome> {
    const COUNT: usize = 1000;
    let talker = "[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo here; exec sleep 100000\"]\n";
    let names: Vec<String> = (0..COUNT).map(|number| format!("s{number:04}")).collect();
    let units: Vec<_> = names.iter().map(|name| (name.as_str(), talker)).collect();
    // As the kernel starts process 1.
    let boot = "ulimit -S -n 1024; exec /usr/bin/rinit";
    let ns = Namespace::start(&recipe_of(&["/bin/sh", "-c", boot], &units)?)?;
    until(&ns, "it runs", || {
        Ok(call(&ns, "Overview", &json!({}))?["phase"] == "running")
    })?;
    let status = call(&ns, "Status", &json!({}))?;
    let states = status["units"].as_array().context("no units")?;
    ensure!(states.len() == COUNT + 1, "{} units", states.len());
    for unit in states {
        ensure!(unit["state"] == "up", "{unit}");
    }
    for name in &names {
        until(&ns, name, || {
            Ok(read(&ns, &format!("/var/log/rinit/{name}.log"))?.ends_with(": here\n"))
        })?;
    }
    let member = members(&ns, "s0000")?;
    let (soft, hard) = limits(*member.first().context("no process")?)?;
    // Where we are not allowed more ourselves, services get that.
    let most = limits(ns.pid()?)?.1;
    ensure!(
        (soft, hard) == (1024, most.min(524_288)),
        "{soft}, {hard} of {most}"
    );
    Ok(Outcome::Passed)
}

/// How many descriptors a process may have open, and how far it may raise that.
fn limits(pid: u32) -> Result<(u64, u64)> {
    let file = format!("/proc/{pid}/limits");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let mut numbers = line
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok());
    Ok((
        numbers.next().context("no soft limit")?,
        numbers.next().context("no hard limit")?,
    ))
}

/// Processor time process 1 has used, in ticks of 10 ms (proc_pid_stat(5), fields 14 and 15).
fn ticks(ns: &Namespace) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", ns.pid()?))?;
    let rest = stat.rsplit_once(") ").context("no process name")?.1;
    let numbers = rest.split(' ').skip(11).take(2);
    numbers.map(|number| Ok(number.parse::<u64>()?)).sum()
}

fn limit_of_descriptors(ns: &Namespace, limit: usize) -> Result<()> {
    let pid = ns.pid()?.to_string();
    let limit = format!("--nofile={limit}:");
    run::quiet(&mut run::command("prlimit", ["--pid", &pid, &limit]))
}

fn no_descriptors() -> Result<Outcome> {
    let mut ns = start(&[("a", SLEEPER)])?;
    // Whoever asked last is gone when the next one has been let in.
    let first = connect(&ns, "/run/rinit/control.sock")?;
    until(&ns, "it answers", || Ok(unit(&ns, "a")?["state"] == "up"))?;
    // No more than what is open: the next connection cannot be accepted.
    limit_of_descriptors(&ns, 3)?;
    let mut second = connect(&ns, "/run/rinit/control.sock")?;
    ns.console.expect("the control socket rests", SOON)?;
    let before = ticks(&ns)?;
    // What is measured is what does not happen in a while.
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(&ns)?.saturating_sub(before);
    ensure!(used < 50, "it used {used} ticks in 2 s");
    limit_of_descriptors(&ns, 1000)?;
    second
        .write_all(b"{\"method\":\"org.rootctl.Init.Overview\"}\0")
        .context("cannot ask")?;
    ensure!(second.read(&mut [0; 64]).context("no answer")? > 0);
    drop(first);
    Ok(Outcome::Passed)
}

/// Mounts a file system that never answers, as that of a server that is gone: nobody reads what the kernel asks of the
/// other side of FUSE. It is there as long as what is returned.
fn mount_dead(ns: &Namespace, at: &str) -> Result<std::fs::File> {
    let mut device = std::fs::File::options();
    let device = device.read(true).write(true).open("/dev/fuse");
    let device = device.context("cannot open /dev/fuse")?;
    let theirs = device.try_clone().context("cannot copy a descriptor")?;
    let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
    let mut mount = ns.inside(&[
        "/bin/busybox",
        "mount",
        "-t",
        "fuse",
        "-o",
        options,
        "dead",
        at,
    ])?;
    run::quiet(mount.stdin(theirs))?;
    Ok(device)
}

fn dead_mount() -> Result<Outcome> {
    let mut ns = start(&[
        ("a", SLEEPER),
        (
            "looker",
            &format!("# not enabled\n{SLEEPER}[condition]\npath_exists = \"/srv/flag\"\n"),
        ),
    ])?;
    run::quiet(&mut ns.inside(&["/bin/busybox", "mkdir", "/srv"])?)?;
    let _server = mount_dead(&ns, "/srv")?;
    let _logs = mount_dead(&ns, "/var/log/rinit")?;
    call(
        &ns,
        "Start",
        &json!({ "units": ["looker"], "no_wait": true }),
    )?;
    ensure!(unit(&ns, "looker")?["state"] == "waiting");
    call(&ns, "Logs", &json!({ "units": ["a"] }))?;
    call(&ns, "Restart", &json!({ "units": ["a"] }))?;
    until(&ns, "it says what does not answer", || {
        let looker = unit(&ns, "looker")?;
        let reason = looker["reason"].as_str().unwrap_or_default();
        Ok(looker["state"] == "failed" && reason.contains("/srv/flag"))
    })?;
    call(&ns, "Power", &json!({ "action": "poweroff" }))?;
    ensure!(ns.wait_end(2 * SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn dead_program() -> Result<Outcome> {
    let never =
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"exec sleep 100000\"]\n[ready]\nmode = \"fd\"\n";
    // The shutdown stage is copied when everything has started: here it never has.
    let mut ns = Namespace::start(&recipe(&[("never", never)])?)?;
    until(&ns, "it is on its way", || {
        Ok(unit(&ns, "never")?["state"] == "starting")
    })?;
    let _disk = mount_dead(&ns, "/usr/bin")?;
    call(&ns, "Power", &json!({ "action": "poweroff" }))?;
    ns.console.expect("no shutdown stage", SOON)?;
    ensure!(ns.wait_end(2 * SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

fn delegated() -> Result<Outcome> {
    let script = "cd /sys/fs/cgroup/rinit/web && busybox mkdir inner && echo $$ > inner/cgroup.procs && \
                  ! echo 7 2> /dev/null > pids.max && echo inside; exec sleep 100000";
    let text = format!(
        "[exec]\nuser = \"web\"\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\n[cgroup]\ndelegate = true\n\
         [stop]\ntimeout = \"off\"\n"
    );
    let ns = start(&[("web", &text)])?;
    until(&ns, "it has moved into a group of its own", || {
        Ok(!members(&ns, "web/inner")?.is_empty()
            && read(&ns, "/var/log/rinit/web.log")?.contains(": inside\n"))
    })?;
    // Nobody is killed here: the signal must find it.
    call(&ns, "Stop", &json!({ "units": ["web"] }))?;
    ensure!(members(&ns, "web").is_err(), "its group is left");
    Ok(Outcome::Passed)
}

/// Asks for a restart as user 33, group 33, with further groups.
fn restart_as(ns: &Namespace, groups: &'static [u32]) -> Result<String> {
    use rustix::fs::{Gid, Uid};
    let folder = std::fs::File::open(path(ns, "/run/rinit")?).context("cannot open /run/rinit")?;
    // Rights are a thread's own: this one ends with what it has become.
    let asking = std::thread::spawn(move || -> Result<String> {
        let groups: Vec<_> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_gid(Gid::from_raw(33))?;
        rustix::thread::set_thread_uid(Uid::from_raw(33))?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
        let mut stream = UnixStream::connect(format!("/proc/self/fd/{number}/control.sock"))?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(
            b"{\"method\":\"org.rootctl.Init.Restart\",\"parameters\":{\"units\":[\"a\"]}}\0",
        )?;
        let mut reply = [0; 4096];
        let length = stream.read(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
    });
    asking.join().ok().context("the thread panicked")?
}

fn control_group() -> Result<Outcome> {
    let settings = "[control]\ngroup = \"video\"\n";
    let recipe = recipe(&[("a", SLEEPER)])?.text("/etc/rinit/rinit.toml", settings);
    let ns = Namespace::start(&recipe)?;
    until(&ns, "it is up", || Ok(unit(&ns, "a")?["state"] == "up"))?;
    let refused = restart_as(&ns, &[33])?;
    ensure!(refused.contains("org.rootctl.Init.Denied"), "{refused}");
    let done = restart_as(&ns, &[33, 44])?;
    ensure!(!done.contains("error") && done.contains("\"up\""), "{done}");
    Ok(Outcome::Passed)
}

fn bare() -> Result<Outcome> {
    let ns = Namespace::start(&recipe(&[("a", SLEEPER)])?.mounts(tests::ns::Mounts::Bare))?;
    until(&ns, "it runs", || Ok(unit(&ns, "a")?["state"] == "up"))?;
    ensure!(read(&ns, "/proc/1/mounts")?.contains("cgroup2"));
    Ok(Outcome::Passed)
}

fn stage() -> Result<Outcome> {
    let mut ns = start(&[("a", SLEEPER)])?;
    until(&ns, "the stage is there", || {
        Ok(read(&ns, "/run/rinit/shutdown/rinit").is_ok()
            || std::fs::metadata(path(&ns, "/run/rinit/shutdown/rinit")?).is_ok())
    })?;
    call(&ns, "Power", &json!({ "action": "poweroff" }))?;
    ns.console.expect("all file systems are unmounted", SOON)?;
    ensure!(ns.wait_end(SOON)? == End::PowerOff);
    Ok(Outcome::Passed)
}

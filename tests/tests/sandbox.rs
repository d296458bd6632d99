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
            test("a_unit_writes_and_sees_only_what_its_sandbox_leaves", files),
            test("parts_of_the_kernel_are_protected", protected),
            test("private_things_are_a_units_own", private),
            test("capabilities_are_what_the_unit_says", capabilities),
            test("system_calls_are_filtered", calls),
            test("the_profiles_let_an_ordinary_program_run", profiles),
            test("a_sandbox_that_cannot_be_made_costs_one_unit", refusals),
            test("commands_around_the_main_one_run_in_their_turn", commands),
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

/// Says for a path whether it can be written to.
const WRITES: &str =
    "w() { if (echo x > $1) 2>/dev/null; then echo \"w $1\"; else echo \"- $1\"; fi; }\n";

fn files() -> Result<Outcome> {
    let look = format!(
        "{WRITES}for f in /etc/x /usr/x /tmp/x /var/tmp/x /var/lib/a/x /srv/open/x /srv/closed/x /srv/other/x /mnt/x \
         /srv/to/x /srv/to-ro/x /dev/null /home/web/data/x /home/x; do w $f; done\n\
         echo home $(busybox ls -A /home /home/web)\necho opt $(busybox ls -A /opt)\n\
         echo secret $(busybox wc -c < /etc/secret)\nbusybox cat /srv/to-ro/file"
    );
    let text = script(&look)
        + "[dirs]\nstate = \"a\"\n[sandbox]\nsystem = \"strict\"\nhome = \"hide\"\nprivate = [\"tmp\"]\n\
           rw = [\"/srv\", \"/home/web/data\", \"-/absent\"]\nro = [\"/srv/closed\"]\nhidden = [\"/opt\", \"/etc/secret\"]\n\
           tmpfs = [\"/mnt:1M\"]\nbind = [\"/srv/from:/srv/to\"]\nbind_ro = [\"/srv/from:/srv/to-ro\"]\n";
    let inside = Inside::start_with(&[("a", &text)], |recipe| {
        let places = [
            "/var/tmp/file",
            "/srv/open/file",
            "/srv/closed/file",
            "/srv/other/file",
            "/srv/from/file",
            "/srv/to/old",
            "/srv/to-ro/old",
            "/mnt/file",
            "/opt/file",
            "/home/web/data/file",
            "/home/web/letter",
            "/etc/secret",
        ];
        places
            .iter()
            .fold(recipe, |recipe, place| recipe.text(place, "original\n"))
    })?;
    let said = inside.done("a")?;
    holds(
        &said,
        &[
            "- /etc/x",
            "- /usr/x",
            "w /tmp/x",
            "w /var/tmp/x",
            "w /var/lib/a/x",
            "w /srv/open/x",
            "- /srv/closed/x",
            "w /srv/other/x",
            "w /mnt/x",
            "w /srv/to/x",
            "- /srv/to-ro/x",
            "w /dev/null",
            "w /home/web/data/x",
            "- /home/x",
            "home /home: web /home/web: data",
            "opt",
            "secret 0",
            "original",
        ],
    )?;
    // Outside everything is as it was, but for what was meant to be written.
    for (path, there) in [
        ("/tmp/x", false),
        ("/mnt/x", false),
        ("/srv/to/x", false),
        ("/srv/from/x", true),
        ("/srv/open/x", true),
    ] {
        ensure!(inside.read(path).is_ok() == there, "{path}");
    }
    ensure!(inside.read("/etc/secret")? == "original\n");
    ensure!(
        !inside.read("/proc/1/mounts")?.contains("/srv/to"),
        "a mount came out"
    );
    Ok(Outcome::Passed)
}

/// The numbers of a line like `CapBnd:\t…` in what a unit said.
fn mask(said: &str, name: &str) -> Result<u64> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    let digits = line.with_context(|| format!("no {name} in\n{said}"))?;
    u64::from_str_radix(digits.trim(), 16).context("no number")
}

fn protected() -> Result<Outcome> {
    let look = format!(
        "{WRITES}busybox hostname mine; busybox hostname\nw /proc/sys/kernel/panic; w /proc/sysrq-trigger; w /dev/null\n\
         busybox mkdir /sys/fs/cgroup/mine 2>/dev/null || echo no cgroup\necho log $(busybox wc -c < /proc/kmsg)\n\
         echo modules $(busybox ls /usr/lib/modules)\nbusybox grep CapBnd /proc/self/status"
    );
    let all = script(&look)
        + "[sandbox]\nprotect = [\"hostname\", \"clock\", \"tunables\", \"modules\", \"klog\", \"cgroups\"]\n";
    let open = script("busybox hostname; busybox grep CapBnd /proc/self/status")
        + "[deps]\nafter = [\"all\"]\n";
    let inside = Inside::start_with(&[("all", &all), ("open", &open)], |recipe| {
        recipe.text("/usr/lib/modules/6.1/modules.dep", "")
    })?;
    let said = inside.done("all")?;
    let lines = [
        "mine",
        "- /proc/sys/kernel/panic",
        "- /proc/sysrq-trigger",
        "w /dev/null",
        "no cgroup",
        "log 0",
        "modules",
    ];
    holds(&said, &lines)?;
    // SYS_MODULE, SYS_TIME, SYSLOG, WAKE_ALARM.
    let gone = 1 << 16 | 1 << 25 | 1 << 34 | 1 << 35;
    let open = inside.done("open")?;
    holds(&open, &["namespace"])?;
    let all = mask(&open, "CapBnd")?;
    ensure!(mask(&said, "CapBnd")? == all & !gone, "{said}");
    Ok(Outcome::Passed)
}

fn private() -> Result<Outcome> {
    let look = "echo pid $$\nbusybox ps -o pid,comm\necho devices $(busybox ls /dev)\n\
                busybox mknod /dev/shm/m c 1 3 2>/dev/null || echo no node\n\
                busybox ip -o link | busybox sed 's/^/link /'\necho ipc $(busybox readlink /proc/self/ns/ipc)\n\
                echo x > /dev/null && echo x > /dev/shm/x && echo written";
    let text = script(look) + "[sandbox]\nprivate = [\"devices\", \"net\", \"ipc\", \"pids\"]\n";
    let inside = Inside::start(&[("a", &text)])?;
    let said = inside.done("a")?;
    holds(&said, &["pid 1", "no node", "written"])?;
    let ids = said
        .lines()
        .filter(|line| line.trim().ends_with("sh") || line.contains("rinit"));
    ensure!(ids.count() == 1 && !said.contains("rinit"), "{said}");
    ensure!(
        said.contains(
            "devices fd full log null ptmx pts random shm stderr stdin stdout tty urandom zero"
        ),
        "{said}"
    );
    let links: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("link "))
        .collect();
    ensure!(
        links.len() == 1 && links[0].contains("lo:") && links[0].contains("UP"),
        "{said}"
    );
    let outside = std::fs::read_link(format!("/proc/{}/ns/ipc", inside.ns.pid()?))?;
    ensure!(
        !said.contains(&format!("ipc {}\n", outside.display())),
        "{said}"
    );
    // PID 1 knows it by its own number.
    ensure!(inside.unit("a")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn capabilities() -> Result<Outcome> {
    let look = script("busybox grep -E '^(Cap|NoNewPrivs|Uid)' /proc/self/status");
    let units = [
        (
            "user",
            format!(
                "{look}user = \"web\"\n[sandbox]\nambient = [\"CAP_NET_BIND_SERVICE\"]\ncaps = []\nno_new_privs = true\n"
            ),
        ),
        (
            "root",
            format!("{look}[sandbox]\ncaps = [\"chown\", \"CAP_KILL\"]\n"),
        ),
        (
            "noroot",
            format!("{look}[sandbox]\nsecurebits = [\"noroot\", \"noroot-locked\"]\n"),
        ),
    ];
    let units: Vec<_> = units
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let inside = Inside::start(&units)?;
    let user = inside.done("user")?;
    holds(&user, &["NoNewPrivs:\t1", "Uid:\t33\t33\t33\t33"])?;
    for set in ["CapBnd", "CapEff", "CapPrm", "CapAmb", "CapInh"] {
        ensure!(mask(&user, set)? == 1 << 10, "{set}\n{user}");
    }
    let root = inside.done("root")?;
    holds(&root, &["NoNewPrivs:\t0", "Uid:\t0\t0\t0\t0"])?;
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        ensure!(mask(&root, set)? == 1 << 5 | 1, "{set}\n{root}");
    }
    let noroot = inside.done("noroot")?;
    ensure!(
        mask(&noroot, "CapEff")? == 0 && mask(&noroot, "CapBnd")? != 0,
        "{noroot}"
    );
    Ok(Outcome::Passed)
}

fn calls() -> Result<Outcome> {
    let look = script(
        "busybox mkdir /run/d; busybox chown 33 /etc/f; echo > /etc/f\nbusybox grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status",
    );
    let units = [
        (
            "deny",
            format!(
                "{look}[sandbox.seccomp]\ndeny = [\"mkdir\", \"mkdirat\", \"@swap\"]\nerrno = \"ENOSYS\"\nlog = true\n"
            ),
        ),
        (
            "allow",
            format!(
                "{look}[sandbox.seccomp]\nallow = [\"@system-service\"]\ndeny = [\"@chown\"]\n"
            ),
        ),
        (
            "kill",
            format!(
                "{}[sandbox.seccomp]\ndeny = [\"mkdir\", \"mkdirat\"]\nerrno = \"kill\"\n",
                script("busybox mkdir /run/k; echo code $?")
            ),
        ),
    ];
    let units: Vec<_> = units
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let inside = Inside::start_with(&units, |recipe| recipe.text("/etc/f", ""))?;
    let filtered = ["Seccomp:\t2", "NoNewPrivs:\t1"];
    let said = inside.done("deny")?;
    holds(&said, &filtered)?;
    ensure!(said.contains("/run/d': Function not implemented"), "{said}");
    let said = inside.done("allow")?;
    holds(&said, &filtered)?;
    ensure!(said.contains("/etc/f: Operation not permitted"), "{said}");
    // 128 and SIGSYS.
    holds(&inside.done("kill")?, &["code 159"])?;
    Ok(Outcome::Passed)
}

fn profiles() -> Result<Outcome> {
    let look = format!(
        "{WRITES}w /etc/x; w /tmp/x; w /var/lib/a/x; busybox id -u; busybox ls / | busybox sort > /tmp/list"
    );
    let unit = |profile: &str, more: &str| {
        format!(
            "{}user = \"web\"\n[dirs]\nstate = \"a\"\n[sandbox]\nprofile = \"{profile}\"\n{more}",
            script(&look)
        )
    };
    let (base, strict) = (unit("base", ""), unit("strict", "home = \"ro\"\n"));
    let stays = "[exec]\nstart = \"/bin/busybox sleep 100000\"\n[sandbox]\nprofile = \"strict\"\n";
    let inside = Inside::start(&[("base", &base), ("strict", &strict), ("stays", stays)])?;
    for name in ["base", "strict"] {
        holds(
            &inside.done(name)?,
            &["- /etc/x", "w /tmp/x", "w /var/lib/a/x", "33"],
        )?;
    }
    ensure!(inside.unit("stays")?["state"] == "up");
    inside.call("Restart", &serde_json::json!({ "units": ["stays"] }))?;
    ensure!(inside.unit("stays")?["state"] == "up");
    Ok(Outcome::Passed)
}

fn refusals() -> Result<Outcome> {
    let run = |sandbox: &str| {
        format!(
            "[exec]\nstart = \"/bin/busybox sleep 100000\"\n[restart]\npolicy = \"no\"\n[sandbox]\n{sandbox}"
        )
    };
    let units = [
        (
            "absent",
            run("bind = [\"/absent:/srv\"]\n"),
            "[sandbox] bind: cannot mount /absent: No such file or directory; next: rootctl svc logs absent",
        ),
        (
            "place",
            run("tmpfs = [\"/absent\"]\n"),
            "[sandbox] tmpfs: cannot mount on /absent: No such file or directory; next: rootctl svc logs place",
        ),
        (
            "maybe",
            run("bind = [\"-/absent:/srv\"]\nhidden = [\"-/absent\"]\n"),
            "",
        ),
    ];
    let mut all: Vec<_> = units
        .iter()
        .map(|(name, text, _)| (*name, text.as_str()))
        .collect();
    let typo = run("caps = [\"CAP_NET_ADMN\"]\n");
    all.push(("typo", &typo));
    let inside = Inside::start(&all)?;
    for (name, _, reason) in &units {
        let state = if reason.is_empty() { "up" } else { "failed" };
        let found = inside.unit(name)?;
        ensure!(
            found["state"] == state && found["reason"] == *reason,
            "{name}: {found}"
        );
    }
    let problems = inside.call("Overview", &serde_json::json!({}))?["problems"].to_string();
    ensure!(
        problems.contains("typo.toml:7:9")
            && problems.contains("did you mean \\\"CAP_NET_ADMIN\\\"?"),
        "{problems}"
    );
    Ok(Outcome::Passed)
}

fn commands() -> Result<Outcome> {
    let say = |word: &str| format!("\"/bin/busybox sh -c 'echo {word} $MAINPID >> /run/said'\"");
    let unit = format!(
        "[exec]\nstart = [\"/bin/sh\", \"-c\", \"trap 'echo hup >> /run/said' HUP; echo >&3; while :; do sleep 1; done\"]\n\
         condition = {}\nstart_pre = {}\nstart_post = {}\nstop = {}\nstop_post = {}\nreload = {{ signal = \"HUP\" }}\n\
         [ready]\nmode = \"fd\"\n",
        say("condition"),
        say("pre"),
        say("post"),
        say("stop"),
        say("over"),
    );
    let skipped = "[exec]\nstart = \"/bin/sh\"\ncondition = \"/bin/busybox false\"\n";
    let refuses =
        "[exec]\nstart = \"/bin/busybox sleep 100000\"\nreload = \"/bin/busybox false\"\n";
    let inside = Inside::start(&[("a", &unit), ("skipped", skipped), ("refuses", refuses)])?;
    let ask =
        |method: &str, name: &str| inside.call(method, &serde_json::json!({ "units": [name] }));
    let pid = inside.unit("a")?["pid"].to_string();
    ask("Reload", "a")?;
    inside.until("it was reloaded", || {
        let said = inside.read("/run/said")?;
        ensure!(said.ends_with("hup\n"), "{said}");
        Ok(true)
    })?;
    ask("Stop", "a")?;
    let said = inside.read("/run/said")?;
    ensure!(
        said == format!("condition\npre\npost {pid}\nhup\nstop {pid}\nover\n"),
        "{said}"
    );
    let found = inside.unit("skipped")?;
    ensure!(
        found["state"] == "down" && found["reason"].to_string().contains("skipped"),
        "{found}"
    );
    let refused = ask("Reload", "refuses")
        .err()
        .context("it was reloaded")?
        .to_string();
    ensure!(
        refused.contains("its reload failed: /bin/busybox: it exited with code 1"),
        "{refused}"
    );
    ensure!(inside.unit("refuses")?["state"] == "up");
    let down = ask("Reload", "a")
        .err()
        .context("it was reloaded")?
        .to_string();
    ensure!(
        down.contains("cannot reload a: it is down") && down.contains("rootctl svc start a"),
        "{down}"
    );
    Ok(Outcome::Passed)
}

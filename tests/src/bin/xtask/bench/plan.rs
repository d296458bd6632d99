//! How long a boot takes longer because there are a thousand definitions of units, of which it starts one: with the plan
//! that was kept, and with all files to be read. From the exec of process 1 to the first line of that one's program, in
//! namespaces; what the same takes with its definition alone is taken off.

use super::class::RealTime;
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::bench::board::{self, BOARD};
use tests::bench::graph::DUMMY;
use tests::ns::{Namespace, Recipe};
use tests::paths::Scratch;
use tests::{programs, run, say};

/// Definitions.
const MANY: u32 = 1000;
/// Milliseconds that so many may cost a boot from the plan that was kept.
const GOAL: f64 = 5.0;
const SOON: Duration = Duration::from_secs(60);
/// What stays from one boot to the next.
const STAYS: [(&str, &str); 3] = [
    ("etc", "/etc"),
    ("var", "/var"),
    ("rinit-plan", "/usr/bin/rinit-plan"),
];

pub(super) fn plan(runs: u32, real_time: bool) -> Result<()> {
    let (alone, many, files) = (Machine::new(1)?, Machine::new(MANY)?, Machine::new(MANY)?);
    alone.keep()?;
    many.keep()?;
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..runs {
        for (machine, times) in [&alone, &many, &files].into_iter().zip(&mut times) {
            times.push(machine.boot(real_time)?.1);
        }
    }
    let class = if real_time { ", real-time class" } else { "" };
    say::line(&format!(
        "{runs} boots each in turns{class}, exec of rinit to the first program"
    ));
    let [alone, many, files] = times.each_mut().map(|times| median(times));
    say::line(&format!("one definition, kept   {alone:6.2} ms"));
    say::line(&format!("{MANY} definitions, kept {many:6.2} ms"));
    say::line(&format!("{MANY} definitions, read {files:6.2} ms"));
    let (kept, read) = (many - alone, files - alone);
    let verdict = if kept <= GOAL { "kept" } else { "MISSED" };
    say::line(&format!(
        "to load {MANY} definitions: {kept:.2} ms, at most {GOAL}: {verdict}; by reading the files {read:.2} ms"
    ));
    Ok(())
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What a machine has on its disk.
struct Machine {
    disk: Scratch,
}

impl Machine {
    fn new(definitions: u32) -> Result<Self> {
        let disk = Scratch::new("bench-plan")?;
        let units = disk.join("etc/rinit/services");
        for folder in [&units, &disk.join("var")] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::copy(programs::planner()?, disk.join("rinit-plan"))
            .context("cannot copy rinit-plan")?;
        write(&disk.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
        write(&disk.join("etc/group"), "root:x:0:\n")?;
        let group = "schema = 1\nkind = \"group\"\n[deps]\nwants = [\"first\"]\n";
        write(&units.join("default.toml"), group)?;
        let first = format!(
            "schema = 1\nkind = \"oneshot\"\ndefault_deps = false\nexec.start = [{DUMMY:?}, \"oneshot\", \"first\"]\nlog.stdout = \"null\"\n"
        );
        write(&units.join("first.toml"), &first)?;
        for number in 1..definitions {
            write(
                &units.join(format!("service-{number}.toml")),
                &definition(number)?,
            )?;
        }
        Ok(Self { disk })
    }

    fn start(&self, real_time: bool) -> Result<Namespace> {
        let mut recipe = Recipe::new(&[DUMMY, "exec", "/usr/bin/rinit"])
            .copy(&programs::bench()?, DUMMY)
            .copy(&programs::rinit()?, "/usr/bin/rinit")
            .text(BOARD, "");
        for (from, to) in STAYS {
            recipe = recipe.bind(&self.disk.join(from), to);
        }
        let _class = real_time.then(RealTime::enter).transpose()?;
        Namespace::start(&recipe)
    }

    /// One boot; milliseconds until the one program began, by its stamp.
    fn boot(&self, real_time: bool) -> Result<(Namespace, f64)> {
        let ns = self.start(real_time)?;
        let file = format!("/proc/{}/root{BOARD}", ns.pid()?);
        let end = Instant::now() + SOON;
        loop {
            // Rarely, because there is one processor less for them meanwhile.
            std::thread::sleep(Duration::from_millis(50));
            let text = fs::read_to_string(&file).context("process 1 has ended")?;
            let stamps = board::parse(&text).unwrap_or_default();
            let of = |name: &str| stamps.iter().find(|stamp| stamp.name == name);
            if let (Some(exec), Some(first)) = (of(board::EXEC), of("first")) {
                let time = Duration::from_nanos(first.begun.saturating_sub(exec.ready));
                return Ok((ns, time.as_secs_f64() * 1000.0));
            }
            if Instant::now() > end {
                bail!("the service did not start:\n{}", ns.console.last_lines());
            }
        }
    }

    /// One boot that has to read the files; its plan is kept.
    fn keep(&self) -> Result<()> {
        let (ns, _) = self.boot(false)?;
        let words = run::output(&mut ns.inside(&["/usr/bin/rinit-plan", "--keep"])?)?;
        ensure!(words.starts_with("the plan is kept"), "{words}");
        Ok(())
    }
}

/// A service of the usual size, behind some others.
fn definition(number: u32) -> Result<String> {
    let mut text = format!(
        "schema = 1\ndescription = \"Service {number} of many\"\n\n[exec]\nstart = [\"/usr/sbin/service\", \"--number\", \"{number}\", \"--foreground\"]\nworkdir = \"/srv\"\n"
    );
    if number > 10 {
        let (one, other) = (number / 2, number / 3);
        writeln!(
            text,
            "\n[deps]\nneeds = [\"service-{one}\"]\nwants = [\"service-{other}\"]"
        )?;
    }
    writeln!(
        text,
        "\n[ready]\nmode = \"notify\"\n\n[restart]\npolicy = \"always\"\ndelay = \"1s\"\n\n[cgroup]\nmemory_max = \"64M\""
    )?;
    Ok(text)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

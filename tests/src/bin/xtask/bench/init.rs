//! From the exec of process 1 to fifty services ready, in namespaces: rinit against a program that does the
//! same starts with no supervision (`sys/bare/bench.rs`, role `limit`). They take turns, so that a disturbance of the host hits both; what counts is
//! the ratio. All times come from the stamps of the services. Then: what rinit keeps in memory, and how often
//! it wakes up when there is nothing to do.

use super::class::RealTime;
use super::processes::{self, Supervisor};
use anyhow::{Context, Result, bail};
use std::fs;
use std::time::{Duration, Instant};
use tests::bench::board::{self, BOARD};
use tests::bench::graph::{self, DUMMY};
use tests::ns::{Namespace, Recipe};
use tests::{programs, say};

/// Our time over the limit's may be at most this: what dinit needs.
const GOAL: f64 = 3.4;
const SOON: Duration = Duration::from_secs(60);
/// rinit judges a boot 10 s after the last service got ready; it is idle after that.
const SETTLED: Duration = Duration::from_secs(13);
const IDLE: Duration = Duration::from_secs(60);

pub(super) fn init(runs: u32, real_time: bool) -> Result<()> {
    let limit = limit()?;
    let rinit = rinit()?;
    let (mut limits, mut rinits) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        limits.push(boot(&limit, real_time).context("the contender limit")?.1);
        rinits.push(boot(&rinit, real_time).context("the contender rinit")?.1);
    }
    let count = graph::services().len();
    let class = if real_time { ", real-time class" } else { "" };
    say::line(&format!("{count} services, {runs} runs in turns{class}"));
    let limit = show("limit", &mut limits);
    let rinit_time = show("rinit", &mut rinits);
    let ratio = rinit_time / limit;
    let verdict = if ratio <= GOAL { "kept" } else { "MISSED" };
    say::line(&format!(
        "rinit / limit, medians {ratio:5.2}, at most {GOAL}: {verdict}"
    ));
    let (ns, _) = boot(&rinit, false)?;
    at_rest(&ns)
}

/// A root in which `program` becomes process 1, after the stamp that all is counted from.
fn recipe(program: &[&str]) -> Result<Recipe> {
    let mut argv = vec![DUMMY, "exec"];
    argv.extend(program);
    Ok(Recipe::new(&argv)
        .copy(&programs::bench()?, DUMMY)
        .text(BOARD, ""))
}

fn limit() -> Result<Recipe> {
    let counts = graph::COUNTS.map(|count| count.to_string());
    let [chain, hubs, leaves] = counts.each_ref().map(String::as_str);
    recipe(&[DUMMY, "limit", chain, hubs, leaves])
}

fn rinit() -> Result<Recipe> {
    let unit = |name: &str| format!("/etc/rinit/services/{name}.toml");
    let mut recipe = recipe(&["/usr/bin/rinit"])?
        .rinit()?
        .text("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        .text("/etc/group", "root:x:0:\n")
        .text(&unit("default"), &graph::group());
    for service in graph::services() {
        recipe = recipe.text(&unit(&service.name), &service.unit());
    }
    Ok(recipe)
}

/// One boot; milliseconds until the last service was ready, by its stamp.
fn boot(recipe: &Recipe, real_time: bool) -> Result<(Namespace, f64)> {
    let ns = {
        let _class = real_time.then(RealTime::enter).transpose()?;
        Namespace::start(recipe)?
    };
    let board = format!("/proc/{}/root{BOARD}", ns.pid()?);
    let all = graph::services().len() + 1;
    let end = Instant::now() + SOON;
    loop {
        // Rarely, because there is one processor less for them meanwhile.
        std::thread::sleep(Duration::from_millis(50));
        let text = fs::read_to_string(&board).context("process 1 has ended")?;
        if text.lines().count() >= all {
            let stamps = board::parse(&text).with_context(|| format!("no stamps: {text}"))?;
            let time = graph::judge(&stamps).map_err(anyhow::Error::msg)?;
            return Ok((ns, Duration::from_nanos(time).as_secs_f64() * 1000.0));
        }
        if Instant::now() > end {
            let console = ns.console.last_lines();
            bail!("not all services came up; stamps:\n{text}\nconsole:\n{console}");
        }
    }
}

/// Prints one contender's line; gives its median.
fn show(name: &str, times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    let (median, best, worst) = (at(times.len() / 2), at(0), at(times.len() - 1));
    say::line(&format!(
        "{name:<8} {median:6.2} ms  ({best:.2} to {worst:.2})"
    ));
    median
}

/// Memory and wake-ups of rinit and its helpers, without the services.
fn at_rest(ns: &Namespace) -> Result<()> {
    std::thread::sleep(SETTLED);
    let all = processes::supervisors(ns.pid()?, DUMMY)?;
    let before: Vec<u64> = all
        .iter()
        .map(Supervisor::switches)
        .collect::<Result<_>>()?;
    std::thread::sleep(IDLE);
    for (process, before) in all.iter().zip(before) {
        let wakes = process.switches()?.saturating_sub(before);
        let (words, memory) = (&process.words, process.memory()?);
        let seconds = IDLE.as_secs();
        say::line(&format!(
            "{words:<20} {memory:>6} KiB (PSS), {wakes} wake-ups in {seconds} s"
        ));
    }
    Ok(())
}

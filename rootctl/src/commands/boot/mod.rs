//! `rootctl boot …`: where the time of this boot went.
//!
//! `chain` finds what the boot waited for, `blame` and `chart` show it; all three are pure.

mod blame;
mod chain;
mod chart;

use anyhow::{Context as _, Result};
use rootspec::paths::run::BOOT_REPORT;
use rootspec::protocol::init::{BootTimes, method};
use rootspec::report::BootReport;
use serde::Serialize;

use super::Context;
use crate::cli::{Boot, BootChart};
use crate::client::{Client, Exit};

/// This boot from the kernel's start on, in milliseconds.
#[derive(Debug, Serialize)]
struct Story {
    /// The boot stage; none where it did not run, as in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// What `rinit` did.
    #[serde(flatten)]
    times: BootTimes,
    /// The units that the boot waited for, one after the other.
    chain: Vec<String>,
}

/// Times of the boot stage, from its report.
#[derive(Debug, Serialize)]
struct Stage {
    started_ms: u64,
    found_ms: u64,
    assembled_ms: u64,
}

impl Story {
    fn ask() -> Result<Self> {
        let times: BootTimes = Client::init()?.call(method::BOOT, &())?;
        let report = std::fs::read_to_string(BOOT_REPORT).ok();
        let report = report.and_then(|text| BootReport::from_toml(&text).ok());
        let stage = report.map(|report| Stage {
            started_ms: report.started_ms,
            found_ms: report.found_ms,
            assembled_ms: report.assembled_ms,
        });
        Ok(Self::new(stage, times))
    }

    fn new(stage: Option<Stage>, times: BootTimes) -> Self {
        let chain = chain::chain(&times);
        Self {
            stage,
            times,
            chain,
        }
    }

    /// From where times are counted: the kernel's start, or ours where another kernel's uptime would be meant.
    fn origin(&self) -> u64 {
        self.stage.as_ref().map_or(self.times.began_ms, |_| 0)
    }
}

/// Sends each verb to its file.
pub(super) fn run(context: Context<'_>, verb: Boot) -> Result<Exit> {
    let story = Story::ask()?;
    context.out.answer(&story, || match verb {
        Boot::Blame => blame::show(context.out, &story),
        Boot::Chart(args) => draw(context, &args, &story),
    })?;
    Ok(Exit::Done)
}

fn draw(context: Context<'_>, args: &BootChart, story: &Story) -> Result<()> {
    let picture = chart::svg(story);
    let Some(path) = &args.output else {
        return context.out.raw(picture.as_bytes());
    };
    std::fs::write(path, picture)
        .with_context(|| format!("cannot write the picture to {}", path.display()))
}

/// Milliseconds for people.
fn ms(time: u64) -> String {
    match time {
        0..=999 => format!("{time} ms"),
        _ => format!("{}.{:03} s", time / 1000, time % 1000),
    }
}

/// A boot for tests: `web` and `db` behind `net`, `net` behind `udev`, which is slow; `spare` delays nobody.
#[cfg(test)]
fn sample() -> Story {
    use rootspec::protocol::init::UnitTimes;
    let unit =
        |name: &str, began: Option<u64>, settled: Option<u64>, waits_for: &[&str]| UnitTimes {
            name: name.to_owned(),
            wanted_ms: 1000,
            began_ms: began,
            settled_ms: settled,
            outcome: if settled.is_some() { "up" } else { "starting" }.to_owned(),
            waits_for: waits_for.iter().map(|&name| name.to_owned()).collect(),
        };
    let stage = Stage {
        started_ms: 400,
        found_ms: 700,
        assembled_ms: 900,
    };
    let times = BootTimes {
        began_ms: 950,
        group: "default".to_owned(),
        through_ms: Some(3500),
        units: vec![
            unit("default", None, Some(3500), &["web", "db", "spare"]),
            unit("udev", Some(1000), Some(2900), &[]),
            unit("net", Some(2900), Some(3100), &["udev"]),
            unit("web", Some(3100), Some(3500), &["net"]),
            unit("db", Some(3100), Some(3200), &["net", "spare"]),
            unit("spare", Some(1000), Some(1001), &[]),
        ],
    };
    Story::new(Some(stage), times)
}

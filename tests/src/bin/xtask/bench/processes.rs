//! What supervises, as the kernel shows it in `/proc`: memory and wake-ups of process 1 and its helpers.

use anyhow::{Context, Result};
use std::fs;

/// One process that is no service.
#[derive(Debug)]
pub(super) struct Supervisor {
    pid: u32,
    /// Its command line.
    pub(super) words: String,
}

impl Supervisor {
    /// Its share of memory (PSS), KiB.
    pub(super) fn memory(&self) -> Result<u64> {
        number(self.pid, "smaps_rollup", "Pss:")
    }

    /// How often the kernel has put it to sleep, or took the processor away.
    pub(super) fn switches(&self) -> Result<u64> {
        Ok(number(self.pid, "status", "voluntary_ctxt_switches:")?
            + number(self.pid, "status", "nonvoluntary_ctxt_switches:")?)
    }
}

/// Process 1 and its children, without those whose command line begins with `service`.
pub(super) fn supervisors(first: u32, service: &str) -> Result<Vec<Supervisor>> {
    let mut all = Vec::new();
    for pid in std::iter::once(first).chain(children(first)?) {
        let words = command_line(pid)?;
        if !words.starts_with(service) {
            all.push(Supervisor { pid, words });
        }
    }
    Ok(all)
}

/// The children of a process with one thread.
pub(super) fn children(parent: u32) -> Result<Vec<u32>> {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let pids = children.split_whitespace();
    Ok(pids.filter_map(|pid| pid.parse().ok()).collect())
}

/// The words a process was started with.
pub(super) fn command_line(pid: u32) -> Result<String> {
    let file = format!("/proc/{pid}/cmdline");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    Ok(text.trim_end_matches('\0').replace('\0', " "))
}

/// The number behind a key in a file of `/proc/PID`.
fn number(pid: u32, file: &str, key: &str) -> Result<u64> {
    let file = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let words = text.lines().find_map(|line| line.strip_prefix(key));
    let value = words.and_then(|words| words.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("there is no number {key} in {file}"))
}

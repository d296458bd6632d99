//! Power cuts: a real guest is recorded while `rootctl` works, every state in which its disk could have been left is built,
//! and each must still boot what was promised.
//!
//! Killing QEMU is no power cut, as the host keeps what the guest wrote. So the writes are replayed, with what a disk's own
//! cache may do to them.
//!
//! | open | for |
//! |---|---|
//! | `story` | what the guest does, and what is promised from when on |
//! | `log` | QEMU's record of its writes |
//! | `cuts` | which states there may be (pure) |
//! | `replay` | building them |
//! | `judge` | reading a disk, and judging what was read (pure) |

pub mod cuts;
pub mod judge;
pub mod log;
pub mod replay;
pub mod story;

use crate::disk::gpt::Purpose;
use crate::paths::Scratch;
use anyhow::Result;
use cuts::{Choice, Cut, cuts};
use judge::{EspFacts, StoreFacts, Trees};
use log::{Entry, Kind, Log};
use replay::Replay;
use std::ops::Range;
use story::Recording;

/// Of so many states, one has all its files looked at.
const DEEP: usize = 8;

/// So many broken states are told one by one.
const SHOWN: usize = 20;

/// How it went.
#[derive(Debug, Default)]
pub struct Verdict {
    /// States that were built and judged.
    pub states: usize,
    /// Writes in the recording.
    pub writes: usize,
    /// Flushes in the recording.
    pub flushes: usize,
    /// The states that broke a promise, with what is wrong.
    pub broken: Vec<(Cut, Vec<String>)>,
}

impl Verdict {
    /// The figures.
    pub fn summary(&self) -> String {
        format!(
            "{} writes and {} flushes recorded, {} states judged, {} broken",
            self.writes,
            self.flushes,
            self.states,
            self.broken.len()
        )
    }

    /// The first broken states, one per line.
    pub fn list(&self) -> String {
        let line = |(cut, faults): &(Cut, Vec<String>)| {
            format!("{}: {}", describe(cut), faults.join("; "))
        };
        let lines: Vec<String> = self.broken.iter().take(SHOWN).map(line).collect();
        lines.join("\n")
    }
}

/// Builds and judges the states of a recording.
///
/// # Errors
/// When the host cannot build or read them; what is wrong with a state is in the verdict.
pub fn examine(
    recording: &Recording,
    choice: Choice,
    mut tell: impl FnMut(usize, usize),
) -> Result<Verdict> {
    let log = Log::open(&recording.log)?;
    let esp = recording.before.partition(Purpose::Esp)?;
    let esp = esp.offset..esp.offset + esp.bytes;
    let trees = trees(recording)?;
    let mut replay = Replay::new(&recording.before, log)?;
    let entries = replay.entries().to_vec();
    let marks = story::marks(&entries, |entry| replay.data(entry))?;
    let folder = Scratch::new("judge")?;
    let all = cuts(&entries, choice);
    let mut verdict = Verdict {
        states: all.len(),
        writes: entries
            .iter()
            .filter(|entry| entry.kind != Kind::Flush)
            .count(),
        flushes: entries
            .iter()
            .filter(|entry| entry.kind == Kind::Flush)
            .count(),
        broken: Vec::new(),
    };
    let mut seen = Seen::default();
    for (number, cut) in all.iter().enumerate() {
        tell(number, all.len());
        let disk = replay.state(cut)?;
        let key = Key::of(cut, &entries, &esp);
        if seen.esp.as_ref().is_none_or(|(known, _)| *known != key.esp) {
            seen.esp = Some((key.esp, judge::read_esp(&disk)?));
        }
        let deep = number % DEEP == 0;
        if deep
            || seen
                .store
                .as_ref()
                .is_none_or(|(known, _)| *known != key.store)
        {
            let facts = judge::read_store(&disk, &folder.join("top"), deep)?;
            seen.store = Some((key.store, facts));
        }
        let esp_since = |mark: usize| {
            let since = entries.get(mark..cut.issued).unwrap_or_default();
            since.iter().any(|entry| on(&esp, entry))
        };
        let expected = story::expected(&marks, cut.issued, esp_since);
        if let (Some((_, esp)), Some((_, store))) = (&seen.esp, &seen.store) {
            let faults = judge::judge(esp, store, &expected, &trees);
            if !faults.is_empty() {
                verdict.broken.push((cut.clone(), faults));
            }
        }
    }
    Ok(verdict)
}

/// The last thing read of each file system, and from what.
#[derive(Debug, Default)]
struct Seen {
    esp: Option<(Part, EspFacts)>,
    store: Option<(Part, StoreFacts)>,
}

/// Which requests one file system has seen: the last durable one of its own, and those that landed.
type Part = (Option<usize>, Vec<usize>, Option<u64>);

#[derive(Debug)]
struct Key {
    esp: Part,
    store: Part,
}

impl Key {
    fn of(cut: &Cut, entries: &[Entry], esp: &Range<u64>) -> Self {
        let part = |wanted: bool| {
            let ours = |at: &usize| -> bool {
                let entry = entries.get(*at);
                entry.is_some_and(|entry| entry.kind != Kind::Flush && on(esp, entry) == wanted)
            };
            let landed: Vec<usize> = cut.landed.iter().copied().filter(|at| ours(at)).collect();
            let torn = cut.torn.filter(|_| cut.landed.last().is_some_and(ours));
            ((0..cut.durable).rfind(ours), landed, torn)
        };
        Self {
            esp: part(true),
            store: part(false),
        }
    }
}

fn on(area: &Range<u64>, entry: &Entry) -> bool {
    entry.kind != Kind::Flush && area.contains(&entry.offset)
}

/// What the roots hold when they are complete: read where their chapter begins, with everything written.
fn trees(recording: &Recording) -> Result<Trees> {
    let mut replay = Replay::new(&recording.before, Log::open(&recording.log)?)?;
    let entries = replay.entries().to_vec();
    let folder = Scratch::new("trees")?;
    let mut trees = Trees::new();
    for mark in story::marks(&entries, |entry| replay.data(entry))? {
        let disk = replay.state(&Cut {
            issued: mark,
            durable: mark,
            landed: Vec::new(),
            torn: None,
        })?;
        let facts = judge::read_store(&disk, &folder.join("top"), true)?;
        for (id, snapshot) in facts.snapshots {
            trees.entry(id).or_insert(snapshot.tree);
        }
    }
    anyhow::ensure!(
        trees.len() == 3,
        "the recording holds the snapshots {trees:?}"
    );
    Ok(trees)
}

/// A state, for a person.
fn describe(cut: &Cut) -> String {
    let missing = (cut.durable..cut.issued)
        .filter(|at| !cut.landed.contains(at))
        .count();
    format!(
        "cut after {} requests, {missing} of the {} after the last flush missing{}",
        cut.issued,
        cut.issued - cut.durable,
        if cut.torn.is_some() { ", one torn" } else { "" },
    )
}

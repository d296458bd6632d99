//! `rootctl logs`: reads the files of logs itself, so it works where `rinit` does not run any more, or not yet.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the order of the work, records of all logs by time, following |
//! | `files` | the files of one log, in order, and what is added to them |
//! | `boots` | which boots there were, and which tries failed |
//! | `choose` | which records are wanted |
//! | `show` | what a record looks like |

mod boots;
mod choose;
mod files;
mod show;

use std::collections::{BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rootspec::paths::{EARLY_LOG_DIR, LOG_DIR};
use rootspec::record::Record;
use sys::watch::{Changed, Watch};

use self::boots::Boots;
use self::choose::Choice;
use self::files::{Log, Reader};
use self::show::Show;
use super::Context;
use crate::cli::Logs;
use crate::client::{Exit, Failure};

/// The log in which `rinit` writes what it does itself.
const RINIT: &str = "rinit";

/// Prints records; with `--follow` goes on until interrupted.
pub(super) fn run(context: Context<'_>, args: &Logs) -> Result<Exit> {
    let folders = folders(args);
    let watch = args.follow.then(|| watch(&folders)).transpose()?;
    let mut reading = Reading::open(&folders, args)?;
    reading.choose(context, args)?;
    let mut show = Show::new(context, reading.streams.iter().map(|stream| &*stream.unit));
    reading.print(args.lines, &mut show)?;
    while let Some(watch) = &watch {
        if show.is_over() {
            break;
        }
        let changes = watch.wait()?;
        reading.follow(&changes, &mut show)?;
    }
    for why in &reading.unreadable {
        context.out.remark(why);
    }
    Ok(match reading.unreadable.is_empty() {
        true => Exit::Done,
        false => Exit::Part,
    })
}

/// Where logs are: what has not come home yet belongs to them.
fn folders(args: &Logs) -> Vec<PathBuf> {
    match &args.dir {
        Some(dir) => vec![dir.clone()],
        None => vec![LOG_DIR.into(), EARLY_LOG_DIR.into()],
    }
}

fn watch(folders: &[PathBuf]) -> Result<Watch> {
    let watch = Watch::new()?;
    let mut refused = None;
    let mut watched = false;
    for dir in folders {
        match watch.add(dir) {
            Ok(()) => watched = true,
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    match refused {
        Some(why) if !watched => Err(why.into()),
        _ => Ok(watch),
    }
}

/// All logs that are read.
struct Reading {
    folders: Vec<PathBuf>,
    /// Only these units; empty: all.
    units: Vec<String>,
    choice: Choice,
    streams: Vec<Stream>,
    /// What could not be read, for people.
    unreadable: Vec<String>,
}

/// One log, and its next record.
struct Stream {
    unit: String,
    reader: Reader,
    next: Option<String>,
}

impl Reading {
    fn open(folders: &[PathBuf], args: &Logs) -> Result<Self> {
        let mut reading = Self {
            folders: folders.to_vec(),
            units: args.units.clone(),
            choice: Choice::default(),
            streams: Vec::new(),
            unreadable: Vec::new(),
        };
        // One file of each is open.
        sys::descriptors::raise().ok();
        let mut known = false;
        let mut refused = None;
        for dir in folders {
            match files::logs(dir) {
                Ok(logs) => {
                    known = true;
                    reading.add(logs);
                }
                Err(why) => refused = refused.or(Some((dir, why))),
            }
        }
        if let (false, Some((dir, why))) = (known, refused) {
            let failure = Failure::new(
                Exit::Failed,
                format!("cannot read the logs in {}: {why}", dir.display()),
            );
            return Err(failure.next("sudo rootctl logs").into());
        }
        for unit in &args.units {
            if !reading.streams.iter().any(|stream| stream.unit == *unit) {
                let why = format!(
                    "there is no log of {unit} in {}: it has never written a line",
                    shown(folders)
                );
                return Err(Failure::new(Exit::Failed, why)
                    .next("rootctl svc list")
                    .into());
            }
        }
        Ok(reading)
    }

    fn add(&mut self, logs: Vec<Log>) {
        let wanted = logs
            .into_iter()
            .filter(|log| self.units.is_empty() || self.units.contains(&log.unit));
        self.streams.extend(wanted.map(|log| Stream {
            reader: log.read(),
            unit: log.unit,
            next: None,
        }));
    }

    /// Finds out which records are wanted.
    fn choose(&mut self, context: Context<'_>, args: &Logs) -> Result<()> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_1970.unwrap_or(Duration::ZERO);
        let time = |text: &Option<String>| -> Result<Option<String>> {
            let parsed = text
                .as_deref()
                .map(|text| choose::time(text, now))
                .transpose();
            parsed.map_err(|why| Failure::new(Exit::Usage, why).into())
        };
        self.choice.since = time(&args.since)?;
        self.choice.until = time(&args.until)?;
        self.choice.snapshot = args.snapshot.map(|number| number.to_string());
        if args.boot.is_none() && !args.failed_boots {
            return Ok(());
        }
        let boots = self.boots()?;
        let running = running_boot();
        let mut wanted = std::collections::BTreeSet::new();
        if let Some(boot) = &args.boot {
            let found = boots.find(boot, &running);
            let found = found.map_err(|why| Failure::new(Exit::Usage, why))?;
            wanted.insert(found.id.clone());
        }
        if args.failed_boots {
            for (boot, why) in boots.failed(&running) {
                let (id, snapshot, number) = (&boot.id, &boot.snapshot, &boot.try_number);
                let began = boot.began.get(..16).unwrap_or_default().replace('T', " ");
                context.out.remark(&format!(
                    "boot {id} of snapshot {snapshot}, try {number}, {began}: {why}"
                ));
                wanted.insert(id.clone());
            }
            if wanted.is_empty() {
                context
                    .out
                    .remark("no try has failed since the log of rinit begins");
            }
        }
        self.choice.boots = Some(wanted);
        Ok(())
    }

    /// The boots that the log of `rinit` tells of, whatever units are wanted.
    fn boots(&mut self) -> Result<Boots> {
        let mut boots = Boots::default();
        for dir in &self.folders {
            let Ok(logs) = files::logs(dir) else { continue };
            let Some(log) = logs.into_iter().find(|log| log.unit == RINIT) else {
                continue;
            };
            let mut reader = log.read();
            loop {
                match reader.line() {
                    Ok(Some(line)) => {
                        if let Some(record) = Record::parse(&line) {
                            boots.hear(&record);
                        }
                    }
                    Ok(None) => break,
                    Err((path, why)) => {
                        return Err(why).with_context(|| {
                            format!(
                                "cannot find out which boots there were from {}",
                                path.display()
                            )
                        });
                    }
                }
            }
        }
        Ok(boots)
    }

    /// Prints all there is by time: everything, or the last `lines`.
    fn print(&mut self, lines: Option<usize>, show: &mut Show<'_>) -> Result<()> {
        let mut last = VecDeque::new();
        let mut heap = BinaryHeap::new();
        for at in 0..self.streams.len() {
            heap.extend(self.advance(at));
        }
        while let Some(std::cmp::Reverse((_, at))) = heap.pop() {
            let line = self
                .streams
                .get_mut(at)
                .and_then(|stream| stream.next.take());
            let Some(line) = line else { continue };
            match lines {
                None => show.line(&line)?,
                Some(most) => {
                    last.push_back(line);
                    if last.len() > most {
                        last.pop_front();
                    }
                }
            }
            if show.is_over() {
                return Ok(());
            }
            heap.extend(self.advance(at));
        }
        for line in last {
            show.line(&line)?;
        }
        show.flush()
    }

    /// Reads up to the next wanted record of a log; its time and the log's number. Records of one log stay in their order,
    /// even if the clock was set back: the heap holds one of each at a time.
    fn advance(&mut self, at: usize) -> Option<std::cmp::Reverse<(String, usize)>> {
        let stream = self.streams.get_mut(at)?;
        loop {
            match stream.reader.line() {
                Ok(None) => return None,
                Err((path, why)) => {
                    let text = format!("cannot read {}: {why}", path.display());
                    if !self.unreadable.contains(&text) {
                        self.unreadable.push(text);
                    }
                }
                Ok(Some(line)) => {
                    let record = Record::parse(&line).filter(|record| self.choice.takes(record));
                    let time = record.map(|record| record.time.to_owned());
                    if let Some(time) = time {
                        stream.next = Some(line);
                        return Some(std::cmp::Reverse((time, at)));
                    }
                }
            }
        }
    }

    /// Prints what was added.
    fn follow(&mut self, changes: &[Changed], show: &mut Show<'_>) -> Result<()> {
        let name_of = |change: &Changed| match change {
            Changed::File(name) => Some(name.to_str()?.to_owned()),
            Changed::Anything => None,
        };
        let names: Option<Vec<String>> = changes.iter().map(name_of).collect();
        let concerns = |unit: &str| {
            names.as_ref().is_none_or(|names| {
                names
                    .iter()
                    .any(|name| files::unit_of(name).is_some_and(|(found, _)| found == unit))
            })
        };
        for dir in self.folders.clone() {
            let new = files::logs(&dir).unwrap_or_default();
            let is_new = |log: &Log| !self.streams.iter().any(|stream| stream.reader.is_of(log));
            let new = new
                .into_iter()
                .filter(|log| concerns(&log.unit) && is_new(log));
            let new: Vec<Log> = new.collect();
            self.add(new);
        }
        for stream in &mut self.streams {
            if concerns(&stream.unit) {
                stream.reader.look_again();
            }
        }
        self.print(None, show)
    }
}

fn shown(folders: &[PathBuf]) -> String {
    let shown = folders.first().map(|dir| dir.display().to_string());
    shown.unwrap_or_default()
}

fn running_boot() -> String {
    let id = sys::fs::read_text(Path::new("/proc/sys/kernel/random/boot_id"), 64);
    id.unwrap_or_default()
}

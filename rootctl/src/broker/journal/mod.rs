//! The journal of the store: one line for each operation that changed it or failed. It is written with the lock held, in one
//! write at the end, and nothing waits for it to reach the disk. It never stands in the way: what cannot be written is said
//! and lost, and the operation's own answer stays what it is.
//!
//! | open | for |
//! |---|---|
//! | `lines` | the format, and lines that cannot be read (pure) |
//! | `words` | a request in the words of the command line (pure) |
//!
//! Some changes are made by nobody who asked: the boot stage counts tries and judges, and what every change does first finishes
//! what was left undone. The first shows as a difference between the last line and the record, the second is seen under the
//! lock; both get lines of their own.

mod lines;
mod words;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use rootspec::protocol::store::{By, Log, Logged, Operation, Standing};
use serde_json::Value;
use sys::socket::Peer;

use crate::access;
use crate::guard::{self, words as chain};
use crate::progress::{Progress, log};
use crate::session::Session;
use crate::status;
use crate::store::{Store, trash};
use lines::Read;

/// A file this large is put aside, and the one that was put aside before is dropped: at most twice this is used. Bytes.
const MOST: u64 = 256 * 1024;
/// Longest reason of a failure, in bytes.
const LONGEST_ERROR: usize = 1000;
/// Most numbers in one line.
const MOST_IDS: usize = 200;

/// Who wants what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The other side of the connection.
    pub(crate) peer: &'a Peer,
    /// The method.
    pub(crate) method: &'a str,
    /// Its parameters, as they came.
    pub(crate) given: &'a Value,
    /// When it came, in seconds since 1970 (UTC).
    pub(crate) time: u64,
}

/// The answer of an operation that gives the lock back and goes on: the line is written when it has ended.
pub(crate) const LATER: Value = Value::Null;

impl Asked<'_> {
    /// The verb, for the lock's message.
    pub(crate) fn verb(&self) -> &'static str {
        words::verb_of(self.method, self.given)
    }

    /// What the request says to a yes-or-no question.
    pub(crate) fn says(&self, key: &str) -> Option<bool> {
        self.given.get(key).and_then(Value::as_bool)
    }

    /// Snapshots that the request names, as far as they are known.
    fn named(&self, session: &Session) -> BTreeSet<SnapshotId> {
        let keys = ["target", "targets", "from", "onto", "under"];
        let values = keys.iter().filter_map(|key| self.given.get(key));
        let texts = values.flat_map(|value| match value {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect::<Vec<_>>(),
        });
        texts.filter_map(|text| find(session, text)).collect()
    }
}

/// What is known of the store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Moment {
    standing: Option<Standing>,
    snapshots: BTreeSet<SnapshotId>,
}

impl Moment {
    fn of(session: &Session) -> Self {
        let standing = session.record.state().map(|state| Standing {
            good: state.good,
            previous: state.previous,
            trial: state.trial.as_ref().map(status::trial),
        });
        Self {
            standing,
            snapshots: session.entries.iter().map(|entry| entry.id).collect(),
        }
    }
}

/// The lines of one operation, until it has ended.
#[derive(Debug)]
pub(crate) struct Journal<'a> {
    store: Store,
    asked: Asked<'a>,
    /// What every line of this operation has.
    common: Operation,
    named: BTreeSet<SnapshotId>,
    at: Moment,
    lines: Vec<Operation>,
    /// What stands in the way of a new line: the last one has no end.
    torn: bool,
}

impl<'a> Journal<'a> {
    /// At the beginning of an operation. Reads the journal, for what happened since its last line.
    pub(crate) fn begin(session: &Session, asked: Asked<'a>) -> Self {
        let read = read(&session.store);
        let report = session.site.report.as_ref();
        let mut journal = Self {
            store: session.store.clone(),
            common: Operation {
                booted: session.booted(),
                ..common(asked, report.map(|report| report.boot_id.clone()))
            },
            named: asked.named(session),
            at: Moment::of(session),
            asked,
            lines: Vec::new(),
            torn: read.torn,
        };
        let last = read.operations.into_iter().next_back();
        if let Some(before) = last.and_then(|last| last.after) {
            let now = journal.at.clone();
            journal.at.standing = Some(before);
            journal.moved(now, By::Elsewhere);
        }
        journal
    }

    /// What was left undone has been finished; from here on it is the operation's own work.
    pub(crate) fn in_order(&mut self, session: &Session) {
        self.moved(Moment::of(session), By::Broker);
    }

    /// Something happened without being asked for, if anything did.
    fn moved(&mut self, now: Moment, by: By) {
        if now.standing.is_some() && now != self.at {
            let line = Operation {
                by,
                ..self.since(&now)
            };
            self.lines.push(line);
        }
        self.at = now;
    }

    /// A line about what has changed until `now`.
    fn since(&self, now: &Moment) -> Operation {
        let (was, is) = (&self.at.standing, &now.standing);
        let made: Vec<_> = now
            .snapshots
            .difference(&self.at.snapshots)
            .copied()
            .collect();
        let gone: Vec<_> = self
            .at
            .snapshots
            .difference(&now.snapshots)
            .copied()
            .collect();
        let mut ids: BTreeSet<_> = made.iter().chain(&gone).copied().collect();
        if was != is {
            ids.extend(
                roles(was.as_ref())
                    .symmetric_difference(&roles(is.as_ref()))
                    .copied(),
            );
            let trial = is.as_ref().and_then(|is| is.trial.as_ref());
            ids.extend(trial.map(|trial| trial.id));
        }
        Operation {
            ids: few(ids),
            made: few(made),
            gone: few(gone),
            before: if was == is { None } else { was.clone() },
            after: is.clone(),
            ..self.common.clone()
        }
    }

    /// At the end of the operation: everything is written in one go.
    pub(crate) fn end(
        mut self,
        session: &Session,
        done: &Result<Value>,
        progress: &mut Progress<'_>,
    ) {
        let now = Moment::of(session);
        let error = why(done);
        // Asked again after every confirmation; finding nothing to do is no news.
        let idle = error.is_none() && self.asked.verb() == "boot-ok" && now == self.at;
        let quiet = idle || matches!(done, Ok(LATER));
        if !quiet {
            let mut line = self.since(&now);
            line.ids = few(line
                .ids
                .into_iter()
                .chain(self.named.clone())
                .collect::<BTreeSet<_>>());
            self.lines.push(request(line, self.asked, error));
        }
        if let Err(error) = self.write() {
            say(&error, progress);
        }
    }

    fn write(&self) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        if self.torn {
            text.push('\n');
        }
        for line in &self.lines {
            text.push_str(&lines::render(line)?);
        }
        append(&self.store, &text)
    }
}

/// The first line of a new store.
pub(crate) fn first(
    store: &Store,
    asked: Asked<'_>,
    made: SnapshotId,
    progress: &mut Progress<'_>,
) {
    let line = Operation {
        ids: vec![made],
        made: vec![made],
        after: Some(Standing {
            good: Some(made),
            ..Standing::default()
        }),
        ..common(asked, None)
    };
    let text = lines::render(&request(line, asked, None));
    if let Err(error) = text.and_then(|text| append(store, &text)) {
        say(&error, progress);
    }
}

/// What the journal says, the newest operations.
pub(crate) fn show(session: &Session, ask: &Log) -> Result<Logged> {
    let Read {
        mut operations,
        unreadable,
        ..
    } = read(&session.store);
    if let Some(target) = &ask.snapshot {
        let id = match find(session, target) {
            Some(id) => id,
            None => session.resolve(target)?,
        };
        operations.retain(|one| one.ids.contains(&id));
    }
    let most = ask.lines.map_or(usize::MAX, |most| most as usize);
    let earlier = operations.len().saturating_sub(most);
    Ok(Logged {
        operations: operations.split_off(earlier),
        earlier: earlier as u64,
        unreadable,
    })
}

/// A snapshot that is there, is in the trash, or is long gone and named by its number.
fn find(session: &Session, target: &str) -> Option<SnapshotId> {
    let there = session.resolve(target).ok();
    there
        .or_else(|| {
            trash::find(&session.store, target)
                .ok()
                .map(|gone| gone.entry.id)
        })
        .or_else(|| target.parse().ok())
}

fn common(asked: Asked<'_>, boot_id: Option<String>) -> Operation {
    let kernels = || sys::fs::read_text("/proc/sys/kernel/random/boot_id", 64).ok();
    Operation {
        time: asked.time,
        boot_id: boot_id.or_else(|| kernels().map(|id| id.trim().to_owned())),
        ..Operation::default()
    }
}

/// Fills in who asked for what, and what came of it.
fn request(line: Operation, asked: Asked<'_>, error: Option<String>) -> Operation {
    Operation {
        by: By::Request,
        uid: Some(asked.peer.uid),
        user: access::user_name(asked.peer.uid),
        cgroup: cgroup(asked.peer.pid),
        words: words::of(asked.method, asked.given),
        error,
        ..line
    }
}

/// Why it failed, if it did.
fn why(done: &Result<Value>) -> Option<String> {
    let text = match done {
        Err(error) => guard::reply(error).1.reason,
        // `run` answers with the status of a command whose work was thrown away.
        Ok(value) => match value.get("status").and_then(Value::as_i64) {
            None | Some(0) => return None,
            Some(status) => {
                format!("the command ended with status {status}; its work was thrown away")
            }
        },
    };
    Some(words::cut(text, LONGEST_ERROR))
}

/// The control group of a process, which under `rinit` says which unit it belongs to.
fn cgroup(pid: i32) -> Option<String> {
    let text = sys::fs::read_text(format!("/proc/{pid}/cgroup"), 4096).ok()?;
    // cgroups(7): the line of the unified hierarchy.
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(words::cut(path.to_owned(), 200))
}

fn roles(standing: Option<&Standing>) -> BTreeSet<SnapshotId> {
    let Some(standing) = standing else {
        return BTreeSet::new();
    };
    let trial = standing.trial.as_ref().map(|trial| trial.id);
    [standing.good, standing.previous, trial]
        .into_iter()
        .flatten()
        .collect()
}

fn few(ids: impl IntoIterator<Item = SnapshotId>) -> Vec<SnapshotId> {
    ids.into_iter().take(MOST_IDS).collect()
}

/// Both files, the older one first.
fn read(store: &Store) -> Read {
    let mut all = Read::default();
    for name in [names::LOG_OLD, names::LOG] {
        let bytes = match sys::fs::read(store.path(name), MOST * 2) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => continue,
            Err(error) => {
                all.unreadable.push(sys::chain(&error));
                continue;
            }
        };
        let one = lines::read(name, &bytes);
        all.operations.extend(one.operations);
        all.unreadable.extend(one.unreadable);
        all.torn = one.torn;
    }
    all
}

fn append(store: &Store, text: &str) -> Result<()> {
    let path = store.path(names::LOG);
    let length = path.symlink_metadata().map_or(0, |found| found.len());
    if length.saturating_add(text.len() as u64) > MOST && length > 0 {
        let old = store.path(names::LOG_OLD);
        std::fs::rename(&path, &old)
            .with_context(|| format!("cannot put {} aside", path.display()))?;
    }
    Ok(sys::fs::append(&path, text.as_bytes(), 0o600)?)
}

fn say(error: &anyhow::Error, progress: &mut Progress<'_>) {
    let text = format!("this operation is not in the journal: {}", chain(error));
    log(&text);
    progress.step(&text);
}

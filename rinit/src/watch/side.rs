//! PID 1's side: the watcher is started, told what to look at, heard, and started again when it dies.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rootspec::plan::{Looks, Path};
use serde::{Deserialize, Serialize};
use sys::epoll::Interest;
use sys::kernel::{Kernel, Linux};
use sys::process::{Job, Wait};

use super::link::{Inbox, Message};
use super::{Deed, Phase, Watches};
use crate::hands::hold::Fd;
use crate::init::{Init, WATCHER};
use crate::roles;
use crate::supervisor::{Event, UnitId};
use crate::timetable::Outcome;
use crate::words;

/// A watcher that has died is started again after this, in milliseconds.
const PAUSE: u64 = 1_000;
/// Paths that cannot be watched are tried again after this, in milliseconds.
const REST: u64 = 30_000;
/// Pause before more is sent to a watcher that does not read, in milliseconds.
const STUCK: u64 = 100;
/// Longest reason that is shown, in bytes.
const REASON: usize = 512;

/// The watcher.
#[derive(Debug)]
struct Process {
    pid: u32,
    link: UnixStream,
    inbox: Inbox,
    /// What it has not been sent.
    outbox: Vec<u8>,
}

/// The watcher as the program that we become finds it, and what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeldWatchers {
    pid: Option<u32>,
    link: Option<Fd>,
    phases: Vec<(UnitId, usize, Phase)>,
}

impl HeldWatchers {
    /// Its descriptor.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = Fd> {
        self.link.into_iter()
    }
}

/// Paths, and who looks at them.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watches: Watches,
    process: Option<Process>,
    /// When there is to be another watcher.
    again: Option<u64>,
    /// Units at whose paths nobody looks, until when, and why.
    unwatched: BTreeMap<UnitId, (u64, String)>,
}

impl Process {
    fn start(kernel: &mut Linux) -> Result<Self, String> {
        let said = |error: sys::SysError| sys::chain(&error);
        let pair = UnixStream::pair().and_then(|(ours, theirs)| {
            ours.set_nonblocking(true)?;
            Ok((ours, theirs))
        });
        let (link, theirs) = pair.map_err(|error| format!("cannot make a socket: {error}"))?;
        let null = kernel.null().map_err(said)?;
        let theirs = OwnedFd::from(theirs);
        let job = Job {
            argv: vec![sys::helper::NAME.to_owned(), roles::WATCH.to_owned()],
            // One heap for all threads (mallopt(3)).
            env: vec!["MALLOC_ARENA_MAX=1".to_owned()],
            umask: 0o022,
            by_helper: true,
            ..Job::default()
        };
        let epoll = kernel.epoll();
        epoll.add(&link, WATCHER, Interest::Read).map_err(said)?;
        let fds = [
            (&null, 0),
            (&null, 1),
            (&null, 2),
            (&theirs, roles::WATCH_LINK),
        ];
        let pid = kernel.spawn(&job, &fds, None, WATCHER).map_err(said)?;
        Ok(Self::new(pid, link))
    }

    fn new(pid: u32, link: UnixStream) -> Self {
        Self {
            pid,
            link,
            inbox: Inbox::default(),
            outbox: Vec::new(),
        }
    }

    /// Sends what goes without waiting. That nobody is there is told by its end.
    fn flush(&mut self) {
        while !self.outbox.is_empty() {
            match self.link.write(&self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count.min(self.outbox.len()))),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// What it says. `None`: it is dead, or out of its mind.
    fn hear(&mut self) -> Option<Vec<Message>> {
        let mut bytes = [0; 4096];
        match self.link.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                self.inbox.push(bytes.get(..count).unwrap_or_default());
                self.inbox.take()
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Some(Vec::new()),
                _ => None,
            },
        }
    }
}

impl Watchers {
    /// When to look again, in the clock of deadlines.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let stuck = self.process.as_ref().filter(|p| !p.outbox.is_empty());
        let stuck = stuck.map(|_| sys::timer::now().saturating_add(STUCK));
        let unwatched = self.unwatched.values().map(|(until, _)| *until).min();
        let all = [self.watches.deadline(), self.again, stuck, unwatched];
        all.into_iter().flatten().min()
    }

    /// A message is half read or half sent, which only this program knows.
    pub(crate) fn is_in_between(&self) -> bool {
        let open = |p: &Process| !p.inbox.is_empty() || !p.outbox.is_empty();
        self.process.as_ref().is_some_and(open)
    }

    /// The watcher goes on as it is.
    pub(crate) fn hold(&self) -> HeldWatchers {
        HeldWatchers {
            pid: self.process.as_ref().map(|process| process.pid),
            link: self.process.as_ref().map(|process| Fd::of(&process.link)),
            phases: self.watches.hold(),
        }
    }

    fn send(&mut self, message: &Message) {
        if let Some(process) = &mut self.process {
            message.write(&mut process.outbox);
        }
    }

    /// What a unit watches, for people.
    pub(crate) fn of(&self, unit: UnitId, paths: &[Path]) -> Vec<String> {
        let now = sys::timer::now();
        let unwatched = self.unwatched.get(&unit).map(|(_, why)| why.as_str());
        let unwatched = unwatched.or(self.again.map(|_| "the watcher died"));
        let one = |(number, path): (usize, &Path)| {
            let looks = path.looks.iter();
            let looks: Vec<String> = looks
                .map(|(what, path)| format!("{} {path}", word(*what)))
                .collect();
            let text = looks.join(", ");
            match (unwatched, self.watches.rests((unit, number), now)) {
                (Some(why), _) => format!("{text} (not looked at: {why})"),
                (None, Some(left)) => {
                    // Nobody wants to know that in milliseconds.
                    let left = words::duration(left.next_multiple_of(1_000));
                    format!("{text} (rests for {left})")
                }
                (None, None) => text,
            }
        };
        paths.iter().enumerate().map(one).collect()
    }

    fn end(&mut self, kernel: &mut Linux) {
        if let Some(process) = self.process.take() {
            kernel.epoll().remove(&process.link).ok();
            // It may hang, so that it does not see us let go.
            kernel.signal(process.pid, 9).ok();
        }
    }
}

fn word(what: Looks) -> &'static str {
    match what {
        Looks::Exists => "exists",
        Looks::Glob => "glob",
        Looks::Changed => "changed",
        Looks::Modified => "modified",
        Looks::NotEmpty => "not_empty",
    }
}

impl Init {
    /// The paths of the plan, which may be another one.
    pub(crate) fn adopt_paths(&mut self) {
        let changed = self.watchers.watches.adopt(self.all.core.plan());
        if self.watchers.watches.is_empty() {
            self.watchers.end(&mut self.all.hands.kernel);
            self.watchers.again = None;
            self.watchers.unwatched.clear();
        } else if self.watchers.process.is_none() {
            self.start_watcher();
        } else {
            for unit in changed {
                self.tell_watcher(unit);
            }
        }
    }

    /// Goes on with the watcher that was held, which has forgotten nothing, if `known` says that it looks at what we know;
    /// else with another one.
    pub(crate) fn resume_paths(&mut self, held: HeldWatchers, known: bool) {
        let watchers = &mut self.watchers;
        let kernel = &mut self.all.hands.kernel;
        watchers.watches.adopt(self.all.core.plan());
        if known {
            watchers.watches.resume(held.phases);
            let link = held.link.and_then(Fd::take).map(UnixStream::from);
            let pid = held.pid.filter(|pid| kernel.take_back(*pid).is_ok());
            if let (Some(pid), Some(link)) = (pid, link) {
                let watched = kernel.epoll().add(&link, WATCHER, Interest::Read);
                watchers.process = watched.ok().map(|()| Process::new(pid, link));
            }
        }
        if watchers.process.is_some() {
            // It compares, and begins with those that it had given up.
            self.tell_watcher_all();
        } else if !watchers.watches.is_empty() {
            self.start_watcher();
        }
    }

    fn start_watcher(&mut self) {
        self.watchers.again = None;
        match Process::start(&mut self.all.hands.kernel) {
            Ok(process) => {
                self.watchers.process = Some(process);
                self.tell_watcher_all();
            }
            Err(why) => self.watcher_died(&why),
        }
    }

    fn tell_watcher_all(&mut self) {
        let plan = self.all.core.plan();
        let units = (0..).zip(&plan.units);
        let watched: Vec<UnitId> = units
            .filter(|(_, unit)| !unit.paths.is_empty())
            .map(|(id, _)| id)
            .collect();
        for unit in watched {
            self.tell_watcher(unit);
        }
    }

    /// What a unit watches now.
    fn tell_watcher(&mut self, unit: UnitId) {
        self.watchers.unwatched.remove(&unit);
        let paths = &self.all.core.unit(unit).paths;
        let bytes = if paths.is_empty() {
            Vec::new()
        } else {
            rootspec::plan::paths_to_bytes(paths)
        };
        self.watchers.send(&Message::Words(unit, bytes));
    }

    fn watcher_died(&mut self, why: &str) {
        let pause = words::duration(PAUSE);
        self.voice
            .shout(&format!("no path starts a unit for {pause}: {why}"));
        self.watchers.end(&mut self.all.hands.kernel);
        self.watchers.again = Some(sys::timer::now().saturating_add(PAUSE));
    }

    /// The watcher has something to say.
    pub(crate) fn watcher_came(&mut self) {
        let Some(process) = &mut self.watchers.process else {
            return;
        };
        let kernel = &mut self.all.hands.kernel;
        if let Ok(Wait::Failed(stage, errno)) = kernel.start_of(process.pid) {
            let error = std::io::Error::from_raw_os_error(errno);
            let step = stage.words();
            return self.watcher_died(&format!("cannot {step} the watcher: {error}"));
        }
        let Some(messages) = process.hear() else {
            return self.watcher_died("the watcher died");
        };
        let units = self.all.core.plan().units.len();
        let now = sys::timer::now();
        for message in messages {
            match message {
                Message::Entry(owner, number) => {
                    let core = &self.all.core;
                    let is_moving = |unit| Outcome::of(core.record(unit)).is_none();
                    let entry = (owner, usize::from(number));
                    let deed = self.watchers.watches.told(entry, is_moving, now);
                    self.do_for_paths(deed);
                }
                Message::Words(owner, why) if usize::try_from(owner).is_ok_and(|o| o < units) => {
                    let why = why.get(..REASON).unwrap_or(&why);
                    self.unwatch(owner, &String::from_utf8_lossy(why), now);
                }
                Message::Words(..) => {}
            }
        }
    }

    /// Nobody looks at the paths of this unit for a while.
    fn unwatch(&mut self, unit: UnitId, why: &str, now: u64) {
        let name = &self.all.core.unit(unit).name;
        let rest = words::duration(REST);
        self.voice.shout(&format!(
            "{name}: its paths are not watched for {rest}: {why}"
        ));
        let until = now.saturating_add(REST);
        let unwatched = (until, why.to_owned());
        self.watchers.unwatched.insert(unit, unwatched);
    }

    /// What has become of a unit.
    pub(crate) fn note_for_paths(&mut self, unit: UnitId) {
        if self.watchers.watches.is_empty() {
            return;
        }
        if let Some(what) = Outcome::of(self.all.core.record(unit)) {
            let deeds = self.watchers.watches.note(unit, what, sys::timer::now());
            self.do_for_paths(deeds);
        }
    }

    /// Whatever has rested long enough goes on.
    pub(crate) fn run_paths(&mut self) {
        if self.watchers.watches.is_empty() {
            return;
        }
        if self.shutdown.is_some() {
            self.watchers.end(&mut self.all.hands.kernel);
            self.watchers = Watchers::default();
            return;
        }
        let now = sys::timer::now();
        let deeds = self.watchers.watches.time(now);
        self.do_for_paths(deeds);
        if self.watchers.again.is_some_and(|again| again <= now) {
            self.start_watcher();
        }
        let all = self.watchers.unwatched.iter();
        let due: Vec<UnitId> = all
            .filter(|(_, (until, _))| *until <= now)
            .map(|(unit, _)| *unit)
            .collect();
        for unit in due {
            self.tell_watcher(unit);
        }
    }

    /// Sends the watcher what it is to know.
    pub(crate) fn flush_paths(&mut self) {
        if let Some(process) = &mut self.watchers.process {
            process.flush();
        }
    }

    fn do_for_paths(&mut self, deeds: impl IntoIterator<Item = Deed>) {
        for deed in deeds {
            match deed {
                Deed::Start(unit) => self.all.handle(Event::Elapsed(unit)),
                Deed::Look(owner, number) => {
                    if let Ok(number) = u8::try_from(number) {
                        self.watchers.send(&Message::Entry(owner, number));
                    }
                }
            }
        }
    }
}

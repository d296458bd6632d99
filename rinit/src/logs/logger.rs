//! The process that writes logs. It holds no state that would be missed: when it dies, the next one goes on where the
//! pipes are, and finishes what the journal says was begun.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use rootspec::logs::{Handover, Rules};
use rootspec::paths;
use rootspec::record::{Head, Line, Origin, PIECE};
use rootspec::report::Numbers;
use sys::console::{Consoles, KernelLog, Level};
use sys::epoll::{Epoll, Interest};
use sys::peek::Peek;
use sys::timer::Timer;

use super::cut::cut;
use super::journal::{Journal, Left};
use super::kmsg::{self, Found, Kmsg};
use super::rate::Meter;
use super::store::{Out, Store};
use super::syslog::{self, Syslog};
use super::{JOURNAL, LINK, SYSLOG, Sources};

/// Looked at in one go, in bytes.
const CHUNK: usize = 16 * 1024;
/// After so many milliseconds the beginning of a line is written without its end.
const PARTIAL: u64 = 2_000;
/// During a trial a record is on the disk after so many milliseconds, whatever becomes of the machine.
const SYNC: u64 = 1_000;
const TOKEN_LINK: u64 = u64::MAX;
const TOKEN_TIMER: u64 = u64::MAX - 1;
const TOKEN_MOUNTS: u64 = u64::MAX - 2;
const KERNEL_TOKEN: u64 = 0xffff_fffe;
/// Number of the kernel's log among the sources; PID 1 gives numbers of units, and one more.
const KERNEL: u32 = 0xffff_fffe;
const MESSAGES_TOKEN: u64 = 0xffff_fffd;
/// Number of the log of messages of programs.
const MESSAGES_LOG: u32 = 0xffff_fffd;
/// Messages that are written at once: others have their turn in between.
const MESSAGES: usize = 256;

/// One log.
struct Source {
    what: Handover,
    pipe: OwnedFd,
    out: Option<Out>,
    /// A line has begun in the pipe, and waits for its end until then.
    partial: Option<u64>,
    /// The last record has not ended.
    open: bool,
    meter: Meter,
    /// Lines that found no room.
    lost: u64,
}

impl Source {
    fn new(what: Handover, pipe: OwnedFd, open: bool) -> Self {
        Self {
            what,
            pipe,
            out: None,
            partial: None,
            open,
            meter: Meter::default(),
            lost: 0,
        }
    }

    /// Writes records into its log. Where there is no room, `lines` more are lost.
    fn write(&mut self, store: &mut Store, journal: &mut Journal, text: &str, lines: u64) {
        if text.is_empty() {
            return;
        }
        let rules = self.what.rules.as_deref().cloned().unwrap_or_default();
        let log = (&*self.what.name, &rules);
        match store.append(&mut self.out, log, text.as_bytes(), journal) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost = self.lost.saturating_add(lines),
        }
    }
}

struct Logger {
    epoll: Epoll,
    timer: Timer,
    peek: Peek,
    origin: Origin,
    journal: Journal,
    store: Store,
    /// By the numbers that PID 1 gave them.
    sources: BTreeMap<u32, Source>,
    consoles: Option<Consoles>,
    buffer: Vec<u8>,
    /// Changes of mounts, watched while the place of logs cannot be written.
    mounts: Option<File>,
    /// A log whose last record a killed logger could not finish.
    unfinished: Option<String>,
    /// When written files are put on the disk, if they are.
    sync_at: Option<u64>,
    /// What the kernel says, if that is wanted.
    kernel: Option<Kmsg>,
    /// What programs say by syslog(3), if that is wanted.
    syslog: Option<Syslog>,
}

/// The role: runs until PID 1 lets go. All logs take at most `most` bytes.
///
/// # Errors
/// What it needs is not to be had.
pub(crate) fn run(most: u64, others: Sources) -> sys::error::Result<()> {
    let link = sys::inherit::take(LINK)?;
    let journal = Journal::new(File::from(sys::inherit::take(JOURNAL)?));
    let (epoll, timer) = (Epoll::new()?, Timer::new()?);
    epoll.add(&link, TOKEN_LINK, Interest::Read)?;
    epoll.add(&timer, TOKEN_TIMER, Interest::Read)?;
    let mut logger = Logger {
        epoll,
        timer,
        peek: Peek::new()?,
        origin: origin(),
        journal,
        store: Store::new(paths::LOG_DIR, paths::EARLY_LOG_DIR, most),
        sources: BTreeMap::new(),
        consoles: None,
        buffer: vec![0; CHUNK],
        mounts: None,
        unfinished: None,
        sync_at: None,
        kernel: None,
        syslog: None,
    };
    // Before what is left is dealt with, and forgotten.
    let next = logger.journal.kernel();
    if others.syslog {
        logger.hear_syslog(sys::inherit::take(SYSLOG)?);
    }
    logger.finish_what_was_begun();
    if others.kernel.unwrap_or_else(kmsg::are_ours) {
        logger.hear_kernel(next);
    }
    let mut found = Vec::new();
    loop {
        logger.wind_up();
        logger.epoll.wait(&mut found)?;
        for happening in &found {
            match happening.token {
                TOKEN_LINK => {
                    if !logger.heard(&link) {
                        logger.drain_all();
                        return Ok(());
                    }
                }
                TOKEN_TIMER => {
                    logger.timer.fired();
                    logger.time();
                }
                TOKEN_MOUNTS => logger.store.settle(&mut logger.journal),
                KERNEL_TOKEN => {
                    logger.drain_kernel();
                }
                MESSAGES_TOKEN => {
                    logger.drain_syslog();
                }
                id => logger.drain(u32::try_from(id).unwrap_or(u32::MAX), false),
            }
        }
    }
}

fn origin() -> Origin {
    let id = sys::fs::read_text("/proc/sys/kernel/random/boot_id", 64).unwrap_or_default();
    let report = sys::fs::read_text(paths::run::BOOT_REPORT, 1 << 20).ok();
    let report = report.and_then(|text| Numbers::of_report(&text));
    let dash = || "-".to_owned();
    let snapshot = report.as_ref().and_then(|numbers| numbers.snapshot);
    let try_number = report.as_ref().and_then(|numbers| numbers.try_number);
    Origin {
        boot: id.chars().take(8).collect(),
        snapshot: snapshot.map_or_else(dash, |id| id.to_string()),
        try_number: try_number.map_or_else(dash, |number| number.to_string()),
    }
}

fn head(origin: &Origin) -> Head {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Head::new(since.unwrap_or(Duration::ZERO), origin)
}

/// Something the logger itself has to say in a unit's log.
fn remark(out: &mut String, head: &Head, unit: &str, text: &str) {
    let line = Line {
        unit,
        priority: Some(4),
        continued: false,
        text: text.as_bytes(),
    };
    head.record(out, &line);
}

impl Logger {
    /// A logger before us was killed in the middle of something.
    fn finish_what_was_begun(&mut self) {
        let done = match self.journal.left() {
            Left::Taken { log, bytes, open } => self.write_taken(&log, &bytes, open),
            left => self.store.finish(left),
        };
        if done.is_err() {
            KernelLog::open("rinit").say(Level::Error, "lines are lost that a killed logger left");
        }
        self.journal.idle();
    }

    fn write_taken(&mut self, unit: &str, bytes: &[u8], mut open: bool) -> std::io::Result<()> {
        let (mut text, head) = (String::new(), head(&self.origin));
        cut(bytes, &mut open, |piece, continued| {
            head.record(&mut text, &plain_line(unit, piece, continued));
        });
        self.unfinished = open.then(|| unit.to_owned());
        let log = (unit, &Rules::default());
        self.store
            .append(&mut None, log, text.as_bytes(), &mut self.journal)
    }

    /// Takes logs over. False: PID 1 has let go.
    fn heard(&mut self, link: &OwnedFd) -> bool {
        let mut bytes = [0; Handover::MOST];
        // One message per call: the kernel does not join messages that carry descriptors.
        let (length, fds) = match sys::socket::receive_fds(link, &mut bytes) {
            Ok(received) => received,
            Err(error) => {
                // Where our own log is, if anywhere, is what we may just have missed.
                let text = format!("a log cannot be taken over: {}", sys::chain(&error));
                KernelLog::open("rinit").say(Level::Error, &text);
                return true;
            }
        };
        if length == 0 {
            return false;
        }
        let what = Handover::from_bytes(bytes.get(..length).unwrap_or_default());
        if let (Some(what), Some(pipe)) = (what, fds.into_iter().next()) {
            self.add(what, pipe);
        }
        true
    }

    fn add(&mut self, what: Handover, pipe: OwnedFd) {
        if what.console && self.consoles.is_none() {
            self.consoles = Some(Consoles::open());
        }
        let id = what.id;
        if let Some(known) = self.sources.get_mut(&id) {
            known.what = what;
            return;
        }
        // Edges: the beginning of a line may stay in the pipe without waking us for ever.
        let watched = self.epoll.add(&pipe, u64::from(id), Interest::ReadEdge);
        let open = self.unfinished.as_deref() == Some(&*what.name);
        self.sources.insert(id, Source::new(what, pipe, open));
        if watched.is_ok() {
            self.drain(id, false);
        }
    }

    /// Writes what the kernel says from now on, from this message on.
    fn hear_kernel(&mut self, next: u64) {
        let Some((messages, pipe)) = Kmsg::open(next) else {
            return;
        };
        if self.epoll.add(&pipe, KERNEL_TOKEN, Interest::Read).is_err() {
            return;
        }
        let what = Handover {
            id: KERNEL,
            name: kmsg::NAME.into(),
            console: false,
            rules: None,
        };
        self.sources.insert(KERNEL, Source::new(what, pipe, false));
        self.kernel = Some(messages);
    }

    /// Writes some messages of the kernel. `None`: there are no more for now.
    fn drain_kernel(&mut self) -> Option<()> {
        let (kernel, source) = (self.kernel.as_mut()?, self.sources.get_mut(&KERNEL)?);
        let began = sys::timer::on_wall().saturating_sub_unsigned(sys::timer::now());
        let (mut text, mut lines, mut more) = (String::new(), 0_u64, Some(()));
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..MESSAGES {
            match kernel.read(&mut buffer) {
                Found::Message(message, lost) => {
                    let head = Head::new(message.time(began), &self.origin);
                    if lost > 0 {
                        let words = format!("{lost} messages lost: the kernel had no room");
                        remark(&mut text, &head, kmsg::NAME, &words);
                    }
                    head.record(&mut text, &message.line());
                    lines = lines.saturating_add(1);
                }
                Found::Skipped => {}
                Found::Nothing => {
                    more = None;
                    break;
                }
            }
        }
        self.buffer = buffer;
        if lines > 0 {
            let mut whole = String::new();
            say_lost(source, &head(&self.origin), &mut whole);
            whole.push_str(&text);
            self.journal.writes_kernel(kernel.next());
            source.write(&mut self.store, &mut self.journal, &whole, lines);
            self.journal.kernel_written();
            self.sync_soon(KERNEL);
        }
        more
    }

    /// Writes what programs say by syslog(3) from now on. The first message may be one that a logger before us has written.
    fn hear_syslog(&mut self, socket: OwnedFd) {
        let Ok(copy) = socket.try_clone() else {
            return;
        };
        if self
            .epoll
            .add(&copy, MESSAGES_TOKEN, Interest::Read)
            .is_err()
        {
            return;
        }
        let mut syslog = Syslog::new(socket);
        if let Some(records) = self.journal.message() {
            if syslog.has_become(&records, &head(&self.origin)) {
                syslog.remove();
            }
        }
        let what = Handover {
            id: MESSAGES_LOG,
            name: syslog::NAME.into(),
            console: false,
            rules: None,
        };
        self.sources
            .insert(MESSAGES_LOG, Source::new(what, copy, false));
        self.syslog = Some(syslog);
    }

    /// Writes some messages of programs. `None`: there are no more for now.
    fn drain_syslog(&mut self) -> Option<()> {
        for _ in 0..MESSAGES {
            self.write_message()?;
        }
        Some(())
    }

    /// Writes the oldest message. `None`: there is none.
    fn write_message(&mut self) -> Option<()> {
        let (syslog, source) = (self.syslog.as_mut()?, self.sources.get_mut(&MESSAGES_LOG)?);
        let waiting = syslog.look()?;
        if !syslog.admits(&waiting, sys::timer::now()) {
            syslog.remove();
            return Some(());
        }
        let head = head(&self.origin);
        let mut remarks = String::new();
        say_lost(source, &head, &mut remarks);
        source.write(&mut self.store, &mut self.journal, &remarks, 0);
        let records = syslog.records(&head, &waiting);
        self.journal.writes_message();
        source.write(&mut self.store, &mut self.journal, &records, 1);
        syslog.remove();
        self.journal.message_removed();
        self.sync_soon(MESSAGES_LOG);
        Some(())
    }

    /// Says how many messages of users were dropped, when it is time.
    fn say_dropped_messages(&mut self, now: u64) {
        let (Some(syslog), Some(source)) = (&mut self.syslog, self.sources.get_mut(&MESSAGES_LOG))
        else {
            return;
        };
        let (head, mut text) = (head(&self.origin), String::new());
        while let Some(words) = syslog.dropped(now) {
            remark(&mut text, &head, syslog::NAME, &words);
        }
        source.write(&mut self.store, &mut self.journal, &text, 0);
    }

    /// During a trial what was written is put on the disk.
    fn sync_soon(&mut self, id: u32) {
        let out = self.sources.get(&id).and_then(|source| source.out.as_ref());
        let dirty = out.is_some_and(Out::is_dirty);
        if dirty && self.sync_at.is_none() && self.origin.try_number != "-" {
            self.sync_at = Some(sys::timer::now().saturating_add(SYNC));
        }
    }

    fn drain_all(&mut self) {
        while self.drain_kernel().is_some() {}
        // While others can still send there may be no end, and the next logger goes on.
        if self.syslog.as_ref().is_some_and(Syslog::is_over) {
            while self.drain_syslog().is_some() {}
        }
        let all: Vec<u32> = self.sources.keys().copied().collect();
        for id in all {
            self.drain(id, true);
        }
    }

    /// The timer: lines that nobody has finished, bounds that are over, files that are to be on the disk.
    fn time(&mut self) {
        let now = sys::timer::now();
        let late = |due: Option<u64>| due.is_some_and(|due| due <= now);
        let mut partial = Vec::new();
        for (id, source) in &mut self.sources {
            if late(source.partial) {
                partial.push(*id);
            }
            let mut text = String::new();
            say_dropped(source, &head(&self.origin), &mut text);
            source.write(&mut self.store, &mut self.journal, &text, 0);
        }
        for id in partial {
            self.drain(id, true);
        }
        self.say_dropped_messages(now);
        if late(self.sync_at) {
            self.sync_at = None;
            for out in self.sources.values_mut().filter_map(|s| s.out.as_mut()) {
                out.sync();
            }
        }
    }

    /// Before a wait: sets the timer, and watches what must be.
    fn wind_up(&mut self) {
        let dues = self.sources.values().flat_map(|source| {
            let rate = source.what.rules.as_ref().and_then(|rules| rules.rate);
            [source.partial, rate.and_then(|rate| source.meter.due(rate))]
        });
        let dropped = self.syslog.as_ref().and_then(Syslog::due);
        let due = dues.flatten().chain(self.sync_at).chain(dropped).min();
        self.timer.set(due).ok();
        match (self.store.is_homeless(), &self.mounts) {
            (true, None) => {
                if let Ok(file) = File::open("/proc/self/mountinfo") {
                    self.epoll.add(&file, TOKEN_MOUNTS, Interest::Change).ok();
                    self.mounts = Some(file);
                    // It may have come in between.
                    self.store.settle(&mut self.journal);
                }
            }
            (false, Some(_)) => self.mounts = None,
            _ => {}
        }
    }

    /// Writes what is in one pipe. `whole`: unfinished lines too.
    fn drain(&mut self, id: u32, whole: bool) {
        while self.drain_some(id, whole).is_some() {}
    }

    /// Takes what is in one pipe, and writes it. `None`: there is no more for now.
    fn drain_some(&mut self, id: u32, whole: bool) -> Option<()> {
        if [KERNEL, MESSAGES_LOG].contains(&id) {
            return None;
        }
        let source = self.sources.get_mut(&id)?;
        source.partial = None;
        let length = self.peek.look(&source.pipe, &mut self.buffer).ok()?;
        let bytes = self.buffer.get(..length)?;
        let newline = bytes.iter().rposition(|byte| *byte == b'\n');
        let wanted = match newline {
            Some(at) => at.saturating_add(1),
            None if length == 0 => return None,
            // Lines longer than what we look at are cut; so are those that nobody finishes.
            None if whole || length >= PIECE => length,
            None => {
                source.partial = Some(sys::timer::now().saturating_add(PARTIAL));
                return None;
            }
        };
        // From here on it is in the journal, and no more in the pipe.
        let name = &source.what.name;
        let taken = self.journal.take(&source.pipe, name, source.open, wanted);
        let bytes = bytes.get(..taken.ok()?)?;
        let head = head(&self.origin);
        let mut text = String::with_capacity(bytes.len().saturating_mul(2));
        say_dropped(source, &head, &mut text);
        say_lost(source, &head, &mut text);
        let lines = render(source, &head, bytes, &mut text);
        source.write(&mut self.store, &mut self.journal, &text, lines);
        if let (true, Some(consoles)) = (source.what.console, &mut self.consoles) {
            consoles.say(&String::from_utf8_lossy(bytes));
        }
        self.sync_soon(id);
        Some(())
    }
}

fn plain_line<'a>(unit: &'a str, text: &'a [u8], continued: bool) -> Line<'a> {
    Line {
        unit,
        priority: None,
        continued,
        text,
    }
}

/// What the unit's rate has not let pass, when its window is over.
fn say_dropped(source: &mut Source, head: &Head, text: &mut String) {
    let unit = &source.what.name;
    let rate = source.what.rules.as_ref().and_then(|rules| rules.rate);
    if let Some(rate) = rate {
        if let Some(dropped) = source.meter.take_dropped(rate, sys::timer::now()) {
            let window = crate::words::duration(rate.window);
            let count = rate.count;
            let words = format!("{dropped} lines dropped: more than {count} in {window}");
            remark(text, head, unit, &words);
        }
    }
}

fn say_lost(source: &Source, head: &Head, text: &mut String) {
    if source.lost > 0 {
        let words = format!("{} lines lost: no room", source.lost);
        remark(text, head, &source.what.name, &words);
    }
}

/// Appends the records of `bytes`, as far as the unit's rate lets them pass; returns how many.
fn render(source: &mut Source, head: &Head, bytes: &[u8], text: &mut String) -> u64 {
    let rate = source.what.rules.as_ref().and_then(|rules| rules.rate);
    let (unit, meter, now) = (&source.what.name, &mut source.meter, sys::timer::now());
    let mut lines = 0;
    cut(bytes, &mut source.open, |piece, continued| {
        if rate.is_none_or(|rate| meter.admits(rate, now)) {
            head.record(text, &plain_line(unit, piece, continued));
            lines += 1;
        }
    });
    lines
}

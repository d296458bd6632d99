//! The files of logs: where they are, when they are turned over, what happens when there is no room.
//!
//! A log belongs into `/var/log/rinit`. While that cannot be written it is kept early, in memory below `/run`, with a bound
//! for all together, and brought home later. A full disk is no such case: what does not fit is dropped, and counted by
//! whoever called.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rootspec::logs::Rules;

use super::journal::{Journal, Left, To};

/// So long after a failed try the place where logs belong is tried again, in milliseconds.
const RETRY: u64 = 2_000;
/// All early logs together take at most so many bytes.
const EARLY: u64 = 4 << 20;

/// Where logs are.
#[derive(Debug)]
pub(crate) struct Store {
    home: PathBuf,
    early: PathBuf,
    /// Most bytes at home.
    most: u64,
    /// Bytes at home.
    used: u64,
    /// Bytes of early logs.
    early_used: u64,
    /// Home is not tried before.
    retry_at: u64,
    /// Home could not be written when last tried.
    homeless: bool,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Out {
    file: File,
    home: bool,
    /// Written to since it was last put on the disk.
    dirty: bool,
}

impl Out {
    /// Puts it on the disk.
    pub(crate) fn sync(&mut self) {
        if std::mem::take(&mut self.dirty) {
            // Without it the line is as safe as any other.
            self.file.sync_data().ok();
        }
    }

    /// It must be put on the disk.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty && self.home
    }
}

impl Store {
    /// With at most so many bytes in `home`.
    pub(crate) fn new(home: &str, early: &str, most: u64) -> Self {
        let used = |dir: &str| list(Path::new(dir)).iter().map(|found| found.size).sum();
        Self {
            home: home.into(),
            early: early.into(),
            most,
            used: used(home),
            early_used: used(early),
            retry_at: 0,
            homeless: false,
        }
    }

    /// Early logs wait to be brought home.
    pub(crate) fn is_homeless(&self) -> bool {
        self.homeless
    }

    /// Appends to the log of a unit; `slot` is its open file, if any.
    ///
    /// # Errors
    /// It is lost, and why. The file is as it was.
    pub(crate) fn append(
        &mut self,
        slot: &mut Option<Out>,
        (log, rules): (&str, &Rules),
        text: &[u8],
        journal: &mut Journal,
    ) -> io::Result<()> {
        let mut written = self.try_append(slot, log, text, journal);
        let elsewhere = slot.as_ref().is_some_and(|out| out.home);
        if written.as_ref().is_err_and(|why| !is_full(why)) && elsewhere {
            // The file system has become read-only, or its disk is gone.
            *slot = None;
            self.put_off();
            written = self.try_append(slot, log, text, journal);
        }
        let size = written?;
        let home = slot.as_ref().is_some_and(|out| out.home);
        if home && size >= rules.size {
            self.turn_over(log, rules.keep, journal);
            *slot = None;
        }
        if self.used > self.most {
            journal.idle();
            self.trim();
        }
        Ok(())
    }

    /// Returns the size of the file after it.
    fn try_append(
        &mut self,
        slot: &mut Option<Out>,
        log: &str,
        text: &[u8],
        journal: &mut Journal,
    ) -> io::Result<u64> {
        let size = self.place(slot, log, journal)?;
        let out = slot.as_mut().ok_or(ErrorKind::NotFound)?;
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if !out.home && self.early_used.saturating_add(length) > EARLY {
            return Err(ErrorKind::StorageFull.into());
        }
        let to = To {
            log: log.to_owned(),
            home: out.home,
            size,
        };
        journal.writes(to, text);
        if let Err(why) = out.file.write_all(text) {
            // Not half a record.
            out.file.set_len(size).ok();
            journal.idle();
            return Err(why);
        }
        out.dirty = true;
        let used = if out.home {
            &mut self.used
        } else {
            &mut self.early_used
        };
        *used = used.saturating_add(length);
        Ok(size.saturating_add(length))
    }

    /// Opens the log where it belongs, else early. Returns its size.
    fn place(
        &mut self,
        slot: &mut Option<Out>,
        log: &str,
        journal: &mut Journal,
    ) -> io::Result<u64> {
        // Somebody may have removed the file.
        let data = slot.as_ref().and_then(|out| out.file.metadata().ok());
        if data.as_ref().is_none_or(|data| data.nlink() == 0) {
            *slot = None;
        }
        let misplaced = slot.as_ref().is_none_or(|out| !out.home);
        if misplaced && sys::timer::now() >= self.retry_at {
            match self.open_home(log, journal) {
                Ok(out) => *slot = Some(out),
                Err(_) => self.put_off(),
            }
        } else if let Some(data) = data.filter(|_| slot.is_some()) {
            return Ok(data.len());
        }
        if slot.is_none() {
            *slot = Some(Out {
                file: open(&self.early, log)?,
                home: false,
                dirty: false,
            });
        }
        let out = slot.as_ref().ok_or(ErrorKind::NotFound)?;
        Ok(out.file.metadata()?.len())
    }

    fn put_off(&mut self) {
        self.homeless = true;
        self.retry_at = sys::timer::now().saturating_add(RETRY);
    }

    /// With what was written early at its end.
    fn open_home(&mut self, log: &str, journal: &mut Journal) -> io::Result<Out> {
        let file = open(&self.home, log)?;
        let path = self.early.join(format!("{log}.log"));
        if let Ok(mut early) = File::open(&path) {
            journal.brings_home(To {
                log: log.to_owned(),
                home: true,
                size: file.metadata()?.len(),
            });
            let copied = io::copy(&mut early, &mut &file)?;
            std::fs::remove_file(&path)?;
            journal.idle();
            self.early_used = self.early_used.saturating_sub(copied);
            self.used = self.used.saturating_add(copied);
        }
        Ok(Out {
            file,
            home: true,
            dirty: true,
        })
    }

    /// Home may be there by now: brings all early logs there, those of units that say nothing more as well.
    pub(crate) fn settle(&mut self, journal: &mut Journal) {
        self.homeless = false;
        for found in list(&self.early) {
            if let Some(log) = found.log() {
                if self.open_home(log, journal).is_err() {
                    return self.put_off();
                }
            }
        }
    }

    /// The file becomes number 1, number 1 becomes 2, and so on up to the first number that is free; those above `keep` go.
    fn turn_over(&mut self, log: &str, keep: u8, journal: &mut Journal) {
        // Or an unfinished write would be looked for in the new file.
        journal.idle();
        let path = |number: u32| {
            self.home.join(match number {
                0 => format!("{log}.log"),
                number => format!("{log}.log.{number}"),
            })
        };
        let keep = u32::from(keep);
        // A logger that was killed on the way has left a number free: it is taken, and what is older stays where it is.
        let free = (1..=keep).find(|number| !path(*number).exists());
        let surplus = keep.saturating_add(u32::from(free.is_some()));
        for number in surplus.. {
            let size = std::fs::metadata(path(number)).map_or(0, |data| data.len());
            if std::fs::remove_file(path(number)).is_err() {
                break;
            }
            self.used = self.used.saturating_sub(size);
        }
        for number in (0..free.unwrap_or(keep)).rev() {
            std::fs::rename(path(number), path(number.saturating_add(1))).ok();
        }
    }

    /// Makes room: the oldest files go.
    fn trim(&mut self) {
        let all = list(&self.home);
        for found in surplus(&all, self.most) {
            std::fs::remove_file(self.home.join(&found.name)).ok();
        }
        self.used = list(&self.home).iter().map(|found| found.size).sum();
    }

    /// Does what a killed logger has left of a write. Returns what it took out of a pipe and did not write.
    pub(crate) fn finish(&mut self, left: Left) -> io::Result<()> {
        let (to, text) = match left {
            Left::Nothing | Left::Taken { .. } => return Ok(()),
            Left::Text { to, text } => (to, text),
            Left::Early { to } => (to, Vec::new()),
        };
        let dir = if to.home { &self.home } else { &self.early };
        let path = dir.join(format!("{}.log", to.log));
        let mut file = File::options().append(true).create(true).open(path)?;
        if file.metadata()?.len() > to.size {
            file.set_len(to.size)?;
        }
        file.write_all(&text)
    }
}

/// A file in the folder of logs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: String,
    size: u64,
    changed: SystemTime,
}

impl Found {
    /// The log that it is the present file of.
    fn log(&self) -> Option<&str> {
        self.name.strip_suffix(".log")
    }
}

fn list(dir: &Path) -> Vec<Found> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let data = entry.metadata().ok().filter(Metadata::is_file)?;
        Some(Found {
            name: entry.file_name().into_string().ok()?,
            size: data.len(),
            changed: data.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    });
    found.collect()
}

/// What must go, so that a tenth of the room is free again: old files first, then the logs of those that have been silent
/// for longest; the log that was written last stays.
fn surplus(all: &[Found], most: u64) -> Vec<&Found> {
    let mut used: u64 = all.iter().map(|found| found.size).sum();
    let target = most.saturating_sub(most.checked_div(10).unwrap_or_default());
    let mut order: Vec<&Found> = all.iter().collect();
    order.sort_by_key(|found| (found.log().is_some(), found.changed));
    order.pop();
    let wanted = order.into_iter().take_while(|found| {
        let too_much = used > target;
        used = used.saturating_sub(found.size);
        too_much
    });
    wanted.collect()
}

/// Opens a log to append to it. Where the power failed in the middle of a record, that ends here.
fn open(dir: &Path, log: &str) -> io::Result<File> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{log}.log"));
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    let size = file.metadata()?.len();
    let mut last = [b'\n'];
    if let Some(at) = size.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// There is no room: that passes, and is no reason to write elsewhere.
fn is_full(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home and an early place in one scratch folder.
    struct Scratch {
        dir: PathBuf,
        journal: Journal,
    }

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rinit-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let journal = Journal::new(sys::peek::memory_file("journal").unwrap());
            Self { dir, journal }
        }

        fn path(&self, name: &str) -> String {
            self.dir.join(name).display().to_string()
        }

        fn store(&self, most: u64) -> Store {
            Store::new(&self.path("home"), &self.path("early"), most)
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.dir.join(name)).unwrap_or_default()
        }

        fn say(&mut self, store: &mut Store, slot: &mut Option<Out>, text: &str) {
            let rules = Rules {
                size: 10,
                keep: 2,
                ..Rules::default()
            };
            store
                .append(slot, ("a", &rules), text.as_bytes(), &mut self.journal)
                .unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.dir).ok();
        }
    }

    #[test]
    fn a_file_that_is_large_enough_is_turned_over_and_so_many_are_kept() {
        let mut scratch = Scratch::new("turn");
        let (mut store, mut slot) = (scratch.store(u64::MAX), None);
        for text in ["1\n", "2222222222\n", "3333333333\n", "4444444444\n", "5\n"] {
            scratch.say(&mut store, &mut slot, text);
        }
        assert_eq!(scratch.read("home/a.log"), "5\n");
        assert_eq!(scratch.read("home/a.log.1"), "4444444444\n");
        assert_eq!(scratch.read("home/a.log.2"), "3333333333\n");
        assert_eq!(scratch.read("home/a.log.3"), "");
        assert_eq!(store.used, 24);
    }

    #[test]
    fn a_turn_that_was_cut_short_costs_no_file_and_leaves_no_gap() {
        let mut scratch = Scratch::new("short");
        std::fs::create_dir(scratch.dir.join("home")).unwrap();
        // Killed when 1 had become 2, and before the present one became 1.
        std::fs::write(scratch.dir.join("home/a.log.2"), "1111111111\n").unwrap();
        std::fs::write(scratch.dir.join("home/a.log"), "2222222222\n").unwrap();
        let (mut store, mut slot) = (scratch.store(u64::MAX), None);
        scratch.say(&mut store, &mut slot, "3\n");
        assert_eq!(scratch.read("home/a.log"), "");
        assert_eq!(scratch.read("home/a.log.1"), "2222222222\n3\n");
        assert_eq!(scratch.read("home/a.log.2"), "1111111111\n");
        assert_eq!(store.used, 24);
    }

    #[test]
    fn what_was_written_early_comes_home_first_whoever_speaks() {
        let mut scratch = Scratch::new("early");
        std::fs::write(scratch.dir.join("home"), "in the way").unwrap();
        let (mut store, mut slot) = (scratch.store(u64::MAX), None);
        scratch.say(&mut store, &mut slot, "1\n");
        assert!(store.is_homeless());
        assert_eq!(scratch.read("early/a.log"), "1\n");
        std::fs::write(scratch.dir.join("early/silent.log"), "x\n").unwrap();
        std::fs::remove_file(scratch.dir.join("home")).unwrap();
        store.settle(&mut scratch.journal);
        assert!(!store.is_homeless());
        store.retry_at = 0;
        scratch.say(&mut store, &mut slot, "2\n");
        assert_eq!(scratch.read("home/a.log"), "1\n2\n");
        assert_eq!(scratch.read("home/silent.log"), "x\n");
        assert_eq!(scratch.read("early/a.log"), "");
    }

    #[test]
    fn a_torn_last_line_ends_where_the_file_is_opened_again() {
        let mut scratch = Scratch::new("torn");
        std::fs::create_dir(scratch.dir.join("home")).unwrap();
        std::fs::write(scratch.dir.join("home/a.log"), "to").unwrap();
        let (mut store, mut slot) = (scratch.store(u64::MAX), None);
        scratch.say(&mut store, &mut slot, "whole\n");
        assert_eq!(scratch.read("home/a.log"), "to\nwhole\n");
    }

    #[test]
    fn what_a_killed_logger_had_written_in_part_is_written_once() {
        let scratch = Scratch::new("finish");
        std::fs::create_dir(scratch.dir.join("home")).unwrap();
        for there in ["before\n", "before\nte", "before\ntext\n"] {
            std::fs::write(scratch.dir.join("home/a.log"), there).unwrap();
            let to = To {
                log: "a".into(),
                home: true,
                size: 7,
            };
            let text = b"text\n".to_vec();
            scratch
                .store(u64::MAX)
                .finish(Left::Text { to, text })
                .unwrap();
            assert_eq!(scratch.read("home/a.log"), "before\ntext\n", "{there:?}");
        }
    }

    #[test]
    fn a_removed_file_is_made_anew_and_a_shortened_one_goes_on() {
        let mut scratch = Scratch::new("removed");
        let (mut store, mut slot) = (scratch.store(u64::MAX), None);
        scratch.say(&mut store, &mut slot, "1\n");
        std::fs::write(scratch.dir.join("home/a.log"), "").unwrap();
        scratch.say(&mut store, &mut slot, "2\n");
        assert_eq!(scratch.read("home/a.log"), "2\n");
        std::fs::remove_file(scratch.dir.join("home/a.log")).unwrap();
        scratch.say(&mut store, &mut slot, "3\n");
        assert_eq!(scratch.read("home/a.log"), "3\n");
    }

    #[test]
    fn when_all_together_is_too_much_the_oldest_go_and_the_newest_stays() {
        let found = |name: &str, size: u64, age: u64| Found {
            name: name.into(),
            size,
            changed: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age),
        };
        let all = [
            found("a.log", 40, 0),
            found("a.log.1", 40, 5),
            found("b.log", 40, 9),
            found("b.log.1", 40, 3),
        ];
        let gone = |most: u64| -> Vec<&str> {
            surplus(&all, most)
                .iter()
                .map(|found| &*found.name)
                .collect()
        };
        assert_eq!(gone(200), [""; 0]);
        assert_eq!(gone(150), ["a.log.1"]);
        assert_eq!(gone(50), ["a.log.1", "b.log.1", "b.log"]);
        assert_eq!(gone(1), ["a.log.1", "b.log.1", "b.log"]);
    }
}

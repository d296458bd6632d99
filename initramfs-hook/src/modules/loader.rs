//! Inserts modules, several at once, in the order of a plan.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rootspec::paths::initramfs;
use sys::module::{Inserted, insert};

use super::plan::{Item, Next, Plan, Progress};
use super::table::{FS, ModuleFile, ModuleTable, parameters};

/// Largest table that is read, in bytes: the aliases of a whole distribution kernel are about 1.5 MiB.
const LIMIT: u64 = 16 << 20;

/// How many modules of one call are inserted at once. Half of them usually sleep until the kernel has tested what they
/// offer.
const WORKERS: usize = 4;

/// Measures which of its routines is fastest, each for 16 ticks of the timer (`lib/raid6/algos.c`).
const SLOW: [&str; 1] = ["raid6_pq"];

/// The kernel tells nobody when a module begins to initialise itself; a look takes some microseconds.
const TICK: Duration = Duration::from_millis(1);

/// Loads modules, each once. May be used from several threads.
#[derive(Debug)]
pub struct Loader {
    table: ModuleTable,
    root: PathBuf,
    cmdline: String,
    /// What was begun, and whether it has ended.
    begun: Mutex<HashMap<String, bool>>,
    /// An insertion has ended.
    ended: Condvar,
}

impl Loader {
    /// Reads the tables below `root` (`/` in an initramfs). Where there are none, nothing is ever loaded: the kernel has
    /// all it needs built in, or somebody else loads.
    #[must_use]
    pub fn open(root: impl AsRef<Path>, cmdline: &str) -> Self {
        let root = root.as_ref();
        let table = |name: &str| sys::fs::read_text(root.join(name), LIMIT).unwrap_or_default();
        Self {
            table: ModuleTable::parse(
                &table(initramfs::MODULES),
                &table(initramfs::ALIASES),
                &table(initramfs::LOAD),
            ),
            root: root.to_owned(),
            cmdline: cmdline.to_owned(),
            begun: Mutex::new(HashMap::new()),
            ended: Condvar::new(),
        }
    }

    /// The tables.
    #[must_use]
    pub fn table(&self) -> &ModuleTable {
        &self.table
    }

    /// Loads a module and what it needs; returns what went wrong, in words.
    pub fn load(&self, name: &str) -> Vec<String> {
        self.load_together(&self.table.order([name]))
    }

    /// Loads what drives a device with this alias; returns what went wrong, in words.
    pub fn load_alias(&self, alias: &str) -> Vec<String> {
        self.load_together(&self.table.order(self.table.by_alias(alias)))
    }

    /// Loads file systems and what they like to have beside them; returns what went wrong, in words.
    pub fn load_file_systems(&self, names: &[&str]) -> Vec<String> {
        let aliases: Vec<_> = names.iter().map(|name| format!("{FS}{name}")).collect();
        let drivers = aliases.iter().flat_map(|alias| self.table.by_alias(alias));
        self.load_together(&self.table.order(drivers))
    }

    /// Returns when all are there. Several threads work, because some modules measure for a third of a second which of
    /// their routines is fastest, and large ones take as long to be read and verified.
    fn load_together(&self, names: &[&str]) -> Vec<String> {
        let plan = Plan::new(names.iter().filter_map(|name| self.item(name)).collect());
        let workers = WORKERS.min(plan.names().count());
        std::thread::scope(|threads| {
            let help = |_| {
                let thread = std::thread::Builder::new();
                thread.spawn_scoped(threads, || self.work_at(&plan)).ok()
            };
            // Without a thread it takes longer, nothing else.
            let helpers: Vec<_> = (1..workers).filter_map(help).collect();
            let mut problems = self.work_at(&plan);
            let ended = helpers.into_iter().filter_map(|helper| helper.join().ok());
            problems.extend(ended.flatten());
            problems
        })
    }

    fn item<'a>(&'a self, name: &'a str) -> Option<Item<'a>> {
        if self.lock().get(name) == Some(&true) {
            return None;
        }
        let module = self.table.modules.get(name)?;
        Some(Item {
            name,
            needs: module.needs.iter().map(String::as_str).collect(),
            size: std::fs::metadata(self.file(module)).map_or(0, |found| found.len()),
            early: self.table.is_file_system(name),
            slow: SLOW.contains(&name),
        })
    }

    /// Begins one after the other; returns when all have ended, whoever began them.
    fn work_at(&self, plan: &Plan<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut begun = self.lock();
        loop {
            let known = plan.names().map(|name| progress(&begun, name));
            match plan.next(&known.collect::<Vec<_>>()) {
                Next::Begin(name) => {
                    begun.insert(name.to_owned(), false);
                    drop(begun);
                    let insertion = Insertion { name, loader: self };
                    problems.extend(self.insert(name));
                    drop(insertion);
                    begun = self.lock();
                }
                Next::WaitForComing => {
                    let waited = self.ended.wait_timeout(begun, TICK);
                    begun = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::WaitForEnd => {
                    begun = self.wait(begun);
                }
                Next::AllBegun if plan.names().any(|name| begun.get(name) == Some(&false)) => {
                    begun = self.wait(begun);
                }
                Next::AllBegun => return problems,
            }
        }
    }

    fn insert(&self, name: &str) -> Option<String> {
        let module = self.table.modules.get(name)?;
        match insert(self.file(module), &parameters(&self.cmdline, name)) {
            Ok(Inserted::New | Inserted::Already) => None,
            // The driver looked and found no device of its own: efivarfs on BIOS, crypto without the instructions.
            Err(error) if matches!(error.errno(), Some(ENODEV | EOPNOTSUPP)) => None,
            Err(error) => Some(sys::chain(&error)),
        }
    }

    fn file(&self, module: &ModuleFile) -> PathBuf {
        self.root.join(module.path.trim_start_matches('/'))
    }

    fn lock(&self) -> Begun<'_> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, begun: Begun<'a>) -> Begun<'a> {
        let waited = self.ended.wait(begun);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

type Begun<'a> = MutexGuard<'a, HashMap<String, bool>>;

fn progress(begun: &HashMap<String, bool>, name: &str) -> Progress {
    match begun.get(name) {
        None => Progress::Waiting,
        Some(true) => Progress::Ended,
        Some(false) if sys::module::is_known(name) => Progress::Coming,
        Some(false) => Progress::Begun,
    }
}

/// A module that is being inserted; its end is told when this is dropped, even by a panic.
struct Insertion<'a> {
    name: &'a str,
    loader: &'a Loader,
}

impl Drop for Insertion<'_> {
    fn drop(&mut self) {
        self.loader.lock().insert(self.name.to_owned(), true);
        self.loader.ended.notify_all();
    }
}

/// "No such device" (`asm-generic/errno-base.h`).
const ENODEV: i32 = 19;
/// "Operation not supported" (`asm-generic/errno.h`).
const EOPNOTSUPP: i32 = 95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_tables_load_nothing() {
        let loader = Loader::open("/nowhere", "");
        assert!(loader.load("btrfs").is_empty() && loader.load_alias("fs-btrfs").is_empty());
    }
}

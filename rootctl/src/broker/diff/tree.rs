//! A snapshot as [`Tree`]: its items, searched in the kernel. What was touched is fetched in few large searches, because
//! numbers given at one time lie side by side; anything else is looked up when it is asked for.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use sys::btrfs_search::{Key, Search};

use super::compare::Tree;
use super::item::{self, Entries, Extent, Inode, Record};

/// Numbers that are not further apart are fetched in one search: passing over the few items between them is cheaper
/// than another search.
const NEAR: u64 = 8;
/// With more touched inodes than this, nothing is fetched beforehand: memory has an end.
const MOST_FETCHED: usize = 50_000;

/// The transaction in which a file in `dir` was made.
pub(super) fn file_made_in(dir: &Path, name: &str) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let path = dir.join(name);
    let looking = || format!("cannot look at {}", path.display());
    let number = path.symlink_metadata().with_context(looking)?.ino();
    let mut record = Record::default();
    let (first, last) = (Key::first(number), Key::last(number));
    let fd = sys::btrfs::open(dir)?;
    Search::new().each(&fd, first..=last, 0, |key, data| {
        record.add(key.kind, key.offset, data);
    })?;
    let inode = record.finish().and_then(|record| record.inode);
    Ok(inode.with_context(looking)?.generation)
}

/// An open snapshot.
#[derive(Debug)]
pub(super) struct Snapshot {
    root: OwnedFd,
    /// For messages.
    name: String,
    search: Search,
    fetched: HashMap<u64, Fetched>,
}

/// What is known of a touched inode; `None`: there is none.
#[derive(Debug)]
struct Fetched {
    inode: Option<Rc<Inode>>,
    entries: Rc<Entries>,
    extents: Rc<Vec<Extent>>,
}

impl Snapshot {
    /// Opens the root of a snapshot, called `name` in messages.
    pub(super) fn open(root: &Path, name: String) -> Result<Self> {
        Ok(Self {
            root: sys::btrfs::open(root)?,
            name,
            search: Search::new(),
            fetched: HashMap::new(),
        })
    }

    /// Its root.
    pub(super) fn root(&self) -> impl AsFd + '_ {
        &self.root
    }

    /// Adds the numbers of the inodes that were touched in transaction `since` or later.
    pub(super) fn touched(&mut self, since: u64, touched: &mut HashSet<u64>) -> Result<()> {
        let (first, last) = (Key::first(super::compare::ROOT), Key::last(u64::MAX));
        let found = self
            .search
            .each(&self.root, first..=last, since, |key, data| {
                if key.kind == item::INODE && item::transid(data).is_none_or(|id| id >= since) {
                    touched.insert(key.object);
                }
            });
        found.with_context(|| format!("cannot search {}", self.name))
    }

    /// Fetches these inodes, unless they are too many.
    pub(super) fn fetch(&mut self, touched: &HashSet<u64>) -> Result<()> {
        if touched.len() > MOST_FETCHED {
            return Ok(());
        }
        let mut numbers: Vec<u64> = touched.iter().copied().collect();
        numbers.sort_unstable();
        for run in numbers.chunk_by(|a, b| b - a <= NEAR) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let records = self.records(Key::first(*first)..=Key::last(*last), Some(touched))?;
                self.keep(run, records)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, numbers: &[u64], mut records: HashMap<u64, Record>) -> Result<()> {
        for number in numbers {
            let record = records.remove(number).unwrap_or_default();
            let record = self.sound(record, *number)?;
            let fetched = Fetched {
                inode: record.inode.map(Rc::new),
                entries: Rc::new(record.entries),
                extents: Rc::new(record.extents),
            };
            self.fetched.insert(*number, fetched);
        }
        Ok(())
    }

    /// The items between two keys, by inode.
    fn records(
        &mut self,
        keys: RangeInclusive<Key>,
        wanted: Option<&HashSet<u64>>,
    ) -> Result<HashMap<u64, Record>> {
        let mut records: HashMap<u64, Record> = HashMap::new();
        let mut current: Option<(u64, Record)> = None;
        let found = self.search.each(&self.root, keys, 0, |key, data| {
            if wanted.is_some_and(|wanted| !wanted.contains(&key.object)) {
                return;
            }
            match &mut current {
                Some((number, record)) if *number == key.object => {
                    record.add(key.kind, key.offset, data);
                }
                _ => {
                    let mut record = Record::default();
                    record.add(key.kind, key.offset, data);
                    if let Some((number, done)) = current.replace((key.object, record)) {
                        records.insert(number, done);
                    }
                }
            }
        });
        found.with_context(|| format!("cannot search {}", self.name))?;
        records.extend(current);
        Ok(records)
    }

    /// Some of the items of one inode.
    fn part(&mut self, number: u64, first: u8, last: u8) -> Result<Record> {
        let key = |kind, offset| Key {
            object: number,
            kind,
            offset,
        };
        let mut records = self.records(key(first, 0)..=key(last, u64::MAX), None)?;
        let record = records.remove(&number).unwrap_or_default();
        self.sound(record, number)
    }

    fn sound(&self, record: Record, number: u64) -> Result<Record> {
        match record.finish() {
            Some(record) => Ok(record),
            None => bail!(
                "inode {number} in {} is damaged: see `btrfs check`",
                self.name
            ),
        }
    }
}

impl Tree for Snapshot {
    fn inode(&mut self, number: u64) -> Result<Option<Rc<Inode>>> {
        if let Some(known) = self.fetched.get(&number) {
            return Ok(known.inode.clone());
        }
        let record = self.part(number, item::INODE, item::XATTR)?;
        Ok(record.inode.map(Rc::new))
    }

    fn entries(&mut self, number: u64) -> Result<Rc<Entries>> {
        if let Some(known) = self.fetched.get(&number) {
            return Ok(known.entries.clone());
        }
        let record = self.part(number, item::DIR_INDEX, item::DIR_INDEX)?;
        Ok(Rc::new(record.entries))
    }

    fn extents(&mut self, number: u64) -> Result<Rc<Vec<Extent>>> {
        if let Some(known) = self.fetched.get(&number) {
            return Ok(known.extents.clone());
        }
        let record = self.part(number, item::EXTENT_DATA, item::EXTENT_DATA)?;
        Ok(Rc::new(record.extents))
    }

    fn read(&mut self, path: &[u8], at: u64, buffer: &mut [u8]) -> Result<()> {
        let path = Path::new(OsStr::from_bytes(path));
        let file = sys::fs::open_plain(&self.root, path)
            .with_context(|| format!("cannot compare a file of {}", self.name))?;
        file.read_exact_at(buffer, at).with_context(|| {
            let path = rootspec::path_text::escape(path.as_os_str().as_bytes());
            format!("cannot read /{path} of {}", self.name)
        })
    }
}

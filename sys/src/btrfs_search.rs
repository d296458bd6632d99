//! The items of a subvolume's tree, straight from the kernel: what `BTRFS_IOC_TREE_SEARCH_V2` finds.
//!
//! btrfs never changes a tree block in place: whoever writes an item rewrites its block, with the number of the running
//! transaction. So the search can leave out every block that is older than a given transaction without reading it, and
//! its cost follows the changes, not the size of the tree. The items that come back are bytes as on the disk
//! (`linux/btrfs_tree.h`); what they mean is for the caller to read.
//!
//! The search shows what is in the tree: what is still in memory only gets there with [`crate::btrfs::sync`].

use std::mem::size_of;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

use linux_raw_sys::btrfs::{btrfs_ioctl_search_header, btrfs_ioctl_search_key};
use linux_raw_sys::ioctl as op;
use rustix::ioctl::{Updater, ioctl};

use crate::error::{Cannot, Result, SysError};

/// Room for found items, in bytes. Larger than the largest tree block (64 KiB), so that every item fits.
const ROOM: usize = 256 * 1024;
/// Bytes before each item: `struct btrfs_ioctl_search_header`.
const HEADER: usize = size_of::<btrfs_ioctl_search_header>();

/// Where an item stands in a tree; items are ordered by it, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Whose item it is: an inode number, in the tree of a subvolume.
    pub object: u64,
    /// What it is: `BTRFS_INODE_ITEM_KEY` and its neighbours.
    pub kind: u8,
    /// Its place among those of one kind.
    pub offset: u64,
}

impl Key {
    /// Before every item of the object.
    #[must_use]
    pub fn first(object: u64) -> Self {
        Self {
            object,
            kind: 0,
            offset: 0,
        }
    }

    /// Behind every item of the object.
    #[must_use]
    pub fn last(object: u64) -> Self {
        Self {
            object,
            kind: u8::MAX,
            offset: u64::MAX,
        }
    }

    /// The one that follows; `None` behind the last of all.
    fn next(self) -> Option<Self> {
        if let Some(offset) = self.offset.checked_add(1) {
            return Some(Self { offset, ..self });
        }
        if let Some(kind) = self.kind.checked_add(1) {
            return Some(Self {
                kind,
                offset: 0,
                ..self
            });
        }
        self.object.checked_add(1).map(Self::first)
    }
}

/// `struct btrfs_ioctl_search_args_v2` with its array.
#[repr(C)]
struct Arguments {
    key: btrfs_ioctl_search_key,
    size: u64,
    found: [u8; ROOM],
}

/// A search with its memory, to be used again and again.
pub struct Search(Box<Arguments>);

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Search")
    }
}

impl Default for Search {
    fn default() -> Self {
        Self::new()
    }
}

impl Search {
    /// Takes the memory.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new(Arguments {
            key: key(Key::first(0), Key::last(0), 0),
            size: 0,
            found: [0; ROOM],
        }))
    }

    /// Hands over, in order, the items in the range `keys` of the subvolume that holds `fd`, as far as they lie in tree
    /// blocks written in transaction `since` or later: not only the items that were changed, and not all items of an
    /// object. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// The kernel refuses, or answers with what cannot be.
    pub fn each(
        &mut self,
        fd: impl AsFd,
        keys: RangeInclusive<Key>,
        since: u64,
        mut item: impl FnMut(Key, &[u8]),
    ) -> Result<()> {
        let fd = fd.as_fd();
        let (mut from, last) = keys.into_inner();
        while from <= last {
            self.0.key = key(from, last, since);
            self.0.size = ROOM as u64;
            // SAFETY: TREE_SEARCH_V2 reads the key and the size and writes at most `size` bytes behind them, all of
            // which `Arguments` has; any bytes are valid for its fields.
            let call = unsafe { Updater::<{ op::BTRFS_IOC_TREE_SEARCH_V2 }, _>::new(&mut *self.0) };
            // SAFETY: the same.
            let result = unsafe { ioctl(fd, call) };
            result.cannot("search the tree of", "the subvolume")?;
            let Some(end) = hand_over(&self.0.found, self.0.key.nr_items, &mut item)? else {
                return Ok(());
            };
            match end.next() {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

fn key(first: Key, last: Key, since: u64) -> btrfs_ioctl_search_key {
    btrfs_ioctl_search_key {
        // The tree of the subvolume that the descriptor is in.
        tree_id: 0,
        min_objectid: first.object,
        max_objectid: last.object,
        min_offset: first.offset,
        max_offset: last.offset,
        min_transid: since,
        max_transid: u64::MAX,
        min_type: u32::from(first.kind),
        max_type: u32::from(last.kind),
        nr_items: u32::MAX,
        unused: 0,
        unused1: 0,
        unused2: 0,
        unused3: 0,
        unused4: 0,
    }
}

/// Takes the kernel's answer apart; gives the key of the last item.
fn hand_over(found: &[u8], count: u32, mut item: impl FnMut(Key, &[u8])) -> Result<Option<Key>> {
    let mut rest = found;
    let mut end = None;
    for _ in 0..count {
        let taken = take(rest);
        let Some((key, data, behind)) = taken else {
            let why = "the kernel's answer is longer than its room";
            return Err(SysError::invalid(
                "search the tree of",
                "the subvolume",
                why,
            ));
        };
        item(key, data);
        (end, rest) = (Some(key), behind);
    }
    Ok(end)
}

/// One item: `struct btrfs_ioctl_search_header` {transid, objectid, offset: u64; type, len: u32}, then `len` bytes.
fn take(bytes: &[u8]) -> Option<(Key, &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let long = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let short = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let key = Key {
        object: long(8)?,
        kind: u8::try_from(short(24)?).ok()?,
        offset: long(16)?,
    };
    let (data, rest) = rest.split_at_checked(usize::try_from(short(28)?).ok()?)?;
    Some((key, data, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(object: u64, kind: u32, offset: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = 7u64.to_ne_bytes().to_vec();
        bytes.extend(object.to_ne_bytes());
        bytes.extend(offset.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(u32::try_from(data.len()).unwrap().to_ne_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn an_answer_is_taken_apart_in_order() {
        let answer = [item(256, 1, 0, b"abc"), item(257, 12, 9, b"")].concat();
        let mut seen = Vec::new();
        let end = hand_over(&answer, 2, |key, data| seen.push((key, data.to_vec()))).unwrap();
        let key = |object, kind, offset| Key {
            object,
            kind,
            offset,
        };
        assert_eq!(
            seen,
            [
                (key(256, 1, 0), b"abc".to_vec()),
                (key(257, 12, 9), Vec::new())
            ]
        );
        assert_eq!(end, Some(key(257, 12, 9)));
        assert_eq!(hand_over(&answer, 0, |_, _| ()).unwrap(), None);
    }

    #[test]
    fn an_answer_that_cannot_be_is_an_error() {
        let mut answer = item(256, 1, 0, b"abc");
        answer.pop();
        assert!(hand_over(&answer, 1, |_, _| ()).is_err());
        assert!(hand_over(&item(1, 300, 0, b""), 1, |_, _| ()).is_err());
    }

    #[test]
    fn the_next_key_carries_over() {
        let full = Key {
            object: 5,
            kind: 3,
            offset: u64::MAX,
        };
        let next = full.next().unwrap();
        assert_eq!((next.object, next.kind, next.offset), (5, 4, 0));
        assert_eq!(Key::last(5).next(), Some(Key::first(6)));
        assert_eq!(Key::last(u64::MAX).next(), None);
    }
}

//! What the items of a btrfs tree mean, as far as files are concerned: bytes in, values out. The layout is the kernel's
//! (`linux/btrfs_tree.h`), all numbers little-endian. Bytes that cannot be such an item are damage, never a panic.

use std::collections::BTreeMap;

/// `BTRFS_INODE_ITEM_KEY`: the inode itself; always the first item of an inode.
pub(super) const INODE: u8 = 1;
/// `BTRFS_INODE_REF_KEY`, `BTRFS_INODE_EXTREF_KEY`: its names.
const REF: u8 = 12;
const EXTREF: u8 = 13;
/// `BTRFS_XATTR_ITEM_KEY`: its extended attributes.
pub(super) const XATTR: u8 = 24;
/// `BTRFS_DIR_INDEX_KEY`: what a folder holds.
pub(super) const DIR_INDEX: u8 = 96;
/// `BTRFS_EXTENT_DATA_KEY`: where a file's bytes are; the target of a link.
pub(super) const EXTENT_DATA: u8 = 108;
/// `BTRFS_ROOT_ITEM_KEY`: in a folder's entry, another subvolume.
const ROOT_ITEM: u8 = 132;

/// Flags that people set with `chattr`, from `BTRFS_INODE_SYNC` to `BTRFS_INODE_DIRSYNC`; the others tell how btrfs keeps
/// the file.
const CHATTR: u64 = 0b111_1110_0000;

/// What a file is: the format bits of its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Link,
    Char,
    Block,
    Fifo,
    Socket,
    /// Another subvolume, seen from the one it lies in.
    Subvolume,
    Unknown,
}

impl Kind {
    /// Its name in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Dir => "dir",
            Self::Link => "link",
            Self::Char => "char",
            Self::Block => "block",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Subvolume => "subvolume",
            Self::Unknown => "unknown",
        }
    }
}

/// An inode without its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inode {
    /// Transaction in which it was made: tells two inodes of one number apart.
    pub(crate) generation: u64,
    /// Transaction of its last change, whatever it was.
    pub(crate) transid: u64,
    /// Bytes; for a link, of its target.
    pub(crate) size: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Format and permission bits.
    pub(crate) mode: u32,
    pub(crate) rdev: u64,
    pub(crate) flags: u64,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) modified: (i64, u32),
    /// Its names: the folder's number and the name there.
    pub(crate) names: Vec<(u64, Vec<u8>)>,
    pub(crate) attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Inode {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        match self.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Dir,
            0o120_000 => Kind::Link,
            0o020_000 => Kind::Char,
            0o060_000 => Kind::Block,
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            _ => Kind::Unknown,
        }
    }

    /// Permission bits.
    pub(crate) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    /// Flags that people set.
    pub(crate) fn chattr(&self) -> u64 {
        self.flags & CHATTR
    }
}

/// What a folder's entry leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// An inode of the same tree.
    Inode(u64),
    /// The subvolume of this id.
    Subvolume(u64),
}

/// What a folder holds, by name.
pub(crate) type Entries = BTreeMap<Vec<u8>, Child>;

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where in the file it begins.
    pub(crate) start: u64,
    /// Its bytes in the file.
    pub(crate) length: u64,
    /// Where they come from.
    pub(crate) source: Source,
}

/// Where the bytes of a stretch come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Zeros: a hole, or room that nothing was written to.
    Zeros,
    /// In the tree itself.
    Inline {
        /// 0: none.
        compression: u8,
        data: Vec<u8>,
    },
    /// The extent at this address of the file system, from this byte of its uncompressed content on.
    Disk { address: u64, from: u64 },
}

/// Everything found of one inode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) inode: Option<Inode>,
    pub(crate) entries: Entries,
    pub(crate) extents: Vec<Extent>,
    names: Vec<(u64, Vec<u8>)>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// An item that makes no sense.
    damaged: bool,
}

impl Record {
    /// Takes one item in. Kinds that tell nothing about files are passed over.
    pub(crate) fn add(&mut self, kind: u8, offset: u64, data: &[u8]) {
        let done = match kind {
            INODE => inode(data).map(|found| self.inode = Some(found)),
            REF => names(data, Some(offset), &mut self.names),
            EXTREF => names(data, None, &mut self.names),
            XATTR => entries(data, |entry| {
                self.attributes
                    .insert(entry.name.to_vec(), entry.data.to_vec());
            }),
            DIR_INDEX => entries(data, |entry| {
                let child = match entry.location {
                    (number, ROOT_ITEM) => Child::Subvolume(number),
                    (number, _) => Child::Inode(number),
                };
                self.entries.insert(entry.name.to_vec(), child);
            }),
            EXTENT_DATA => extent(offset, data).map(|found| self.extents.push(found)),
            _ => Some(()),
        };
        self.damaged |= done.is_none();
    }

    /// Puts together what came in; `None`: an item was damaged.
    pub(crate) fn finish(mut self) -> Option<Self> {
        if let Some(inode) = &mut self.inode {
            inode.names = std::mem::take(&mut self.names);
            inode.attributes = std::mem::take(&mut self.attributes);
        }
        (!self.damaged).then_some(self)
    }
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

fn short(data: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?).into())
}

/// Transaction of an inode's last change, from the start of its item.
pub(super) fn transid(data: &[u8]) -> Option<u64> {
    long(data, 8)
}

/// `struct btrfs_inode_item`
fn inode(data: &[u8]) -> Option<Inode> {
    Some(Inode {
        generation: long(data, 0)?,
        transid: transid(data)?,
        size: long(data, 16)?,
        uid: word(data, 44)?,
        gid: word(data, 48)?,
        mode: word(data, 52)?,
        rdev: long(data, 56)?,
        flags: long(data, 64)?,
        modified: (
            i64::from_le_bytes(data.get(136..144)?.try_into().ok()?),
            word(data, 144)?,
        ),
        names: Vec::new(),
        attributes: BTreeMap::new(),
    })
}

/// `struct btrfs_inode_ref` {index: u64, length: u16}, name; `struct btrfs_inode_extref` has the folder in front. One
/// item may hold several.
fn names(mut data: &[u8], dir: Option<u64>, all: &mut Vec<(u64, Vec<u8>)>) -> Option<()> {
    while !data.is_empty() {
        let (dir, fixed) = match dir {
            Some(dir) => (dir, 8),
            None => (long(data, 0)?, 16),
        };
        let (name, rest) = data
            .get(fixed + 2..)?
            .split_at_checked(short(data, fixed)?)?;
        all.push((dir, name.to_vec()));
        data = rest;
    }
    Some(())
}

struct Entry<'a> {
    /// Number and kind of the key it leads to.
    location: (u64, u8),
    name: &'a [u8],
    data: &'a [u8],
}

/// `struct btrfs_dir_item` {key: 17 bytes, transid: u64, data_len: u16, name_len: u16, type: u8}, name, data. One item may
/// hold several: names of one hash.
fn entries(mut data: &[u8], mut each: impl FnMut(Entry<'_>)) -> Option<()> {
    while !data.is_empty() {
        let location = (long(data, 0)?, *data.get(8)?);
        let (name, rest) = data.get(30..)?.split_at_checked(short(data, 27)?)?;
        let (value, rest) = rest.split_at_checked(short(data, 25)?)?;
        each(Entry {
            location,
            name,
            data: value,
        });
        data = rest;
    }
    Some(())
}

/// `struct btrfs_file_extent_item`
fn extent(start: u64, data: &[u8]) -> Option<Extent> {
    const INLINE: u8 = 0;
    const REGULAR: u8 = 1;
    if *data.get(20)? == INLINE {
        return Some(Extent {
            start,
            length: long(data, 8)?,
            source: Source::Inline {
                compression: *data.get(16)?,
                data: data.get(21..)?.to_vec(),
            },
        });
    }
    let (address, from, length) = (long(data, 21)?, long(data, 37)?, long(data, 45)?);
    let written = *data.get(20)? == REGULAR && address != 0;
    let source = if written {
        Source::Disk { address, from }
    } else {
        Source::Zeros
    };
    Some(Extent {
        start,
        length,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_item(number: u64, kind: u8, name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut item = number.to_le_bytes().to_vec();
        item.push(kind);
        item.extend([0; 16]);
        item.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        item.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        item.push(1);
        item.extend(name);
        item.extend(data);
        item
    }

    #[test]
    fn items_become_an_inode_with_names_attributes_and_entries() {
        let mut item = vec![0; 160];
        item[0..8].copy_from_slice(&7u64.to_le_bytes());
        item[8..16].copy_from_slice(&9u64.to_le_bytes());
        item[52..56].copy_from_slice(&0o040_755u32.to_le_bytes());
        item[136..144].copy_from_slice(&(-5i64).to_le_bytes());
        let mut record = Record::default();
        record.add(INODE, 0, &item);
        let name =
            |name: &[u8]| [&[0; 8][..], &[u8::try_from(name.len()).unwrap(), 0], name].concat();
        record.add(REF, 256, &[name(b"a"), name(b"bc")].concat());
        record.add(
            EXTREF,
            0,
            &[&300u64.to_le_bytes()[..], &name(b"d")].concat(),
        );
        let both = [
            dir_item(0, 0, b"user.x", b"1"),
            dir_item(0, 0, b"user.y", b""),
        ];
        record.add(XATTR, 0, &both.concat());
        record.add(DIR_INDEX, 2, &dir_item(257, INODE, b"file", b""));
        record.add(DIR_INDEX, 3, &dir_item(270, ROOT_ITEM, b"sub", b""));
        record.add(200, 0, b"what a later kernel brings");
        let record = record.finish().unwrap();
        let inode = record.inode.unwrap();
        assert_eq!(
            (inode.generation, inode.transid, inode.modified.0),
            (7, 9, -5)
        );
        assert_eq!((inode.kind(), inode.permissions()), (Kind::Dir, 0o755));
        let named = |dir, name: &[u8]| (dir, name.to_vec());
        assert_eq!(
            inode.names,
            [named(256, b"a"), named(256, b"bc"), named(300, b"d")]
        );
        assert_eq!(inode.attributes[&b"user.x"[..]], b"1");
        assert_eq!(inode.attributes.len(), 2);
        assert_eq!(record.entries[&b"file"[..]], Child::Inode(257));
        assert_eq!(record.entries[&b"sub"[..]], Child::Subvolume(270));
    }

    #[test]
    fn extents_tell_where_the_bytes_come_from() {
        let regular = |kind: u8, address: u64| {
            let mut item = vec![0; 53];
            item[20] = kind;
            item[21..29].copy_from_slice(&address.to_le_bytes());
            item[37..45].copy_from_slice(&4096u64.to_le_bytes());
            item[45..53].copy_from_slice(&8192u64.to_le_bytes());
            item
        };
        let source = |item: &[u8]| extent(0, item).unwrap().source;
        let disk = Source::Disk {
            address: 1 << 20,
            from: 4096,
        };
        assert_eq!(source(&regular(1, 1 << 20)), disk);
        assert_eq!(source(&regular(1, 0)), Source::Zeros, "a hole");
        assert_eq!(source(&regular(2, 1 << 20)), Source::Zeros, "only room");
        let inline = [&[0; 21][..], b"abc"].concat();
        let data = b"abc".to_vec();
        let compression = 0;
        assert_eq!(source(&inline), Source::Inline { compression, data });
    }

    #[test]
    fn cut_items_are_damage() {
        let whole = [
            (INODE, vec![0; 148]),
            (REF, [&[0; 8][..], &[3, 0], b"abc"].concat()),
            (EXTREF, [&[0; 16][..], &[3, 0], b"abc"].concat()),
            (XATTR, dir_item(0, 0, b"user.x", b"1")),
            (DIR_INDEX, dir_item(257, 1, b"file", b"")),
            (EXTENT_DATA, vec![1; 53]),
        ];
        for (kind, item) in whole {
            let finish = |bytes: &[u8]| {
                let mut record = Record::default();
                record.add(kind, 0, bytes);
                record.finish()
            };
            assert!(finish(&item).is_some(), "{kind}");
            for length in 1..item.len() {
                assert!(finish(&item[..length]).is_none(), "{kind} cut at {length}");
            }
        }
    }
}

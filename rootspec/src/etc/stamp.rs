//! What is known of a file at a glance, and what two of them say about each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A tree: what lies at each path below its root. The root itself is the empty path. Parents come before children.
pub type Listing = BTreeMap<PathBuf, Stamp>;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file.
    File {
        /// In bytes.
        size: u64,
        /// Time of its last change: seconds since 1970 and nanoseconds.
        modified: (i64, u32),
    },
    /// A folder.
    Dir,
    /// A link, with what it points at.
    Link(Vec<u8>),
    /// A socket.
    Socket,
    /// A device node or fifo: its type bits and its device number.
    Node(u32, u64),
}

/// What is known of an entry without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number, and time of the last change of anything about it: equal in two snapshots of one btrfs subvolume
    /// means that nothing about it was changed.
    pub identity: (u64, i64, u32),
}

/// What a closer look has to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closer {
    /// The extended attributes.
    Attributes,
    /// Those and the content of two files.
    Content,
}

/// What two stamps say about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    /// They are of the same thing.
    Yes,
    /// Something differs.
    No,
    /// Only a closer look can tell.
    Perhaps(Closer),
}

impl Stamp {
    /// True for a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// True for an ordinary file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File { .. })
    }

    /// Compares them.
    #[must_use]
    pub fn alike(&self, other: &Self) -> Alike {
        if (self.mode, self.uid, self.gid) != (other.mode, other.uid, other.gid) {
            return Alike::No;
        }
        // Two snapshots of one subvolume: untouched since. This spares a closer look at nearly everything.
        if self.identity == other.identity && self.kind == other.kind {
            return Alike::Yes;
        }
        match (&self.kind, &other.kind) {
            (
                Kind::File { size, modified },
                Kind::File {
                    size: other_size,
                    modified: other_modified,
                },
            ) if size == other_size => Alike::Perhaps(if modified == other_modified {
                Closer::Attributes
            } else {
                Closer::Content
            }),
            (one, other) if one == other => Alike::Perhaps(Closer::Attributes),
            _ => Alike::No,
        }
    }
}

//! A change as the walk finds it: a path, what it was, what it is, what differs.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::item::{Child, Inode, Kind};

/// What may differ in an entry that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    Type,
    Content,
    Target,
    Device,
    Subvolume,
    Mode,
    Owner,
    Attributes,
    Flags,
    Time,
}

impl Difference {
    /// Its name in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Target => "target",
            Self::Device => "device",
            Self::Subvolume => "subvolume",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Attributes => "xattr",
            Self::Flags => "flags",
            Self::Time => "time",
        }
    }

    /// False for what belongs to the entry, not to what it holds.
    pub(crate) fn is_content(self) -> bool {
        match self {
            Self::Type | Self::Content | Self::Target | Self::Device | Self::Subvolume => true,
            Self::Mode | Self::Owner | Self::Attributes | Self::Flags | Self::Time => false,
        }
    }
}

/// An entry as one side has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(super) child: Child,
    /// Absent for a subvolume.
    pub(crate) inode: Option<Rc<Inode>>,
}

impl Node {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.inode
            .as_ref()
            .map_or(Kind::Subvolume, |inode| inode.kind())
    }

    /// Its number, if it is a folder.
    pub(super) fn dir(&self) -> Option<u64> {
        match self.child {
            Child::Inode(number) if self.kind() == Kind::Dir => Some(number),
            Child::Inode(_) | Child::Subvolume(_) => None,
        }
    }

    /// True unless it is a folder that not everybody may list and enter.
    pub(super) fn is_public(&self) -> bool {
        self.dir().is_none()
            || self
                .inode
                .as_ref()
                .is_none_or(|inode| inode.mode & 0o5 == 0o5)
    }
}

/// One path that is not the same in both. On one side only: removed or added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// From the root, without the slash in front; of the new side unless removed.
    pub(crate) path: Vec<u8>,
    /// Where the same inode was before.
    pub(crate) from: Option<Vec<u8>>,
    /// As the old side has it.
    pub(crate) old: Option<Node>,
    /// As the new side has it.
    pub(crate) new: Option<Node>,
    /// What differs where both sides have it.
    pub(crate) differs: BTreeSet<Difference>,
}

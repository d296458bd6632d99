//! What a tree holds, as the merge needs to know it, and the closer look where that is not enough.

use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::Result;
use rootspec::etc::stamp::{Closer, Kind, Listing, Stamp};
use sys::tree::{self, Look};

/// Larger files are not configuration: they count as different when their times differ. Bytes.
const LARGEST: u64 = 8 << 20;

/// Lists a tree.
///
/// # Errors
/// A part of it cannot be read.
pub fn read(root: &OwnedFd) -> Result<Listing> {
    let all = tree::list(root)?;
    let stamped = all.into_iter().map(|(path, look)| (path, stamp(look)));
    Ok(stamped.collect())
}

fn stamp(look: Look) -> Stamp {
    Stamp {
        kind: match look.kind {
            tree::Kind::File { size, modified } => Kind::File { size, modified },
            tree::Kind::Dir => Kind::Dir,
            tree::Kind::Link(target) => Kind::Link(target),
            tree::Kind::Socket => Kind::Socket,
            tree::Kind::Node(kind, device) => Kind::Node(kind, device),
        },
        mode: look.mode,
        uid: look.uid,
        gid: look.gid,
        identity: look.identity,
    }
}

/// Takes the closer look at `path` in two trees. What cannot be read counts as different: then nothing of it is lost.
#[must_use]
pub fn same(one: &OwnedFd, other: &OwnedFd, path: &Path, closer: Closer) -> bool {
    let content = match closer {
        Closer::Attributes => None,
        Closer::Content => Some(LARGEST),
    };
    tree::same(one, other, path, content)
}

//! The changes as they are answered: sorted into parts, counted, filtered, as text. Pure.

use rootspec::meta::Kernel;
use rootspec::path_text::escape;
use rootspec::protocol::store::{
    BootChange, BootState, DiffChange, DiffCount, DiffFile, Differences,
};

use super::change::{Change, Difference, Node};
use super::item::Kind;

/// Most changes that are listed; the counts are of all.
pub(super) const MOST_LISTED: usize = 100_000;

/// The parts of a root that are shown apart.
const PARTS: [&str; 3] = ["etc", "boot", "files"];

/// What the asker wants to see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// Also what differs in its time only.
    pub(super) times: bool,
    /// Not what differs in owner, mode, attributes or time only.
    pub(super) content_only: bool,
    /// Counts alone.
    pub(super) counts_only: bool,
}

impl Wish {
    fn wants(self, change: &Change) -> bool {
        if change.old.is_none() || change.new.is_none() || change.from.is_some() {
            return true;
        }
        if self.content_only {
            return change.differs.iter().any(|what| what.is_content());
        }
        self.times || change.differs.iter().any(|what| *what != Difference::Time)
    }
}

/// Fills counts and changes into the answer.
pub(super) fn fill(answer: &mut Differences, changes: &[Change], wish: Wish) {
    let mut counts = no_counts();
    for change in changes.iter().filter(|change| wish.wants(change)) {
        let part = part(&change.path);
        if let Some(count) = counts.iter_mut().find(|count| count.part == part) {
            add(count, change);
        }
        if wish.counts_only {
            continue;
        }
        if answer.changes.len() < MOST_LISTED {
            answer.changes.push(shown(change, part, wish));
        } else {
            answer.unlisted += 1;
        }
    }
    answer.counts = counts.to_vec();
}

/// How many changes of what kind there are in each part.
pub(super) fn counts(changes: &[Change]) -> Vec<DiffCount> {
    let mut counts = no_counts();
    let wish = Wish::default();
    for change in changes.iter().filter(|change| wish.wants(change)) {
        let part = part(&change.path);
        if let Some(count) = counts.iter_mut().find(|count| count.part == part) {
            add(count, change);
        }
    }
    counts.to_vec()
}

fn no_counts() -> [DiffCount; 3] {
    PARTS.map(|part| DiffCount {
        part: part.to_owned(),
        ..DiffCount::default()
    })
}

/// `etc`, `boot`, or `files` for all the others.
fn part(path: &[u8]) -> &'static str {
    let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
    match first {
        b"etc" => "etc",
        b"boot" => "boot",
        _ => "files",
    }
}

/// What happened, in one word.
fn word(change: &Change) -> &'static str {
    match (&change.old, &change.new, &change.from) {
        (None, _, _) => "added",
        (_, None, _) => "removed",
        (_, _, Some(_)) => "renamed",
        (_, _, None) => "modified",
    }
}

fn add(count: &mut DiffCount, change: &Change) {
    let number = match word(change) {
        "added" => &mut count.added,
        "removed" => &mut count.removed,
        "renamed" => &mut count.renamed,
        _ => &mut count.modified,
    };
    *number += 1;
    let both = change.old.is_some() && change.new.is_some();
    if both && !change.differs.iter().any(|what| what.is_content()) {
        return;
    }
    let bytes = |node: &Option<Node>| {
        let inode = node.as_ref().and_then(|node| node.inode.as_ref());
        inode
            .filter(|inode| inode.kind() == Kind::File)
            .map_or(0, |inode| inode.size)
    };
    count.bytes_before = count.bytes_before.saturating_add(bytes(&change.old));
    count.bytes_after = count.bytes_after.saturating_add(bytes(&change.new));
}

fn shown(change: &Change, part: &str, wish: Wish) -> DiffChange {
    let differs = change.differs.iter();
    let differs = differs.filter(|what| wish.times || **what != Difference::Time);
    DiffChange {
        path: absolute(&change.path),
        part: part.to_owned(),
        change: word(change).to_owned(),
        from: change.from.as_deref().map(absolute),
        differs: differs.map(|what| what.name().to_owned()).collect(),
        before: change.old.as_ref().map(file),
        after: change.new.as_ref().map(file),
    }
}

fn absolute(path: &[u8]) -> String {
    format!("/{}", escape(path))
}

fn file(node: &Node) -> DiffFile {
    let inode = node.inode.as_deref().cloned().unwrap_or_default();
    DiffFile {
        kind: node.kind().name().to_owned(),
        mode: inode.permissions(),
        uid: inode.uid,
        gid: inode.gid,
        size: match node.kind() {
            Kind::File | Kind::Link => inode.size,
            _ => 0,
        },
    }
}

/// What differs in kernel and initramfs, which lie beside the root.
pub(super) fn boot(old: Option<&Kernel>, new: Option<&Kernel>) -> Vec<BootChange> {
    let file = |kernel: Option<&Kernel>, what: &str| {
        kernel.map(|kernel| {
            let file = if what == "kernel" {
                &kernel.vmlinuz
            } else {
                &kernel.initrd
            };
            BootState {
                release: kernel.release.clone(),
                size: file.size,
                blake2b: file.blake2b.clone(),
            }
        })
    };
    let all = ["kernel", "initramfs"].map(|what| BootChange {
        what: what.to_owned(),
        before: file(old, what),
        after: file(new, what),
    });
    let differs = |change: &BootChange| change.before != change.after;
    all.into_iter().filter(differs).collect()
}

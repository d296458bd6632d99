//! What differs between two trees: pure, over whatever answers [`Tree`].
//!
//! The walk goes down both trees at once, by name, and only where something was touched: first every touched inode marks
//! the way from the root to its names, then the marked ways are walked. A folder that both trees have and nobody touched
//! holds the same names in both, so nothing else of it is looked at. What is there on one side only is walked whole.
//! At the end what left one path and came to another is put together: it was renamed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use anyhow::{Result, bail};

use super::change::{Change, Difference, Node};
use super::content::{Verdict, judge};
use super::item::{Child, Entries, Extent, Inode, Kind};

/// Number of the root folder of every subvolume: `BTRFS_FIRST_FREE_OBJECTID`.
pub(super) const ROOT: u64 = 256;
/// Longest path that is followed, in bytes: four times what the kernel takes in one call.
const LONGEST_PATH: usize = 16 * 1024;
/// Most changes that are kept.
const MOST: usize = 2_000_000;

/// One of the two snapshots.
pub(super) trait Tree {
    /// An inode; `None`: there is none of this number.
    fn inode(&mut self, number: u64) -> Result<Option<Rc<Inode>>>;
    /// What a folder holds.
    fn entries(&mut self, number: u64) -> Result<Rc<Entries>>;
    /// Where the bytes of a file are; the target of a link.
    fn extents(&mut self, number: u64) -> Result<Rc<Vec<Extent>>>;
    /// Fills the buffer from this byte of the file on.
    fn read(&mut self, path: &[u8], at: u64, buffer: &mut [u8]) -> Result<()>;
}

/// How the two are related, and what is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Numbers of all inodes that were touched in either tree since they parted. `None`: nobody knows; everything is compared.
    pub(super) touched: Option<HashSet<u64>>,
    /// Transaction in which they parted, or an earlier one. `None`: they are no relatives; equal numbers mean nothing.
    pub(super) parted: Option<u64>,
    /// Leave out what lies in folders that not everybody may list.
    pub(super) public_only: bool,
    /// Only what lies at or below these paths (without the slash in front); none: everything.
    pub(super) paths: Vec<Vec<u8>>,
}

impl Scope {
    /// At or below a wanted path.
    fn wants(&self, path: &[u8]) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|wanted| below(path, wanted))
    }

    /// Wanted, or on the way to something wanted.
    fn is_near(&self, path: &[u8]) -> bool {
        self.wants(path) || self.paths.iter().any(|wanted| below(wanted, path))
    }
}

/// What came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// By path, name by name.
    pub(super) changes: Vec<Change>,
    /// Something lies in folders that not everybody may list, and was left out.
    pub(super) hidden: bool,
    /// Bytes that had to be read.
    pub(super) bytes_read: u64,
}

/// Compares two trees. `tick` is told now and then how many paths were looked at.
pub(super) fn compare(
    old: &mut impl Tree,
    new: &mut impl Tree,
    scope: &Scope,
    tick: &mut dyn FnMut(u64),
) -> Result<Outcome> {
    let mut ways = Ways::default();
    if let Some(touched) = &scope.touched {
        ways.mark(old, touched)?;
        ways.mark(new, touched)?;
    }
    let mut walk = Walk {
        old,
        new,
        scope,
        ways,
        work: Vec::new(),
        outcome: Outcome::default(),
        looked: 0,
    };
    walk.whole(tick)?;
    walk.pair_renames()?;
    let mut outcome = walk.outcome;
    outcome.changes.retain(|change| {
        let from = change.from.as_ref();
        scope.wants(&change.path) || from.is_some_and(|from| scope.wants(from))
    });
    outcome.changes.sort_by(|a, b| by_path(&a.path, &b.path));
    Ok(outcome)
}

/// Name by name: what is in a folder follows the folder at once.
fn by_path(one: &[u8], other: &[u8]) -> Ordering {
    let names = |path| <[u8]>::split(path, |byte| *byte == b'/');
    names(one).cmp(names(other))
}

/// For each folder on the way to a touched inode: the names to follow.
#[derive(Debug, Default)]
struct Ways {
    follow: HashMap<u64, BTreeMap<Vec<u8>, Child>>,
}

impl Ways {
    /// Marks the ways of one tree, from the touched inodes up to the root.
    fn mark(&mut self, tree: &mut impl Tree, touched: &HashSet<u64>) -> Result<()> {
        let mut seen: HashSet<u64> = HashSet::from([ROOT]);
        let mut work: Vec<u64> = touched.iter().copied().collect();
        while let Some(number) = work.pop() {
            if !seen.insert(number) {
                continue;
            }
            // Touched in the other tree only, or deleted and still open: no way leads there.
            let Some(inode) = tree.inode(number)? else {
                continue;
            };
            for (dir, name) in &inode.names {
                self.follow
                    .entry(*dir)
                    .or_default()
                    .insert(name.clone(), Child::Inode(number));
                work.push(*dir);
            }
        }
        Ok(())
    }
}

/// One path to be looked at.
struct Pair {
    path: Vec<u8>,
    old: Option<Child>,
    new: Option<Child>,
}

struct Walk<'a, O, N> {
    old: &'a mut O,
    new: &'a mut N,
    scope: &'a Scope,
    ways: Ways,
    work: Vec<Pair>,
    outcome: Outcome,
    looked: u64,
}

impl<O: Tree, N: Tree> Walk<'_, O, N> {
    /// Walks down from the root.
    fn whole(&mut self, tick: &mut dyn FnMut(u64)) -> Result<()> {
        self.work.push(Pair {
            path: Vec::new(),
            old: Some(Child::Inode(ROOT)),
            new: Some(Child::Inode(ROOT)),
        });
        while let Some(pair) = self.work.pop() {
            self.looked += 1;
            if self.looked & 4095 == 0 {
                tick(self.looked);
            }
            self.look(pair)?;
        }
        Ok(())
    }

    /// True if the inode of this number is the same in both trees.
    fn untouched(&self, number: u64) -> bool {
        let touched = self.scope.touched.as_ref();
        touched.is_some_and(|touched| !touched.contains(&number))
    }

    fn look(&mut self, pair: Pair) -> Result<()> {
        // The way to something touched: only its folders matter, and their other names not at all.
        if let (Some(Child::Inode(number)), Some(Child::Inode(other))) = (pair.old, pair.new) {
            if number == other && self.untouched(number) {
                if self.scope.public_only && !self.is_public(&pair)? {
                    return Ok(());
                }
                let names = self.ways.follow.remove(&number).unwrap_or_default();
                for (name, child) in names {
                    self.push(&pair.path, &name, Some(child), Some(child))?;
                }
                return Ok(());
            }
        }
        let old = node(self.old, pair.old, &pair.path)?;
        let new = node(self.new, pair.new, &pair.path)?;
        let dirs = (
            old.as_ref().and_then(Node::dir),
            new.as_ref().and_then(Node::dir),
        );
        let path = pair.path;
        let public = [&old, &new].into_iter().flatten().all(Node::is_public);
        // What left or came may be half of a rename, whose other half is wanted.
        let half = self.scope.parted.is_some() && (old.is_none() || new.is_none());
        if half || self.scope.wants(&path) {
            self.note(&path, old, new)?;
        }
        if dirs == (None, None) {
            return Ok(());
        }
        if self.scope.public_only && !public {
            self.outcome.hidden = true;
            return Ok(());
        }
        self.children(&path, dirs)
    }

    /// What is below a folder that is touched, or not the same in both.
    fn children(&mut self, path: &[u8], dirs: (Option<u64>, Option<u64>)) -> Result<()> {
        let old = dirs.0.map(|dir| self.old.entries(dir)).transpose()?;
        let new = dirs.1.map(|dir| self.new.entries(dir)).transpose()?;
        let same_folder = dirs.0 == dirs.1 && self.scope.touched.is_some();
        let marked = if same_folder {
            dirs.0.and_then(|dir| self.ways.follow.remove(&dir))
        } else {
            None
        };
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        for (name, one, other) in side_by_side(&old, &new) {
            let marked = marked
                .as_ref()
                .is_some_and(|names| names.contains_key(name));
            if !same_folder || one != other || marked {
                self.push(path, name, one, other)?;
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        dir: &[u8],
        name: &[u8],
        old: Option<Child>,
        new: Option<Child>,
    ) -> Result<()> {
        let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
        path.extend(dir);
        if !dir.is_empty() {
            path.push(b'/');
        }
        path.extend(name);
        if path.len() > LONGEST_PATH {
            bail!(
                "a path has more than {LONGEST_PATH} bytes: {}…",
                rootspec::path_text::escape(path.get(..80).unwrap_or_default())
            );
        }
        // Without relatives there are no renames either, so what lies elsewhere need not even be walked.
        let anywhere = self.scope.parted.is_some() || self.scope.is_near(&path);
        if anywhere {
            self.work.push(Pair { path, old, new });
        }
        Ok(())
    }

    fn is_public(&mut self, pair: &Pair) -> Result<bool> {
        let found = node(self.new, pair.new, &pair.path)?;
        let public = found.as_ref().is_none_or(Node::is_public);
        self.outcome.hidden |= !public;
        Ok(public)
    }

    /// Keeps what is to be said of a path, if anything.
    fn note(&mut self, path: &[u8], old: Option<Node>, new: Option<Node>) -> Result<()> {
        let mut differs = BTreeSet::new();
        if let (Some(old), Some(new)) = (&old, &new) {
            differs = self.differences((old, path), (new, path))?;
            if differs.is_empty() {
                return Ok(());
            }
        }
        if self.outcome.changes.len() >= MOST {
            bail!("more than {MOST} paths differ: name one folder with --path");
        }
        self.outcome.changes.push(Change {
            path: path.to_vec(),
            from: None,
            old,
            new,
            differs,
        });
        Ok(())
    }

    /// What differs between an entry and what it was.
    fn differences(
        &mut self,
        (old, old_path): (&Node, &[u8]),
        (new, new_path): (&Node, &[u8]),
    ) -> Result<BTreeSet<Difference>> {
        let mut differs = BTreeSet::new();
        let (Some(one), Some(other)) = (&old.inode, &new.inode) else {
            if old.kind() != new.kind() {
                differs.insert(Difference::Type);
            } else if old.child != new.child {
                differs.insert(Difference::Subvolume);
            }
            return Ok(differs);
        };
        if one.kind() == other.kind() {
            differs.extend(self.content((old, old_path), (new, new_path))?);
        } else {
            differs.insert(Difference::Type);
        }
        let is_dir = other.kind() == Kind::Dir;
        let plain = [
            (Difference::Mode, one.permissions() != other.permissions()),
            (
                Difference::Owner,
                (one.uid, one.gid) != (other.uid, other.gid),
            ),
            (Difference::Attributes, one.attributes != other.attributes),
            (Difference::Flags, one.chattr() != other.chattr()),
            // A folder's time only tells that something in it changed, which is said of that.
            (Difference::Time, !is_dir && one.modified != other.modified),
        ];
        differs.extend(
            plain
                .into_iter()
                .filter(|(_, is)| *is)
                .map(|(what, _)| what),
        );
        Ok(differs)
    }

    /// How what two entries of one kind hold differs.
    fn content(
        &mut self,
        (old, old_path): (&Node, &[u8]),
        (new, new_path): (&Node, &[u8]),
    ) -> Result<Option<Difference>> {
        let (Child::Inode(one), Child::Inode(other)) = (old.child, new.child) else {
            return Ok(None);
        };
        let (Some(before), Some(after)) = (&old.inode, &new.inode) else {
            return Ok(None);
        };
        let what = match new.kind() {
            Kind::File => Difference::Content,
            Kind::Link => Difference::Target,
            Kind::Char | Kind::Block => {
                return Ok((before.rdev != after.rdev).then_some(Difference::Device));
            }
            Kind::Dir | Kind::Fifo | Kind::Socket | Kind::Subvolume | Kind::Unknown => {
                return Ok(None);
            }
        };
        if before.size != after.size {
            return Ok(Some(what));
        }
        if before.size == 0 || (one == other && self.untouched(one)) {
            return Ok(None);
        }
        let (one, other) = (self.old.extents(one)?, self.new.extents(other)?);
        let same = match judge(before.size, &one, &other) {
            Verdict::Same => true,
            Verdict::Other => false,
            Verdict::Read(stretches) => self.read((old_path, new_path), &stretches)?,
        };
        Ok((!same).then_some(what))
    }

    /// Reads stretches of two files; true if they are equal.
    fn read(&mut self, paths: (&[u8], &[u8]), stretches: &[Range<u64>]) -> Result<bool> {
        const PIECE: usize = 256 * 1024;
        let (mut one, mut other) = (vec![0; PIECE], vec![0; PIECE]);
        for stretch in stretches {
            let mut at = stretch.start;
            while at < stretch.end {
                let length =
                    usize::try_from(stretch.end - at).map_or(PIECE, |rest| rest.min(PIECE));
                let (one, other) = (one.get_mut(..length), other.get_mut(..length));
                let (Some(one), Some(other)) = (one, other) else {
                    bail!("a buffer is too small");
                };
                self.old.read(paths.0, at, one)?;
                self.new.read(paths.1, at, other)?;
                self.outcome.bytes_read += length as u64;
                if one != other {
                    return Ok(false);
                }
                at += length as u64;
            }
        }
        Ok(true)
    }

    /// Puts together what left one path and came to another.
    fn pair_renames(&mut self) -> Result<()> {
        let Some(parted) = self.scope.parted else {
            return Ok(());
        };
        // Only what was there before they parted can be the same on both sides.
        let identity = |node: &Node| match (node.child, &node.inode) {
            (Child::Inode(number), Some(inode)) if inode.generation <= parted => {
                Some((number, inode.generation))
            }
            _ => None,
        };
        let mut all = std::mem::take(&mut self.outcome.changes);
        all.sort_by(|a, b| by_path(&a.path, &b.path));
        let mut gone: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        for (at, change) in all.iter().enumerate().rev() {
            if let (Some(old), None) = (&change.old, &change.new) {
                gone.extend_one_more(identity(old), at);
            }
        }
        let mut taken = HashSet::new();
        for at in 0..all.len() {
            let Some(change) = all.get(at) else { break };
            let (None, Some(new)) = (&change.old, &change.new) else {
                continue;
            };
            let from = identity(new).and_then(|id| gone.get_mut(&id)?.pop());
            let Some(source) = from.and_then(|from| Some((from, all.get(from)?.clone()))) else {
                continue;
            };
            let (from, left) = source;
            let Some(old) = left.old else { continue };
            let (new, path) = (new.clone(), change.path.clone());
            let differs = self.differences((&old, &left.path), (&new, &path))?;
            taken.insert(from);
            if let Some(change) = all.get_mut(at) {
                change.old = Some(old);
                change.from = Some(left.path);
                change.differs = differs;
            }
        }
        let kept = all.into_iter().enumerate();
        let kept = kept.filter(|(at, _)| !taken.contains(at));
        self.outcome.changes = kept.map(|(_, change)| change).collect();
        Ok(())
    }
}

/// The names of two folders in order, each with what it leads to in either.
fn side_by_side<'a>(
    old: &'a Entries,
    new: &'a Entries,
) -> impl Iterator<Item = (&'a Vec<u8>, Option<Child>, Option<Child>)> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        Some(match order {
            Ordering::Less => old.next().map(|(name, child)| (name, Some(*child), None))?,
            Ordering::Greater => new.next().map(|(name, child)| (name, None, Some(*child)))?,
            Ordering::Equal => {
                let ((name, one), (_, other)) = (old.next()?, new.next()?);
                (name, Some(*one), Some(*other))
            }
        })
    })
}

/// A list per key; nothing for no key.
trait ExtendOneMore<K> {
    fn extend_one_more(&mut self, key: Option<K>, value: usize);
}

impl<K: Eq + std::hash::Hash> ExtendOneMore<K> for HashMap<K, Vec<usize>> {
    fn extend_one_more(&mut self, key: Option<K>, value: usize) {
        if let Some(key) = key {
            self.entry(key).or_default().push(value);
        }
    }
}

/// True if `path` is `dir` or lies below it.
pub(super) fn below(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty()
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// An entry with its inode.
fn node(tree: &mut impl Tree, child: Option<Child>, path: &[u8]) -> Result<Option<Node>> {
    let Some(child) = child else { return Ok(None) };
    let inode = match child {
        Child::Subvolume(_) => None,
        Child::Inode(number) => match tree.inode(number)? {
            Some(inode) => Some(inode),
            None => bail!(
                "/{} leads to the inode {number}, which is absent: the file system is damaged, see `btrfs check`",
                rootspec::path_text::escape(path)
            ),
        },
    };
    Ok(Some(Node { child, inode }))
}

#[cfg(test)]
mod tests;

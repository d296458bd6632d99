//! `rootctl diff`: what differs between two snapshots.
//!
//! | open | for |
//! |---|---|
//! | `since` | when the two parted (pure) |
//! | `tree` | a snapshot's items, searched in the kernel |
//! | `item` | what the items mean (pure) |
//! | `compare` | the walk down both trees (pure) |
//! | `change` | what the walk finds |
//! | `content` | whether two files hold the same, as far as extents tell (pure) |
//! | `packages` | what the package databases say |
//! | `answer` | sorted, counted, filtered, as text (pure) |

mod answer;
mod change;
mod compare;
mod content;
mod item;
mod packages;
mod since;
mod tree;

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::path_text::unescape;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Diff, DiffCount, Differences, PackageChange};
use sys::btrfs::Access;

use crate::guard::Guard;
use crate::progress::Progress;
use crate::session::Session;
use crate::store::list::living_parent;
use crate::store::{Store, subvol};
use answer::Wish;
use change::Change;
use compare::Scope;
use since::Member;
use tree::Snapshot;

/// Most paths a request may name.
const MOST_PATHS: usize = 256;
/// How often long work says how far it is.
const TICK: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// May change the store, and so see everything.
    Trusted,
    /// Sees what lies in folders that everybody may list.
    Anybody,
}

/// Compares two snapshots.
pub(crate) fn diff(
    session: &Session,
    ask: &Diff,
    reader: Reader,
    progress: &mut Progress<'_>,
) -> Result<Differences> {
    let to = session.resolve(&ask.to)?;
    let from = match &ask.from {
        Some(target) => session.resolve(target)?,
        None => parent(session, to)?,
    };
    let paths = paths(ask.paths.as_deref().unwrap_or_default())?;
    let (old, new) = (session.whole(from)?, session.whole(to)?);
    let members = [old, new].map(|meta| must_be_tree(&session.store, meta));
    let [one, other] = members;
    let (one, other) = (one?, other?);
    let parted = since::parted(&one, &other, &relatives(session));

    let open = |id: SnapshotId| {
        let root = session.store.snapshot(id).join(names::ROOT);
        Snapshot::open(&root, format!("snapshot {id}"))
    };
    let (mut before, mut after) = (open(from)?, open(to)?);
    let mut scope = Scope {
        touched: None,
        parted: parted.ok(),
        public_only: reader == Reader::Anybody,
        paths,
    };
    if let Ok(since) = parted {
        let mut touched = HashSet::new();
        before.touched(since, &mut touched)?;
        after.touched(since, &mut touched)?;
        before.fetch(&touched)?;
        after.fetch(&touched)?;
        scope.touched = Some(touched);
    }
    let remark = parted
        .err()
        .map(|why| format!("{why}: everything was compared, and nothing is shown as renamed"));
    if let Some(why) = parted.err() {
        progress.step(&format!("{why}: everything is compared"));
    }
    let mut last = Instant::now();
    let mut tick = |count: u64| {
        if last.elapsed() >= TICK {
            last = Instant::now();
            progress.step(&format!("{count} paths compared"));
        }
    };
    let outcome = compare::compare(&mut before, &mut after, &scope, &mut tick)?;

    let whole = scope.paths.is_empty();
    let mut differences = Differences {
        schema: Differences::SCHEMA,
        from,
        to,
        basis: if parted.is_ok() {
            "changes"
        } else {
            "everything"
        }
        .to_owned(),
        remark,
        packages: Vec::new(),
        boot: Vec::new(),
        counts: Vec::new(),
        changes: Vec::new(),
        unlisted: 0,
        hidden: outcome.hidden,
        bytes_read: outcome.bytes_read,
    };
    if whole {
        differences.packages = installed(&before, &after, &outcome.changes)?;
        differences.boot = answer::boot(old.kernel.as_ref(), new.kernel.as_ref());
    }
    let wish = Wish {
        times: ask.times == Some(true),
        content_only: ask.content_only == Some(true),
        counts_only: ask.counts_only == Some(true),
    };
    answer::fill(&mut differences, &outcome.changes, wish);
    Ok(differences)
}

/// How much differs between a subvolume and its writable copy `new`, both in the same store; cheap where little does.
pub(crate) fn counted(old: &Path, new: &Path) -> Result<Vec<DiffCount>> {
    // What was just written is in memory, and not in the tree that is searched.
    sys::btrfs::sync(sys::btrfs::open(new)?)?;
    let since = subvol::info(new)?.made_in;
    let mut before = Snapshot::open(old, "the snapshot".to_owned())?;
    let mut after = Snapshot::open(new, "its copy".to_owned())?;
    let mut touched = HashSet::new();
    before.touched(since, &mut touched)?;
    after.touched(since, &mut touched)?;
    before.fetch(&touched)?;
    after.fetch(&touched)?;
    let scope = Scope {
        touched: Some(touched),
        parted: Some(since),
        public_only: false,
        paths: Vec::new(),
    };
    let outcome = compare::compare(&mut before, &mut after, &scope, &mut |_| {})?;
    Ok(answer::counts(&outcome.changes))
}

/// What a snapshot is compared with when nothing was named.
fn parent(session: &Session, id: SnapshotId) -> Result<SnapshotId> {
    let found = living_parent(session.entry(id)?, |id| session.entry(id).is_ok());
    found.ok_or_else(|| {
        Guard::usage(format!("snapshot {id} has no parent to be compared with"))
            .next(format!("rootctl diff OTHER {id}"))
            .into()
    })
}

/// Paths somebody typed, without slashes around them.
fn paths(texts: &[String]) -> Result<Vec<Vec<u8>>> {
    if texts.len() > MOST_PATHS {
        return Guard::usage(format!("at most {MOST_PATHS} paths can be named")).err();
    }
    let path = |text: &String| {
        let bytes = unescape(text).ok_or_else(|| {
            Guard::usage(format!(
                "{text:?} is no path: a backslash is written \\\\, another byte \\xNN"
            ))
        })?;
        let path = Path::new(std::ffi::OsStr::from_bytes(&bytes));
        let mut names = Vec::new();
        for part in path.components() {
            use std::path::Component;
            match part {
                Component::Normal(name) => names.push(name.as_bytes()),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Guard::usage(format!("the path {text} has .. in it")).err();
                }
            }
        }
        Ok(names.join(&b'/'))
    };
    let paths: Vec<Vec<u8>> = texts.iter().map(path).collect::<Result<_>>()?;
    // The root of everything is no filter.
    let all = paths.iter().any(Vec::is_empty);
    Ok(if all { Vec::new() } else { paths })
}

/// The snapshot as a subvolume. What somebody wrote to it after it was published may still be in memory and is brought
/// into its tree first.
fn must_be_tree(store: &Store, meta: &Meta) -> Result<Member> {
    if meta.image.is_some() {
        return Guard::refused(format!(
            "snapshot {} is an image; only subvolumes can be compared",
            meta.id
        ))
        .next("rootctl snap list, and take one without the mark `image`")
        .err();
    }
    let path = store.snapshot(meta.id).join(names::ROOT);
    if subvol::info(&path)?.access == Access::ReadWrite || was_changed(store, meta)? {
        sys::btrfs::sync(sys::btrfs::open(&path)?)?;
    }
    member(store, meta).with_context(|| format!("cannot describe snapshot {}", meta.id))
}

/// True if something in the root was written after the snapshot was published, as far as it came to the disk.
pub(crate) fn was_changed(store: &Store, meta: &Meta) -> Result<bool> {
    let dir = store.snapshot(meta.id);
    let changed_in = subvol::info(&dir.join(names::ROOT))?.changed_in;
    Ok(changed_in > tree::file_made_in(&dir, names::META)?)
}

fn member(store: &Store, meta: &Meta) -> Result<Member> {
    let found = subvol::info(&store.snapshot(meta.id).join(names::ROOT))?;
    Ok(Member {
        id: meta.id,
        uuid: found.uuid,
        parent_uuid: found.parent_uuid,
        made_in: found.made_in,
        lineage: meta.content().to_vec(),
    })
}

/// All snapshots that are whole: one that is not tells nothing.
fn relatives(session: &Session) -> Vec<Member> {
    let whole = session
        .entries
        .iter()
        .filter(|entry| entry.damage.is_none());
    let metas = whole.filter_map(|entry| entry.meta.as_ref());
    metas
        .filter(|meta| meta.image.is_none())
        .filter_map(|meta| member(&session.store, meta).ok())
        .collect()
}

/// What differs in the package databases that were touched.
fn installed(old: &Snapshot, new: &Snapshot, changes: &[Change]) -> Result<Vec<PackageChange>> {
    let mut all = Vec::new();
    for database in &packages::ALL {
        let touched = changes.iter().any(|change| {
            let paths = [Some(&change.path), change.from.as_ref()];
            let mut paths = paths.into_iter().flatten();
            paths.any(|path| {
                let mut places = database.places.iter();
                places.any(|place| compare::below(path, place.as_bytes()))
            })
        });
        if touched {
            all.extend(database.compare(old.root(), new.root())?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_typed_and_bad_ones_are_refused() {
        let read = |text: &str| paths(&[text.to_owned()]);
        assert_eq!(read("/usr//bin/").unwrap(), [b"usr/bin".to_vec()]);
        assert_eq!(read("./etc").unwrap(), [b"etc".to_vec()]);
        assert_eq!(read("a\\xff\\\\").unwrap(), [b"a\xff\\".to_vec()]);
        assert!(read("/").unwrap().is_empty(), "the root is no filter");
        for bad in ["../etc", "/usr/../etc", "a\\n"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(paths(&vec!["/x".to_owned(); MOST_PATHS + 1]).is_err());
    }
}

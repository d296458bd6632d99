//! Which `/etc` is meant, and looking at it.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::etc::merge::{BESIDE, Side};
use rootspec::etc::stamp::{Closer, Kind, Listing, Stamp};
use rootspec::path_text::{escape, unescape};
use rootspec::paths::store as names;
use sys::tree::Look;

use crate::guard::Guard;
use crate::session::Session;

/// Larger files are not configuration: they count as different when their times differ. Bytes.
const LARGEST: u64 = 8 << 20;
/// Most paths a request may name.
const MOST_PATHS: usize = 256;

/// A tree: open, with all that lies in it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The folder.
    pub(crate) dir: OwnedFd,
    /// What it holds.
    pub(crate) listing: Listing,
}

impl Tree {
    /// Opens and lists the folder at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let dir = sys::fs::open_dir(path)?;
        let all = sys::tree::list(&dir)?;
        let listing = all.into_iter().map(|(path, look)| (path, stamp(look)));
        Ok(Self {
            dir,
            listing: listing.collect(),
        })
    }

    /// Whether two trees have the same at `path`, by the closer look.
    pub(crate) fn same(&self, other: &Self, path: &Path, closer: Closer) -> bool {
        let content = match closer {
            Closer::Attributes => None,
            Closer::Content => Some(LARGEST),
        };
        sys::tree::same(&self.dir, &other.dir, path, content)
    }
}

fn stamp(look: Look) -> Stamp {
    use sys::tree::Kind as Seen;
    Stamp {
        kind: match look.kind {
            Seen::File { size, modified } => Kind::File { size, modified },
            Seen::Dir => Kind::Dir,
            Seen::Link(target) => Kind::Link(target),
            Seen::Socket => Kind::Socket,
            Seen::Node(kind, device) => Kind::Node(kind, device),
        },
        mode: look.mode,
        uid: look.uid,
        gid: look.gid,
        identity: look.identity,
    }
}

/// The three trees of a merge.
#[derive(Debug)]
pub(crate) struct Three {
    /// What both began with; absent where nobody has it any more.
    pub(crate) base: Option<Tree>,
    /// What is changed.
    pub(crate) ours: Tree,
    /// What it is changed to.
    pub(crate) theirs: Tree,
}

impl Three {
    /// Takes the closer look.
    pub(crate) fn same(&self, one: Side, other: Side, path: &Path, closer: Closer) -> bool {
        let tree = |side| match side {
            Side::Base => self.base.as_ref(),
            Side::Ours => Some(&self.ours),
            Side::Theirs => Some(&self.theirs),
        };
        let pair = tree(one).zip(tree(other));
        pair.is_some_and(|(one, other)| one.same(other, path, closer))
    }
}

/// Whose live `/etc` is meant: by default the running one, else that of the good snapshot. It is there.
pub(super) fn whose(session: &Session, target: Option<&str>) -> Result<SnapshotId> {
    let id = session.resolve_or_own(target, "rootctl etc status TARGET")?;
    must_be_own(session, id)?;
    if session.store.etc(id).is_dir() {
        return Ok(id);
    }
    Guard::failed(format!(
        "snapshot {id} has no /etc of its own: it was never booted"
    ))
    .next(format!("rootctl etc conflicts {id}"))
    .err()
}

/// In other modes the running `/etc` is not the deployment's.
fn must_be_own(session: &Session, id: SnapshotId) -> Result<()> {
    let report = session.site.report.as_ref();
    let Some(report) = report.filter(|report| report.snapshot == Some(id)) else {
        return Ok(());
    };
    if matches!(report.mode.as_str(), "ro" | "rw") {
        return Ok(());
    }
    Guard::refused(format!(
        "the running system has the mode {}: its /etc is part of its writable root, not of deployment {id}",
        report.mode
    ))
    .next("rootctl status")
    .err()
}

/// Folder of what a snapshot ships as `/etc`.
pub(super) fn shipped(session: &Session, id: SnapshotId) -> PathBuf {
    session.store.snapshot(id).join(names::ROOT).join("etc")
}

/// What a snapshot ships as `/etc`.
pub(super) fn open_shipped(session: &Session, id: SnapshotId) -> Result<Tree> {
    Tree::open(&shipped(session, id))
        .with_context(|| format!("cannot read what snapshot {id} ships as /etc"))
}

/// The live `/etc` of a deployment.
pub(super) fn open_live(session: &Session, id: SnapshotId) -> Result<Tree> {
    Tree::open(&session.store.etc(id)).with_context(|| format!("cannot read /etc of snapshot {id}"))
}

/// Files that earlier merges put beside others.
pub(super) fn undecided(live: &Tree) -> Vec<String> {
    let is_beside = |path: &&PathBuf| path.as_os_str().as_bytes().ends_with(BESIDE.as_bytes());
    live.listing
        .keys()
        .filter(is_beside)
        .map(|path| shown(path))
        .collect()
}

/// A path below `/etc` as it is answered.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return "/etc".to_owned();
    }
    format!("/etc/{}", escape(path.as_os_str().as_bytes()))
}

/// Paths somebody typed, below `/etc`: the empty one is all of it.
pub(super) fn paths(texts: &[String]) -> Result<Vec<PathBuf>> {
    if texts.len() > MOST_PATHS {
        return Guard::usage(format!("at most {MOST_PATHS} paths can be named")).err();
    }
    texts.iter().map(|text| path(text)).collect()
}

fn path(text: &str) -> Result<PathBuf> {
    let bad = |why: &str| {
        let text: String = text.chars().take(200).collect();
        Guard::usage(format!("{text:?} {why}")).next("rootctl etc diff")
    };
    let bytes = unescape(text)
        .ok_or_else(|| bad("is no path: a backslash is written \\\\, another byte \\xNN"))?;
    let path = Path::new(std::ffi::OsStr::from_bytes(&bytes));
    if bytes.contains(&0) || !path.is_absolute() {
        return bad("is no absolute path").err();
    }
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return bad("has .. in it").err(),
        }
    }
    match plain.strip_prefix("etc") {
        Ok(below) => Ok(below.to_owned()),
        Err(_) => bad("is not in /etc").err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_in_etc_and_nothing_else() {
        for (text, below) in [
            ("/etc", ""),
            ("/etc/", ""),
            ("/etc/./ssh//config", "ssh/config"),
            ("/etc/a\\xffb", "a\u{fffd}b"),
        ] {
            assert_eq!(path(text).unwrap().to_string_lossy(), below, "{text}");
        }
        let long = format!("/usr/{}", "x".repeat(4096));
        for bad in [
            "",
            "etc/hosts",
            "/etc/../root",
            "/usr/x",
            "/",
            "/etc/\\x00",
            "a\\n",
            &long,
        ] {
            let error = path(bad).unwrap_err().to_string();
            assert!(error.len() < 300, "{error}");
        }
        assert!(paths(&vec!["/etc/x".to_owned(); MOST_PATHS + 1]).is_err());
    }
}

//! Single paths of a live `/etc`, put back to what the snapshot ships.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::etc::merge::Difference;
use rootspec::etc::stamp::Stamp;
use rootspec::protocol::etc::{EtcChanges, EtcRestore};
use sys::tree;

use super::apply::take;
use super::changes::{answer, between};
use super::trees::{self, Tree, open_live, open_shipped, shown, undecided, whose};
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::session::Session;

/// Puts them back; answers what was changed there until now.
pub(crate) fn restore(
    session: &mut Session,
    ask: &EtcRestore,
    progress: &mut Progress<'_>,
) -> Result<EtcChanges> {
    let wanted = trees::paths(&ask.paths)?;
    if wanted.is_empty() {
        return Guard::usage("no path was named")
            .next("rootctl etc diff")
            .err();
    }
    let id = whose(session, ask.target.as_deref())?;
    let (shipped, live) = (open_shipped(session, id)?, open_live(session, id)?);
    for path in &wanted {
        let known = shipped.listing.contains_key(path) || live.listing.contains_key(path);
        if !known {
            return Guard::failed(format!(
                "{} is neither in /etc nor in what snapshot {id} ships",
                shown(path)
            ))
            .next("rootctl etc diff")
            .err();
        }
    }
    for path in &wanted {
        must_be_reachable(path, &shipped, &live)?;
    }
    let mut changes = between(&shipped, &live);
    changes.retain(|(path, _)| wanted.iter().any(|one| path.starts_with(one)));
    let done = EtcChanges {
        id,
        changes: changes.iter().cloned().map(answer).collect(),
        undecided: undecided(&live),
    };
    if ask.dry_run != Some(true) {
        let _lock = session.lock()?;
        put_back(&changes, &shipped, &live, progress)?;
        session.store.commit()?;
    }
    Ok(done)
}

/// Removes first, children before their folders; then everything else, folders before their children.
fn put_back(
    changes: &[(PathBuf, Difference)],
    shipped: &Tree,
    live: &Tree,
    progress: &mut Progress<'_>,
) -> Result<()> {
    for (path, difference) in changes.iter().rev() {
        let goes = match difference {
            Difference::Added => true,
            Difference::Removed => false,
            Difference::Modified => kind_differs(path, shipped, live),
        };
        if goes {
            progress.step(&format!("remove {}", shown(path)));
            tree::remove_if_empty(&live.dir, path).with_context(|| doing(path))?;
            point("R1")?;
        }
    }
    for (path, difference) in changes {
        let Some(stamp) = shipped.listing.get(path) else {
            continue;
        };
        if *difference == Difference::Added {
            continue;
        }
        progress.step(&format!("put {} back", shown(path)));
        let put = if stamp.is_dir() {
            tree::copy_dir(&shipped.dir, &live.dir, path).map_err(Into::into)
        } else {
            take(&shipped.dir, path, &live.dir, path)
        };
        put.with_context(|| doing(path))?;
        point("R2")?;
    }
    Ok(())
}

/// What lies below a link or a file that took a folder's place would be written elsewhere.
fn must_be_reachable(path: &Path, shipped: &Tree, live: &Tree) -> Result<()> {
    for above in path.ancestors().skip(1) {
        let is_dir = |tree: &Tree| tree.listing.get(above).is_some_and(Stamp::is_dir);
        if is_dir(shipped) && !is_dir(live) {
            return Guard::refused(format!(
                "{} is no folder any more, and {} lies in it",
                shown(above),
                shown(path)
            ))
            .next(format!("rootctl etc restore {}", shown(above)))
            .err();
        }
    }
    Ok(())
}

fn kind_differs(path: &Path, shipped: &Tree, live: &Tree) -> bool {
    let is_dir = |tree: &Tree| tree.listing.get(path).map(Stamp::is_dir);
    is_dir(shipped) != is_dir(live)
}

fn doing(path: &Path) -> String {
    format!("cannot put {} back", shown(path))
}

//! What was changed in a live `/etc`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rootspec::etc::merge::{self, Difference};
use rootspec::protocol::etc::{EtcChange, EtcChanges, EtcDiff};

use super::trees::{self, Tree, open_live, open_shipped, shown, undecided, whose};
use crate::session::Session;

/// Compares a live `/etc` with what its snapshot ships.
pub(crate) fn changes(session: &Session, ask: &EtcDiff) -> Result<EtcChanges> {
    let wanted = trees::paths(ask.paths.as_deref().unwrap_or_default())?;
    let id = whose(session, ask.target.as_deref())?;
    let (shipped, live) = (open_shipped(session, id)?, open_live(session, id)?);
    let is_wanted =
        |path: &Path| wanted.is_empty() || wanted.iter().any(|one| path.starts_with(one));
    let all = between(&shipped, &live).into_iter();
    Ok(EtcChanges {
        id,
        changes: all
            .filter(|(path, _)| is_wanted(path))
            .map(answer)
            .collect(),
        undecided: undecided(&live),
    })
}

/// What differs in `live`.
pub(super) fn between(shipped: &Tree, live: &Tree) -> Vec<(PathBuf, Difference)> {
    merge::changes(
        &shipped.listing,
        &live.listing,
        &mut |_, _, path, closer| shipped.same(live, path, closer),
    )
}

/// A change as it is answered.
pub(super) fn answer((path, difference): (PathBuf, Difference)) -> EtcChange {
    EtcChange {
        path: shown(&path),
        change: match difference {
            Difference::Added => "added",
            Difference::Removed => "removed",
            Difference::Modified => "modified",
        }
        .to_owned(),
    }
}

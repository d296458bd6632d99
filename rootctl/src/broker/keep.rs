//! `snap keep` and `snap unkeep`: snapshots that nothing deletes, and that the boot menu offers.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{Keep, Kept};
use rootspec::state::State;

use crate::deploy::plan;
use crate::esp;
use crate::guard::Guard;
use crate::progress::Progress;
use crate::reconcile::reconcile;
use crate::session::Session;

/// Most snapshots that can be kept: the record has an end.
const MOST: usize = 128;

/// Keeps snapshots, or keeps them no longer, or says what would be kept.
pub(crate) fn keep(session: &mut Session, ask: &Keep, progress: &mut Progress<'_>) -> Result<Kept> {
    let mut ids = Vec::new();
    for target in &ask.targets {
        let id = match session.resolve(target) {
            Ok(id) => id,
            // One that is lost can still be let go, by its number.
            Err(error) => match lost(session, target) {
                Some(id) if !ask.keep => id,
                _ => return Err(error),
            },
        };
        if ask.keep {
            session.whole(id)?;
            session.must_be_frozen(id, "be kept")?;
        }
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Guard::usage("no snapshot was named").err();
    }
    let state = session.record.need()?;
    let after = after(state, &ids, ask.keep);
    if after.pins.len() > MOST {
        return Guard::refused(format!(
            "{} snapshots would be kept, at most {MOST} can be",
            after.pins.len()
        ))
        .next("rootctl snap list, then rootctl snap unkeep what is not needed")
        .err();
    }
    let changed = after != *state;
    if ask.keep && changed {
        must_fit_the_menu(session, &after)?;
    }
    let all = after.pins.clone();
    if changed && ask.dry_run != Some(true) {
        session.write_state(after)?;
        // The menu offers what is kept.
        reconcile(session, progress)?;
    }
    Ok(Kept { ids, all })
}

/// A kept snapshot that is not there any more.
fn lost(session: &Session, target: &str) -> Option<SnapshotId> {
    let id = target.parse().ok()?;
    session.record.state()?.pins.contains(&id).then_some(id)
}

fn after(state: &State, ids: &[SnapshotId], keep: bool) -> State {
    let mut after = state.clone();
    after.pins.retain(|id| !ids.contains(id));
    if keep {
        after.pins.extend(ids);
        after.pins.sort_unstable();
    }
    after
}

/// A menu that cannot be written any more would block every deploy.
fn must_fit_the_menu(session: &Session, after: &State) -> Result<()> {
    if !session.site.has_esp() {
        return Ok(());
    }
    let settings = session.settings()?;
    let esp_dir = session.site.esp()?;
    let facts = esp::look(esp_dir.path(), settings)?;
    plan::plan(
        after,
        session.metas(),
        settings,
        &session.site.claim(),
        &facts,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_kept_once_and_in_order() {
        let id = |n| SnapshotId::new(n).unwrap();
        let state = State {
            pins: vec![id(2), id(7)],
            ..State::empty()
        };
        let pins = |ids: &[SnapshotId], keep| after(&state, ids, keep).pins;
        assert_eq!(pins(&[id(7), id(3)], true), [id(2), id(3), id(7)]);
        assert_eq!(pins(&[id(2), id(9)], false), [id(7)]);
        let state = State {
            pins: (1..=128).map(id).collect(),
            seq: u64::MAX,
            next_id: u32::MAX,
            menu: Some("a".repeat(128)),
            ..State::empty()
        };
        assert!(
            state.to_slot().is_ok(),
            "the most that can be kept fits the record"
        );
    }
}

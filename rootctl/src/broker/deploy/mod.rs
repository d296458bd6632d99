//! Arming the trial of a snapshot: everything is in place before the loader is told to try it, and the default never
//! moves.
//!
//! | open | for |
//! |---|---|
//! | `plan` | what must be on the ESP for a record, as a pure function |
//! | `apply` | the steps E1 to E7: copies, barriers, exchange of the menu |

pub(crate) mod apply;
pub(crate) mod plan;

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::cmdline::Mode;
use rootspec::meta::Meta;
use rootspec::protocol::store::{Deploy, Deployed};
use rootspec::state::State;
use rootspec::trial::Trial;

use crate::by_menu;
use crate::esp;
use crate::guard::Guard;
use crate::oneshot::{MOST_TRIES, OneShot};
use crate::progress::{Progress, point};
use crate::seal;
use crate::session::Session;
use crate::store::settings::{Settings, parse_mode};
use crate::tree::seed;
use crate::units;

/// Arms the trial, or says what would be done.
pub(crate) fn deploy(
    session: &mut Session,
    ask: &Deploy,
    progress: &mut Progress<'_>,
) -> Result<Deployed> {
    let id = session.resolve(&ask.target)?;
    let state = session.record.need()?.clone();
    may_be_tried(&state, id, session.booted())?;
    let problems = units::before_deploy(session, id, ask.unchecked == Some(true))?;
    let settings = settings_for(
        session.settings()?,
        session.whole(id)?,
        ask.mode.as_deref(),
        session.is_unfrozen(id),
    )?;
    let esp_dir = session.site.esp()?;
    let one_shot = OneShot::find(&settings, esp_dir.path(), &session.site)?;
    let tries = ask.tries.unwrap_or(one_shot.usual_tries());
    if !(1..=MOST_TRIES).contains(&tries) {
        return Guard::usage(format!("{tries} tries: use 1 to {MOST_TRIES}")).err();
    }
    let trial = Trial {
        disarm: one_shot.disarm(esp_dir.path())?,
        ..Trial::armed(id, tries)
    };
    if trial.disarm.is_some() {
        let running = session.booted().and_then(|id| session.whole(id).ok());
        by_menu::must_come_back(
            session.whole(id)?,
            running,
            ask.accept_no_return == Some(true),
        )?;
    }
    let after = State {
        trial: Some(trial),
        ..state
    };
    let facts = esp::look(esp_dir.path(), &settings)?;
    let plan = plan::plan(
        &after,
        session.metas(),
        &settings,
        &session.site.claim(),
        &facts,
    )?;
    let sealing = match settings.mode_of(id)? {
        Mode::Rw => None,
        Mode::Ro | Mode::Tmpfs { .. } | Mode::Persist(_) | Mode::Image => seal::step(session, id)?,
    };
    let mut steps = steps(&plan, &one_shot, id, tries);
    steps.splice(0..0, sealing.clone());
    if ask.dry_run == Some(true) {
        return Ok(Deployed {
            id,
            steps,
            problems,
        });
    }

    if sealing.is_some() {
        seal::seal(session, id, progress)?;
    }
    if let Some(why) = units::keep_plan(session, id)? {
        progress.step(&format!(
            "boots of snapshot {id} read all unit files, as no plan could be compiled: {why}"
        ));
    }
    progress.step(&format!(
        "E0 add to the shared /var what snapshot {id} brings"
    ));
    for path in seed::add_missing(&session.store, id)?.left_out {
        progress.step(&format!(
            "/var/{} is not brought: its folder is a subvolume or file system of its own",
            path.display()
        ));
    }
    point("E0")?;
    if settings != *session.settings()? {
        settings.save(&session.store, session.lock()?)?;
        session.settings = Ok(settings.clone());
    }
    apply::arrange(
        &session.store,
        &plan,
        (&session.site, esp_dir.path()),
        &settings,
        progress,
    )?;
    progress.step(&format!(
        "E8 record the trial of snapshot {id}: {tries} tries"
    ));
    session.write_state(plan.state.clone())?;
    point("E8")?;
    progress.step(&format!("E9 {}", one_shot.words(id, tries)));
    one_shot.arm(id, tries)?;
    point("E9")?;
    collect(session, &plan, esp_dir.path())?;
    Ok(Deployed {
        id,
        steps,
        problems,
    })
}

/// A trial must be able to fail: it needs something else to come back to.
fn may_be_tried(state: &State, id: SnapshotId, booted: Option<SnapshotId>) -> Result<()> {
    if state.good == Some(id) {
        return Guard::refused(format!(
            "snapshot {id} is the good one already and boots by default"
        ))
        .next("reboot")
        .err();
    }
    let running = state
        .trial
        .as_ref()
        .filter(|trial| trial.is_pending() && Some(trial.id) == booted);
    if let Some(trial) = running {
        return Guard::refused(format!(
            "the running snapshot {} is itself on trial; the next trial waits for its verdict",
            trial.id
        ))
        .next("rootctl boot-ok, or rootctl boot-ok --reject REASON")
        .err();
    }
    Ok(())
}

/// The settings with the mode this deployment gets.
fn settings_for(
    settings: &Settings,
    meta: &Meta,
    mode: Option<&str>,
    unfrozen: bool,
) -> Result<Settings> {
    let mut settings = settings.clone();
    let id = meta.id;
    // Its root is writable, and the boot stage starts such a one in no other mode.
    let mode = mode.or(unfrozen.then_some("rw"));
    if let Some(text) = mode {
        settings
            .modes
            .insert(id.to_string(), parse_mode(text)?.to_string());
    }
    let wanted = settings.mode_of(id)?;
    if unfrozen && wanted != Mode::Rw {
        return Guard::refused(format!(
            "snapshot {id} is unfrozen, which boots in mode rw only, not in mode {wanted}"
        ))
        .next(format!("rootctl snap freeze {id}, or leave --mode out"))
        .err();
    }
    match (wanted, meta.image) {
        (Mode::Image, None) => Guard::refused(format!(
            "snapshot {id} is no image and cannot be booted in mode image"
        ))
        .next("rootctl deploy --mode tmpfs")
        .err(),
        (Mode::Image, Some(_)) | (_, None) => Ok(settings),
        (mode, Some(_)) => Guard::refused(format!(
            "snapshot {id} is an image and cannot be booted in mode {mode}"
        ))
        .next("rootctl deploy --mode image")
        .err(),
    }
}

fn steps(plan: &plan::Plan, one_shot: &OneShot, id: SnapshotId, tries: u8) -> Vec<String> {
    let mut steps = vec![format!(
        "E0 add to the shared /var what snapshot {id} brings and it lacks"
    )];
    steps.extend(plan.steps());
    steps.push(format!(
        "E8 record the trial of snapshot {id}: {tries} tries"
    ));
    steps.push(format!("E9 {}", one_shot.words(id, tries)));
    steps
}

/// Removes what no menu names any more, after ours was installed; not while any snapshot is unreadable.
pub(crate) fn collect(
    session: &Session,
    plan: &plan::Plan,
    esp_dir: &std::path::Path,
) -> Result<()> {
    if session.all_metas_readable() {
        // Menus of other stores, and of other loaders, name files in the same folder.
        let Some(named) = esp::named::by_any_menu(esp_dir) else {
            return Ok(());
        };
        esp::copies::collect(&esp::own_dir(esp_dir), &plan.menu.files(), &named)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;
    use crate::store::settings::Loader;
    use rootspec::meta::Image;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    #[test]
    fn the_good_one_and_a_running_trial_stand_in_the_way() {
        let mut state = State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), 2)),
            ..State::empty()
        };
        assert!(may_be_tried(&state, id(1), Some(id(1))).is_err());
        assert!(may_be_tried(&state, id(3), Some(id(2))).is_err());
        assert!(
            may_be_tried(&state, id(3), Some(id(1))).is_ok(),
            "replaces an armed trial"
        );
        state = rootspec::trial::reject(&state, id(2), "no").unwrap();
        assert!(may_be_tried(&state, id(3), Some(id(2))).is_ok());
    }

    #[test]
    fn modes_must_fit_the_kind_of_snapshot() {
        let settings = Settings::new(Loader::Grub, "", &Mode::Ro);
        let mut snapshot = meta(2);
        let with = |m: &Meta, mode| settings_for(&settings, m, mode, false);
        assert_eq!(with(&snapshot, Some("tmpfs")).unwrap().modes["2"], "tmpfs");
        assert!(with(&snapshot, Some("image")).is_err());
        assert!(with(&snapshot, Some("nonsense")).is_err());
        let unfrozen = |mode| settings_for(&settings, &snapshot, mode, true);
        assert_eq!(unfrozen(None).unwrap().modes["2"], "rw");
        assert!(unfrozen(Some("rw")).is_ok() && unfrozen(Some("tmpfs")).is_err());
        snapshot.image = Some(Image::Erofs);
        assert!(with(&snapshot, None).is_err());
        assert!(with(&snapshot, Some("image")).is_ok());
    }
}

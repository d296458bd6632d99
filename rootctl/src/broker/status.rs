//! The answers of Status, List and Show. They must come out of any half-broken store: what cannot be read becomes a
//! warning with the next command.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::init::Problem;
use rootspec::protocol::store::{List, One, Snapshot, SnapshotList, Status, TrialStatus};
use rootspec::state::State;
use rootspec::trial::{Phase, Trial};

use crate::deploy::plan;
use crate::esp;
use crate::guard;
use crate::roles::Roles;
use crate::session::Session;
use crate::store::known::{self, Line};
use crate::store::list::{Entry, living_parent};
use crate::store::{edits, trash};

/// Does what the next change would do as well, and nothing else.
pub(crate) const FIX: &str = "rootctl doctor --fix";

/// The store as a whole.
pub(crate) fn status(session: &Session) -> Result<Status> {
    let roles = session.roles();
    let report = session.site.report.as_ref();
    let open = session.current().and_then(|s| s.trial.as_ref());
    Ok(Status {
        booted: roles.booted,
        mode: report.map(|report| report.mode.clone()),
        reason: report.map(|report| report.reason.clone()),
        next: roles.next,
        good: roles.good,
        previous: roles.previous,
        trial: open.map(trial),
        loader: session
            .settings
            .as_ref()
            .map_or("none", |settings| settings.loader.name())
            .to_owned(),
        snapshots: u32::try_from(session.entries.len()).unwrap_or(u32::MAX),
        sessions: edits::all(&session.store)
            .ok()
            .and_then(|all| u32::try_from(all.len()).ok())
            .filter(|count| *count > 0),
        warnings: warnings(session),
    })
}

/// Where a trial stands.
pub(crate) fn trial(trial: &Trial) -> TrialStatus {
    TrialStatus {
        id: trial.id,
        phase: phase(trial.phase).to_owned(),
        attempts: trial.attempts,
        tries_max: trial.tries_max,
        reason: trial.reason.clone(),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Armed => "armed",
        Phase::Trying => "trying",
        Phase::Failed => "failed",
    }
}

fn warnings(session: &Session) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(report) = &session.site.report {
        all.extend(report.warnings.iter().map(|w| format!("boot: {w}")));
        if report.degraded {
            all.push(format!(
                "this boot is not what was asked for: {}",
                report.reason
            ));
        }
    }
    match session.current() {
        None => all.push(format!(
            "the state record cannot be read ({}); what boots by default is not changed. Next: rootctl rollback N",
            session.record.damage().join("; ")
        )),
        Some(state) => {
            all.extend(session.record.damage().iter().map(|damage| {
                format!("the state record is damaged ({damage}); the other slot counts. Next: {FIX}")
            }));
            all.extend(state_warnings(state));
        }
    }
    for entry in &session.entries {
        if let Some(damage) = &entry.damage {
            all.push(format!(
                "snapshot {} is damaged: {damage}. Next: rootctl snap delete {}",
                entry.id, entry.id
            ));
        }
    }
    for entry in &session.entries {
        if let Some(remark) = &entry.remark {
            all.push(format!(
                "name and note of snapshot {0} cannot be read, those it was published with count: {remark}. \
                 Next: rootctl snap rename {0} NAME",
                entry.id
            ));
        }
    }
    if let Err(error) = &session.settings {
        all.push(with_next(guard::reply(error).1));
    }
    match compare(session) {
        Ok(odd) => all.extend(odd.into_iter().map(with_next)),
        Err(error) => all.push(with_next(guard::reply(&error).1)),
    }
    all
}

/// A problem as a warning: with the next command, where there is one.
fn with_next(problem: Problem) -> String {
    match problem.next {
        Some(next) => format!("{}. Next: {next}", problem.reason),
        None => problem.reason,
    }
}

fn state_warnings(state: &State) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(id) = state.confirming {
        all.push(format!(
            "snapshot {id} is becoming the default and that was interrupted; the next change finishes it. Next: {FIX}"
        ));
    }
    if let Some(trial) = state.trial.as_ref().filter(|t| t.phase == Phase::Failed) {
        let why = trial.reason.as_deref().unwrap_or("no reason was given");
        all.push(format!(
            "snapshot {} failed its trial: {why}. Next: repair it with `rootctl run {}`, or rootctl snap delete {}",
            trial.id, trial.id, trial.id
        ));
    }
    all
}

/// Looks whether the menu on the ESP is the one of the record; what is odd, with the next command.
pub(crate) fn compare(session: &Session) -> Result<Vec<Problem>> {
    let mut all = Vec::new();
    let mut odd = |reason: String, next: &str| {
        all.push(Problem {
            reason,
            next: Some(next.to_owned()),
        });
    };
    let (Some(state), Ok(settings)) = (session.current(), &session.settings) else {
        return Ok(all);
    };
    if !session.site.has_esp() {
        return Ok(all);
    }
    let esp_dir = session.site.esp()?;
    let mut facts = esp::look(esp_dir.path(), settings)?;
    for shadow in std::mem::take(&mut facts.shadows) {
        odd(
            format!(
                "the ESP holds a second Limine config, {shadow}, which some versions read instead of ours"
            ),
            "rename it",
        );
    }
    let plan = plan::plan(
        state,
        session.metas(),
        settings,
        &session.site.claim(),
        &facts,
    )?;
    match &facts.live {
        None => odd("there is no boot menu on the ESP".to_owned(), FIX),
        Some(live) if *live != plan.text => {
            odd("the boot menu does not fit the record".to_owned(), FIX);
        }
        Some(_) => {}
    }
    for copy in plan.copies.iter().filter(|copy| !copy.present) {
        let what = format!(
            "{} of snapshot {} is missing on the ESP",
            copy.part, copy.snapshot
        );
        odd(what, FIX);
    }
    Ok(all)
}

/// All snapshots, or all deleted ones. The session needs no entries: those that are known and have not changed are not read.
pub(crate) fn list(session: &Session, ask: &List) -> Result<SnapshotList> {
    let roles = session.roles();
    let snapshots = if ask.deleted == Some(true) {
        let deleted = trash::all(&session.store)?;
        deleted
            .iter()
            .map(|one| describe_deleted(session, one))
            .collect()
    } else {
        known::all(&session.store, &session.site.known_by())?
            .into_iter()
            .map(|one| described(session, &roles, one))
            .collect()
    };
    Ok(SnapshotList { snapshots })
}

/// A deleted snapshot.
pub(crate) fn describe_deleted(session: &Session, one: &trash::Trashed) -> Snapshot {
    Snapshot {
        marks: vec!["deleted".to_owned()],
        deleted: Some(one.deleted.unwrap_or(0)),
        ..describe(session, &one.entry)
    }
}

/// One snapshot.
pub(crate) fn show(session: &Session, ask: &One) -> Result<SnapshotList> {
    let id = session.resolve(&ask.target)?;
    let found = describe(session, session.entry(id)?);
    Ok(SnapshotList {
        snapshots: vec![found],
    })
}

/// A snapshot and all that it was made from, the newest first, as far as they are there or in the trash.
pub(crate) fn history(session: &Session, ask: &One) -> Result<SnapshotList> {
    let id = session.resolve(&ask.target)?;
    let entry = session.entry(id)?;
    let mut snapshots = vec![describe(session, entry)];
    let deleted = trash::all(&session.store)?;
    for older in entry.meta.iter().flat_map(|meta| meta.content()) {
        let there = session.entries.iter().find(|entry| entry.id == *older);
        let gone = deleted.iter().find(|one| one.entry.id == *older);
        snapshots.extend(match (there, gone) {
            (Some(entry), _) => Some(describe(session, entry)),
            (None, Some(one)) => Some(describe_deleted(session, one)),
            (None, None) => None,
        });
    }
    Ok(SnapshotList { snapshots })
}

/// A snapshot.
pub(crate) fn describe(session: &Session, entry: &Entry) -> Snapshot {
    let parent = living_parent(entry, |id| session.entry(id).is_ok());
    described(session, &session.roles(), Line::of(entry, parent))
}

/// The same, where what does not change is known already.
fn described(session: &Session, roles: &Roles, line: Line) -> Snapshot {
    Snapshot {
        marks: marks(session, roles, &line),
        id: line.id,
        name: line.name,
        parent: line.parent,
        created: line.created,
        note: line.note,
        origin: line.origin,
        kernel: line.kernel,
        damage: line.damage,
        deleted: None,
    }
}

fn marks(session: &Session, roles: &Roles, line: &Line) -> Vec<String> {
    let state = session.current();
    let is = |id: Option<SnapshotId>| id == Some(line.id);
    let trial = state
        .and_then(|s| s.trial.as_ref())
        .filter(|t| t.id == line.id);
    let failed = trial.is_some_and(|t| t.phase == Phase::Failed);
    let pinned = state.is_some_and(|s| s.pins.contains(&line.id));
    [
        ("booted", is(roles.booted)),
        ("next", is(roles.next)),
        ("good", is(roles.good)),
        ("previous", is(roles.previous)),
        ("trial", trial.is_some() && !failed),
        ("failed", failed),
        ("pinned", pinned),
        ("image", line.is_image),
        ("unfrozen", line.is_unfrozen),
    ]
    .into_iter()
    .filter(|(_, has)| *has)
    .map(|(mark, _)| mark.to_owned())
    .collect()
}

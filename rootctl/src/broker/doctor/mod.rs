//! `doctor`: every rule of the layout, held against what is there. Looks and writes nothing; whatever is broken becomes a
//! finding with the next command, and the other rules are looked at all the same. What `--fix` does is in `reconcile`.
//!
//! | open | for |
//! |---|---|
//! | `verify` | one snapshot to the last byte |

mod verify;

pub(crate) use verify::verify;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rootspec::SnapshotId;
use rootspec::cmdline::Mode;
use rootspec::meta::Meta;
use rootspec::over::{self, Over};
use rootspec::path_text::escape;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Check, Diagnosis, Finding, Severity};
use sys::btrfs::Access;

use crate::copy::must_have_room;
use crate::delete;
use crate::guard::{self, words};
use crate::session::Session;
use crate::status::{self, FIX};
use crate::store::{edits, subvol, trash};

/// Looks at one thing.
type Rule = fn(&Session, &mut Found);

/// What one rule found.
#[derive(Debug, Default)]
struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, severity: Severity, message: String, next: Option<String>) {
        self.0.push(Finding {
            severity,
            message,
            next,
        });
    }

    /// Something does not work, or will not.
    fn error(&mut self, message: impl Into<String>, next: impl Into<String>) {
        self.add(Severity::Error, message.into(), Some(next.into()));
    }

    /// Something is odd and stops nothing.
    fn warning(&mut self, message: impl Into<String>, next: impl Into<String>) {
        self.add(Severity::Warning, message.into(), Some(next.into()));
    }

    /// An error as it was answered elsewhere, with the next command it names.
    fn failure(&mut self, error: &anyhow::Error) {
        let (_, problem) = guard::reply(error);
        self.add(Severity::Error, problem.reason, problem.next);
    }
}

/// Looks at everything.
pub(crate) fn doctor(session: &Session) -> Diagnosis {
    let rules: [(&str, Rule); 11] = [
        ("this boot", this_boot),
        ("layout", layout),
        ("record", record),
        ("settings", settings),
        ("snapshots", snapshots),
        ("etc", etc),
        ("overlays", overlays),
        ("trash", in_trash),
        ("sessions", in_sessions),
        ("boot menu", menu),
        ("room", room),
    ];
    let checks = rules.map(|(name, rule)| {
        let mut found = Found::default();
        rule(session, &mut found);
        Check {
            name: name.to_owned(),
            findings: found.0,
        }
    });
    Diagnosis {
        checks: checks.to_vec(),
    }
}

/// What a folder holds, in order, without what an interrupted write left: that is a finding. An absent folder holds
/// nothing; it is a finding of the layout.
fn listing(dir: &Path, found: &mut Found) -> Vec<String> {
    match sys::fs::open_dir(dir).and_then(|dir| sys::tree::names(&dir)) {
        Ok(all) => {
            let all = all.iter().map(|name| escape(name));
            let (unfinished, whole): (Vec<_>, Vec<_>) = all.partition(|name| is_unfinished(name));
            for name in unfinished {
                let path = dir.join(name).display().to_string();
                found.warning(
                    format!("{path} was left by a write that was interrupted"),
                    format!("rm {path}"),
                );
            }
            whole
        }
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => {
            found.error(sys::chain(&error), "see `dmesg`");
            Vec::new()
        }
    }
}

/// The names under which files are written before they replace others: `.settings.toml.512.tmp`.
fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The boot stage started what was asked for, and found nothing odd.
fn this_boot(session: &Session, found: &mut Found) {
    let Some(report) = &session.site.report else {
        return;
    };
    if report.degraded {
        let what = format!("this boot is not what was asked for: {}", report.reason);
        found.warning(what, "rootctl status");
    }
    for warning in &report.warnings {
        found.warning(format!("boot: {warning}"), "rootctl status");
    }
}

/// The store has the folders it needs, is closed to others, and holds nothing that is not ours.
fn layout(session: &Session, found: &mut Found) {
    const FILES: [&str; 6] = [
        names::FORMAT,
        names::STATE,
        names::LOCK,
        names::LOG,
        names::LOG_OLD,
        "settings.toml",
    ];
    const FOLDERS: [&str; 4] = [names::SNAPS, names::ETC, names::OVER, names::TMP];
    let store = &session.store;
    match store.dir().metadata() {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => found.error(
            format!("{} is open to others than root", store.dir().display()),
            format!("chmod 700 {}", store.dir().display()),
        ),
        _ => {}
    }
    for name in listing(store.dir(), found) {
        let mut ours =
            FILES
                .iter()
                .chain(&FOLDERS)
                .chain(&[names::TRASH, names::SESSIONS, names::READY]);
        if !ours.any(|known| *known == name) {
            found.warning(
                format!("{} is none of ours", store.path(&name).display()),
                "look at it, and move it elsewhere",
            );
        }
    }
    if store.path(names::READY).exists() {
        found.warning(
            "snapshots that were published together are not in their place yet: a change is under way, or was interrupted",
            FIX,
        );
    }
    for folder in FOLDERS {
        if !store.path(folder).is_dir() {
            let path = store.path(folder).display().to_string();
            found.error(
                format!("the folder {path} is absent"),
                format!("mkdir -m 700 {path}"),
            );
        }
    }
    for folder in [names::SNAPS, names::ETC, names::TRASH] {
        for name in listing(&store.path(folder), found) {
            let id = match folder {
                names::ETC => name.strip_suffix(NEW_ETC).unwrap_or(&name),
                _ => &name,
            };
            if id.parse::<SnapshotId>().is_err() {
                found.warning(
                    format!(
                        "{} has no number for a name, and nothing uses it",
                        store.path(folder).join(&name).display()
                    ),
                    "look at it, and move it elsewhere",
                );
            }
        }
    }
    if !listing(&store.path(names::TMP), found).is_empty() {
        found.warning(
            "something lies in tmp/: a change is under way, or was interrupted",
            FIX,
        );
    }
}

/// Every session can be gone on with.
fn in_sessions(session: &Session, found: &mut Found) {
    let all = match edits::all(&session.store) {
        Ok(all) => all,
        Err(error) => return found.failure(&error),
    };
    for one in all {
        if let Err(error) = one.record {
            let id = one.id;
            found.warning(
                format!("session {id} cannot be gone on with: {}", words(&error)),
                format!("save what you need, then rootctl session drop {id}"),
            );
        }
    }
}

/// The record can be read, and what it names can be booted.
fn record(session: &Session, found: &mut Found) {
    let record = &session.record;
    let state = match record.need() {
        Ok(state) => state,
        Err(error) => return found.failure(&error),
    };
    if let Err(error) = record.must_be_ours() {
        found.failure(&error);
    }
    for damage in record.damage() {
        found.warning(
            format!("the state record is damaged ({damage}); the other slot counts"),
            FIX,
        );
    }
    let mut must_boot = |id: SnapshotId, role: &str, next: &str| match session.whole(id) {
        Err(error) => found.error(format!("the {role} one: {}", words(&error)), next),
        Ok(meta) if meta.kernel.is_none() => {
            found.error(
                format!("the {role} one, snapshot {id}, has no kernel"),
                next,
            );
        }
        Ok(_) => {}
    };
    if let Some(id) = state.good {
        must_boot(id, "good", "rootctl rollback N (one that is whole)");
    }
    if let Some(id) = state.previous {
        must_boot(
            id,
            "previous",
            "rootctl deploy N (when it is good, the good one of today is the previous one)",
        );
    }
    if let Some(trial) = state.trial.as_ref().filter(|trial| trial.is_pending()) {
        must_boot(trial.id, "trial", "rootctl rollback");
    }
    for id in &state.pins {
        must_boot(*id, "kept", &format!("rootctl snap unkeep {id}"));
    }
    if state.good.is_none() {
        found.error("the record names no good snapshot", "rootctl rollback N");
    }
    if let Some(id) = state.confirming {
        found.warning(
            format!("snapshot {id} is becoming the default and that was interrupted"),
            FIX,
        );
    }
}

/// The settings can be read, and every mode in them is one.
fn settings(session: &Session, found: &mut Found) {
    let settings = match &session.settings {
        Ok(settings) => settings,
        Err(error) => return found.failure(error),
    };
    for entry in &session.entries {
        if let Err(error) = settings.mode_of(entry.id) {
            found.error(
                format!("the mode of snapshot {}: {}", entry.id, words(&error)),
                format!("rootctl deploy {} --mode ro", entry.id),
            );
        }
    }
}

/// Every snapshot is whole, sealed, and comes from older ones.
fn snapshots(session: &Session, found: &mut Found) {
    for entry in &session.entries {
        let id = entry.id;
        if let Some(damage) = &entry.damage {
            let delete = format!("rootctl snap delete {id}");
            let next = match delete::may_go(id, session) {
                Ok(()) => delete,
                Err(_) => format!("rootctl deploy N (another one); when that is good, {delete}"),
            };
            found.error(format!("snapshot {id} is damaged: {damage}"), next);
        }
        if let Some(remark) = &entry.remark {
            found.warning(
                format!("name and note of snapshot {id} cannot be read: {remark}"),
                format!("rootctl snap rename {id} NAME"),
            );
        }
        let Some(meta) = entry.meta.as_ref().filter(|_| entry.damage.is_none()) else {
            continue;
        };
        if is_open(session, meta) {
            found.error(
                format!("the root of snapshot {id} is writable: somebody may have changed it, so it is refused at boot"),
                format!("rootctl snap new --from {id} (the copy is read-only)"),
            );
        }
        if entry.unfrozen.is_some() && access_of(session, meta) == Some(Access::ReadOnly) {
            found.warning(
                format!("snapshot {id} is called unfrozen, and its root is read-only: that was interrupted"),
                format!("rootctl snap unfreeze {id}, or rootctl snap freeze {id}"),
            );
        }
        let mut above = meta.parent.iter().chain(&meta.lineage).chain(&meta.copied);
        if let Some(younger) = above.find(|above| **above >= id) {
            found.error(
                format!("snapshot {id} claims to come from snapshot {younger}, which is not older"),
                format!("rootctl snap show {id}"),
            );
        }
    }
}

/// True for a root that anybody may have written to, where nobody asked for that.
fn is_open(session: &Session, meta: &Meta) -> bool {
    if session.is_unfrozen(meta.id) {
        return false;
    }
    let wanted = session.settings.as_ref().ok();
    if wanted.is_some_and(|all| all.mode_of(meta.id).is_ok_and(|mode| mode == Mode::Rw)) {
        return false;
    }
    access_of(session, meta) == Some(Access::ReadWrite)
}

/// Whether a root that is a subvolume can be written to.
fn access_of(session: &Session, meta: &Meta) -> Option<Access> {
    if meta.image.is_some() {
        return None;
    }
    let root = session.store.snapshot(meta.id).join(names::ROOT);
    subvol::info(&root).ok().map(|info| info.access)
}

/// How the name of an `/etc` ends that the boot stage has not finished: it throws it away and makes it again.
const NEW_ETC: &str = ".new";

/// Every live `/etc` is a subvolume and belongs to a snapshot.
fn etc(session: &Session, found: &mut Found) {
    let dir = session.store.path(names::ETC);
    for name in listing(&dir, found) {
        let Ok(id) = name
            .strip_suffix(NEW_ETC)
            .unwrap_or(&name)
            .parse::<SnapshotId>()
        else {
            continue;
        };
        let path = dir.join(&name);
        let shown = path.display();
        if !subvol::is_subvolume(&path) {
            found.error(
                format!("{shown} is no subvolume"),
                format!("move {shown} elsewhere; the next boot of snapshot {id} makes a new one"),
            );
        }
        if session.entry(id).is_err() {
            found.warning(
                format!("{shown} belongs to no snapshot; it may hold settings of a machine, so nothing removes it"),
                format!("look at it, then btrfs subvolume delete {shown}"),
            );
        }
    }
}

/// Every persistent root says what it was made from.
fn overlays(session: &Session, found: &mut Found) {
    let dir = session.store.path(names::OVER);
    let all: BTreeSet<String> = listing(&dir, found)
        .iter()
        .map(|name| name.strip_suffix(".toml").unwrap_or(name).to_owned())
        .collect();
    for name in all {
        let file = dir.join(format!("{name}.toml"));
        let root = dir.join(&name);
        let read = sys::fs::read_text(&file, over::MAX_SIZE as u64)
            .map_err(anyhow::Error::new)
            .and_then(|text| Ok(Over::from_toml(&file.display().to_string(), &text)?));
        match read {
            Err(error) => found.error(
                format!("nobody knows what the persistent root {name} was made from: {}", words(&error)),
                format!("move {} and {} elsewhere", root.display(), file.display()),
            ),
            Ok(over) if session.entry(over.base).is_err() => found.warning(
                format!("snapshot {}, from which the persistent root {name} was made, is gone", over.base),
                format!("rootctl snap undelete {}, or rootctl deploy N --mode persist:NEW", over.base),
            ),
            Ok(_) if !subvol::is_subvolume(&root) => found.warning(
                format!("the persistent root {name} is announced and not there: its making was interrupted"),
                format!("rootctl deploy N --mode persist:{name} (its boot makes it), or rm {}", file.display()),
            ),
            Ok(_) => {}
        }
    }
}

/// What was deleted can be brought back.
fn in_trash(session: &Session, found: &mut Found) {
    let all = match trash::all(&session.store) {
        Ok(all) => all,
        Err(error) => return found.failure(&error),
    };
    for gone in all {
        let id = gone.entry.id;
        if session.entry(id).is_ok() {
            found.error(
                format!("there are two snapshots {id}: one that is there and a deleted one"),
                format!(
                    "move {} elsewhere",
                    trash::folder(&session.store, id).display()
                ),
            );
        }
        let damage = gone.entry.damage.as_deref();
        let undated = gone
            .deleted
            .is_none()
            .then_some("nobody knows when it was deleted");
        for what in damage.into_iter().chain(undated) {
            found.warning(
                format!("deleted snapshot {id}: {what}"),
                format!("rootctl snap delete --now {id}"),
            );
        }
    }
}

/// The menu on the ESP is the one of the record, and its files are there.
fn menu(session: &Session, found: &mut Found) {
    match status::compare(session) {
        Ok(odd) => {
            // Any of it may decide what boots, or that nothing does.
            for one in odd {
                found.add(Severity::Error, one.reason, one.next);
            }
        }
        Err(error) => found.failure(&error),
    }
}

/// There is room for the next change.
fn room(session: &Session, found: &mut Found) {
    /// Below this, package work is refused. Bytes.
    const LEAST: u64 = 64 << 20;
    if let Err(error) = must_have_room(&session.store, LEAST) {
        found.failure(&error);
    }
}

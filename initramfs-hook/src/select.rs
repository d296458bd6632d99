//! Which snapshot boots, and why. Pure: command line, state record and snapshots in, a choice with its reason out.
//!
//! Order of retreat: what was asked for; the last good snapshot; the one before it; the newest other one. From the
//! second on only snapshots with the very kernel that is running, because a root and a kernel that do not belong
//! together boot into missing modules.

use rootspec::cmdline::{Mode, SnapshotRequest};
use rootspec::meta::{Image, Meta};
use rootspec::state::State;
use rootspec::{SnapshotId, SnapshotName};

/// A snapshot and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: SnapshotId,
    /// What its meta file says, if that could be read.
    pub meta: Option<Meta>,
    /// Why it cannot be booted.
    pub problem: Option<String>,
}

/// A snapshot that was not booted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its id.
    pub id: SnapshotId,
    /// The reason, in words.
    pub why: String,
}

/// All that a choice depends on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// What the command line asks for.
    pub request: Option<SnapshotRequest>,
    /// The state record, if there is a readable one.
    pub state: Option<&'a State>,
    /// Release of the running kernel.
    pub release: &'a str,
    /// Snapshots that were looked at.
    pub candidates: &'a [Candidate],
    /// Snapshots that were tried in this boot and failed.
    pub refused: &'a [Refusal],
}

/// What boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The snapshot.
    pub id: SnapshotId,
    /// Why, in words.
    pub reason: String,
    /// True when it is not what was asked for.
    pub degraded: bool,
}

/// The snapshot this boot is about: what was asked for, else the last good one.
#[must_use]
pub fn wish(request: Option<SnapshotRequest>, state: Option<&State>) -> Option<SnapshotId> {
    match request {
        Some(SnapshotRequest::Id(id)) => Some(id),
        Some(SnapshotRequest::Good) | None => state?.good,
        Some(SnapshotRequest::Previous) => state?.previous,
    }
}

/// Chooses among the candidates; `None` when none of them can boot. With only the wish looked at, a `None` means: look
/// at all of them and ask again.
#[must_use]
pub fn select(situation: &Situation<'_>) -> Option<Choice> {
    let wish = wish(situation.request, situation.state);
    let first = wish.and_then(|id| find(situation, id));
    if let Some(candidate) = first.filter(|found| refusal(found, situation, None).is_none()) {
        return Some(Choice {
            id: candidate.id,
            reason: reason_of(situation.request, candidate.id),
            degraded: false,
        });
    }
    // What the wish's own kernel would have been; without it the release alone must do.
    let kernel = first
        .and_then(|found| found.meta.as_ref()?.kernel.as_ref())
        .filter(|kernel| kernel.release == situation.release)
        .map(|kernel| kernel.vmlinuz.blake2b.as_str());
    let (candidate, words) = order(situation).into_iter().find(|(candidate, _)| {
        Some(candidate.id) != wish
            && has_this_kernel(candidate, situation.release, kernel)
            && refusal(candidate, situation, kernel).is_none()
    })?;
    let reason = match refusals(situation).as_slice() {
        [] => format!("no snapshot was asked for and none is marked good: {words}"),
        refusals => format!("{}; fell back to {words}", refusals.join("; ")),
    };
    Some(Choice {
        id: candidate.id,
        reason,
        degraded: true,
    })
}

fn find<'a>(situation: &Situation<'a>, id: SnapshotId) -> Option<&'a Candidate> {
    situation.candidates.iter().find(|found| found.id == id)
}

fn reason_of(request: Option<SnapshotRequest>, id: SnapshotId) -> String {
    match request {
        Some(SnapshotRequest::Id(_)) => format!("snapshot {id} was asked for"),
        Some(SnapshotRequest::Good) => "the last good snapshot was asked for".to_owned(),
        Some(SnapshotRequest::Previous) => {
            "the snapshot before the last good one was asked for".to_owned()
        }
        None => "no snapshot was asked for: the last good one".to_owned(),
    }
}

/// Candidates to fall back to, best first. One on trial is not among them: nobody has confirmed it.
fn order<'a>(situation: &Situation<'a>) -> Vec<(&'a Candidate, &'static str)> {
    let state = situation.state;
    let trial = state
        .and_then(|state| state.trial.as_ref())
        .map(|trial| trial.id);
    let good = state.and_then(|state| state.good);
    let previous = state.and_then(|state| state.previous);
    let mut newest: Vec<&Candidate> = situation.candidates.iter().collect();
    newest.sort_by_key(|candidate| std::cmp::Reverse(candidate.id));
    let mut order = Vec::new();
    for (id, words) in [
        (good, "the last good snapshot"),
        (previous, "the snapshot that was good before"),
    ] {
        let candidate = id.and_then(|id| find(situation, id));
        order.extend(candidate.map(|candidate| (candidate, words)));
    }
    let others = newest.into_iter().filter(|found| Some(found.id) != trial);
    order.extend(others.map(|candidate| (candidate, "the newest snapshot with this kernel")));
    order
}

/// Why this candidate cannot boot now.
fn refusal(
    candidate: &Candidate,
    situation: &Situation<'_>,
    kernel: Option<&str>,
) -> Option<String> {
    let tried = situation
        .refused
        .iter()
        .find(|tried| tried.id == candidate.id);
    if let Some(tried) = tried {
        return Some(tried.why.clone());
    }
    if let Some(problem) = &candidate.problem {
        return Some(problem.clone());
    }
    let own = candidate.meta.as_ref()?.kernel.as_ref()?;
    if own.release != situation.release {
        return Some(format!(
            "it belongs to kernel {}, running is {}",
            own.release, situation.release
        ));
    }
    let other = kernel.filter(|kernel| *kernel != own.vmlinuz.blake2b)?;
    let short = |hash: &str| hash.chars().take(8).collect::<String>();
    Some(format!(
        "it belongs to another build of kernel {} ({}, running is {})",
        own.release,
        short(&own.vmlinuz.blake2b),
        short(other)
    ))
}

/// To fall back to, a snapshot's kernel must be known. What was asked for may have none: a person started this kernel
/// with it.
fn has_this_kernel(candidate: &Candidate, release: &str, hash: Option<&str>) -> bool {
    let kernel = candidate
        .meta
        .as_ref()
        .and_then(|meta| meta.kernel.as_ref());
    kernel.is_some_and(|kernel| {
        kernel.release == release && hash.is_none_or(|hash| hash == kernel.vmlinuz.blake2b)
    })
}

/// What was refused, in words: the wish first, then what was tried.
#[must_use]
pub fn refusals(situation: &Situation<'_>) -> Vec<String> {
    let mut words = Vec::new();
    let say = |id: SnapshotId, why: &str| format!("snapshot {id} was refused: {why}");
    match wish(situation.request, situation.state) {
        Some(id) => match find(situation, id) {
            Some(found) => {
                words.extend(refusal(found, situation, None).map(|why| say(id, &why)));
            }
            None => words.push(say(id, "it does not exist")),
        },
        None => words.extend(situation.request.map(|request| {
            format!("the snapshot asked for ({request}) is not known: the state record does not name one")
        })),
    }
    let wish = wish(situation.request, situation.state);
    let tried = situation
        .refused
        .iter()
        .filter(|tried| Some(tried.id) != wish);
    words.extend(tried.map(|tried| say(tried.id, &tried.why)));
    words
}

/// How the root of the chosen snapshot is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The read-only root with its own `/etc`.
    ReadOnly,
    /// The root under a tmpfs overlay of this size.
    Overlay {
        /// In tmpfs' words.
        size: String,
    },
    /// An image under a tmpfs overlay of this size.
    Image {
        /// What kind of image.
        image: Image,
        /// In tmpfs' words.
        size: String,
    },
    /// A writable snapshot of the root.
    Persist(SnapshotName),
    /// The root itself, writable.
    Writable,
}

/// A layout, with the mode it has in the report, and what an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The layout.
    pub layout: Layout,
    /// The mode that was really taken.
    pub mode: Mode,
    /// Why it is not the one asked for.
    pub warning: Option<String>,
}

/// The mode for a snapshot that nobody asked for: no layer that belongs to another snapshot, nothing written to it.
#[must_use]
pub fn retreat_mode(mode: &Mode) -> Mode {
    match mode {
        Mode::Ro | Mode::Tmpfs { .. } => mode.clone(),
        Mode::Persist(_) | Mode::Rw => Mode::Ro,
        Mode::Image => Mode::Tmpfs {
            size: rootspec::cmdline::DEFAULT_TMPFS_SIZE.to_owned(),
        },
    }
}

/// Makes the mode asked for fit the snapshot.
///
/// # Errors
/// It cannot fit, in words.
pub fn settle(mode: &Mode, meta: &Meta, state: Option<&State>) -> Result<Settled, String> {
    let plain = |layout: Layout, mode: &Mode| Settled {
        layout,
        mode: mode.clone(),
        warning: None,
    };
    let size = match mode {
        Mode::Tmpfs { size } => size.clone(),
        Mode::Ro | Mode::Persist(_) | Mode::Rw | Mode::Image => {
            rootspec::cmdline::DEFAULT_TMPFS_SIZE.to_owned()
        }
    };
    match (mode, meta.image) {
        (Mode::Ro | Mode::Image | Mode::Tmpfs { .. }, Some(image)) => {
            Ok(plain(Layout::Image { image, size }, &Mode::Image))
        }
        (Mode::Persist(_) | Mode::Rw, Some(_)) => Err(format!(
            "its root is an image, which mode {mode} cannot make writable; use ro or tmpfs"
        )),
        (Mode::Image, None) => Err("it has no image; use mode ro or tmpfs".to_owned()),
        (Mode::Ro, None) => Ok(plain(Layout::ReadOnly, mode)),
        (Mode::Tmpfs { .. }, None) => Ok(plain(Layout::Overlay { size }, mode)),
        (Mode::Persist(name), None) => Ok(plain(Layout::Persist(name.clone()), mode)),
        (Mode::Rw, None) => Ok(match guarded(meta.id, state) {
            None => plain(Layout::Writable, mode),
            Some(why) => Settled {
                layout: Layout::ReadOnly,
                mode: Mode::Ro,
                warning: Some(format!(
                    "mode rw is refused for snapshot {}, which is {why}: it is read-only; \
                     `rootctl snap new` makes a copy to write to",
                    meta.id
                )),
            },
        }),
    }
}

/// Why a snapshot must not be changed.
fn guarded(id: SnapshotId, state: Option<&State>) -> Option<&'static str> {
    let state = state?;
    if state.good == Some(id) || state.confirming == Some(id) {
        Some("the last good one")
    } else if state.previous == Some(id) {
        Some("the one to go back to")
    } else if state.pins.contains(&id) {
        Some("pinned")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;

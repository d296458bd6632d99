//! What both programs look at to tell whether a plan still holds: the facts of this boot, and stamps of files.

use rootspec::paths::run::BOOT_REPORT;
use rootspec::report::Numbers;
use rootspec::stored::{Found, Stamp};
use rootspec::units::Facts;

/// The kernel's id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Largest boot report, in bytes.
const REPORT: u64 = 1 << 20;

/// What this boot is.
pub(crate) fn facts() -> Facts {
    let mut facts = Facts::default();
    let report = sys::fs::read_text(BOOT_REPORT, REPORT).ok();
    let report = report.and_then(|text| Numbers::of_report(&text));
    if let Some(id) = report.and_then(|numbers| numbers.snapshot) {
        facts.snapshot = id.to_string();
    }
    if let Ok(id) = sys::fs::read_text(BOOT_ID, REPORT) {
        facts.boot = id.trim().to_owned();
    }
    facts
}

/// What is at a path. `None`: that cannot be told.
pub(crate) fn found(path: &str) -> Option<Found> {
    let found = sys::fs::stamp(path).ok()?;
    Some(found.map_or(Found::Absent, |stamp| {
        Found::There(Stamp {
            mode: stamp.mode,
            size: stamp.size,
            modified: stamp.modified,
            changed: stamp.changed,
        })
    }))
}

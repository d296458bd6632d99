//! What the guest does while its disk is recorded: everything that changes the menu or the store, with real reboots. Each
//! promise that `rootctl` has given is marked on the disk itself, by a write between the partition table and the first
//! partition.

use super::judge::Expected;
use super::log::{Entry, Kind};
use crate::console::Console;
use crate::disk::Disk;
use crate::guest::{self, BOOT, PATIENCE};
use crate::paths::Scratch;
use crate::qemu::Firmware;
use crate::rootfs;
use crate::system::{Loader, System};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// The sector of the marks.
const MARK_SECTOR: u64 = 64;
const MARK: &str = "rootctl was told: ";

/// What holds from a mark on.
#[derive(Debug)]
struct Chapter {
    mark: &'static str,
    default: u32,
    present: &'static [u32],
    /// As long as nothing but `rootctl` writes to the ESP.
    entered: u32,
}

const fn chapter(
    mark: &'static str,
    default: u32,
    present: &'static [u32],
    entered: u32,
) -> Chapter {
    Chapter {
        mark,
        default,
        present,
        entered,
    }
}

const CHAPTERS: [Chapter; 8] = [
    chapter("begin", 1, &[1], 1),
    chapter("made", 1, &[1, 2], 1),
    chapter("deployed", 1, &[1, 2], 2),
    chapter("confirmed", 2, &[1, 2], 2),
    chapter("deployed again", 2, &[1, 2, 3], 3),
    chapter("taken back", 2, &[1, 2, 3], 2),
    chapter("rolled back", 1, &[1, 2, 3], 1),
    chapter("deleted", 1, &[1, 2], 1),
];

/// A disk before, and the log of what was written to it.
#[derive(Debug)]
pub struct Recording {
    /// The disk before.
    pub before: Disk,
    /// The log.
    pub log: PathBuf,
    _folder: Scratch,
    _system: System,
}

/// Boots an installed system on GRUB and plays all chapters.
///
/// # Errors
/// When the guest does not do what it is told.
pub fn record() -> Result<Recording> {
    let system = System::install(Loader::Grub)?;
    let folder = Scratch::new("recording")?;
    let before = system.disk().copy_to(&folder.join("before"))?;
    let log = folder.join("log");
    let mut machine = system.start_recorded(Firmware::Bios, &log)?;
    let console = &mut machine.console;
    log_in(console)?;
    guest::confirmed(console, 1)?;
    mark(console, "begin")?;

    // Another kernel, so that files have to go to the ESP: what follows its image is not read.
    let other_kernel =
        |word: &str| format!("for kernel in /boot/vmlinuz-*; do printf {word} >> $kernel; done");
    guest::make_snapshot(console, "second", &other_kernel("2"))?;
    mark(console, "made")?;
    console.succeed("rootctl deploy second", PATIENCE)?;
    mark(console, "deployed")?;
    console.send_line("rootctl power reboot")?;
    console.expect("rootctl.snap=2 ", 2 * BOOT)?;
    log_in(console)?;
    guest::confirmed(console, 2)?;
    mark(console, "confirmed")?;

    guest::make_snapshot(console, "third", &other_kernel("3"))?;
    console.succeed("rootctl deploy third", PATIENCE)?;
    mark(console, "deployed again")?;
    console.succeed("rootctl rollback second", PATIENCE)?;
    mark(console, "taken back")?;
    console.succeed("rootctl rollback base", PATIENCE)?;
    mark(console, "rolled back")?;
    console.succeed("rootctl --yes snap delete --now third", PATIENCE)?;
    mark(console, "deleted")?;
    console.send_line("rootctl power poweroff")?;
    console.expect("reboot: Power down", BOOT)?;
    machine.wait_off(PATIENCE)?;
    Ok(Recording {
        before,
        log,
        _folder: folder,
        _system: system,
    })
}

fn log_in(console: &mut Console) -> Result<()> {
    console.login(rootfs::PASSWORD, BOOT)?;
    guest::services_up(console).map(drop)
}

fn mark(console: &mut Console, name: &str) -> Result<()> {
    let command = format!(
        "printf '%-512s' '{MARK}{name}' | \
         dd of=/dev/vda bs=512 count=1 seek={MARK_SECTOR} iflag=fullblock oflag=direct conv=notrunc status=none"
    );
    console.succeed(&command, PATIENCE).map(drop)
}

/// Where in the recording each chapter begins.
///
/// # Errors
/// When a mark is missing, or out of order.
pub fn marks(entries: &[Entry], data: impl Fn(&Entry) -> Result<Vec<u8>>) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let is_mark = matches!(entry.kind, Kind::Write { .. }) && entry.offset == MARK_SECTOR * 512;
        if !is_mark {
            continue;
        }
        let text = data(entry)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let name = text
            .trim_end()
            .strip_prefix(MARK)
            .context("a mark says something else")?;
        let wanted = CHAPTERS
            .get(found.len())
            .context("there are too many marks")?;
        ensure!(
            name == wanted.mark,
            "the mark {name} comes before {}",
            wanted.mark
        );
        found.push(at);
    }
    ensure!(
        found.len() == CHAPTERS.len(),
        "only {} marks were recorded",
        found.len()
    );
    Ok(found)
}

/// What must hold when `issued` requests were made; `esp_since` of them went to the ESP since the last mark.
pub fn expected(marks: &[usize], issued: usize, esp_since: impl Fn(usize) -> bool) -> Expected {
    // Before the first mark the first chapter holds already: the system was installed.
    let now = marks.iter().take_while(|at| **at < issued).count().max(1) - 1;
    let Some(chapter) = CHAPTERS.get(now) else {
        return Expected::default();
    };
    let begun = marks.get(now).copied().unwrap_or_default();
    let next = CHAPTERS.get(now + 1).unwrap_or(chapter);
    let mut defaults = vec![chapter.default, next.default];
    defaults.dedup();
    let stays = |id: &&u32| next.present.contains(id);
    Expected {
        defaults,
        present: chapter.present.iter().filter(stays).copied().collect(),
        entered: (!esp_since(begun)).then_some(chapter.entered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_marks_the_old_and_the_new_promise_are_both_right() {
        let marks = [10, 20, 30, 40, 50, 60, 70, 80];
        let at = |issued, esp| expected(&marks, issued, |_| esp);
        assert_eq!(
            (at(5, false).defaults, at(5, false).present),
            (vec![1], vec![1])
        );
        assert_eq!(at(31, false).entered, Some(2));
        assert_eq!(
            (at(35, true).defaults, at(35, true).entered),
            (vec![1, 2], None)
        );
        assert_eq!(at(45, true).defaults, [2]);
        // While the third is being deleted it may be gone.
        assert_eq!(at(75, true).present, [1, 2]);
        assert_eq!(at(99, false).entered, Some(1));
    }
}

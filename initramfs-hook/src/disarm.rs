//! A trial that was armed by making it the default of Limine's menu: Limine forgets nothing by itself there, so the boot
//! stage puts the good entry back, durably, before anything that can hang. The next reset then starts the good snapshot.
//!
//! The menu is changed by one digit in one sector (`rootspec::limine`). A boot without the word `rootctl.disarm=` comes
//! past here without a look at the disk.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use rootspec::limine::{self, DefaultEntry, MenuPlace};
use sys::mount::{Attributes, Mount, Request};

use crate::attempt::Entry;
use crate::find;
use crate::stage::Stage;

/// Largest menu that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// The first entry of every menu of ours is the good one.
const GOOD: u8 = 1;

/// What the boot menu starts by itself from here on.
#[derive(Debug)]
pub enum Menu {
    /// Not our matter: the loader counts, or forgets by itself.
    Foreign,
    /// The good snapshot, and nobody had armed anything.
    Good,
    /// The good snapshot again. It started the trial, and can be told to once more.
    Disarmed(Armed),
    /// Still the trial, for the reason in words: it must not be entered, or every reboot would lead into it.
    Stuck(String),
}

/// A menu that was armed, and with which entry.
#[derive(Debug)]
pub struct Armed {
    menu: OnEsp,
    entry: DefaultEntry,
}

/// The menu on the ESP, which is mounted for nobody else to see until this is dropped.
#[derive(Debug)]
struct OnEsp {
    esp: Mount,
    file: String,
}

/// What is done to a menu; each step can fail.
trait MenuFile {
    /// All its bytes.
    fn read(&self) -> Result<Vec<u8>>;
    /// Overwrites one byte and waits until the disk has it.
    fn write(&self, at: u64, byte: [u8; 1]) -> Result<()>;
    /// Waits until the folder and everything else on its file system is on the disk too.
    fn barrier(&self) -> Result<()>;
}

impl MenuFile for OnEsp {
    fn read(&self) -> Result<Vec<u8>> {
        Ok(sys::fs::read_at(&self.esp, &self.file, LIMIT)?)
    }

    fn write(&self, at: u64, byte: [u8; 1]) -> Result<()> {
        Ok(sys::fs::write_slot_at(&self.esp, &self.file, at, &byte)?)
    }

    fn barrier(&self) -> Result<()> {
        let folder = match Path::new(&self.file).parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Ok(sys::fs::fat_barrier_at(&self.esp, folder)?)
    }
}

/// Puts the good entry back if this boot is a trial that was armed by the menu.
pub fn on_arrival(stage: &mut Stage, deadline: Instant) -> Menu {
    let Some(place) = stage.line.disarm.clone() else {
        return Menu::Foreign;
    };
    match disarm(stage, &place, deadline) {
        Ok(Some(armed)) => {
            stage
                .voice
                .note("the boot menu starts the good snapshot again");
            Menu::Disarmed(armed)
        }
        Ok(None) => Menu::Good,
        Err(error) => {
            let why = sys::chain(error.as_ref());
            let words = format!(
                "the boot menu {place} still starts this trial by itself and could not be put back ({why})"
            );
            stage.voice.warn(words.clone());
            // So it is no try, and a quick reboot would not lead back.
            stage.line.count = false;
            Menu::Stuck(words)
        }
    }
}

fn disarm(stage: &mut Stage, place: &MenuPlace, deadline: Instant) -> Result<Option<Armed>> {
    let (loader, voice) = (&stage.loader, &mut stage.voice);
    let node = find::partition(place.partition(), deadline, loader, voice)?;
    // The character sets it needs are asked for by the kernel.
    loader
        .load_file_systems(&["vfat"])
        .into_iter()
        .for_each(|p| voice.warn(p));
    let attributes = Attributes::NO_DEV
        .and(Attributes::NO_SUID)
        .and(Attributes::NO_EXEC)
        .and(Attributes::NO_SYMFOLLOW);
    let esp = Mount::new(&Request {
        kind: "vfat",
        source: &node.display().to_string(),
        options: &[("umask", Some("0077"))],
        attributes,
    })?;
    let menu = OnEsp {
        esp,
        file: place.file().to_owned(),
    };
    let entry = put_back(&menu)?;
    Ok(entry.map(|entry| Armed { menu, entry }))
}

/// Makes the first entry the default; returns what was it before, or `None` if it was already and nothing was written.
/// When this returned, the disk has it.
fn put_back(menu: &impl MenuFile) -> Result<Option<DefaultEntry>> {
    let found = limine::default_entry(&menu.read()?)
        .context("it has no default_entry that can be changed in place")?;
    if found.number == GOOD {
        return Ok(None);
    }
    set(menu, found, GOOD)?;
    Ok(Some(found))
}

fn set(menu: &impl MenuFile, place: DefaultEntry, number: u8) -> Result<()> {
    let digit = limine::digit(number).context("the entry's number needs two digits")?;
    menu.write(place.at, digit)?;
    menu.barrier()
}

impl Menu {
    /// Why this boot must not go on with what was asked for.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Stuck(why) => Some(why),
            Self::Foreign | Self::Good | Self::Disarmed(_) => None,
        }
    }

    /// Arms the try after this one, which the record has durably. Without it the trial is over one try early, so a
    /// failure is only told.
    pub fn arm_next(&self, entry: Entry, stage: &mut Stage) {
        match (self, entry) {
            (Self::Foreign, _) => {
                crate::attempt::arm_next(entry, &stage.loader, &mut stage.voice);
            }
            (Self::Disarmed(armed), Entry::Try { number, max }) if number < max => {
                if let Err(error) = set(&armed.menu, armed.entry, armed.entry.number) {
                    let why = sys::chain(error.as_ref());
                    let words = format!("the next try is not armed: {why}");
                    stage.voice.warn(words);
                }
            }
            // A person chose the entry in the menu: then nobody asked for more than this try.
            (Self::Good | Self::Disarmed(_) | Self::Stuck(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::SnapshotId;
    use rootspec::state::State;
    use rootspec::trial::{Arrival, Trial, arrive};
    use std::cell::{Cell, RefCell};

    fn menu(number: u8) -> Vec<u8> {
        let line = limine::default_line(number);
        format!("# ours\n{line}\ntimeout: 2\n\n/rootctl 1\n\n/rootctl 2\n").into_bytes()
    }

    /// A disk whose power goes, or whose n-th call fails; a write without a barrier is there or not.
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        unsynced: RefCell<Option<Vec<u8>>>,
        calls_left: Cell<usize>,
    }

    impl Disk {
        fn new(bytes: Vec<u8>, calls_left: usize) -> Self {
            Self {
                bytes: RefCell::new(bytes),
                unsynced: RefCell::new(None),
                calls_left: Cell::new(calls_left),
            }
        }

        fn call(&self) -> Result<()> {
            let left = self.calls_left.get().checked_sub(1);
            self.calls_left.set(left.context("the power is gone")?);
            Ok(())
        }

        fn default(&self) -> u8 {
            limine::default_entry(&self.bytes.borrow()).unwrap().number
        }

        /// What the next boot may find: with what was not synced, and without.
        fn after_a_cut(self) -> Vec<Vec<u8>> {
            let kept = self.bytes.into_inner();
            let lost = self.unsynced.into_inner();
            lost.into_iter().chain([kept]).collect()
        }
    }

    impl MenuFile for Disk {
        fn read(&self) -> Result<Vec<u8>> {
            self.call()?;
            Ok(self.bytes.borrow().clone())
        }

        fn write(&self, at: u64, byte: [u8; 1]) -> Result<()> {
            let mut bytes = self.bytes.borrow_mut();
            *self.unsynced.borrow_mut() = Some(bytes.clone());
            bytes[usize::try_from(at).unwrap()] = byte[0];
            self.call()
        }

        fn barrier(&self) -> Result<()> {
            self.call()?;
            *self.unsynced.borrow_mut() = None;
            Ok(())
        }
    }

    #[test]
    fn the_good_entry_is_put_back_and_a_menu_that_has_it_is_not_written() {
        let disk = Disk::new(menu(2), 3);
        let before = put_back(&disk).unwrap().unwrap();
        assert_eq!((before.number, disk.calls_left.get()), (2, 0));
        assert_eq!(*disk.bytes.borrow(), menu(1));
        let disk = Disk::new(menu(1), 1);
        assert_eq!(put_back(&disk).unwrap(), None);
        set(&Disk::new(menu(1), 2), before, before.number).unwrap();
    }

    #[test]
    fn whichever_call_fails_the_menu_does_not_count_as_put_back() {
        for calls in 0..3 {
            assert!(put_back(&Disk::new(menu(2), calls)).is_err(), "{calls}");
        }
        for odd in ["", "timeout: 2\n/rootctl 1\n", "default_entry: 12\n"] {
            let error = put_back(&Disk::new(odd.into(), 9)).unwrap_err();
            assert!(error.to_string().contains("no default_entry"), "{odd}");
        }
    }

    #[test]
    fn a_real_file_is_changed_in_place() {
        let dir = std::env::temp_dir().join(format!("boot-disarm-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("EFI")).unwrap();
        let path = dir.join("EFI/limine.conf");
        std::fs::write(&path, menu(2)).unwrap();
        let inode = |path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        let before = inode(&path);
        let folder = sys::fs::open_dir(&dir).unwrap();
        let esp = Mount::copy_of(&folder, ".", sys::mount::Reach::One);
        if esp.is_err() {
            println!("skipped: only root may make the mount it writes through");
        }
        if let Ok(esp) = esp {
            let file = "EFI/limine.conf".to_owned();
            let on_esp = OnEsp { esp, file };
            let armed = put_back(&on_esp).unwrap().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), menu(1));
            set(&on_esp, armed, armed.number).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), menu(2));
            assert_eq!(inode(&path), before);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// One boot as far as the power lasts, by the steps of `boot::build`. Returns what the next one may find, and whether
    /// the snapshot on trial was entered.
    fn boot(bytes: Vec<u8>, state: &State, calls: usize) -> (Vec<Vec<u8>>, State, bool) {
        let disk = Disk::new(bytes, calls);
        if disk.default() == GOOD {
            return (disk.after_a_cut(), state.clone(), false);
        }
        let Ok(Some(armed)) = put_back(&disk) else {
            return (disk.after_a_cut(), state.clone(), false);
        };
        let id = SnapshotId::new(2).unwrap();
        let Arrival::Try(next) = arrive(state, id, "boot") else {
            return (disk.after_a_cut(), state.clone(), false);
        };
        if disk.call().is_err() {
            return (disk.after_a_cut(), state.clone(), false);
        }
        let trial = next.trial.as_ref().unwrap();
        if trial.attempts < trial.tries_max && set(&disk, armed, armed.number).is_err() {
            return (disk.after_a_cut(), next, false);
        }
        (disk.after_a_cut(), next, true)
    }

    /// All boots that power cuts can make of it.
    fn live(bytes: Vec<u8>, state: &State, entered: u8, depth: u8) {
        let trial = state.trial.as_ref().unwrap();
        assert!(entered <= trial.attempts && trial.attempts <= trial.tries_max);
        let title = limine::default_title(std::str::from_utf8(&bytes).unwrap()).unwrap();
        assert!(title == "rootctl 1" || (title == "rootctl 2" && entered < trial.tries_max));
        if depth == 0 {
            return;
        }
        for calls in 0..8 {
            let (after, state, was_entered) = boot(bytes.clone(), state, calls);
            for bytes in after {
                live(bytes, &state, entered + u8::from(was_entered), depth - 1);
            }
        }
    }

    #[test]
    fn the_trial_is_never_entered_more_often_than_allowed_wherever_the_power_goes() {
        for tries in 1..=3 {
            let state = State {
                trial: Some(Trial::armed(SnapshotId::new(2).unwrap(), tries)),
                ..State::empty()
            };
            live(menu(2), &state, 0, 4);
            // And with lasting power it is entered exactly that often.
            let (mut bytes, mut state, mut entered) = (menu(2), state, 0);
            for _boot in 0..5 {
                let (after, next, was_entered) = boot(bytes, &state, 99);
                (bytes, state) = (after[0].clone(), next);
                entered += u8::from(was_entered);
            }
            assert_eq!((entered, bytes), (tries, menu(GOOD)));
        }
    }
}

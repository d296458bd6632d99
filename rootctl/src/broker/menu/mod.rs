//! Boot menus as a pure function of the state record, the metas and the settings. Nothing here touches a disk.
//!
//! | open | for |
//! |---|---|
//! | `grub` | the text of `grub.cfg` |
//! | `limine` | the text of `limine.conf` |
//! | `owner` | which of several stores a menu belongs to |
//!
//! The good snapshot is always the first entry and the default; a snapshot on trial is entered by one-shot only. Where
//! Limine has no one-shot, a trial is made the default for one boot (`by_menu`); a menu that is made anew keeps that.

mod grub;
mod limine;
pub(crate) mod owner;

use std::collections::BTreeMap;

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::cmdline::{self, RootDevice};
use rootspec::meta::{BootFile, Meta};
use rootspec::paths::esp;
use rootspec::state::State;
use rootspec::trial::Trial;

use crate::by_menu;
use crate::guard::Guard;
use crate::store::settings::{Loader, Settings};

/// Pinned snapshots shown besides good, previous and trial: a menu is for finding one, not for an archive.
const MOST_PINS: usize = 6;
/// What every trial adds to its command line: a panic becomes a reboot, which leads back to the good one, and the boot stage
/// knows that it must not wait for a person, even when it finds no disk to read that from.
const TRIAL_WORDS: &str = "panic=30 oops=panic rootctl.trial";

/// A menu, decided but not yet written in a loader's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Menu {
    /// UUID of the file system that holds the store.
    store: String,
    entries: Vec<MenuEntry>,
    /// Which entry starts by itself, from 1: the good one, or a trial that was armed by this menu. GRUB's menu decides
    /// itself.
    default: u8,
    timeout: u32,
    serial: Option<Serial>,
    loader: Loader,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MenuEntry {
    /// The snapshot.
    pub(crate) id: SnapshotId,
    role: Role,
    name: Option<String>,
    note: String,
    cmdline: String,
    /// Its kernel on the ESP.
    pub(crate) kernel: EspFile,
    /// Its initramfs on the ESP.
    pub(crate) initrd: EspFile,
}

/// Why an entry is in the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Good,
    Previous,
    Trial,
    Pinned,
}

impl Role {
    fn words(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Previous => "good before",
            Self::Trial => "on trial",
            Self::Pinned => "kept",
        }
    }
}

/// A file of ours on the ESP: named by its content, so it is written once and never changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EspFile {
    /// Name in our folder: 8 hex digits and an ending, lower case, so FAT stores it in a single slot.
    pub(crate) name: String,
    /// BLAKE2b-512 of its bytes, in hex.
    pub(crate) blake2b: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// A serial line that the kernel's console is on, for the loader to use too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Serial {
    unit: u32,
    speed: u32,
}

/// Decides the menu. `root` is the UUID of the file system that holds the store.
///
/// # Errors
/// The good snapshot or the one on trial cannot be booted, or a command line cannot be written for the loader.
pub(crate) fn plan<'a>(
    state: &State,
    metas: impl Iterator<Item = &'a Meta>,
    settings: &Settings,
    root: &str,
) -> Result<Menu> {
    let metas: BTreeMap<SnapshotId, &Meta> = metas.map(|meta| (meta.id, meta)).collect();
    let Some(good) = state.good else {
        return Guard::refused("the record names no good snapshot, so there is nothing to boot")
            .next("rootctl rollback N")
            .err();
    };
    let trial = state.trial.as_ref().filter(|trial| trial.is_pending());
    let mut wanted = vec![(good, Role::Good)];
    wanted.extend(state.previous.map(|id| (id, Role::Previous)));
    wanted.extend(trial.map(|trial| (trial.id, Role::Trial)));
    wanted.extend(
        state
            .pins
            .iter()
            .take(MOST_PINS)
            .map(|id| (*id, Role::Pinned)),
    );
    let mut menu = Menu {
        store: root.to_owned(),
        entries: Vec::new(),
        default: 1,
        timeout: settings.timeout,
        serial: serial(&settings.cmdline),
        loader: settings.loader,
    };
    let mut names = BTreeMap::new();
    let words = trial.map_or(String::new(), trial_words);
    for (id, role) in wanted {
        // A trial of what was good before replaces that entry; any other second mention is left out.
        if let Some(at) = menu.entries.iter().position(|entry| entry.id == id) {
            if role != Role::Trial || at == 0 {
                continue;
            }
            menu.entries.remove(at);
        }
        let entry = match metas.get(&id) {
            Some(meta) => {
                let own = if role == Role::Trial { &words } else { "" };
                entry(meta, (role, own), settings, root, &mut names)
            }
            None => Guard::refused(format!("snapshot {id} has no readable meta file"))
                .next("rootctl snap list")
                .err(),
        };
        match (entry, role) {
            (Ok(entry), _) => menu.entries.push(entry),
            (Err(error), Role::Good | Role::Trial) => return Err(error),
            // The menu does without a choice that would not boot.
            (Err(_), Role::Previous | Role::Pinned) => {}
        }
    }
    Ok(menu)
}

/// What a trial adds to its command line.
fn trial_words(trial: &Trial) -> String {
    match &trial.disarm {
        Some(place) => format!("{TRIAL_WORDS} rootctl.disarm={place}"),
        None => TRIAL_WORDS.to_owned(),
    }
}

fn entry(
    meta: &Meta,
    (role, words): (Role, &str),
    settings: &Settings,
    root: &str,
    names: &mut BTreeMap<String, String>,
) -> Result<MenuEntry> {
    let id = meta.id;
    let Some(kernel) = &meta.kernel else {
        return Guard::refused(format!("snapshot {id} has no kernel and cannot be booted"))
            .next("rootctl run … -- apt-get install a kernel")
            .err();
    };
    let mode = settings.mode_of(id)?;
    let extra = format!("{} {} {words}", settings.cmdline, meta.cmdline);
    let line = cmdline::render(&RootDevice::Uuid(root.to_owned()), id, &mode, &extra);
    check_cmdline(&line)?;
    Ok(MenuEntry {
        id,
        role,
        name: meta.name.as_ref().map(ToString::to_string),
        note: meta.note.clone(),
        cmdline: line,
        kernel: file(&kernel.vmlinuz, "vmz", names)?,
        initrd: file(&kernel.initrd, "ird", names)?,
    })
}

/// Names a file by its content. Two contents that share their first digits get different parts of their hash.
fn file(boot: &BootFile, ending: &str, names: &mut BTreeMap<String, String>) -> Result<EspFile> {
    let hash = &boot.blake2b;
    let legal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if hash.len() != 128 || !hash.bytes().all(legal) {
        return Guard::refused(format!(
            "{hash:?} is no BLAKE2b-512 in hex; the meta file is damaged"
        ))
        .next("rootctl snap list")
        .err();
    }
    for start in (0..hash.len()).step_by(8) {
        let part = hash.get(start..start + 8).unwrap_or_default();
        let name = format!("{part}.{ending}");
        if names.entry(name.clone()).or_insert_with(|| hash.clone()) == hash {
            return Ok(EspFile {
                name,
                blake2b: hash.clone(),
                size: boot.size,
            });
        }
    }
    Guard::failed("no free name for a boot file").err()
}

/// Words that survive every loader: GRUB escapes quotes and backslashes on their way to the kernel, Limine expands `${…}`.
pub(crate) fn check_cmdline(line: &str) -> Result<()> {
    let bad = line.chars().find(|c| {
        !(c.is_ascii_graphic() || *c == ' ') || matches!(c, '"' | '\'' | '\\' | '`' | '$')
    });
    if let Some(bad) = bad {
        return Guard::usage(format!(
            "the kernel command line may hold printable ASCII without quotes, backslashes and $; it has {bad:?}"
        ))
        .err();
    }
    // The kernel cuts at 2048 bytes on x86 (COMMAND_LINE_SIZE), Limine at 4095.
    if line.len() > 2000 {
        return Guard::usage(format!(
            "the kernel command line has {} bytes, at most 2000 fit",
            line.len()
        ))
        .err();
    }
    Ok(())
}

/// The last `console=ttySN[,SPEED…]` of a command line.
fn serial(cmdline: &str) -> Option<Serial> {
    let word = cmdline
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("console=ttyS"))
        .next_back()?;
    let (unit, options) = word.split_once(',').unwrap_or((word, ""));
    let speed: String = options.chars().take_while(char::is_ascii_digit).collect();
    Some(Serial {
        unit: unit.parse().ok()?,
        speed: speed.parse().unwrap_or(115_200),
    })
}

impl MenuEntry {
    /// The entry's stable name: what a one-shot names on every version of a loader.
    pub(crate) fn title(id: SnapshotId) -> String {
        format!("rootctl {id}")
    }

    /// A line for people behind the title: name, role and note, in characters no loader minds.
    fn remark(&self) -> String {
        let mut words: Vec<String> = self.name.iter().cloned().collect();
        words.push(self.role.words().to_owned());
        if !self.note.is_empty() {
            words.push(self.note.clone());
        }
        let text = words.join(", ");
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || " .,:-_()".contains(c) {
                c
            } else {
                '?'
            }
        };
        text.chars().map(plain).take(120).collect()
    }
}

impl Menu {
    /// The entries, the good one first.
    pub(crate) fn entries(&self) -> &[MenuEntry] {
        &self.entries
    }

    /// All files the menu names, each once.
    pub(crate) fn files(&self) -> Vec<EspFile> {
        let all = self.entries.iter().flat_map(|e| [&e.kernel, &e.initrd]);
        let mut files: Vec<EspFile> = all.cloned().collect();
        files.sort();
        files.dedup();
        files
    }

    /// The same menu with `trial` as its default, if `live`, the menu it replaces, has that: to make a menu anew neither
    /// arms a trial nor disarms one.
    pub(crate) fn armed_like(mut self, live: &str, trial: Option<&Trial>) -> Self {
        let armed =
            trial.filter(|trial| trial.disarm.is_some() && by_menu::is_armed(live, trial.id));
        let place = armed.and_then(|trial| self.entries.iter().position(|e| e.id == trial.id));
        if let Some(number) = place.and_then(|at| u8::try_from(at.checked_add(1)?).ok()) {
            self.default = number;
        }
        self
    }

    /// The text in the loader's language.
    pub(crate) fn render(&self) -> String {
        match self.loader {
            Loader::Grub => grub::render(self),
            Loader::Limine => limine::render(self),
        }
    }

    fn first_line(&self) -> String {
        owner::first_line(&self.store)
    }

    fn trial(&self) -> Option<&MenuEntry> {
        self.entries.iter().find(|entry| entry.role == Role::Trial)
    }
}

/// Path of a file of ours on the ESP.
fn path(file: &EspFile) -> String {
    format!("/{}/{}", esp::DIR, file.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;
    use rootspec::cmdline::{Cmdline, Mode, SnapshotRequest};
    use rootspec::trial::reject;

    const ROOT: &str = "0a1b2c3d-0000-1111-2222-333344445555";

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    pub(super) fn settings(loader: Loader) -> Settings {
        Settings::new(loader, "quiet console=ttyS0,115200n8", &Mode::Ro)
    }

    /// Good 2, previous 1, trial 3, pin 4: everything a menu can hold.
    pub(super) fn full(loader: Loader) -> Menu {
        let state = State {
            good: Some(id(2)),
            previous: Some(id(1)),
            pins: vec![id(4), id(2)],
            trial: Some(Trial::armed(id(3), 2)),
            ..State::empty()
        };
        let mut metas: Vec<Meta> = (1..=4).map(meta).collect();
        metas[1].name = "web".parse().ok();
        metas[2].note = "nginx; \"new\" \u{e9}".into();
        let mut settings = settings(loader);
        settings.modes.insert("4".into(), "tmpfs".into());
        plan(&state, metas.iter(), &settings, ROOT).unwrap()
    }

    /// Compares with a stored file, so that a change of wording is a visible choice. With `ROOTCTL_WRITE_GOLDEN=1` the
    /// stored file is written instead: look at the difference before it is committed.
    pub(super) fn must_be_stored(name: &str, text: &str) {
        let path = format!("{}/../limine/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("ROOTCTL_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(
            text,
            std::fs::read_to_string(&path).unwrap(),
            "{name} differs"
        );
    }

    fn ids(menu: &Menu) -> Vec<u32> {
        menu.entries().iter().map(|entry| entry.id.get()).collect()
    }

    #[test]
    fn the_good_one_is_first_and_nothing_is_shown_twice() {
        assert_eq!(ids(&full(Loader::Grub)), [2, 1, 3, 4]);
    }

    #[test]
    fn what_the_menu_says_is_what_the_boot_stage_reads() {
        for entry in full(Loader::Grub).entries() {
            let read = Cmdline::parse(&entry.cmdline);
            assert_eq!(read.snap, Some(SnapshotRequest::Id(entry.id)));
            assert_eq!(read.root, Some(RootDevice::Uuid(ROOT.into())));
            assert_eq!(read.is_counted_try(), entry.role == Role::Trial);
            assert_eq!(read.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn a_failed_trial_leaves_the_menu() {
        let state = State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), 1)),
            ..State::empty()
        };
        let metas = [meta(1), meta(2)];
        let settings = settings(Loader::Limine);
        let menu = |state: &State| plan(state, metas.iter(), &settings, ROOT).unwrap();
        assert_eq!(ids(&menu(&state)), [1, 2]);
        assert_eq!(ids(&menu(&reject(&state, id(2), "no").unwrap())), [1]);
    }

    #[test]
    fn a_menu_made_anew_is_armed_like_the_one_it_replaces() {
        let mut state = State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), 1)),
            ..State::empty()
        };
        let metas: Vec<Meta> = (1..=4).map(meta).collect();
        let settings = settings(Loader::Limine);
        let menu = |state: &State, live: &str| {
            let menu = plan(state, metas.iter(), &settings, ROOT).unwrap();
            menu.armed_like(live, state.trial.as_ref()).render()
        };
        let armed = |text: &str| text.replace("default_entry: 1", "default_entry: 2");
        let before = menu(&state, "");
        assert_eq!(
            menu(&state, &armed(&before)),
            before,
            "no word to disarm it"
        );
        state.trial.as_mut().unwrap().disarm = "0a-0b:/EFI/BOOT/limine.conf".parse().ok();
        let before = menu(&state, "");
        assert!(
            before
                .contains("oops=panic rootctl.trial rootctl.disarm=0a-0b:/EFI/BOOT/limine.conf\n")
        );
        assert_eq!(before.matches("rootctl.disarm").count(), 1);
        assert_eq!(menu(&state, &before), before);
        assert_eq!(menu(&state, &armed(&before)), armed(&before));
        // Its place may change, and another trial is not meant.
        state.previous = Some(id(3));
        let moved = menu(&state, &armed(&before));
        assert!(moved.contains("default_entry: 3\n") && by_menu::is_armed(&moved, id(2)));
        state.trial.as_mut().unwrap().id = id(4);
        assert!(menu(&state, &moved).contains("default_entry: 1\n"));
    }

    #[test]
    fn a_trial_of_the_previous_one_is_one_entry() {
        let state = State {
            good: Some(id(2)),
            previous: Some(id(1)),
            trial: Some(Trial::armed(id(1), 2)),
            ..State::empty()
        };
        let metas = [meta(1), meta(2)];
        let menu = plan(&state, metas.iter(), &settings(Loader::Grub), ROOT).unwrap();
        assert_eq!(ids(&menu), [2, 1]);
        assert_eq!(menu.trial().unwrap().id, id(1));
    }

    #[test]
    fn an_unbootable_good_or_trial_is_refused_and_an_unbootable_choice_is_left_out() {
        let state = State {
            good: Some(id(2)),
            previous: Some(id(1)),
            ..State::empty()
        };
        let settings = settings(Loader::Grub);
        let only_good = [meta(2)];
        let menu = plan(&state, only_good.iter(), &settings, ROOT).unwrap();
        assert_eq!(ids(&menu), [2]);
        let mut no_kernel = meta(2);
        no_kernel.kernel = None;
        let error = plan(&state, [no_kernel].iter(), &settings, ROOT).unwrap_err();
        assert!(
            error.to_string().contains("snapshot 2 has no kernel"),
            "{error}"
        );
        assert!(plan(&state, [].iter(), &settings, ROOT).is_err());
        assert!(plan(&State::empty(), [].iter(), &settings, ROOT).is_err());
    }

    #[test]
    fn contents_that_share_their_first_digits_get_different_names() {
        let hash = |end: &str| format!("{}{end}", "0123abcd".repeat(15));
        let boot = |hash: String| BootFile {
            blake2b: hash,
            size: 1,
        };
        let mut names = BTreeMap::new();
        let one = file(&boot(hash("00000001")), "vmz", &mut names).unwrap();
        let two = file(&boot(hash("00000002")), "vmz", &mut names).unwrap();
        let again = file(&boot(hash("00000001")), "vmz", &mut names).unwrap();
        assert_eq!(
            (one.name.as_str(), two.name.as_str()),
            ("0123abcd.vmz", "00000002.vmz")
        );
        assert_eq!(one, again);
    }

    #[test]
    fn hashes_and_command_lines_that_could_break_a_menu_are_refused() {
        for bad in ["", "zz", "../../../x", &"A".repeat(128)] {
            let boot = BootFile {
                blake2b: bad.into(),
                size: 1,
            };
            assert!(file(&boot, "vmz", &mut BTreeMap::new()).is_err(), "{bad}");
        }
        for bad in [
            "a\nb",
            "a\"b",
            "a'b",
            "a\\b",
            "a=$x",
            "caf\u{e9}",
            &"x ".repeat(1500),
        ] {
            assert!(check_cmdline(bad).is_err(), "{bad}");
        }
        assert!(check_cmdline("root=UUID=1 a=b;{c} |&<>#!~").is_ok());
    }

    #[test]
    fn serial_lines_are_taken_from_the_command_line() {
        assert_eq!(
            serial("quiet console=tty0 console=ttyS1,9600n8"),
            Some(Serial {
                unit: 1,
                speed: 9600
            })
        );
        assert_eq!(
            serial("console=ttyS0"),
            Some(Serial {
                unit: 0,
                speed: 115_200
            })
        );
        assert_eq!(serial("console=tty0 console=ttySx"), None);
    }
}

//! Telling the loader to try an entry: GRUB by its environment block on the ESP, Limine by an EFI variable, or where it
//! knows none by its menu (`by_menu`).
//!
//! GRUB counts the tries itself. Limine erases the variable when it reads it, and the boot stage puts the menu back: so
//! each further try must be armed anew by whoever counted the last one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::limine::MenuPlace;
use rootspec::paths::esp;
use rootspec::trial::{DEFAULT_TRIES, Trial};
use sys::efivar::{self, EfiVariables, Variable};

use crate::by_menu;
use crate::esp::{menu_files, write_new};
use crate::guard::Guard;
use crate::menu::MenuEntry;
use crate::site::Site;
use crate::store::settings::{Loader, Settings};

/// In GRUB's environment block: which snapshot is on trial.
pub(crate) const GRUB_TRIAL: &str = "rootctl_trial";
/// And how often GRUB may still enter it.
pub(crate) const GRUB_TRIES: &str = "rootctl_tries";
/// GRUB's shell has no arithmetic; its menu counts down by comparing digits.
pub(crate) const MOST_TRIES: u8 = 9;

/// The environment block is this long, always: GRUB overwrites it in place.
const BLOCK: usize = 1024;
/// Its first line (GRUB manual, "The GRUB environment block").
const BLOCK_START: &str = "# GRUB Environment Block\n";

/// EFI variables of the Boot Loader Interface.
const ONE_SHOT: &str = "LoaderEntryOneShot";
const FEATURES: &str = "LoaderFeatures";
/// Bit 3 of `LoaderFeatures`: the loader honours `LoaderEntryOneShot`.
const FEATURE_ONE_SHOT: u64 = 1 << 3;

/// The way to tell the loader, known to work.
#[derive(Debug)]
pub(crate) enum OneShot {
    /// Through this file on the ESP.
    Grub(PathBuf),
    /// Through this machine's variables.
    Limine(EfiVariables),
    /// Through the default of this menu, for a Limine without such variables.
    LimineMenu(PathBuf),
}

impl OneShot {
    /// Finds the way for this loader; refuses where there is none, before anything is written.
    pub(crate) fn find(settings: &Settings, esp_dir: &Path, site: &Site) -> Result<Self> {
        match settings.loader {
            Loader::Grub => Ok(grub(esp_dir)),
            Loader::Limine => Ok(match variables(site)?.filter(knows_one_shot) {
                Some(variables) => Self::Limine(variables),
                None => Self::LimineMenu(menu_files(esp_dir, settings).live),
            }),
        }
    }

    /// The way in which `trial` was armed, for taking that back: `None` where that cannot be done from here.
    pub(crate) fn of(
        trial: Option<&Trial>,
        settings: &Settings,
        esp_dir: &Path,
        site: &Site,
    ) -> Option<Self> {
        let by_menu = trial.is_some_and(|trial| trial.disarm.is_some());
        match settings.loader {
            Loader::Grub => Some(grub(esp_dir)),
            Loader::Limine if by_menu => {
                let menu = menu_files(esp_dir, settings).live;
                by_menu::is_of(&menu, &site.uuid).then_some(Self::LimineMenu(menu))
            }
            Loader::Limine => variables(site).ok().flatten().map(Self::Limine),
        }
    }

    /// Tries given when nobody says otherwise. A menu that is put back on arrival is armed once: any reset after that
    /// leads to the good snapshot.
    pub(crate) fn usual_tries(&self) -> u8 {
        match self {
            Self::Grub(_) | Self::Limine(_) => DEFAULT_TRIES,
            Self::LimineMenu(_) => 1,
        }
    }

    /// What the boot stage has to put back when it arrives in the trial.
    pub(crate) fn disarm(&self, esp_dir: &Path) -> Result<Option<MenuPlace>> {
        match self {
            Self::Grub(_) | Self::Limine(_) => Ok(None),
            Self::LimineMenu(menu) => by_menu::place(esp_dir, menu).map(Some),
        }
    }

    /// Says it: enter `id` up to `tries` times. Touches the disk or the firmware's flash.
    pub(crate) fn arm(&self, id: SnapshotId, tries: u8) -> Result<()> {
        match self {
            Self::Grub(block) => {
                let pairs = [
                    (GRUB_TRIAL, Some(id.to_string())),
                    (GRUB_TRIES, Some(tries.min(MOST_TRIES).to_string())),
                ];
                update_block(block, &pairs)
            }
            Self::Limine(variables) => {
                let value = Variable {
                    attributes: efivar::PERSISTENT,
                    data: efivar::to_utf16(&MenuEntry::title(id)),
                };
                // Flash wears out: a variable that says it already is left alone.
                if variables.read(ONE_SHOT, efivar::LOADER)?.as_ref() == Some(&value) {
                    return Ok(());
                }
                Ok(variables.write(ONE_SHOT, efivar::LOADER, &value)?)
            }
            Self::LimineMenu(menu) => by_menu::arm(menu, id),
        }
    }

    /// Takes it back. Writes only if there is something to take back.
    pub(crate) fn clear(&self) -> Result<()> {
        match self {
            Self::Grub(block) => {
                if read_block(block)?.contains_key(GRUB_TRIAL) {
                    update_block(block, &[(GRUB_TRIAL, None), (GRUB_TRIES, None)])?;
                }
                Ok(())
            }
            Self::Limine(variables) => Ok(variables.delete(ONE_SHOT, efivar::LOADER)?),
            Self::LimineMenu(menu) => by_menu::clear(menu),
        }
    }

    /// How often the loader will still enter `id` by itself.
    pub(crate) fn tries_left(&self, id: SnapshotId) -> Result<u8> {
        match self {
            Self::Grub(block) => {
                let pairs = read_block(block)?;
                let ours = pairs.get(GRUB_TRIAL).is_some_and(|t| *t == id.to_string());
                let tries = pairs.get(GRUB_TRIES).and_then(|n| n.parse().ok());
                Ok(tries.filter(|_| ours).unwrap_or(0))
            }
            Self::Limine(variables) => {
                let value = variables.read(ONE_SHOT, efivar::LOADER)?;
                let named = value.map(|variable| efivar::from_utf16(&variable.data));
                Ok(u8::from(named == Some(MenuEntry::title(id))))
            }
            Self::LimineMenu(menu) => Ok(u8::from(by_menu::starts(menu, id)?)),
        }
    }

    /// What it is, for the list of steps.
    pub(crate) fn words(&self, id: SnapshotId, tries: u8) -> String {
        match self {
            Self::Grub(_) => format!("tell GRUB to enter snapshot {id} up to {tries} times"),
            Self::Limine(_) => format!("tell Limine to enter snapshot {id} at the next boot"),
            Self::LimineMenu(_) => format!(
                "make snapshot {id} the default of Limine's menu, until its boot stage takes that back: if its kernel \
                 stops before that, every reset starts it again"
            ),
        }
    }
}

fn grub(esp_dir: &Path) -> OneShot {
    OneShot::Grub(esp_dir.join(esp::DIR).join(esp::GRUB_ENV))
}

/// This machine's variables, if they belong to the store's loader; `None` on a machine without EFI.
fn variables(site: &Site) -> Result<Option<EfiVariables>> {
    if !site.is_running {
        if let (true, Some(dir)) = (cfg!(debug_assertions), std::env::var_os("ROOTCTLD_EFIVARS")) {
            return Ok(Some(EfiVariables::at(PathBuf::from(dir))));
        }
        return Guard::refused(
            "a trial under Limine is armed on the machine that boots it, and this store is not the running one",
        )
        .next("run `rootctl deploy` on that machine, or use `rootctl rollback N` to make N the default")
        .err();
    }
    if let Some(found) = EfiVariables::of_this_machine() {
        return Ok(Some(found));
    }
    // Nobody has mounted them yet: then our own mount namespace does.
    if Path::new(efivar::DIR).is_dir() {
        drop(sys::mount::mount(
            "efivarfs",
            efivar::DIR,
            sys::mount::Attributes::NONE,
            "",
        ));
    }
    Ok(EfiVariables::of_this_machine())
}

/// True if the loader that wrote these variables honours a one-shot; Limine does from 11.4 on.
fn knows_one_shot(variables: &EfiVariables) -> bool {
    let features = variables.read(FEATURES, efivar::LOADER).ok().flatten();
    let bits = features
        .and_then(|v| v.data.first_chunk::<8>().copied())
        .map_or(0, u64::from_le_bytes);
    bits & FEATURE_ONE_SHOT != 0
}

/// The pairs of an environment block; a file that is none has no pairs.
fn parse_block(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let Some(rest) = text.strip_prefix(BLOCK_START) else {
        return BTreeMap::new();
    };
    rest.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The block that holds these pairs.
fn render_block(pairs: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut text = BLOCK_START.to_owned();
    for (key, value) in pairs {
        text.push_str(&format!("{key}={value}\n"));
    }
    let mut block = text.into_bytes();
    anyhow::ensure!(
        block.len() <= BLOCK,
        "GRUB's environment block would have {} bytes, {BLOCK} fit",
        block.len()
    );
    block.resize(BLOCK, b'#');
    Ok(block)
}

fn read_block(path: &Path) -> Result<BTreeMap<String, String>> {
    match sys::fs::read(path, BLOCK as u64 * 64) {
        Ok(bytes) if bytes.len() == BLOCK => Ok(parse_block(&bytes)),
        // Of another length it is none that GRUB would write.
        Ok(_) => Ok(BTreeMap::new()),
        Err(error) if error.is_absent() => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// Sets or removes pairs; those of others stay.
fn update_block(path: &Path, changes: &[(&str, Option<String>)]) -> Result<()> {
    let mut pairs = read_block(path)?;
    for (key, value) in changes {
        match value {
            Some(value) => pairs.insert((*key).to_owned(), value.clone()),
            None => pairs.remove(*key),
        };
    }
    let block = render_block(&pairs)?;
    let dir = path.parent().context("the block has a folder")?;
    match path.metadata() {
        // Two sectors in place: never torn in any power cut that was replayed.
        Ok(found) if found.len() == BLOCK as u64 => sys::fs::write_slot(path, 0, &block)?,
        Ok(_) => {
            std::fs::remove_file(path)
                .with_context(|| format!("cannot replace {}", path.display()))?;
            sys::fs::fat_barrier(dir)?;
            write_new(path, &block)?;
        }
        Err(_) => write_new(path, &block)?,
    }
    Ok(sys::fs::fat_barrier(dir)?)
}

/// An environment block without pairs: made when the menu is installed, so that GRUB can write it.
pub(crate) fn create_block(path: &Path) -> Result<()> {
    if path
        .metadata()
        .is_ok_and(|found| found.len() == BLOCK as u64)
    {
        return Ok(());
    }
    update_block(path, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    #[test]
    fn a_block_is_always_1024_bytes_and_keeps_pairs_of_others() {
        let dir = TestDir::new("grubenv");
        let path = dir.path().join("grubenv");
        std::fs::write(
            &path,
            render_block(&BTreeMap::from([("saved_entry".into(), "x".into())])).unwrap(),
        )
        .unwrap();
        let grub = OneShot::Grub(path.clone());
        grub.arm(id(7), 3).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1024);
        assert!(bytes.starts_with(
            b"# GRUB Environment Block\nrootctl_trial=7\nrootctl_tries=3\nsaved_entry=x\n####"
        ));
        assert_eq!(
            (
                grub.tries_left(id(7)).unwrap(),
                grub.tries_left(id(8)).unwrap()
            ),
            (3, 0)
        );
        grub.clear().unwrap();
        assert_eq!(grub.tries_left(id(7)).unwrap(), 0);
        assert_eq!(parse_block(&std::fs::read(&path).unwrap()).len(), 1);
    }

    #[test]
    fn an_absent_or_cut_block_is_made_anew() {
        let dir = TestDir::new("grubenv-cut");
        let path = dir.path().join("grubenv");
        let grub = OneShot::Grub(path.clone());
        assert_eq!(grub.tries_left(id(1)).unwrap(), 0);
        grub.clear().unwrap();
        assert!(!path.exists(), "nothing to clear, nothing written");
        for content in [None, Some("short"), Some("")] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            grub.arm(id(1), 2).unwrap();
            assert_eq!(std::fs::read(&path).unwrap().len(), BLOCK);
            assert_eq!(grub.tries_left(id(1)).unwrap(), 2);
        }
    }

    #[test]
    fn more_pairs_than_fit_are_refused() {
        let pairs = (0..100)
            .map(|n| (format!("key{n}"), "some value".to_owned()))
            .collect();
        assert!(render_block(&pairs).is_err());
    }

    fn limine(dir: &TestDir, features: u64) -> EfiVariables {
        let variables = EfiVariables::at(dir.path());
        let value = Variable {
            attributes: 6,
            data: features.to_le_bytes().to_vec(),
        };
        variables.write(FEATURES, efivar::LOADER, &value).unwrap();
        variables
    }

    #[test]
    fn limine_gets_the_entrys_title_as_utf16_with_a_nul() {
        let dir = TestDir::new("oneshot");
        let variables = limine(&dir, 0x200f);
        assert!(knows_one_shot(&variables));
        let one_shot = OneShot::Limine(variables.clone());
        one_shot.arm(id(12), 2).unwrap();
        let set = variables.read(ONE_SHOT, efivar::LOADER).unwrap().unwrap();
        assert_eq!(set.attributes, 7);
        assert_eq!(set.data.len(), ("rootctl 12".len() + 1) * 2);
        assert_eq!(
            (
                one_shot.tries_left(id(12)).unwrap(),
                one_shot.tries_left(id(1)).unwrap()
            ),
            (1, 0)
        );
        one_shot.clear().unwrap();
        assert_eq!(one_shot.tries_left(id(12)).unwrap(), 0);
    }

    #[test]
    fn a_loader_without_one_shot_is_known_by_its_features() {
        let dir = TestDir::new("oneshot-old");
        assert!(!knows_one_shot(&limine(&dir, 0x7)));
        assert!(!knows_one_shot(&EfiVariables::at("/no/such/place")));
    }
}

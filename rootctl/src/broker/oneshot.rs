//! Telling the loader to try an entry: GRUB by its environment block on the ESP, Limine by an EFI variable.
//!
//! GRUB counts the tries itself. Limine erases the variable when it reads it, so each further try must be armed anew by
//! whoever counted the last one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::esp;
use sys::efivar::{self, EfiVariables, Variable};

use crate::esp::write_new;
use crate::guard::Guard;
use crate::menu::MenuEntry;
use crate::site::Site;
use crate::store::settings::Loader;

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
}

impl OneShot {
    /// Finds the way for this loader; refuses where there is none, before anything is written.
    pub(crate) fn find(loader: Loader, esp_dir: &Path, site: &Site) -> Result<Self> {
        match loader {
            Loader::Grub => Ok(Self::Grub(esp_dir.join(esp::DIR).join(esp::GRUB_ENV))),
            Loader::Limine => {
                let variables = variables(site)?;
                must_know_one_shot(&variables)?;
                Ok(Self::Limine(variables))
            }
        }
    }

    /// As [`OneShot::find`] for taking a one-shot back: `None` where there cannot be one.
    pub(crate) fn find_to_clear(loader: Loader, esp_dir: &Path, site: &Site) -> Option<Self> {
        match loader {
            Loader::Grub => Self::find(loader, esp_dir, site).ok(),
            Loader::Limine => variables(site).ok().map(Self::Limine),
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
        }
    }

    /// What it is, for the list of steps.
    pub(crate) fn words(&self, id: SnapshotId, tries: u8) -> String {
        match self {
            Self::Grub(_) => format!("tell GRUB to enter snapshot {id} up to {tries} times"),
            Self::Limine(_) => format!("tell Limine to enter snapshot {id} at the next boot"),
        }
    }
}

/// This machine's variables, if they belong to the store's loader.
fn variables(site: &Site) -> Result<EfiVariables> {
    if !site.is_running {
        if let (true, Some(dir)) = (cfg!(debug_assertions), std::env::var_os("ROOTCTLD_EFIVARS")) {
            return Ok(EfiVariables::at(PathBuf::from(dir)));
        }
        return Guard::refused(
            "a trial under Limine is armed by an EFI variable of the machine that boots it, and this store is not the running one",
        )
        .next("run `rootctl deploy` on that machine, or use `rootctl rollback N` to make N the default")
        .err();
    }
    if let Some(found) = EfiVariables::of_this_machine() {
        return Ok(found);
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
    EfiVariables::of_this_machine().ok_or_else(|| {
        Guard::refused("Limine tries an entry through an EFI variable, and this machine was not started by EFI")
            .next("use GRUB on BIOS machines, or `rootctl rollback N` to make N the default")
            .into()
    })
}

fn must_know_one_shot(variables: &EfiVariables) -> Result<()> {
    let features = variables.read(FEATURES, efivar::LOADER)?;
    let bits = features
        .and_then(|v| v.data.first_chunk::<8>().copied())
        .map_or(0, u64::from_le_bytes);
    if bits & FEATURE_ONE_SHOT != 0 {
        return Ok(());
    }
    Guard::refused("the running boot loader cannot try an entry once (LoaderFeatures lacks bit 3); Limine can from 11.4 on")
        .next("update Limine, or use `rootctl rollback N` to make N the default without a trial")
        .err()
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
        must_know_one_shot(&variables).unwrap();
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
    fn a_loader_without_one_shot_is_refused_with_the_reason() {
        let dir = TestDir::new("oneshot-old");
        for variables in [limine(&dir, 0x7), EfiVariables::at("/no/such/place")] {
            let error = must_know_one_shot(&variables).unwrap_err().to_string();
            assert!(error.contains("bit 3") && error.contains("11.4"), "{error}");
        }
    }
}

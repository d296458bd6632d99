//! `settings.toml` in the store: what every boot entry shares. Replaced as a whole, by rename.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::cmdline::Mode;
use rootspec::spot::{Spot, read_toml};
use serde::{Deserialize, Serialize};

use crate::guard::Guard;
use crate::store::{Store, StoreLock};

/// Its name in the store.
const FILE: &str = "settings.toml";
/// Largest file that is read, in bytes.
const LIMIT: u64 = 64 * 1024;
/// Seconds the menu is shown.
const TIMEOUT: u32 = 2;

/// The content of `settings.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Version of the format.
    pub(crate) schema: u32,
    /// Whose menu is written.
    pub(crate) loader: Loader,
    /// Words of every kernel command line, behind ours.
    pub(crate) cmdline: String,
    /// Mode of entries that have none of their own, as on the command line.
    pub(crate) mode: String,
    /// Seconds the menu is shown.
    #[serde(default = "timeout")]
    pub(crate) timeout: u32,
    /// Folder of Limine's menu on the ESP: beside its EFI file, so that nothing can shadow it.
    #[serde(default = "limine_dir")]
    pub(crate) limine_dir: String,
    /// Modes of deployments that were given one, by id.
    #[serde(default)]
    pub(crate) modes: BTreeMap<String, String>,
}

/// Boot loaders whose menus we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Loader {
    /// GRUB.
    Grub,
    /// Limine.
    Limine,
}

impl Loader {
    /// Its name in answers and settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::Limine => "limine",
        }
    }

    /// From its name.
    pub(crate) fn from_name(name: &str) -> Result<Self> {
        match name {
            "grub" => Ok(Self::Grub),
            "limine" => Ok(Self::Limine),
            other => Guard::usage(format!(
                "{other:?} is no loader we know: use grub or limine"
            ))
            .err(),
        }
    }
}

fn timeout() -> u32 {
    TIMEOUT
}

fn limine_dir() -> String {
    "EFI/BOOT".to_owned()
}

impl Settings {
    /// Version written by this program.
    const SCHEMA: u32 = 1;

    /// Settings of a new store.
    pub(crate) fn new(loader: Loader, cmdline: &str, mode: &Mode) -> Self {
        Self {
            schema: Self::SCHEMA,
            loader,
            cmdline: cmdline.to_owned(),
            mode: mode.to_string(),
            timeout: TIMEOUT,
            limine_dir: limine_dir(),
            modes: BTreeMap::new(),
        }
    }

    /// Reads the text of `file`.
    fn from_toml(file: &str, text: &str) -> Result<Self, Spot> {
        read_toml(file, text, Self::SCHEMA)
    }

    /// Reads the store's settings.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let path = store.path(FILE);
        let text = sys::fs::read_text(&path, LIMIT)?;
        Self::from_toml(&path.display().to_string(), &text)
            .map_err(anyhow::Error::new)
            .context(
                Guard::failed("the store's settings cannot be used")
                    .next("repair the file, then repeat the command"),
            )
    }

    /// Replaces the store's settings, durably.
    pub(crate) fn save(&self, store: &Store, _lock: &StoreLock) -> Result<()> {
        let text = toml::to_string(self).context("cannot write the settings")?;
        sys::fs::write_atomic(store.path(FILE), text.as_bytes(), 0o600)?;
        Ok(())
    }

    /// The mode of a snapshot's entry.
    pub(crate) fn mode_of(&self, id: SnapshotId) -> Result<Mode> {
        let text = self.modes.get(&id.to_string()).unwrap_or(&self.mode);
        parse_mode(text)
    }
}

/// Reads a mode as typed.
pub(crate) fn parse_mode(text: &str) -> Result<Mode> {
    text.parse().map_err(|()| {
        Guard::usage(format!(
            "{text:?} is no mode: use ro, tmpfs[:size=50%], persist:NAME, rw or image"
        ))
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_file_and_old_files_lack_fields() {
        let mut settings = Settings::new(Loader::Limine, "quiet", &Mode::Ro);
        settings.modes.insert("3".into(), "tmpfs".into());
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(Settings::from_toml("s", &text).unwrap(), settings);
        let old = "schema = 1\nloader = \"grub\"\ncmdline = \"\"\nmode = \"ro\"\n";
        assert_eq!(Settings::from_toml("s", old).unwrap().timeout, TIMEOUT);
    }

    #[test]
    fn damage_is_shown_with_its_place_and_the_future_is_named() {
        let bad = "schema = 1\nloader = \"lilo\"\n";
        let error = Settings::from_toml("s", bad).unwrap_err().to_string();
        assert!(error.contains("s:2:10") && error.contains('^'), "{error}");
        let error = Settings::from_toml("s", "schema = 7")
            .unwrap_err()
            .to_string();
        assert!(error.contains("format 7"), "{error}");
    }

    #[test]
    fn a_deployments_own_mode_wins() {
        let mut settings = Settings::new(Loader::Grub, "", &Mode::Ro);
        settings.modes.insert("3".into(), "rw".into());
        let id = |n| SnapshotId::new(n).unwrap();
        assert_eq!(settings.mode_of(id(3)).unwrap(), Mode::Rw);
        assert_eq!(settings.mode_of(id(4)).unwrap(), Mode::Ro);
        assert!(parse_mode("../x").is_err());
    }
}

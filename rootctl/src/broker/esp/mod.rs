//! Files on the ESP: boot files copied once under names made of their content, menus exchanged as a whole.
//!
//! | open | for |
//! |---|---|
//! | `copies` | kernels and initramfs: written, read back, collected when nothing names them |
//! | `exchange` | the menu: two complete files exchanged, with barriers |
//! | `named` | which boot files the menus on the ESP name, whoever wrote them |
//! | `shadow` | other configs of Limine that would be read instead of ours |
//!
//! The rules come from replayed power cuts on FAT: no name that something on disk refers to is ever renamed over or
//! removed, and nothing counts as written before a barrier.

pub(crate) mod copies;
pub(crate) mod exchange;
pub(crate) mod named;
pub(crate) mod shadow;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::paths::esp as names;
use sys::space::Space;

use crate::menu::owner::{Claim, Taking};
use crate::store::settings::{Loader, Settings};

/// Largest menu that is read, in bytes.
const MENU_LIMIT: u64 = 1 << 20;

/// What is on the ESP, as far as a plan needs it.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Our boot files: name and size.
    pub(crate) present: BTreeMap<String, u64>,
    /// Its room.
    pub(crate) space: Space,
    /// Where the menu is, relative to the ESP.
    pub(crate) place: String,
    /// The live menu.
    pub(crate) live: Option<String>,
    /// True if the exchange partner of the menu exists already.
    pub(crate) has_partner: bool,
    /// Configs that would be read instead of ours, relative to the ESP.
    pub(crate) shadows: Vec<String>,
}

/// Where the menu and its exchange partner are.
#[derive(Debug, Clone)]
pub(crate) struct MenuFiles {
    /// The folder that holds both.
    pub(crate) dir: PathBuf,
    /// What the loader reads.
    pub(crate) live: PathBuf,
    /// The same, relative to the ESP, for people.
    pub(crate) place: String,
    /// What it does not.
    pub(crate) partner: PathBuf,
}

/// The menu's place for these settings.
pub(crate) fn menu_files(esp: &Path, settings: &Settings) -> MenuFiles {
    let (folder, live, partner) = match settings.loader {
        Loader::Grub => (names::DIR, names::GRUB_CFG, names::GRUB_ALT),
        Loader::Limine => (
            settings.limine_dir.as_str(),
            names::LIMINE_CONF,
            names::LIMINE_ALT,
        ),
    };
    let dir = esp.join(folder);
    MenuFiles {
        place: Path::new(folder).join(live).display().to_string(),
        live: dir.join(live),
        partner: dir.join(partner),
        dir,
    }
}

/// Our own folder.
pub(crate) fn own_dir(esp: &Path) -> PathBuf {
    esp.join(names::DIR)
}

/// Looks at the ESP. Writes nothing.
pub(crate) fn look(esp: &Path, settings: &Settings) -> Result<Facts> {
    let files = menu_files(esp, settings);
    let live = match sys::fs::read_text(&files.live, MENU_LIMIT) {
        Err(error) if error.is_absent() => None,
        other => Some(other?),
    };
    Ok(Facts {
        present: copies::present(&own_dir(esp))?,
        space: sys::space::of(esp)?,
        place: files.place,
        live,
        has_partner: files.partner.exists(),
        shadows: match settings.loader {
            Loader::Grub => Vec::new(),
            Loader::Limine => shadow::find(esp, &settings.limine_dir),
        },
    })
}

impl Facts {
    /// May the store of `claim` write the menu? Says whose place it takes.
    ///
    /// # Errors
    /// The live menu is another store's or somebody else's.
    pub(crate) fn may_be_written(&self, claim: &Claim) -> Result<Taking> {
        claim.on(self.live.as_deref().unwrap_or_default(), &self.place)
    }
}

/// Creates a file that must not exist, and syncs it. What was written of it before an error is taken away again.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let writing = || format!("cannot write {}", path.display());
    let mut file = std::fs::File::create_new(path).with_context(writing)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        drop(std::fs::remove_file(path));
    }
    written.with_context(writing)
}

/// Makes a folder on the ESP, and the ones above it, durably.
pub(crate) fn make_dir(esp: &Path, dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(sys::fs::fat_barrier(esp)?)
}

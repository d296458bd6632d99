//! Boot files that some menu on the ESP names. Several stores may share the folder of boot files, and so may the menus
//! of two loaders: what any of them names is kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::paths::esp as names;

use super::copies::is_ours;
use super::shadow::SEARCHED;
use crate::guard::words;
use crate::progress::log;

/// Largest menu that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Names of the boot files in all menus on the ESP that a loader may read; `None` if one of them cannot be read, so that
/// nobody knows.
pub(crate) fn by_any_menu(esp_dir: &Path) -> Option<BTreeSet<String>> {
    read_all(esp_dir)
        .inspect_err(|error| log(&format!("no boot file is removed: {}", words(error))))
        .ok()
}

fn read_all(esp_dir: &Path) -> Result<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    for path in menus(esp_dir)? {
        match sys::fs::read(&path, LIMIT) {
            Ok(bytes) => named.extend(in_text(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(named)
}

/// GRUB's menu, and all places for Limine's: those every version searches, and beside any EFI program.
fn menus(esp_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = SEARCHED.iter().map(|dir| esp_dir.join(dir)).collect();
    let programs = esp_dir.join("EFI");
    if programs.is_dir() {
        let listing = || format!("cannot list {}", programs.display());
        for entry in std::fs::read_dir(&programs).with_context(listing)? {
            folders.push(entry.with_context(listing)?.path());
        }
    }
    let limine = folders.into_iter().filter(|folder| folder.is_dir());
    let mut menus = vec![esp_dir.join(names::DIR).join(names::GRUB_CFG)];
    menus.extend(limine.map(|folder| folder.join(names::LIMINE_CONF)));
    Ok(menus)
}

/// The words of a text that are names of boot files.
fn in_text(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
        .map(str::to_ascii_lowercase)
        .filter(|word| is_ours(word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    #[test]
    fn names_are_found_as_both_loaders_write_them() {
        let text = "linux /rootctl/0000000A.vmz root=x\n initrd /rootctl/0000000b.ird\n\
                    kernel_path: boot():/rootctl/0000000c.vmz#0000000c00\nabc.vmz 0000000d.efi";
        let found: Vec<_> = in_text(text).into_iter().collect();
        assert_eq!(found, ["0000000a.vmz", "0000000b.ird", "0000000c.vmz"]);
    }

    #[test]
    fn every_place_of_a_menu_counts_and_one_that_cannot_be_read_stops_the_removal() {
        let dir = TestDir::new("named");
        assert_eq!(by_any_menu(dir.path()), Some(BTreeSet::new()));
        std::fs::create_dir_all(dir.path().join("EFI")).unwrap();
        std::fs::write(dir.path().join("EFI/startup.nsh"), "a file, no folder").unwrap();
        for (number, place) in [
            "rootctl/grub.cfg",
            "limine.conf",
            "EFI/BOOT/limine.conf",
            "EFI/other/limine.conf",
            "boot/limine/limine.conf",
        ]
        .iter()
        .enumerate()
        {
            let path = dir.path().join(place);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("/rootctl/0000000{number}.vmz")).unwrap();
            let named = by_any_menu(dir.path()).unwrap();
            assert!(named.contains(&format!("0000000{number}.vmz")), "{place}");
        }
        assert_eq!(by_any_menu(dir.path()).unwrap().len(), 5);
        std::fs::remove_file(dir.path().join("limine.conf")).unwrap();
        std::fs::create_dir(dir.path().join("limine.conf")).unwrap();
        assert_eq!(by_any_menu(dir.path()), None);
    }
}

//! Other configs of Limine. Which one wins depends on the version: up to 9 the root of the ESP came first, from 10.3 on
//! the folder of the EFI file. So a second one anywhere in reach is a menu that may appear instead of ours.

use std::path::Path;

use rootspec::paths::esp;

/// Folders that some version of Limine searches, relative to the ESP.
pub(super) const SEARCHED: [&str; 6] = [
    "",
    "limine",
    "boot",
    "boot/limine",
    "EFI/BOOT",
    "EFI/limine",
];

/// Configs in reach other than the one in `own`, relative to the ESP.
pub(crate) fn find(esp_dir: &Path, own: &str) -> Vec<String> {
    let own = normal(own);
    SEARCHED
        .iter()
        .filter(|dir| normal(dir) != own)
        .map(|dir| Path::new(dir).join(esp::LIMINE_CONF))
        .filter(|path| esp_dir.join(path).exists())
        .map(|path| path.display().to_string())
        .collect()
}

/// FAT does not tell upper from lower case.
fn normal(dir: &str) -> String {
    dir.trim_matches('/').to_ascii_lowercase()
}

/// The folder for our config: where one of Limine's files is already, else the fallback place of UEFI.
pub(crate) fn choose_dir(esp_dir: &Path) -> String {
    let has = |dir: &str, file: &str| esp_dir.join(dir).join(file).exists();
    // Beside the EFI file nothing can shadow it on current versions; the BIOS stage searches the same list without it.
    let candidates = [
        "EFI/BOOT",
        "EFI/limine",
        "boot/limine",
        "boot",
        "limine",
        "",
    ];
    let by = |file: &str| candidates.into_iter().find(|dir| has(dir, file));
    by(esp::LIMINE_CONF)
        .or_else(|| by("BOOTX64.EFI"))
        .or_else(|| by("limine-bios.sys"))
        .unwrap_or("EFI/BOOT")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    #[test]
    fn a_second_config_is_found_wherever_some_version_looks() {
        let dir = TestDir::new("shadow");
        let esp_dir = dir.path();
        std::fs::create_dir_all(esp_dir.join("EFI/BOOT")).unwrap();
        std::fs::create_dir_all(esp_dir.join("boot/limine")).unwrap();
        std::fs::write(esp_dir.join("EFI/BOOT/limine.conf"), "").unwrap();
        assert_eq!(choose_dir(esp_dir), "EFI/BOOT");
        assert_eq!(find(esp_dir, "EFI/BOOT"), Vec::<String>::new());
        std::fs::write(esp_dir.join("limine.conf"), "").unwrap();
        std::fs::write(esp_dir.join("boot/limine/limine.conf"), "").unwrap();
        assert_eq!(
            find(esp_dir, "/EFI/boot/"),
            ["limine.conf", "boot/limine/limine.conf"]
        );
    }

    #[test]
    fn without_a_config_the_place_of_the_loader_is_taken() {
        let dir = TestDir::new("choose");
        assert_eq!(choose_dir(dir.path()), "EFI/BOOT");
        std::fs::create_dir_all(dir.path().join("limine")).unwrap();
        std::fs::write(dir.path().join("limine/limine-bios.sys"), "").unwrap();
        assert_eq!(choose_dir(dir.path()), "limine");
    }
}

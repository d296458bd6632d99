//! `limine.conf`: only what every version from 8.0 on understands, flat ASCII titles, hashes on every file.
//!
//! No `default_entry`: the first entry is the default on all versions and both firmwares. Never `remember_last_entry`: it
//! would turn a trial into the default.

use super::{EspFile, Menu, MenuEntry, path};

/// The whole text.
pub(super) fn render(menu: &Menu) -> String {
    let mut text = format!("{}timeout: {}\n", menu.first_line(), menu.timeout);
    for entry in &menu.entries {
        text.push_str(&entry_lines(entry));
    }
    text
}

fn entry_lines(entry: &MenuEntry) -> String {
    format!(
        "\n/{}\n    comment: {}\n    protocol: linux\n    kernel_path: {}\n    module_path: {}\n    cmdline: {}\n",
        MenuEntry::title(entry.id),
        entry.remark(),
        hashed(&entry.kernel),
        hashed(&entry.initrd),
        entry.cmdline
    )
}

/// Limine refuses a file whose BLAKE2b-512 is another one.
fn hashed(file: &EspFile) -> String {
    format!("boot():{}#{}", path(file), file.blake2b)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{full, must_be_stored};
    use crate::store::settings::Loader;

    #[test]
    fn the_full_menu_is_the_stored_one() {
        must_be_stored("limine.conf", &full(Loader::Limine).render());
    }

    #[test]
    fn titles_are_flat_and_plain_and_values_short() {
        for line in full(Loader::Limine).render().lines() {
            if let Some(title) = line.strip_prefix('/') {
                assert!(
                    title.chars().all(|c| c.is_ascii_alphanumeric() || c == ' '),
                    "{title}"
                );
            }
            assert!(line.len() < 4095 && line.is_ascii());
            assert!(!line.contains("default_entry") && !line.contains("remember"));
        }
    }
}

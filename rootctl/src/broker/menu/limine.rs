//! `limine.conf`: only what every version from 8.0 on understands, flat ASCII titles, hashes on every file.
//!
//! `default_entry` is one digit in the first sector, so that it can be changed in place (`rootspec::limine`). Never
//! `remember_last_entry`: it would turn a trial into the default.

use rootspec::limine::default_line;

use super::{EspFile, Menu, MenuEntry, path};

/// The whole text.
pub(super) fn render(menu: &Menu) -> String {
    let mut text = format!(
        "{}{}\ntimeout: {}\n",
        menu.first_line(),
        default_line(menu.default),
        menu.timeout
    );
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
    use super::super::MOST_PINS;
    use super::super::tests::{full, must_be_stored};
    use crate::store::settings::Loader;
    use rootspec::limine;

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
            assert!(!line.contains("remember"));
        }
    }

    #[test]
    fn the_default_can_be_changed_in_place_in_the_longest_menu() {
        let menu = full(Loader::Limine);
        let found = limine::default_entry(menu.render().as_bytes()).unwrap();
        assert_eq!(found.number, 1);
        // Good, previous, trial and the pins.
        const { assert!(3 + MOST_PINS <= limine::MOST_ENTRIES) }
    }
}

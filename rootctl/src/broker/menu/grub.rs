//! `grub.cfg`: counts the tries itself, in its environment block on the ESP.
//!
//! Measured behaviour this text relies on: `fallback` takes the number of an entry, not its id; a missing kernel is
//! skipped after about ten seconds; `save_env` rewrites the 1024 bytes of the block in place; there is no arithmetic.

use rootspec::paths::esp;

use super::{Menu, MenuEntry, Role, Serial, path};
use crate::oneshot::{GRUB_TRIAL, GRUB_TRIES, MOST_TRIES};

/// The whole text.
pub(super) fn render(menu: &Menu) -> String {
    let mut text = menu.first_line();
    text.push_str("set timeout_style=menu\n");
    text.push_str(&format!("set timeout={}\n", menu.timeout));
    if let Some(serial) = menu.serial {
        text.push_str(&serial_lines(serial));
    }
    if let Some(good) = menu.entries.first() {
        text.push_str(&format!("set default={}\n", name(good)));
    }
    // When the good one's kernel cannot be read, another one is entered; never the one on trial, which would be
    // entered uncounted.
    let other = |entry: &&MenuEntry| entry.role != Role::Trial;
    if let Some(second) = menu.entries.iter().filter(other).nth(1) {
        let number = menu.entries.iter().position(|entry| entry == second);
        text.push_str(&format!("set fallback={}\n", number.unwrap_or(0)));
    }
    if let Some(trial) = menu.trial() {
        text.push_str(&trial_lines(trial));
    }
    for entry in &menu.entries {
        text.push_str(&entry_lines(entry));
    }
    text
}

/// The id of an entry.
fn name(entry: &MenuEntry) -> String {
    format!("rootctl-{}", entry.id)
}

/// GRUB talks on the serial line as well; where there is none, the screen alone stays.
fn serial_lines(serial: Serial) -> String {
    let Serial { unit, speed } = serial;
    format!(
        "if serial --unit={unit} --speed={speed}; then\n  \
         terminal_input console serial\n  terminal_output console serial\nfi\n"
    )
}

/// Takes one try off before the trial is entered. Only a count that was really saved leads into the trial: else a
/// kernel that dies would be tried for ever.
fn trial_lines(trial: &MenuEntry) -> String {
    let block = format!("($root)/{}/{}", esp::DIR, esp::GRUB_ENV);
    let mut text = format!(
        "set {GRUB_TRIAL}=\nset {GRUB_TRIES}=\nset rootctl_go=\n\
         if [ -f {block} ]; then load_env --file {block} {GRUB_TRIAL} {GRUB_TRIES}; fi\n\
         if [ \"${{{GRUB_TRIAL}}}\" = \"{}\" ]; then\n",
        trial.id
    );
    for tries in 1..=MOST_TRIES {
        let word = if tries == 1 { "if" } else { "elif" };
        text.push_str(&format!(
            "  {word} [ \"${{{GRUB_TRIES}}}\" = \"{tries}\" ]; then set {GRUB_TRIES}={}; set rootctl_go=1\n",
            tries - 1
        ));
    }
    text.push_str("  fi\nfi\n");
    text.push_str(&format!(
        "if [ \"${{rootctl_go}}\" = \"1\" ]; then\n  \
         if save_env --file {block} {GRUB_TRIAL} {GRUB_TRIES}; then\n    \
         set default={}\n    set fallback=0\n  fi\nfi\n",
        name(trial)
    ));
    text
}

fn entry_lines(entry: &MenuEntry) -> String {
    let words: Vec<String> = entry.cmdline.split_ascii_whitespace().map(quoted).collect();
    format!(
        "menuentry '{} ({})' --id {} {{\n  linux {} {}\n  initrd {}\n}}\n",
        MenuEntry::title(entry.id),
        entry.remark(),
        name(entry),
        path(&entry.kernel),
        words.join(" "),
        path(&entry.initrd)
    )
}

/// A word as GRUB's shell reads it back unchanged. Quotes were refused when the command line was set.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{word}'")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{full, must_be_stored};
    use super::*;
    use crate::store::settings::Loader;

    #[test]
    fn the_full_menu_is_the_stored_one() {
        must_be_stored("grub.cfg", &full(Loader::Grub).render());
    }

    #[test]
    fn words_that_mean_something_to_grub_are_quoted() {
        assert_eq!(quoted("root=UUID=0a-1b"), "root=UUID=0a-1b");
        assert_eq!(quoted("a=x;{y}"), "'a=x;{y}'");
    }

    #[test]
    fn every_number_of_tries_is_counted_down() {
        let text = full(Loader::Grub).render();
        for tries in 1..=9 {
            let line = format!("= \"{tries}\" ]; then set rootctl_tries={};", tries - 1);
            assert!(text.contains(&line), "{line}");
        }
        assert!(!text.contains("= \"0\" ]"));
    }
}

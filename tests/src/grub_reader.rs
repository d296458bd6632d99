//! A second reader of the menu for GRUB, written from GRUB's manual and from nothing in the writer: which entry would be
//! entered, and what each needs.

use anyhow::{Context, Result, ensure};

/// What a menu and its environment block say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Menu {
    /// `set default=`, outside any `if`.
    pub default: Option<String>,
    /// The entries, from the top.
    pub entries: Vec<Entry>,
    /// The snapshot whose tries the menu counts.
    pub counts: Option<u32>,
}

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `--id`.
    pub id: String,
    /// The number behind `rootctl.snap=` on its command line.
    pub snapshot: u32,
    /// The kernel, as a name on the ESP.
    pub kernel: String,
    /// The initramfs, as a name on the ESP.
    pub initrd: String,
}

impl Menu {
    /// Reads a menu.
    ///
    /// # Errors
    /// When an entry is not closed, or lacks something.
    pub fn parse(text: &str) -> Result<Self> {
        let mut menu = Self::default();
        let mut open: Option<Entry> = None;
        for line in text.lines() {
            let top = !line.starts_with(' ');
            let words: Vec<&str> = line.split_whitespace().collect();
            match (words.as_slice(), &mut open) {
                (["set", word], None) if top => {
                    if let Some(id) = word.strip_prefix("default=") {
                        menu.default = Some(id.to_owned());
                    }
                }
                (["if", "[", "\"${rootctl_trial}\"", "=", id, ..], None) => {
                    menu.counts = id.trim_matches('"').parse().ok();
                }
                (["menuentry", .., "--id", id, "{"], None) => {
                    open = Some(Entry {
                        id: (*id).to_owned(),
                        ..Entry::default()
                    });
                }
                (["linux", kernel, rest @ ..], Some(entry)) => {
                    entry.kernel = (*kernel).to_owned();
                    let number = rest
                        .iter()
                        .find_map(|word| word.strip_prefix("rootctl.snap="));
                    entry.snapshot = number
                        .and_then(|number| number.parse().ok())
                        .with_context(|| format!("{} names no snapshot", entry.id))?;
                }
                (["initrd", initrd], Some(entry)) => entry.initrd = (*initrd).to_owned(),
                (["}"], Some(_)) => menu.entries.extend(open.take()),
                _ => {}
            }
        }
        ensure!(open.is_none(), "the last entry is not closed");
        for entry in &menu.entries {
            let whole = !entry.kernel.is_empty() && !entry.initrd.is_empty();
            ensure!(whole, "{} has no kernel or no initramfs", entry.id);
        }
        Ok(menu)
    }

    /// The entry that is entered when nobody touches a key: a counted try, as long as the block has one, else the default.
    pub fn entered(&self, block: &[u8]) -> Option<&Entry> {
        let tried = value(block, "rootctl_trial").and_then(|id| id.parse().ok());
        let left = value(block, "rootctl_tries").and_then(|tries| tries.parse::<u32>().ok());
        let trial = self
            .counts
            .filter(|id| Some(*id) == tried && left.is_some_and(|left| left > 0));
        match trial {
            Some(id) => self.entries.iter().find(|entry| entry.snapshot == id),
            None => self.first(),
        }
    }

    /// The entry that the menu calls its default.
    pub fn first(&self) -> Option<&Entry> {
        let default = self.default.as_deref()?;
        self.entries.iter().find(|entry| entry.id == default)
    }
}

/// A value of an environment block (GRUB's manual, "Environment block").
pub fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(block).ok()?;
    ensure_signature(text)?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

fn ensure_signature(text: &str) -> Option<()> {
    text.starts_with("# GRUB Environment Block\n").then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the writer's own test compares with, too.
    const STORED: &str = include_str!("../../limine/golden/grub.cfg");

    #[test]
    fn the_stored_menu_is_understood() {
        let menu = Menu::parse(STORED).unwrap();
        let first = menu.first().unwrap();
        assert_eq!(Some(first), menu.entries.first());
        let trial = menu.counts.unwrap();
        assert!(trial != first.snapshot && menu.entries.iter().any(|e| e.snapshot == trial));
        let block = |tries: u32| {
            format!("# GRUB Environment Block\nrootctl_trial={trial}\nrootctl_tries={tries}\n####")
                .into_bytes()
        };
        assert_eq!(menu.entered(&block(2)).unwrap().snapshot, trial);
        assert_eq!(menu.entered(&block(0)), Some(first));
        assert_eq!(menu.entered(b""), Some(first));
    }

    #[test]
    fn a_menu_that_was_cut_is_an_error() {
        let end = STORED.rfind('}').unwrap();
        assert!(Menu::parse(&STORED[..end]).is_err());
    }
}

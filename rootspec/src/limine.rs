//! The line of `limine.conf` that says which entry starts by itself, shared by whoever arms a trial with it and the boot
//! stage, which disarms it on arrival.
//!
//! Limine keeps no state of its own on BIOS, or before 11.4. There a trial is armed by making its entry the default. The
//! number is one digit within the first sector of the file, so each change overwrites one sector in place: no power cut
//! that was replayed tore that, and nothing is renamed. `default_entry` counts entries from 1 on every version and both
//! firmwares (CONFIG.md), as long as the menu is flat.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is overwritten in place must lie within this many bytes: the smallest sector of a disk.
pub const SECTOR: usize = 512;
/// Most entries of a menu that a trial can be armed in: the number has one digit.
pub const MOST_ENTRIES: usize = 9;

/// The key of the line, with its colon and blank: Limine's own word.
const KEY: &str = "default_entry: ";

/// The default as a menu has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultEntry {
    /// Where its digit is, in bytes from the start of the file.
    pub at: u64,
    /// Which entry starts by itself, from 1.
    pub number: u8,
}

/// The line, without its end.
#[must_use]
pub fn default_line(number: u8) -> String {
    format!("{KEY}{number}")
}

/// The digit that [`DefaultEntry::at`] is overwritten with; `None` for a number that needs two.
#[must_use]
pub fn digit(number: u8) -> Option<[u8; 1]> {
    (1..=9)
        .contains(&number)
        .then(|| [b'0'.saturating_add(number)])
}

/// Finds the line in the first sector of a menu. `None`: there is none that may be overwritten in place.
#[must_use]
pub fn default_entry(menu: &[u8]) -> Option<DefaultEntry> {
    let start = menu.get(..SECTOR).unwrap_or(menu);
    let mut at = 0_usize;
    // A line that does not end within the sector may go on with another digit.
    for line in start
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
    {
        if line.starts_with(b"/") {
            return None;
        }
        if let Some([digit @ b'1'..=b'9', b'\n']) = line.strip_prefix(KEY.as_bytes()) {
            let at = u64::try_from(at.checked_add(KEY.len())?).ok()?;
            return Some(DefaultEntry {
                at,
                number: digit.wrapping_sub(b'0'),
            });
        }
        at = at.checked_add(line.len())?;
    }
    None
}

/// The title of the entry that a flat menu starts by itself: the first one, if the menu does not say.
#[must_use]
pub fn default_title(menu: &str) -> Option<&str> {
    let number = default_entry(menu.as_bytes()).map_or(1, |found| found.number);
    let mut titles = menu.lines().filter_map(|line| line.strip_prefix('/'));
    titles.nth(usize::from(number).checked_sub(1)?)
}

/// Where a menu lies: how the boot stage finds it before any file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MenuPlace {
    partition: String,
    file: String,
}

impl MenuPlace {
    /// The file `file`, an absolute path on the partition with this UUID; `None` when a kernel command line cannot hold
    /// that.
    #[must_use]
    pub fn new(partition: &str, file: &str) -> Option<Self> {
        let plain = |text: &str, more: &[u8]| {
            let legal = |b: u8| b.is_ascii_alphanumeric() || more.contains(&b);
            !text.is_empty() && text.bytes().all(legal)
        };
        let legal = plain(partition, b"-") && file.starts_with('/') && plain(file, b"/._-");
        let upwards = file.split('/').any(|part| part == "..");
        (legal && !upwards && file.len() <= 255).then(|| Self {
            partition: partition.to_ascii_lowercase(),
            file: file.to_owned(),
        })
    }

    /// UUID of the partition, lower case.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The file, relative to the top of its file system.
    #[must_use]
    pub fn file(&self) -> &str {
        self.file.trim_start_matches('/')
    }
}

/// `PARTUUID:/FOLDER/limine.conf`
impl fmt::Display for MenuPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.file)
    }
}

impl FromStr for MenuPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once(':')
            .and_then(|(partition, file)| Self::new(partition, file))
            .ok_or_else(|| format!("{text:?} is no place of a menu: use PARTUUID:/FOLDER/FILE"))
    }
}

impl TryFrom<String> for MenuPlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MenuPlace> for String {
    fn from(place: MenuPlace) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(number: u8) -> String {
        let line = default_line(number);
        format!(
            "# ours\n{line}\ntimeout: 2\n\n/rootctl 1\n    comment: a/b\n\n/rootctl 2\n    x: y\n"
        )
    }

    #[test]
    fn one_digit_written_in_place_changes_the_default_and_nothing_else() {
        for (from, to) in [(1, 2), (2, 1), (9, 1)] {
            let mut bytes = menu(from).into_bytes();
            let found = default_entry(&bytes).unwrap();
            assert_eq!(found.number, from);
            bytes[usize::try_from(found.at).unwrap()] = digit(to).unwrap()[0];
            assert_eq!(String::from_utf8(bytes).unwrap(), menu(to));
        }
        assert_eq!((digit(0), digit(10)), (None, None));
    }

    #[test]
    fn the_default_is_known_by_its_title() {
        assert_eq!(default_title(&menu(1)), Some("rootctl 1"));
        assert_eq!(default_title(&menu(2)), Some("rootctl 2"));
        assert_eq!(default_title(&menu(3)), None);
        assert_eq!(default_title("timeout: 2\n\n/first\n"), Some("first"));
    }

    #[test]
    fn what_could_not_be_overwritten_in_one_sector_is_no_line_of_ours() {
        let far = format!("{}\n{}\n", "#".repeat(SECTOR), default_line(2));
        let cut = format!("{}\n{}", "#".repeat(SECTOR - 17), default_line(2));
        for bad in [
            "",
            "timeout: 2\n",
            "default_entry: 12\n",
            "default_entry: 0\n",
            "default_entry: 2",
            "default_entry:2\n",
            " default_entry: 2\n",
            "/rootctl 1\ndefault_entry: 2\n",
            &far,
            &format!("{cut}7\n"),
        ] {
            assert_eq!(default_entry(bad.as_bytes()), None, "{bad}");
        }
        let last = format!("{}\n{}\n", "#".repeat(SECTOR - 18), default_line(2));
        let found = default_entry(last.as_bytes()).unwrap();
        assert_eq!(found.at, 510, "the last place that is whole");
    }

    #[test]
    fn a_place_survives_the_command_line_and_nonsense_is_refused() {
        let text = "0a1b2c3d-01:/EFI/BOOT/limine.conf";
        let place: MenuPlace = text.parse().unwrap();
        assert_eq!(place.to_string(), text);
        assert_eq!(
            (place.partition(), place.file()),
            ("0a1b2c3d-01", "EFI/BOOT/limine.conf")
        );
        for bad in [
            "",
            "0a",
            "0a:",
            ":/x",
            "0a:x",
            "0a:/a b",
            "0a:/../x",
            "0a:/x$",
            "UUID=0a:/x",
        ] {
            assert!(bad.parse::<MenuPlace>().is_err(), "{bad}");
        }
    }
}

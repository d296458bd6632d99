//! `/etc/fstab`, fstab(5): its lines become units of the kinds `mount` and `swap`, as the text of a unit file. Pure: the
//! caller has read the file.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | lines and fields |
//! | `options` | what the fourth field says about the unit |
//! | `unit` | one line as a unit file |
//!
//! A line that makes no sense costs itself only. Units of that name in the folders come first, and drop-ins count.

mod options;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::UnitName;
use crate::spot::Spot;

/// Most lines that become units: far more than anybody has, few enough to be no danger.
const LINES: usize = 10_000;

/// What a file says.
#[derive(Debug, Default)]
pub struct Fstab {
    /// Its units.
    pub entries: Vec<Entry>,
    /// Lines that cannot be used.
    pub wrong: Vec<Spot>,
    /// What is said there and cannot be done.
    pub ignored: Vec<Spot>,
}

/// One line as a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, made from the place: `mount:srv:data`, `swap:dev:vda3`.
    pub name: UnitName,
    /// Number of the line, from 1 on.
    pub line: usize,
    /// The text of its unit file.
    pub text: String,
    /// Who starts it.
    pub wanted: Wanted,
}

/// Who starts what a line mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nobody (`noauto`).
    Never,
    /// The group `basic`: what rests on that waits, and goes on if it fails.
    Early,
    /// The default group: nobody waits (`nofail`, or it needs the network).
    Late,
}

/// A field: what it means, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    text: String,
    span: Range<usize>,
}

/// A line that can be told at: the whole text, for its place.
#[derive(Debug, Clone, Copy)]
struct Page<'a> {
    file: &'a str,
    text: &'a str,
}

impl Page<'_> {
    fn spot(self, field: &Field, words: impl Into<String>) -> Spot {
        Spot::new(self.file, self.text, field.span.clone(), words)
    }
}

/// Reads the text of `file`.
#[must_use]
pub fn read(file: &str, text: &str) -> Fstab {
    let page = Page { file, text };
    let mut found = Fstab::default();
    let mut taken: BTreeMap<UnitName, usize> = BTreeMap::new();
    let mut start = 0_usize;
    for (line, whole) in (1..=LINES).zip(text.split_inclusive('\n')) {
        let fields = fields(whole, start);
        start = start.saturating_add(whole.len());
        let Some((first, _)) = fields.split_first() else {
            continue;
        };
        let first = first.clone();
        match unit::entry(page, line, fields, &mut found.ignored) {
            Ok(None) => {}
            Ok(Some(entry)) => match taken.get(&entry.name) {
                Some(other) => {
                    let words = format!("line {other} is about the same: one of the two must go");
                    found.wrong.push(page.spot(&first, words));
                }
                None => {
                    taken.insert(entry.name.clone(), line);
                    found.entries.push(entry);
                }
            },
            Err(spot) => found.wrong.push(spot),
        }
    }
    found
}

/// The fields of a line; a comment has none. `start`: where the line begins in the text.
fn fields(line: &str, start: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut rest = line;
    let blank = |c: char| c.is_ascii_whitespace();
    loop {
        let skipped = rest.trim_start_matches(blank);
        if skipped.is_empty() || skipped.starts_with('#') {
            return fields;
        }
        let end = skipped.find(blank).unwrap_or(skipped.len());
        let (word, behind) = skipped.split_at(end);
        let at = start.saturating_add(line.len().saturating_sub(skipped.len()));
        fields.push(Field {
            text: unescaped(word),
            span: at..at.saturating_add(word.len()),
        });
        rest = behind;
    }
}

/// Undoes the octal escapes of getmntent(3): `\040` is a blank. What is none stays as it is.
fn unescaped(word: &str) -> String {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            let all = digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
            let number = digits.iter().fold(0_u16, |sum, digit| {
                sum.wrapping_mul(8)
                    .wrapping_add(u16::from(digit.wrapping_sub(b'0')))
            });
            u8::try_from(number).ok().filter(|_| all)
        };
        match tail.get(..3).and_then(octal) {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

//! What is mounted where: `/proc/self/mountinfo` (proc(5)), parsed without touching the disk.

use std::path::Path;

use crate::error::Result;

/// Largest table that is read, in bytes; thousands of containers fit.
const LIMIT: u64 = 16 << 20;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Its id.
    pub id: u32,
    /// The id of the mount it sits on.
    pub parent: u32,
    /// Major and minor number of its file system.
    pub device: (u32, u32),
    /// The folder of the file system that is its root: `/rootctl/snaps/3/root` for a bound subvolume.
    pub root: String,
    /// Where it is mounted.
    pub target: String,
    /// Options of the mount (`ro`, `nosuid`, …).
    pub options: String,
    /// Type of file system.
    pub kind: String,
    /// Device or word.
    pub source: String,
    /// Options of the file system.
    pub super_options: String,
}

impl MountEntry {
    /// True if nothing can be written through this mount.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.options.split(',').any(|word| word == "ro")
    }
}

/// The mounts of this process, in the order in which they were attached.
///
/// # Errors
/// `/proc` is not mounted.
pub fn read() -> Result<Vec<MountEntry>> {
    Ok(parse(&crate::fs::read_text("/proc/self/mountinfo", LIMIT)?))
}

/// Parses a table; lines that make no sense are left out.
#[must_use]
pub fn parse(table: &str) -> Vec<MountEntry> {
    table.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<MountEntry> {
    // Optional fields end with a lone dash.
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ');
    let id = front.next()?.parse().ok()?;
    let parent = front.next()?.parse().ok()?;
    let (major, minor) = front.next()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let (root, target) = (unescape(front.next()?), unescape(front.next()?));
    let options = front.next()?.to_owned();
    let mut back = back.split(' ');
    Some(MountEntry {
        id,
        parent,
        device,
        root,
        target,
        options,
        kind: unescape(back.next()?),
        source: unescape(back.next()?),
        super_options: back.next().unwrap_or_default().to_owned(),
    })
}

/// Undoes the kernel's octal escapes of blank, tab, newline and backslash.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
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

/// The mount that is visible at exactly `target`: the last one attached there.
#[must_use]
pub fn at(table: &[MountEntry], target: impl AsRef<Path>) -> Option<&MountEntry> {
    let target = target.as_ref();
    table
        .iter()
        .rev()
        .find(|entry| Path::new(&entry.target) == target)
}

/// Targets of all mounts at or below `target`, in the order in which they can be unmounted.
#[must_use]
pub fn below(table: &[MountEntry], target: impl AsRef<Path>) -> Vec<&MountEntry> {
    let target = target.as_ref();
    let mut found: Vec<_> = table
        .iter()
        .filter(|entry| Path::new(&entry.target).starts_with(target))
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 0:20 / / rw - rootfs rootfs rw
23 22 254:1 /rootctl/snaps/3/root /mnt\\040x ro,relatime shared:1 master:2 - btrfs /dev/vda2 rw,subvol=/x
24 23 0:33 / /mnt\\040x/etc rw - tmpfs none
garbage
25 22 0:44 / /mnt rw - tmpfs a rw
";

    #[test]
    fn a_line_with_escapes_and_optional_fields_is_understood() {
        let table = parse(TABLE);
        assert_eq!(table.len(), 4);
        let root = at(&table, "/mnt x").unwrap();
        assert_eq!((root.id, root.parent, root.device), (23, 22, (254, 1)));
        assert_eq!(
            (root.kind.as_str(), root.source.as_str()),
            ("btrfs", "/dev/vda2")
        );
        assert!(root.is_read_only() && root.root.ends_with("3/root"));
    }

    #[test]
    fn mounts_below_a_folder_come_youngest_first_and_names_are_whole_components() {
        let table = parse(TABLE);
        let ids: Vec<_> = below(&table, "/mnt x")
            .iter()
            .map(|entry| entry.id)
            .collect();
        assert_eq!(ids, [24, 23]);
    }

    #[test]
    fn the_own_table_is_read() {
        assert!(!read().unwrap().is_empty());
    }

    #[test]
    fn broken_escapes_do_not_panic() {
        for text in ["\\", "\\0", "\\999", "a\\04", "é\\040"] {
            assert!(!unescape(text).is_empty());
        }
    }
}

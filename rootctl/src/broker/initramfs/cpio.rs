//! The archive the kernel unpacks: cpio in the format "newc" (kernel documentation, `driver-api/early-userspace/
//! buffer-format`). Entries sorted, times zero, inodes numbered in order: the same content is the same bytes.

use std::collections::BTreeMap;

/// Kinds of inode, from the mode field (`S_IFDIR`, `S_IFREG`, `S_IFCHR`).
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;
/// Device number of `/dev/console`.
const CONSOLE: (u32, u32) = (5, 1);
/// The name that ends an archive.
const END: &str = "TRAILER!!!";

/// An archive under work.
#[derive(Debug, Default)]
pub(super) struct Archive {
    entries: BTreeMap<String, Node>,
}

#[derive(Debug)]
struct Node {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

impl Archive {
    /// Adds a folder, and those above it.
    pub(super) fn folder(&mut self, path: &str) {
        let mut at = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            self.entries.entry(at.clone()).or_insert(Node {
                mode: FOLDER | 0o755,
                device: (0, 0),
                content: Vec::new(),
            });
        }
    }

    /// Adds a file, and the folders above it. `path` has no slash in front.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        let node = Node {
            mode: FILE | mode,
            device: (0, 0),
            content,
        };
        self.entries.insert(path.to_owned(), node);
    }

    /// Adds `/dev/console`: the kernel opens it for `/init` before anything is mounted.
    pub(super) fn console(&mut self) {
        self.folder("dev");
        let node = Node {
            mode: CHARACTER | 0o600,
            device: CONSOLE,
            content: Vec::new(),
        };
        self.entries.insert("dev/console".to_owned(), node);
    }

    /// The bytes, a multiple of 4 long.
    pub(super) fn finish(self) -> Vec<u8> {
        let room = self
            .entries
            .values()
            .map(|node| node.content.len() + 256)
            .sum();
        let mut bytes = Vec::with_capacity(room);
        for (inode, (path, node)) in (1u32..).zip(&self.entries) {
            write(&mut bytes, inode, path, node);
        }
        let end = Node {
            mode: 0,
            device: (0, 0),
            content: Vec::new(),
        };
        write(&mut bytes, 0, END, &end);
        bytes
    }
}

fn write(bytes: &mut Vec<u8>, inode: u32, path: &str, node: &Node) {
    let links = if node.mode & FOLDER == FOLDER { 2 } else { 1 };
    let fields: [usize; 13] = [
        inode as usize,
        node.mode as usize,
        0, // owner
        0, // group
        links,
        0, // time
        node.content.len(),
        0, // device the file is on: major, minor
        0,
        node.device.0 as usize,
        node.device.1 as usize,
        path.len() + 1,
        0, // checksum: unused in this format
    ];
    bytes.extend_from_slice(b"070701");
    for field in fields {
        bytes.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(&node.content);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.file("usr/lib/x", 0o644, b"hello".to_vec());
        archive.console();
        archive.file("init", 0o755, vec![7; 9]);
        archive.finish()
    }

    #[test]
    fn the_same_content_is_the_same_bytes_in_any_order() {
        let mut other = Archive::default();
        other.file("init", 0o755, vec![7; 9]);
        other.file("usr/lib/x", 0o644, b"hello".to_vec());
        other.console();
        assert_eq!(sample(), other.finish());
    }

    #[test]
    fn another_reader_finds_what_was_written() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        // GNU cpio is the oracle where it is installed.
        let Ok(mut cpio) = Command::new("cpio")
            .args(["-tv", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            println!("skipped: no cpio here");
            return;
        };
        cpio.stdin.take().unwrap().write_all(&sample()).unwrap();
        let out = cpio.wait_with_output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let names: Vec<_> = text
            .lines()
            .filter_map(|l| l.split(' ').next_back())
            .collect();
        assert_eq!(
            names,
            ["dev", "dev/console", "init", "usr", "usr/lib", "usr/lib/x"]
        );
        assert!(
            text.contains("crw-------") && text.contains("5,   1"),
            "{text}"
        );
        assert!(
            text.contains("-rwxr-xr-x   1 0        0               9 Jan  1  1970 init"),
            "{text}"
        );
    }

    #[test]
    fn entries_and_archive_are_padded_to_four() {
        assert_eq!(sample().len() % 4, 0);
    }
}

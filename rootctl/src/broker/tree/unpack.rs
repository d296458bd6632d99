//! A tar with a root in it: plain, zstd or xz. Owners, modes, times, extended attributes, links and nodes are kept.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use sys::node::{self, Node};
use tar::{Archive, Entry, EntryType, Header};

use crate::guard::Guard;

/// First bytes of the compressions (RFC 8878; the .xz file format; RFC 1952; bzip2).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const GZIP: &[u8] = &[0x1f, 0x8b];
const BZIP2: &[u8] = b"BZh";

/// Unpacks `file` into the existing folder `target`. Returns the number of entries.
pub(crate) fn unpack(file: &Path, target: &Path) -> Result<u64> {
    let opening = || format!("cannot open {}", file.display());
    let mut open = File::open(file).with_context(opening)?;
    let mut start = [0; 6];
    let length = open.read(&mut start).with_context(opening)?;
    open.seek(SeekFrom::Start(0)).with_context(opening)?;
    let start = start.get(..length).unwrap_or_default();
    let plain = BufReader::with_capacity(1 << 20, open);
    let done = if start.starts_with(ZSTD) {
        let decoder = zstd::stream::Decoder::with_buffer(plain).with_context(opening)?;
        entries(decoder, target)
    } else if start.starts_with(XZ) {
        with_xz(plain, target)
    } else if start.starts_with(GZIP) || start.starts_with(BZIP2) {
        return Guard::usage(format!("{} is packed with gzip or bzip2", file.display()))
            .next(format!("unpack it first: gunzip {}", file.display()))
            .err();
    } else {
        entries(plain, target)
    };
    done.with_context(|| format!("cannot unpack {}", file.display()))
}

/// The decoder for xz writes and cannot be read from, so the plain tar goes through a file without a name.
fn with_xz(mut packed: impl std::io::BufRead, target: &Path) -> Result<u64> {
    let path = target.with_extension("tar");
    let mut plain = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    lzma_rs::xz_decompress(&mut packed, &mut plain).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    plain.seek(SeekFrom::Start(0)).context("cannot rewind")?;
    entries(BufReader::with_capacity(1 << 20, plain), target)
}

fn entries(from: impl Read, target: &Path) -> Result<u64> {
    let mut archive = Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(true);
    let mut count = 0;
    // Filling a folder changes its time, so folders get theirs at the end.
    let mut folders: Vec<(PathBuf, u64)> = Vec::new();
    for entry in archive.entries().context("it is no tar")? {
        let mut entry = entry.context("it is damaged or no tar")?;
        let path = entry.path().context("it holds a bad name")?.into_owned();
        let inside = inside(&path)?;
        let place = target.join(&inside);
        let header = entry.header().clone();
        if header.entry_type() == EntryType::Directory {
            folders.push((place.clone(), header.mtime().unwrap_or(0)));
        }
        if inside.as_os_str().is_empty() {
            own(&place, &header)?;
            continue;
        }
        one(&mut entry, &header, &place, target)
            .with_context(|| format!("at {}", path.display()))?;
        count += 1;
    }
    for (folder, time) in folders.iter().rev() {
        node::set_modified(folder, *time)?;
    }
    if count == 0 {
        return Guard::usage("it holds nothing").err();
    }
    Ok(count)
}

fn one(
    entry: &mut Entry<'_, impl Read>,
    header: &Header,
    place: &Path,
    target: &Path,
) -> Result<()> {
    let numbers = || -> Result<(u32, u32)> {
        let major = header.device_major().context("a bad device number")?;
        let minor = header.device_minor().context("a bad device number")?;
        Ok((major.unwrap_or(0), minor.unwrap_or(0)))
    };
    let kind = match header.entry_type() {
        EntryType::Char => numbers().map(|(major, minor)| Some(Node::Character(major, minor)))?,
        EntryType::Block => numbers().map(|(major, minor)| Some(Node::Block(major, minor)))?,
        EntryType::Fifo => Some(Node::Fifo),
        _ => None,
    };
    match kind {
        Some(kind) => {
            node::make(place, kind)?;
            own(place, header)?;
            node::set_modified(place, header.mtime().unwrap_or(0))?;
        }
        None => {
            // The library refuses names and links that lead out of `target`.
            let unpacked = entry.unpack_in(target).context("cannot write it")?;
            anyhow::ensure!(unpacked, "its name leads out of the root");
        }
    }
    Ok(())
}

fn own(place: &Path, header: &Header) -> Result<()> {
    let number = |value: std::io::Result<u64>| -> Result<u32> {
        u32::try_from(value.context("a bad owner")?).context("a bad owner")
    };
    node::set_owner(place, number(header.uid())?, number(header.gid())?)?;
    node::set_mode(place, header.mode().context("a bad mode")?)?;
    Ok(())
}

/// The path below the target: without `./` in front, and never leading out.
fn inside(path: &Path) -> Result<PathBuf> {
    let mut inside = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                anyhow::bail!("the name {} leads out of the root", path.display())
            }
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    fn tar() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind: EntryType, mode: u32, content: &[u8], link: &str| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(content.len() as u64);
            header.set_mtime(1_000_000);
            header.set_uid(std::fs::metadata("/proc/self").unwrap().uid().into());
            header.set_gid(std::fs::metadata("/proc/self").unwrap().gid().into());
            if link.is_empty() {
                builder.append_data(&mut header, path, content).unwrap();
            } else {
                builder.append_link(&mut header, path, link).unwrap();
            }
        };
        add("./", EntryType::Directory, 0o751, b"", "");
        add("./a/", EntryType::Directory, 0o755, b"", "");
        add("./a/su", EntryType::Regular, 0o4755, b"program", "");
        add("./a/same", EntryType::Link, 0o755, b"", "a/su");
        add(
            "./a/link",
            EntryType::Symlink,
            0o777,
            b"",
            "../../etc/passwd",
        );
        add("./a/pipe", EntryType::Fifo, 0o640, b"", "");
        builder.into_inner().unwrap()
    }

    #[test]
    fn plain_zstd_and_xz_give_the_same_tree() {
        let tar = tar();
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut tar.as_slice(), &mut xz).unwrap();
        let zstd = zstd::bulk::compress(&tar, 3).unwrap();
        for (name, bytes) in [("plain", tar), ("zst", zstd), ("xz", xz)] {
            let dir = TestDir::new(&format!("unpack-{name}"));
            let file = dir.path().join("file");
            let target = dir.path().join("target");
            std::fs::create_dir(&target).unwrap();
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(unpack(&file, &target).unwrap(), 5, "{name}");
            let look = |path: &str| target.join(path).symlink_metadata().unwrap();
            assert_eq!(
                (look("a/su").mode() & 0o7777, look("a/su").nlink()),
                (0o4755, 2)
            );
            assert_eq!(
                (look("a").mtime(), look("").mode() & 0o7777),
                (1_000_000, 0o751)
            );
            assert!(look("a/pipe").file_type().is_fifo());
            assert_eq!(
                std::fs::read_link(target.join("a/link")).unwrap(),
                Path::new("../../etc/passwd")
            );
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for bad in ["../x", "a/../../x"] {
            assert!(inside(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            inside(Path::new("/./etc/passwd")).unwrap(),
            Path::new("etc/passwd")
        );
    }

    #[test]
    fn what_is_no_tar_is_said_so() {
        let dir = TestDir::new("unpack-bad");
        for (content, words) in [
            (
                &b"this is no archive at all, and it is long enough to be read as a header...."
                    .repeat(10)[..],
                "no tar",
            ),
            (&[0x1f, 0x8b, 8, 0][..], "gunzip"),
            (&b""[..], "holds nothing"),
        ] {
            let file = dir.path().join("file");
            std::fs::write(&file, content).unwrap();
            let error = unpack(&file, dir.path()).unwrap_err();
            let shown = format!("{error:#} {:?}", crate::guard::reply(&error).1.next);
            assert!(shown.contains(words), "{shown}");
        }
    }
}

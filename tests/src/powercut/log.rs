//! The log of QEMU's block filter `blklogwrites`: every write, flush and discard of a guest, in order.
//!
//! The format is that of Linux's dm-log-writes (its documentation and `drivers/md/dm-log-writes.c`), all numbers little
//! endian: one sector with magic, version, number of entries and sector size; then per entry a sector with place, length,
//! flags and data length, followed by what was written. The number of entries is not believed: it is stale when QEMU was
//! killed.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x006A_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

/// What the guest asked of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// New bytes, which lie at this place of the log.
    Write {
        /// Byte in the log.
        at: u64,
    },
    /// Everything before is to survive a power cut.
    Flush,
    /// These bytes are not needed any more.
    Discard,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub kind: Kind,
    /// First byte on the disk.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A log on disk.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// The requests, in order.
    pub entries: Vec<Entry>,
}

impl Log {
    /// Reads the requests; their bytes stay in the file.
    ///
    /// # Errors
    /// When the file is no such log, or says something that this reader does not know.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let length = file
            .metadata()
            .with_context(|| format!("cannot look at {}", path.display()))?
            .len();
        let entries = entries(length, |at, bytes| {
            file.read_exact_at(bytes, at)
                .with_context(|| format!("cannot read {}", path.display()))
        })?;
        Ok(Self { file, entries })
    }

    /// What a write wrote; zeros for a discard, as many disks answer; nothing for a flush.
    ///
    /// # Errors
    /// When the log is shorter than it says.
    pub fn data(&self, entry: &Entry) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(entry.bytes).context("a request is too long")?];
        if let Kind::Write { at } = entry.kind {
            self.file
                .read_exact_at(&mut bytes, at)
                .context("the log ends within a write")?;
        }
        Ok(bytes)
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let field = bytes
        .get(at..at + 8)
        .and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes)
}

fn entries(length: u64, read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<Entry>> {
    let mut head = [0; 32];
    read(0, &mut head)?;
    ensure!(
        (number(&head, 0), number(&head, 8)) == (MAGIC, VERSION),
        "this is no log of writes"
    );
    let sector = number(&head, 24) & 0xFFFF_FFFF;
    ensure!(
        sector.is_power_of_two() && sector >= 512,
        "its sectors have {sector} bytes"
    );
    let mut all = Vec::new();
    let mut at = sector;
    while at + sector <= length {
        read(at, &mut head)?;
        let (offset, bytes, flags) = (
            number(&head, 0) * sector,
            number(&head, 8) * sector,
            number(&head, 16),
        );
        at += sector;
        let kind = match flags {
            // Nothing was written here any more.
            0 if bytes == 0 => break,
            0 => Kind::Write { at },
            FLUSH if bytes == 0 => Kind::Flush,
            DISCARD => Kind::Discard,
            FUA => bail!("the guest wrote past the cache of its disk, which is not modelled"),
            other => bail!("request {} has flags {other:#x}", all.len()),
        };
        all.push(Entry {
            kind,
            offset,
            bytes,
        });
        if matches!(kind, Kind::Write { .. }) {
            at += bytes;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(numbers: [u64; 4]) -> Vec<u8> {
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        bytes.resize(512, 0);
        bytes
    }

    fn parse(log: &[u8]) -> Result<Vec<Entry>> {
        entries(log.len() as u64, |at, bytes| {
            let at = usize::try_from(at)?;
            let there = log.get(at..at + bytes.len()).context("the end")?;
            bytes.copy_from_slice(there);
            Ok(())
        })
    }

    #[test]
    fn writes_flushes_and_discards_are_read_to_the_end() {
        let mut log = sector([MAGIC, VERSION, 0, 512]);
        log.extend(sector([8, 2, 0, 0]));
        log.extend([7; 1024]);
        log.extend(sector([0, 0, FLUSH, 0]));
        log.extend(sector([100, 4, DISCARD, 0]));
        log.extend(sector([0, 0, 0, 0]));
        let all = parse(&log).unwrap();
        let kinds: Vec<Kind> = all.iter().map(|entry| entry.kind).collect();
        assert_eq!(
            kinds,
            [Kind::Write { at: 1024 }, Kind::Flush, Kind::Discard]
        );
        assert_eq!((all[0].offset, all[0].bytes), (4096, 1024));
        assert_eq!((all[2].offset, all[2].bytes), (51_200, 2048));
    }

    #[test]
    fn another_file_or_an_unknown_request_is_an_error() {
        assert!(parse(&sector([1, VERSION, 0, 512])).is_err());
        let mut log = sector([MAGIC, VERSION, 0, 512]);
        log.extend(sector([8, 2, 16, 0]));
        assert!(parse(&log).is_err());
    }
}

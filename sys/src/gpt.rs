//! Partition tables: names and UUIDs of partitions, from a GPT (UEFI specification 2.10, chapter 5) or an old MBR.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Largest table of entries that is read, in bytes; usual are 16 KiB.
const LARGEST_TABLE: usize = 1 << 20;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its UUID in lower case; for an MBR, the disk's signature and the number (`1234abcd-02`).
    pub uuid: String,
    /// Its label; empty when it has none.
    pub label: String,
    /// UUID of its type in lower case; empty for an MBR.
    pub kind: String,
}

/// A GPT header, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Block at which the entries start.
    pub entries_at: u64,
    /// How many there are.
    pub count: u32,
    /// Bytes of one.
    pub entry_size: u32,
    /// Checksum over all of them.
    pub entries_crc: u32,
}

/// Reads a header; `None` when it is not there or its checksum is wrong.
#[must_use]
pub fn header(block: &[u8]) -> Option<Header> {
    if !block.starts_with(b"EFI PART") {
        return None;
    }
    let size = usize::try_from(u32_at(block, 12)?).ok()?;
    let mut covered = block.get(..size).filter(|_| size >= 92)?.to_vec();
    // The checksum counts as zero while it is computed.
    covered.get_mut(16..20)?.fill(0);
    if crc32(&covered) != u32_at(block, 16)? {
        return None;
    }
    Some(Header {
        entries_at: u64::from_le_bytes(*block.get(72..)?.first_chunk()?),
        count: u32_at(block, 80)?,
        entry_size: u32_at(block, 84)?,
        entries_crc: u32_at(block, 88)?,
    })
}

impl Header {
    /// Bytes of all entries; `None` when that makes no sense.
    #[must_use]
    pub fn table_size(&self) -> Option<usize> {
        let size = usize::try_from(self.count.checked_mul(self.entry_size)?).ok()?;
        (self.entry_size >= 128 && size <= LARGEST_TABLE).then_some(size)
    }
}

/// Reads the entries; `None` when their checksum is not the header's. Unused entries are left out.
#[must_use]
pub fn entries(table: &[u8], header: &Header) -> Option<Vec<Partition>> {
    if crc32(table) != header.entries_crc {
        return None;
    }
    let size = usize::try_from(header.entry_size)
        .ok()
        .filter(|size| *size >= 128)?;
    let used = table.chunks_exact(size).zip(1..).filter_map(entry);
    Some(used.collect())
}

fn entry((bytes, number): (&[u8], u32)) -> Option<Partition> {
    let kind = bytes.get(..16)?;
    if kind.iter().all(|byte| *byte == 0) {
        return None;
    }
    let name: Vec<u16> = bytes
        .get(56..128)?
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_le_bytes(*pair.first_chunk()?)))
        .take_while(|unit| *unit != 0)
        .collect();
    Some(Partition {
        number,
        uuid: guid(bytes.get(16..32)?)?,
        label: String::from_utf16_lossy(&name),
        kind: guid(kind)?,
    })
}

/// Shows a GUID as people know it: its first three fields are stored little endian.
fn guid(bytes: &[u8]) -> Option<String> {
    let first = u32_at(bytes, 0)?;
    let second = u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let third = u16::from_le_bytes(*bytes.get(6..)?.first_chunk()?);
    let mut text = format!("{first:08x}-{second:04x}-{third:04x}-");
    for (at, byte) in bytes.get(8..16)?.iter().enumerate() {
        if at == 2 {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// The four primary partitions of an MBR; `None` when there is none, or it only guards a GPT.
#[must_use]
pub fn mbr(block: &[u8]) -> Option<Vec<Partition>> {
    if block.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let signature = u32_at(block, 440)?;
    let kinds: Vec<u8> = block
        .get(446..510)?
        .chunks_exact(16)
        .filter_map(|entry| entry.get(4).copied())
        .collect();
    if signature == 0 || kinds.contains(&0xee) {
        return None;
    }
    let used = kinds.into_iter().zip(1..).filter(|(kind, _)| *kind != 0);
    let partitions = used.map(|(_, number): (u8, u32)| Partition {
        number,
        uuid: format!("{signature:08x}-{number:02x}"),
        label: String::new(),
        kind: String::new(),
    });
    Some(partitions.collect())
}

/// Reads the partitions of a disk of `size` bytes with blocks of `block_size` bytes. A damaged first GPT gives way to
/// its copy at the end of the disk. No table at all: no partitions.
///
/// # Errors
/// The disk cannot be read, or both copies are damaged.
pub fn read(disk: &File, size: u64, block_size: u64) -> io::Result<Vec<Partition>> {
    let first = copy_at(disk, 1, block_size)?;
    if let Some(found) = first {
        return Ok(found);
    }
    let start = bytes_at(disk, 0, 512)?;
    if let Some(found) = mbr(&start) {
        return Ok(found);
    }
    let last_block = size.checked_div(block_size).and_then(|n| n.checked_sub(1));
    if let Some(found) = last_block.map(|at| copy_at(disk, at, block_size)) {
        if let Some(found) = found? {
            return Ok(found);
        }
    }
    let guarded = start.get(450) == Some(&0xee);
    if guarded {
        let why = "both copies of its GPT are damaged";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Vec::new())
}

fn copy_at(disk: &File, block: u64, block_size: u64) -> io::Result<Option<Vec<Partition>>> {
    let Some(header) = header(&bytes_at(disk, block.saturating_mul(block_size), 512)?) else {
        return Ok(None);
    };
    let Some(size) = header.table_size() else {
        return Ok(None);
    };
    let table = bytes_at(disk, header.entries_at.saturating_mul(block_size), size)?;
    Ok(entries(&table, &header))
}

/// Reads bytes; fewer where the disk ends.
fn bytes_at(disk: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    match disk.read_exact_at(&mut bytes, at) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320), bit by bit: 16 KiB once per disk need no table.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _bit in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    const BLOCK: usize = 512;

    /// A disk of 128 blocks with two partitions and both copies of the table.
    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 128 * BLOCK];
        disk[450] = 0xee;
        disk[510] = 0x55;
        disk[511] = 0xaa;
        let mut table = vec![0; 4 * 128];
        for (slot, name) in [(0, "esp"), (2, "system")] {
            let entry = &mut table[slot * 128..(slot + 1) * 128];
            entry[..16].fill(0x11);
            for (at, byte) in (16..32).zip(0x20..) {
                entry[at] = byte;
            }
            for (at, unit) in name.encode_utf16().enumerate() {
                entry[56 + at * 2..58 + at * 2].copy_from_slice(&unit.to_le_bytes());
            }
        }
        for (at, entries_at) in [(1_usize, 2_usize), (127, 100)] {
            let mut header = vec![0; 92];
            header[..8].copy_from_slice(b"EFI PART");
            header[12] = 92;
            header[72..80].copy_from_slice(&(entries_at as u64).to_le_bytes());
            header[80] = 4;
            header[84] = 128;
            header[88..92].copy_from_slice(&crc32(&table).to_le_bytes());
            let crc = crc32(&header);
            header[16..20].copy_from_slice(&crc.to_le_bytes());
            disk[at * BLOCK..at * BLOCK + 92].copy_from_slice(&header);
            disk[entries_at * BLOCK..entries_at * BLOCK + table.len()].copy_from_slice(&table);
        }
        disk
    }

    fn read_disk(bytes: &[u8]) -> io::Result<Vec<Partition>> {
        let name = format!("gpt-{:?}", std::thread::current().id());
        let dir = TestDir::new(&name);
        std::fs::write(dir.join("d"), bytes).unwrap();
        let file = File::open(dir.join("d")).unwrap();
        read(&file, u64::try_from(bytes.len()).unwrap(), 512)
    }

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn numbers_count_empty_entries_and_guids_are_shown_as_people_know_them() {
        let found = read_disk(&disk()).unwrap();
        let names: Vec<_> = found.iter().map(|p| (p.number, p.label.as_str())).collect();
        assert_eq!(names, [(1, "esp"), (3, "system")]);
        assert_eq!(found[0].uuid, "23222120-2524-2726-2829-2a2b2c2d2e2f");
    }

    #[test]
    fn a_damaged_first_table_gives_way_to_the_copy_at_the_end() {
        let mut bytes = disk();
        bytes[BLOCK + 80] ^= 1;
        assert_eq!(read_disk(&bytes).unwrap().len(), 2);
        let mut bytes = disk();
        bytes[2 * BLOCK + 60] ^= 1;
        assert_eq!(read_disk(&bytes).unwrap().len(), 2);
    }

    #[test]
    fn two_damaged_tables_are_an_error_and_none_at_all_is_not() {
        let mut bytes = disk();
        bytes[BLOCK] ^= 1;
        bytes[127 * BLOCK] ^= 1;
        assert!(read_disk(&bytes).is_err());
        assert_eq!(read_disk(&[0; 4096]).unwrap(), []);
        assert_eq!(read_disk(b"tiny").unwrap(), []);
    }

    #[test]
    fn an_old_partition_table_gives_uuids_from_its_signature() {
        let mut block = vec![0; 512];
        block[440..444].copy_from_slice(&0x1234_abcd_u32.to_le_bytes());
        block[446 + 16 + 4] = 0x83;
        block[510] = 0x55;
        block[511] = 0xaa;
        let found = mbr(&block).unwrap();
        assert_eq!((found.len(), found[0].uuid.as_str()), (1, "1234abcd-02"));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let absurd = Header {
            entries_at: 2,
            count: u32::MAX,
            entry_size: 128,
            entries_crc: 0,
        };
        assert_eq!(absurd.table_size(), None);
    }
}

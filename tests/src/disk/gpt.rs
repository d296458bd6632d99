//! Writes a GUID partition table into an image file.
//!
//! Our own writer because `sgdisk` ends with sync(2), which waits for every mounted file system of the
//! host. Layout: UEFI specification, chapter 5: protective MBR in sector 0, header in sector 1, 128
//! entries of 128 bytes in sectors 2 to 33, and the mirror of both at the end of the disk.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes in a sector; all our images use the same.
pub const SECTOR: u64 = 512;
/// Partitions begin at multiples of this many bytes.
const ALIGN: u64 = 1024 * 1024;
const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
/// Sectors taken by the entries.
const TABLE_SECTORS: u64 = 32;

/// What a partition is for; each has its well-known type id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Holds the second part of GRUB, or of Limine, when the firmware is a BIOS.
    BiosBoot,
    /// The EFI system partition: FAT, read by firmware and loaders.
    Esp,
    /// Linux data; our btrfs.
    Linux,
}

impl Purpose {
    /// The type id as text (UEFI specification and the Discoverable Partitions list).
    const fn type_id(self) -> &'static str {
        match self {
            Self::BiosBoot => "21686148-6449-6E6F-744E-656564454649",
            Self::Esp => "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
            Self::Linux => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        }
    }
}

/// A partition to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is for.
    pub purpose: Purpose,
    /// Its name in the table (`PARTLABEL`), ASCII, at most 36 characters.
    pub name: &'static str,
    /// Its size in bytes; rounded up to a whole MiB.
    pub bytes: u64,
}

/// A partition as it lies in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub purpose: Purpose,
    /// Its name in the table.
    pub name: &'static str,
    /// First byte in the image.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Its own id, as `PARTUUID` shows it.
    pub id: String,
}

impl Partition {
    /// First sector.
    pub const fn first_sector(&self) -> u64 {
        self.offset / SECTOR
    }
}

/// Places partitions one after the other, each on a MiB boundary. Returns them and the size of the
/// whole image in bytes. `ids` gives each its own id.
pub fn place(wanted: &[Wanted], mut ids: impl FnMut() -> [u8; 16]) -> (Vec<Partition>, u64) {
    let mut offset = ALIGN;
    let mut partitions = Vec::new();
    for want in wanted {
        let bytes = want.bytes.next_multiple_of(ALIGN);
        let id = shown_id(random_id(ids()));
        partitions.push(Partition {
            purpose: want.purpose,
            name: want.name,
            offset,
            bytes,
            id,
        });
        offset += bytes;
    }
    (partitions, offset + ALIGN)
}

/// Writes the whole table into `image`, which must already have its size. The boot code bytes of
/// sector 0 are left as they are.
///
/// # Errors
/// When a partition does not fit, or the file cannot be written.
pub fn write(image: &File, partitions: &[Partition], disk_id: [u8; 16]) -> Result<()> {
    let bytes = image
        .metadata()
        .context("cannot read the size of the image")?
        .len();
    let sectors = bytes / SECTOR;
    let last_usable = sectors.saturating_sub(TABLE_SECTORS + 2);
    let mut table = Vec::with_capacity(ENTRIES * ENTRY_BYTES);
    for partition in partitions {
        let last = (partition.offset + partition.bytes) / SECTOR - 1;
        if last > last_usable {
            bail!(
                "partition {} ends at sector {last}, the last usable one is {last_usable}",
                partition.name
            );
        }
        table.extend_from_slice(&entry(partition, last));
    }
    table.resize(ENTRIES * ENTRY_BYTES, 0);
    let disk_id = parse_id(&shown_id(random_id(disk_id)));
    let head = |this, other, entries| {
        header(
            &Places {
                this,
                other,
                entries,
                last_usable,
            },
            disk_id,
            &table,
        )
    };
    let second_table = sectors - TABLE_SECTORS - 1;
    let writes: [(u64, &[u8]); 5] = [
        (446, &protective_record(sectors)),
        (SECTOR, &head(1, sectors - 1, 2)),
        (2 * SECTOR, &table),
        (second_table * SECTOR, &table),
        ((sectors - 1) * SECTOR, &head(sectors - 1, 1, second_table)),
    ];
    for (at, data) in writes {
        image
            .write_all_at(data, at)
            .with_context(|| format!("cannot write the partition table at byte {at}"))?;
    }
    Ok(())
}

/// Bytes 446 to 511 of sector 0: one partition of type 0xEE over the whole disk, and the signature.
fn protective_record(sectors: u64) -> [u8; 66] {
    let mut record = [0u8; 66];
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    record[1..4].copy_from_slice(&[0x00, 0x02, 0x00]);
    record[4] = 0xEE;
    record[5..8].copy_from_slice(&[0xFF, 0xFF, 0xFF]);
    record[8..12].copy_from_slice(&1u32.to_le_bytes());
    record[12..16].copy_from_slice(&size.to_le_bytes());
    record[64] = 0x55;
    record[65] = 0xAA;
    record
}

fn entry(partition: &Partition, last: u64) -> [u8; ENTRY_BYTES] {
    let mut entry = [0u8; ENTRY_BYTES];
    entry[..16].copy_from_slice(&parse_id(partition.purpose.type_id()));
    entry[16..32].copy_from_slice(&parse_id(&partition.id));
    entry[32..40].copy_from_slice(&partition.first_sector().to_le_bytes());
    entry[40..48].copy_from_slice(&last.to_le_bytes());
    for (slot, unit) in entry[56..]
        .chunks_exact_mut(2)
        .zip(partition.name.encode_utf16())
    {
        slot.copy_from_slice(&unit.to_le_bytes());
    }
    entry
}

/// The sectors one header speaks of.
struct Places {
    this: u64,
    other: u64,
    entries: u64,
    last_usable: u64,
}

fn header(places: &Places, disk_id: [u8; 16], table: &[u8]) -> [u8; 512] {
    let mut head = [0u8; 512];
    head[..8].copy_from_slice(b"EFI PART");
    head[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
    head[12..16].copy_from_slice(&92u32.to_le_bytes());
    head[24..32].copy_from_slice(&places.this.to_le_bytes());
    head[32..40].copy_from_slice(&places.other.to_le_bytes());
    head[40..48].copy_from_slice(&(TABLE_SECTORS + 2).to_le_bytes());
    head[48..56].copy_from_slice(&places.last_usable.to_le_bytes());
    head[56..72].copy_from_slice(&disk_id);
    head[72..80].copy_from_slice(&places.entries.to_le_bytes());
    head[80..84].copy_from_slice(&128u32.to_le_bytes());
    head[84..88].copy_from_slice(&128u32.to_le_bytes());
    head[88..92].copy_from_slice(&crc32(table).to_le_bytes());
    let sum = crc32(&head[..92]);
    head[16..20].copy_from_slice(&sum.to_le_bytes());
    head
}

/// CRC-32 of Ethernet and of the GPT: reflected polynomial 0xEDB88320.
fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Marks 16 random bytes as a version 4 id (RFC 9562).
const fn random_id(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    bytes
}

/// An id as people write it, from bytes in written order.
fn shown_id(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// The bytes of a written id as the GPT stores them: the first three fields little-endian.
fn parse_id(text: &str) -> [u8; 16] {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let mut bytes = [0u8; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).unwrap_or_default();
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [Wanted; 2] = [
        Wanted {
            purpose: Purpose::BiosBoot,
            name: "bios",
            bytes: 1024 * 1024,
        },
        Wanted {
            purpose: Purpose::Esp,
            name: "ESP",
            bytes: 5_000_000,
        },
    ];

    #[test]
    fn the_checksum_is_the_one_of_ethernet() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn partitions_lie_one_after_the_other_on_mib_boundaries() {
        let (parts, bytes) = place(&WANTED, || [7; 16]);
        assert_eq!((parts[0].offset, parts[0].bytes), (1 << 20, 1 << 20));
        assert_eq!((parts[1].offset, parts[1].bytes), (2 << 20, 5 << 20));
        assert_eq!(bytes, 8 << 20);
    }

    #[test]
    fn ids_are_stored_with_the_first_three_fields_swapped() {
        let stored = parse_id(Purpose::Esp.type_id());
        assert_eq!(
            stored[..8],
            [0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11]
        );
        assert_eq!(stored[8..10], [0xBA, 0x4B]);
    }

    #[test]
    fn both_headers_carry_right_checksums_and_point_at_each_other() {
        let path = std::env::temp_dir().join(format!("gpt-test-{}", std::process::id()));
        let image = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        let (parts, bytes) = place(&WANTED, || [9; 16]);
        image.set_len(bytes).unwrap();
        write(&image, &parts, [1; 16]).unwrap();
        for (sector, other) in [(1, bytes / SECTOR - 1), (bytes / SECTOR - 1, 1)] {
            let mut head = [0u8; 92];
            image.read_exact_at(&mut head, sector * SECTOR).unwrap();
            let sum = u32::from_le_bytes(head[16..20].try_into().unwrap());
            head[16..20].fill(0);
            assert_eq!(sum, crc32(&head));
            assert_eq!(u64::from_le_bytes(head[32..40].try_into().unwrap()), other);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_partition_past_the_end_is_refused_by_name() {
        let path = std::env::temp_dir().join(format!("gpt-small-{}", std::process::id()));
        let image = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        image.set_len(3 << 20).unwrap();
        let (parts, _) = place(&WANTED, || [9; 16]);
        let error = write(&image, &parts, [1; 16]).unwrap_err();
        assert!(error.to_string().contains("ESP"));
        std::fs::remove_file(path).unwrap();
    }
}

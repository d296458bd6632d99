//! Which block device holds the store: matching what was found against what is looked for.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use rootspec::cmdline::RootDevice;
use sys::block::{BlockDevice, Content};
use sys::gpt::Partition;

/// Major number of floppy drives: reading an empty one takes many seconds.
const FLOPPY: u32 = 2;
/// Where the kernel lists block devices.
const CLASS: &str = "/sys/class/block";

/// The device the store is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Device node.
    pub node: PathBuf,
    /// UUID of the btrfs on it.
    pub uuid: Option<String>,
    /// Nodes of all its devices, this one included.
    pub all: Vec<PathBuf>,
}

/// A block device and all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As the kernel lists it.
    pub device: BlockDevice,
    /// What is on it; `None` for nothing we know.
    pub content: Option<Content>,
    /// Its entry in the partition table.
    pub partition: Option<Partition>,
}

impl Found {
    /// The UUID of the btrfs on it.
    #[must_use]
    pub fn btrfs_uuid(&self) -> Option<String> {
        match &self.content {
            Some(Content::Btrfs(found)) => Some(found.uuid.to_string()),
            Some(Content::Squashfs | Content::Erofs | Content::Other(_)) | None => None,
        }
    }

    fn is(&self, wanted: &RootDevice) -> bool {
        match wanted {
            RootDevice::Uuid(uuid) => self.btrfs_uuid().is_some_and(|found| found == *uuid),
            RootDevice::Label(label) => {
                matches!(&self.content, Some(Content::Btrfs(found)) if found.label == *label)
            }
            RootDevice::PartUuid(uuid) => self
                .partition
                .as_ref()
                .is_some_and(|found| found.uuid == *uuid),
            RootDevice::PartLabel(label) => self
                .partition
                .as_ref()
                .is_some_and(|found| found.label == *label),
            RootDevice::Path(path) => Path::new(path) == self.device.node(),
        }
    }
}

/// The outcome of a look at the devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<'a> {
    /// This is it.
    Here(&'a Found),
    /// Not there yet.
    Absent,
    /// It is there, and is not what it should be, as said in words.
    Wrong(String),
}

/// Looks for `wanted` among the devices found so far.
#[must_use]
pub fn look<'a>(wanted: &RootDevice, devices: &'a [Found]) -> Look<'a> {
    let matching: Vec<_> = devices.iter().filter(|found| found.is(wanted)).collect();
    match matching.as_slice() {
        [] => Look::Absent,
        [one] => match &one.content {
            Some(Content::Btrfs(_)) => Look::Here(one),
            other => Look::Wrong(format!(
                "{wanted} is there ({}) and holds no btrfs; found on it: {}",
                one.device.name,
                name_of(other.as_ref())
            )),
        },
        // Several devices of one btrfs are one file system.
        [first, rest @ ..] => {
            let uuid = first.btrfs_uuid();
            if uuid.is_some() && rest.iter().all(|found| found.btrfs_uuid() == uuid) {
                return Look::Here(first);
            }
            let nodes: Vec<_> = matching
                .iter()
                .map(|found| found.device.node().display().to_string())
                .collect();
            Look::Wrong(format!("{wanted} is ambiguous: {}", nodes.join(" and ")))
        }
    }
}

fn name_of(content: Option<&Content>) -> &'static str {
    match content {
        Some(Content::Btrfs(_)) => "btrfs",
        Some(Content::Squashfs) => "squashfs",
        Some(Content::Erofs) => "erofs",
        Some(Content::Other(name)) => name,
        None => "nothing known",
    }
}

/// The devices as a person reads them on the emergency screen, one per line.
#[must_use]
pub fn describe(devices: &[Found]) -> String {
    let mut text = String::new();
    for found in devices {
        let device = &found.device;
        let size = human_size(device.size);
        let is_parent = |other: &Found| {
            let disk = other.device.partition.as_ref().map(|(disk, _)| disk);
            disk == Some(&device.name)
        };
        let content = match &found.content {
            None if devices.iter().any(is_parent) => "partitions",
            content => name_of(content.as_ref()),
        };
        // Writing to a string cannot fail.
        write!(text, "{:<12}{size:>10}  {content}", device.name).ok();
        if let Some(Content::Btrfs(btrfs)) = &found.content {
            write!(text, "  UUID={}", btrfs.uuid).ok();
            if !btrfs.label.is_empty() {
                write!(text, "  LABEL=\"{}\"", btrfs.label.escape_debug()).ok();
            }
        }
        if let Some(partition) = &found.partition {
            write!(text, "  PARTUUID={}", partition.uuid).ok();
            if !partition.label.is_empty() {
                write!(text, "  PARTLABEL=\"{}\"", partition.label.escape_debug()).ok();
            }
        }
        text.push('\n');
    }
    text
}

/// `4.0 GiB`
fn human_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = bytes.saturating_mul(10);
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Looks at block devices again and again, reading each device only once.
#[derive(Debug, Default)]
pub struct Scanner {
    known: HashMap<String, (BlockDevice, Option<Content>)>,
    tables: HashMap<String, Vec<Partition>>,
}

impl Scanner {
    /// All devices the kernel lists now, with what is on them. What cannot be read counts as holding nothing.
    ///
    /// # Errors
    /// sysfs is not mounted.
    pub fn scan(&mut self) -> sys::error::Result<Vec<Found>> {
        let listed = sys::block::list(CLASS)?;
        let mut found = Vec::new();
        let usable = |device: &&BlockDevice| device.size > 0 && device.number.0 != FLOPPY;
        for device in listed.iter().filter(usable) {
            let partition = device.partition.as_ref().and_then(|(disk, number)| {
                let disk = listed.iter().find(|other| other.name == *disk)?;
                let table = self.table(disk);
                table.iter().find(|entry| entry.number == *number).cloned()
            });
            found.push(Found {
                content: self.content(device),
                partition,
                device: device.clone(),
            });
        }
        Ok(found)
    }

    /// Forgets a device, because the kernel said that it changed.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.tables.remove(name);
    }

    fn content(&mut self, device: &BlockDevice) -> Option<Content> {
        if let Some((seen, content)) = self.known.get(&device.name) {
            if seen == device {
                return content.clone();
            }
        }
        // A device that cannot be read now may be readable after its next event.
        let content = sys::block::probe(device.node()).ok()?;
        self.known
            .insert(device.name.clone(), (device.clone(), content.clone()));
        content
    }

    fn table(&mut self, disk: &BlockDevice) -> &[Partition] {
        self.tables
            .entry(disk.name.clone())
            .or_insert_with(|| sys::block::partitions(disk).unwrap_or_default())
    }
}

/// The device that a path means, links (`/dev/disk/…`) followed.
#[must_use]
pub fn resolve(wanted: &RootDevice) -> RootDevice {
    match wanted {
        RootDevice::Path(path) => {
            let real: PathBuf = std::fs::canonicalize(path).unwrap_or_else(|_absent| path.into());
            RootDevice::Path(real.display().to_string())
        }
        RootDevice::Uuid(_)
        | RootDevice::Label(_)
        | RootDevice::PartUuid(_)
        | RootDevice::PartLabel(_) => wanted.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::block::BtrfsSuper;
    use sys::btrfs::Uuid;

    fn found(name: &str, content: Option<Content>, partition: Option<(&str, &str)>) -> Found {
        Found {
            device: BlockDevice {
                name: name.into(),
                number: (254, 1),
                size: 4 << 30,
                block_size: 512,
                partition: None,
            },
            content,
            partition: partition.map(|(uuid, label)| Partition {
                number: 1,
                uuid: uuid.into(),
                label: label.into(),
                kind: String::new(),
            }),
        }
    }

    fn btrfs(byte: u8, label: &str) -> Option<Content> {
        Some(Content::Btrfs(BtrfsSuper {
            uuid: Uuid([byte; 16]),
            label: label.into(),
            devices: 1,
        }))
    }

    fn devices() -> Vec<Found> {
        vec![
            found("vda1", Some(Content::Other("vfat")), Some(("aa-01", "esp"))),
            found("vda2", btrfs(0x11, "system"), Some(("aa-02", "root"))),
            found("vdb", btrfs(0x22, "data"), None),
        ]
    }

    #[test]
    fn every_way_of_naming_the_device_finds_it() {
        let devices = devices();
        for wanted in [
            "UUID=11111111-1111-1111-1111-111111111111",
            "LABEL=system",
            "PARTUUID=AA-02",
            "PARTLABEL=root",
            "/dev/vda2",
        ] {
            let wanted = wanted.parse().unwrap();
            assert_eq!(look(&wanted, &devices), Look::Here(&devices[1]), "{wanted}");
        }
    }

    #[test]
    fn an_absent_device_is_waited_for_and_a_wrong_one_is_not() {
        let devices = devices();
        assert_eq!(look(&RootDevice::Label("x".into()), &devices), Look::Absent);
        let Look::Wrong(why) = look(&RootDevice::PartLabel("esp".into()), &devices) else {
            panic!("vfat was taken for a store")
        };
        assert_eq!(
            why,
            "PARTLABEL=esp is there (vda1) and holds no btrfs; found on it: vfat"
        );
    }

    #[test]
    fn two_file_systems_with_one_label_are_ambiguous_and_two_devices_of_one_are_not() {
        let mut devices = devices();
        devices.push(found("vdc", btrfs(0x33, "system"), None));
        let wanted = RootDevice::Label("system".into());
        let expected = "LABEL=system is ambiguous: /dev/vda2 and /dev/vdc";
        assert_eq!(look(&wanted, &devices), Look::Wrong(expected.into()));
        devices[3].content = btrfs(0x11, "system");
        assert_eq!(look(&wanted, &devices), Look::Here(&devices[1]));
    }

    #[test]
    fn the_list_for_people_names_everything_root_can_be_called_by() {
        assert_eq!(
            describe(&devices()[1..2]),
            "vda2           4.0 GiB  btrfs  UUID=11111111-1111-1111-1111-111111111111  \
             LABEL=\"system\"  PARTUUID=aa-02  PARTLABEL=\"root\"\n"
        );
        assert_eq!(human_size(512 << 20), "512.0 MiB");
        assert_eq!(human_size(0), "0.0 B");
    }
}

//! Where the store and the ESP are.
//!
//! With `--root` and `--esp` they are folders somebody mounted. In the running system the boot report names the device;
//! the top level and the ESP are mounted in a mount namespace of our own, so nobody else ever sees them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use rootspec::paths::run;
use rootspec::report::BootReport;
use sys::block::{self, BlockDevice, Content};
use sys::mount::{Attributes, Unmount};

use crate::args::Args;
use crate::guard::Guard;
use crate::menu::owner::{Claim, Others};
use crate::store::known::KnownBy;

/// Largest boot report that is read, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024;
/// Partition type of an EFI system partition (UEFI specification 2.10, table 5.7).
const ESP_TYPE: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// Where the running system's top level and ESP are mounted, in our namespace alone.
const TOP: &str = "/run/rootctl/top";
const ESP: &str = "/run/rootctl/esp";

/// The running system's top level is mounted at [`TOP`].
static IS_MOUNTED: AtomicBool = AtomicBool::new(false);

/// A btrfs top level, and what belongs to it.
#[derive(Debug)]
pub(crate) struct Site {
    /// The mounted top level.
    pub(crate) top: PathBuf,
    /// UUID of the file system.
    pub(crate) uuid: String,
    /// The boot report, if the running system was booted from this file system.
    pub(crate) report: Option<BootReport>,
    /// Where to look for the ESP.
    esp: EspAt,
    /// Whether loader variables of this machine belong to this store.
    pub(crate) is_running: bool,
    /// What to do with another store's menu on the ESP.
    pub(crate) others: Others,
}

#[derive(Debug)]
enum EspAt {
    Folder(PathBuf),
    /// On the disk that holds the top level.
    Search {
        device: PathBuf,
    },
    /// A store in a folder, without an ESP.
    NotGiven,
}

/// The ESP, reachable as a folder until dropped.
#[derive(Debug)]
pub(crate) struct EspDir {
    path: PathBuf,
    ours: bool,
}

impl EspDir {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for EspDir {
    fn drop(&mut self) {
        if self.ours {
            // Everything that matters was behind a barrier before; the namespace ends with us anyway.
            drop(sys::mount::unmount(&self.path, Unmount::Detach));
        }
    }
}

impl Site {
    /// The place the arguments name, else the running system.
    pub(crate) fn find(args: &Args) -> Result<Self> {
        match &args.root {
            Some(root) => Self::given(root, args.esp.as_deref()),
            None => Self::running(args.esp.as_deref()),
        }
    }

    fn given(root: &Path, esp: Option<&Path>) -> Result<Self> {
        let uuid = top_level_uuid(root)?;
        let report = read_report()?.filter(|r| r.root_uuid.as_deref() == Some(uuid.as_str()));
        let esp = match esp {
            Some(dir) if dir.is_dir() => EspAt::Folder(dir.to_owned()),
            Some(dir) => {
                return Guard::failed(format!("--esp {}: there is no such folder", dir.display()))
                    .next("mount the ESP there first")
                    .err();
            }
            None => EspAt::NotGiven,
        };
        Ok(Self {
            top: root.to_owned(),
            uuid,
            report,
            esp,
            is_running: false,
            others: Others::Keep,
        })
    }

    fn running(esp: Option<&Path>) -> Result<Self> {
        let Some(report) = read_report()? else {
            return Guard::failed(format!(
                "this system was not booted from a store: {} is absent",
                run::BOOT_REPORT
            ))
            .next("rootctl --root DIR --esp DIR … (DIR: the mounted btrfs top level)")
            .err();
        };
        let device = store_device(&report)?;
        // One process serves one connection, its requests one after the other: what the first has mounted serves the others,
        // and a request that looks for the place twice.
        if !IS_MOUNTED.load(Ordering::Relaxed) {
            mount_top(&device)?;
            IS_MOUNTED.store(true, Ordering::Relaxed);
        }
        let uuid = top_level_uuid(Path::new(TOP))?;
        let esp = match esp {
            Some(dir) => EspAt::Folder(dir.to_owned()),
            None => EspAt::Search { device },
        };
        Ok(Self {
            top: TOP.into(),
            uuid,
            report: Some(report),
            esp,
            is_running: true,
            others: Others::Keep,
        })
    }

    /// What tells this store from every other, as long as the machine runs.
    pub(crate) fn known_by(&self) -> KnownBy {
        KnownBy {
            uuid: self.uuid.clone(),
            // The running system's file system stays mounted, however often its top level is mounted besides.
            mount: match self.is_running {
                true => Some(0),
                false => sys::btrfs::open(&self.top)
                    .ok()
                    .and_then(sys::btrfs_fs::mount_number),
            },
        }
    }

    /// The same place, for a request that says what to do with another store's menu.
    pub(crate) fn with_menu(self, replace: Option<bool>) -> Self {
        let others = match replace {
            Some(true) => Others::Replace,
            Some(false) | None => Others::Keep,
        };
        Self { others, ..self }
    }

    /// For whom the menu on the ESP is written.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            uuid: self.uuid.clone(),
            others: self.others,
        }
    }

    /// False where a store in a folder came without an ESP.
    pub(crate) fn has_esp(&self) -> bool {
        !matches!(self.esp, EspAt::NotGiven)
    }

    /// Makes the ESP reachable.
    pub(crate) fn esp(&self) -> Result<EspDir> {
        match &self.esp {
            EspAt::Folder(path) => Ok(EspDir {
                path: path.clone(),
                ours: false,
            }),
            EspAt::Search { device } => mount_esp(device),
            EspAt::NotGiven => Guard::failed("no ESP was named")
                .next("repeat with --esp DIR, the mounted EFI system partition")
                .err(),
        }
    }
}

/// Mounts the running system's top level where nobody but this process and its children see it.
fn mount_top(device: &Path) -> Result<()> {
    sys::namespace::leave(sys::namespace::Namespaces::Mount)?;
    sys::mount::make_private("/")?;
    let parent = Path::new(TOP).parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    sys::fs::make_dir(TOP, 0o700)?;
    // Programs below it are executed by `run`, which binds a snapshot from here: no NO_EXEC.
    sys::mount::mount_from(device, "btrfs", TOP, Attributes::NO_DEV, "subvolid=5")?;
    Ok(())
}

/// Checks that `dir` is the top level of a btrfs, and returns the file system's UUID.
fn top_level_uuid(dir: &Path) -> Result<String> {
    let no_store = || {
        Guard::failed(format!("{} is not a mounted btrfs", dir.display()))
            .next("mount -o subvolid=5 DEVICE DIR")
    };
    let fd = sys::btrfs::open(dir).with_context(no_store)?;
    let found = sys::btrfs::info(&fd).with_context(no_store)?;
    if found.id != sys::btrfs::TOP_LEVEL || !sys::btrfs::is_subvolume(&fd) {
        return Guard::usage(format!(
            "{} is not the top level of its btrfs",
            dir.display()
        ))
        .next("mount -o subvolid=5 DEVICE DIR")
        .err();
    }
    Ok(sys::btrfs_fs::uuid(&fd)?.to_string())
}

/// The boot report; `None` when there is none. `ROOTCTL_BOOT_REPORT` names another file, for tests of a store that is not
/// booted; on the control socket the environment is `rinit`'s.
fn read_report() -> Result<Option<BootReport>> {
    let path = std::env::var_os("ROOTCTL_BOOT_REPORT")
        .map_or_else(|| PathBuf::from(run::BOOT_REPORT), PathBuf::from);
    let text = match sys::fs::read_text(&path, REPORT_LIMIT) {
        Err(error) if error.is_absent() => return Ok(None),
        other => other?,
    };
    let report = BootReport::from_toml(&text)
        .with_context(|| format!("cannot read the boot report {}", path.display()))?;
    Ok(Some(report))
}

/// The device the running system's store is on: the one the boot stage used, if it still holds that file system.
fn store_device(report: &BootReport) -> Result<PathBuf> {
    let Some(uuid) = &report.root_uuid else {
        return Guard::failed("the running system is not on a btrfs store")
            .next("rootctl --root DIR …")
            .err();
    };
    let holds = |node: &Path| matches!(block::probe(node), Ok(Some(Content::Btrfs(found))) if found.uuid.to_string() == *uuid);
    if let Some(node) = report.root_device.as_deref().map(Path::new) {
        if holds(node) {
            return Ok(node.to_owned());
        }
    }
    let all = block::list("/sys/class/block")?;
    let found = all.iter().map(BlockDevice::node).find(|node| holds(node));
    found.map_or_else(
        || {
            Guard::failed(format!("no device holds the btrfs {uuid} any more"))
                .next("see `lsblk -f`, and connect the disk again")
                .err()
        },
        Ok,
    )
}

fn mount_esp(store: &Path) -> Result<EspDir> {
    let devices = block::list("/sys/class/block")?;
    let node = find_esp(store, &devices, |disk| {
        block::partitions(disk).unwrap_or_default()
    })?;
    sys::fs::make_dir(ESP, 0o700)?;
    let attributes = Attributes::NO_DEV
        .and(Attributes::NO_SUID)
        .and(Attributes::NO_EXEC)
        .and(Attributes::NO_SYMFOLLOW);
    sys::mount::mount_from(&node, "vfat", ESP, attributes, "umask=0077").with_context(|| {
        let why = format!("cannot reach the ESP on {}", node.display());
        Guard::failed(why).next("is the module vfat there? see `modprobe vfat`")
    })?;
    Ok(EspDir {
        path: ESP.into(),
        ours: true,
    })
}

/// The ESP on the disk that holds the store; else the only one of the machine.
fn find_esp(
    store: &Path,
    devices: &[BlockDevice],
    partitions: impl Fn(&BlockDevice) -> Vec<sys::gpt::Partition>,
) -> Result<PathBuf> {
    let on = |disk: &BlockDevice| -> Vec<PathBuf> {
        let numbers: Vec<u32> = partitions(disk)
            .iter()
            .filter(|partition| partition.kind == ESP_TYPE)
            .map(|partition| partition.number)
            .collect();
        let is_esp = |device: &&BlockDevice| matches!(&device.partition, Some((d, n)) if *d == disk.name && numbers.contains(n));
        devices
            .iter()
            .filter(is_esp)
            .map(BlockDevice::node)
            .collect()
    };
    let own = devices.iter().find(|device| device.node() == store);
    let own_disk = own.and_then(|device| device.partition.as_ref());
    let is_own = |disk: &&BlockDevice| own_disk.is_some_and(|(name, _)| disk.name == *name);
    if let Some(node) = devices
        .iter()
        .find(is_own)
        .map(&on)
        .unwrap_or_default()
        .first()
    {
        return Ok(node.clone());
    }
    let disks = devices.iter().filter(|device| device.partition.is_none());
    let all: Vec<PathBuf> = disks.flat_map(on).collect();
    match all.as_slice() {
        [only] => Ok(only.clone()),
        [] => Guard::failed("no disk has an EFI system partition")
            .next("see `lsblk -o NAME,PARTTYPENAME`")
            .err(),
        several => {
            let names: Vec<_> = several.iter().map(|n| n.display().to_string()).collect();
            let why = format!(
                "several disks have an EFI system partition: {}",
                names.join(", ")
            );
            Guard::failed(why)
                .next("start rootctld with --esp DIR (see its service file)")
                .err()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, partition: Option<(&str, u32)>) -> BlockDevice {
        BlockDevice {
            name: name.into(),
            number: (8, 0),
            size: 1,
            block_size: 512,
            partition: partition.map(|(disk, number)| (disk.to_owned(), number)),
        }
    }

    fn esp(number: u32) -> sys::gpt::Partition {
        sys::gpt::Partition {
            number,
            uuid: "u".into(),
            label: String::new(),
            kind: ESP_TYPE.into(),
        }
    }

    fn machine() -> Vec<BlockDevice> {
        vec![
            device("vda", None),
            device("vda1", Some(("vda", 1))),
            device("vda2", Some(("vda", 2))),
            device("vdb", None),
            device("vdb1", Some(("vdb", 1))),
        ]
    }

    #[test]
    fn the_esp_of_the_stores_own_disk_is_taken() {
        let both = |disk: &BlockDevice| {
            let _name = &disk.name;
            vec![esp(1)]
        };
        let found = find_esp(Path::new("/dev/vda2"), &machine(), both).unwrap();
        assert_eq!(found, Path::new("/dev/vda1"));
    }

    #[test]
    fn the_only_esp_of_another_disk_is_taken_and_two_are_ambiguous() {
        let store = Path::new("/dev/mapper/x");
        let one = |disk: &BlockDevice| {
            if disk.name == "vdb" {
                vec![esp(1)]
            } else {
                vec![]
            }
        };
        assert_eq!(
            find_esp(store, &machine(), one).unwrap(),
            Path::new("/dev/vdb1")
        );
        let both = |_: &BlockDevice| vec![esp(1)];
        let error = find_esp(store, &machine(), both).unwrap_err().to_string();
        assert!(error.contains("/dev/vda1, /dev/vdb1"), "{error}");
        let none = |_: &BlockDevice| vec![];
        assert!(find_esp(store, &machine(), none).is_err());
    }
}

//! A trial under a Limine that keeps no state (before 11.4, or on BIOS): its entry is made the menu's default, and its
//! boot stage puts the good one back before anything else (`rootctl.disarm=`). One digit in one sector each time.

use std::path::Path;

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::limine::{self, MenuPlace};
use rootspec::meta::Meta;
use sys::block::{self, BlockDevice};
use sys::mountinfo::{self, MountEntry};

use crate::guard::Guard;
use crate::menu::{MenuEntry, owner};

/// Largest menu that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// The first entry of our menus is the good one.
const GOOD: u8 = 1;

/// Makes the entry of `id` the default. Touches the disk, if it is not the default already.
pub(crate) fn arm(menu: &Path, id: SnapshotId) -> Result<()> {
    let text = sys::fs::read_text(menu, LIMIT)?;
    let title = MenuEntry::title(id);
    let mut titles = text.lines().filter_map(|line| line.strip_prefix('/'));
    let number = titles
        .position(|found| found == title)
        .and_then(|at| u8::try_from(at.checked_add(1)?).ok())
        .with_context(|| format!("{} has no entry {title:?}", menu.display()))?;
    set(menu, &text, number)
}

/// Makes the good entry the default again. Writes only if it is not.
pub(crate) fn clear(menu: &Path) -> Result<()> {
    match sys::fs::read_text(menu, LIMIT) {
        Err(error) if error.is_absent() => Ok(()),
        text => set(menu, &text?, GOOD),
    }
}

/// True if the menu starts `id` by itself, because it was armed.
pub(crate) fn starts(menu: &Path, id: SnapshotId) -> Result<bool> {
    match sys::fs::read_text(menu, LIMIT) {
        Err(error) if error.is_absent() => Ok(false),
        text => Ok(is_armed(&text?, id)),
    }
}

/// True if a menu's text starts `id`, and not its first entry, by itself.
pub(crate) fn is_armed(text: &str, id: SnapshotId) -> bool {
    let armed = limine::default_entry(text.as_bytes()).is_some_and(|found| found.number != GOOD);
    armed && limine::default_title(text) == Some(MenuEntry::title(id).as_str())
}

/// True if this is the menu of the store on `uuid`: that of another store is not ours to arm or disarm.
pub(crate) fn is_of(menu: &Path, uuid: &str) -> bool {
    let text = sys::fs::read_text(menu, LIMIT).unwrap_or_default();
    text.starts_with(&owner::first_line(uuid))
}

fn set(menu: &Path, text: &str, number: u8) -> Result<()> {
    let found = limine::default_entry(text.as_bytes());
    if found.map_or(GOOD, |found| found.number) == number {
        return Ok(());
    }
    let unfit = || {
        let path = menu.display();
        format!("{path} has no default_entry in its first sector that {number} could be put into")
    };
    let found = found.with_context(unfit)?;
    let digit = limine::digit(number).with_context(unfit)?;
    sys::fs::write_slot(menu, found.at, &digit)?;
    Ok(sys::fs::fat_barrier(menu.parent().unwrap_or(menu))?)
}

/// How the boot stage will find the menu `file`, which lies on the ESP mounted at `esp_dir`.
pub(crate) fn place(esp_dir: &Path, file: &Path) -> Result<MenuPlace> {
    let below = file.strip_prefix(esp_dir).unwrap_or(file);
    let absolute = format!("/{}", below.display());
    let partition = partition(esp_dir)?;
    MenuPlace::new(&partition, &absolute).map_or_else(
        || {
            Guard::refused(format!(
                "{absolute} on partition {partition} cannot be named on a kernel command line"
            ))
            .next("give the folder of limine.conf a plain name, or use GRUB")
            .err()
        },
        Ok,
    )
}

/// UUID of the partition that is mounted at `esp_dir`, if no other one has it.
fn partition(esp_dir: &Path) -> Result<String> {
    if let (true, Some(uuid)) = (
        cfg!(debug_assertions),
        std::env::var_os("ROOTCTLD_ESP_PARTITION"),
    ) {
        return Ok(uuid.to_string_lossy().into_owned());
    }
    let unreachable = |why: String| {
        let esp = esp_dir.display();
        Guard::refused(format!(
            "the boot stage could not find the ESP at {esp}: {why}"
        ))
        .next("use GRUB, or `rootctl rollback N` to make N the default without a trial")
    };
    let target = std::fs::canonicalize(esp_dir)
        .with_context(|| format!("cannot look at {}", esp_dir.display()))?;
    let mounts = mountinfo::read()?;
    let is_it = |mount: &&MountEntry| Path::new(&mount.target) == target && mount.root == "/";
    let Some(mount) = mounts.iter().rev().find(is_it) else {
        return unreachable("no file system is mounted there".into()).err();
    };
    let devices = block::list("/sys/class/block")?;
    let all = |disk: &BlockDevice| block::partitions(disk).unwrap_or_default();
    unique_uuid(&devices, mount.device, all).map_err(|why| unreachable(why).into())
}

fn unique_uuid(
    devices: &[BlockDevice],
    number: (u32, u32),
    partitions: impl Fn(&BlockDevice) -> Vec<sys::gpt::Partition>,
) -> Result<String, String> {
    let esp = devices.iter().find(|device| device.number == number);
    let Some((disk, at)) = esp.and_then(|device| device.partition.as_ref()) else {
        return Err("it is no partition of a disk".into());
    };
    let disks = devices.iter().filter(|device| device.partition.is_none());
    let all: Vec<(&str, sys::gpt::Partition)> = disks
        .flat_map(|disk| {
            partitions(disk)
                .into_iter()
                .map(|found| (disk.name.as_str(), found))
        })
        .collect();
    let own = all
        .iter()
        .find(|(name, found)| name == disk && found.number == *at);
    let Some((_, own)) = own else {
        return Err("its partition has no UUID".into());
    };
    match all
        .iter()
        .filter(|(_, found)| found.uuid == own.uuid)
        .count()
    {
        1 => Ok(own.uuid.clone()),
        _ => Err(format!("more than one partition has the UUID {}", own.uuid)),
    }
}

/// A kernel that stops before its boot stage is started again at every reset: only what the running system was started
/// with is known not to. Anything else needs a person's word.
pub(crate) fn must_come_back(new: &Meta, running: Option<&Meta>, accepted: bool) -> Result<()> {
    let files = |meta: &Meta| {
        let kernel = meta.kernel.as_ref()?;
        Some((
            kernel.vmlinuz.blake2b.clone(),
            kernel.initrd.blake2b.clone(),
            meta.cmdline.clone(),
        ))
    };
    let proven = running
        .and_then(files)
        .is_some_and(|known| files(new) == Some(known));
    if proven || accepted {
        return Ok(());
    }
    let id = new.id;
    Guard::refused(format!(
        "snapshot {id} has another kernel, initramfs or kernel words than the running system, and this Limine keeps no \
         state (before 11.4, or on BIOS): if that kernel stops before the boot stage, it is started again at every reset, \
         until a person picks another entry in the menu"
    ))
    .next(format!(
        "with somebody at the console: rootctl deploy {id} --accept-no-return; without: use GRUB, which counts by itself"
    ))
    .err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::publish::tests::meta;
    use crate::tree::testdir::TestDir;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    const MENU: &str = "# ours\ndefault_entry: 1\ntimeout: 2\n\n/rootctl 4\n    x: y\n\n/rootctl 3\n\n/rootctl 7\n";

    #[test]
    fn one_digit_is_changed_in_place_and_changed_back() {
        let dir = TestDir::new("by-menu");
        let path: PathBuf = dir.path().join("limine.conf");
        std::fs::write(&path, MENU).unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        arm(&path, id(7)).unwrap();
        assert_eq!(text(), MENU.replace("entry: 1", "entry: 3"));
        assert!(starts(&path, id(7)).unwrap() && !starts(&path, id(4)).unwrap());
        let inode = path.metadata().unwrap().ino();
        clear(&path).unwrap();
        assert_eq!(
            (text().as_str(), path.metadata().unwrap().ino()),
            (MENU, inode)
        );
        assert!(!starts(&path, id(4)).unwrap(), "the good one is not armed");
    }

    #[test]
    fn a_menu_without_the_entry_or_the_line_is_left_alone() {
        let dir = TestDir::new("by-menu-odd");
        let path = dir.path().join("limine.conf");
        assert!(arm(&path, id(3)).is_err());
        clear(&path).unwrap();
        assert!(!is_of(&path, "0a") && !path.exists() && !starts(&path, id(3)).unwrap());
        for (text, wanted) in [
            (MENU, "no entry \"rootctl 9\""),
            ("timeout: 2\n\n/rootctl 4\n/rootctl 9\n", "first sector"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = arm(&path, id(9)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        clear(&path).unwrap();
    }

    #[test]
    fn the_esp_must_be_a_partition_whose_uuid_nobody_else_has() {
        let device = |name: &str, minor, partition: Option<(&str, u32)>| BlockDevice {
            name: name.into(),
            number: (254, minor),
            size: 1,
            block_size: 512,
            partition: partition.map(|(disk, number)| (disk.to_owned(), number)),
        };
        let devices = [
            device("vda", 0, None),
            device("vda1", 1, Some(("vda", 1))),
            device("vdb", 16, None),
        ];
        let table = |uuid: &str| {
            vec![sys::gpt::Partition {
                number: 1,
                uuid: uuid.into(),
                label: String::new(),
                kind: String::new(),
            }]
        };
        let of = |number, copy: &str| {
            let tables = |disk: &BlockDevice| table(if disk.name == "vda" { "0a" } else { copy });
            unique_uuid(&devices, (254, number), tables)
        };
        assert_eq!(of(1, "0b"), Ok("0a".into()));
        assert!(of(1, "0a").unwrap_err().contains("more than one"));
        assert!(of(16, "0b").unwrap_err().contains("no partition of a disk"));
        assert!(of(99, "0b").unwrap_err().contains("no partition of a disk"));
        let none = unique_uuid(&devices, (254, 1), |_| Vec::new());
        assert!(none.unwrap_err().contains("no UUID"));
    }

    #[test]
    fn only_boot_files_that_are_running_are_started_without_a_persons_word() {
        let (new, mut same) = (meta(2), meta(1));
        same.kernel = new.kernel.clone();
        assert!(must_come_back(&new, Some(&same), false).is_ok());
        assert!(must_come_back(&new, Some(&meta(1)), true).is_ok());
        let mut other_words = same.clone();
        other_words.cmdline = "mem=1M".into();
        same.kernel.as_mut().unwrap().initrd.blake2b = "0".repeat(128);
        for running in [Some(&same), Some(&other_words), Some(&meta(1)), None] {
            let error = must_come_back(&new, running, false).unwrap_err();
            assert!(error.to_string().contains("at every reset"), "{error}");
        }
    }
}

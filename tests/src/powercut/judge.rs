//! Would this disk still boot, and is what was promised on it? Reading is apart from judging, and shares nothing with the
//! broker but the formats.

use crate::disk::{Disk, btrfs};
use crate::grub_reader::Menu;
use crate::run;
use anyhow::{Context, Result};
use blake2::{Blake2b512, Digest};
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::paths::{esp as esp_names, store as names};
use rootspec::state::StateRead;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is on the ESP.
#[derive(Debug, Clone)]
pub struct EspFacts {
    /// The menu, or why there is none.
    pub menu: Result<Menu, String>,
    /// GRUB's environment block; empty: none.
    pub block: Vec<u8>,
    /// BLAKE2b-512 of the files that entries name; those that cannot be read are missing.
    pub files: BTreeMap<String, String>,
}

/// What is on the btrfs.
#[derive(Debug, Clone, Default)]
pub struct StoreFacts {
    /// Why nothing can be said.
    pub unreadable: Option<String>,
    /// Whether the state record has a valid slot.
    pub has_state: bool,
    /// The published snapshots.
    pub snapshots: BTreeMap<u32, SnapshotFacts>,
}

/// A snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// What is wrong with it, in words.
    pub faults: Vec<String>,
    /// BLAKE2b-512 of kernel and initramfs, by its meta file.
    pub boot_files: Option<[String; 2]>,
    /// A number for names, sizes and modes of everything in its root; 0: nobody looked.
    pub tree: u64,
}

/// What must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The default is one of these.
    pub defaults: Vec<u32>,
    /// These are there, whole.
    pub present: Vec<u32>,
    /// This one is entered next.
    pub entered: Option<u32>,
}

/// What is known of complete snapshots: the number for their trees.
pub type Trees = BTreeMap<u32, u64>;

/// Reads the ESP.
///
/// # Errors
/// When the image has none.
pub fn read_esp(disk: &Disk) -> Result<EspFacts> {
    let esp = disk.esp()?;
    let file = |name: &str| esp.read(&format!("/{}/{name}", esp_names::DIR));
    let menu = match file(esp_names::GRUB_CFG) {
        Ok(text) => Menu::parse(&String::from_utf8_lossy(&text)),
        Err(why) => Err(why),
    };
    let menu = menu.map_err(|why| format!("{why:#}"));
    let mut files = BTreeMap::new();
    for entry in menu.iter().flat_map(|menu| &menu.entries) {
        for name in [&entry.kernel, &entry.initrd] {
            if let (false, Ok(bytes)) = (files.contains_key(name), esp.read(name)) {
                files.insert(name.clone(), hex(&Blake2b512::digest(&bytes)));
            }
        }
    }
    Ok(EspFacts {
        menu,
        block: file(esp_names::GRUB_ENV).unwrap_or_default(),
        files,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mounts the btrfs as a boot would and reads the store; with `trees` every file of every root is looked at.
///
/// # Errors
/// When the host cannot: what is wrong with the disk is a fact.
pub fn read_store(disk: &Disk, at: &Path, trees: bool) -> Result<StoreFacts> {
    let facts = match btrfs::mount(disk, at) {
        Ok(mounted) => read_mounted(&mounted.path().join(names::DIR), trees)
            .unwrap_or_else(|why| unreadable(&why)),
        Err(why) => unreadable(&why),
    };
    // The kernel remembers a file system by its id, and would take an older state of it for a stale device.
    run::quiet(&mut run::command("btrfs", ["device", "scan", "--forget"]))?;
    Ok(facts)
}

fn unreadable(why: &anyhow::Error) -> StoreFacts {
    StoreFacts {
        unreadable: Some(format!("{why:#}")),
        ..StoreFacts::default()
    }
}

fn read_mounted(store: &Path, trees: bool) -> Result<StoreFacts> {
    let state = fs::read(store.join(names::STATE)).context("cannot read the state record")?;
    let mut facts = StoreFacts {
        has_state: StateRead::from_bytes(&state).state.is_some(),
        ..StoreFacts::default()
    };
    for entry in fs::read_dir(store.join(names::SNAPS)).context("cannot list the snapshots")? {
        let entry = entry.context("cannot list the snapshots")?;
        let number: Option<u32> = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(id) = number.and_then(SnapshotId::new) {
            facts
                .snapshots
                .insert(id.get(), read_snapshot(&entry.path(), id, trees));
        }
    }
    Ok(facts)
}

fn read_snapshot(folder: &Path, id: SnapshotId, trees: bool) -> SnapshotFacts {
    let mut facts = SnapshotFacts::default();
    let root = folder.join(names::ROOT);
    match read_meta(folder, id) {
        Ok(meta) => {
            facts.boot_files = meta
                .kernel
                .map(|kernel| [kernel.vmlinuz.blake2b, kernel.initrd.blake2b]);
            match btrfs::subvolume_uuid(&root) {
                Ok(uuid) if uuid == meta.uuid => {}
                Ok(uuid) => facts
                    .faults
                    .push(format!("its root is {uuid}, not {}", meta.uuid)),
                Err(why) => facts.faults.push(format!("{why:#}")),
            }
        }
        Err(why) => facts.faults.push(format!("{why:#}")),
    }
    let mut property = run::command("btrfs", ["property", "get", "-t", "subvol"]);
    match run::output(property.arg(&root).arg("ro")) {
        Ok(text) if text.trim() == "ro=true" => {}
        Ok(_) => facts.faults.push("its root is not sealed".to_owned()),
        Err(why) => facts.faults.push(format!("{why:#}")),
    }
    if fs::metadata(root.join("usr/bin/rinit")).is_ok_and(|data| data.len() > 0) {
        if trees {
            match tree(&root) {
                Ok(number) => facts.tree = number,
                Err(why) => facts.faults.push(format!("{why:#}")),
            }
        }
    } else {
        facts.faults.push("its root has no rinit".to_owned());
    }
    facts
}

fn read_meta(folder: &Path, id: SnapshotId) -> Result<Meta> {
    let file = folder.join(names::META);
    let text = fs::read_to_string(&file).context("cannot read its meta file")?;
    Meta::from_toml(names::META, &text, id).map_err(|spot| anyhow::anyhow!("{spot}"))
}

/// Names, sizes, modes and owners below a folder as one number.
fn tree(root: &Path) -> Result<u64> {
    let mut sum = 0_u64;
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let list =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in list {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let path = entry.path();
            let data = fs::symlink_metadata(&path)
                .with_context(|| format!("cannot look at {}", path.display()))?;
            let mut hasher = DefaultHasher::new();
            path.strip_prefix(root).unwrap_or(&path).hash(&mut hasher);
            let size = if data.is_dir() { 0 } else { data.len() };
            (size, data.mode(), data.uid(), data.gid()).hash(&mut hasher);
            // The order of a folder's names says nothing.
            sum = sum.wrapping_add(hasher.finish());
            if data.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(sum.max(1))
}

/// Everything that breaks a promise, in words; empty when all is well.
pub fn judge(
    esp: &EspFacts,
    store: &StoreFacts,
    expected: &Expected,
    trees: &Trees,
) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(why) = &store.unreadable {
        return vec![format!("the store cannot be read: {why}")];
    }
    if !store.has_state {
        faults.push("the state record has no valid slot".to_owned());
    }
    for id in &expected.present {
        if !store.snapshots.contains_key(id) {
            faults.push(format!("snapshot {id} is gone"));
        }
    }
    for (id, snapshot) in &store.snapshots {
        faults.extend(
            snapshot
                .faults
                .iter()
                .map(|fault| format!("snapshot {id}: {fault}")),
        );
        let known = trees.get(id).filter(|_| snapshot.tree != 0);
        if known.is_some_and(|known| *known != snapshot.tree) {
            faults.push(format!("snapshot {id}: its root is not complete"));
        }
    }
    match &esp.menu {
        Ok(menu) => faults.extend(judge_menu(menu, esp, store, expected)),
        Err(why) => faults.push(format!("the menu cannot be read: {why}")),
    }
    faults
}

fn judge_menu(menu: &Menu, esp: &EspFacts, store: &StoreFacts, expected: &Expected) -> Vec<String> {
    let mut faults = Vec::new();
    match menu.first().map(|entry| entry.snapshot) {
        Some(id) if expected.defaults.contains(&id) => {}
        other => faults.push(format!(
            "the default is {other:?}, not one of {:?}",
            expected.defaults
        )),
    }
    if let Some(wanted) = expected.entered {
        let entered = menu.entered(&esp.block).map(|entry| entry.snapshot);
        if entered != Some(wanted) {
            faults.push(format!("{entered:?} would be entered, not {wanted}"));
        }
    }
    for entry in &menu.entries {
        let Some(snapshot) = store.snapshots.get(&entry.snapshot) else {
            faults.push(format!(
                "the menu names snapshot {}, which is not there",
                entry.snapshot
            ));
            continue;
        };
        let Some(wanted) = &snapshot.boot_files else {
            faults.push(format!("{}: nobody knows its kernel", entry.id));
            continue;
        };
        for (name, hash) in [&entry.kernel, &entry.initrd].into_iter().zip(wanted) {
            match esp.files.get(name) {
                Some(found) if found == hash => {}
                Some(_) => faults.push(format!("{}: {name} has other bytes", entry.id)),
                None => faults.push(format!("{}: {name} is not there", entry.id)),
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grub_reader::Entry;

    fn whole() -> (EspFacts, StoreFacts, Expected) {
        let entry = |snapshot: u32| Entry {
            id: format!("rootctl-{snapshot}"),
            snapshot,
            kernel: "/k".into(),
            initrd: "/i".into(),
        };
        let esp = EspFacts {
            menu: Ok(Menu {
                default: Some("rootctl-1".into()),
                entries: vec![entry(1), entry(2)],
                counts: Some(2),
            }),
            block: b"# GRUB Environment Block\nrootctl_trial=2\nrootctl_tries=1\n".to_vec(),
            files: [("/k".into(), "kk".into()), ("/i".into(), "ii".into())].into(),
        };
        let snapshot = SnapshotFacts {
            boot_files: Some(["kk".into(), "ii".into()]),
            tree: 7,
            ..SnapshotFacts::default()
        };
        let store = StoreFacts {
            has_state: true,
            snapshots: [(1, snapshot.clone()), (2, snapshot)].into(),
            ..StoreFacts::default()
        };
        let expected = Expected {
            defaults: vec![1],
            present: vec![1, 2],
            entered: Some(2),
        };
        (esp, store, expected)
    }

    #[test]
    fn a_whole_disk_has_no_fault() {
        let (esp, store, expected) = whole();
        assert_eq!(
            judge(&esp, &store, &expected, &[(1, 7)].into()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_broken_promise_is_a_fault() {
        type Break = fn(&mut EspFacts, &mut StoreFacts, &mut Expected);
        let breaks: [(&str, Break); 11] = [
            ("cannot be read", |_, store, _| {
                store.unreadable = Some("x".into());
            }),
            ("no valid slot", |_, store, _| store.has_state = false),
            ("snapshot 3 is gone", |_, _, expected| {
                expected.present.push(3);
            }),
            ("not sealed", |_, store, _| {
                store
                    .snapshots
                    .get_mut(&2)
                    .unwrap()
                    .faults
                    .push("not sealed".into());
            }),
            ("not complete", |_, store, _| {
                store.snapshots.get_mut(&1).unwrap().tree = 8;
            }),
            ("the menu cannot be read", |esp, _, _| {
                esp.menu = Err("x".into());
            }),
            ("the default is Some(1)", |_, _, expected| {
                expected.defaults = vec![2];
            }),
            ("would be entered", |esp, _, _| esp.block.clear()),
            ("which is not there", |_, store, expected| {
                store.snapshots.remove(&2);
                expected.present = vec![1];
            }),
            ("/k has other bytes", |esp, _, _| {
                esp.files.insert("/k".into(), "other".into());
            }),
            ("/i is not there", |esp, _, _| {
                esp.files.remove("/i");
            }),
        ];
        for (words, damage) in breaks {
            let (mut esp, mut store, mut expected) = whole();
            damage(&mut esp, &mut store, &mut expected);
            let faults = judge(&esp, &store, &expected, &[(1, 7)].into());
            assert!(
                faults.iter().any(|fault| fault.contains(words)),
                "{words}: {faults:?}"
            );
        }
    }
}

//! Waiting for the root device: the kernel's messages load drivers and announce disks, until ours is there or the
//! deadline passes. Never sleeps.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rootspec::cmdline::RootDevice;
use sys::block::Content;
use sys::uevent::{Heard, Uevent, UeventSocket};

use crate::device::{self, Found, Look, Root, Scanner};
use crate::modules::Loader;
use crate::say::Voice;

/// Where the kernel shows devices by the bus that they are on, each with the alias its driver is found by.
const BUSES: &str = "/sys/bus";
/// When no device is named, this much silence after the first store was seen counts as "no other will come".
const SETTLED: Duration = Duration::from_secs(1);

/// What is looked for, and how long.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The device; without one, any btrfs that holds a store.
    pub device: Option<RootDevice>,
    /// Until when.
    pub deadline: Instant,
    /// Whether a btrfs that misses devices will do when the time is over.
    pub degraded: bool,
}

/// Waits for the device.
///
/// # Errors
/// It did not come in time, is ambiguous, or holds no btrfs.
pub fn find(wanted: &Wanted, loader: &Loader, voice: &mut Voice) -> Result<Root> {
    let mut search = Search::new(wanted, loader, voice);
    match search.wait(Search::look)? {
        Some(root) => Ok(root),
        None => search.give_up(),
    }
}

/// Waits for the partition with this UUID, whatever is on it, and returns its device node.
///
/// # Errors
/// It did not come before the deadline, or two disks have it.
pub fn partition(
    uuid: &str,
    deadline: Instant,
    loader: &Loader,
    voice: &mut Voice,
) -> Result<PathBuf> {
    let wanted = Wanted {
        device: Some(RootDevice::PartUuid(uuid.to_owned())),
        deadline,
        degraded: false,
    };
    let mut search = Search::new(&wanted, loader, voice);
    let found = search.wait(|search, _settled| search.partition(uuid))?;
    found.with_context(|| format!("PARTUUID={uuid} did not appear"))
}

enum Waited {
    /// Something about disks changed.
    Changed,
    /// Nothing until the time given.
    Silence,
}

struct Search<'a> {
    wanted: &'a Wanted,
    loader: &'a Loader,
    voice: &'a mut Voice,
    scanner: Scanner,
    /// The right file system, of which devices are missing.
    missing: Option<Root>,
    /// Stores that were looked into: device and answer.
    asked: Vec<(PathBuf, bool)>,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a Wanted, loader: &'a Loader, voice: &'a mut Voice) -> Self {
        Self {
            wanted,
            loader,
            voice,
            scanner: Scanner::default(),
            missing: None,
            asked: Vec::new(),
        }
    }

    /// Looks, loads drivers, listens and looks again, until `look` finds something or the time is over. It is told
    /// whether the devices have settled.
    fn wait<T>(
        &mut self,
        mut look: impl FnMut(&mut Self, bool) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        // Before the first look, so that no device can come between looking and listening.
        let socket = UeventSocket::open()?;
        // What is built in or on the list is there already: then no driver has to be looked for.
        if let Some(found) = look(self, false)? {
            return Ok(Some(found));
        }
        self.cold_plug();
        let mut quiet_since = Instant::now();
        loop {
            let settled = quiet_since.elapsed() >= SETTLED;
            if let Some(found) = look(self, settled)? {
                return Ok(Some(found));
            }
            let until = if self.wanted.device.is_none() && !settled {
                self.wanted.deadline.min(quiet_since + SETTLED)
            } else {
                self.wanted.deadline
            };
            match self.listen(&socket, until)? {
                Waited::Changed => quiet_since = Instant::now(),
                Waited::Silence if Instant::now() < self.wanted.deadline => {}
                Waited::Silence => return Ok(None),
            }
        }
    }

    fn partition(&mut self, uuid: &str) -> Result<Option<PathBuf>> {
        let devices = self.scanner.scan()?;
        let is_it = |found: &&Found| found.partition.as_ref().is_some_and(|p| p.uuid == uuid);
        let found: Vec<_> = devices.iter().filter(is_it).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.device.node())),
            [one, other, ..] => bail!(
                "PARTUUID={uuid} is ambiguous: {} and {}",
                one.device.node().display(),
                other.device.node().display()
            ),
        }
    }

    fn look(&mut self, settled: bool) -> Result<Option<Root>> {
        let devices = self.scanner.scan()?;
        let here = match &self.wanted.device {
            Some(wanted) => match device::look(&device::resolve(wanted), &devices) {
                Look::Here(found) => found.clone(),
                Look::Absent => return Ok(None),
                Look::Wrong(why) => bail!(why),
            },
            None => match self.any_store(&devices, settled)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let root = root_of(&here, &devices);
        if count_of(&here) > 1 && !self.complete(&root) {
            self.missing = Some(root);
            return Ok(None);
        }
        Ok(Some(root))
    }

    /// The only btrfs that holds a store, once no other can be expected.
    fn any_store(&mut self, devices: &[Found], settled: bool) -> Result<Option<Found>> {
        let mut stores: Vec<&Found> = Vec::new();
        for found in devices.iter().filter(|found| found.btrfs_uuid().is_some()) {
            let seen = stores
                .iter()
                .any(|other| other.btrfs_uuid() == found.btrfs_uuid());
            if !seen && self.holds_store(&found.device.node()) {
                stores.push(found);
            }
        }
        match stores.as_slice() {
            [one] if settled => Ok(Some((*one).clone())),
            [] | [_] => Ok(None),
            [one, other, ..] => bail!(
                "no root= was given, and there is more than one store: on {} and {}; add root=UUID={}",
                one.device.node().display(),
                other.device.node().display(),
                one.btrfs_uuid().unwrap_or_default()
            ),
        }
    }

    fn holds_store(&mut self, node: &Path) -> bool {
        if let Some((_, answer)) = self.asked.iter().find(|(asked, _)| asked == node) {
            return *answer;
        }
        self.tell(self.loader.load_file_systems(&["btrfs"]));
        let answer = crate::store::is_on(node);
        self.asked.push((node.to_owned(), answer));
        answer
    }

    /// Registers all devices of the file system; true when none is missing.
    fn complete(&mut self, root: &Root) -> bool {
        self.tell(self.loader.load_file_systems(&["btrfs"]));
        let Ok(control) = sys::btrfs::control() else {
            return false;
        };
        // A device that is refused is one that is missing, which the last line finds out.
        root.all.iter().for_each(|node| {
            sys::btrfs::scan_device(&control, node).ok();
        });
        sys::btrfs::devices_ready(&control, &root.node).unwrap_or(false)
    }

    fn give_up(self) -> Result<Root> {
        match (self.missing, &self.wanted.device) {
            (Some(root), _) if self.wanted.degraded => {
                self.voice.warn(format!(
                    "the btrfs on {} misses devices and is used without them",
                    root.node.display()
                ));
                Ok(root)
            }
            (Some(root), _) => bail!(
                "the btrfs on {} misses devices; rootctl.degraded uses it without them",
                root.node.display()
            ),
            (None, Some(wanted)) => bail!("{wanted} did not appear"),
            (None, None) => bail!("no root= was given, and no btrfs with a store appeared"),
        }
    }

    /// Waits for a message, takes all that are there, loads drivers for what they announce.
    fn listen(&mut self, socket: &UeventSocket, until: Instant) -> Result<Waited> {
        let mut changed = false;
        loop {
            // After the first message about a disk, only what is already there is taken before looking again.
            let now = Instant::now();
            match socket.wait(if changed { now } else { until })? {
                Heard::Event(event) => changed |= self.take(&event),
                // A link that `root=` names may be there now.
                Heard::Udev => changed = true,
                Heard::Overrun => {
                    self.cold_plug();
                    changed = true;
                }
                Heard::Silence if changed => return Ok(Waited::Changed),
                Heard::Silence => return Ok(Waited::Silence),
            }
            // A flood of other messages must not hide that the time is over.
            if now >= until && !changed {
                return Ok(Waited::Silence);
            }
        }
    }

    fn take(&mut self, event: &Uevent) -> bool {
        if event.action == "add" {
            if let Some(alias) = event.get("MODALIAS") {
                self.tell(self.loader.load_alias(alias));
            }
        }
        if event.get("SUBSYSTEM") != Some("block") {
            return false;
        }
        if let Some(name) = event.get("DEVNAME") {
            self.scanner.forget(name);
        }
        true
    }

    /// Loads drivers for all devices that are there. Devices that a driver brings up announce themselves.
    fn cold_plug(&mut self) {
        for alias in aliases_of_devices() {
            self.tell(self.loader.load_alias(&alias));
        }
    }

    fn tell(&mut self, problems: Vec<String>) {
        problems
            .into_iter()
            .for_each(|problem| self.voice.warn(problem));
    }
}

fn count_of(found: &Found) -> u64 {
    match &found.content {
        Some(Content::Btrfs(btrfs)) => btrfs.devices,
        Some(Content::Squashfs | Content::Erofs | Content::Other(_)) | None => 0,
    }
}

fn root_of(here: &Found, devices: &[Found]) -> Root {
    let uuid = here.btrfs_uuid();
    let same = devices.iter().filter(|found| found.btrfs_uuid() == uuid);
    Root {
        node: here.device.node(),
        all: same.map(|found| found.device.node()).collect(),
        uuid,
    }
}

/// The aliases of all devices on all buses, each once; what vanishes meanwhile is left out.
fn aliases_of_devices() -> BTreeSet<String> {
    let folders = names_in(BUSES.as_ref()).map(|bus| bus.join("devices"));
    let devices = folders.flat_map(|folder| names_in(&folder).collect::<Vec<_>>());
    let aliases = devices.filter_map(|device| {
        // Many have none: not everything on a bus has a driver.
        let alias = sys::fs::read_text(device.join("modalias"), 4096).ok()?;
        Some(alias.trim().to_owned())
    });
    // A processor leads to no disk; what makes use of its abilities comes with those that want it.
    aliases
        .filter(|alias| !alias.is_empty() && !alias.starts_with("cpu:"))
        .collect()
}

fn names_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

/// The devices as they are now, for the emergency screen.
///
/// # Errors
/// sysfs is not mounted.
pub fn describe_devices() -> Result<String> {
    let devices = Scanner::default()
        .scan()
        .context("cannot list block devices")?;
    Ok(device::describe(&devices))
}

//! Putting the tree of a snapshot together at a folder, from mounts held by descriptor.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rootspec::cmdline::{Cmdline, EtcPolicy, VarPolicy};
use rootspec::meta::{Image, Meta};
use rootspec::paths::{self, program, run, store as names};
use sys::btrfs::{self, Access};
use sys::loopdev::LoopDevice;
use sys::mount::{Attributes, Mount, Reach, Request, Unmount, unmount};

use crate::modules::Loader;
use crate::say::Voice;
use crate::select::Layout;
use crate::store::{Store, image_name, part};
use crate::{etc, overlay, persist};

/// Size of what is held in memory beside the root, in tmpfs' words: it is a limit, not a reservation.
const MEMORY: &str = "50%";

/// What is to be put together.
#[derive(Debug)]
pub struct Job<'a> {
    /// The store.
    pub store: &'a Store,
    /// The kernel command line.
    pub line: &'a Cmdline,
    /// The chosen snapshot.
    pub meta: &'a Meta,
    /// How its root is put together.
    pub layout: &'a Layout,
    /// Release of the running kernel.
    pub release: &'a str,
    /// Where.
    pub target: &'a Path,
}

/// Builds the tree at the job's folder and returns the program to hand over to.
///
/// # Errors
/// Something cannot be mounted, or the tree has no such program. Nothing is left mounted then.
pub fn assemble(job: &Job<'_>, loader: &Loader, voice: &mut Voice) -> Result<PathBuf> {
    let built = build(job, loader, voice);
    if built.is_err() {
        take_apart(job.target);
    }
    built
}

/// Unmounts what [`assemble`] mounted.
pub fn take_apart(target: &Path) {
    for place in [target, Path::new(run::LOWER)] {
        // Detaching takes along what is mounted below; where nothing is mounted, nothing is to be done.
        unmount(place, Unmount::Detach).ok();
    }
}

fn build(job: &Job<'_>, loader: &Loader, voice: &mut Voice) -> Result<PathBuf> {
    let root = root_mount(job, loader, voice)?;
    root.attach(sys::fs::here(), job.target)?;
    // Only now: the folder is another one than before.
    let root = sys::fs::open_dir(job.target)?;
    // Before anything is written for a snapshot that cannot be entered.
    let init = init_of(job.line, &root)?;
    mount_shared(job, &root, voice)?;
    mount_etc(job, &root, loader, voice)?;
    if *job.layout == Layout::ReadOnly {
        mount_tmp(&root)?;
    }
    Ok(init)
}

fn root_mount(job: &Job<'_>, loader: &Loader, voice: &mut Voice) -> Result<Mount> {
    let dir = paths::snapshot_dir(job.meta.id);
    let path = format!("{dir}/{}", names::ROOT);
    match job.layout {
        Layout::ReadOnly => {
            let root = part(job.store, &path)?;
            root.restrict(Attributes::READ_ONLY, Reach::One)?;
            Ok(root)
        }
        Layout::Writable => {
            let root = sys::fs::open_dir_at(job.store, &path)?;
            btrfs::set_access(&root, Access::ReadWrite)?;
            Ok(part(job.store, &path)?)
        }
        Layout::Persist(name) => persist::root(job.store, name, job.meta, job.release, voice),
        Layout::Overlay { size } => {
            tell(voice, loader.load_file_systems(&["overlay"]));
            let lower = part(job.store, &path)?;
            lower.restrict(Attributes::READ_ONLY, Reach::One)?;
            over_lower(&lower, size)
        }
        Layout::Image { image, size } => {
            let lower = image_mount(job, *image, &dir, loader, voice)?;
            tell(voice, loader.load_file_systems(&["overlay"]));
            over_lower(&lower, size)
        }
    }
}

/// The read-only root stays visible below `/run`, so that changes can be told from it.
fn over_lower(lower: &Mount, size: &str) -> Result<Mount> {
    let place = Path::new(run::LOWER);
    sys::fs::make_dir(place, 0o755)?;
    lower.attach(sys::fs::here(), place)?;
    overlay::volatile(place, size, "root-changes")
}

/// btrfs checks every block of the image as it is read, so its checksum is not computed here.
fn image_mount(
    job: &Job<'_>,
    image: Image,
    dir: &str,
    loader: &Loader,
    voice: &mut Voice,
) -> Result<Mount> {
    let module = match image {
        Image::Squashfs => "squashfs",
        Image::Erofs => "erofs",
    };
    tell(voice, loader.load("loop"));
    tell(voice, loader.load_file_systems(&[module]));
    let file = format!("{dir}/{}", image_name(image));
    let open = sys::fs::open_file_at(job.store, &file)?;
    let device = LoopDevice::read_only(&open, file.as_ref())?;
    Mount::new(&Request {
        kind: module,
        source: &device.path().display().to_string(),
        // The device itself is read-only, and says so when it is to be mounted otherwise.
        options: &[("ro", None)],
        attributes: Attributes::READ_ONLY,
    })
    .with_context(|| format!("cannot mount the image {file}"))
}

/// The subvolumes that all snapshots share, where both they and their folders exist.
fn mount_shared(job: &Job<'_>, root: &OwnedFd, voice: &mut Voice) -> Result<()> {
    for (subvolume, place) in names::SHARED {
        let Some(folder) = folder_of(root, place) else {
            continue;
        };
        if place == "var" && job.line.var == VarPolicy::Tmpfs {
            memory("var", "0755", Attributes::NONE)?.attach(&folder, "")?;
            continue;
        }
        if sys::fs::exists_at(job.store, subvolume) {
            let shared = part(job.store, subvolume)?;
            if place == "home" {
                shared.restrict(Attributes::NO_SUID.and(Attributes::NO_DEV), Reach::One)?;
            }
            shared.attach(&folder, "")?;
        } else if place == "var" && *job.layout == Layout::ReadOnly {
            voice.warn(format!("there is no {subvolume}: /var is read-only"));
        }
    }
    Ok(())
}

/// A folder of the new root, found without leaving it; `None` when it has none.
fn folder_of(root: &OwnedFd, place: &str) -> Option<OwnedFd> {
    let found = sys::fs::find_in_root(root, place).ok()?;
    sys::fs::is_dir(&found).then_some(found)
}

/// Roots that are writable as a whole hold their own `/etc`; the others get the deployment's.
fn mount_etc(job: &Job<'_>, root: &OwnedFd, loader: &Loader, voice: &mut Voice) -> Result<()> {
    match job.layout {
        Layout::Overlay { .. } | Layout::Image { .. } | Layout::Persist(_) => return Ok(()),
        Layout::ReadOnly | Layout::Writable => {}
    }
    let folder = folder_of(root, "etc").ok_or_else(|| anyhow!("its root has no /etc"))?;
    match job.line.etc {
        EtcPolicy::Factory => Ok(()),
        EtcPolicy::Merge => {
            let etc = etc::of_deployment(job.store, job.meta, voice)?;
            Ok(etc.attach(&folder, "")?)
        }
        EtcPolicy::Tmpfs => {
            tell(voice, loader.load_file_systems(&["overlay"]));
            let etc = overlay::volatile(&job.target.join("etc"), MEMORY, "etc-changes")?;
            Ok(etc.attach(&folder, "")?)
        }
    }
}

fn mount_tmp(root: &OwnedFd) -> Result<()> {
    if let Some(folder) = folder_of(root, "tmp") {
        let attributes = Attributes::NO_SUID.and(Attributes::NO_DEV);
        memory("tmp", "1777", attributes)?.attach(&folder, "")?;
    }
    Ok(())
}

fn memory(name: &str, mode: &str, attributes: Attributes) -> Result<Mount> {
    Ok(Mount::new(&Request {
        kind: "tmpfs",
        source: name,
        options: &[("size", Some(MEMORY)), ("mode", Some(mode))],
        attributes,
    })?)
}

/// The program to hand over to, which must be one in this very root.
fn init_of(line: &Cmdline, root: &OwnedFd) -> Result<PathBuf> {
    let init = line.init.as_deref().unwrap_or(program::RINIT);
    let found = match sys::fs::find_in_root(root, init) {
        Err(error) if error.is_absent() => bail!("it has no {init} to hand over to"),
        found => found?,
    };
    if !sys::fs::is_program(&found) {
        bail!("its {init} cannot be executed");
    }
    Ok(init.into())
}

fn tell(voice: &mut Voice, problems: Vec<String>) {
    problems.into_iter().for_each(|problem| voice.warn(problem));
}

//! `store init`: a mounted btrfs top level becomes a store, a folder or tar becomes its first snapshot.
//!
//! `FORMAT` is written last: until then there is no store, and a repetition starts anew.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::cmdline::Mode;
use rootspec::meta::{Meta, Origin};
use rootspec::paths::{esp as esp_names, store as names};
use rootspec::protocol::store::{Init, Made};
use rootspec::state::State;

use crate::deploy::{apply, plan};
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::site::Site;
use crate::store::publish::{Draft, Facts, Place};
use crate::store::settings::{Loader, Settings, parse_mode};
use crate::store::{Store, StoreLock, subvol, write_synced};
use crate::tree::copy::copy;
use crate::tree::{seed, unpack};
use crate::{boot_files, checks, esp, menu, oneshot};

/// Folders a boot mounts something on; a root that lacks them gets them.
const MOUNT_POINTS: [(&str, u32); 8] = [
    ("dev", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("home", 0o755),
    ("root", 0o700),
];
/// Databases of package managers: they describe the root, so they must go back with it and cannot stay on the shared
/// `/var`. Each moves to `usr/lib/sysimage/NAME` and leaves a link.
const DATABASES: [(&str, &str); 3] = [
    ("var/lib/dpkg", "dpkg"),
    ("var/lib/pacman", "pacman"),
    ("var/lib/rpm", "rpm"),
];
/// apt replaces this file instead of writing it, which would break a link: it is told the place instead.
const APT_STATE: &str = "var/lib/apt/extended_states";
const APT_CONFIG: &str = "etc/apt/apt.conf.d/00rootctl";
const APT_WORDS: &str = "// The list of automatically installed packages belongs to the snapshot, not to the shared /var.\n\
    Dir::State::extended_states \"/usr/lib/sysimage/apt/extended_states\";\n";

/// Makes the store and imports its first snapshot.
pub(crate) fn init(site: Site, ask: Init, progress: &mut Progress<'_>) -> Result<Made> {
    let name = crate::copy::name(Some(ask.name.as_deref().unwrap_or("base")))?;
    let mode = parse_mode(ask.mode.as_deref().unwrap_or("ro"))?;
    if mode == Mode::Image {
        return Guard::usage(
            "a root that is imported becomes a subvolume, so mode image cannot boot it",
        )
        .err();
    }
    let cmdline = ask.cmdline.unwrap_or_default();
    menu::check_cmdline(&cmdline)?;
    let source = source(&ask.import)?;
    let settings = settings(&site, ask.loader.as_deref(), &cmdline, &mode)?;
    let site = site.with_menu(ask.replace_menu);
    menu_must_be_free(&site, &settings)?;

    let store = Store::at(&site.top);
    let lock = prepare(&store)?;
    let detail = source.file_name().map(|n| n.to_string_lossy().into_owned());
    let facts = Facts {
        source: None,
        place: Place::Top,
        name,
        note: String::new(),
        origin: Origin {
            kind: "import".into(),
            detail: detail.unwrap_or_default().chars().take(200).collect(),
        },
        kernel: None,
        etc_base: None,
        redoes: None,
    };
    let meta = base(&store, &lock, &source, facts, progress)?;
    let id = meta.id;
    settings.save(&store, &lock)?;
    let state = State {
        seq: 1,
        next_id: id.get() + 1,
        good: Some(id),
        ..State::empty()
    };
    let state = install(&site, &store, &settings, (state, &meta), progress)?;
    let file = crate::state::whole_file(None, &state)?;
    sys::fs::write_atomic(store.path(names::STATE), &file, 0o600)?;
    store.commit()?;
    point("I9")?;
    let format = format!("{}\n", names::FORMAT_VERSION);
    sys::fs::write_atomic(store.path(names::FORMAT), format.as_bytes(), 0o644)?;
    Ok(Made {
        id,
        steps: Vec::new(),
    })
}

fn source(text: &str) -> Result<PathBuf> {
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Guard::usage(format!("{text:?} is no absolute path")).err();
    }
    if path.exists() {
        return Ok(path);
    }
    Guard::failed(format!("there is nothing to import at {}", path.display()))
        .next("repeat with --import and a folder or tar file that holds a root")
        .err()
}

fn settings(site: &Site, loader: Option<&str>, cmdline: &str, mode: &Mode) -> Result<Settings> {
    let esp_dir = if site.has_esp() {
        Some(site.esp()?)
    } else {
        None
    };
    let esp_path = esp_dir.as_ref().map(|dir| dir.path());
    let has = |file: &str| esp_path.is_some_and(|dir| dir.join(file).exists());
    let limine_dir = esp_path.map(esp::shadow::choose_dir);
    let loader = match loader {
        Some(name) => Loader::from_name(name)?,
        None => {
            let limine = limine_dir.as_deref().unwrap_or_default();
            let ours = format!("{}/{}", esp_names::DIR, esp_names::GRUB_CFG);
            let conf = Path::new(limine).join(esp_names::LIMINE_CONF);
            if !has(&ours) && has(&conf.to_string_lossy()) {
                Loader::Limine
            } else {
                Loader::Grub
            }
        }
    };
    let mut settings = Settings::new(loader, cmdline, mode);
    if let Some(dir) = limine_dir {
        settings.limine_dir = dir;
    }
    Ok(settings)
}

/// Before the long work of an import: will its menu find a place?
fn menu_must_be_free(site: &Site, settings: &Settings) -> Result<()> {
    if site.has_esp() {
        let esp_dir = site.esp()?;
        esp::look(esp_dir.path(), settings)?.may_be_written(&site.claim())?;
    }
    Ok(())
}

/// Makes the folders and takes the lock. What an interrupted init left is cleared away; a store is never.
fn prepare(store: &Store) -> Result<StoreLock> {
    if store.path(names::FORMAT).exists() {
        return Guard::refused(format!("{} holds a store already", store.top().display()))
            .next("rootctl --root DIR status")
            .err();
    }
    sys::fs::make_dir(store.dir(), 0o700)?;
    let lock = store.lock("store init")?;
    // Somebody may have made one since; and a file that cannot be looked at is not an absent one.
    let format = store.path(names::FORMAT);
    if format
        .try_exists()
        .map_err(|error| sys::SysError::new("look at", &format, error))?
    {
        return Guard::refused(format!("{} holds a store already", store.top().display()))
            .next("rootctl --root DIR status")
            .err();
    }
    if store.path(names::STATE).exists() && holds_snapshots(store) {
        return Guard::refused(format!(
            "{} holds snapshots and a state record, but no FORMAT file: it may be a damaged store, and nothing was changed",
            store.dir().display()
        ))
        .next(format!("if it is one: echo {} > {}", names::FORMAT_VERSION, store.path(names::FORMAT).display()))
        .err();
    }
    for name in [
        names::SNAPS,
        names::ETC,
        names::OVER,
        names::TRASH,
        names::TMP,
    ] {
        subvol::remove_tree(&store.path(name))?;
        sys::fs::make_dir(store.path(name), 0o700)?;
    }
    Ok(lock)
}

/// An init that was cut between the record and `FORMAT` left exactly the first snapshot.
fn holds_snapshots(store: &Store) -> bool {
    let all = std::fs::read_dir(store.path(names::SNAPS));
    all.map(Iterator::count).unwrap_or(0) > 1
}

/// Imports the root and publishes it as snapshot 1.
fn base(
    store: &Store,
    lock: &StoreLock,
    source: &Path,
    facts: Facts,
    progress: &mut Progress<'_>,
) -> Result<Meta> {
    let first = SnapshotId::new(1).context("1 is an id")?;
    let draft = Draft::new(store, lock, first)?;
    let root = draft.root();
    subvol::create(&root)?;
    progress.step(&format!("import {}", source.display()));
    if source.is_dir() {
        copy(source, &root, &|_| true)?;
    } else {
        unpack::unpack(source, &root)?;
    }
    let kernel = checks::root(&root)?;
    arrange(&root)?;
    let shared = seed::make_shared(store, lock, &root)?;
    if !shared.is_empty() {
        progress.step(&format!("fill {} from the root", shared.join(", ")));
    }
    let kernel = boot_files::make(&draft, &kernel, progress)?;
    progress.step("make /etc of snapshot 1");
    let etc = store.etc(first);
    subvol::create(&etc)?;
    copy(&root.join("etc"), &etc, &|_| true)?;
    point("I5")?;
    draft.publish(Facts {
        kernel: Some(kernel),
        ..facts
    })
}

/// Makes a root fit to be a snapshot: mount points, package databases inside.
fn arrange(root: &Path) -> Result<()> {
    for (name, mode) in MOUNT_POINTS {
        let path = root.join(name);
        if path.symlink_metadata().is_err() {
            sys::fs::make_dir(&path, mode)?;
        }
    }
    for (from, name) in DATABASES {
        let old = root.join(from);
        let new = root.join("usr/lib/sysimage").join(name);
        if !old.symlink_metadata().is_ok_and(|m| m.is_dir()) || new.exists() {
            continue;
        }
        make_parents(&new)?;
        std::fs::rename(&old, &new)
            .with_context(|| format!("cannot move {} to {}", old.display(), new.display()))?;
        let target = format!("../../usr/lib/sysimage/{name}");
        symlink(&target, &old).with_context(|| format!("cannot link {}", old.display()))?;
    }
    tell_apt(root)
}

fn tell_apt(root: &Path) -> Result<()> {
    let config = root.join(APT_CONFIG);
    let Some(folder) = config.parent().filter(|folder| folder.is_dir()) else {
        return Ok(());
    };
    anyhow::ensure!(folder.is_absolute(), "the root has an absolute path");
    let (old, new) = (
        root.join(APT_STATE),
        root.join("usr/lib/sysimage/apt/extended_states"),
    );
    make_parents(&new)?;
    if old.symlink_metadata().is_ok_and(|m| m.is_file()) {
        std::fs::rename(&old, &new)
            .with_context(|| format!("cannot move {} to {}", old.display(), new.display()))?;
    }
    if !config.exists() {
        write_synced(&config, APT_WORDS.as_bytes())?;
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644))
            .with_context(|| format!("cannot set the mode of {}", config.display()))?;
    }
    Ok(())
}

fn make_parents(path: &Path) -> Result<()> {
    let parent = path.parent().context("the path has a folder")?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
}

/// Brings the boot files and the menu to the ESP, where there is one. Returns the record that fits.
fn install(
    site: &Site,
    store: &Store,
    settings: &Settings,
    (state, meta): (State, &Meta),
    progress: &mut Progress<'_>,
) -> Result<State> {
    if !site.has_esp() {
        progress.step(
            "no --esp was given: the boot menu is written by the first change that finds one",
        );
        return Ok(state);
    }
    let esp_dir = site.esp()?;
    let facts = esp::look(esp_dir.path(), settings)?;
    let plan = plan::plan(
        &state,
        std::iter::once(meta),
        settings,
        &site.claim(),
        &facts,
    )?;
    apply::arrange(store, &plan, (site, esp_dir.path()), settings, progress)?;
    if settings.loader == Loader::Grub {
        let block = esp::own_dir(esp_dir.path()).join(esp_names::GRUB_ENV);
        oneshot::create_block(&block)?;
    }
    Ok(plan.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;

    #[test]
    fn package_databases_move_into_the_snapshot_and_leave_a_link() {
        let dir = TestDir::new("arrange");
        let root = dir.path();
        for folder in [
            "var/lib/dpkg",
            "var/lib/apt",
            "etc/apt/apt.conf.d",
            "usr/lib",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("var/lib/dpkg/status"), "packages").unwrap();
        std::fs::write(root.join(APT_STATE), "auto").unwrap();
        for _ in 0..2 {
            arrange(root).unwrap();
            assert_eq!(
                std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap(),
                "packages"
            );
            assert_eq!(
                std::fs::read_link(root.join("var/lib/dpkg")).unwrap(),
                Path::new("../../usr/lib/sysimage/dpkg")
            );
        }
        assert_eq!(
            std::fs::read_to_string(root.join("usr/lib/sysimage/apt/extended_states")).unwrap(),
            "auto"
        );
        assert!(
            std::fs::read_to_string(root.join(APT_CONFIG))
                .unwrap()
                .contains("extended_states")
        );
        assert_eq!(
            root.join("tmp").metadata().unwrap().permissions().mode() & 0o7777,
            0o1777
        );
    }
}

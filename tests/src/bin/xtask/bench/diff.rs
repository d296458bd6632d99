//! `rootctl diff` on a tree of 88,996 entries of which 2,524 were changed as a package manager does it, against the kernel's
//! search for changed inodes alone, which is the least that any way of finding them needs. Both warm, in turns.

use anyhow::{Context, Result, ensure};
use rootspec::SnapshotId;
use rootspec::meta::{Meta, Origin};
use rootspec::protocol::store::Differences;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tests::disk::btrfs::{self, Loop, Mounted};
use tests::paths::Scratch;
use tests::programs::{self, Programs};
use tests::{run, say};

/// Milliseconds the whole command may take.
const GOAL: f64 = 20.0;
const BYTES: u64 = 4 << 30;

/// The tree: folders of about twelve files each, a hundred of them in one folder, and links.
const FOLDERS: usize = 6_731;
const ABOVE: usize = FOLDERS.div_ceil(100) + 1;
const FILES: usize = 77_982;
const LINKS: usize = 88_996 - ABOVE - FOLDERS - FILES;

/// The changes: 2,524 paths.
const NEW_FOLDERS: usize = 183;
const NEW_FILES: usize = 1_750;
const NEW_LINKS: usize = 427;
const REMOVED: usize = 82;
const EDITED: usize = 50;
const REOWNED: usize = 32;

pub(super) fn diff(runs: u32) -> Result<()> {
    let programs = programs::build()?;
    let limit = programs::inode_search()?;
    let store = Store::new()?;
    store.tree(1)?;
    let since = store.copy()?;
    store.change()?;
    let (found, _) = store.ask(&programs, &["diff", "1", "2", "--json"])?;
    let found: Differences = serde_json::from_str(&found).context("cannot read the answer")?;
    let wanted = NEW_FOLDERS + NEW_FILES + NEW_LINKS + REMOVED + EDITED + REOWNED;
    ensure!(
        found.changes.len() == wanted && found.basis == "changes",
        "{} changes were found by {}, {wanted} were made",
        found.changes.len(),
        found.basis
    );
    let (mut limits, mut times, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        limits.push(store.limit(&limit, &since)?);
        floors.push(store.ask(&programs, &["snap", "show", "2", "--json"])?.1);
        times.push(store.ask(&programs, &["diff", "1", "2", "--json"])?.1);
    }
    say::line(&format!(
        "{} entries, {wanted} changed, {runs} runs in turns, medians:",
        ABOVE + FOLDERS + FILES + LINKS
    ));
    let limit = show("inode search alone", &mut limits);
    let floor = show("rootctl snap show", &mut floors);
    let time = show("rootctl diff", &mut times);
    let verdict = if time <= GOAL { "kept" } else { "MISSED" };
    say::line(&format!(
        "rootctl diff at most {GOAL} ms: {verdict}; {:.1} times the search, {:.1} times without what every command costs",
        time / limit,
        (time - floor) / limit
    ));
    Ok(())
}

/// Prints one line; gives the median.
fn show(name: &str, times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    let (median, best, worst) = (at(times.len() / 2), at(0), at(times.len() - 1));
    say::line(&format!(
        "{name:<20} {median:7.2} ms  ({best:.2} to {worst:.2})"
    ));
    median
}

/// A store laid out by hand, on a btrfs of its own.
struct Store {
    // Before the folder: it must be unmounted first.
    mounted: Mounted,
    _folder: Scratch,
}

impl Store {
    fn new() -> Result<Self> {
        let folder = Scratch::new("diff")?;
        let image = folder.join("image");
        fs::File::create(&image)
            .and_then(|file| file.set_len(BYTES))
            .with_context(|| format!("cannot make {}", image.display()))?;
        run::quiet(run::command("mkfs.btrfs", ["--quiet"]).arg(&image))?;
        let device = Loop::attach(&image, 0, BYTES)?;
        let mounted = Mounted::new(device, "btrfs", "noatime", &folder.join("top"))?;
        let store = Self {
            mounted,
            _folder: folder,
        };
        make_dir(&store.path("snaps"))?;
        write(&store.path("FORMAT"), b"1\n")?;
        Ok(store)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.mounted.path().join("rootctl").join(path)
    }

    fn root(&self, id: u32) -> PathBuf {
        self.path(&format!("snaps/{id}/root"))
    }

    fn publish(&self, id: u32, parent: Option<u32>) -> Result<()> {
        let root = self.root(id);
        run::quiet(
            run::command("btrfs", ["property", "set"])
                .arg(&root)
                .args(["ro", "true"]),
        )?;
        let number = |id| SnapshotId::new(id).context("0 is no id");
        let parent = parent.map(number).transpose()?;
        let meta = Meta {
            schema: Meta::SCHEMA,
            id: number(id)?,
            uuid: btrfs::subvolume_uuid(&root)?,
            parent,
            lineage: parent.into_iter().collect(),
            copied: Vec::new(),
            name: None,
            created: 0,
            note: String::new(),
            cmdline: String::new(),
            etc_base: None,
            redoes: None,
            origin: Origin {
                kind: "copy".into(),
                detail: String::new(),
            },
            kernel: None,
            image: None,
        };
        let text = meta.to_toml().context("cannot write a meta file")?;
        write(
            &self.path(&format!("snaps/{id}/meta.toml")),
            text.as_bytes(),
        )?;
        run::quiet(run::command("btrfs", ["filesystem", "sync"]).arg(self.mounted.path()))
    }

    /// Fills a snapshot.
    fn tree(&self, id: u32) -> Result<()> {
        make_dir(&self.path(&format!("snaps/{id}")))?;
        let root = self.root(id);
        run::quiet(run::command("btrfs", ["subvolume", "create"]).arg(&root))?;
        for number in 0..FOLDERS {
            make_dir(&root.join(folder(number)))?;
        }
        for number in 0..FILES {
            let size = [120, 700, 1_800, 5_000, 9_000][number % 5];
            let bytes: Vec<u8> = (0..size)
                .map(|at: usize| (at ^ number).to_le_bytes()[0])
                .collect();
            write(&root.join(file(number)), &bytes)?;
        }
        for number in 0..LINKS {
            let path = root.join(folder(number)).join("link");
            symlink("f0", &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        self.publish(id, None)
    }

    /// Copies snapshot 1; gives the transaction in which the copy was made.
    fn copy(&self) -> Result<String> {
        make_dir(&self.path("snaps/2"))?;
        let root = self.root(2);
        run::quiet(
            run::command("btrfs", ["subvolume", "snapshot"])
                .arg(self.root(1))
                .arg(&root),
        )?;
        let text = run::output(run::command("btrfs", ["subvolume", "show"]).arg(&root))?;
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Gen at creation:"));
        Ok(line.context("btrfs names no generation")?.trim().to_owned())
    }

    /// New folders full of new files in old ones, as packages bring them; old files here and there.
    fn change(&self) -> Result<()> {
        let root = self.root(2);
        let new = |number: usize| root.join(folder(number % NEW_FOLDERS * 36)).join("new");
        for number in 0..NEW_FOLDERS {
            make_dir(&new(number))?;
        }
        for number in 0..NEW_FILES {
            write(&new(number).join(format!("f{number}")), &[7; 3_000])?;
        }
        for number in 0..NEW_LINKS {
            let path = new(number).join(format!("l{number}"));
            symlink("f0", &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let mut old = (0..).map(|number| root.join(file(number * 450)));
        let mut each = |count: usize, work: &dyn Fn(&Path) -> std::io::Result<()>| -> Result<()> {
            for path in old.by_ref().take(count) {
                work(&path).with_context(|| format!("cannot change {}", path.display()))?;
            }
            Ok(())
        };
        each(REMOVED, &|path| fs::remove_file(path))?;
        each(EDITED, &|path| fs::write(path, [9; 4_321]))?;
        each(REOWNED, &|path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        })?;
        self.publish(2, Some(1))
    }

    /// One command; its answer and its time in milliseconds.
    fn ask(&self, programs: &Programs, words: &[&str]) -> Result<(String, f64)> {
        let mut command = run::command(&programs.rootctl.to_string_lossy(), ["--root"]);
        command.arg(self.mounted.path()).args(words);
        command.env("ROOTCTLD", &programs.rootctld);
        let start = Instant::now();
        let answer = run::output(&mut command)?;
        Ok((answer, start.elapsed().as_secs_f64() * 1000.0))
    }

    /// The kernel's search alone, in milliseconds: the second of two, which is warm like the others.
    fn limit(&self, program: &Path, since: &str) -> Result<f64> {
        let mut command = run::command(&program.to_string_lossy(), [""; 0]);
        let answer = run::output(command.arg(self.root(2)).args([since, "2"]))?;
        let last = answer
            .lines()
            .last()
            .and_then(|line| line.split(' ').next());
        let time: f64 = last
            .context("the search said nothing")?
            .parse()
            .context("the search gave no time")?;
        Ok(time / 1000.0)
    }
}

fn folder(number: usize) -> String {
    format!("usr/d{}/e{number}", number / 100)
}

fn file(number: usize) -> String {
    format!("{}/f{}", folder(number % FOLDERS), number / FOLDERS)
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

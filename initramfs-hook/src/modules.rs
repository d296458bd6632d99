//! Kernel modules: the tables that the initramfs builder wrote, and loading in the right order.
//!
//! Loading is the slowest part of a boot in an emulator, so only what is asked for is loaded: by the `load` list, by a
//! device's alias, or by name for a file system.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rootspec::paths::initramfs;
use sys::module::{Inserted, insert};

use crate::pattern;

/// Largest table that is read, in bytes: the aliases of a whole distribution kernel are about 1.5 MiB.
const LIMIT: u64 = 16 << 20;

/// The three tables, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ModuleTable {
    modules: HashMap<String, ModuleFile>,
    aliases: Vec<(String, String)>,
    load: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct ModuleFile {
    path: String,
    needs: Vec<String>,
}

/// `-` and `_` are the same in the names of modules.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

impl ModuleTable {
    /// Parses the texts of the three tables (formats: `rootspec::paths::initramfs`).
    #[must_use]
    pub fn parse(modules: &str, aliases: &str, load: &str) -> Self {
        let modules = modules.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = canonical(words.next()?);
            let path = words.next()?.to_owned();
            let needs = words.map(canonical).collect();
            Some((name, ModuleFile { path, needs }))
        });
        let aliases = aliases.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.to_owned(), canonical(words.next()?)))
        });
        Self {
            modules: modules.collect(),
            aliases: aliases.collect(),
            load: load.split_ascii_whitespace().map(canonical).collect(),
        }
    }

    /// Names to load without waiting for a device.
    #[must_use]
    pub fn wanted_at_once(&self) -> &[String] {
        &self.load
    }

    /// Names of the modules that drive a device with this alias, or offer what the kernel asks for (`fs-btrfs`).
    pub fn by_alias<'a>(&'a self, alias: &'a str) -> impl Iterator<Item = &'a str> {
        self.aliases
            .iter()
            .filter(move |(pattern, _)| pattern::matches(pattern, alias))
            .map(|(_, name)| name.as_str())
    }

    /// The module and all it needs, in the order in which they must be loaded. Empty for what the table does not know:
    /// it may be built into the kernel.
    #[must_use]
    pub fn order<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        self.collect(&canonical(name), &mut seen, &mut order);
        order
    }

    /// The same in groups: a group needs only what is in the groups before it.
    #[must_use]
    pub fn waves<'a>(&'a self, name: &str) -> Vec<Vec<&'a str>> {
        let mut left = self.order(name);
        let mut waves = Vec::new();
        while !left.is_empty() {
            let ready = |name: &&str| {
                let module = self.modules.get(*name);
                let mut needs = module.iter().flat_map(|module| &module.needs);
                !needs.any(|need| left.contains(&need.as_str()))
            };
            let (mut wave, mut rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(ready);
            if wave.is_empty() {
                // A circle: then one after the other, and the kernel says what is missing.
                wave = rest.drain(..1).collect();
            }
            waves.push(wave);
            left = rest;
        }
        waves
    }

    fn collect<'a>(&'a self, name: &str, seen: &mut HashSet<&'a str>, order: &mut Vec<&'a str>) {
        let Some((name, module)) = self.modules.get_key_value(name) else {
            return;
        };
        // A circle in the table must not become an endless loop.
        if !seen.insert(name) {
            return;
        }
        for need in &module.needs {
            self.collect(need, seen, order);
        }
        order.push(name);
    }
}

/// Parameters that the kernel command line gives a module: `NAME.PARAMETER=VALUE`.
#[must_use]
pub fn parameters(cmdline: &str, module: &str) -> String {
    let found = cmdline.split_ascii_whitespace().filter_map(|word| {
        let (name, parameter) = word.split_once('.')?;
        (canonical(name) == module && !parameter.starts_with('=')).then_some(parameter)
    });
    found.collect::<Vec<_>>().join(" ")
}

/// Loads modules, each once. May be used from several threads.
#[derive(Debug)]
pub struct Loader {
    table: ModuleTable,
    root: PathBuf,
    cmdline: String,
    done: Mutex<HashSet<String>>,
}

impl Loader {
    /// Reads the tables below `root` (`/` in an initramfs). Where there are none, nothing is ever loaded: the kernel has
    /// all it needs built in, or somebody else loads.
    #[must_use]
    pub fn open(root: impl AsRef<Path>, cmdline: &str) -> Self {
        let root = root.as_ref();
        let table = |name: &str| sys::fs::read_text(root.join(name), LIMIT).unwrap_or_default();
        Self {
            table: ModuleTable::parse(
                &table(initramfs::MODULES),
                &table(initramfs::ALIASES),
                &table(initramfs::LOAD),
            ),
            root: root.to_owned(),
            cmdline: cmdline.to_owned(),
            done: Mutex::new(HashSet::new()),
        }
    }

    /// The tables.
    #[must_use]
    pub fn table(&self) -> &ModuleTable {
        &self.table
    }

    /// Loads a module and what it needs; returns what went wrong, in words. What does not need each other is loaded at
    /// the same time: some modules measure for a third of a second which of their routines is fastest.
    pub fn load(&self, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        for wave in self.table.waves(name) {
            match wave.as_slice() {
                [one] => problems.extend(self.insert(one)),
                several => problems.extend(self.insert_together(several)),
            }
        }
        problems
    }

    fn insert_together(&self, names: &[&str]) -> Vec<String> {
        std::thread::scope(|threads| {
            let (mut running, mut problems) = (Vec::new(), Vec::new());
            for name in names {
                let thread = std::thread::Builder::new();
                match thread.spawn_scoped(threads, || self.insert(name)) {
                    Ok(thread) => running.push(thread),
                    // Without a thread it takes longer, nothing else.
                    Err(_no_thread) => problems.extend(self.insert(name)),
                }
            }
            let ended = running.into_iter().filter_map(|thread| thread.join().ok());
            problems.extend(ended.flatten());
            problems
        })
    }

    /// Loads what drives a device with this alias; returns what went wrong, in words.
    pub fn load_alias(&self, alias: &str) -> Vec<String> {
        let names = self.table.by_alias(alias);
        names.flat_map(|name| self.load(name)).collect()
    }

    fn insert(&self, name: &str) -> Option<String> {
        if self.done.lock().is_ok_and(|done| done.contains(name)) {
            return None;
        }
        let module = self.table.modules.get(name)?;
        let file = self.root.join(module.path.trim_start_matches('/'));
        // When two threads want the same module, the kernel makes the second one wait and says "exists".
        let inserted = insert(file, &parameters(&self.cmdline, name));
        if let Ok(mut done) = self.done.lock() {
            done.insert(name.to_owned());
        }
        match inserted {
            Ok(Inserted::New | Inserted::Already) => None,
            // The driver looked and found no device of its own: efivarfs on BIOS, crypto without the instructions.
            Err(error) if matches!(error.errno(), Some(ENODEV | EOPNOTSUPP)) => None,
            Err(error) => Some(sys::chain(&error)),
        }
    }
}

/// "No such device" (`asm-generic/errno-base.h`).
const ENODEV: i32 = 19;
/// "Operation not supported" (`asm-generic/errno.h`).
const EOPNOTSUPP: i32 = 95;

#[cfg(test)]
mod tests {
    use super::*;

    const MODULES: &str = "\
virtio lib/virtio.ko virtio_ring
virtio_ring lib/virtio_ring.ko
virtio-blk lib/virtio_blk.ko virtio_ring virtio
a lib/a.ko b
b lib/b.ko a
broken
";

    fn table() -> ModuleTable {
        ModuleTable::parse(
            MODULES,
            "virtio:d00000002v* virtio_blk\nfs-btrfs btrfs\nodd\n",
            "virtio-blk\n\nnls_ascii\n",
        )
    }

    #[test]
    fn what_a_module_needs_comes_first_and_once() {
        assert_eq!(
            table().order("virtio_blk"),
            ["virtio_ring", "virtio", "virtio_blk"]
        );
    }

    #[test]
    fn dashes_and_underscores_are_the_same() {
        assert_eq!(table().order("virtio-blk").len(), 3);
        assert_eq!(table().wanted_at_once(), ["virtio_blk", "nls_ascii"]);
    }

    #[test]
    fn a_circle_ends_and_an_unknown_name_is_nothing() {
        assert_eq!(table().order("a"), ["b", "a"]);
        assert!(table().order("ext4").is_empty() && table().order("broken").is_empty());
    }

    #[test]
    fn what_does_not_need_each_other_is_in_one_group() {
        let table = ModuleTable::parse("a p b c\nb p d\nc p\nd p\n", "", "");
        assert_eq!(table.waves("a"), [vec!["d", "c"], vec!["b"], vec!["a"]]);
        let circle = ModuleTable::parse("a p b\nb p a\n", "", "");
        assert_eq!(circle.waves("a"), [["b"], ["a"]]);
    }

    #[test]
    fn an_alias_finds_its_modules() {
        let table = table();
        assert_eq!(
            table
                .by_alias("virtio:d00000002v00001AF4")
                .collect::<Vec<_>>(),
            ["virtio_blk"]
        );
        assert_eq!(table.by_alias("pci:v0000").count(), 0);
    }

    #[test]
    fn parameters_come_from_the_kernel_command_line() {
        let line = "quiet virtio-blk.queue_depth=8 virtio_blk.poll other.x=1 a.b.c";
        assert_eq!(parameters(line, "virtio_blk"), "queue_depth=8 poll");
        assert_eq!(parameters(line, "ext4"), "");
    }

    #[test]
    fn empty_tables_load_nothing() {
        let loader = Loader::open("/nowhere", "");
        assert!(loader.load("btrfs").is_empty() && loader.load_alias("fs-btrfs").is_empty());
    }
}

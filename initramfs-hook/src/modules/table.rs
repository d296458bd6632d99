//! The tables that the initramfs builder wrote: which modules there are, what they need, and what asks for them.

use std::collections::{HashMap, HashSet};

use crate::pattern;

/// The kernel asks for a file system by this and its name (`get_fs_type` in `fs/filesystems.c`).
pub(super) const FS: &str = "fs-";

/// The three tables, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ModuleTable {
    pub(super) modules: HashMap<String, ModuleFile>,
    aliases: Vec<(String, String)>,
    load: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModuleFile {
    pub(super) path: String,
    pub(super) needs: Vec<String>,
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

    /// The modules and all they need, in the order in which they must be loaded. Empty for what the table does not know:
    /// it may be built into the kernel.
    #[must_use]
    pub fn order<'a, 'n>(&'a self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'a str> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for name in names {
            self.collect(&canonical(name), &mut seen, &mut order);
        }
        order
    }

    /// Whether this is the driver of a file system. It uses what it needs when something is mounted, not before.
    pub(super) fn is_file_system(&self, name: &str) -> bool {
        let mut aliases = self.aliases.iter();
        aliases.any(|(alias, driver)| driver == name && alias.strip_prefix(FS) == Some(name))
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
            table().order(["virtio_blk"]),
            ["virtio_ring", "virtio", "virtio_blk"]
        );
    }

    #[test]
    fn dashes_and_underscores_are_the_same() {
        assert_eq!(table().order(["virtio-blk"]).len(), 3);
        assert_eq!(table().wanted_at_once(), ["virtio_blk", "nls_ascii"]);
    }

    #[test]
    fn a_circle_ends_and_an_unknown_name_is_nothing() {
        assert_eq!(table().order(["a"]), ["b", "a"]);
        assert!(table().order(["ext4"]).is_empty() && table().order(["broken"]).is_empty());
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
}

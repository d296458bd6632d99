//! The texts that depmod made, and the ones the boot stage reads (formats: `rootspec::paths::initramfs`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::closure::Module;

/// Largest text that is read, in bytes: the aliases of a whole distribution kernel are about 1.5 MiB.
const LIMIT: u64 = 64 << 20;

/// The kernel asks for a file system by this and its name (`get_fs_type` in `fs/filesystems.c`).
const FS: &str = "fs-";

/// `-` and `_` are the same in the names of modules.
pub(super) fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// What depmod wrote beside the modules, parsed.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Pattern and module, in the file's order.
    pub(super) aliases: Vec<(String, String)>,
    /// Modules that must be there before another one, which its own list does not say.
    pub(super) before: BTreeMap<String, Vec<String>>,
    /// Modules that are part of the kernel.
    pub(super) builtin: BTreeSet<String>,
}

impl Texts {
    /// Reads the texts in a folder of modules; an absent one is empty.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| match sys::fs::read_text(folder.join(name), LIMIT) {
            Err(error) if error.is_absent() => Ok(String::new()),
            other => other,
        };
        Ok(Self::parse(
            &text("modules.alias")?,
            &text("modules.softdep")?,
            &text("modules.builtin")?,
        ))
    }

    /// Whether the kernel asks for this module by the name of a file system.
    pub(super) fn is_file_system(&self, name: &str) -> bool {
        let mut aliases = self.aliases.iter();
        aliases.any(|(pattern, module)| module == name && pattern.strip_prefix(FS) == Some(name))
    }

    /// Parses `modules.alias`, `modules.softdep` and `modules.builtin`.
    pub(super) fn parse(alias: &str, softdep: &str, builtin: &str) -> Self {
        let aliases = alias.lines().filter_map(|line| {
            let mut words = line.strip_prefix("alias ")?.split_ascii_whitespace();
            Some((words.next()?.to_owned(), canonical(words.next()?)))
        });
        let mut before: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in softdep.lines() {
            let Some(rest) = line.strip_prefix("softdep ") else {
                continue;
            };
            let mut words = rest.split_ascii_whitespace();
            let Some(module) = words.next() else { continue };
            let pre = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:");
            let pre = pre.map(str::to_owned);
            before.entry(canonical(module)).or_default().extend(pre);
        }
        let builtin = builtin.lines().filter_map(|line| {
            let name = line.rsplit('/').next()?.split('.').next()?;
            Some(canonical(name))
        });
        Self {
            aliases: aliases.collect(),
            before,
            builtin: builtin.collect(),
        }
    }
}

/// The three tables of an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) modules: String,
    pub(super) aliases: String,
    pub(super) load: String,
}

/// Writes the tables for these modules. The load list stays empty: devices ask for their drivers by alias, and the boot
/// stage asks for file systems by name.
pub(super) fn render(modules: &[Module], texts: &Texts, release: &str) -> Tables {
    let mut table = String::new();
    for module in modules {
        table.push_str(&format!("{} {}", module.name, module.place(release)));
        for need in &module.needs {
            table.push_str(&format!(" {need}"));
        }
        table.push('\n');
    }
    let names: BTreeSet<&str> = modules.iter().map(|m| m.name.as_str()).collect();
    let mut aliases = String::new();
    for (pattern, name) in &texts.aliases {
        if names.contains(name.as_str()) {
            aliases.push_str(&format!("{pattern} {name}\n"));
        }
    }
    for module in modules {
        for other in &module.beside {
            aliases.push_str(&format!("{FS}{} {other}\n", module.name));
        }
    }
    Tables {
        modules: table,
        aliases,
        load: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depmods_texts_are_understood() {
        let texts = Texts::parse(
            "# Aliases\nalias virtio:d00000002v* virtio_blk\nalias broken\n",
            "# Soft\nsoftdep btrfs pre: crc32c\nsoftdep btrfs pre: sha256 blake2b-256 post: x\nsoftdep odd\n",
            "kernel/fs/ext4/ext4.ko\nkernel/lib/zstd/zstd-compress.ko\n",
        );
        assert_eq!(
            texts.aliases,
            [("virtio:d00000002v*".into(), "virtio_blk".into())]
        );
        assert_eq!(texts.before["btrfs"], ["crc32c", "sha256", "blake2b-256"]);
        assert!(texts.builtin.contains("ext4") && texts.builtin.contains("zstd_compress"));
    }

    #[test]
    fn tables_name_files_needs_and_the_aliases_of_what_is_there() {
        let module = |name: &str, needs: &[&str]| Module {
            name: name.into(),
            file: format!("/r/usr/lib/modules/6.1/kernel/{name}.ko.xz").into(),
            below: format!("kernel/{name}.ko"),
            needs: needs.iter().map(|n| (*n).to_owned()).collect(),
            beside: Vec::new(),
        };
        let texts = Texts::parse("alias a* one\nalias b* three\n", "", "");
        let tables = render(
            &[module("one", &["two"]), module("two", &[])],
            &texts,
            "6.1",
        );
        assert_eq!(
            tables.modules,
            "one usr/lib/modules/6.1/kernel/one.ko two\ntwo usr/lib/modules/6.1/kernel/two.ko\n"
        );
        assert_eq!(
            (tables.aliases.as_str(), tables.load.as_str()),
            ("a* one\n", "")
        );
    }

    #[test]
    fn what_a_file_system_likes_to_have_is_asked_for_with_it() {
        let texts = Texts::parse(
            "alias fs-two two\nalias fs-other two\nalias one two\n",
            "",
            "",
        );
        assert!(texts.is_file_system("two") && !texts.is_file_system("other"));
        let module = Module {
            name: "two".into(),
            file: "/r/two.ko".into(),
            below: "two.ko".into(),
            needs: Vec::new(),
            beside: vec!["sum".into()],
        };
        let aliases = render(&[module], &texts, "6.1").aliases;
        assert_eq!(aliases, "fs-two two\nfs-other two\none two\nfs-two sum\n");
    }
}

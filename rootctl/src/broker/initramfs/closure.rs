//! What the wanted modules need, found through libkmod in the index that depmod made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::tables::{Texts, canonical};
use super::wanted::{Wanted, is_for_root};
use crate::guard::Guard;

/// A module of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its name, with `_`.
    pub(super) name: String,
    /// Its file in the root.
    pub(super) file: PathBuf,
    /// Where it goes below the folder of its release, without an ending for compression.
    pub(super) below: String,
    /// What must be loaded before it, in that order.
    pub(super) needs: Vec<String>,
    /// What a file system likes to have when it is mounted: loaded with it, in any order.
    pub(super) beside: Vec<String>,
}

impl Module {
    /// Path in the image.
    pub(super) fn place(&self, release: &str) -> String {
        format!("usr/lib/modules/{release}/{}", self.below)
    }
}

/// The modules of an image, by name.
#[derive(Debug)]
pub(super) struct Closure {
    pub(super) modules: Vec<Module>,
    /// Wanted, neither a file nor part of the kernel.
    pub(super) absent: Vec<String>,
}

/// Finds the wanted modules and all they need. `folder` is `/usr/lib/modules/RELEASE` of the root.
pub(super) fn find(folder: &Path, wanted: &Wanted, texts: &Texts) -> Result<Closure> {
    if !folder.join("modules.dep.bin").exists() {
        return Guard::refused(format!("{} has no index of its modules", folder.display()))
            .next("chroot ROOT depmod RELEASE")
            .err();
    }
    let mut search = Search {
        context: kmod::Context::new_with_dirname(folder)
            .map_err(|error| anyhow!("cannot use libkmod on {}: {error}", folder.display()))?,
        folder,
        texts,
        found: BTreeMap::new(),
        visited: BTreeSet::new(),
    };
    let mut absent = Vec::new();
    for name in &wanted.names {
        if !search.visit(name)? && !texts.builtin.contains(name) {
            absent.push(name.clone());
        }
    }
    for name in &wanted.if_storage {
        if search
            .path_of(name)?
            .is_some_and(|(_, below)| is_for_root(&below))
        {
            search.visit(name)?;
        }
    }
    Ok(Closure {
        modules: search.found.into_values().collect(),
        absent,
    })
}

struct Search<'a> {
    context: kmod::Context,
    folder: &'a Path,
    texts: &'a Texts,
    found: BTreeMap<String, Module>,
    visited: BTreeSet<String>,
}

impl Search<'_> {
    /// Adds a module and what it needs. False: there is no such file.
    fn visit(&mut self, name: &str) -> Result<bool> {
        let name = canonical(name);
        if !self.visited.insert(name.clone()) {
            return Ok(self.found.contains_key(&name));
        }
        let Some((file, below)) = self.path_of(&name)? else {
            return Ok(false);
        };
        let (mut needs, mut beside) = (Vec::new(), Vec::new());
        let soft = if self.texts.is_file_system(&name) {
            &mut beside
        } else {
            &mut needs
        };
        self.visit_all(self.soft(&name), soft)?;
        self.visit_all(self.hard(&name)?, &mut needs)?;
        let module = Module {
            name: name.clone(),
            file,
            below,
            needs,
            beside,
        };
        self.found.insert(name, module);
        Ok(true)
    }

    /// Adds modules, and those that there are to `list`, each once.
    fn visit_all(&mut self, names: Vec<String>, list: &mut Vec<String>) -> Result<()> {
        for name in names {
            if !list.contains(&name) && self.visit(&name)? {
                list.push(name);
            }
        }
        Ok(())
    }

    /// File of a module and its place below the release's folder.
    fn path_of(&self, name: &str) -> Result<Option<(PathBuf, String)>> {
        let module = self.module(name)?;
        let Some(path) = module.path().map(PathBuf::from) else {
            return Ok(None);
        };
        let below = path.strip_prefix(self.folder).unwrap_or(&path);
        let below = below.to_string_lossy();
        let plain = below
            .strip_suffix(".xz")
            .or_else(|| below.strip_suffix(".zst"))
            .or_else(|| below.strip_suffix(".gz"))
            .unwrap_or(&below);
        Ok(Some((path.clone(), plain.to_owned())))
    }

    fn module(&self, name: &str) -> Result<kmod::Module> {
        self.context
            .module_new_from_name(name)
            .map_err(|error| anyhow!("cannot look up the module {name}: {error}"))
    }

    /// What the module's symbols come from, in load order.
    fn hard(&self, name: &str) -> Result<Vec<String>> {
        let needs = self.module(name)?.dependencies();
        Ok(needs
            .map(|need| canonical(&need.name().to_string_lossy()))
            .collect())
    }

    /// What the module asks for by name when it runs (`softdep … pre:`): a module, or an alias of some.
    fn soft(&self, name: &str) -> Vec<String> {
        let asked = self.texts.before.get(name).cloned().unwrap_or_default();
        let mut modules = Vec::new();
        for word in asked {
            let plain = canonical(&word);
            if self.texts.builtin.contains(&plain) {
                continue;
            }
            if matches!(self.path_of(&plain), Ok(Some(_))) {
                modules.push(plain);
                continue;
            }
            let by_alias =
                self.texts.aliases.iter().filter(|(pattern, _)| {
                    *pattern == word || *pattern == format!("crypto-{word}")
                });
            modules.extend(by_alias.map(|(_, name)| name.clone()));
        }
        modules
    }
}

//! The folders of unit files, drop-ins and enabled units, read into memory. Of files with one name the first folder's counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rootspec::compile::{DropIn, Enabled, Facts, Files, Problem, Source};
use rootspec::{UnitName, paths};

use crate::reader::Reader;

/// Largest file, in bytes.
pub(crate) const FILE: u64 = 1 << 20;
/// Where to look, for tests and the linter: other folders than the system's.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) units: Vec<String>,
    pub(crate) groups: Vec<String>,
    /// The folder of `passwd` and `group`.
    pub(crate) accounts: String,
    /// File systems; none: only unit files are looked at.
    pub(crate) fstab: Option<String>,
    /// A boot needs a group to start; a folder to be checked need not have one.
    pub(crate) boots: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            units: paths::UNIT_DIRS.map(str::to_owned).to_vec(),
            groups: paths::GROUP_DIRS.map(str::to_owned).to_vec(),
            accounts: "/etc".to_owned(),
            fstab: Some(paths::FSTAB.to_owned()),
            boots: true,
        }
    }
}

impl Places {
    /// These folders of unit files, and the folder `groups` beside or in each.
    pub(crate) fn of(dirs: &[String]) -> Self {
        let groups = dirs.iter().flat_map(|dir| {
            let inside = format!("{dir}/groups");
            let beside = Path::new(dir).with_file_name("groups");
            [inside, beside.display().to_string()]
        });
        Self {
            units: dirs.to_vec(),
            groups: groups.collect(),
            accounts: "/etc".to_owned(),
            fstab: None,
            boots: false,
        }
    }
}

/// Reads everything. What cannot be read is among the problems.
pub(crate) fn read(
    places: &Places,
    facts: Facts,
    reader: &mut Reader,
    problems: &mut Vec<Problem>,
) -> Files {
    let mut folders = Folders { reader, problems };
    let (sources, drop_ins) = folders.units(&places.units);
    Files {
        sources,
        drop_ins,
        enabled: folders.enabled(&places.groups),
        facts,
    }
}

/// Reading, and what is wrong with what is read.
struct Folders<'a> {
    reader: &'a mut Reader,
    problems: &'a mut Vec<Problem>,
}

impl Folders<'_> {
    /// Names in a folder, sorted. A folder that is absent has none.
    fn names(&mut self, dir: &str) -> Vec<String> {
        self.reader.names(dir).unwrap_or_else(|error| {
            let words = format!("cannot list this folder: {error}");
            self.problems.push(Problem::of(dir, words));
            Vec::new()
        })
    }

    /// The text of a file; what is wrong with it becomes a problem.
    fn text(&mut self, file: &str) -> Option<String> {
        match self.reader.text(file, FILE) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problems.push(Problem::of("", sys::chain(&error)));
                None
            }
        }
    }

    /// The name of a unit from the name of a file or folder.
    fn unit_name(&mut self, file: &str, stem: &str) -> Option<UnitName> {
        match stem.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.problems.push(Problem::of(file, format!("{error}")));
                None
            }
        }
    }

    /// Unit files `NAME.toml`, and drop-ins `NAME.toml.d/NN-WHAT.toml`.
    fn units(&mut self, dirs: &[String]) -> (Vec<Source>, Vec<DropIn>) {
        let mut found: BTreeMap<UnitName, Source> = BTreeMap::new();
        // By unit and name of the drop-in: that is their order, whatever folder they come from.
        let mut laid: BTreeMap<(UnitName, String), DropIn> = BTreeMap::new();
        for dir in dirs {
            for name in self.names(dir) {
                let file = format!("{dir}/{name}");
                if let Some(stem) = name.strip_suffix(".toml.d") {
                    if let Some(unit) = self.unit_name(&file, stem) {
                        self.drop_ins(&file, &unit, &mut laid);
                    }
                }
                let Some(stem) = name.strip_suffix(".toml") else {
                    continue;
                };
                let Some(name) = self.unit_name(&file, stem) else {
                    continue;
                };
                if found.contains_key(&name) {
                    continue;
                }
                if let Some(text) = self.text(&file) {
                    found.insert(name.clone(), Source { name, file, text });
                }
            }
        }
        (found.into_values().collect(), laid.into_values().collect())
    }

    fn drop_ins(
        &mut self,
        folder: &str,
        unit: &UnitName,
        laid: &mut BTreeMap<(UnitName, String), DropIn>,
    ) {
        for name in self.names(folder) {
            let key = (unit.clone(), name);
            if !key.1.ends_with(".toml") || laid.contains_key(&key) {
                continue;
            }
            let file = format!("{folder}/{}", key.1);
            if let Some(text) = self.text(&file) {
                let unit = unit.clone();
                laid.insert(key, DropIn { unit, file, text });
            }
        }
    }

    /// Files `GROUP.d/UNIT`.
    fn enabled(&mut self, dirs: &[String]) -> Vec<Enabled> {
        let mut found = Vec::new();
        // What two folders enable is enabled once.
        let mut seen = BTreeSet::new();
        for dir in dirs {
            for folder in self.names(dir) {
                let Some(group) = folder.strip_suffix(".d") else {
                    continue;
                };
                for unit in self.names(&format!("{dir}/{folder}")) {
                    let file = format!("{dir}/{folder}/{unit}");
                    let group = self.unit_name(&file, group);
                    let (Some(group), Some(unit)) = (group, self.unit_name(&file, &unit)) else {
                        continue;
                    };
                    if seen.insert((group.clone(), unit.clone())) {
                        found.push(Enabled { group, unit, file });
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(dirs: &[String], problems: &mut Vec<Problem>) -> (Vec<Source>, Vec<DropIn>) {
        let reader = &mut Reader::default();
        Folders { reader, problems }.units(dirs)
    }

    #[test]
    fn of_drop_ins_with_one_name_the_first_folders_counts_and_the_name_orders_them() {
        let dir = std::env::temp_dir().join(format!("rinit-folders-{}", std::process::id()));
        let at = |path: &str| dir.join(path).display().to_string();
        for folder in ["etc/web.toml.d", "usr/web.toml.d", "etc/getty@.toml.d"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for (file, text) in [
            ("usr/web.toml", "unit"),
            ("usr/web.toml.d/20-b.toml", "usr 20"),
            ("usr/web.toml.d/10-a.toml", "usr 10"),
            ("etc/web.toml.d/20-b.toml", "etc 20"),
            ("etc/web.toml.d/30-c.toml", "etc 30"),
            ("etc/web.toml.d/README", "no drop-in"),
            ("etc/getty@.toml.d/10-x.toml", "getty"),
        ] {
            std::fs::write(at(file), text).unwrap();
        }
        let mut problems = Vec::new();
        let (sources, drop_ins) = units(&[at("etc"), at("usr")], &mut problems);
        let texts: Vec<&str> = drop_ins.iter().map(|drop_in| &*drop_in.text).collect();
        assert_eq!(texts, ["getty", "usr 10", "etc 20", "etc 30"]);
        assert_eq!((sources.len(), problems), (1, Vec::new()));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn odd_files_cost_themselves_only_and_nobody_waits_for_them() {
        let dir = std::env::temp_dir().join(format!("rinit-odd-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("folder.toml")).unwrap();
        std::fs::write(dir.join("bytes.toml"), b"\xff\xfe").unwrap();
        std::fs::write(dir.join("good.toml"), "unit").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.join("dangling.toml")).unwrap();
        let huge = std::fs::File::create(dir.join("huge.toml")).unwrap();
        huge.set_len(FILE + 1).unwrap();
        let fifo = std::process::Command::new("mkfifo")
            .arg(dir.join("fifo.toml"))
            .status();
        assert!(fifo.unwrap().success());
        let mut problems = Vec::new();
        let (sources, _) = units(&[dir.display().to_string()], &mut problems);
        // A pipe that nobody writes to is an empty file, which is no unit either.
        let texts: Vec<_> = sources
            .iter()
            .map(|source| (source.name.as_str(), &*source.text))
            .collect();
        assert_eq!(texts, [("fifo", ""), ("good", "unit")]);
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, name) in problems.iter().zip(["bytes", "dangling", "folder", "huge"]) {
            assert!(format!("{problem:?}").contains(name), "{problem:?}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}

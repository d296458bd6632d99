//! The folders of unit files, drop-ins and enabled units, read into memory. Of files with one name the first folder's counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rootspec::compile::{DropIn, Enabled, Facts, Files, Problem, Source};
use rootspec::report::Numbers;
use rootspec::{UnitName, paths};

/// Largest file, in bytes.
pub(crate) const FILE: u64 = 1 << 20;
/// Most files per folder.
const FILES: usize = 10_000;
/// The kernel's id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where to look, for tests and the linter: other folders than the system's.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) units: Vec<String>,
    pub(crate) groups: Vec<String>,
    /// A boot needs a group to start; a folder to be checked need not have one.
    pub(crate) boots: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            units: paths::UNIT_DIRS.map(str::to_owned).to_vec(),
            groups: paths::GROUP_DIRS.map(str::to_owned).to_vec(),
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
            boots: false,
        }
    }
}

/// Reads everything. What cannot be read is among the problems.
pub(crate) fn read(places: &Places, problems: &mut Vec<Problem>) -> Files {
    let (sources, drop_ins) = units(&places.units, problems);
    Files {
        sources,
        drop_ins,
        enabled: enabled(&places.groups, problems),
        facts: facts(),
    }
}

/// What this boot is.
fn facts() -> Facts {
    let mut facts = Facts::default();
    let report = sys::fs::read_text(paths::run::BOOT_REPORT, FILE).ok();
    let report = report.and_then(|text| Numbers::of_report(&text));
    if let Some(id) = report.and_then(|numbers| numbers.snapshot) {
        facts.snapshot = id.to_string();
    }
    if let Ok(id) = sys::fs::read_text(BOOT_ID, FILE) {
        facts.boot = id.trim().to_owned();
    }
    facts
}

/// Names in a folder, sorted. A folder that is absent has none.
fn names(dir: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.push(Problem::of(
                dir,
                format!("cannot list this folder: {error}"),
            ));
            return Vec::new();
        }
    };
    let names = entries.take(FILES).flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    names
}

/// The text of a file; what is wrong with it becomes a problem.
fn text(file: &str, problems: &mut Vec<Problem>) -> Option<String> {
    match sys::fs::read_text(file, FILE) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.push(Problem::of("", sys::chain(&error)));
            None
        }
    }
}

/// The name of a unit from the name of a file or folder.
fn unit_name(file: &str, stem: &str, problems: &mut Vec<Problem>) -> Option<UnitName> {
    match stem.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.push(Problem::of(file, format!("{error}")));
            None
        }
    }
}

/// Unit files `NAME.toml`, and drop-ins `NAME.toml.d/NN-WHAT.toml`.
fn units(dirs: &[String], problems: &mut Vec<Problem>) -> (Vec<Source>, Vec<DropIn>) {
    let mut found: BTreeMap<UnitName, Source> = BTreeMap::new();
    // By unit and name of the drop-in: that is their order, whatever folder they come from.
    let mut laid: BTreeMap<(UnitName, String), DropIn> = BTreeMap::new();
    for dir in dirs {
        for name in names(dir, problems) {
            let file = format!("{dir}/{name}");
            if let Some(stem) = name.strip_suffix(".toml.d") {
                if let Some(unit) = unit_name(&file, stem, problems) {
                    drop_ins(&file, &unit, &mut laid, problems);
                }
            }
            let Some(stem) = name.strip_suffix(".toml") else {
                continue;
            };
            let Some(name) = unit_name(&file, stem, problems) else {
                continue;
            };
            if found.contains_key(&name) {
                continue;
            }
            if let Some(text) = text(&file, problems) {
                found.insert(name.clone(), Source { name, file, text });
            }
        }
    }
    (found.into_values().collect(), laid.into_values().collect())
}

fn drop_ins(
    folder: &str,
    unit: &UnitName,
    laid: &mut BTreeMap<(UnitName, String), DropIn>,
    problems: &mut Vec<Problem>,
) {
    for name in names(folder, problems) {
        let key = (unit.clone(), name);
        if !key.1.ends_with(".toml") || laid.contains_key(&key) {
            continue;
        }
        let file = format!("{folder}/{}", key.1);
        if let Some(text) = text(&file, problems) {
            let unit = unit.clone();
            laid.insert(key, DropIn { unit, file, text });
        }
    }
}

/// Files `GROUP.d/UNIT`.
fn enabled(dirs: &[String], problems: &mut Vec<Problem>) -> Vec<Enabled> {
    let mut found = Vec::new();
    // What two folders enable is enabled once.
    let mut seen = BTreeSet::new();
    for dir in dirs {
        for folder in names(dir, problems) {
            let Some(group) = folder.strip_suffix(".d") else {
                continue;
            };
            for unit in names(&format!("{dir}/{folder}"), problems) {
                let file = format!("{dir}/{folder}/{unit}");
                let group = unit_name(&file, group, problems);
                let (Some(group), Some(unit)) = (group, unit_name(&file, &unit, problems)) else {
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

#[cfg(test)]
mod tests {
    use super::*;

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

//! `/etc/fstab`: its lines beside the unit files.

use std::collections::BTreeSet;

use rootspec::UnitName;
use rootspec::compile::{Enabled, Files, Problem, Source};
use rootspec::fstab::{self, Wanted};

use crate::folders::FILE;
use crate::reader::Reader;

/// What rests on nothing, and nearly everything rests on.
const BASIC: &str = "basic";

/// Adds the units of the file at `path`; one in the folders comes before one of the same name here. What is to wait for
/// nobody is started by the group `late`. An absent file says nothing.
pub(crate) fn add(
    files: &mut Files,
    (path, late): (&str, &str),
    reader: &mut Reader,
    problems: &mut Vec<Problem>,
) {
    let text = match reader.text(path, FILE) {
        Ok(text) => text,
        Err(error) if error.is_absent() => return,
        Err(error) => return problems.push(Problem::of("", sys::chain(&error))),
    };
    let found = fstab::read(path, &text);
    let told = |spot| Problem {
        spot,
        ..Problem::of("", "")
    };
    problems.extend(found.wrong.into_iter().map(told));
    problems.extend(found.ignored.into_iter().map(|spot| told(spot).warning()));
    let known: BTreeSet<UnitName> = files
        .sources
        .iter()
        .map(|source| source.name.clone())
        .collect();
    let group = |name: &str| known.iter().find(|known| known.as_str() == name);
    let (late, early) = (group(late), group(BASIC));
    for entry in found.entries {
        if known.contains(&entry.name) {
            continue;
        }
        let file = format!("{path}, line {} as a unit", entry.line);
        let group = match entry.wanted {
            Wanted::Never => None,
            Wanted::Early => early.or(late),
            Wanted::Late => late,
        };
        files.enabled.extend(group.map(|group| Enabled {
            group: group.clone(),
            unit: entry.name.clone(),
            file: file.clone(),
        }));
        files.sources.push(Source {
            name: entry.name,
            file,
            text: entry.text,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_started_by_the_group_that_fits_and_files_come_first() {
        let path = std::env::temp_dir().join(format!("rinit-fstab-{}", std::process::id()));
        std::fs::write(
            &path,
            "/dev/a /a ext4\n/dev/b /b ext4 nofail\n/dev/c /c ext4 noauto\n/dev/d /d ext4\n/dev/e e\n",
        )
        .unwrap();
        let shown = path.display().to_string();
        let source = |name: &str, text: &str| Source {
            name: name.parse().unwrap(),
            file: name.to_owned(),
            text: text.to_owned(),
        };
        let mut files = Files {
            sources: vec![
                source("basic", "x"),
                source("default", "x"),
                source("mount:d", ""),
            ],
            ..Files::default()
        };
        let (mut reader, mut problems) = (Reader::default(), Vec::new());
        add(&mut files, (&shown, "default"), &mut reader, &mut problems);
        std::fs::remove_file(path).unwrap();
        let enabled = files.enabled.iter();
        let enabled: Vec<_> = enabled
            .map(|link| (link.group.as_str(), link.unit.as_str()))
            .collect();
        assert_eq!(enabled, [("basic", "mount:a"), ("default", "mount:b")]);
        assert_eq!(files.sources.len(), 6);
        assert!(
            problems.len() == 1 && problems[0].to_string().contains(":5:1: "),
            "{problems:?}"
        );
        add(&mut files, (&shown, "default"), &mut reader, &mut problems);
        assert_eq!(problems.len(), 1, "an absent file is no problem");
        assert_eq!(reader.into_inputs().unwrap().len(), 2);
    }
}

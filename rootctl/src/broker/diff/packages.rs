//! Package databases, as far as they are plain text: what is installed, and what differs. Pure but for `read`.
//!
//! dpkg: stanzas in one file, deb822 as in dpkg(1); apk: stanzas of single letters, `P` name, `V` version, `A` architecture;
//! pacman: a folder `NAME-VERSION-RELEASE` per package.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

use anyhow::Result;
use rootspec::protocol::store::PackageChange;

/// Largest database that is read, in bytes: some hundred thousand packages.
const LIMIT: u64 = 256 << 20;

/// A database: its name, where it may be (the first that is there counts), how it is read.
pub(super) struct Database {
    pub(super) name: &'static str,
    pub(super) places: &'static [&'static str],
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Dpkg,
    Apk,
    Folders,
}

/// The databases we can read. `usr/lib/sysimage` is where the import puts them.
pub(super) const ALL: [Database; 3] = [
    Database {
        name: "dpkg",
        places: &["usr/lib/sysimage/dpkg/status", "var/lib/dpkg/status"],
        form: Form::Dpkg,
    },
    Database {
        name: "pacman",
        places: &["usr/lib/sysimage/pacman/local", "var/lib/pacman/local"],
        form: Form::Folders,
    },
    Database {
        name: "apk",
        places: &["usr/lib/apk/db/installed", "lib/apk/db/installed"],
        form: Form::Apk,
    },
];

/// Versions by name and architecture (empty where the database has none).
type Installed = BTreeMap<(String, String), String>;

impl Database {
    /// What differs between two roots.
    pub(super) fn compare(&self, old: impl AsFd, new: impl AsFd) -> Result<Vec<PackageChange>> {
        Ok(differences(self.name, &self.read(old)?, &self.read(new)?))
    }

    /// What is installed in a root; nothing where there is no such database.
    fn read(&self, root: impl AsFd) -> Result<Installed> {
        let root = root.as_fd();
        for place in self.places {
            let file = match sys::fs::open_plain(root, place) {
                // A link is the old place, which leads to the new one.
                Err(error) if error.is_absent() || error.errno() == Some(LOOP) => continue,
                other => other?,
            };
            return Ok(match self.form {
                Form::Folders => folders(&sys::tree::names(&file)?),
                Form::Dpkg => dpkg(&text(&file, place)?),
                Form::Apk => apk(&text(&file, place)?),
            });
        }
        Ok(Installed::new())
    }
}

/// `ELOOP`: what opening without links says of a link.
const LOOP: i32 = 40;

fn text(file: &std::fs::File, place: &str) -> Result<String> {
    use anyhow::Context;
    use std::io::Read;
    let reading = || format!("cannot read the package database {place}");
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    // A name in another encoding must not hide all the others.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The values of some keys, stanza by stanza. A line that begins with a blank belongs to the one before it.
fn stanzas<'a, const N: usize>(
    text: &'a str,
    keys: [&'a str; N],
) -> impl Iterator<Item = [&'a str; N]> {
    text.split("\n\n").map(move |stanza| {
        let mut values = [""; N];
        for line in stanza.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            if let Some(at) = keys.iter().position(|wanted| *wanted == key) {
                if let Some(place) = values.get_mut(at) {
                    *place = value.trim();
                }
            }
        }
        values
    })
}

fn dpkg(text: &str) -> Installed {
    let all = stanzas(text, ["Package", "Architecture", "Version", "Status"]);
    // "install ok installed", "deinstall ok config-files": what it shall be, errors, what it is.
    let there = all.filter(|[name, _, _, status]| {
        let state = status.split(' ').nth(2).unwrap_or_default();
        !name.is_empty() && !matches!(state, "" | "not-installed" | "config-files")
    });
    there
        .map(|[name, architecture, version, _]| {
            (
                (name.to_owned(), architecture.to_owned()),
                version.to_owned(),
            )
        })
        .collect()
}

fn apk(text: &str) -> Installed {
    let all = stanzas(text, ["P", "A", "V"]);
    all.filter(|[name, ..]| !name.is_empty())
        .map(|[name, architecture, version]| {
            (
                (name.to_owned(), architecture.to_owned()),
                version.to_owned(),
            )
        })
        .collect()
}

fn folders(names: &[Vec<u8>]) -> Installed {
    let split = |name: &Vec<u8>| {
        let name = std::str::from_utf8(name).ok()?;
        // A name may have dashes, version and release have none.
        let (rest, release) = name.rsplit_once('-')?;
        let (name, version) = rest.rsplit_once('-')?;
        Some((
            (name.to_owned(), String::new()),
            format!("{version}-{release}"),
        ))
    };
    names.iter().filter_map(split).collect()
}

fn differences(database: &str, old: &Installed, new: &Installed) -> Vec<PackageChange> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |key: &(String, String)| {
        let (before, after) = (old.get(key), new.get(key));
        let change = match (before, after) {
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (Some(before), Some(after)) if before != after => "modified",
            _ => return None,
        };
        Some(PackageChange {
            database: database.to_owned(),
            name: key.0.clone(),
            architecture: (!key.1.is_empty()).then(|| key.1.clone()),
            change: change.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        })
    };
    names.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(all: &[PackageChange]) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        all.iter()
            .map(|c| {
                format!(
                    "{} {} {} {}",
                    c.change,
                    c.name,
                    text(&c.before),
                    text(&c.after)
                )
            })
            .collect()
    }

    #[test]
    fn what_dpkg_has_is_compared_by_name_and_architecture() {
        let old = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDescription: C\n Version: 7\n\
            \nPackage: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 2.36-9\n\
            \nPackage: nano\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.2-1\n\
            \nPackage: vim\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9\n";
        let new = old.replacen("2.36-9", "2.36-10", 1).replace(
            "Package: nano\nStatus: install ok installed",
            "Package: nano\nStatus: deinstall ok config-files",
        ) + "\nPackage: tmux\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 3.3a-3\n";
        assert_eq!(
            shown(&differences("dpkg", &dpkg(old), &dpkg(&new))),
            [
                "modified libc6 2.36-9 2.36-10",
                "removed nano 7.2-1 -",
                "added tmux - 3.3a-3"
            ]
        );
    }

    #[test]
    fn apk_and_pacman_are_read_as_well() {
        let old = "P:musl\nV:1.2.4-r1\nA:x86_64\nF:lib\n\nP:zlib\nV:1.3-r0\nA:x86_64\n\n";
        let new = old.replace("1.2.4-r1", "1.2.4-r2");
        assert_eq!(
            shown(&differences("apk", &apk(old), &apk(&new))),
            ["modified musl 1.2.4-r1 1.2.4-r2"]
        );
        let names = |all: &[&str]| {
            all.iter()
                .map(|n| n.as_bytes().to_vec())
                .collect::<Vec<_>>()
        };
        let old = folders(&names(&["gcc-libs-13.2.1-3", "ALPM_DB_VERSION"]));
        let new = folders(&names(&["gcc-libs-14.1.1-1", "ALPM_DB_VERSION"]));
        assert_eq!(
            shown(&differences("pacman", &old, &new)),
            ["modified gcc-libs 13.2.1-3 14.1.1-1"]
        );
    }

    #[test]
    fn text_that_is_no_database_gives_no_packages() {
        for text in [
            "",
            "packages",
            ":\n\n:",
            "Package: x\n\nVersion: 1",
            "\0\u{fffd}",
        ] {
            assert!(dpkg(text).is_empty() && apk(text).is_empty(), "{text:?}");
        }
    }
}

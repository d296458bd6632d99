//! A second reader of `limine.conf`, written from Limine's description of the format (CONFIG.md) and from
//! nothing in the writer: what both understand alike is probably what Limine understands.
//!
//! [`faults`] holds the promises of our menu: the first entry is the known-good one and the default, every
//! file is on the ESP with the bytes of its hash, and nothing is used that some version of Limine lacks.

use crate::disk::fat::Fat;
use anyhow::{Context, Result, bail};
use blake2::{Blake2b512, Digest};
use std::collections::BTreeMap;

/// Longer values are cut by old versions.
const LONGEST_VALUE: usize = 4094;

/// Where some version of Limine looks for a config: any second one may shadow the first.
const SEARCHED: &[&str] = &[
    "/limine.conf",
    "/limine/limine.conf",
    "/boot/limine.conf",
    "/boot/limine/limine.conf",
    "/EFI/BOOT/limine.conf",
    "/EFI/limine/limine.conf",
    "/limine.cfg",
    "/boot/limine.cfg",
];

/// A config as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Options before the first entry; names in lower case.
    pub globals: Vec<(String, String)>,
    /// The menu, from the top.
    pub entries: Vec<Entry>,
}

/// One line of the menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the menu shows.
    pub title: String,
    /// 1 for the top level: the number of slashes before the title.
    pub depth: usize,
    /// Its options in order; `module_path` may come more than once.
    pub options: Vec<(String, String)>,
}

impl Entry {
    /// The first value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of an option.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The kernel command line, under either of its names.
    pub fn cmdline(&self) -> Option<&str> {
        self.get("cmdline").or_else(|| self.get("kernel_cmdline"))
    }
}

/// A file named in an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath {
    /// The name on the volume that Limine was started from.
    pub name: String,
    /// The BLAKE2b-512 it must have, 128 hex digits in lower case.
    pub hash: Option<String>,
}

/// Reads a config.
///
/// # Errors
/// At a line that is neither an option, an entry, a comment nor empty: with its number.
pub fn parse(text: &str) -> Result<Config> {
    let mut config = Config::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('/') {
            let title = line.trim_start_matches('/');
            let depth = line.len() - title.len();
            config.entries.push(Entry {
                title: title.trim().to_owned(),
                depth,
                options: Vec::new(),
            });
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            bail!(
                "line {}: neither `key: value` nor an entry: {line}",
                number + 1
            );
        };
        let option = (name.trim().to_lowercase(), value.trim().to_owned());
        match config.entries.last_mut() {
            Some(entry) => entry.options.push(option),
            None => config.globals.push(option),
        }
    }
    Ok(config)
}

/// Reads a path of the form `boot():/name#hash`.
///
/// # Errors
/// When it lies on another volume or its hash has a wrong form.
pub fn path(text: &str) -> Result<FilePath> {
    let Some(rest) = text.strip_prefix("boot():") else {
        bail!("the path {text} is not on the volume Limine is started from");
    };
    let (name, hash) = match rest.split_once('#') {
        Some((name, hash)) => (name, Some(hash.to_lowercase())),
        None => (rest, None),
    };
    if !name.starts_with('/') {
        bail!("the path {text} does not begin at the top of its volume");
    }
    if let Some(hash) = &hash {
        let good = hash.len() == 128 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
        anyhow::ensure!(good, "the hash of {name} is not 128 hex digits");
    }
    Ok(FilePath {
        name: name.to_owned(),
        hash,
    })
}

/// Everything in a config that breaks a promise, in words; empty when all is well. `read` gives a file of
/// the ESP.
pub fn faults(config: &Config, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
    let mut faults = Vec::new();
    if config.entries.is_empty() {
        faults.push("there is no entry at all".to_owned());
    }
    for (name, value) in &config.globals {
        match (name.as_str(), value.as_str()) {
            ("default_entry", "1") | ("remember_last_entry", "no") => {}
            ("default_entry", other) => {
                faults.push(format!(
                    "default_entry is {other}: not every version finds the first entry by it"
                ));
            }
            ("remember_last_entry", other) => {
                faults.push(format!(
                    "remember_last_entry is {other}: a trial would become permanent"
                ));
            }
            _ => {}
        }
    }
    let all = config
        .entries
        .iter()
        .flat_map(|entry| &entry.options)
        .chain(&config.globals);
    for (name, value) in all.filter(|(_, value)| value.len() > LONGEST_VALUE) {
        faults.push(format!("the value of {name} has {} bytes", value.len()));
    }
    let mut titles = BTreeMap::new();
    for entry in &config.entries {
        *titles.entry(entry.title.as_str()).or_insert(0u32) += 1;
        faults.extend(
            entry_faults(entry, read)
                .into_iter()
                .map(|fault| format!("{}: {fault}", entry.title)),
        );
    }
    let twins = titles.iter().filter(|(_, count)| **count > 1);
    faults.extend(twins.map(|(title, count)| format!("{count} entries have the title {title}")));
    faults
}

fn entry_faults(entry: &Entry, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
    let mut faults = Vec::new();
    let title = &entry.title;
    if title.is_empty() || !title.is_ascii() || title.contains(['/', '\\', '#', '+']) {
        faults.push("the title cannot be named in a one-shot on every version".to_owned());
    }
    if entry.depth != 1 {
        faults.push("it is not at the top level: rows of folders count as entries".to_owned());
    }
    if entry.get("protocol") != Some("linux") {
        faults.push(format!(
            "the protocol is {:?}, not linux",
            entry.get("protocol")
        ));
    }
    if entry.get("kernel_path").is_none() {
        faults.push(
            "there is no kernel_path (`path` alone makes versions below 8.7 panic)".to_owned(),
        );
    }
    for value in entry.all("kernel_path").chain(entry.all("module_path")) {
        match path(value) {
            Err(why) => faults.push(why.to_string()),
            Ok(file) => faults.extend(file_fault(&file, read(&file.name))),
        }
    }
    faults
}

fn file_fault(file: &FilePath, bytes: Option<Vec<u8>>) -> Option<String> {
    let Some(bytes) = bytes else {
        return Some(format!(
            "{} is not on the ESP: Limine would wait for a key for ever",
            file.name
        ));
    };
    let Some(hash) = &file.hash else {
        return Some(format!("{} has no hash", file.name));
    };
    (blake2b(&bytes) != *hash).then(|| format!("{} has other bytes than its hash says", file.name))
}

fn blake2b(bytes: &[u8]) -> String {
    Blake2b512::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Reads the config of an ESP and tells its faults, and those of other configs that could shadow it.
///
/// # Errors
/// When the config cannot be read as one.
pub fn check(esp: &Fat, live: &str) -> Result<(Config, Vec<String>)> {
    let bytes = esp.read(live)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{live} is not text"))?;
    let config = parse(&text).with_context(|| format!("cannot read {live}"))?;
    let mut faults = faults(&config, &|name| esp.read(name).ok());
    let others = SEARCHED
        .iter()
        .filter(|name| !name.eq_ignore_ascii_case(live));
    faults.extend(
        others
            .filter(|name| esp.exists(name))
            .map(|name| format!("{name} may shadow {live}")),
    );
    Ok((config, faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> String {
        let (kernel, initrd) = (blake2b(b"kernel"), blake2b(b"initrd"));
        format!(
            "# ours\ntimeout: 3\n\n/rootctl 7\n    comment: known good\n    protocol: linux\n    \
             kernel_path: boot():/rootctl/0a.vmz#{kernel}\n    module_path: boot():/rootctl/0b.ird#{initrd}\n    \
             cmdline: root=UUID=x rootctl.snap=7\n"
        )
    }

    fn read(name: &str) -> Option<Vec<u8>> {
        match name {
            "/rootctl/0a.vmz" => Some(b"kernel".to_vec()),
            "/rootctl/0b.ird" => Some(b"initrd".to_vec()),
            _ => None,
        }
    }

    fn faults_of(text: &str) -> String {
        faults(&parse(text).unwrap(), &read).join("; ")
    }

    #[test]
    fn a_good_config_has_no_fault() {
        let config = parse(&good()).unwrap();
        assert_eq!(faults(&config, &read), Vec::<String>::new());
        assert_eq!(config.globals, [("timeout".to_owned(), "3".to_owned())]);
        assert_eq!(
            config.entries[0].cmdline(),
            Some("root=UUID=x rootctl.snap=7")
        );
    }

    #[test]
    fn each_broken_promise_is_told() {
        for (from, to, told) in [
            ("timeout: 3", "default_entry: 2", "default_entry is 2"),
            ("timeout: 3", "remember_last_entry: yes", "permanent"),
            ("0a.vmz", "0c.vmz", "not on the ESP"),
            ("/rootctl 7", "//rootctl 7", "top level"),
            ("/rootctl 7", "/web #7", "title"),
            ("protocol: linux", "protocol: efi", "protocol"),
            ("kernel_path", "path", "kernel_path"),
            ("boot():", "hdd(1:1):", "started from"),
        ] {
            let faults = faults_of(&good().replacen(from, to, 1));
            assert!(faults.contains(told), "{from} -> {to}: {faults}");
        }
        assert!(faults_of("timeout: 3\n").contains("no entry"));
    }

    #[test]
    fn wrong_bytes_and_a_missing_hash_are_told() {
        let changed = faults(&parse(&good()).unwrap(), &|_| Some(b"other".to_vec()));
        assert_eq!(changed.len(), 2);
        let hash = format!("#{}", blake2b(b"kernel"));
        assert!(faults_of(&good().replace(&hash, "")).contains("no hash"));
    }

    #[test]
    fn two_entries_with_one_title_are_told() {
        let twice = format!("{}{}", good(), good().split_once("\n\n").unwrap().1);
        assert!(faults_of(&twice).contains("2 entries"));
    }

    #[test]
    fn a_line_that_is_nothing_is_refused_with_its_number() {
        assert!(
            parse("timeout: 3\nnonsense\n")
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
    }
}

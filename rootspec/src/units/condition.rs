//! `[condition]` and `[assert]`: what must be so when a unit starts.

use serde::Deserialize;

use super::Names;
use super::value::parse_size;
use crate::plan::Fact;

/// Both tables: a leading `!` turns a value round; all must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The path exists.
    pub path_exists: Names,
    /// A path fits the pattern.
    pub path_glob: Names,
    /// It is a folder.
    pub path_is_dir: Names,
    /// It is a symbolic link.
    pub path_is_symlink: Names,
    /// Something is mounted there.
    pub path_is_mount: Names,
    /// Its file system can be written to.
    pub path_is_rw: Names,
    /// It is a folder with something in it.
    pub dir_not_empty: Names,
    /// It is a file with something in it.
    pub file_not_empty: Names,
    /// It is a file that may be executed.
    pub file_is_executable: Names,
    /// The word stands on the kernel command line, as `word` or `key=value`.
    pub cmdline: Names,
    /// The kernel's release, compared.
    pub kernel: Names,
    /// The machine, as `uname -m` says it.
    pub arch: Names,
    /// The host name.
    pub host: Names,
    /// A line of `os-release(5)`, compared.
    pub os_release: Names,
    /// What the machine was started by.
    pub firmware: Names,
    /// A security module, or a chip for keys.
    pub security: Names,
    /// A variable of `rinit`'s own environment.
    pub env: Names,
    /// A controller of cgroups.
    pub controller: Names,
    /// Memory, compared.
    pub memory: Names,
    /// Processors, compared.
    pub cpus: Names,
    /// The machine does not run on batteries.
    pub ac_power: Option<bool>,
    /// The number of the running snapshot.
    pub snapshot: Names,
    /// This boot is a try of a new snapshot.
    #[serde(rename = "try")]
    pub trial: Option<bool>,
}

impl Condition {
    /// What is asked by texts: key, fact, values.
    pub(crate) fn texts(&self) -> [(Fact, &Names); 21] {
        [
            (Fact::PathExists, &self.path_exists),
            (Fact::PathGlob, &self.path_glob),
            (Fact::PathIsDir, &self.path_is_dir),
            (Fact::PathIsSymlink, &self.path_is_symlink),
            (Fact::PathIsMount, &self.path_is_mount),
            (Fact::PathIsRw, &self.path_is_rw),
            (Fact::DirNotEmpty, &self.dir_not_empty),
            (Fact::FileNotEmpty, &self.file_not_empty),
            (Fact::FileIsExecutable, &self.file_is_executable),
            (Fact::Cmdline, &self.cmdline),
            (Fact::Kernel, &self.kernel),
            (Fact::Arch, &self.arch),
            (Fact::Host, &self.host),
            (Fact::OsRelease, &self.os_release),
            (Fact::Firmware, &self.firmware),
            (Fact::Security, &self.security),
            (Fact::Env, &self.env),
            (Fact::Controller, &self.controller),
            (Fact::Memory, &self.memory),
            (Fact::Cpus, &self.cpus),
            (Fact::Snapshot, &self.snapshot),
        ]
    }

    /// What is asked by yes or no.
    pub(crate) fn switches(&self) -> [(Fact, Option<bool>); 2] {
        [(Fact::AcPower, self.ac_power), (Fact::Try, self.trial)]
    }

    /// Values that cannot be: their key, their number, and what is expected.
    pub(super) fn wrong(&self) -> Vec<(String, &'static str)> {
        let mut wrong = Vec::new();
        for (fact, names) in self.texts() {
            for (number, text) in names.0.iter().enumerate() {
                let value = text.strip_prefix('!').unwrap_or(text);
                if let Some(words) = wrong_value(fact, value) {
                    wrong.push((format!("{}.{number}", fact.key()), words));
                }
            }
        }
        wrong
    }
}

fn wrong_value(fact: Fact, value: &str) -> Option<&'static str> {
    let (_, compared) = split_operator(value);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = |text: &str| text.split('.').all(digits);
    let (right, words) = match fact {
        Fact::PathExists
        | Fact::PathGlob
        | Fact::PathIsDir
        | Fact::PathIsSymlink
        | Fact::PathIsMount
        | Fact::PathIsRw
        | Fact::DirNotEmpty
        | Fact::FileNotEmpty
        | Fact::FileIsExecutable => (value.starts_with('/'), "expected an absolute path"),
        Fact::Kernel => (version(compared), "expected a comparison such as \">=6.1\""),
        Fact::OsRelease => (
            value.find(['<', '=', '>']).is_some_and(|at| at > 0),
            "expected a comparison such as \"ID=debian\" or \"VERSION_ID>=12\"",
        ),
        Fact::Firmware => (
            ["uefi", "bios", "device-tree"].contains(&value),
            "expected \"uefi\", \"bios\" or \"device-tree\"",
        ),
        Fact::Security => (
            ["selinux", "apparmor", "tpm2"].contains(&value),
            "expected \"selinux\", \"apparmor\" or \"tpm2\"",
        ),
        Fact::Memory => (
            parse_size(compared).is_some(),
            "expected a comparison such as \">=512M\"",
        ),
        Fact::Cpus => (digits(compared), "expected a comparison such as \">=2\""),
        Fact::Snapshot => (digits(value), "expected the number of a snapshot"),
        Fact::Cmdline
        | Fact::Arch
        | Fact::Host
        | Fact::Env
        | Fact::Controller
        | Fact::AcPower
        | Fact::Try => (!value.is_empty(), "expected a word"),
    };
    (!right).then_some(words)
}

/// A comparison's operator, and what is compared to.
pub(crate) fn split_operator(text: &str) -> (&str, &str) {
    let end = text.find(|c| !['<', '=', '>'].contains(&c));
    let (operator, rest) = text.split_at(end.unwrap_or(text.len()));
    match operator {
        "" | "<" | "<=" | "=" | ">=" | ">" => (operator, rest.trim_start()),
        // No value can be compared by that.
        _ => (operator, ""),
    }
}

//! The fourth field: what it says about the unit, and what is left for the file system.

use super::Wanted;
use crate::UnitName;

/// What the options of a line mean.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// For the file system or the swap area.
    pub(super) rest: Vec<String>,
    pub(super) noauto: bool,
    pub(super) nofail: bool,
    pub(super) network: bool,
    /// `x-systemd.automount`: mounted at first use, elsewhere.
    pub(super) automount: bool,
    pub(super) rw_only: bool,
    /// Permissions of the place, octal.
    pub(super) mkdir_mode: Option<String>,
    /// Times as a unit file has them.
    pub(super) device_timeout: Option<String>,
    pub(super) mount_timeout: Option<String>,
    /// Priority of a swap area.
    pub(super) priority: Option<String>,
    /// Keys of `[deps]`, each with a name or path.
    pub(super) deps: Vec<(&'static str, String)>,
    /// What cannot be done.
    pub(super) ignored: Vec<String>,
}

/// Words of systemd that this machine has no use for; they change nothing about what is mounted.
const EMPTY: [&str; 8] = [
    "x-initrd.mount",
    "x-initrd.attach",
    "x-systemd.wanted-by",
    "x-systemd.required-by",
    "x-systemd.pcrfs",
    "x-systemd.validatefs",
    "x-systemd.graceful-option",
    "comment",
];

/// Understands the words between the commas.
///
/// # Errors
/// In words: a value makes no sense.
pub(super) fn options(text: &str) -> Result<Options, String> {
    let mut found = Options::default();
    for word in split(text) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        match (key, value) {
            ("" | "defaults" | "auto" | "sw", _) => {}
            ("noauto", None) => found.noauto = true,
            ("nofail", None) => found.nofail = true,
            ("_netdev", None) => found.network = true,
            ("pri", Some(number)) => found.priority = Some(number.to_owned()),
            ("x-systemd.automount", _) => found.automount = true,
            ("x-systemd.idle-timeout", _) => {}
            ("x-systemd.rw-only", _) => found.rw_only = true,
            ("x-systemd.device-timeout", Some(time)) => {
                found.device_timeout = Some(patience(time)?);
            }
            ("x-systemd.mount-timeout", Some(time)) => found.mount_timeout = Some(patience(time)?),
            ("x-mount.mkdir" | "X-mount.mkdir", mode) => {
                found.mkdir_mode = mode.filter(|mode| !mode.is_empty()).map(str::to_owned);
            }
            ("x-systemd.requires", Some(other)) => found.other("needs", other)?,
            ("x-systemd.wants", Some(other)) => found.other("wants", other)?,
            ("x-systemd.after", Some(other)) => found.other("after", other)?,
            ("x-systemd.before", Some(other)) => found.other("before", other)?,
            ("x-systemd.requires-mounts-for", Some(path)) => found.path("mounts", path)?,
            ("x-systemd.wants-mounts-for", Some(path)) => found.path("mounts_optional", path)?,
            ("x-systemd.makefs" | "x-systemd.growfs", _) => {
                let words = format!("{key} is not done here: make or grow the file system by hand");
                found.ignored.push(words);
            }
            (key, _) if EMPTY.contains(&key) => {}
            (key, _) if key.starts_with("x-systemd.") => {
                found.ignored.push(format!("{key} has no counterpart here"));
            }
            _ => found.rest.push(word.to_owned()),
        }
    }
    if found.automount {
        let words = "x-systemd.automount is not done here: it is mounted at boot, as with nofail";
        found.ignored.push(words.to_owned());
    }
    Ok(found)
}

/// Splits at commas; quotes protect them, as in `context="a,b"`.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                words.extend(text.get(start..at));
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    words.extend(text.get(start..));
    words
}

impl Options {
    /// Another unit of systemd's: a path stands for what is mounted there, or for a device.
    fn other(&mut self, key: &'static str, other: &str) -> Result<(), String> {
        if other.starts_with("/dev/") {
            return self.path("devices", other);
        }
        if other.starts_with('/') {
            let key = if key == "needs" {
                "mounts"
            } else {
                "mounts_optional"
            };
            return self.path(key, other);
        }
        let name = other.rsplit_once('.').filter(|(_, kind)| is_kind(kind));
        let name = name.map_or(other, |(name, _)| name);
        match name.parse::<UnitName>() {
            Ok(name) => self.deps.push((key, name.to_string())),
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn path(&mut self, key: &'static str, path: &str) -> Result<(), String> {
        if path != "/" && !crate::units::is_place(path) {
            return Err(format!("\"{path}\" is no absolute path"));
        }
        self.deps.push((key, path.to_owned()));
        Ok(())
    }

    pub(super) fn wanted(&self, kind: &str) -> Wanted {
        match (self.automount, self.noauto) {
            (true, _) => Wanted::Late,
            (false, true) => Wanted::Never,
            (false, false) if self.nofail || self.is_far(kind) => Wanted::Late,
            (false, false) => Wanted::Early,
        }
    }

    /// It is on another machine.
    pub(super) fn is_far(&self, kind: &str) -> bool {
        self.network || FAR.contains(&kind)
    }
}

/// Types of file systems of other machines.
const FAR: [&str; 14] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "ceph",
    "glusterfs",
    "gfs2",
    "ocfs2",
    "9p-tcp",
    "sshfs",
    "fuse.sshfs",
];

/// Endings of systemd's names of units.
fn is_kind(ending: &str) -> bool {
    ["service", "target", "mount", "swap", "socket", "device"].contains(&ending)
}

/// A time as systemd writes it (systemd.time(7)), as a unit file has it.
fn patience(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{text}\" is no time such as \"30s\" or \"5min\"");
    if text == "infinity" || text == "0" {
        return Ok("off".to_owned());
    }
    let (mut millis, mut rest, mut any) = (0_u64, text.trim(), false);
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let unit = behind
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let factor = match unit {
            "ms" | "msec" => 1,
            "" | "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_no_number| wrong())?;
        let part = number.checked_mul(factor).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start();
        any = true;
    }
    if any {
        Ok(format!("{millis}ms"))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_systemd_are_understood() {
        for (text, time) in [
            ("90", "90000ms"),
            ("5min 20s", "320000ms"),
            ("1h", "3600000ms"),
            ("infinity", "off"),
            ("0", "off"),
        ] {
            assert_eq!(patience(text).as_deref(), Ok(time));
        }
        for bad in [
            "",
            "s",
            "5 parsecs",
            "99999999999999999999",
            "-1",
            "9999999999999999d",
        ] {
            assert!(patience(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commas_in_quotes_are_no_ends() {
        assert_eq!(
            split("ro,context=\"a,b\",,x"),
            ["ro", "context=\"a,b\"", "", "x"]
        );
    }
}

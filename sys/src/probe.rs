//! What conditions ask about this machine. To be asked in a child: file systems may not answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxFlags};

/// `STATX_ATTR_MOUNT_ROOT` of `statx(2)`: something is mounted here.
const MOUNT_ROOT: u64 = 0x2000;
/// Names that are looked at for one pattern: no folder keeps us longer.
const NAMES: usize = 100_000;

/// What is asked; each with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// The path exists; a link counts as what it points at.
    PathExists,
    /// A path fits the pattern, with `*` and `?` within a name.
    PathGlob,
    /// It is a folder.
    PathIsDir,
    /// It is a symbolic link.
    PathIsSymlink,
    /// Something is mounted there.
    PathIsMount,
    /// It can be written to, as far as its file system goes.
    PathIsRw,
    /// It is a folder with something in it.
    DirNotEmpty,
    /// It is a file with something in it.
    FileNotEmpty,
    /// It is a file that may be executed.
    FileIsExecutable,
    /// The kernel's release, compared: `>=6.1`.
    Kernel,
    /// The machine, as `uname -m` says it.
    Arch,
    /// The host name.
    Host,
    /// A line of `os-release(5)`, compared: `ID=debian`, `VERSION_ID>=12`.
    OsRelease,
    /// `uefi`, `bios` or `device-tree`.
    Firmware,
    /// `selinux`, `apparmor` or `tpm2`.
    Security,
    /// A variable of our environment, as `NAME` or `NAME=value`.
    Env,
    /// A controller of cgroups that may be used.
    Controller,
    /// Memory in bytes, compared: `>=1073741824`.
    Memory,
    /// Processors that may be used, compared: `>=2`.
    Cpus,
    /// There is no power supply that is not from batteries, or one of these gives power.
    AcPower,
}

/// Whether it is so.
#[must_use]
pub fn holds(probe: Probe, value: &str) -> bool {
    match probe {
        Probe::PathExists => crate::fs::exists_at(CWD, value),
        Probe::PathGlob => fits(value),
        Probe::PathIsDir => Path::new(value).is_dir(),
        Probe::PathIsSymlink => Path::new(value).is_symlink(),
        Probe::PathIsMount => is_mount(value),
        Probe::PathIsRw => is_writable(value),
        Probe::DirNotEmpty => fs::read_dir(value).is_ok_and(|mut all| all.next().is_some()),
        Probe::FileNotEmpty => {
            fs::metadata(value).is_ok_and(|found| found.is_file() && found.len() > 0)
        }
        Probe::FileIsExecutable => fs::metadata(value)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0),
        Probe::Kernel => {
            let uname = rustix::system::uname();
            compare(value, &uname.release().to_string_lossy())
        }
        Probe::Arch => rustix::system::uname().machine().to_string_lossy() == value,
        Probe::Host => rustix::system::uname().nodename().to_string_lossy() == value,
        Probe::OsRelease => {
            let text = text("/etc/os-release").or_else(|| text("/usr/lib/os-release"));
            text.is_some_and(|text| release_says(&text, value))
        }
        Probe::Firmware => {
            let is = |path| crate::fs::exists_at(CWD, path);
            match value {
                "uefi" => is("/sys/firmware/efi"),
                "device-tree" => is("/sys/firmware/devicetree"),
                _ => !is("/sys/firmware/efi") && !is("/sys/firmware/devicetree"),
            }
        }
        Probe::Security => match value {
            "selinux" => crate::fs::exists_at(CWD, "/sys/fs/selinux/enforce"),
            "apparmor" => text("/sys/module/apparmor/parameters/enabled")
                .is_some_and(|text| text.trim() == "Y"),
            _ => crate::fs::exists_at(CWD, "/sys/class/tpmrm/tpmrm0"),
        },
        Probe::Env => match value.split_once('=') {
            Some((name, wanted)) => std::env::var(name).is_ok_and(|found| found == wanted),
            None => std::env::var_os(value).is_some(),
        },
        Probe::Controller => text("/sys/fs/cgroup/cgroup.controllers")
            .is_some_and(|text| text.split_whitespace().any(|name| name == value)),
        Probe::Memory => memory().is_some_and(|bytes| compare(value, &bytes.to_string())),
        Probe::Cpus => std::thread::available_parallelism()
            .is_ok_and(|count| compare(value, &count.to_string())),
        Probe::AcPower => has_power(Path::new("/sys/class/power_supply")),
    }
}

fn text(path: &str) -> Option<String> {
    crate::fs::read_text(path, 1 << 16).ok()
}

fn is_mount(path: &str) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(CWD, path, flags, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.bits() & MOUNT_ROOT != 0)
}

fn is_writable(path: &str) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn memory() -> Option<u64> {
    let text = text("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// As `on_ac_power(1)`: machines without any word about it have power.
fn has_power(folder: &Path) -> bool {
    let Ok(all) = fs::read_dir(folder) else {
        return true;
    };
    let read = |path: PathBuf| crate::fs::read_text(path, 4096).unwrap_or_default();
    let mut supplies = all.flatten().map(|entry| entry.path());
    let mains: Vec<bool> = supplies
        .by_ref()
        .filter(|path| matches!(read(path.join("type")).trim(), "Mains" | "USB"))
        .map(|path| read(path.join("online")).trim() == "1")
        .collect();
    mains.is_empty() || mains.contains(&true)
}

/// `found` against a comparison: `<`, `<=`, `=`, `>=`, `>` and what it is compared to; without one of them, at least that.
/// Versions are compared number by number, other words for equality.
fn compare(asked: &str, found: &str) -> bool {
    let (operator, asked) = split_operator(asked);
    let numbers = |text: &str| -> Vec<u64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (head, _) = text.split_at(end);
        let parts = head.split('.').map_while(|part| part.parse().ok());
        let mut parts: Vec<u64> = parts.collect();
        // 6.0 is 6.
        while parts.last() == Some(&0) && parts.len() > 1 {
            parts.pop();
        }
        parts
    };
    let (left, right) = (numbers(found), numbers(asked));
    if left.is_empty() || right.is_empty() {
        return operator == "=" && found == asked;
    }
    match operator {
        "<" => left < right,
        "<=" => left <= right,
        "=" => left == right,
        ">" => left > right,
        _ => left >= right,
    }
}

fn split_operator(text: &str) -> (&str, &str) {
    for operator in ["<=", ">=", "<", "=", ">"] {
        if let Some(rest) = text.strip_prefix(operator) {
            return (operator, rest.trim());
        }
    }
    ("", text)
}

/// `ID=debian` in the text of an `os-release(5)`.
fn release_says(text: &str, asked: &str) -> bool {
    let Some(end) = asked.find(['<', '=', '>']) else {
        return false;
    };
    let (key, comparison) = asked.split_at(end);
    let found = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name == key.trim()).then(|| value.trim().trim_matches(['"', '\'']))
    });
    found.is_some_and(|found| compare(comparison, found))
}

/// Something fits an absolute pattern.
fn fits(pattern: &str) -> bool {
    let mut places = vec![PathBuf::from("/")];
    let mut left = NAMES;
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?']) {
            for place in &mut places {
                place.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for place in &places {
            let Ok(all) = fs::read_dir(place) else {
                continue;
            };
            for entry in all.flatten() {
                left = left.saturating_sub(1);
                if left == 0 {
                    return false;
                }
                let name = entry.file_name();
                let name = name.as_encoded_bytes();
                let hidden = name.starts_with(b".") && !part.starts_with('.');
                if !hidden && name_fits(part.as_bytes(), name) {
                    next.push(entry.path());
                }
            }
        }
        places = next;
    }
    places.iter().any(|place| crate::fs::exists_at(CWD, place))
}

/// A name against a pattern; the last `*` is tried anew, which is enough.
fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at = at.saturating_add(1);
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                (at, from) = (at.saturating_add(1), from.saturating_add(1));
            }
            _ => match &mut star {
                Some((place, start)) => {
                    *start = start.saturating_add(1);
                    (at, from) = (place.saturating_add(1), *start);
                }
                None => return false,
            },
        }
    }
    let rest = pattern.get(at..).unwrap_or_default();
    rest.iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_numbers_are_compared_as_such_and_words_for_equality() {
        for (asked, found, holds) in [
            (">=6.1", "6.12.57+deb13-amd64", true),
            (">=6.1", "6.1", true),
            ("<6.2", "6.12.57", false),
            ("6.0", "6", true),
            ("=6", "6.0", true),
            (">2", "2", false),
            ("<=2", "2", true),
            ("=debian", "debian", true),
            ("=debian", "debian2", false),
            (">=debian", "debian", false),
            ("", "6", false),
        ] {
            assert_eq!(compare(asked, found), holds, "{found} {asked}");
        }
        let text = "ID=debian\nVERSION_ID=\"12\"\nNAME='x y'\n";
        for (asked, holds) in [
            ("ID=debian", true),
            ("VERSION_ID>=11", true),
            ("VERSION_ID<12", false),
            ("NAME=x y", true),
            ("ID", false),
            ("VARIANT=x", false),
        ] {
            assert_eq!(release_says(text, asked), holds, "{asked}");
        }
    }

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, holds) in [
            ("*", "", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("?b*", "ab", true),
            ("?b", "b", false),
            ("**x", "aax", true),
            ("*a*b*a*b*c", &*"ab".repeat(50), false),
        ] {
            assert_eq!(
                name_fits(pattern.as_bytes(), name.as_bytes()),
                holds,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn paths_are_what_they_are() {
        let folder = std::env::temp_dir().join(format!("sys-probe-{}", std::process::id()));
        fs::create_dir_all(folder.join("empty")).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        fs::write(folder.join("nothing"), "").unwrap();
        fs::set_permissions(folder.join("file"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("link")).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        for (probe, name, is) in [
            (Probe::PathExists, "file", true),
            (Probe::PathExists, "link", false),
            (Probe::PathGlob, "f?l*", true),
            (Probe::PathGlob, "*/x", false),
            (Probe::PathIsDir, "empty", true),
            (Probe::PathIsDir, "file", false),
            (Probe::PathIsSymlink, "link", true),
            (Probe::PathIsMount, "empty", false),
            (Probe::PathIsRw, "empty", true),
            (Probe::DirNotEmpty, "empty", false),
            (Probe::DirNotEmpty, ".", true),
            (Probe::FileNotEmpty, "file", true),
            (Probe::FileNotEmpty, "nothing", false),
            (Probe::FileNotEmpty, "empty", false),
            (Probe::FileIsExecutable, "file", true),
            (Probe::FileIsExecutable, "nothing", false),
        ] {
            assert_eq!(holds(probe, &at(name)), is, "{probe:?} {name}");
        }
        assert!(holds(Probe::PathIsMount, "/proc"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_machine_without_a_word_about_it_has_power() {
        let folder = std::env::temp_dir().join(format!("sys-power-{}", std::process::id()));
        assert!(has_power(&folder));
        let supply = |name: &str, kind: &str, online: &str| {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("type"), kind).unwrap();
            fs::write(folder.join(name).join("online"), online).unwrap();
        };
        supply("BAT0", "Battery\n", "1\n");
        assert!(has_power(&folder));
        supply("AC", "Mains\n", "0\n");
        assert!(!has_power(&folder));
        supply("USB", "USB\n", "1\n");
        assert!(has_power(&folder));
        fs::remove_dir_all(folder).unwrap();
    }
}

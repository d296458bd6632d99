//! The first steps of PID 1: file systems, names, the machine's id. After our boot stage most of it is there already.

use sys::mount::{self, Attributes};

/// A file system every system has.
struct Api {
    kind: &'static str,
    target: &'static str,
    attributes: Attributes,
    data: &'static str,
    /// Something that is only there once it is mounted.
    sign: &'static str,
}

const QUIET: Attributes = Attributes::NO_SUID.and(Attributes::NO_DEV);
const API: [Api; 6] = [
    Api {
        kind: "proc",
        target: "/proc",
        attributes: QUIET.and(Attributes::NO_EXEC),
        data: "",
        sign: "/proc/self/stat",
    },
    Api {
        kind: "sysfs",
        target: "/sys",
        attributes: QUIET.and(Attributes::NO_EXEC),
        data: "",
        sign: "/sys/kernel",
    },
    Api {
        kind: "devtmpfs",
        target: "/dev",
        attributes: Attributes::NO_SUID,
        data: "mode=0755",
        sign: "/dev/null",
    },
    Api {
        kind: "tmpfs",
        target: "/run",
        attributes: QUIET,
        data: "mode=0755,size=20%",
        sign: "",
    },
    Api {
        kind: "devpts",
        target: "/dev/pts",
        attributes: Attributes::NO_SUID.and(Attributes::NO_EXEC),
        data: "mode=0620,gid=5,ptmxmode=0666",
        sign: "/dev/pts/ptmx",
    },
    Api {
        kind: "tmpfs",
        target: "/dev/shm",
        attributes: QUIET,
        data: "mode=1777",
        sign: "",
    },
];

/// Mounts what is not mounted. What cannot be mounted is told; the boot goes on.
pub(crate) fn mounts(problems: &mut Vec<String>) {
    let mut table = Vec::new();
    for api in API {
        let there = match api.sign {
            // An empty memory file system has no sign: only the table tells. It is readable by now.
            "" => {
                if table.is_empty() {
                    table = sys::mountinfo::read().unwrap_or_default();
                }
                sys::mountinfo::at(&table, api.target).is_some()
            }
            sign => std::path::Path::new(sign).exists(),
        };
        if there {
            continue;
        }
        std::fs::create_dir_all(api.target).ok();
        if let Err(error) = mount::mount(api.kind, api.target, api.attributes, api.data) {
            problems.push(sys::chain(&error));
        }
    }
    // Links that programs take for granted (fd(4)).
    for (target, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("fd/0", "/dev/stdin"),
        ("fd/1", "/dev/stdout"),
        ("fd/2", "/dev/stderr"),
    ] {
        // They are usually there.
        std::os::unix::fs::symlink(target, link).ok();
    }
}

/// Our own folders below `/run`.
pub(crate) fn folders(problems: &mut Vec<String>) {
    for (path, mode) in [
        (rootspec::paths::run::RINIT, 0o755),
        (crate::hands::NOTIFY_DIR, 0o711),
        (crate::hands::PID_DIR, 0o700),
    ] {
        if let Err(error) = sys::fs::make_dir(path, mode) {
            problems.push(sys::chain(&error));
        }
    }
}

/// Sets the host name from `/etc/hostname`.
pub(crate) fn hostname(problems: &mut Vec<String>) {
    let Ok(text) = sys::fs::read_text("/etc/hostname", 4096) else {
        return;
    };
    if let Some(name) = first_word(&text) {
        if let Err(error) = sys::namespace::set_host_name(name) {
            problems.push(sys::chain(&error));
        }
    }
}

fn first_word(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim);
    lines
        .into_iter()
        .find(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Makes `/etc/machine-id` where it is missing or empty, and `/etc` can be written (machine-id(5)).
pub(crate) fn machine_id() {
    const PATH: &str = "/etc/machine-id";
    let found = sys::fs::read_text(PATH, 4096).unwrap_or_default();
    if !found.trim().is_empty() && found.trim() != "uninitialized" {
        return;
    }
    let Ok(random) = sys::fs::read_text("/proc/sys/kernel/random/uuid", 64) else {
        return;
    };
    let id = random.replace('-', "");
    // On a read-only root there is nothing to be done here, and nothing to be said on each boot.
    std::fs::write(PATH, id.trim().to_owned() + "\n").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_is_the_first_line_that_is_no_comment() {
        assert_eq!(first_word("# a\n\n  web-1 \n"), Some("web-1"));
        assert_eq!(first_word("\n#x\n"), None);
    }
}

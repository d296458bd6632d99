//! File systems and swap areas: what `rinit-helper mount` is told to do, as words, and what options of mount(8) mean.
//!
//! The compiler writes the words into the plan; a process of the unit reads them, so PID 1 has nothing to do with them.

use std::collections::BTreeSet;

/// The role's word on the command line of `rinit-helper`.
pub const ROLE: &str = "mount";
/// The first word of such a command line. No program is looked for by it: PID 1 holds the one that is meant.
pub const PROGRAM: &str = "rinit-helper";

/// One piece of work. Times are milliseconds; `u64::MAX` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chore {
    /// Mounts a file system.
    Mount(Mount),
    /// Takes a mount away.
    Unmount {
        /// Where it is.
        at: String,
        /// How.
        how: Leave,
        /// How long it may be in use.
        timeout: u64,
    },
    /// Swaps to an area.
    SwapOn {
        /// Device or file.
        what: String,
        /// Areas of higher priority are filled first; absent: the kernel's choice.
        priority: Option<u16>,
        /// Options of swapon(8).
        options: Vec<String>,
        /// How long to wait for the device.
        timeout: u64,
    },
    /// Swaps to it no longer.
    SwapOff {
        /// Device or file.
        what: String,
    },
    /// Waits until all of these are there.
    Await {
        /// Paths of devices.
        devices: Vec<String>,
        /// How long.
        timeout: u64,
    },
}

/// How a mount is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// When nobody uses it.
    Free,
    /// Out of sight at once, gone with its last user.
    Lazy,
    /// Though a server does not answer.
    Force,
}

const LEAVES: [(Leave, &str); 3] = [
    (Leave::Free, "free"),
    (Leave::Lazy, "lazy"),
    (Leave::Force, "force"),
];

/// A file system and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Device, folder, file, or what the type wants.
    pub what: String,
    /// The place.
    pub at: String,
    /// Type; `auto`: what is found on the device.
    pub kind: String,
    /// Options of mount(8).
    pub options: Vec<String>,
    /// Whether it is checked first.
    pub fsck: Fsck,
    /// A read-only device is a failure.
    pub rw_only: bool,
    /// Permissions of the place, if it has to be made.
    pub mkdir_mode: u32,
    /// Further devices that must be there.
    pub devices: Vec<String>,
    /// How long to wait for devices.
    pub device_timeout: u64,
    /// How long the mounting itself may take.
    pub timeout: u64,
}

/// Whether a file system is checked before it is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsck {
    /// Never.
    No,
    /// If there is a checker for it that is made for that.
    #[default]
    Auto,
    /// It must be checked; what is marked clean passes at once.
    Preen,
    /// The same, from end to end.
    Force,
}

const FSCKS: [(Fsck, &str); 4] = [
    (Fsck::No, "no"),
    (Fsck::Auto, "auto"),
    (Fsck::Preen, "preen"),
    (Fsck::Force, "force"),
];

impl Chore {
    /// The command line that does it.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        let mut argv = vec![PROGRAM.to_owned(), ROLE.to_owned()];
        let mut say = |key: &str, value: &str| argv.push(format!("{key}={value}"));
        match self {
            Self::Mount(mount) => {
                say("do", "mount");
                say("what", &mount.what);
                say("at", &mount.at);
                say("type", &mount.kind);
                for option in &mount.options {
                    say("option", option);
                }
                let fsck = FSCKS.iter().find(|(known, _)| *known == mount.fsck);
                say("fsck", fsck.map_or("auto", |(_, word)| word));
                if mount.rw_only {
                    say("rw_only", "");
                }
                say("mode", &mount.mkdir_mode.to_string());
                for device in &mount.devices {
                    say("device", device);
                }
                say("device_timeout", &mount.device_timeout.to_string());
                say("timeout", &mount.timeout.to_string());
            }
            Self::Unmount { at, how, timeout } => {
                say("do", "unmount");
                say("at", at);
                let how = LEAVES.iter().find(|(known, _)| known == how);
                say("how", how.map_or("free", |(_, word)| word));
                say("timeout", &timeout.to_string());
            }
            Self::SwapOn {
                what,
                priority,
                options,
                timeout,
            } => {
                say("do", "swapon");
                say("what", what);
                if let Some(priority) = priority {
                    say("priority", &priority.to_string());
                }
                for option in options {
                    say("option", option);
                }
                say("timeout", &timeout.to_string());
            }
            Self::SwapOff { what } => {
                say("do", "swapoff");
                say("what", what);
            }
            Self::Await { devices, timeout } => {
                say("do", "await");
                for device in devices {
                    say("device", device);
                }
                say("timeout", &timeout.to_string());
            }
        }
        argv
    }

    /// The way back, from the words behind program and role. `None`: they make no sense.
    #[must_use]
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut said: Vec<(&str, &str)> = Vec::new();
        for word in words {
            said.push(word.split_once('=')?);
        }
        let one = |key: &str| said.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        let text = |key: &str| one(key).map(str::to_owned);
        let all = |key: &str| -> Vec<String> {
            let found = said.iter().filter(|(k, _)| *k == key);
            found.map(|(_, value)| (*value).to_owned()).collect()
        };
        let millis = |key: &str| one(key)?.parse::<u64>().ok();
        Some(match one("do")? {
            "mount" => Self::Mount(Mount {
                what: text("what")?,
                at: text("at")?,
                kind: text("type")?,
                options: all("option"),
                fsck: FSCKS.iter().find(|(_, word)| one("fsck") == Some(word))?.0,
                rw_only: one("rw_only").is_some(),
                mkdir_mode: one("mode")?.parse().ok()?,
                devices: all("device"),
                device_timeout: millis("device_timeout")?,
                timeout: millis("timeout")?,
            }),
            "unmount" => Self::Unmount {
                at: text("at")?,
                how: LEAVES.iter().find(|(_, word)| one("how") == Some(word))?.0,
                timeout: millis("timeout")?,
            },
            "swapon" => Self::SwapOn {
                what: text("what")?,
                priority: match one("priority") {
                    Some(number) => Some(number.parse().ok()?),
                    None => None,
                },
                options: all("option"),
                timeout: millis("timeout")?,
            },
            "swapoff" => Self::SwapOff {
                what: text("what")?,
            },
            "await" => Self::Await {
                devices: all("device"),
                timeout: millis("timeout")?,
            },
            _ => return None,
        })
    }
}

/// What a process of the role reads, if a command line is one of these.
#[must_use]
pub fn errand(argv: &[String]) -> Option<Vec<u8>> {
    match argv {
        [program, role, words @ ..] if program == PROGRAM && role == ROLE => {
            Some(words.join("\0").into_bytes())
        }
        _ => None,
    }
}

/// Tags of devices, and the folder below `/dev/disk` in which udev names devices by them.
const TAGS: [(&str, &str); 5] = [
    ("LABEL", "by-label"),
    ("UUID", "by-uuid"),
    ("PARTLABEL", "by-partlabel"),
    ("PARTUUID", "by-partuuid"),
    ("ID", "by-id"),
];

/// The path of what is meant: a tag such as `LABEL=data` as the link that udev makes for it, anything else as it is.
#[must_use]
pub fn path_of(what: &str) -> String {
    let tag = what.split_once('=').and_then(|(tag, value)| {
        let (tag, folder) = TAGS.iter().find(|(known, _)| *known == tag)?;
        Some((*tag, folder, value))
    });
    let Some((tag, folder, value)) = tag else {
        return what.to_owned();
    };
    let value = value.trim_matches(['"', '\'']);
    // blkid(8) shows these in small letters, and so do the links.
    let value = match tag {
        "PARTUUID" => value.to_ascii_lowercase(),
        _ => value.to_owned(),
    };
    format!("/dev/disk/{folder}/{}", encoded(&value))
}

/// As udev writes names in links: what could be misread as `\xNN`.
fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii() || c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) {
            name.push(c);
        } else {
            name.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
    }
    name
}

/// Whether this is a device that may have to be waited for.
#[must_use]
pub fn is_device(path: &str) -> bool {
    path.starts_with("/dev/")
}

/// What the words behind `-o` of mount(8) mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning<'a> {
    /// Properties of the mount, in mount(8)'s words: `ro`, `nosuid`, `nodev`, `noexec`, `nosymfollow`, `noatime`,
    /// `nodiratime`, `strictatime`.
    pub attributes: BTreeSet<&'static str>,
    /// A folder or file appears a second time; with what is mounted below it.
    pub bind: Option<Whole>,
    /// How mount events travel, in mount(8)'s words.
    pub propagation: Option<&'a str>,
    /// What only mount(8) can do.
    pub helper: bool,
    /// For the file system.
    pub rest: Vec<(&'a str, Option<&'a str>)>,
}

/// Whether a bound folder brings along what is mounted below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// No.
    One,
    /// Yes.
    Tree,
}

/// Pairs of opposite words; the first one sets the property.
const PAIRS: [(&str, &str); 5] = [
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("nosymfollow", "symfollow"),
];
/// Of these the last one counts.
const TIMES: [&str; 3] = ["noatime", "strictatime", "relatime"];
/// Words that say who, when and by whom, not how.
const MEANINGLESS: [&str; 11] = [
    "defaults", "auto", "noauto", "nofail", "_netdev", "nouser", "nousers", "diratime", "atime",
    "silent", "loud",
];
/// How mount events travel (mount_namespaces(7)).
const PROPAGATIONS: [&str; 8] = [
    "private",
    "shared",
    "slave",
    "unbindable",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
];

/// What options mean. Of opposites the last one counts.
#[must_use]
pub fn meaning<'a>(options: impl IntoIterator<Item = &'a str>) -> Meaning<'a> {
    let mut found = Meaning::default();
    for option in options {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (option, None),
        };
        match key {
            "" | "comment" => {}
            "bind" => found.bind = Some(Whole::One),
            "rbind" => found.bind = Some(Whole::Tree),
            "loop" | "offset" | "sizelimit" | "encryption" => found.helper = true,
            "user" | "users" => found.attributes.extend(["nosuid", "nodev", "noexec"]),
            "owner" | "group" => found.attributes.extend(["nosuid", "nodev"]),
            "nodiratime" => _ = found.attributes.insert("nodiratime"),
            _ if key.starts_with("x-") || key.starts_with("X-") => {}
            _ if value.is_none() && found.property(key) => {}
            _ if value.is_none() && MEANINGLESS.contains(&key) => {}
            _ if value.is_none() && PROPAGATIONS.contains(&key) => found.propagation = Some(key),
            _ => found.rest.push((key, value)),
        }
    }
    found
}

impl Meaning<'_> {
    /// Takes a word about a property; false: it is none.
    fn property(&mut self, word: &str) -> bool {
        if let Some(time) = TIMES.iter().find(|known| **known == word) {
            self.attributes.retain(|known| !TIMES.contains(known));
            // This is what the kernel does by itself.
            self.attributes
                .extend([*time].into_iter().filter(|time| *time != "relatime"));
            return true;
        }
        for (set, unset) in PAIRS {
            if word == set {
                self.attributes.insert(set);
                return true;
            }
            if word == unset {
                self.attributes.remove(set);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount() -> Mount {
        Mount {
            what: "LABEL=my data".into(),
            at: "/srv/a=b".into(),
            kind: "ext4".into(),
            options: vec!["noatime".into(), "errors=remount-ro".into()],
            fsck: Fsck::Preen,
            rw_only: true,
            mkdir_mode: 0o755,
            devices: vec!["/dev/b".into()],
            device_timeout: 5,
            timeout: u64::MAX,
        }
    }

    #[test]
    fn work_arrives_as_it_was_written() {
        let all = [
            Chore::Mount(mount()),
            Chore::Unmount {
                at: "/srv".into(),
                how: Leave::Lazy,
                timeout: 7,
            },
            Chore::SwapOn {
                what: "/swap".into(),
                priority: Some(7),
                options: vec!["discard=once".into()],
                timeout: 1,
            },
            Chore::SwapOff {
                what: "/swap".into(),
            },
            Chore::Await {
                devices: vec!["/dev/a".into(), "/dev/b".into()],
                timeout: 9,
            },
        ];
        for chore in all {
            let argv = chore.argv();
            assert_eq!(argv[..2], [PROGRAM, ROLE]);
            let words = argv.iter().skip(2).map(String::as_str);
            assert_eq!(Chore::from_words(words), Some(chore));
        }
        for words in [&["do=mount"][..], &["do=dance"], &["what"], &[]] {
            assert_eq!(Chore::from_words(words.iter().copied()), None, "{words:?}");
        }
    }

    #[test]
    fn tags_become_the_links_that_udev_makes() {
        for (what, path) in [
            ("LABEL=data", "/dev/disk/by-label/data"),
            ("LABEL=\"my data\"", "/dev/disk/by-label/my\\x20data"),
            ("LABEL=a/b", "/dev/disk/by-label/a\\x2fb"),
            ("UUID=ABCD-1234", "/dev/disk/by-uuid/ABCD-1234"),
            ("PARTUUID=AB-01", "/dev/disk/by-partuuid/ab-01"),
            ("/dev/vda1", "/dev/vda1"),
            ("server:/export=1", "server:/export=1"),
            ("tmpfs", "tmpfs"),
        ] {
            assert_eq!(path_of(what), path);
        }
    }

    #[test]
    fn of_opposite_options_the_last_one_counts_and_the_rest_is_the_file_systems() {
        let words = "defaults,ro,noatime,users,exec,x-systemd.automount,relatime,size=10M,rw,discard,rshared,nofail";
        let found = meaning(words.split(','));
        assert_eq!(found.attributes, BTreeSet::from(["nodev", "nosuid"]));
        assert_eq!(found.rest, [("size", Some("10M")), ("discard", None)]);
        assert_eq!((found.propagation, found.bind), (Some("rshared"), None));
        assert_eq!(meaning(["rbind"]).bind, Some(Whole::Tree));
        assert!(meaning(["loop"]).helper);
    }
}

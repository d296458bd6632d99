//! `[sandbox]`: what a unit's processes may see and do.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::attributes::{MaybePath, told_value};
use super::syscalls::Calls;
use crate::nearest::unknown;
use crate::toml_value;

/// `[sandbox]`. What is not said is taken from the profile, and is open where that says nothing either.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// The set of values to begin with.
    pub profile: Profile,
    /// Programs with set-user-id or capabilities of their own gain nothing.
    pub no_new_privs: Option<bool>,
    /// Capabilities it can ever have.
    pub caps: Option<Caps>,
    /// Capabilities it has although it is not root.
    pub ambient: Option<Vec<Capability>>,
    /// Bits of capabilities(7).
    pub securebits: Option<Vec<SecureBit>>,
    /// What it has for itself.
    pub private: Option<Vec<Private>>,
    /// How much of the system it can write to.
    pub system: Option<System>,
    /// What it sees of people's files.
    pub home: Option<Home>,
    /// Parts of the kernel it cannot change.
    pub protect: Option<Vec<Protect>>,
    /// Paths that appear elsewhere.
    pub bind: Option<Vec<Bind>>,
    /// The same, read-only.
    pub bind_ro: Option<Vec<Bind>>,
    /// Empty folders in memory.
    pub tmpfs: Option<Vec<Tmpfs>>,
    /// Paths that stay writable.
    pub rw: Option<Vec<MaybePath>>,
    /// Paths it can only read.
    pub ro: Option<Vec<MaybePath>>,
    /// Paths it cannot see into.
    pub hidden: Option<Vec<MaybePath>>,
    /// The system calls it may make.
    pub seccomp: Option<Seccomp>,
}

/// `[sandbox.seccomp]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seccomp {
    /// Only these, and what every process needs.
    pub allow: Option<Vec<Calls>>,
    /// All but these, or all that are allowed but these.
    pub deny: Vec<Calls>,
    /// What a refused call gets.
    pub errno: Refusal,
    /// Refused calls are noted in the kernel's log.
    pub log: bool,
}

/// Text of the profiles, as a unit file would say it.
const BASE: &str = include_str!("profiles/base.toml");
const STRICT: &str = include_str!("profiles/strict.toml");

impl Sandbox {
    /// With the profile's values where the file says nothing.
    pub(crate) fn complete(&self) -> Self {
        let text = match self.profile {
            Profile::None => return self.clone(),
            Profile::Base => BASE,
            Profile::Strict => STRICT,
        };
        // A test holds both texts against the schema.
        let base: Self = toml_value::from_text(text).unwrap_or_default();
        Self {
            profile: Profile::None,
            no_new_privs: self.no_new_privs.or(base.no_new_privs),
            caps: self.caps.or(base.caps),
            ambient: self.ambient.clone().or(base.ambient),
            securebits: self.securebits.clone().or(base.securebits),
            private: self.private.clone().or(base.private),
            system: self.system.or(base.system),
            home: self.home.or(base.home),
            protect: self.protect.clone().or(base.protect),
            bind: self.bind.clone().or(base.bind),
            bind_ro: self.bind_ro.clone().or(base.bind_ro),
            tmpfs: self.tmpfs.clone().or(base.tmpfs),
            rw: self.rw.clone().or(base.rw),
            ro: self.ro.clone().or(base.ro),
            hidden: self.hidden.clone().or(base.hidden),
            seccomp: self.seccomp.clone().or(base.seccomp),
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$inner:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$inner])* $variant,)*
        }

        impl $name {
            fn read(text: &str) -> Result<Self, String> {
                const WORDS: &[&str] = &[$($word),*];
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(unknown($what, text, WORDS, &format!("known here: {}", WORDS.join(", ")))),
                }
            }
        }

        told_value!($name, $name::read);
    };
}

words!(
    /// A named set of values.
    Profile, "profile", {
    /// Nothing.
    None = "none",
    /// What nearly every service can live with.
    Base = "base",
    /// What a service needs that only computes and talks to the network.
    Strict = "strict",
});

#[expect(clippy::derivable_impls, reason = "the macro makes the enum")]
impl Default for Profile {
    fn default() -> Self {
        Self::None
    }
}

words!(
    /// Something a process has for itself.
    Private, "private thing", {
    /// `/tmp` and `/var/tmp`.
    Tmp = "tmp",
    /// `/dev` with the usual harmless nodes.
    Devices = "devices",
    /// The network: a loopback device only.
    Net = "net",
    /// System V IPC and POSIX message queues.
    Ipc = "ipc",
    /// Process ids.
    Pids = "pids",
    /// Mounts.
    Mounts = "mounts",
});

words!(
    /// How much of the system is read-only.
    System, "value", {
    /// Nothing.
    Off = "off",
    /// `/usr` and what boots.
    Usr = "usr",
    /// `/etc` too.
    Full = "full",
    /// Everything.
    Strict = "strict",
});

words!(
    /// What is seen of people's files.
    Home, "value", {
    /// All.
    Off = "off",
    /// They can be read.
    Ro = "ro",
    /// Nothing.
    Hide = "hide",
    /// Empty folders that can be written to.
    Tmpfs = "tmpfs",
});

words!(
    /// A part of the kernel.
    Protect, "part of the kernel", {
    /// The host name.
    Hostname = "hostname",
    /// The clocks.
    Clock = "clock",
    /// `/proc/sys`, `/sys` and the like.
    Tunables = "tunables",
    /// Its modules.
    Modules = "modules",
    /// Its log.
    Klog = "klog",
    /// The tree of cgroups.
    Cgroups = "cgroups",
});

words!(
    /// A bit of capabilities(7), "The securebits flags".
    SecureBit, "secure bit", {
    /// Being root gives no capabilities.
    NoRoot = "noroot",
    /// For good.
    NoRootLocked = "noroot-locked",
    /// Changing the user takes none away.
    NoSetuidFixup = "no-setuid-fixup",
    /// For good.
    NoSetuidFixupLocked = "no-setuid-fixup-locked",
    /// Capabilities are kept when root is given up.
    KeepCaps = "keep-caps",
    /// For good.
    KeepCapsLocked = "keep-caps-locked",
});

impl SecureBit {
    /// Its bit (`linux/securebits.h`).
    pub(crate) fn bit(self) -> u32 {
        match self {
            Self::NoRoot => 1,
            Self::NoRootLocked => 1 << 1,
            Self::NoSetuidFixup => 1 << 2,
            Self::NoSetuidFixupLocked => 1 << 3,
            Self::KeepCaps => 1 << 4,
            Self::KeepCapsLocked => 1 << 5,
        }
    }
}

/// Capabilities by number, without `CAP_` (`linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A capability by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(pub u8);

impl Capability {
    fn read(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let found = (0..).zip(CAPABILITIES).find(|(_, known)| *known == name);
        found.map(|(number, _)| Self(number)).ok_or_else(|| {
            let known = CAPABILITIES.map(|known| format!("CAP_{known}"));
            let known = known.each_ref().map(String::as_str);
            let word = format!("CAP_{name}");
            unknown("capability", &word, &known, "see capabilities(7)")
        })
    }

    /// The number of a capability that we know by name.
    pub(crate) fn mask(name: &str) -> u64 {
        Self::read(name).map_or(0, |capability| 1 << capability.0)
    }
}
told_value!(Capability, Capability::read);

/// A set of capabilities; [`Caps::ALL`] holds those too that we do not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps(pub u64);

impl Caps {
    /// All there are.
    pub const ALL: Self = Self(u64::MAX);
}

impl<'de> Deserialize<'de> for Caps {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct CapsVisitor;

        impl<'de> Visitor<'de> for CapsVisitor {
            type Value = Caps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of capabilities")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Caps, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                (text == "all").then_some(Caps::ALL).ok_or_else(wrong)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Caps, A::Error> {
                let mut mask = 0;
                while let Some(capability) = seq.next_element::<Capability>()? {
                    mask |= 1 << capability.0;
                }
                Ok(Caps(mask))
            }
        }

        from.deserialize_any(CapsVisitor)
    }
}

/// `FROM` or `FROM:AT`, with a `-` in front if `FROM` may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// What appears.
    pub from: MaybePath,
    /// Where.
    pub at: String,
}

impl Bind {
    fn read(text: &str) -> Result<Self, String> {
        let (from, at) = text
            .split_once(':')
            .map_or((text, None), |(from, at)| (from, Some(at)));
        let from = MaybePath::read(from)?;
        let at = match at {
            Some(at) => MaybePath::read(at)?,
            None => from.clone(),
        };
        if at.path == "/" {
            return Err("\"/\" cannot be covered: name a folder below it".to_owned());
        }
        Ok(Self { from, at: at.path })
    }
}
told_value!(Bind, Bind::read);

/// `PATH` or `PATH:SIZE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where.
    pub at: MaybePath,
    /// Its size in bytes; absent: half of the memory, the kernel's default.
    pub size: Option<u64>,
}

impl Tmpfs {
    fn read(text: &str) -> Result<Self, String> {
        let (path, size) = match text.split_once(':') {
            None => (text, None),
            Some((path, size)) => {
                let bytes = super::value::parse_size(size).filter(|bytes| *bytes > 0);
                let wrong =
                    || format!("expected a size such as \"64M\" behind the colon, found {size:?}");
                (path, Some(bytes.ok_or_else(wrong)?))
            }
        };
        let at = MaybePath::read(path)?;
        if at.path == "/" {
            return Err("\"/\" cannot be covered: name a folder below it".to_owned());
        }
        Ok(Self { at, size })
    }
}
told_value!(Tmpfs, Tmpfs::read);

/// What a refused system call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This error number.
    Error(u16),
    /// The end of its process.
    Kill,
}

impl Default for Refusal {
    fn default() -> Self {
        Self::Error(EPERM)
    }
}

const EPERM: u16 = 1;

/// Errors that programs understand as "not here" (`asm-generic/errno.h`).
const ERRORS: [(&str, u16); 10] = [
    ("EPERM", EPERM),
    ("ENOENT", 2),
    ("EIO", 5),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EBUSY", 16),
    ("EINVAL", 22),
    ("ENOSYS", 38),
    ("EAFNOSUPPORT", 97),
];

impl Refusal {
    fn read(text: &str) -> Result<Self, String> {
        if text == "kill" {
            return Ok(Self::Kill);
        }
        let number = text
            .parse()
            .ok()
            .filter(|number| (1..4096).contains(number));
        let named = ERRORS.iter().find(|(name, _)| *name == text);
        let found = named.map(|(_, number)| *number).or(number);
        found.map(Self::Error).ok_or_else(|| {
            let mut known: Vec<&str> = ERRORS.iter().map(|(name, _)| *name).collect();
            known.push("kill");
            let list = format!("known here: {}, and numbers of errors", known.join(", "));
            unknown("error", text, &known, &list)
        })
    }
}
told_value!(Refusal, Refusal::read);

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(line: &str) -> String {
        let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[sandbox]\n{line}\n");
        let wrong = crate::units::parse("a.toml", &text).expect_err(line);
        let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        all.join("\n")
    }

    #[test]
    fn an_unknown_name_gets_a_caret_and_the_one_that_was_meant() {
        assert_eq!(
            complaint("caps = [\"CAP_CHOWN\", \"CAP_SYS_ADMN\"]"),
            "a.toml:5:22: unknown capability \"CAP_SYS_ADMN\", did you mean \"CAP_SYS_ADMIN\"?\n    5 | caps = [\"CAP_CHOWN\", \"CAP_SYS_ADMN\"]\n      |                      ^^^^^^^^^^^^^^"
        );
        for (line, words) in [
            ("ambient = [\"net_raww\"]", "did you mean \"CAP_NET_RAW\"?"),
            ("private = [\"temp\"]", "did you mean \"tmp\"?"),
            ("protect = [\"module\"]", "did you mean \"modules\"?"),
            (
                "system = \"everything\"",
                "known here: off, usr, full, strict",
            ),
            ("home = \"hidden\"", "did you mean \"hide\"?"),
            ("securebits = [\"no-root\"]", "did you mean \"noroot\"?"),
            ("profile = \"basic\"", "did you mean \"base\"?"),
            ("caps = \"some\"", "\"all\" or a list of capabilities"),
            ("rw = [\"srv\"]", "absolute path"),
            ("bind = [\"/a:/\"]", "cannot be covered"),
            ("tmpfs = [\"/a:big\"]", "a size"),
            ("hiden = []", "did you mean \"hidden\"?"),
            (
                "[sandbox.seccomp]\nallow = [\"opennat\"]",
                "did you mean \"openat\"?",
            ),
            (
                "[sandbox.seccomp]\ndeny = [\"@modules\"]",
                "did you mean \"@module\"?",
            ),
            (
                "[sandbox.seccomp]\nerrno = \"EPREM\"",
                "did you mean \"EPERM\"?",
            ),
        ] {
            let shown = complaint(line);
            assert!(
                shown.contains(words) && shown.contains('^'),
                "{line}\n{shown}"
            );
        }
    }

    #[test]
    fn the_profiles_are_valid_and_what_a_unit_says_itself_counts_more() {
        for text in [BASE, STRICT] {
            let read: Result<Sandbox, _> = toml::from_str(text);
            assert!(read.is_ok(), "{read:?}");
        }
        let own: Sandbox =
            toml::from_str("profile = \"strict\"\nhome = \"ro\"\nprivate = []\n").unwrap();
        let all = own.complete();
        assert_eq!((all.home, all.private), (Some(Home::Ro), Some(Vec::new())));
        assert_eq!(all.system, Some(System::Strict));
    }

    #[test]
    fn the_profiles_are_documented_as_they_are() {
        let page = include_str!("../../../docs/units.md");
        for text in [BASE, STRICT] {
            let body: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(page.contains(&body.join("\n")), "{text}");
        }
    }
}

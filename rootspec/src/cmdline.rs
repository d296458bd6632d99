//! The kernel command line: what the boot stage understands, and how menus write it.
//!
//! Unknown `rootctl.*` words are warnings, never failures: an older boot stage must boot a newer entry.

use std::fmt;
use std::str::FromStr;

use crate::limine::MenuPlace;
use crate::{SnapshotId, SnapshotName};

/// Seconds to wait for the root device when the command line does not say.
pub const DEFAULT_WAIT: u64 = 30;

/// What the boot stage is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdline {
    /// `root=`: where the store is.
    pub root: Option<RootDevice>,
    /// `rootctl.snap=`: which snapshot.
    pub snap: Option<SnapshotRequest>,
    /// `rootctl.mode=`; the default is [`Mode::Ro`].
    pub mode: Mode,
    /// `rootctl.etc=`
    pub etc: EtcPolicy,
    /// `rootctl.var=`
    pub var: VarPolicy,
    /// `rootctl.count=0` boots without counting the try.
    pub count: bool,
    /// `rootctl.disarm=`: the menu that started this trial by its default, to be put back on arrival.
    pub disarm: Option<MenuPlace>,
    /// `rootctl.trial`: this is the entry of a snapshot on trial, known before any disk is.
    pub trial: bool,
    /// `rootctl.wait=`: seconds to wait for the root device.
    pub wait: u64,
    /// `rootctl.rescue=`: what to do when nothing can be booted.
    pub rescue: Rescue,
    /// `rootctl.break=`: stop before this step and give a shell, if there is one.
    pub stop_before: Option<String>,
    /// `rootctl.degraded`: mount a btrfs with missing devices.
    pub degraded: bool,
    /// `rootctl.init=`, else `init=`: the program to hand over to.
    pub init: Option<String>,
    /// What was not understood, in words.
    pub warnings: Vec<String>,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootDevice {
    /// File system UUID, lower case.
    Uuid(String),
    /// File system label.
    Label(String),
    /// Partition UUID, lower case.
    PartUuid(String),
    /// Partition label.
    PartLabel(String),
    /// Device node.
    Path(String),
}

/// Which snapshot is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRequest {
    /// This one.
    Id(SnapshotId),
    /// The last confirmed good one.
    Good,
    /// The one that was good before.
    Previous,
}

/// How the root is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The read-only snapshot with the deployment's own `/etc`.
    Ro,
    /// The snapshot under a tmpfs overlay: all changes are gone after a reboot.
    Tmpfs {
        /// Size limit as tmpfs takes it (`50%`, `512M`).
        size: String,
    },
    /// A writable btrfs snapshot of the snapshot, made at first use.
    Persist(SnapshotName),
    /// The snapshot itself, writable.
    Rw,
    /// A squashfs or erofs image under a tmpfs overlay.
    Image,
}

/// Size limit of the tmpfs overlay when nobody says otherwise, in tmpfs' words.
pub const DEFAULT_TMPFS_SIZE: &str = "50%";

/// Which `/etc` a boot gets. Modes that make all of `/` writable have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtcPolicy {
    /// The deployment's own, merged at its first boot.
    Merge,
    /// As shipped in the snapshot.
    Factory,
    /// As shipped, with changes kept in memory.
    Tmpfs,
}

/// Which `/var` a boot gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VarPolicy {
    /// The shared subvolume.
    Shared,
    /// An empty one in memory.
    Tmpfs,
}

/// What happens when nothing can be booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescue {
    /// A shell, if the initramfs holds one.
    Shell,
    /// Another boot after the emergency screen was shown for a while.
    Reboot,
    /// Stand still.
    Halt,
}

impl Default for Cmdline {
    fn default() -> Self {
        Self {
            root: None,
            snap: None,
            mode: Mode::Ro,
            etc: EtcPolicy::Merge,
            var: VarPolicy::Shared,
            count: true,
            disarm: None,
            trial: false,
            wait: DEFAULT_WAIT,
            rescue: Rescue::Reboot,
            stop_before: None,
            degraded: false,
            init: None,
            warnings: Vec::new(),
        }
    }
}

impl Cmdline {
    /// Reads `/proc/cmdline`. Never fails: what is not understood becomes a warning and its default counts.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut line = Self::default();
        for word in words(text) {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word.as_str(), None),
            };
            if let Err(warning) = line.take(key, value) {
                line.warnings.push(warning);
            }
        }
        line
    }

    /// True when the menu says that this boot is a try, and nobody asked for it to go uncounted.
    #[must_use]
    pub fn is_counted_try(&self) -> bool {
        self.trial && self.count
    }

    fn take(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let need = || value.ok_or_else(|| format!("{key} needs a value"));
        let bad = |allowed: &str| {
            format!(
                "{key}={} is not understood: use {allowed}",
                value.unwrap_or_default()
            )
        };
        match key {
            "root" => self.root = Some(need()?.parse().unwrap_or_else(|never| match never {})),
            "init" if self.init.is_none() => self.init = Some(need()?.to_owned()),
            "rootctl.init" => self.init = Some(need()?.to_owned()),
            "rootctl.snap" => {
                self.snap = Some(
                    need()?
                        .parse()
                        .map_err(|()| bad("a number, good or previous"))?,
                );
            }
            "rootctl.mode" => {
                self.mode = need()?
                    .parse()
                    .map_err(|()| bad("ro, tmpfs[:size=50%], persist:NAME, rw or image"))?;
            }
            "rootctl.etc" => {
                self.etc = match need()? {
                    "merge" => EtcPolicy::Merge,
                    "factory" => EtcPolicy::Factory,
                    "tmpfs" => EtcPolicy::Tmpfs,
                    _ => return Err(bad("merge, factory or tmpfs")),
                };
            }
            "rootctl.var" => {
                self.var = match need()? {
                    "shared" => VarPolicy::Shared,
                    "tmpfs" => VarPolicy::Tmpfs,
                    _ => return Err(bad("shared or tmpfs")),
                };
            }
            "rootctl.count" => match need()? {
                "0" => self.count = false,
                "1" => self.count = true,
                _ => return Err(bad("0 or 1")),
            },
            "rootctl.disarm" => {
                let place = need()?.parse();
                self.disarm = Some(place.map_err(|_words: String| bad("PARTUUID:/FOLDER/FILE"))?);
            }
            "rootctl.trial" => self.trial = true,
            "rootctl.wait" => {
                self.wait = need()?.parse().map_err(|_digits| bad("whole seconds"))?;
            }
            "rootctl.rescue" => {
                self.rescue = match need()? {
                    "shell" => Rescue::Shell,
                    "reboot" => Rescue::Reboot,
                    "halt" => Rescue::Halt,
                    _ => return Err(bad("shell, reboot or halt")),
                };
            }
            "rootctl.break" => self.stop_before = Some(need()?.to_owned()),
            "rootctl.degraded" => self.degraded = true,
            _ if key.starts_with("rootctl.") => return Err(format!("{key} is not known here")),
            _ => {}
        }
        Ok(())
    }
}

/// Splits a command line as the kernel does: blanks separate, double quotes protect blanks and vanish.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_ascii_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

impl FromStr for RootDevice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unquoted = |value: &str| value.trim_matches('"').to_owned();
        Ok(match text.split_once('=') {
            Some(("UUID", value)) => Self::Uuid(unquoted(value).to_ascii_lowercase()),
            Some(("LABEL", value)) => Self::Label(unquoted(value)),
            Some(("PARTUUID", value)) => Self::PartUuid(unquoted(value).to_ascii_lowercase()),
            Some(("PARTLABEL", value)) => Self::PartLabel(unquoted(value)),
            _ => Self::Path(text.to_owned()),
        })
    }
}

impl fmt::Display for RootDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(value) => write!(f, "UUID={value}"),
            Self::Label(value) => write!(f, "LABEL={value}"),
            Self::PartUuid(value) => write!(f, "PARTUUID={value}"),
            Self::PartLabel(value) => write!(f, "PARTLABEL={value}"),
            Self::Path(value) => f.write_str(value),
        }
    }
}

impl FromStr for SnapshotRequest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "good" => Ok(Self::Good),
            "previous" => Ok(Self::Previous),
            number => number.parse().map(Self::Id).map_err(|_not_an_id| ()),
        }
    }
}

impl fmt::Display for SnapshotRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Good => f.write_str("good"),
            Self::Previous => f.write_str("previous"),
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest)),
            None => (text, None),
        };
        match (word, rest) {
            ("ro", None) => Ok(Self::Ro),
            ("rw", None) => Ok(Self::Rw),
            ("image", None) => Ok(Self::Image),
            ("tmpfs", None) => Ok(Self::Tmpfs {
                size: DEFAULT_TMPFS_SIZE.to_owned(),
            }),
            ("tmpfs", Some(options)) => match options.strip_prefix("size=") {
                Some(size) if is_tmpfs_size(size) => Ok(Self::Tmpfs {
                    size: size.to_owned(),
                }),
                _ => Err(()),
            },
            ("persist", Some(name)) => name.parse().map(Self::Persist).map_err(|_bad_name| ()),
            _ => Err(()),
        }
    }
}

/// Digits with one of `% k m g` behind them, as tmpfs(5) takes sizes.
fn is_tmpfs_size(text: &str) -> bool {
    let digits = text
        .strip_suffix(['%', 'k', 'K', 'm', 'M', 'g', 'G'])
        .unwrap_or(text);
    !digits.is_empty() && digits.len() < 16 && digits.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ro => f.write_str("ro"),
            Self::Tmpfs { size } if size == DEFAULT_TMPFS_SIZE => f.write_str("tmpfs"),
            Self::Tmpfs { size } => write!(f, "tmpfs:size={size}"),
            Self::Persist(name) => write!(f, "persist:{name}"),
            Self::Rw => f.write_str("rw"),
            Self::Image => f.write_str("image"),
        }
    }
}

/// The words of a boot entry for snapshot `id` on `root` in `mode`, with `extra` words behind them.
#[must_use]
pub fn render(root: &RootDevice, id: SnapshotId, mode: &Mode, extra: &str) -> String {
    let mut line = format!("root={root} rootctl.snap={id}");
    if *mode != Mode::Ro {
        line.push_str(&format!(" rootctl.mode={mode}"));
    }
    for word in extra.split_ascii_whitespace() {
        line.push(' ');
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_menus_write_is_what_the_boot_stage_reads() {
        let id = SnapshotId::new(7).unwrap();
        for mode in [
            "ro",
            "tmpfs",
            "tmpfs:size=512M",
            "persist:dev",
            "rw",
            "image",
        ] {
            let mode: Mode = mode.parse().unwrap();
            let root = RootDevice::Uuid("ab-cd".into());
            let line = Cmdline::parse(&render(&root, id, &mode, "quiet  console=ttyS0"));
            assert_eq!((line.root, line.mode), (Some(root), mode));
            assert_eq!(
                (line.snap, line.warnings),
                (Some(SnapshotRequest::Id(id)), vec![])
            );
        }
    }

    #[test]
    fn quotes_protect_blanks() {
        let line = Cmdline::parse("root=LABEL=\"my disk\" quiet");
        assert_eq!(line.root, Some(RootDevice::Label("my disk".into())));
    }

    #[test]
    fn nonsense_becomes_a_warning_and_the_default_counts() {
        let line = Cmdline::parse(
            "rootctl.snap=zero rootctl.mode=tmpfs:size=lots rootctl.wait= rootctl.new=1 rootctl.etc",
        );
        assert_eq!(line.warnings.len(), 5, "{:?}", line.warnings);
        assert_eq!(
            (line.snap, line.mode, line.wait),
            (None, Mode::Ro, DEFAULT_WAIT)
        );
    }

    #[test]
    fn our_own_init_word_wins_wherever_it_stands() {
        for text in [
            "init=/bin/sh rootctl.init=/usr/bin/rinit",
            "rootctl.init=/usr/bin/rinit init=/bin/sh",
        ] {
            assert_eq!(Cmdline::parse(text).init.as_deref(), Some("/usr/bin/rinit"));
        }
    }

    #[test]
    fn foreign_words_are_left_alone() {
        assert_eq!(Cmdline::parse("quiet ro splash\n"), Cmdline::default());
    }
}

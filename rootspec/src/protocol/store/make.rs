//! What a store begins with.

use serde::{Deserialize, Serialize};

/// Make a store and import the base snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Init {
    /// Directory or tar file that holds the root to import.
    pub import: String,
    /// Name of the base snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words for the kernel command line of every entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
    /// Mode as on the kernel command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whose menu is written: `grub` or `limine`; the default is the one found on the ESP, else `grub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// Take the place of another store's menu on the ESP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_menu: Option<bool>,
}

/// Build an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInitramfs {
    /// Root whose kernel modules and boot stage are used.
    pub root: String,
    /// Where the image goes.
    pub output: String,
    /// Kernel release; the default is the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Only the modules this machine needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_only: Option<bool>,
}

/// An initramfs was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltInitramfs {
    /// Kernel release.
    pub release: String,
    /// Number of modules.
    pub modules: u32,
    /// Bytes of the image.
    pub size: u64,
    /// Its BLAKE2b-512.
    pub blake2b: String,
}

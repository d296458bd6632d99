//! Verbs that make a store or an initramfs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

// `store …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Store {
    /// Make a store below --root and import a root as its first snapshot
    Init(StoreInit),
}

// `store init`
#[derive(Debug, Args)]
pub(crate) struct StoreInit {
    /// Folder or tar file (plain, zstd or xz) that holds the root
    #[arg(long, value_name = "DIR|TAR")]
    pub(crate) import: PathBuf,
    /// Name of the first snapshot [default: base]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Words for the kernel command line of every entry
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) cmdline: Option<String>,
    /// How the root is put together when a deploy does not say: ro, tmpfs[:size=50%], persist:NAME, rw
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// Whose menu is written [default: the loader found on the ESP, else grub]
    #[arg(long)]
    pub(crate) loader: Option<Loader>,
    /// Take the place of another store's boot menu on the ESP
    #[arg(long)]
    pub(crate) replace_menu: bool,
}

/// Boot loaders whose menus we write.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Loader {
    /// GRUB, UEFI or BIOS
    Grub,
    /// Limine
    Limine,
}

// `initramfs …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Initramfs {
    /// Build an initramfs from a root's kernel modules and boot stage
    Build(InitramfsBuild),
}

// `initramfs build`
#[derive(Debug, Args)]
pub(crate) struct InitramfsBuild {
    /// The root whose modules and boot stage are used
    // An id of its own: `root` is that of --root, which every verb has.
    #[arg(id = "for", long = "for", value_name = "ROOTDIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Where the image goes
    #[arg(short, long, value_name = "FILE", default_value = "initramfs.img")]
    pub(crate) output: PathBuf,
    /// Kernel release [default: the only one there is]
    #[arg(long)]
    pub(crate) release: Option<String>,
    /// Only the modules this machine needs
    #[arg(long)]
    pub(crate) host_only: bool,
}

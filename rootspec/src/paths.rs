//! Every path and file name we own, in one table.

use crate::SnapshotId;

/// Below the btrfs top level (subvolume 5): the store.
pub mod store {
    /// Directory of the store, relative to the top level of the file system. Mode 0700.
    pub const DIR: &str = "rootctl";
    /// Holds the layout version as one line, relative to [`DIR`].
    pub const FORMAT: &str = "FORMAT";
    /// Content of [`FORMAT`] for the layout described here.
    pub const FORMAT_VERSION: &str = "1";
    /// The state record: two slots of 4 KiB (see `state`).
    pub const STATE: &str = "state.ab";
    /// Locked (flock) by whoever changes the store.
    pub const LOCK: &str = "lock";
    /// The journal: a line of JSON for each operation.
    pub const LOG: &str = "log";
    /// The journal before that, put aside when it had become too long.
    pub const LOG_OLD: &str = "log.1";
    /// One directory per published snapshot.
    pub const SNAPS: &str = "snaps";
    /// One read-write subvolume per deployment: its live `/etc`.
    pub const ETC: &str = "etc";
    /// Writable snapshots of the mode `persist`.
    pub const OVER: &str = "over";
    /// Deleted snapshots, until somebody wants their room: folders as in [`SNAPS`].
    pub const TRASH: &str = "trash";
    /// Edit sessions: `ID/root` is a writable subvolume, `ID.toml` says what it is. Nobody but the person deletes them.
    pub const SESSIONS: &str = "sessions";
    /// Snapshots that were published together and are on their way to [`SNAPS`]; absent otherwise.
    pub const READY: &str = "ready";
    /// Work in progress: anything here is garbage after a crash.
    pub const TMP: &str = "tmp";
    /// In a snapshot's directory: what it is, written once.
    pub const META: &str = "meta.toml";
    /// In a snapshot's directory: name and note, where they were changed after it was published.
    pub const LABEL: &str = "label.toml";
    /// In a snapshot's directory: the boot plan of its own units, compiled when it was last deployed.
    pub const PLAN: &str = "plan";
    /// In the directory of a deleted snapshot: when it was deleted.
    pub const GONE: &str = "gone.toml";
    /// In the directory of a deleted snapshot: the live `/etc` it had as a deployment.
    pub const GONE_ETC: &str = "etc";
    /// In a snapshot's directory: the root as a read-only subvolume.
    pub const ROOT: &str = "root";
    /// In a snapshot's directory: the root as a squashfs image.
    pub const ROOT_SQUASHFS: &str = "root.sqfs";
    /// In a snapshot's directory: the root as an erofs image.
    pub const ROOT_EROFS: &str = "root.erofs";
    /// In a snapshot's directory: its kernel, as copied to the ESP.
    pub const KERNEL: &str = "vmlinuz";
    /// In a snapshot's directory: its initramfs, as copied to the ESP.
    pub const INITRD: &str = "initrd";

    /// Subvolumes beside the store that every deployment shares: `(subvolume, where it is mounted)`.
    pub const SHARED: [(&str, &str); 3] = [("@var", "var"), ("@home", "home"), ("@root", "root")];
}

/// On the EFI system partition.
pub mod esp {
    /// Our directory; nothing outside it is ever deleted.
    pub const DIR: &str = "rootctl";
    /// GRUB's menu, relative to [`DIR`].
    pub const GRUB_CFG: &str = "grub.cfg";
    /// Exchange partner of [`GRUB_CFG`]: a name no loader reads.
    pub const GRUB_ALT: &str = "grub.alt";
    /// GRUB's environment block: 1024 bytes, written in place only.
    pub const GRUB_ENV: &str = "grubenv";
    /// Limine's menu, beside its EFI file.
    pub const LIMINE_CONF: &str = "limine.conf";
    /// Exchange partner of [`LIMINE_CONF`]: a name Limine does not search.
    pub const LIMINE_ALT: &str = "limine.alt";
}

/// In the running system.
pub mod run {
    /// The boot report, written by the boot stage.
    pub const BOOT_REPORT: &str = "/run/rootctl/boot.toml";
    /// The boot plan that was compiled when the running snapshot was deployed, if there is one.
    pub const PLAN: &str = "/run/rootctl/plan";
    /// Where the boot stage keeps the read-only root under an overlay.
    pub const LOWER: &str = "/run/rootctl/lower";
    /// What the broker last knew of the snapshots of a store; the file has the UUID of its file system as its name.
    pub const LISTS: &str = "/run/rootctl/lists";
    /// Control socket of the broker, held by `rinit`.
    pub const STORE_SOCKET: &str = "/run/rootctl/control.sock";
    /// Control socket of `rinit`.
    pub const INIT_SOCKET: &str = "/run/rinit/control.sock";
    /// `rinit`'s runtime directory.
    pub const RINIT: &str = "/run/rinit";
    /// Where the shutdown stage lives: a tmpfs outside the root.
    pub const SHUTDOWN: &str = "/run/rinit/shutdown";
}

/// Programs, as installed in a snapshot.
pub mod program {
    /// PID 1.
    pub const RINIT: &str = "/usr/bin/rinit";
    /// What reads unit files and makes the boot plan of them.
    pub const PLANNER: &str = "/usr/bin/rinit-plan";
    /// What does for PID 1 what it may not do itself.
    pub const HELPER: &str = "/usr/lib/rinit/rinit-helper";
    /// The client.
    pub const ROOTCTL: &str = "/usr/bin/rootctl";
    /// The broker.
    pub const ROOTCTLD: &str = "/usr/lib/rootctl/rootctld";
    /// The boot stage, as it is copied into an initramfs as `/init`.
    pub const BOOT_STAGE: &str = "/usr/lib/rootctl/rinit-boot";
}

/// Unit files: searched in this order, first hit wins per name.
pub const UNIT_DIRS: [&str; 3] = [
    "/etc/rinit/services",
    "/run/rinit/services",
    "/usr/lib/rinit/services",
];
/// Enabled units: an empty file `GROUP.d/UNIT` in one of these adds UNIT to what GROUP wants.
pub const GROUP_DIRS: [&str; 3] = [
    "/etc/rinit/groups",
    "/run/rinit/groups",
    "/usr/lib/rinit/groups",
];
/// File systems and swap areas as all distributions name them, fstab(5).
pub const FSTAB: &str = "/etc/fstab";
/// The settings of `rinit` itself.
pub const SETTINGS: &str = "/etc/rinit/rinit.toml";
/// The boot plan as it was kept after a good boot; on the shared `@var`, which is there in every mode that keeps anything.
pub const KEPT_PLAN: &str = "/var/lib/rinit/plan";
/// How often units have had the machine started again, by reason; on the shared `@var`, so that it outlives a rollback.
pub const REBOOTS: &str = "/var/lib/rinit/reboots";
/// The time zone of the machine (`localtime(5)`).
pub const LOCALTIME: &str = "/etc/localtime";
/// A file per unit: when a timer of it last elapsed that makes up for missed times, in seconds since 1970. On the shared
/// `@var`, so that they outlive a rollback.
pub const STAMPS: &str = "/var/lib/rinit/timers";
/// Logs of services, one file each; on the shared `@var`, so they outlive a rollback.
pub const LOG_DIR: &str = "/var/log/rinit";
/// Where they are while that cannot be written.
pub const EARLY_LOG_DIR: &str = "/run/rinit/log";

/// Names inside the initramfs, between the builder and the boot stage.
pub mod initramfs {
    /// Module table: one line per module, `NAME PATH DEP…`, dependencies in load order.
    pub const MODULES: &str = "etc/rinit-boot/modules";
    /// Alias table: one line per alias, `PATTERN NAME`, as in `modules.alias`. A file system's alias (`fs-NAME`) also has
    /// lines for what its driver likes to have when something is mounted.
    pub const ALIASES: &str = "etc/rinit-boot/aliases";
    /// Names of the modules to load without waiting for a device, one per line.
    pub const LOAD: &str = "etc/rinit-boot/load";
}

/// Path of a snapshot's directory, relative to the top level: `rootctl/snaps/ID`.
#[must_use]
pub fn snapshot_dir(id: SnapshotId) -> String {
    format!("{}/{}/{id}", store::DIR, store::SNAPS)
}

/// Path of a deployment's `/etc`, relative to the top level: `rootctl/etc/ID`.
#[must_use]
pub fn etc_dir(id: SnapshotId) -> String {
    format!("{}/{}/{id}", store::DIR, store::ETC)
}

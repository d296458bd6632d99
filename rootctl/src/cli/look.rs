//! Verbs that only look: differences, rules, journal, logs.

use std::path::PathBuf;

use clap::Args;

// `diff`
#[derive(Debug, Args)]
#[command(
    long_about = "Shows what differs between two snapshots: packages, kernel and initramfs, /etc, /boot, everything else.\n\n\
        With one TARGET it is compared with its parent. A file that was written anew with the same content is no change. \
        In front of each path: + added, - removed, ~ modified, > renamed. What lies below a folder that was added, removed \
        or renamed as a whole is only counted, unless --verbose is given.\n\n\
        In paths a backslash begins an escape: \\\\ is a backslash, \\xNN another byte."
)]
pub(crate) struct Diff {
    /// The old snapshot; if it is the only one, the new one, compared with its parent
    #[arg(value_name = "TARGET")]
    pub(crate) one: String,
    /// The new snapshot
    #[arg(value_name = "NEW")]
    pub(crate) other: Option<String>,
    /// Only this file or folder and what is below it; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only numbers and bytes
    #[arg(long)]
    pub(crate) stat: bool,
    /// Not what differs in mode, owner, attributes or time only
    #[arg(long)]
    pub(crate) content: bool,
    /// Also files that differ in their time of change only
    #[arg(long, conflicts_with = "content")]
    pub(crate) times: bool,
    /// Show packages
    #[arg(long)]
    pub(crate) pkg: bool,
    /// Show kernel, initramfs and /boot
    #[arg(long)]
    pub(crate) boot: bool,
    /// Show /etc
    #[arg(long)]
    pub(crate) etc: bool,
    /// Show all other files
    #[arg(long)]
    pub(crate) files: bool,
}

// `doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// First finish what an interrupted change left: record, menu, boot files on the ESP, unfinished work
    #[arg(long)]
    pub(crate) fix: bool,
}

// `log`
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// At most so many operations, the newest
    #[arg(short, long, value_name = "N", default_value_t = 30)]
    pub(crate) lines: u32,
    /// Only those that have to do with this snapshot; it need not exist any more
    #[arg(long, value_name = "TARGET")]
    pub(crate) snapshot: Option<String>,
}

// `logs`
#[derive(Debug, Default, Args)]
#[command(
    long_about = "Prints what units and rinit have written, by time, also in boots of other snapshots. It reads the files \
        itself: nothing needs to run for it.\n\n\
        A TIME is 2026-11-21, \"2026-11-21 08:45\" (UTC), or 10m, 2h, 3d for so long ago. A BOOT is 0 for this one, -1 for the \
        one before, or the first digits of its id.\n\n\
        On a terminal there are columns; otherwise each line is as it stands in the file, and with --json an object."
)]
pub(crate) struct Logs {
    /// Only of this unit; may be given several times
    #[arg(short, long = "unit", value_name = "UNIT")]
    pub(crate) units: Vec<String>,
    /// Only of this boot
    #[arg(short, long, value_name = "BOOT", allow_hyphen_values = true)]
    pub(crate) boot: Option<String>,
    /// Only of boots of the snapshot with this number; it need not exist any more
    #[arg(long, value_name = "NUMBER")]
    pub(crate) snapshot: Option<u32>,
    /// Only of tries that ended without becoming the default; says why each did
    #[arg(long, conflicts_with = "boot")]
    pub(crate) failed_boots: bool,
    /// Not what was written before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only what was written before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most so many records, the newest
    #[arg(short, long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// Go on printing what is added
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Read the logs in this folder [default: /var/log/rinit]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

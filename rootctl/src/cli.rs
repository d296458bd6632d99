//! The command line: one definition for the parser, the help, the completions and the man pages.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Everything a person can type.
#[derive(Debug, Parser)]
#[command(
    name = "rootctl",
    version,
    about = "Snapshots, deploys and services of this system",
    long_about = "Makes snapshots of the root, changes them, tries them at the next boot and goes back.\n\n\
        A snapshot TARGET is a number, a name, a unique prefix of a name, @booted, @next, @good, @prev or @base; \
        ~N behind it means its N-th ancestor.\n\n\
        Exit status: 0 done; 1 failed and nothing changed; 2 wrong usage; 3 refused by a rule; 4 busy; \
        5 done in part; 6 a conflict needs a decision.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command knows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// Print the answer as JSON: the same objects as on the control socket
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say what would be done and change nothing
    #[arg(short = 'n', long, global = true)]
    pub(crate) dry_run: bool,
    /// Answer every question with yes
    #[arg(short = 'y', long, global = true)]
    pub(crate) yes: bool,
    /// No progress and no remarks
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Work on the store in this mounted btrfs top level, without the running system's broker
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The mounted EFI system partition that belongs to --root
    #[arg(long, global = true, value_name = "DIR", requires = "root")]
    pub(crate) esp: Option<PathBuf>,
}

/// The verbs and nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What runs, what boots next, what is on trial, what is wrong
    Status,
    /// Make, list and delete snapshots
    #[command(subcommand)]
    Snap(Snap),
    /// What differs between two snapshots: packages, kernel, /etc, files
    Diff(Diff),
    /// Run a command in a copy of a snapshot; success keeps the copy as a new snapshot
    Run(Run),
    /// Work in a copy of a snapshot with a shell; what was done becomes a new snapshot if you keep it
    Shell(Shell),
    /// Work in copies that is neither kept nor dropped yet
    #[command(subcommand)]
    Session(Session),
    /// What was changed in the live /etc, and what becomes of it
    #[command(subcommand)]
    Etc(Etc),
    /// Look whether everything in the store and on the ESP is as it should be; exit status 1: it is not
    Doctor(Doctor),
    /// What was done to the store, by whom, and what came of it
    Log(Log),
    /// What units and rinit have written, in any boot
    Logs(Logs),
    /// Make a snapshot the next one to boot, on trial
    Deploy(Deploy),
    /// Judge the running snapshot: good, or with --reject not
    BootOk(BootOk),
    /// Go back to the snapshot that was good before
    Rollback(Rollback),
    /// Make a store
    #[command(subcommand)]
    Store(Store),
    /// Build an initramfs
    #[command(subcommand)]
    Initramfs(Initramfs),
    /// Services of the running system
    #[command(subcommand)]
    Svc(Svc),
    /// Where the time of this boot went
    #[command(subcommand)]
    Boot(Boot),
    /// Reboot, power off, halt or start something else, in order
    Power(Power),
    /// Print the completion script for a shell
    Completion(Completion),
    /// Print the man page, or write all of them
    Man(Man),
    /// Print the version
    Version,
}

/// `snap …`
#[derive(Debug, Subcommand)]
pub(crate) enum Snap {
    /// Make a snapshot as a copy of another
    New(SnapNew),
    /// Snapshots below the ones they were made from; * runs, > boots next
    Tree,
    /// Snapshots by number
    List(SnapList),
    /// One snapshot with everything known about it
    Show(OneTarget),
    /// Give a snapshot another name
    Rename(SnapRename),
    /// Give a snapshot another line for people
    Note(SnapNote),
    /// Keep snapshots: nothing deletes them, and the boot menu offers them
    Keep(SomeTargets),
    /// Keep snapshots no longer
    Unkeep(SomeTargets),
    /// Delete snapshots; what runs, boots next or is kept is refused
    Delete(SnapDelete),
    /// Bring deleted snapshots back, with the /etc they had
    Undelete(SnapUndelete),
    /// Read snapshots to the last byte: whether they are what was published; exit status 1: they are not
    Verify(SomeTargets),
    /// Delete what no rule keeps, and throw away what was deleted long ago
    Gc(SnapGc),
}

/// `snap new`
#[derive(Debug, Args)]
pub(crate) struct SnapNew {
    /// Name of the new snapshot
    pub(crate) name: Option<String>,
    /// What to copy [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Its place is beside the one it copies, not below it
    #[arg(long, group = "place")]
    pub(crate) beside: bool,
    /// Its place is below this one
    #[arg(long, group = "place", value_name = "TARGET")]
    pub(crate) under: Option<String>,
    /// It stands on its own, below none
    #[arg(long, group = "place")]
    pub(crate) top: bool,
}

/// `snap list`
#[derive(Debug, Args)]
pub(crate) struct SnapList {
    /// Those that were deleted and can be brought back
    #[arg(long)]
    pub(crate) deleted: bool,
}

/// `snap rename`
#[derive(Debug, Args)]
pub(crate) struct SnapRename {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its new name
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    pub(crate) name: Option<String>,
    /// Take its name away
    #[arg(long)]
    pub(crate) clear: bool,
}

/// `snap note`
#[derive(Debug, Args)]
pub(crate) struct SnapNote {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Its new note
    #[arg(
        required_unless_present = "clear",
        conflicts_with = "clear",
        allow_hyphen_values = true
    )]
    pub(crate) text: Option<String>,
    /// Take its note away
    #[arg(long)]
    pub(crate) clear: bool,
}

/// A command about one snapshot.
#[derive(Debug, Args)]
pub(crate) struct OneTarget {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// First finish what an interrupted change left: record, menu, boot files on the ESP, unfinished work
    #[arg(long)]
    pub(crate) fix: bool,
}

/// `log`
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// At most so many operations, the newest
    #[arg(short, long, value_name = "N", default_value_t = 30)]
    pub(crate) lines: u32,
    /// Only those that have to do with this snapshot; it need not exist any more
    #[arg(long, value_name = "TARGET")]
    pub(crate) snapshot: Option<String>,
}

/// A command about some snapshots.
#[derive(Debug, Args)]
pub(crate) struct SomeTargets {
    /// Which snapshots
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
}

/// `snap delete`
#[derive(Debug, Args)]
#[command(
    long_about = "Deletes snapshots: they go into the trash, where `rootctl snap undelete` finds them, and take up room there. \
        With --now they are thrown away for good, and their room is free.\n\n\
        Refused are the running snapshot, the one that boots next, the good one and the one before it, the one on trial, kept \
        ones, the base, and one whose /etc another one takes over at its first boot."
)]
pub(crate) struct SnapDelete {
    /// Which snapshots
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Also everything below them in the tree
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// For good; deleted ones may be named as well
    #[arg(long)]
    pub(crate) now: bool,
}

/// `snap gc`
#[derive(Debug, Args)]
#[command(
    long_about = "Deletes snapshots that no rule keeps, and throws away what has been in the trash long enough. With --dry-run it \
        prints what would become of each snapshot and why, and changes nothing.\n\n\
        What runs, boots next, is good, was good before, is on trial, is kept, is the base, is damaged, or has an /etc that \
        another one takes over at its first boot stays in any case."
)]
pub(crate) struct SnapGc {
    /// What stays besides: last=N,daily=N,weekly=N,monthly=N,trash=DAYS [default: last=10,daily=7,weekly=4,monthly=6,trash=14]
    #[arg(long, value_name = "POLICY")]
    pub(crate) keep: Option<String>,
    /// For good, at once, the whole trash included
    #[arg(long)]
    pub(crate) now: bool,
}

/// `snap undelete`
#[derive(Debug, Args)]
pub(crate) struct SnapUndelete {
    /// Which deleted snapshots: number, name, or unique prefix of a name
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
}

/// `diff`
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

/// `run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The snapshot to copy
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Name of the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// The command, passed on untouched
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}

/// What becomes of a session when its shell has ended. Without any of these a person at a terminal is asked.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
pub(crate) struct Outcome {
    /// When the shell has ended, keep what was done as a new snapshot
    #[arg(long)]
    pub(crate) keep: bool,
    /// When the shell has ended, throw away what was done
    #[arg(long)]
    pub(crate) discard: bool,
    /// When the shell has ended, leave the session as it is
    #[arg(long)]
    pub(crate) hold: bool,
}

/// `shell`
#[derive(Debug, Args)]
#[command(
    long_about = "Starts a shell as root in a writable copy of a snapshot: a session. The shell sees the copy as /, the host's \
        network and name servers, and nothing else of the host; when it has ended, nothing that it started runs on. The \
        snapshot itself is never touched.\n\n\
        When the shell ends, you are asked whether to keep what was done as a new snapshot, to discard it, or to hold it. What is \
        held stays, as does what was done when the terminal, this program, or the broker was gone: `rootctl session resume` goes \
        on with it. Without a terminal the shell reads its commands from standard input, and the session is held unless --keep \
        or --discard is given."
)]
pub(crate) struct Shell {
    /// The snapshot to copy
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Name of the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    #[command(flatten)]
    pub(crate) outcome: Outcome,
    /// A command instead of root's shell, passed on untouched
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}

/// `session …`
#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Sessions, and what was changed in them
    List,
    /// Go on with a session
    Resume(SessionResume),
    /// Keep what was done in a session as a new snapshot
    Keep(SessionKeep),
    /// Throw sessions away, for good
    Drop(SomeSessions),
}

/// `session resume`
#[derive(Debug, Args)]
pub(crate) struct SessionResume {
    /// Which session: its number, or the name it was given
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    #[command(flatten)]
    pub(crate) outcome: Outcome,
    /// A command instead of root's shell, passed on untouched
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}

/// `session keep`
#[derive(Debug, Args)]
pub(crate) struct SessionKeep {
    /// Which session: its number, or the name it was given
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,
    /// Another name for the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Another line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// Sessions that must be named.
#[derive(Debug, Args)]
pub(crate) struct SomeSessions {
    /// Which sessions: numbers, or the names they were given
    #[arg(required = true, value_name = "SESSION")]
    pub(crate) sessions: Vec<String>,
}

/// `etc …`
#[derive(Debug, Subcommand)]
pub(crate) enum Etc {
    /// How much was changed against what the snapshot ships, and what waits for a decision
    Status(OptionalTarget),
    /// What was changed against what the snapshot ships: + added, - removed, ~ modified
    Diff(EtcDiffArgs),
    /// What waits for a decision, and what the first boot of a snapshot will merge; exit status 6: there is something to decide
    Conflicts(OptionalTarget),
    /// Bring what was changed in one /etc into that of another deployment, as before going back to it
    Merge(EtcMergeArgs),
    /// Put single paths back to what the snapshot ships
    Restore(EtcRestoreArgs),
    /// Make a new snapshot that ships the live /etc
    Save(EtcSaveArgs),
}

/// A command about a snapshot that need not be named.
#[derive(Debug, Args)]
pub(crate) struct OptionalTarget {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

/// `etc diff`
#[derive(Debug, Args)]
pub(crate) struct EtcDiffArgs {
    /// Whose /etc [default: @booted, else @good]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Only this file or folder and what is below it; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `etc merge`
#[derive(Debug, Args)]
#[command(
    long_about = "Brings what was changed in one live /etc, against what its snapshot ships, into the /etc of another deployment, \
        which is not running: so that going back to it does not bring back an old configuration. A file that was changed in both, \
        differently, is a conflict (exit status 6) and nothing is changed, unless --beside is given: then the file stays there and \
        the other one is put beside it as NAME.rootctl-new.\n\n\
        A snapshot that was never booted needs none of this: its first boot merges, and `rootctl etc conflicts` shows how."
)]
pub(crate) struct EtcMergeArgs {
    /// Into whose /etc
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// From whose [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// Where both were changed, put the other file beside the one that stays
    #[arg(long)]
    pub(crate) beside: bool,
}

/// `etc restore`
#[derive(Debug, Args)]
pub(crate) struct EtcRestoreArgs {
    /// Which files and folders in /etc; a folder means all that is below it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Whose /etc [default: @booted, else @good]
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

/// `etc save`
#[derive(Debug, Args)]
pub(crate) struct EtcSaveArgs {
    /// Whose /etc [default: @booted, else @good]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Name of the new snapshot
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// `deploy`
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// How many boots it gets to prove itself [default: 2; 1 under a Limine without one-shot entries]
    #[arg(long = "try", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) tries: Option<u8>,
    /// How its root is put together: ro, tmpfs[:size=50%], persist:NAME, rw
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// Take the place of another store's boot menu on the ESP
    #[arg(long)]
    pub(crate) replace_menu: bool,
    /// Deploy it although its units have errors
    #[arg(long)]
    pub(crate) unchecked: bool,
    /// Try another kernel under a Limine without one-shot entries: if it stops early, only a person gets the machine back
    #[arg(long)]
    pub(crate) accept_no_return: bool,
    /// Reboot when done
    #[arg(long)]
    pub(crate) reboot: bool,
}

/// `boot-ok`
#[derive(Debug, Args)]
pub(crate) struct BootOk {
    /// It is not good, and why
    #[arg(long, value_name = "REASON", allow_hyphen_values = true)]
    pub(crate) reject: Option<String>,
}

/// `rollback`
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Which snapshot [default: the one that was good before]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Take the place of another store's boot menu on the ESP
    #[arg(long)]
    pub(crate) replace_menu: bool,
    /// Reboot when done
    #[arg(long)]
    pub(crate) reboot: bool,
}

/// `store …`
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Make a store below --root and import a root as its first snapshot
    Init(StoreInit),
}

/// `store init`
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

/// `initramfs …`
#[derive(Debug, Subcommand)]
pub(crate) enum Initramfs {
    /// Build an initramfs from a root's kernel modules and boot stage
    Build(InitramfsBuild),
}

/// `initramfs build`
#[derive(Debug, Args)]
pub(crate) struct InitramfsBuild {
    /// The root whose modules and boot stage are used
    #[arg(long = "for", value_name = "ROOTDIR", default_value = "/")]
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

/// `svc …`
#[derive(Debug, Subcommand)]
pub(crate) enum Svc {
    /// All units with their state
    List,
    /// The system as a whole, or the units named
    Status(Units),
    /// When units are started by time
    Timers,
    /// Start units and what they need
    Start(ChangeUnits),
    /// Stop units and what needs them
    Stop(ChangeUnits),
    /// Stop units, then start them
    Restart(ChangeUnits),
    /// Let units read their settings again
    Reload(ChangeUnits),
    /// What it would do to take the unit files as they are now
    Plan,
    /// Take the unit files as they are now: do what svc plan shows
    Apply,
    /// Let rinit execute its program anew, with everything that runs: after its file was replaced
    Reexec,
    /// The log of a unit, as rootctl logs shows it
    Logs(UnitLogs),
    /// What is wrong with the unit files, before a boot finds out; exit status 1: errors
    Check(Check),
}

/// `svc check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Those of this snapshot, by its own rinit [default: those of the running system]
    #[arg(long, value_name = "TARGET")]
    pub(crate) snapshot: Option<String>,
}

/// Units that may be named.
#[derive(Debug, Args)]
pub(crate) struct Units {
    /// Which units
    pub(crate) units: Vec<String>,
}

/// Units that must be named.
#[derive(Debug, Args)]
pub(crate) struct ChangeUnits {
    /// Which units
    #[arg(required = true)]
    pub(crate) units: Vec<String>,
    /// Do not wait until the change is done
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `svc logs`
#[derive(Debug, Args)]
pub(crate) struct UnitLogs {
    /// Which unit
    pub(crate) unit: String,
    /// Go on printing what is added
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// `logs`
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

/// `boot …`
#[derive(Debug, Subcommand)]
pub(crate) enum Boot {
    /// Units by the time their start took, and the chain that the boot waited for
    Blame,
    /// Draw the boot as an SVG picture: boot stage, units, waits, and the chain that it waited for
    Chart(BootChart),
}

/// `boot chart`
#[derive(Debug, Args)]
pub(crate) struct BootChart {
    /// Where the picture goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `power`
#[derive(Debug, Args)]
pub(crate) struct Power {
    /// What to do
    pub(crate) action: PowerAction,
    /// Do not wait until services have stopped
    #[arg(long)]
    pub(crate) force: bool,
}

/// What `power` can do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PowerAction {
    /// Start again
    Reboot,
    /// Switch off
    Poweroff,
    /// Stop and leave the machine on
    Halt,
    /// Start the kernel that kexec --load has loaded, without firmware and loader
    Kexec,
    /// Start the root at /run/nextroot, under the same kernel
    SoftReboot,
}

/// `completion`
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// For which shell
    #[arg(required_unless_present = "candidates")]
    pub(crate) shell: Option<clap_complete::Shell>,
    /// Print the names of one kind, as the script asks for them
    #[arg(long, hide = true, conflicts_with = "shell")]
    pub(crate) candidates: Option<Candidates>,
}

/// What names can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Candidates {
    /// Snapshots
    Snapshots,
    /// Deleted ones
    Deleted,
    /// Sessions
    Sessions,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page per command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_behind_the_dashes_is_passed_on_untouched() {
        let words = [
            "rootctl", "run", "web", "--name", "x", "--", "apt-get", "-y", "--json",
        ];
        let cli = Cli::try_parse_from(words).unwrap();
        assert!(!cli.global.json && !cli.global.yes);
        let Command::Run(run) = cli.command else {
            panic!("not run: {:?}", cli.command)
        };
        assert_eq!(run.argv, ["apt-get", "-y", "--json"]);
    }

    #[test]
    fn wrong_use_is_refused_before_anything_is_asked() {
        for words in [
            &["rootctl"][..],
            &["rootctl", "run", "web"],
            &["rootctl", "snap", "delete"],
            &["rootctl", "deploy", "1", "--try", "0"],
            &["rootctl", "deploy", "1", "--try", "10"],
            &["rootctl", "status", "--esp", "/x"],
            &["rootctl", "status", "-q", "-v"],
            &["rootctl", "diff"],
            &["rootctl", "snap", "new", "--beside", "--top"],
            &["rootctl", "snap", "new", "--under", "1", "--top"],
            &["rootctl", "snap", "rename", "1"],
            &["rootctl", "snap", "rename", "1", "x", "--clear"],
            &["rootctl", "snap", "note", "1"],
            &["rootctl", "snap", "keep"],
            &["rootctl", "shell"],
            &["rootctl", "shell", "1", "--keep", "--hold"],
            &["rootctl", "shell", "1", "sh"],
            &["rootctl", "session", "resume", "1", "--discard", "--keep"],
            &["rootctl", "session", "drop"],
            &["rootctl", "snap", "undelete"],
            &["rootctl", "diff", "1", "2", "3"],
            &["rootctl", "diff", "1", "--times", "--content"],
        ] {
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words:?}");
        }
    }
}

//! Verbs that change a copy of a snapshot: `run`, `base`, `rebase`, `sync`, `shell`, `session`.

use clap::{Args, Subcommand};

// `run`
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

// `rebase`
#[derive(Debug, Args)]
#[command(
    long_about = "Makes what was changed in a snapshot, against what it was made from, once more in a copy of another one: files \
        added, removed and changed, owners, modes and attributes. Account files in /etc are merged by line. The result is a new \
        snapshot; the old one stays as it is. With --recursive so is everything that was made from it, each on the new one of \
        what it was made from; all of them are published at once, or none.\n\n\
        What was changed differently on both sides is a conflict: the paths are named, and nothing changes (exit status 6). \
        The files of a package manager are such when both have installed something: run its command once more instead."
)]
pub(crate) struct Rebase {
    /// Whose change
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// On which snapshot
    #[arg(long, value_name = "TARGET")]
    pub(crate) onto: String,
    /// Also the changes of everything that was made from it
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Where both were changed, leave what is there and name it
    #[arg(long)]
    pub(crate) leave: bool,
}

// `sync`
#[derive(Debug, Args)]
#[command(
    long_about = "Snapshots of one name are versions of one thing. What was made from an older version of TARGET, and what was made \
        from that in turn, is made once more on TARGET, as rebase --recursive does it; the new snapshots get the names of the old \
        ones. What has moved already, or was made from TARGET, stays as it is, so that it may be done at any time. All new \
        snapshots are published at once, or none.\n\n\
        What was changed differently on both sides is a conflict: the paths are named, and nothing changes (exit status 6)."
)]
pub(crate) struct Sync {
    /// The newest version
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// The older version [default: all older snapshots of the same name]
    #[arg(long, value_name = "TARGET")]
    pub(crate) from: Option<String>,
    /// Where both were changed, leave what is there and name it
    #[arg(long)]
    pub(crate) leave: bool,
}

// `base …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Base {
    /// Run a command in a copy of the newest base; success makes the copy the newest base
    Update(BaseUpdate),
}

// `base update`
#[derive(Debug, Args)]
#[command(
    long_about = "The base is the first snapshot; its newest version is the newest snapshot of its name. The command runs in a copy \
        of that one, as with run, and what comes of it gets the same name. @base stays the first one.\n\n\
        With --sync, what was made from older versions is then made once more on it, as sync does it. If that meets a conflict, \
        the new base stays, and exit status 6 says so."
)]
pub(crate) struct BaseUpdate {
    /// Then make what was made from older versions once more on it
    #[arg(long)]
    pub(crate) sync: bool,
    /// A line for people
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// The command, passed on untouched
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) argv: Vec<String>,
}

// What becomes of a session when its shell has ended. Without any of these a person at a terminal is asked.
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

// `shell`
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

// `session …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
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

// `session resume`
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

// `session keep`
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

// Sessions that must be named.
#[derive(Debug, Args)]
pub(crate) struct SomeSessions {
    /// Which sessions: numbers, or the names they were given
    #[arg(required = true, value_name = "SESSION")]
    pub(crate) sessions: Vec<String>,
}

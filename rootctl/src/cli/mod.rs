//! The command line: one definition for the parser, the help, the completions and the man pages.
//!
//! | open | for |
//! |---|---|
//! | `snap` | the verbs of `rootctl snap` |
//! | `targets` | targets that several verbs take |
//! | `look` | verbs that only look: differences, rules, journal, logs |
//! | `work` | verbs that change a copy of a snapshot: `run`, `base`, `rebase`, `sync`, `shell`, `session` |
//! | `etc` | the verbs of `rootctl etc` |
//! | `boots` | verbs that decide what boots: `deploy`, `boot-ok`, `rollback` |
//! | `make` | verbs that make a store or an initramfs |
//! | `running` | verbs about the running system: `svc`, `boot`, `power` |
//! | `own` | verbs about rootctl itself: `completion`, `man` |
//!
//! Verbs are defined with `defer`: of all of them only the one that was typed is made, which is most of what a short command
//! costs. What a verb is for stands at the verb; a doc comment at its arguments would replace that, so theirs is a plain one.

mod boots;
mod etc;
mod look;
mod make;
mod own;
mod running;
mod snap;
mod targets;
mod work;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub(crate) use boots::{BootOk, Deploy, Rollback};
pub(crate) use etc::{Etc, EtcDiffArgs, EtcMergeArgs, EtcRestoreArgs, EtcSaveArgs};
pub(crate) use look::{Diff, Doctor, Log, Logs};
pub(crate) use make::{Initramfs, Loader, Store};
pub(crate) use own::{Candidates, Completion, Man};
pub(crate) use running::{
    Boot, BootChart, ChangeUnits, Check, Power, PowerAction, Svc, UnitLogs, Units,
};
pub(crate) use snap::{
    Snap, SnapDelete, SnapGc, SnapList, SnapNew, SnapNote, SnapRename, SnapRevert, SnapUndelete,
};
pub(crate) use targets::{OneTarget, OptionalTarget, SomeTargets};
pub(crate) use work::{
    Base, BaseUpdate, Outcome, Rebase, Run, Session, SessionKeep, Shell, SomeSessions, Sync,
};

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

/// The definition with everything in it, nothing deferred: for those that describe all of it.
pub(crate) fn whole() -> clap::Command {
    let mut all = Cli::command().disable_help_subcommand(true);
    all.build();
    all
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
#[command(defer = true)]
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
    /// Make what was changed in a snapshot once more, on another one; exit status 6: it does not fit
    Rebase(Rebase),
    /// Make what was made from older versions of a snapshot once more on the newest one; exit status 6: it does not fit
    Sync(Sync),
    /// The snapshot that the others were made from
    #[command(subcommand)]
    Base(Base),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_the_verb_that_was_typed_is_defined_and_none_lost_its_line() {
        let deferred = Cli::command();
        let new = deferred.find_subcommand("snap").unwrap();
        let new = new.find_subcommand("new").unwrap();
        assert_eq!(new.get_arguments().count(), 0, "they are made when needed");
        let lines = |all: &clap::Command| -> Vec<String> {
            let verbs = all.get_subcommands().flat_map(|verb| {
                let below = verb.get_subcommands();
                std::iter::once(verb).chain(below)
            });
            let line = |verb: &clap::Command| format!("{} {:?}", verb.get_name(), verb.get_about());
            verbs.map(line).collect()
        };
        assert_eq!(lines(&whole()), lines(&deferred));
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
            &["rootctl", "snap", "history"],
            &["rootctl", "snap", "revert"],
            &["rootctl", "rebase", "1"],
            &["rootctl", "rebase", "--onto", "1"],
            &["rootctl", "rebase", "1", "2", "--onto", "3"],
            &["rootctl", "sync"],
            &["rootctl", "base", "update"],
            &["rootctl", "base", "update", "true"],
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

//! How the broker is started. People never do; `rootctl` and `rinit` do.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The broker behind rootctl: started by socket activation, or by rootctl for one connection.
#[derive(Debug, Clone, Parser)]
#[command(name = "rootctld", version)]
pub(crate) struct Args {
    /// Serve the connection on this descriptor, then end
    #[arg(long, value_name = "FD")]
    pub(crate) serve_fd: Option<RawFd>,
    /// Work on the store in this mounted btrfs top level instead of the running system's
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The mounted EFI system partition [default: found by its partition type]
    #[arg(long, value_name = "DIR")]
    pub(crate) esp: Option<PathBuf>,
    /// Members of this group may change the store, besides root
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Give up connections on which nothing arrives for this many seconds [default: never]
    #[arg(long, value_name = "SECONDS", hide = true)]
    pub(crate) patience: Option<u64>,
    #[command(subcommand)]
    pub(crate) stage: Option<Stage>,
}

/// The broker starts itself again for work that needs namespaces of its own.
#[derive(Debug, Clone, Subcommand)]
#[command(hide = true)]
pub(crate) enum Stage {
    /// Enter new namespaces, then start the next stage as process 1
    #[command(hide = true)]
    Enter(Inside),
    /// Be process 1 of the namespaces: mounts, then the command
    #[command(hide = true)]
    Inside(Inside),
}

/// A command inside another root.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Inside {
    /// The root
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// It is this session: what runs gets a terminal or a socket, which is sent over standard input
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<rootspec::SnapshotId>,
    /// The terminal's name in terminfo; absent: a socket
    #[arg(long, requires = "session")]
    pub(crate) term: Option<String>,
    /// Lines of the terminal
    #[arg(long, default_value_t = 24)]
    pub(crate) rows: u16,
    /// Characters of its lines
    #[arg(long, default_value_t = 80)]
    pub(crate) columns: u16,
    /// The command; absent: root's shell
    #[arg(last = true, required_unless_present = "session")]
    pub(crate) argv: Vec<OsString>,
}

impl Inside {
    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["--dir".into(), self.dir.clone().into()];
        if let Some(session) = self.session {
            all.extend(["--session".into(), session.to_string().into()]);
        }
        if let Some(term) = &self.term {
            // One word, so that nothing can look like an option.
            all.push(format!("--term={term}").into());
        }
        all.push(format!("--rows={}", self.rows).into());
        all.push(format!("--columns={}", self.columns).into());
        all.push("--".into());
        all.extend(self.argv.iter().cloned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_stage_reads_what_the_one_before_it_wrote() {
        let words = [
            "rootctld",
            "inside",
            "--dir",
            "/x",
            "--",
            "sh",
            "-c",
            "--session",
        ];
        let Some(Stage::Inside(inside)) = Args::parse_from(words).stage else {
            panic!("no stage")
        };
        let own = |inside: &Inside| {
            let words = ["rootctld".into(), "inside".into()]
                .into_iter()
                .chain(inside.words());
            match Args::parse_from(words).stage {
                Some(Stage::Inside(again)) => again,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(own(&inside).argv, ["sh", "-c", "--session"]);
        let shell = Inside {
            session: rootspec::SnapshotId::new(7),
            term: Some("-x".into()),
            rows: 3,
            argv: vec![],
            ..inside
        };
        let again = own(&shell);
        assert_eq!(
            (again.session, again.term, again.rows),
            (shell.session, shell.term, 3)
        );
        assert!(again.argv.is_empty() && again.columns == 80);
    }
}

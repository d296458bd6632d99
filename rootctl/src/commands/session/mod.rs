//! `rootctl session …`: one file per verb.

mod discard;
mod keep;
mod list;

use anyhow::Result;
use rootspec::protocol::session::Shell;

use super::Context;
use crate::cli::Session;
use crate::client::Exit;

/// Sends each verb to its file.
pub(super) fn run(context: Context<'_>, verb: Session) -> Result<Exit> {
    match verb {
        Session::List => list::run(context),
        Session::Resume(args) => {
            let ask = Shell {
                session: Some(args.session),
                argv: Some(args.argv).filter(|argv| !argv.is_empty()),
                ..Shell::default()
            };
            super::shell::enter(context, ask, args.outcome)
        }
        Session::Keep(args) => keep::run(context, args),
        Session::Drop(args) => discard::run(context, args),
    }
}

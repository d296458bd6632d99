//! One file per verb: what it asks, and how the answer looks. `run` is the table of all of them.

mod base;
mod boot;
mod boot_ok;
mod completion;
mod deploy;
mod diff;
mod doctor;
mod etc;
mod initramfs;
mod log;
mod logs;
mod man;
mod power;
mod rebase;
mod rollback;
mod run;
mod session;
mod shell;
mod snap;
mod status;
mod store;
mod svc;
mod sync;
mod version;

use anyhow::Result;
use rootspec::protocol::store::Deployed;

use crate::cli::{Cli, Command, Global, PowerAction};
use crate::client::{Exit, Failure};
use crate::output::Output;

/// What every verb gets.
#[derive(Debug, Clone, Copy)]
struct Context<'a> {
    global: &'a Global,
    out: &'a Output,
}

impl Context<'_> {
    /// For verbs that cannot say beforehand what they would do: better refused than done.
    fn no_dry_run(&self, verb: &str) -> Result<()> {
        if self.global.dry_run {
            let why = format!("{verb} has no --dry-run; nothing was done");
            return Err(Failure::new(Exit::Usage, why).into());
        }
        Ok(())
    }

    /// The dry-run wish as the protocol carries it.
    fn dry_run(&self) -> Option<bool> {
        self.global.dry_run.then_some(true)
    }
}

/// Does what the command line asks.
pub(crate) fn run(cli: Cli, out: &Output) -> Result<Exit> {
    let Cli { global, command } = cli;
    let context = Context {
        global: &global,
        out,
    };
    match command {
        Command::Status => status::run(context),
        Command::Snap(verb) => snap::run(context, verb),
        Command::Diff(args) => diff::run(context, args),
        Command::Run(args) => run::run(context, args),
        Command::Rebase(args) => rebase::run(context, args),
        Command::Sync(args) => sync::run(context, args),
        Command::Base(verb) => base::run(context, verb),
        Command::Etc(verb) => etc::run(context, verb),
        Command::Shell(args) => shell::run(context, args),
        Command::Session(verb) => session::run(context, verb),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Log(args) => log::run(context, args),
        Command::Logs(args) => logs::run(context, &args),
        Command::Deploy(args) => deploy::run(context, args),
        Command::BootOk(args) => boot_ok::run(context, args),
        Command::Rollback(args) => rollback::run(context, args),
        Command::Store(verb) => store::run(context, verb),
        Command::Initramfs(verb) => initramfs::run(context, verb),
        Command::Svc(verb) => svc::run(context, verb),
        Command::Boot(verb) => boot::run(context, verb),
        Command::Power(args) => power::run(context, &args),
        Command::Completion(args) => completion::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Version => version::run(context),
    }
}

/// Prints what a deploy or a rollback did; a dry run is marked as one.
fn show_deployed(context: Context<'_>, done: &Deployed) -> Result<()> {
    context.out.answer(done, || {
        if !context.global.dry_run {
            return Ok(());
        }
        show_steps(context, &done.steps)
    })
}

/// Paths as they are asked for: bytes that are no UTF-8 are escaped.
fn path_words(paths: &[std::path::PathBuf]) -> Vec<String> {
    use std::os::unix::ffi::OsStrExt;
    let escape =
        |path: &std::path::PathBuf| rootspec::path_text::escape(path.as_os_str().as_bytes());
    paths.iter().map(escape).collect()
}

/// Prints the steps of a dry run.
fn show_steps(context: Context<'_>, steps: &[String]) -> Result<()> {
    context
        .out
        .line("nothing was changed; this would be done:")?;
    for step in steps {
        context.out.line(&format!("  {step}"))?;
    }
    Ok(())
}

/// Reboots where that was asked for and something was done.
fn reboot_if(context: Context<'_>, wanted: bool) -> Result<()> {
    if wanted && !context.global.dry_run {
        power::ask(PowerAction::Reboot)?;
        context.out.remark("rebooting");
    }
    Ok(())
}

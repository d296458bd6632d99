//! `rootctl man`

use std::path::Path;

use anyhow::{Context as _, Result};
use clap_mangen::roff::{Roff, bold, roman};

use super::Context;
use crate::cli::{self, Man};
use crate::client::Exit;

/// Exit codes, with their meanings. `docs/control.md` says which errors they belong to.
const CODES: [(&str, &str); 7] = [
    ("0", "It is done."),
    ("1", "It failed, and nothing changed."),
    ("2", "The usage is wrong, or a unit is not known."),
    ("3", "A rule refuses it, or it is not allowed."),
    (
        "4",
        "Somebody else is changing the store, or the system is going down.",
    ),
    (
        "5",
        "Some of it was done: standard error says what was not.",
    ),
    (
        "6",
        "Two sides differ and somebody has to decide; nothing changed.",
    ),
];

/// Verbs about the running system. All others are about the store.
const RUNNING: [&str; 3] = ["rootctl-svc", "rootctl-boot", "rootctl-power"];

/// Prints the main page, or writes the pages of all commands into a folder.
pub(super) fn run(context: Context<'_>, args: &Man) -> Result<Exit> {
    let command = cli::whole();
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            write_all(&command, dir, None)?;
        }
        None => context.out.raw(&page(&command, None)?)?,
    }
    Ok(Exit::Done)
}

/// The page of a command and those of everything below it. `above`: the page of the command that it belongs to.
fn write_all(command: &clap::Command, dir: &Path, above: Option<&str>) -> Result<()> {
    let name = name(command);
    let file = dir.join(format!("{name}.1"));
    std::fs::write(&file, page(command, above)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    for below in shown(command) {
        write_all(below, dir, Some(name))?;
    }
    Ok(())
}

fn name(command: &clap::Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// One page: what the definition says, then what is the same for many commands.
fn page(command: &clap::Command, above: Option<&str>) -> Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone())
        .title(name(command).to_uppercase())
        .source(format!("rootctl {}", env!("CARGO_PKG_VERSION")))
        .manual("rinit and rootctl");
    let mut page = Vec::new();
    man.render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| match shown(command).next() {
            Some(_) => man.render_subcommands_section(&mut page),
            None => Ok(()),
        })
        .and_then(|()| rest(command, above).to_writer(&mut page))
        .context("cannot write the man page")?;
    Ok(page)
}

/// Exit status, files and other pages.
fn rest(command: &clap::Command, above: Option<&str>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in CODES {
        entry(&mut roff, code, meaning);
    }
    let name = name(command);
    let is_below = |verb: &&str| name == *verb || name.starts_with(&format!("{verb}-"));
    let runs = RUNNING.iter().any(is_below) && name != "rootctl-boot-ok";
    roff.control("SH", ["FILES"]);
    if runs || above.is_none() {
        let socket = rootspec::paths::run::INIT_SOCKET;
        entry(&mut roff, socket, "rinit, asked about units and power.");
    }
    if !runs {
        let socket = rootspec::paths::run::STORE_SOCKET;
        entry(&mut roff, socket, "rootctld, asked about the store.");
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut pages: Vec<String> = above
        .map(|above| format!("{above}(1)"))
        .into_iter()
        .collect();
    if runs {
        pages.extend(["rinit(8)".to_owned(), "rinit-unit(5)".to_owned()]);
    } else {
        pages.push("rootctl-targets(7)".to_owned());
    }
    roff.text([roman(pages.join(", "))]);
    roff
}

fn entry(roff: &mut Roff, term: &str, words: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(words)]);
}

//! `cargo xtask`: the front door of the project.
//!
//! - `check.rs`: `test`: everything that must hold before a change goes in;
//! - `bench.rs`: `bench`: figures against their goals;
//! - `fuzz.rs`: `fuzz`: hostile bytes for the readers of formats;
//! - `powercut.rs`: `powercut`: every state a cut of the power may leave, not only the sample of the tests;
//! - `man.rs`: `man`: the manual, for packages;
//! - `demo.rs`, `story.rs`: `demo`: the system in QEMU, for a person or played by itself.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod demo;
mod fuzz;
mod man;
mod powercut;
mod story;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tests::host::Install;
use tests::{isolate, paths, say};

/// Builds, tests and shows the system; installs the Debian packages it needs when root.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Front {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Formats, lints and runs every test: beside the code, on this kernel, and in QEMU
    Test(check::Options),
    /// Boots a Debian snapshot in QEMU and hands you its console, or plays the whole story
    Demo(demo::Options),
    /// Records a guest while rootctl works, and judges every state in which a cut of the power may leave its disk
    Powercut(powercut::Options),
    /// Gives hostile bytes to the readers of formats, longer than the tests do
    Fuzz(fuzz::Options),
    /// Writes the whole manual into a folder
    Man(man::Options),
    /// Measures what the documents promise
    Bench(bench::Options),
}

/// Options that every verb has.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Common {
    /// Only name missing Debian packages, install nothing
    #[arg(long)]
    no_install: bool,
}

impl Common {
    const fn install(self) -> Install {
        if self.no_install {
            Install::No
        } else {
            Install::Allowed
        }
    }
}

fn main() -> ExitCode {
    let front = Front::parse();
    if let Err(why) = isolate::enter().and_then(|()| paths::sweep()) {
        say::failure(&why);
        return ExitCode::FAILURE;
    }
    let done = match front.verb {
        Verb::Test(options) => check::run(&options),
        Verb::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Powercut(options) => powercut::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Man(options) => man::run(&options),
        Verb::Bench(options) => bench::run(&options),
    };
    done.unwrap_or_else(|why| {
        say::failure(&why);
        ExitCode::FAILURE
    })
}

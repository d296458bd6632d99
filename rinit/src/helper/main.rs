//! `rinit-helper`: what PID 1 has done by a process of its own, because it may hang, be refused, or needs code that has no
//! business in PID 1. Nobody else calls it.
//!
//! | open | for |
//! |---|---|
//! | `exec` | the executor: what a process of a unit does to itself before it becomes the program |
//! | `ask` | one question to a unit |
//! | `watch` | paths that start units |
//! | `mounts` | file systems, swap areas, devices that are waited for |
//!
//! PID 1 holds this file open from its start on (`sys::helper`), so both are of one version even while a package manager
//! exchanges them. What they agree on is in `roles.rs`.
#![forbid(unsafe_code)]

mod ask;
mod exec;
mod mounts;
#[path = "../roles.rs"]
mod roles;
mod watch;
#[path = "../words.rs"]
mod words;

use std::io::Write;
use std::process::ExitCode;

use rootspec::mounting;

const USAGE: &str = "rinit-helper does for rinit what it may not do itself: only rinit starts it.

Usage: rinit-helper --version
";

/// Exit code of what could not do its errand, which has been reported: the one shells use for that.
const NOT_STARTED: u8 = 127;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [roles::EXEC, errand, report] => match exec::Executor::take_over(errand, report) {
            Some(executor) => {
                executor.run();
                ExitCode::from(NOT_STARTED)
            }
            None => usage(),
        },
        [mounting::ROLE, errand, report] => match mounts::Mounter::take_over(errand, report) {
            Some(mounter) => named(|| ExitCode::from(if mounter.run() { 0 } else { NOT_STARTED })),
            None => usage(),
        },
        [roles::ASK, question @ ..] => named(|| ExitCode::from(ask::run(question))),
        [roles::WATCH] => named(|| ExitCode::from(watch::run())),
        ["--version"] => say(&format!("rinit-helper {}\n", env!("CARGO_PKG_VERSION"))),
        ["--help" | "-h"] => say(USAGE),
        _ => usage(),
    }
}

/// In a role that others see for a while: executed by descriptor, a process has that one's number for a name.
fn named(role: impl FnOnce() -> ExitCode) -> ExitCode {
    sys::helper::be_named();
    role()
}

fn usage() -> ExitCode {
    std::io::stderr().write_all(USAGE.as_bytes()).ok();
    ExitCode::from(2)
}

fn say(text: &str) -> ExitCode {
    // Whoever closes our output does not want to know.
    std::io::stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

//! `rinit-plan`: everything that reads unit files, so that PID 1 does not.
//!
//! | open | for |
//! |---|---|
//! | `gather` | all steps from the files to what a boot starts from |
//! | `reader` | all reading goes through it: it notes what a plan depends on |
//! | `folders` | the folders of unit files, drop-ins and enabled units |
//! | `fstab` | lines of `/etc/fstab` beside them |
//! | `accounts` | names of users and groups to numbers |
//! | `settings` | `rinit.toml` |
//! | `filter` | lists of system calls to programs for the kernel |
//! | `times` | what timers depend on |
//! | `check` | the linter |
//! | `keep` | the plan, kept for the next boot |
//!
//! What it makes is described in `rootspec/src/kept.rs`; `rinit` asks for it in `load.rs`.
#![forbid(unsafe_code)]

mod accounts;
mod check;
mod filter;
mod folders;
mod fstab;
mod gather;
mod keep;
mod reader;
#[cfg(test)]
#[path = "../reuse.rs"]
mod reuse;
#[path = "../seen.rs"]
mod seen;
mod settings;
mod times;

use std::io::Write;
use std::process::ExitCode;

use rootspec::compile::Facts;
use rootspec::paths::KEPT_PLAN;

use crate::folders::Places;

const USAGE: &str = "rinit-plan compiles the unit files that rinit runs.

Usage: rinit-plan --check [--json] [--root ROOT] [DIR...]
                        reads unit files as for a boot and shows what is wrong, in ROOT
                        instead of / (default: the folders that are read for a boot)
       rinit-plan --output -
                        writes what this boot starts from to standard output; rinit asks so
       rinit-plan --keep
                        keeps it in /var/lib/rinit/plan: the next boot starts from that, if nothing
                        it was made from has changed
       rinit-plan --keep --snapshot NUMBER --root ROOT
                        the same of a root that does not run, to standard output; a deploy asks so
       rinit-plan --times
                        writes what timers depend on: the time zone, and when they last elapsed
       rinit-plan --version
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--check", words @ ..] => check(words),
        ["--output", "-"] => output(),
        ["--keep"] => keep(),
        ["--keep", "--snapshot", number, "--root", root] => keep_for_deploy(number, root),
        ["--times"] => write_out(times::read().to_bytes()),
        ["--version"] => say(
            concat!("rinit-plan ", env!("CARGO_PKG_VERSION"), "\n"),
            true,
        ),
        ["--help" | "-h"] => say(USAGE, true),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    std::io::stderr().write_all(USAGE.as_bytes()).ok();
    ExitCode::from(2)
}

/// The linter.
fn check(words: &[&str]) -> ExitCode {
    let Some(ask) = check::Ask::from_words(words) else {
        return usage();
    };
    match check::run(&ask) {
        Ok((text, good)) => say(&text, good),
        Err(error) => failed(&sys::chain(&error)),
    }
}

/// What `rinit` asks for.
fn output() -> ExitCode {
    let kept = gather::gather(&Places::default(), seen::facts()).into_kept();
    write_out(kept.to_bytes().map_err(|error| sys::chain(&error)))
}

/// Bytes for `rinit`, to standard output.
fn write_out(bytes: Result<Vec<u8>, String>) -> ExitCode {
    let written = bytes.and_then(|bytes| {
        let written = std::io::stdout().write_all(&bytes);
        written.map_err(|error| format!("cannot write: {error}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

/// For the next boot.
fn keep() -> ExitCode {
    let answer = match keep::compiled(&Places::default(), &seen::facts()) {
        Ok(bytes) => keep::write(KEPT_PLAN, &bytes),
        Err(keep::Not::Wanted(why)) => Ok(format!("the plan is not kept: {why}")),
        Err(keep::Not::Possible(why)) => Err(why),
    };
    match answer {
        Ok(done) => say(&format!("{done}\n"), true),
        Err(why) => failed(&why),
    }
}

/// For the boots of a snapshot that does not run.
fn keep_for_deploy(number: &str, root: &str) -> ExitCode {
    // The id of this boot stands in the plan until it is exchanged for that of the boot that uses it.
    let facts = Facts {
        snapshot: number.to_owned(),
        ..seen::facts()
    };
    if let Err(error) = sys::switchroot::chroot(root) {
        return failed(&sys::chain(&error));
    }
    match keep::compiled(&Places::default(), &facts) {
        Ok(bytes) if std::io::stdout().write_all(&bytes).is_ok() => ExitCode::SUCCESS,
        Ok(_) => failed("cannot write the plan"),
        Err(keep::Not::Wanted(why) | keep::Not::Possible(why)) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    let text = format!("rinit-plan: {why}\n");
    std::io::stderr().write_all(text.as_bytes()).ok();
    ExitCode::FAILURE
}

fn say(text: &str, good: bool) -> ExitCode {
    // Whoever closes our output does not want to know.
    std::io::stdout().write_all(text.as_bytes()).ok();
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

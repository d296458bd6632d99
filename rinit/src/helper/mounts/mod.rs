//! `rinit-helper mount`: a process of a unit that mounts a file system, swaps to an area, or waits for a device, and ends.
//!
//! Disks, servers and checkers may take their time or never answer, so PID 1 does none of this. It starts this program as
//! it starts an executor: a failure is told in one sentence and becomes the reason in `rootctl svc status`.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | what is to be done; swap |
//! | `mount` | mounting and unmounting |
//! | `check` | the file system is checked first |
//! | `wait` | devices that are not there yet |

mod check;
mod mount;
mod wait;

use std::io::Write;
use std::process::Command;

use rootspec::mounting::{self, Chore};
use sys::executor::{self, Report};
use sys::run::Stream;
use sys::swap::Discard;
use sys::timer;

/// Why a step failed: a whole sentence.
type Step = Result<(), String>;

/// One process of this role at its start.
#[derive(Debug)]
pub(crate) struct Mounter {
    words: Vec<u8>,
    report: Report,
}

impl Mounter {
    /// From the two descriptors named in the arguments. `None`: nobody gave them to us.
    pub(crate) fn take_over(errand: &str, report: &str) -> Option<Self> {
        let (errand, report) = (errand.parse().ok()?, report.parse().ok()?);
        let (words, report) = executor::take_over(errand, report).ok()?;
        Some(Self { words, report })
    }

    /// Does it. False: it could not be done, which has been reported.
    pub(crate) fn run(self) -> bool {
        let words = String::from_utf8_lossy(&self.words);
        let done = match Chore::from_words(words.split('\0')) {
            Some(chore) => carry_out(&chore),
            None => Err("rinit does not understand itself".to_owned()),
        };
        match done {
            Ok(()) => true,
            Err(why) => {
                self.report.failed(&why);
                false
            }
        }
    }
}

fn carry_out(chore: &Chore) -> Step {
    match chore {
        Chore::Mount(mount) => mount::mount(mount),
        Chore::Unmount { at, how, timeout } => mount::unmount(at, *how, *timeout),
        Chore::SwapOn {
            what,
            priority,
            options,
            timeout,
        } => swap_on(what, *priority, options, *timeout),
        Chore::SwapOff { what } => swap_off(what),
        Chore::Await { devices, timeout } => wait::for_all(devices, *timeout),
    }
}

fn swap_on(what: &str, priority: Option<u16>, options: &[String], timeout: u64) -> Step {
    let path = mounting::path_of(what);
    wait::for_device(&path, timer::now().saturating_add(timeout))?;
    if is_in_use(&path) {
        return Ok(());
    }
    let mut discard = Discard::No;
    for option in options {
        match option.as_str() {
            "discard" => discard = Discard::Both,
            "discard=once" => discard = Discard::Once,
            "discard=pages" => discard = Discard::Pages,
            // What else is said for swapon(8) is about who starts it and when.
            _ => {}
        }
    }
    sys::swap::on(&path, priority, discard).map_err(|error| sys::chain(&error))
}

fn swap_off(what: &str) -> Step {
    let path = mounting::path_of(what);
    if !is_in_use(&path) {
        return Ok(());
    }
    sys::swap::off(&path).map_err(|error| sys::chain(&error))
}

/// The kernel shows an area by the path that its links lead to.
fn is_in_use(path: &str) -> bool {
    let real = std::fs::canonicalize(path);
    let real = real.map_or_else(|_| path.to_owned(), |real| real.display().to_string());
    let areas = sys::swap::active().unwrap_or_default();
    areas.iter().any(|area| *area == real || area == path)
}

/// A line for the unit's log. If that is gone, nobody wants to know.
fn say(line: &str) {
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .ok();
}

/// Runs a program of others and passes on what it says; how it ended, and its last words.
fn run(program: &str, arguments: &[&str]) -> Result<(Option<i32>, String), String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let mut last = String::new();
    let status = sys::run::lines(&mut command, &mut |stream, line| {
        say(line);
        if stream == Stream::Stderr || last.is_empty() {
            line.clone_into(&mut last);
        }
    });
    let status = status.map_err(|error| sys::chain(&error))?;
    Ok((status.code(), last))
}

/// The first of these that is a program in our path.
fn find(name: &str) -> Option<String> {
    let all = sys::process::PATH
        .split(':')
        .map(|dir| format!("{dir}/{name}"));
    all.into_iter()
        .find(|path| std::path::Path::new(path).exists())
}

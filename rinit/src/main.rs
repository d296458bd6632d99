//! `rinit`: PID 1.
//!
//! | open | for |
//! |---|---|
//! | `init` | PID 1 at work: start, the loop, what happens after each lap |
//! | `setup` | the first steps: file systems, host name, machine id |
//! | `load` | what a boot starts from, from `rinit-plan` (`planner/main.rs`), which alone reads unit files |
//! | `reuse`, `seen` | the plan that was kept, and whether it still holds |
//! | `chosen` | the group that the boot menu asks for |
//! | `rescue` | what a boot starts from where that fails |
//! | `supervisor` | the pure machine that decides what units do; begin with its page |
//! | `supervise` | machine and hands together; panics end here |
//! | `hands` | doing what was decided: processes, pipes, cgroups, sockets |
//! | `gate` | is this boot good? |
//! | `confirm` | a good trial becomes the default, or is given up |
//! | `judge` | acting on both |
//! | `recourse` | what units ask for the system as a whole: reboot, rescue, rollback |
//! | `renewal` | unit files read again while the system runs |
//! | `timetable` | when timers elapse, pure |
//! | `timers` | acting on it: clocks, the time zone, stamps |
//! | `watch` | paths that start units |
//! | `reexec` | we become another program, or this one anew after a crash |
//! | `control` | the control socket |
//! | `logs` | logs of services and the process that writes them |
//! | `voice` | what `rinit` says itself |
//! | `roles` | what is left to `rinit-helper` (`helper/main.rs`), and what both agree on |
//! | `watchdog` | the device that resets the machine when the loop stands still |
//! | `shutdown` | the orderly end, and the shutdown stage |
//!
//! One program, three roles, chosen by process id and first argument: PID 1 (at boot, or going on from another program),
//! the logger, the shutdown stage.
#![forbid(unsafe_code)]

mod chosen;
mod confirm;
mod control;
mod gate;
mod hands;
mod init;
mod judge;
mod load;
mod logs;
mod recourse;
mod reexec;
mod renewal;
mod rescue;
mod reuse;
mod roles;
mod seen;
mod setup;
mod shutdown;
mod supervise;
mod supervisor;
mod timers;
mod timetable;
mod voice;
mod watch;
mod watchdog;
mod words;

use std::convert::Infallible;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

const USAGE: &str = "rinit is PID 1: the kernel or the boot stage starts it.

Usage: rinit --version

Its unit files are checked with: rinit-plan --check
The running one is asked with: rootctl svc status
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (std::process::id(), words.as_slice()) {
        (1, [shutdown::ROLE, how, root]) => {
            // What is no such word reboots, because something must happen.
            let how = shutdown::How::of_word(how).unwrap_or(shutdown::How::Reboot);
            loop {
                shutdown::surely(
                    || shutdown::stage::run(how, root),
                    || shutdown::directly(how),
                );
                // The kernel refused, and PID 1 may not end.
                std::thread::sleep(std::time::Duration::from_secs(60));
            }
        }
        (1, [reexec::ROLE, words @ ..]) => match reexec::Arrival::parse(words) {
            Some(arrival) => boot(|| init::resume(&arrival)),
            None => boot(init::run),
        },
        // The kernel passes on words of its command line that it does not know: PID 1 ignores them.
        (1, _) => boot(init::run),
        (_, [reexec::CHECK, words @ ..]) => say(&reexec::check(words), ExitCode::SUCCESS),
        (_, [logs::ROLE, most, more @ ..]) => {
            let others = logs::Sources::of_words(more);
            match logs::logger::run(most.parse().unwrap_or(u64::MAX), others) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        (_, ["--version"]) => say(&format!("rinit {}\n", init::VERSION), ExitCode::SUCCESS),
        (_, ["--help" | "-h"]) => say(USAGE, ExitCode::SUCCESS),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    std::io::stderr().write_all(USAGE.as_bytes()).ok();
    ExitCode::from(2)
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    // Whoever closes our output does not want to know.
    std::io::stdout().write_all(text.as_bytes()).ok();
    code
}

/// How long the reason stays on the console when PID 1 cannot work, in seconds.
const LAST_WORDS: u32 = 30;

/// PID 1. It may not end: where even waiting is impossible, it says so for a while and reboots.
fn boot(begin: impl FnOnce() -> sys::error::Result<Infallible>) -> ExitCode {
    let text = match std::panic::catch_unwind(AssertUnwindSafe(begin)) {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => sys::chain(&error),
        Err(_panic) => "a fault of its own before the loop began".to_owned(),
    };
    let mut consoles = sys::console::Consoles::open();
    consoles.say(&format!(
        "rinit: cannot go on: {text}; the machine reboots in {LAST_WORDS} s\n"
    ));
    for _ in 0..LAST_WORDS {
        // Collecting the dead is the one duty left.
        while sys::process::reap().is_some() {}
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    // A snapshot on trial is left by this; a good one gets another chance. Where even that is refused, standing still
    // is better than ending: the kernel would panic.
    loop {
        let Err(error) = sys::power::end(sys::power::End::Reboot);
        consoles.say(&format!("rinit: {}\n", sys::chain(&error)));
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

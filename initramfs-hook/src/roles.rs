//! What this program is when it is not PID 1: a helper of another initramfs, or the kernel's module loader.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use sys::power::{End, end};

use crate::boot;
use crate::modules::Loader;
use crate::say::Voice;
use crate::stage::Stage;

/// Exit code when a snapshot on trial failed: the caller should reboot at once, the good system starts by itself.
pub const REBOOT: u8 = 3;

const USAGE: &str = "\
usage: rinit-boot --assemble DIR
       rinit-boot --reboot

Puts the root that the kernel command line asks for together at DIR, for the hooks of other initramfs generators, and
prints the program to hand over to. Needs /proc, /sys, /dev and /run. Exit code 0: it is there; 1: it failed; 3: it was
a trial that failed, reboot now: --reboot does that at once, where no other program for it may be at hand.
As PID 1 of an initramfs, without options, it boots the machine.
";

/// Acts by the arguments.
#[must_use]
pub fn act(arguments: &[OsString]) -> ExitCode {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.as_slice() {
        ["--assemble", dir] => assemble(Path::new(dir)),
        ["--reboot"] => reboot(),
        // The kernel's own words when it asks for a module.
        ["-q", "--", name] => load(name),
        ["--help" | "-h"] => say(&mut std::io::stdout(), USAGE, ExitCode::SUCCESS),
        ["--version"] => {
            let text = format!("rinit-boot {}\n", env!("CARGO_PKG_VERSION"));
            say(&mut std::io::stdout(), &text, ExitCode::SUCCESS)
        }
        _ => say(&mut std::io::stderr(), USAGE, ExitCode::from(2)),
    }
}

fn say(stream: &mut dyn Write, text: &str, code: ExitCode) -> ExitCode {
    // Nobody can be told that the stream is closed.
    stream.write_all(text.as_bytes()).ok();
    code
}

fn assemble(target: &Path) -> ExitCode {
    let started_ms = sys::clock::since_boot_ms();
    let mut stage = match Stage::prepare(Voice::of_helper(), started_ms) {
        Ok(stage) => stage,
        Err(error) => {
            Voice::of_helper().fail(&sys::chain(error.as_ref()));
            return ExitCode::FAILURE;
        }
    };
    match boot::build(&mut stage, target) {
        Ok(ready) => {
            let line = format!("{}\n", ready.init.display());
            say(&mut std::io::stdout(), &line, ExitCode::SUCCESS)
        }
        Err(failure) => {
            for refused in &failure.refused {
                stage.voice.fail(refused);
            }
            stage.voice.fail(&sys::chain(failure.error.as_ref()));
            if failure.trial {
                ExitCode::from(REBOOT)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn reboot() -> ExitCode {
    match end(End::Reboot) {
        Ok(never) => match never {},
        Err(error) => {
            Voice::of_helper().fail(&sys::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn load(name: &str) -> ExitCode {
    let cmdline = sys::fs::read_text("/proc/cmdline", 64 * 1024).unwrap_or_default();
    let loader = Loader::open("/", &cmdline);
    let mut problems = loader.load(name);
    problems.extend(loader.load_alias(name));
    let mut voice = Voice::of_init();
    problems
        .iter()
        .for_each(|problem| voice.warn(problem.clone()));
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

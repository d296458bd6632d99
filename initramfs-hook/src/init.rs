//! Being PID 1 of an initramfs: never end, and leave for the new root.

use std::convert::Infallible;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context, Result};
use rootspec::cmdline::{Cmdline, Rescue};

use crate::boot::{self, Failure};
use crate::early::{self, NEW_ROOT};
use crate::emergency::{self, Disaster};
use crate::find;
use crate::say::Voice;
use crate::stage::Stage;

/// Mounts that move into the new root.
const CARRIED: [&str; 4] = ["/dev", "/proc", "/sys", "/run"];

/// The whole of PID 1's life before it becomes the system's init.
pub fn live() -> ! {
    let started_ms = sys::clock::since_boot_ms();
    std::panic::set_hook(Box::new(|panic| {
        Voice::of_init().fail(&format!("this is a fault of the boot stage: {panic}"));
    }));
    let result = catch_unwind(AssertUnwindSafe(|| run(started_ms)));
    let (disaster, rescue) = match result {
        Ok(Ok(never)) => match never {},
        Ok(Err(end)) => end,
        Err(_panic) => (panicked(), Rescue::Reboot),
    };
    emergency::stay(&disaster, rescue, &mut Voice::of_init())
}

fn panicked() -> Disaster {
    let line = sys::fs::read_text("/proc/cmdline", 64 * 1024).unwrap_or_default();
    Disaster {
        trial: Cmdline::parse(&line).is_counted_try(),
        wanted: "this system".to_owned(),
        why: "the boot stage failed by a fault of its own; the kernel's log has the place"
            .to_owned(),
        devices: find::describe_devices().unwrap_or_default(),
        ..Disaster::default()
    }
}

type End = (Disaster, Rescue);

fn run(started_ms: u64) -> Result<Infallible, End> {
    let unknown = |error: anyhow::Error| {
        let why = sys::chain(error.as_ref());
        (Disaster { why, ..panicked() }, Rescue::Reboot)
    };
    early::mount_kernel_file_systems().map_err(unknown)?;
    let mut stage = Stage::prepare(Voice::of_init(), started_ms).map_err(unknown)?;
    answer_module_requests();
    let built = boot::build(&mut stage, Path::new(NEW_ROOT));
    let ready = built.map_err(|failure| disaster(&mut stage, failure))?;
    stage.pause_before("leave");
    leave(&ready.init).map_err(|error| {
        let error = error.context("cannot hand over to the new root");
        let failure = ready.failed(error, &mut stage.voice);
        disaster(&mut stage, failure)
    })
}

fn disaster(stage: &mut Stage, failure: Failure) -> End {
    let disaster = Disaster {
        wanted: stage.wanted(),
        why: sys::chain(failure.error.as_ref()),
        refused: failure.refused,
        devices: find::describe_devices().unwrap_or_default(),
        trial: failure.trial,
    };
    (disaster, rescue_of(&stage.line, failure.trial))
}

/// A failed try always goes back, whatever else was asked for; whoever wants to look must say so then.
fn rescue_of(line: &Cmdline, trial: bool) -> Rescue {
    match line.rescue {
        Rescue::Halt if trial => Rescue::Reboot,
        rescue => rescue,
    }
}

/// Where the kernel looks for the program that loads modules on its behalf.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";

/// The pid namespace the kernel starts with (`PROC_PID_INIT_INO`, `linux/proc_ns.h`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Makes the kernel ask this program for what it misses (a checksum, a character set); see `roles`. The new root's own
/// program is put back when leaving.
fn answer_module_requests() {
    set_module_program("/init");
}

fn set_module_program(path: &str) {
    // The setting is the machine's, not the namespace's: a boot stage in a container must leave it alone.
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if namespace == Path::new(FIRST_NAMESPACE) {
        // A kernel without modules has no such file.
        std::fs::write(MODPROBE, path).ok();
    }
}

fn leave(init: &Path) -> Result<Infallible> {
    set_module_program("/sbin/modprobe");
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    sys::switchroot::switch_root(NEW_ROOT, &CARRIED, init, &arguments)
        .with_context(|| format!("cannot start {}", init.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_try_never_stands_still_and_else_what_was_asked_for_holds() {
        for (word, on_trial, otherwise) in [
            ("", Rescue::Reboot, Rescue::Reboot),
            ("rootctl.rescue=halt", Rescue::Reboot, Rescue::Halt),
            ("rootctl.rescue=shell", Rescue::Shell, Rescue::Shell),
            ("rootctl.rescue=reboot", Rescue::Reboot, Rescue::Reboot),
        ] {
            let line = Cmdline::parse(word);
            assert_eq!(rescue_of(&line, true), on_trial, "{word:?} on a trial");
            assert_eq!(rescue_of(&line, false), otherwise, "{word:?}");
        }
    }
}

//! When nothing can be booted: a screen that says what was looked for, what was found and what happens next. Never
//! returns, and never gives up being PID 1.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rootspec::cmdline::Rescue;
use sys::power::{End, end};

use crate::say::Voice;

/// How long the screen is shown before the reboot.
const SHOWN: Duration = Duration::from_secs(300);
/// The same when a trial failed: the good system is one reboot away.
const SHOWN_ON_TRIAL: Duration = Duration::from_secs(10);
/// The shell an initramfs may hold.
const SHELL: &str = "/bin/sh";

/// What went wrong, for people.
#[derive(Debug, Clone, Default)]
pub struct Disaster {
    /// What was looked for, in words.
    pub wanted: String,
    /// Why it cannot be booted, in words.
    pub why: String,
    /// What was refused on the way.
    pub refused: Vec<String>,
    /// The block devices that were found, one per line.
    pub devices: String,
    /// True when this was a counted try, so that the next boot leads back.
    pub trial: bool,
}

/// What happens after the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Shell,
    /// A shell for whoever asks for it in this time, else a reboot: nobody may be there.
    OfferShell(Duration),
    Reboot(Duration),
    Halt,
}

fn next(disaster: &Disaster, rescue: Rescue, shell: bool) -> Next {
    let reboot = Next::Reboot(if disaster.trial {
        SHOWN_ON_TRIAL
    } else {
        SHOWN
    });
    match rescue {
        Rescue::Shell if shell && disaster.trial => Next::OfferShell(SHOWN_ON_TRIAL),
        Rescue::Shell if shell => Next::Shell,
        Rescue::Shell | Rescue::Reboot => reboot,
        Rescue::Halt => Next::Halt,
    }
}

/// The text of the screen.
fn screen(disaster: &Disaster, rescue: Rescue, next: Next) -> String {
    let mut text = String::from("\n*** rootctl: this system cannot be started ***\n\n");
    // Writing to a string cannot fail.
    writeln!(text, "Looked for: {}", disaster.wanted).ok();
    writeln!(text, "Failed:     {}", disaster.why).ok();
    for refused in &disaster.refused {
        writeln!(text, "            {refused}").ok();
    }
    let devices = match disaster.devices.trim() {
        "" => "no block device: its driver may be missing in the initramfs",
        devices => devices,
    };
    let indented = devices.replace('\n', "\n            ");
    writeln!(text, "Found:      {indented}").ok();
    let what = match next {
        Next::Shell => "a shell; the machine reboots when it ends".to_owned(),
        Next::OfferShell(after) => format!(
            "a shell, if Enter is pressed within {} s; then the machine reboots",
            after.as_secs()
        ),
        Next::Reboot(after) if disaster.trial => format!(
            "the machine reboots in {} s; when the tries are used up, the last good system starts by itself",
            after.as_secs()
        ),
        Next::Reboot(after) => format!(
            "the machine reboots in {} s (Ctrl-Alt-Del: at once); other entries are in the boot menu",
            after.as_secs()
        ),
        Next::Halt => "nothing: the machine stands still (rootctl.rescue=halt)".to_owned(),
    };
    writeln!(text, "Next:       {what}").ok();
    if rescue == Rescue::Shell && matches!(next, Next::Reboot(_)) {
        text.push_str("            (a shell was asked for, and there is none in this initramfs)\n");
    }
    text.push('\n');
    text
}

/// Shows the screen and does what it says.
pub fn stay(disaster: &Disaster, rescue: Rescue, voice: &mut Voice) -> ! {
    let has_shell = std::fs::metadata(SHELL).is_ok();
    let next = next(disaster, rescue, has_shell);
    let text = screen(disaster, rescue, next);
    // The log keeps it for whoever reads the console of a virtual machine later.
    voice.note(&text);
    voice.show(&text);
    match next {
        Next::Shell => shell(voice),
        Next::OfferShell(within) => {
            if sys::console::line_typed_within(within) {
                shell(voice);
            }
        }
        Next::Reboot(after) => std::thread::sleep(after),
        Next::Halt => stand_still(),
    }
    reboot(voice)
}

/// Reboots at once.
pub fn reboot(voice: &mut Voice) -> ! {
    match end(End::Reboot) {
        Err(error) => voice.fail(&sys::chain(&error)),
        Ok(never) => match never {},
    }
    stand_still()
}

/// PID 1 must not end.
fn stand_still() -> ! {
    loop {
        std::thread::park();
    }
}

/// Runs a shell on the console until it ends; says so if there is none.
pub fn shell(voice: &mut Voice) {
    let console = || match std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/console")
    {
        Ok(file) => Stdio::from(file),
        Err(_no_console) => Stdio::inherit(),
    };
    let started = Command::new(SHELL)
        .stdin(console())
        .stdout(console())
        .stderr(console())
        .status();
    if let Err(error) = started {
        voice.warn(format!("cannot run {SHELL}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disaster(trial: bool) -> Disaster {
        Disaster {
            wanted: "snapshot 7 on LABEL=system in mode ro, waiting at most 30 s".into(),
            why: "LABEL=system did not appear".into(),
            refused: vec![],
            devices: "vda   4.0 GiB  btrfs\nvdb   1.0 GiB  ext\n".into(),
            trial,
        }
    }

    #[test]
    fn the_screen_says_what_was_wanted_what_was_found_and_what_comes() {
        let next = next(&disaster(false), Rescue::Reboot, false);
        assert_eq!(
            screen(&disaster(false), Rescue::Reboot, next),
            "\n*** rootctl: this system cannot be started ***\n\n\
             Looked for: snapshot 7 on LABEL=system in mode ro, waiting at most 30 s\n\
             Failed:     LABEL=system did not appear\n\
             Found:      vda   4.0 GiB  btrfs\n            vdb   1.0 GiB  ext\n\
             Next:       the machine reboots in 300 s (Ctrl-Alt-Del: at once); other entries are in the boot menu\n\n"
        );
    }

    #[test]
    fn a_trial_goes_back_soon_and_an_empty_list_names_the_usual_cause() {
        let mut trial = disaster(true);
        trial.devices = String::new();
        let next = next(&trial, Rescue::Reboot, true);
        assert_eq!(next, Next::Reboot(SHOWN_ON_TRIAL));
        let text = screen(&trial, Rescue::Reboot, next);
        assert!(
            text.contains("in 10 s") && text.contains("driver may be missing"),
            "{text}"
        );
    }

    #[test]
    fn a_shell_that_does_not_exist_is_said_so_and_the_machine_reboots() {
        assert_eq!(next(&disaster(false), Rescue::Shell, true), Next::Shell);
        let next = next(&disaster(false), Rescue::Shell, false);
        assert_eq!(next, Next::Reboot(SHOWN));
        assert!(screen(&disaster(false), Rescue::Shell, next).contains("there is none"));
    }

    #[test]
    fn on_a_trial_the_shell_is_for_somebody_who_is_there() {
        let trial = disaster(true);
        let next = next(&trial, Rescue::Shell, true);
        assert_eq!(next, Next::OfferShell(SHOWN_ON_TRIAL));
        let text = screen(&trial, Rescue::Shell, next);
        assert!(
            text.contains("if Enter is pressed within 10 s") && !text.contains("there is none"),
            "{text}"
        );
    }

    #[test]
    fn halting_is_obeyed() {
        assert_eq!(next(&disaster(false), Rescue::Halt, true), Next::Halt);
    }
}

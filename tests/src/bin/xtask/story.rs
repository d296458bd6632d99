//! `cargo xtask demo --story`: from firmware to services, a second snapshot that is confirmed, a broken
//! one that comes back by itself, power off. Each step is seen on the console or told by the control
//! sockets, and printed with its time.

use anyhow::{Context, Result, ensure};
use std::time::Instant;
use tests::guest::{self, BOOT, PATIENCE};
use tests::qemu::{Firmware, Machine};
use tests::rootfs;
use tests::say;
use tests::system::{CONTAINER, PACKAGE, PACKAGE_FILE, System};

pub(crate) fn play(system: &System, firmware: Firmware) -> Result<()> {
    let mut story = Story {
        started: Instant::now(),
        machine: system.start(firmware)?,
        steps: 0,
    };
    let told = story.tell(system, firmware);
    let log = tests::paths::cache()?.join("story.log");
    std::fs::write(&log, story.machine.console.transcript())
        .with_context(|| format!("cannot write {}", log.display()))?;
    say::line(&format!("the whole console, with times: {}", log.display()));
    told?;
    say::line(&format!(
        "the story is told: {} steps in {:.1} s",
        story.steps,
        story.started.elapsed().as_secs_f64()
    ));
    Ok(())
}

struct Story {
    started: Instant,
    machine: Machine,
    steps: u32,
}

impl Story {
    fn tell(&mut self, system: &System, firmware: Firmware) -> Result<()> {
        self.power_on(system, firmware)?;
        self.look_around()?;
        self.install()?;
        self.second()?;
        self.broken()?;
        self.power_off()
    }

    /// One step: what should be seen, and how it is looked for. The answer is a detail to print.
    fn step(
        &mut self,
        what: &str,
        look: impl FnOnce(&mut Machine) -> Result<String>,
    ) -> Result<()> {
        let detail =
            look(&mut self.machine).with_context(|| format!("step {}: {what}", self.steps + 1))?;
        self.steps += 1;
        let detail = if detail.is_empty() {
            detail
        } else {
            format!(": {detail}")
        };
        say::line(&format!(
            "[{:7.1} s] {:2}. {what}{detail}",
            self.started.elapsed().as_secs_f64(),
            self.steps
        ));
        Ok(())
    }

    fn said(&mut self, what: &str, words: &str) -> Result<()> {
        self.step(what, |machine| machine.console.expect_line(words, BOOT))
    }

    fn power_on(&mut self, system: &System, firmware: Firmware) -> Result<()> {
        let greeting = match firmware {
            Firmware::Uefi => "BdsDxe: starting",
            Firmware::Bios => "SeaBIOS (version",
        };
        self.said("the firmware starts", greeting)?;
        if let Some(words) = system.loader().greeting(firmware) {
            let what = format!("{} starts an entry", system.loader().name());
            self.said(&what, words)?;
        }
        self.said("the kernel starts", "Linux version")?;
        self.said(
            "the boot stage has put the root together",
            guest::STAGE_WORDS,
        )?;
        self.said("rinit is process 1", guest::RINIT_WORDS)?;
        self.login()
    }

    fn login(&mut self) -> Result<()> {
        self.step("a login on the serial console", |machine| {
            machine.console.login(rootfs::PASSWORD, BOOT)?;
            machine.console.succeed(
                ". /etc/os-release; echo $PRETTY_NAME, $(uname -r)",
                PATIENCE,
            )
        })
    }

    fn look_around(&mut self) -> Result<()> {
        self.step("process 1 is rinit", |machine| {
            let program = machine.console.succeed("readlink /proc/1/exe", PATIENCE)?;
            ensure!(program.trim() == "/usr/bin/rinit", "process 1 is {program}");
            Ok(program)
        })?;
        self.step(
            "the root is an overlay over a read-only snapshot",
            |machine| {
                let kind = machine
                    .console
                    .succeed("findmnt --noheadings --output FSTYPE,OPTIONS /", PATIENCE)?;
                ensure!(kind.starts_with("overlay"), "the root is {kind}");
                let status = guest::status(&mut machine.console)?;
                ensure!(
                    status
                        .mode
                        .as_deref()
                        .is_some_and(|mode| mode.starts_with("tmpfs")),
                    "{status:?}"
                );
                Ok(status.reason.unwrap_or_default())
            },
        )?;
        self.step("services and a container run", |machine| {
            guest::services_up(&mut machine.console)
        })?;
        self.step("the network card has an address", |machine| {
            let said = guest::address(&mut machine.console)?;
            Ok(said.split(" scope").next().unwrap_or_default().to_owned())
        })?;
        self.step("the container has its own processes", |machine| {
            let list = machine
                .console
                .succeed("crun list || crun --root /run/crun list", PATIENCE)?;
            ensure!(
                list.contains(CONTAINER) || list.contains("running"),
                "crun says: {list}"
            );
            Ok(list.lines().last().unwrap_or_default().to_owned())
        })
    }

    fn install(&mut self) -> Result<()> {
        let install = format!(
            "rootctl run @booted --name second --note 'one package more' -- dpkg --install {PACKAGE}"
        );
        self.step(
            "rootctl run installs a package in a new snapshot",
            |machine| {
                machine.console.succeed(&install, PATIENCE)?;
                let here = machine
                    .console
                    .command(&format!("test -e {PACKAGE_FILE}"), PATIENCE)?
                    .0;
                ensure!(here != 0, "the running system has the new file already");
                machine.console.succeed("rootctl snap list", PATIENCE)
            },
        )
    }

    fn reboots(&mut self, what: &str, command: &str) -> Result<()> {
        self.step(what, |machine| {
            machine.console.send_line(command)?;
            let kernel = machine.expect("Linux version", 2 * BOOT)?;
            Ok(machine.console.line_at(&kernel).trim().to_owned())
        })?;
        self.login()
    }

    fn new_runs(&mut self) -> Result<()> {
        self.step("the new snapshot runs, with the package", |machine| {
            let word = machine
                .console
                .succeed(&format!("cat {PACKAGE_FILE}"), PATIENCE)?;
            let status = guest::status(&mut machine.console)?;
            ensure!(guest::number(status.booted) == 2, "{status:?}");
            Ok(format!("{} ({word})", status.reason.unwrap_or_default()))
        })
    }

    fn second(&mut self) -> Result<()> {
        self.step("rootctl deploys it, on trial", |machine| {
            machine.console.succeed("rootctl deploy second", PATIENCE)
        })?;
        self.reboots("the machine reboots", "rootctl power reboot")?;
        self.new_runs()?;
        self.step("the gate confirms it: it is the default now", |machine| {
            let status = guest::confirmed(&mut machine.console, 2)?;
            Ok(format!(
                "good is {}, previous is {}",
                guest::number(status.good),
                guest::number(status.previous)
            ))
        })
    }

    fn broken(&mut self) -> Result<()> {
        self.step(
            "a snapshot is made whose required service never gets ready",
            |machine| guest::make_snapshot(&mut machine.console, "broken", &guest::never_ready()),
        )?;
        self.step("it is deployed and booted", |machine| {
            machine
                .console
                .send_line("rootctl deploy broken --reboot")?;
            machine.expect("Linux version", 2 * BOOT)?;
            machine.console.expect_line("rootctl.snap=3", BOOT)
        })?;
        self.step(
            "by itself the machine is back on the second snapshot",
            |machine| {
                let line = machine.expect("rootctl.snap=2", 3 * BOOT)?;
                Ok(machine.console.line_at(&line).trim().to_owned())
            },
        )?;
        self.login()?;
        self.step("rootctl says why", |machine| {
            let status = guest::status(&mut machine.console)?;
            ensure!(
                guest::number(status.booted) == 2 && guest::number(status.good) == 2,
                "{status:?}"
            );
            let trial = status
                .trial
                .with_context(|| "the failed trial is not in the record".to_owned())?;
            ensure!(trial.phase == "failed", "{trial:?}");
            Ok(format!(
                "{} of {} tries, {}",
                trial.attempts,
                trial.tries_max,
                trial.reason.unwrap_or_default()
            ))
        })
    }

    fn power_off(&mut self) -> Result<()> {
        self.step(
            "everything stops in order and the power goes off",
            |machine| {
                machine.console.send_line("rootctl power poweroff")?;
                let line = machine.console.expect("reboot: Power down", BOOT)?.line;
                ensure!(machine.console.wait_end(PATIENCE), "QEMU still runs");
                Ok(line.trim().to_owned())
            },
        )
    }
}

//! Tier 3: real boots of an installed system: firmware, loader, boot stage, rinit, services; deploys that
//! are confirmed, and broken ones that come back by themselves within their counted tries.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tests::console::Console;
use tests::disk::btrfs;
use tests::disk::gpt::Purpose;
use tests::guest::{self, BOOT, PATIENCE, number};
use tests::qemu::{Firmware, Machine};
use tests::system::{Loader, MARK, MARK_WORDS, PACKAGE, PACKAGE_FILE, System};
use tests::tier::{self, Outcome, Tier, test};
use tests::{limine, rootfs};

fn main() -> std::process::ExitCode {
    let code = tier::main(
        Tier::Machine,
        vec![
            test("grub_on_uefi_from_firmware_to_login_and_power_off", || {
                to_login(Firmware::Uefi)
            }),
            test("grub_on_bios_from_firmware_to_login_and_power_off", || {
                to_login(Firmware::Bios)
            }),
            test(
                "a_deployed_snapshot_is_tried_confirmed_and_stays_the_default",
                || deploys(Loader::Grub, Firmware::Uefi),
            ),
            test("grub_on_bios_tries_confirms_and_keeps", || {
                deploys(Loader::Grub, Firmware::Bios)
            }),
            test("a_kernel_that_panics_comes_back_to_the_old_system", panics),
            test("a_root_without_rinit_comes_back_to_the_old_system", || {
                no_rinit(Loader::Grub, Firmware::Uefi, None)
            }),
            test(
                "a_service_that_never_gets_ready_comes_back_to_the_old_system",
                never_ready,
            ),
            test("the_root_is_found_by_what_its_partition_is", forms),
            test(
                "a_root_that_is_absent_is_told_on_the_console_and_a_try_goes_back",
                absent,
            ),
            test(
                "the_first_entry_of_the_limine_menu_boots_without_limine",
                limine_stand_in,
            ),
            test("limine_on_uefi_from_firmware_to_login", || {
                limine_to_login(Firmware::Uefi)
            }),
            test("limine_on_bios_from_firmware_to_login", || {
                limine_to_login(Firmware::Bios)
            }),
            test("limine_on_uefi_tries_confirms_and_keeps", || {
                with_limine(|| deploys(Loader::Limine, Firmware::Uefi))
            }),
            test("limine_on_bios_tries_confirms_and_keeps", || {
                with_limine(|| deploys(Loader::Limine, Firmware::Bios))
            }),
            test(
                "limine_on_uefi_comes_back_from_a_root_without_rinit",
                || with_limine(|| no_rinit(Loader::Limine, Firmware::Uefi, None)),
            ),
            test("limine_on_bios_comes_back_within_two_tries", || {
                with_limine(|| no_rinit(Loader::Limine, Firmware::Bios, Some(2)))
            }),
        ],
    );
    // What is static is never dropped, and these are disks.
    made().clear();
    code
}

/// The disks made so far, one per loader: or why there is none.
fn made() -> MutexGuard<'static, Made> {
    static MADE: Mutex<Made> = Mutex::new(BTreeMap::new());
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

type Made = BTreeMap<&'static str, Result<System, String>>;

/// A fresh copy of the disk with this loader.
fn system(loader: Loader) -> Result<System> {
    let mut made = made();
    let install = || System::install(loader).map_err(|why| format!("{why:#}"));
    let first = made.entry(loader.name()).or_insert_with(install);
    first
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?
        .copy()
}

/// Logs in and waits until everything enabled runs.
fn log_in(console: &mut Console) -> Result<()> {
    console.login(rootfs::PASSWORD, BOOT)?;
    guest::services_up(console).map(drop)
}

fn power_off(mut machine: Machine) -> Result<Outcome> {
    machine.console.send_line("rootctl power poweroff")?;
    machine.console.expect("reboot: Power down", BOOT)?;
    machine.wait_off(PATIENCE)?;
    Ok(Outcome::Passed)
}

fn to_login(firmware: Firmware) -> Result<Outcome> {
    let system = system(Loader::Grub)?;
    let mut machine = system.boot(firmware, 2 * BOOT)?;
    log_in(&mut machine.console)?;
    let status = guest::status(&mut machine.console)?;
    ensure!(
        (number(status.booted), number(status.good)) == (1, 1),
        "{status:?}"
    );
    guest::address(&mut machine.console)?;
    power_off(machine)
}

fn deploys(loader: Loader, firmware: Firmware) -> Result<Outcome> {
    let system = system(loader)?;
    let mut machine = system.boot(firmware, 2 * BOOT)?;
    log_in(&mut machine.console)?;
    guest::make_snapshot(
        &mut machine.console,
        "second",
        &format!("dpkg --install {PACKAGE}"),
    )?;
    deploy(&mut machine, "deploy second", 2)?;
    log_in(&mut machine.console)?;
    machine
        .console
        .succeed(&format!("test -e {PACKAGE_FILE}"), PATIENCE)?;
    let status = guest::confirmed(&mut machine.console, 2)?;
    ensure!(number(status.previous) == 1, "{status:?}");
    logged(&mut machine.console, "snap=1 try=- rinit")?;
    logged(&mut machine.console, "snap=2 try=1 rinit")?;
    // The default has moved: a cut of the power, without a word to the guest, comes up there again. With another emulator,
    // as OVMF does not always begin anew in one that was reset from outside.
    drop(machine);
    let mut machine = system.boot(firmware, 2 * BOOT)?;
    machine.console.expect("rootctl.snap=2 ", BOOT)?;
    log_in(&mut machine.console)?;
    power_off(machine)
}

/// Sees this line, a basic regular expression, in the logs: `/var` is shared by all snapshots.
fn logged(console: &mut Console, line: &str) -> Result<()> {
    let look = format!("grep -rhm 1 '{line}' /var/log/rinit");
    console.succeed(&look, PATIENCE).map(drop)
}

/// Deploys a snapshot, reboots, and sees its number on the kernel's command line.
fn deploy(machine: &mut Machine, words: &str, id: u32) -> Result<()> {
    machine
        .console
        .send_line(&format!("rootctl {words} --reboot"))?;
    booted(machine, id)
}

/// Waits for a kernel that was started for snapshot `id`.
fn booted(machine: &mut Machine, id: u32) -> Result<()> {
    machine.expect("Linux version", 2 * BOOT)?;
    machine
        .console
        .expect(&format!("rootctl.snap={id} "), BOOT)?;
    Ok(())
}

/// What is broken, and under which loader.
struct Broken<'a> {
    loader: Loader,
    firmware: Firmware,
    /// Run in the copy before it is published.
    script: &'a str,
    /// Run in the old system afterwards.
    tamper: &'a str,
    /// How many tries are asked for, and must be seen.
    tries: Option<u8>,
    /// A line of the failed try that must be in the logs afterwards, as a basic regular expression.
    logged: Option<&'a str>,
}

impl Broken<'_> {
    const fn on_grub() -> Self {
        Self {
            loader: Loader::Grub,
            firmware: Firmware::Uefi,
            script: "true",
            tamper: "true",
            tries: None,
            logged: None,
        }
    }
}

/// Breaks a copy of the running snapshot, deploys it, and sees the old system again with the reason told.
fn comes_back(broken: &Broken<'_>) -> Result<Outcome> {
    let system = system(broken.loader)?;
    let mut machine = system.boot(broken.firmware, 2 * BOOT)?;
    log_in(&mut machine.console)?;
    guest::make_snapshot(&mut machine.console, "broken", broken.script)?;
    machine.console.succeed(broken.tamper, PATIENCE)?;
    let words = match broken.tries {
        Some(tries) => format!("deploy broken --try {tries}"),
        None => "deploy broken".to_owned(),
    };
    deploy(&mut machine, &words, 2)?;
    machine.expect("rootctl.snap=1 ", 4 * BOOT)?;
    let entered = machine
        .console
        .transcript()
        .matches("Command line: ")
        .count();
    log_in(&mut machine.console)?;
    let status = guest::until(&mut machine.console, PATIENCE, guest::status, |status| {
        status
            .trial
            .as_ref()
            .is_some_and(|trial| trial.phase == "failed")
    })?;
    ensure!(
        (number(status.booted), number(status.good)) == (1, 1),
        "{status:?}"
    );
    let trial = status.trial.context("the record has no trial")?;
    ensure!(trial.reason.is_some(), "no reason is told: {trial:?}");
    ensure!(
        broken.tries.is_none_or(|tries| tries == trial.attempts),
        "{trial:?}"
    );
    // The first boot, at most as many tries as allowed, and the boot back.
    ensure!(
        entered <= 2 + usize::from(trial.tries_max),
        "{entered} boots for {trial:?}"
    );
    if let Some(line) = broken.logged {
        logged(&mut machine.console, line)?;
    }
    power_off(machine)
}

fn panics() -> Result<Outcome> {
    // A program that needs a loader which no initramfs has: the kernel finds no init and panics.
    comes_back(&Broken {
        script: "cp /usr/bin/false /usr/lib/rootctl/rinit-boot",
        ..Broken::on_grub()
    })
}

fn no_rinit(loader: Loader, firmware: Firmware, tries: Option<u8>) -> Result<Outcome> {
    // rootctl publishes no root without rinit, so it is lost afterwards, as by a fault of the disk.
    comes_back(&Broken {
        loader,
        firmware,
        tries,
        tamper: "mkdir -p /run/top && mount -t btrfs -o subvolid=5 LABEL=rootctl /run/top && \
             btrfs property set -f /run/top/rootctl/snaps/2/root ro false && \
             rm /run/top/rootctl/snaps/2/root/usr/bin/rinit && \
             btrfs property set /run/top/rootctl/snaps/2/root ro true && umount /run/top",
        ..Broken::on_grub()
    })
}

fn never_ready() -> Result<Outcome> {
    comes_back(&Broken {
        script: &guest::never_ready(),
        logged: Some("snap=2 try=1 rinit.*never"),
        ..Broken::on_grub()
    })
}

/// Forms of `root=` that need a partition table.
fn forms() -> Result<Outcome> {
    let system = system(Loader::Grub)?;
    let id = &system.disk().partition(Purpose::Linux)?.id;
    let number = system.disk().number(Purpose::Linux)?;
    for form in [
        format!("PARTUUID={id}"),
        "PARTLABEL=rootctl".to_owned(),
        format!("/dev/vda{number}"),
    ] {
        let words = format!("root={form} rootctl.mode=tmpfs rootctl.init={MARK}");
        let mut machine = system.start_with_line(&words)?;
        machine
            .console
            .expect(MARK_WORDS, BOOT)
            .with_context(|| form.clone())?;
        machine.wait_off(BOOT)?;
    }
    Ok(Outcome::Passed)
}

fn absent() -> Result<Outcome> {
    let system = system(Loader::Grub)?;
    let uuid = btrfs::uuid(system.disk())?;
    let words = "root=LABEL=nosuchdisk rootctl.snap=1 rootctl.wait=2 rootctl.trial";
    let mut machine = system.start_with_line(words)?;
    for words in [
        "this system cannot be started",
        "Looked for: snapshot 1 on LABEL=nosuchdisk in mode ro, waiting at most 2 s",
        "Failed:     LABEL=nosuchdisk did not appear",
        &format!("btrfs  UUID={uuid}  LABEL=\"rootctl\""),
        "Next:       the machine reboots in 10 s; when the tries are used up, the last good system starts",
        // It does, and this machine has nothing else to start.
        "Linux version",
    ] {
        machine.console.expect(words, BOOT)?;
    }
    Ok(Outcome::Passed)
}

fn limine_stand_in() -> Result<Outcome> {
    let system = system(Loader::Limine)?;
    let mut machine = system.start_first_limine_entry()?;
    log_in(&mut machine.console)?;
    power_off(machine)
}

fn limine_to_login(firmware: Firmware) -> Result<Outcome> {
    with_limine(|| {
        let system = system(Loader::Limine)?;
        let mut machine = system.boot(firmware, 2 * BOOT)?;
        log_in(&mut machine.console)?;
        power_off(machine)
    })
}

fn with_limine(test: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    match limine::folder() {
        Ok(_) => test(),
        Err(reason) => Ok(Outcome::Skipped(format!("{reason:#}"))),
    }
}

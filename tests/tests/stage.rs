//! Tier 2: the boot stage against real btrfs images on loop devices: `rinit-boot --assemble` in namespaces,
//! with the kernel command line of our choice. The whole `/init` is tested in QEMU.

use anyhow::{Context, Result, ensure};
use rootspec::meta::Image;
use rootspec::paths::store as names;
use rootspec::state::State;
use rootspec::trial::{Phase, Trial};
use std::path::Path;
use tests::disk::btrfs;
use tests::host;
use tests::run;
use tests::stage_run::{LINK, boot, boot_by, boot_late, boot_line};
use tests::store_image::{self, StoreImage, id, write_state};
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "mode_ro_mounts_the_sealed_root_with_its_own_etc_and_the_shared_var",
                mode_ro,
            ),
            test("mode_tmpfs_takes_changes_and_forgets_them", mode_tmpfs),
            test(
                "mode_persist_keeps_changes_apart_from_the_snapshot",
                mode_persist,
            ),
            test("mode_rw_is_refused_for_the_last_good_snapshot", mode_rw),
            test(
                "a_snapshot_in_mode_rw_keeps_changes_and_is_a_retreat_once_sealed",
                writable,
            ),
            test("an_image_of_squashfs_boots_under_an_overlay", || {
                image(Image::Squashfs, "squashfs")
            }),
            test("an_image_of_erofs_boots_under_an_overlay", || {
                image(Image::Erofs, "erofs")
            }),
            test("without_a_wish_the_last_good_snapshot_boots", no_wish),
            test("snapshots_are_found_by_what_they_are", by_role),
            test(
                "a_missing_snapshot_falls_back_to_the_good_one_and_says_why",
                missing,
            ),
            test(
                "a_truncated_meta_file_falls_back_to_the_good_one",
                truncated_meta,
            ),
            test(
                "a_meta_file_of_the_future_falls_back_to_the_good_one",
                future_meta,
            ),
            test("a_store_of_the_future_is_left_alone", future_store),
            test("an_exchanged_root_is_noticed", exchanged),
            test(
                "one_damaged_slot_of_the_record_changes_nothing",
                one_bad_slot,
            ),
            test(
                "two_damaged_slots_obey_the_command_line_and_count_nothing",
                two_bad_slots,
            ),
            test("a_record_of_the_future_is_left_as_it_is", future_record),
            test("without_a_record_the_command_line_is_obeyed", no_record),
            test("a_try_is_counted_before_the_root_is_entered", counts),
            test("a_trial_without_tries_left_ends_in_a_reboot", used_up),
            test("an_absent_device_is_named_when_the_deadline_passes", absent),
            test("the_device_is_named_in_every_form", forms),
            test("a_device_that_comes_late_is_waited_for", late),
        ],
    )
}

fn mode_ro() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let first = boot(&image, "rootctl.snap=1 rootctl.mode=ro")?;
    ensure!(first.good()?.word()? == "snapshot 1");
    ensure!(
        first.sh("echo x > /sysroot/usr/x").is_err(),
        "the root is writable"
    );
    first.sh("echo mine > /sysroot/etc/mine; echo data > /sysroot/var/data")?;
    let report = first.report()?;
    ensure!(
        report.snapshot == id(1) && !report.degraded && report.mode == "ro",
        "{report:?}"
    );
    drop(first);
    let again = boot(&image, "rootctl.snap=1")?;
    ensure!(
        again
            .good()?
            .sh("cat /sysroot/etc/mine /sysroot/var/data")?
            == "mine\ndata\n"
    );
    drop(again);
    let other = boot(&image, "rootctl.snap=2")?;
    ensure!(
        other.good()?.sh("cat /sysroot/var/data")? == "data\n",
        "/var is not shared"
    );
    Ok(Outcome::Passed)
}

fn mode_tmpfs() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let first = boot(&image, "rootctl.snap=2 rootctl.mode=tmpfs:size=1M")?;
    ensure!(first.good()?.word()? == "snapshot 2");
    first.sh("echo changed > /sysroot/etc/word && rm -r /sysroot/usr")?;
    let full = first.sh("busybox dd if=/dev/zero of=/sysroot/big bs=64k count=32 2>&1; busybox stat -c %s /sysroot/big")?;
    ensure!(
        !full.contains("2097152"),
        "the size limit does not hold: {full}"
    );
    ensure!(
        first.sh("cat /run/rootctl/lower/etc/word")? == "snapshot 2\n",
        "the lower root has changed"
    );
    drop(first);
    ensure!(
        boot(&image, "rootctl.snap=2 rootctl.mode=tmpfs")?
            .good()?
            .word()?
            == "snapshot 2"
    );
    Ok(Outcome::Passed)
}

fn mode_persist() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let line = "rootctl.snap=2 rootctl.mode=persist:dev";
    let first = boot(&image, line)?;
    first
        .good()?
        .sh("echo kept > /sysroot/etc/word && echo new > /sysroot/usr/new")?;
    drop(first);
    let again = boot(&image, line)?;
    ensure!(again.good()?.word()? == "kept", "changes are lost");
    drop(again);
    ensure!(
        boot(&image, "rootctl.snap=2")?.good()?.word()? == "snapshot 2",
        "the snapshot has changed"
    );
    Ok(Outcome::Passed)
}

fn mode_rw() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let run = boot(&image, "rootctl.snap=2 rootctl.mode=rw")?;
    ensure!(
        run.good()?.sh("echo x > /sysroot/usr/x").is_err(),
        "the last good snapshot is writable"
    );
    let warnings = run.report()?.warnings.join("\n");
    ensure!(
        warnings.contains("rw") && warnings.contains("good"),
        "no warning: {warnings}"
    );
    Ok(Outcome::Passed)
}

fn writable() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| store_image::add_snapshot(top, 3))?;
    let line = "rootctl.snap=3 rootctl.mode=rw";
    boot(&image, line)?.good()?.sh("echo x > /sysroot/usr/x")?;
    boot(&image, line)?
        .good()?
        .sh("test -e /sysroot/usr/x && echo y > /sysroot/usr/y")?;
    let mut state = image.state()?.state.context("no record")?;
    (state.good, state.previous, state.seq) = (id(3), id(2), state.seq + 1);
    image.edit(|top| write_state(top, &state))?;
    // As the good one it is changed no more, in its own mode too.
    let again = boot(&image, line)?;
    ensure!(
        again
            .good()?
            .sh("test -e /sysroot/usr/y && echo z > /sysroot/usr/z")
            .is_err()
    );
    drop(again);
    let absent = "rootctl.snap=9 rootctl.mode=ro";
    let run = boot(&image, absent)?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let reason = run.report()?.reason;
    ensure!(reason.contains("that was good before"), "{reason}");
    drop(run);
    // What rootctl does when it makes a snapshot the default.
    image.edit(|top| {
        run::quiet(
            run::command("btrfs", ["property", "set", "-t", "subvol"])
                .arg(snapshot(top, 3).join(names::ROOT))
                .args(["ro", "true"]),
        )
    })?;
    let run = boot(&image, absent)?;
    ensure!(run.good()?.word()? == "snapshot 3", "{:?}", run.report()?);
    Ok(Outcome::Passed)
}

fn image(kind: Image, name: &str) -> Result<Outcome> {
    if !host::knows_file_system(name)? {
        return Ok(Outcome::Skipped(format!(
            "this kernel has no {name} (/proc/filesystems, after modprobe)"
        )));
    }
    let image = StoreImage::new()?;
    image.edit(|top| store_image::add_image_snapshot(top, 3, kind))?;
    let run = boot(&image, "rootctl.snap=3 rootctl.mode=image")?;
    ensure!(run.good()?.word()? == "snapshot 3");
    run.sh("echo x > /sysroot/usr/x")?;
    Ok(Outcome::Passed)
}

fn no_wish() -> Result<Outcome> {
    let image = StoreImage::new()?;
    ensure!(boot(&image, "")?.good()?.word()? == "snapshot 2");
    Ok(Outcome::Passed)
}

fn by_role() -> Result<Outcome> {
    let image = StoreImage::new()?;
    for (word, root, reason) in [
        ("good", "snapshot 2", "the last good snapshot"),
        ("previous", "snapshot 1", "before the last good one"),
    ] {
        let run = boot(&image, &format!("rootctl.snap={word}"))?;
        ensure!(run.good()?.word()? == root, "{word}: {}", run.word()?);
        let report = run.report()?;
        ensure!(
            !report.degraded && report.reason.contains(reason),
            "{report:?}"
        );
    }
    Ok(Outcome::Passed)
}

fn falls_back(image: &StoreImage, words: &[&str]) -> Result<Outcome> {
    let run = boot(image, "rootctl.snap=1")?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let report = run.report()?;
    ensure!(report.degraded && report.requested == id(1), "{report:?}");
    for word in words {
        ensure!(
            report.reason.contains(word),
            "{word:?} is not in: {}",
            report.reason
        );
    }
    Ok(Outcome::Passed)
}

fn snapshot(top: &Path, number: u32) -> std::path::PathBuf {
    top.join(names::DIR)
        .join(names::SNAPS)
        .join(number.to_string())
}

fn missing() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        run::quiet(
            run::command("btrfs", ["subvolume", "delete"]).arg(snapshot(top, 1).join(names::ROOT)),
        )?;
        Ok(std::fs::remove_dir_all(snapshot(top, 1))?)
    })?;
    falls_back(&image, &["snapshot 1", "does not exist", "last good"])
}

fn truncated_meta() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        let file = snapshot(top, 1).join(names::META);
        let text = std::fs::read(&file)?;
        Ok(std::fs::write(
            &file,
            text.get(..text.len() / 2).unwrap_or_default(),
        )?)
    })?;
    falls_back(&image, &["snapshot 1", names::META])
}

/// Replaces words in a file of the store.
fn edit_file(file: &Path, old: &str, new: &str) -> Result<()> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(text.contains(old), "{old:?} is not in {text}");
    std::fs::write(file, text.replace(old, new))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn future_meta() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        let file = snapshot(top, 1).join(names::META);
        edit_file(&file, "schema = 1\n", "schema = 9\n")
    })?;
    falls_back(&image, &["snapshot 1", names::META, "9", "last good"])
}

fn future_store() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        let file = top.join(names::DIR).join(names::FORMAT);
        edit_file(&file, names::FORMAT_VERSION, "9")
    })?;
    let before = image.state()?;
    boot(&image, "rootctl.snap=1")?.failed(1, &["layout is \"9\"", "update the initramfs"])?;
    boot(&image, "rootctl.snap=1 rootctl.trial")?.failed(3, &["update the initramfs"])?;
    ensure!(image.state()? == before, "the record was written");
    Ok(Outcome::Passed)
}

fn exchanged() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        let root = snapshot(top, 1).join(names::ROOT);
        run::quiet(run::command("btrfs", ["subvolume", "delete"]).arg(&root))?;
        let other = snapshot(top, 2).join(names::ROOT);
        run::quiet(
            run::command("btrfs", ["subvolume", "snapshot", "-r"])
                .arg(other)
                .arg(root),
        )
    })?;
    falls_back(&image, &["UUID", "exchanged"])
}

/// Damages bytes of the record.
fn damage(image: &StoreImage, places: &[usize]) -> Result<()> {
    image.edit(|top| {
        let file = top.join(names::DIR).join(names::STATE);
        let mut bytes = std::fs::read(&file)?;
        for place in places {
            let byte = bytes.get_mut(*place).context("the record is short")?;
            *byte ^= 0xFF;
        }
        Ok(std::fs::write(&file, bytes)?)
    })
}

fn one_bad_slot() -> Result<Outcome> {
    let image = StoreImage::new()?;
    // The newer slot is the one that breaks: the older record says the same here.
    let state = State {
        seq: 1,
        ..image.state()?.state.context("no record")?
    };
    image.edit(|top| write_state(top, &state))?;
    damage(&image, &[4096 + 10])?;
    let run = boot(&image, "")?;
    ensure!(run.good()?.word()? == "snapshot 2");
    ensure!(
        run.report()?.warnings.join("\n").contains("slot 1"),
        "{:?}",
        run.report()?.warnings
    );
    Ok(Outcome::Passed)
}

fn two_bad_slots() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let state = State {
        seq: 1,
        ..image.state()?.state.context("no record")?
    };
    image.edit(|top| write_state(top, &state))?;
    damage(&image, &[10, 4096 + 10])?;
    let before = image.state()?;
    let run = boot(&image, "rootctl.snap=1")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    ensure!(
        run.report()?.warnings.join("\n").contains("rootctl status"),
        "{:?}",
        run.report()?.warnings
    );
    drop(run);
    ensure!(image.state()? == before, "the record was written");
    Ok(Outcome::Passed)
}

fn future_record() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        write_state(
            top,
            &State {
                schema: 99,
                seq: 1,
                ..State::empty()
            },
        )
    })?;
    let before = image.state()?;
    let run = boot(&image, "rootctl.snap=1")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    drop(run);
    ensure!(
        image.state()? == before && before.from_the_future,
        "{before:?}"
    );
    Ok(Outcome::Passed)
}

fn no_record() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let file = |top: &Path| top.join(names::DIR).join(names::STATE);
    image.edit(|top| Ok(std::fs::remove_file(file(top))?))?;
    let run = boot(&image, "rootctl.snap=1")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    let warnings = run.report()?.warnings.join("\n");
    ensure!(warnings.contains("no readable state record"), "{warnings}");
    drop(run);
    // Nobody says any more which one is good: the newest is taken, and that is told.
    let run = boot(&image, "")?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let report = run.report()?;
    ensure!(
        report.degraded && report.reason.contains("none is marked good"),
        "{report:?}"
    );
    drop(run);
    image.edit(|top| {
        ensure!(!file(top).exists(), "the boot stage made a record");
        Ok(())
    })?;
    Ok(Outcome::Passed)
}

fn on_trial(image: &StoreImage, number: u32, tries: u8) -> Result<()> {
    let mut state = image.state()?.state.context("no record")?;
    state.good = id(2);
    state.previous = None;
    state.trial = id(number).map(|id| Trial::armed(id, tries));
    state.seq += 1;
    image.edit(|top| write_state(top, &state))
}

fn counts() -> Result<Outcome> {
    let image = StoreImage::new()?;
    on_trial(&image, 1, 2)?;
    let run = boot(&image, "rootctl.snap=1")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    let report = run.report()?;
    ensure!(
        report.try_number == Some(1) && report.tries_max == Some(2),
        "{report:?}"
    );
    drop(run);
    let trial = image
        .state()?
        .state
        .and_then(|state| state.trial)
        .context("the trial is gone")?;
    ensure!(
        trial.attempts == 1 && trial.phase == Phase::Trying,
        "{trial:?}"
    );
    Ok(Outcome::Passed)
}

fn used_up() -> Result<Outcome> {
    let image = StoreImage::new()?;
    on_trial(&image, 1, 1)?;
    boot(&image, "rootctl.snap=1")?.good()?;
    boot(&image, "rootctl.snap=1")?.failed(3, &["trial", "snapshot 1"])?;
    let trial = image
        .state()?
        .state
        .and_then(|state| state.trial)
        .context("the trial is gone")?;
    ensure!(
        trial.phase == Phase::Failed && trial.attempts == 1,
        "{trial:?}"
    );
    ensure!(boot(&image, "")?.good()?.word()? == "snapshot 2");
    Ok(Outcome::Passed)
}

fn absent() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let run = boot_line(&image, "root=LABEL=nosuchdisk rootctl.wait=1")?;
    run.failed(1, &["LABEL=nosuchdisk", "did not appear"])?;
    Ok(Outcome::Passed)
}

fn forms() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let uuid = btrfs::uuid_at(image.file(), 0)?;
    let forms: [&dyn Fn(&Path) -> String; 4] = [
        &|device| device.display().to_string(),
        &|_| LINK.to_owned(),
        &|_| format!("UUID={uuid}"),
        &|_| format!("LABEL={}", image.label),
    ];
    for form in forms {
        let run = boot_by(&image, |device| {
            format!("root={} rootctl.snap=1", form(device))
        })?;
        ensure!(
            run.good()?.word()? == "snapshot 1",
            "{}",
            form(LINK.as_ref())
        );
    }
    Ok(Outcome::Passed)
}

fn late() -> Result<Outcome> {
    let image = StoreImage::new()?;
    // Without its message the time would pass and the boot would fail.
    let run = boot_late(&image, "rootctl.snap=1 rootctl.wait=20")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    Ok(Outcome::Passed)
}

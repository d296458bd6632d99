//! Tier 2: what the boot stage writes and must not write: a deployment's `/etc` at its first boot, the reason
//! of a failed try, and nothing at all on an ordinary boot. Real btrfs images, in namespaces.

use anyhow::{Context, Result, ensure};
use rootspec::paths::store as names;
use rootspec::state::State;
use rootspec::trial::{Phase, Trial};
use std::fs;
use std::path::Path;
use tests::run;
use tests::stage_run::{StageRun, boot, boot_line};
use tests::store_image::{BALLAST, StoreImage, fill, id, write_state};
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "the_first_boot_merges_etc_forward_and_the_next_leaves_it_alone",
                merges,
            ),
            test("what_a_cut_merge_left_is_made_again", cut_merge),
            test("each_deployment_keeps_its_own_etc", own_etc),
            test(
                "where_the_named_etc_is_gone_that_of_the_good_system_is_taken_over",
                lost_etc,
            ),
            test(
                "a_try_that_fails_is_recorded_and_ends_in_a_reboot",
                failed_try,
            ),
            test(
                "a_try_that_finds_no_root_ends_in_a_reboot",
                try_without_root,
            ),
            test(
                "a_try_that_cannot_be_counted_for_want_of_a_record_is_not_entered",
                try_without_record,
            ),
            test(
                "a_try_booted_without_counting_falls_back_like_any_other",
                uncounted,
            ),
            test(
                "a_trial_whose_menu_cannot_be_put_back_is_not_entered",
                stuck_menu,
            ),
            test("an_ordinary_boot_writes_nothing", writes_nothing),
            test(
                "the_plan_of_the_snapshot_that_boots_is_passed_on",
                passes_plan_on,
            ),
            test(
                "a_writable_root_that_cannot_be_made_leaves_the_snapshot_bootable",
                no_folder_for_roots,
            ),
            test(
                "on_a_full_disk_no_try_is_entered_and_the_good_system_boots",
                full_at_a_try,
            ),
            test(
                "a_first_boot_without_room_for_its_etc_goes_back_and_is_whole_later",
                full_at_a_merge,
            ),
            test(
                "factory_and_tmpfs_leave_the_deployments_etc_alone",
                policies,
            ),
            test("without_a_named_device_the_only_store_is_found", any_store),
        ],
    )
}

/// Changes the sealed root of a snapshot.
fn change(top: &Path, number: u32, work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let root = snapshot(top, number).join(names::ROOT);
    let seal = |ro: &str| {
        run::quiet(
            run::command("btrfs", ["property", "set", "-f", "-t", "subvol"])
                .arg(&root)
                .args(["ro", ro]),
        )
    };
    seal("false")?;
    work(&root)?;
    seal("true")
}

fn snapshot(top: &Path, number: u32) -> std::path::PathBuf {
    top.join(names::DIR)
        .join(names::SNAPS)
        .join(number.to_string())
}

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    let path = root.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// An image whose snapshot 2 ships another `/etc` than snapshot 1 and takes over that of deployment 1.
fn with_successor() -> Result<StoreImage> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        change(top, 1, |root| {
            for name in ["mine", "theirs", "both", "gone", "dropped"] {
                write(&root.join("etc"), name, "old\n")?;
            }
            write(&root.join("etc"), "passwd", "root:x:0\n")
        })?;
        change(top, 2, |root| {
            let etc = root.join("etc");
            for (name, text) in [
                ("mine", "old\n"),
                ("theirs", "upstream\n"),
                ("both", "upstream\n"),
                ("gone", "old\n"),
                ("new", "new\n"),
                ("passwd", "root:x:0\nsshd:x:101\n"),
            ] {
                write(&etc, name, text)?;
            }
            Ok(())
        })?;
        let file = snapshot(top, 2).join(names::META);
        let text = fs::read_to_string(&file).context("cannot read a meta file")?;
        // Before the first table.
        fs::write(&file, format!("etc_base = 1\n{text}")).context("cannot write a meta file")
    })?;
    Ok(image)
}

/// Boots snapshot 1 and lives in its `/etc` a little.
fn live_in(image: &StoreImage) -> Result<()> {
    let run = boot(image, "rootctl.snap=1")?;
    run.good()?.sh(
        "cd /sysroot/etc && echo local > mine && echo local > both && rm gone && \
         echo anna:x:1000 >> passwd && echo id > machine-id && echo own > own",
    )?;
    Ok(())
}

fn contents(run: &StageRun) -> Result<String> {
    run.good()?
        .sh("cd /sysroot/etc && for f in *; do echo \"$f: $(cat $f | busybox paste -sd,)\"; done")
}

const MERGED: &str = "both: local\nboth.rootctl-new: upstream\nmachine-id: id\nmine: local\nnew: new\nown: own\n\
    passwd: root:x:0,anna:x:1000,sshd:x:101\ntheirs: upstream\nword: snapshot 2\n";

fn merges() -> Result<Outcome> {
    let image = with_successor()?;
    live_in(&image)?;
    let first = boot(&image, "rootctl.snap=2")?;
    let found = contents(&first)?;
    ensure!(found == MERGED, "{found}");
    let warnings = first.report()?.warnings.join("\n");
    ensure!(
        warnings.contains("/etc/both"),
        "the conflict is not told: {warnings}"
    );
    first.sh("echo later > /sysroot/etc/theirs")?;
    drop(first);
    let again = boot(&image, "rootctl.snap=2")?;
    ensure!(contents(&again)? == MERGED.replace("theirs: upstream", "theirs: later"));
    ensure!(again.report()?.warnings.is_empty());
    Ok(Outcome::Passed)
}

fn cut_merge() -> Result<Outcome> {
    let image = with_successor()?;
    live_in(&image)?;
    image.edit(|top| {
        let left = top.join(names::DIR).join(names::ETC).join("2.new");
        run::quiet(run::command("btrfs", ["subvolume", "create"]).arg(&left))?;
        write(&left, "half", "half\n")
    })?;
    let found = contents(&boot(&image, "rootctl.snap=2")?)?;
    ensure!(found == MERGED, "{found}");
    image.edit(|top| {
        let left = top.join(names::DIR).join(names::ETC).join("2.new");
        ensure!(!left.exists(), "the unfinished one is still there");
        Ok(())
    })?;
    Ok(Outcome::Passed)
}

fn own_etc() -> Result<Outcome> {
    let image = with_successor()?;
    live_in(&image)?;
    boot(&image, "rootctl.snap=2")?.good()?;
    let back = boot(&image, "rootctl.snap=1")?;
    let old = back
        .good()?
        .sh("cat /sysroot/etc/both /sysroot/etc/theirs")?;
    ensure!(old == "local\nold\n", "{old}");
    Ok(Outcome::Passed)
}

fn lost_etc() -> Result<Outcome> {
    let image = with_successor()?;
    live_in(&image)?;
    let make_good = |number| {
        image.edit(|top| {
            let state = State {
                seq: u64::from(number),
                good: id(number),
                next_id: 4,
                ..State::empty()
            };
            write_state(top, &state)
        })
    };
    make_good(1)?;
    // It names a base that never was.
    image.edit(|top| {
        let file = snapshot(top, 2).join(names::META);
        let text = fs::read_to_string(&file).context("cannot read a meta file")?;
        let text = text.replace("etc_base = 1", "etc_base = 9");
        fs::write(&file, text).context("cannot write a meta file")
    })?;
    let run = boot(&image, "rootctl.snap=2")?;
    let found = contents(&run)?;
    ensure!(found == MERGED, "{found}");
    let warnings = run.report()?.warnings.join("\n");
    ensure!(
        warnings.contains("/etc of snapshot 9") && warnings.contains("of snapshot 1 is taken over"),
        "{warnings}"
    );
    drop(run);
    // Now the good one has none either: the report says that it begins as shipped.
    image.edit(|top| {
        for number in ["1", "2"] {
            let etc = top.join(names::DIR).join(names::ETC).join(number);
            run::quiet(run::command("btrfs", ["subvolume", "delete"]).arg(etc))?;
        }
        Ok(())
    })?;
    let run = boot(&image, "rootctl.snap=2")?;
    ensure!(run.good()?.sh("cat /sysroot/etc/both")? == "upstream\n");
    let warnings = run.report()?.warnings.join("\n");
    ensure!(warnings.contains("begins as shipped"), "{warnings}");
    Ok(Outcome::Passed)
}

fn on_trial(image: &StoreImage, tries: u8) -> Result<()> {
    image.edit(|top| {
        change(top, 1, |root| {
            let init = root.join("usr/bin/rinit");
            fs::remove_file(&init).with_context(|| format!("cannot delete {}", init.display()))
        })?;
        let state = State {
            seq: 1,
            good: id(2),
            next_id: 3,
            trial: Some(Trial::armed(id(1).context("1 is an id")?, tries)),
            ..State::empty()
        };
        write_state(top, &state)
    })
}

fn failed_try() -> Result<Outcome> {
    let image = StoreImage::new()?;
    on_trial(&image, 2)?;
    for (attempts, phase) in [(1, Phase::Trying), (2, Phase::Failed), (2, Phase::Failed)] {
        boot(&image, "rootctl.snap=1")?.failed(3, &["snapshot 1", "/usr/bin/rinit"])?;
        let state = image.state()?.state.context("the record is gone")?;
        let trial = state.trial.context("the trial is gone")?;
        ensure!(
            (trial.attempts, trial.phase) == (attempts, phase),
            "{trial:?}"
        );
        let reason = trial.reason.unwrap_or_default();
        ensure!(reason.contains("no /usr/bin/rinit"), "{reason}");
        ensure!(state.good == id(2), "the default has moved");
    }
    ensure!(boot(&image, "")?.good()?.word()? == "snapshot 2");
    Ok(Outcome::Passed)
}

fn try_without_root() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let absent = "root=LABEL=nosuchdisk rootctl.wait=1 rootctl.snap=2";
    boot_line(&image, &format!("{absent} rootctl.trial"))?.failed(3, &["did not appear"])?;
    // Uncounted it is no try, and without the word nobody knows.
    boot_line(&image, &format!("{absent} rootctl.trial rootctl.count=0"))?
        .failed(1, &["did not appear"])?;
    boot_line(&image, absent)?.failed(1, &["did not appear"])?;
    // The disk is there, and is no store.
    image.edit(|top| {
        let format = top.join(names::DIR).join(names::FORMAT);
        fs::remove_file(&format).with_context(|| format!("cannot delete {}", format.display()))
    })?;
    boot(&image, "rootctl.snap=2 rootctl.trial")?.failed(3, &["there is no store"])?;
    Ok(Outcome::Passed)
}

fn try_without_record() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        let file = top.join(names::DIR).join(names::STATE);
        fs::write(&file, "damaged").with_context(|| format!("cannot write {}", file.display()))
    })?;
    boot(&image, "rootctl.snap=1 rootctl.trial")?.failed(
        3,
        &["the try of snapshot 1 cannot be counted", "rootctl.count=0"],
    )?;
    for words in ["rootctl.trial rootctl.count=0", ""] {
        let run = boot(&image, &format!("rootctl.snap=1 {words}"))?;
        ensure!(run.good()?.word()? == "snapshot 1", "{words}");
    }
    Ok(Outcome::Passed)
}

fn uncounted() -> Result<Outcome> {
    let image = StoreImage::new()?;
    on_trial(&image, 2)?;
    let run = boot(&image, "rootctl.snap=1 rootctl.count=0")?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let report = run.report()?;
    ensure!(report.degraded && report.requested == id(1), "{report:?}");
    drop(run);
    let trial = image.state()?.state.and_then(|state| state.trial);
    ensure!(trial.is_some_and(|trial| trial.attempts == 0));
    Ok(Outcome::Passed)
}

fn stuck_menu() -> Result<Outcome> {
    let image = StoreImage::new()?;
    armed(&image)?;
    // No disk here has this partition.
    let words =
        "rootctl.snap=1 rootctl.trial rootctl.wait=1 rootctl.disarm=00-0a:/EFI/BOOT/limine.conf";
    let run = boot(&image, words)?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let report = run.report()?;
    ensure!(report.degraded && report.try_number.is_none(), "{report:?}");
    ensure!(
        report.reason.contains("still starts this trial")
            && report.reason.contains("PARTUUID=00-0a did not appear"),
        "{}",
        report.reason
    );
    drop(run);
    let trial = image.state()?.state.and_then(|state| state.trial);
    ensure!(trial.is_some_and(|trial| trial.attempts == 0));
    // Without another one to start, nothing is started, and it is no try, which a quick reboot would lead back from.
    image.edit(|top| {
        let root = snapshot(top, 2).join(names::ROOT);
        run::quiet(run::command("btrfs", ["subvolume", "delete"]).arg(root))
    })?;
    boot(&image, words)?.failed(
        1,
        &["still starts this trial", "no snapshot can be started"],
    )?;
    Ok(Outcome::Passed)
}

fn passes_plan_on() -> Result<Outcome> {
    let image = StoreImage::new()?;
    image.edit(|top| {
        for (id, text) in [(1, "one"), (2, "two")] {
            let file = top.join(format!("{}/{}/{id}/plan", names::DIR, names::SNAPS));
            fs::write(file, text).context("cannot write a plan")?;
        }
        Ok(())
    })?;
    let run = boot(&image, "rootctl.snap=2")?;
    let script = "cat /run/rootctl/plan; busybox stat -c ' %a' /run/rootctl/plan";
    let seen = run.good()?.sh(script)?;
    ensure!(seen.trim() == "two 600", "{seen}");
    Ok(Outcome::Passed)
}

fn writes_nothing() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let bytes = || -> Result<Vec<u8>> {
        let device = image.attach()?;
        fs::read(device.device()).context("cannot read the device")
    };
    // The first boot makes /etc; the modes with changes in memory need none.
    for words in ["rootctl.snap=2", "rootctl.snap=2 rootctl.mode=tmpfs"] {
        boot(&image, words)?.good()?;
        let before = bytes()?;
        boot(&image, words)?.good()?;
        ensure!(bytes()? == before, "{words} wrote to the disk");
    }
    Ok(Outcome::Passed)
}

fn no_folder_for_roots() -> Result<Outcome> {
    let image = StoreImage::new()?;
    boot(&image, "rootctl.snap=2")?.good()?;
    image.edit(|top| {
        // A file where the folder belongs.
        let over = top.join(names::DIR).join(names::OVER);
        fs::remove_dir(&over).context("cannot delete a folder")?;
        fs::write(&over, "").context("cannot write a file")
    })?;
    let run = boot(&image, "rootctl.snap=2 rootctl.mode=persist:dev")?;
    ensure!(run.good()?.word()? == "snapshot 2");
    let report = run.report()?;
    ensure!(report.degraded && report.mode == "ro", "{report:?}");
    ensure!(
        report.reason.contains("persist:dev was refused"),
        "{}",
        report.reason
    );
    Ok(Outcome::Passed)
}

fn armed(image: &StoreImage) -> Result<()> {
    image.edit(|top| {
        let state = State {
            seq: 1,
            good: id(2),
            next_id: 3,
            trial: Some(Trial::armed(id(1).context("1 is an id")?, 2)),
            ..State::empty()
        };
        write_state(top, &state)
    })
}

fn make_room(image: &StoreImage) -> Result<()> {
    image.edit(|top| fs::remove_file(top.join(BALLAST)).context("cannot delete the ballast"))
}

fn full_at_a_try() -> Result<Outcome> {
    let image = StoreImage::new()?;
    boot(&image, "rootctl.snap=2")?.good()?;
    armed(&image)?;
    image.edit(fill)?;
    let before = image.state()?;
    for words in ["rootctl.snap=1 rootctl.trial", "rootctl.snap=1"] {
        boot(&image, words)?.failed(
            3,
            &[
                "cannot count the try of snapshot 1",
                "uncounted it is not entered",
                "No space left",
            ],
        )?;
    }
    ensure!(image.state()? == before, "the record has changed");
    let good = boot(&image, "rootctl.snap=2")?;
    ensure!(good.good()?.word()? == "snapshot 2" && !good.report()?.degraded);
    drop(good);
    make_room(&image)?;
    let run = boot(&image, "rootctl.snap=1 rootctl.trial")?;
    ensure!(run.good()?.word()? == "snapshot 1");
    ensure!(run.report()?.try_number == Some(1), "{:?}", run.report()?);
    Ok(Outcome::Passed)
}

fn full_at_a_merge() -> Result<Outcome> {
    let image = with_successor()?;
    live_in(&image)?;
    image.edit(fill)?;
    let run = boot(&image, "rootctl.snap=2")?;
    let etc = run.good()?.sh("cat /sysroot/etc/word /sysroot/etc/own")?;
    ensure!(etc == "snapshot 1\nown\n", "{etc}");
    let report = run.report()?;
    ensure!(
        report.degraded
            && report.reason.contains("snapshot 2")
            && report.reason.contains("No space left"),
        "{report:?}"
    );
    drop(run);
    make_room(&image)?;
    let found = contents(&boot(&image, "rootctl.snap=2")?)?;
    ensure!(found == MERGED, "{found}");
    Ok(Outcome::Passed)
}

fn policies() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let factory = boot(&image, "rootctl.snap=2 rootctl.etc=factory")?;
    ensure!(
        factory.good()?.sh("echo x > /sysroot/etc/x").is_err(),
        "/etc is writable"
    );
    drop(factory);
    let memory = boot(&image, "rootctl.snap=2 rootctl.etc=tmpfs rootctl.var=tmpfs")?;
    memory
        .good()?
        .sh("echo x > /sysroot/etc/x && echo x > /sysroot/var/x")?;
    drop(memory);
    image.edit(|top| {
        let etc = top.join(names::DIR).join(names::ETC).join("2");
        ensure!(
            !etc.exists() && !top.join("@var/x").exists(),
            "something was kept"
        );
        Ok(())
    })?;
    Ok(Outcome::Passed)
}

fn any_store() -> Result<Outcome> {
    let image = StoreImage::new()?;
    let run = boot_line(&image, "rootctl.snap=1 rootctl.wait=20")?;
    if run.good().is_err() {
        // Another run's image is a store too, and two are rightly refused.
        run.failed(1, &["more than one store"])?;
        return Ok(Outcome::Skipped(
            "another store is attached to this host".into(),
        ));
    }
    ensure!(run.word()? == "snapshot 1");
    Ok(Outcome::Passed)
}

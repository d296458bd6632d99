//! Tier 3: images of other generators with our hooks, booted: each must put the root of a store together and
//! hand over to rinit.

use anyhow::{Context, Result, ensure};
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use std::fs;
use std::path::Path;
use tests::guest::{BOOT, PATIENCE, RINIT_WORDS, STAGE_WORDS};
use tests::hooks::{Generator, Workshop};
use tests::qemu::{KERNEL_WORDS, Machine, Start};
use tests::store_image::{StoreImage, id};
use tests::tier::{self, Outcome, Tier, test};
use tests::{programs, run};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Machine,
        vec![
            test(
                "an_image_of_initramfs_tools_boots_the_snapshot_asked_for",
                || boots(Generator::InitramfsTools, "boot=rootctl"),
            ),
            // dracut needs no word of its own: any that begins with rootctl will do.
            test("an_image_of_dracut_boots_the_snapshot_asked_for", || {
                boots(Generator::Dracut, "ro")
            }),
        ],
    )
}

fn boots(generator: Generator, word: &str) -> Result<Outcome> {
    let workshop = Workshop::new(generator)?;
    if let Err(why) = workshop.fetch() {
        return Ok(Outcome::Skipped(format!("{why:#}")));
    }
    let made = workshop.make()?;
    let store = StoreImage::new()?;
    store.edit(|top| [1, 2].iter().try_for_each(|number| finish(top, *number)))?;
    let mut machine = Machine::start(&Start::Kernel {
        kernel: made.kernel.clone(),
        initramfs: made.image.clone(),
        cmdline: format!(
            "{KERNEL_WORDS} {word} root=LABEL={} rootctl.snap=1",
            store.label
        ),
        image: Some(store.file().to_path_buf()),
    })?;
    let stage = machine.console.expect_line(STAGE_WORDS, BOOT)?;
    ensure!(stage.contains("snapshot 1"), "the boot stage says: {stage}");
    // At the start of a line: a shell that cannot find it says its name too.
    machine
        .console
        .expect(&format!("\n{RINIT_WORDS}"), PATIENCE)?;
    Ok(Outcome::Passed)
}

/// Puts the real rinit into a snapshot's root, and lets it boot with any kernel: this one is not the host's.
fn finish(top: &Path, number: u32) -> Result<()> {
    let folder = top
        .join(names::DIR)
        .join(names::SNAPS)
        .join(number.to_string());
    let root = folder.join(names::ROOT);
    let seal = |value: &str| {
        let mut seal = run::command("btrfs", ["property", "set", "-f", "-t", "subvol"]);
        run::quiet(seal.arg(&root).args(["ro", value]))
    };
    seal("false")?;
    for (program, place) in programs::of_rinit()? {
        let mut install = run::command("install", ["-D", "-m", "0755"]);
        run::quiet(install.arg(program).arg(root.join(place)))?;
    }
    seal("true")?;
    let file = folder.join(names::META);
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let id = id(number).context("a snapshot has no number")?;
    let meta = Meta::from_toml(names::META, &text, id).map_err(|why| anyhow::anyhow!("{why}"))?;
    let meta = Meta {
        kernel: None,
        ..meta
    };
    let text = meta.to_toml().context("cannot write a meta file")?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

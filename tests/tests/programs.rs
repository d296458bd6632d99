//! Tier 2: how the built programs are linked. What must start when nothing else does needs no loader and no library.

use anyhow::{Result, ensure};
use std::path::Path;
use tests::tier::{self, Outcome, Tier, test};
use tests::{programs, run};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("static_programs_name_no_loader_and_no_library", static_ones),
            test(
                "only_the_broker_uses_the_libraries_of_kmod_and_btrfs",
                broker,
            ),
        ],
    )
}

/// What the kernel (`INTERP`, elf(5)) and the loader (`NEEDED`) would have to find for this program.
fn wanted(program: &Path) -> Result<Vec<String>> {
    let mut readelf = run::command("readelf", ["--wide", "--program-headers", "--dynamic"]);
    let text = run::output(readelf.arg(program))?;
    ensure!(
        text.contains("LOAD"),
        "readelf shows no segments of {}:\n{text}",
        program.display()
    );
    let lines = text
        .lines()
        .filter(|line| line.contains(" INTERP ") || line.contains("(NEEDED)"));
    Ok(lines.map(|line| line.trim().to_owned()).collect())
}

fn static_ones() -> Result<Outcome> {
    let programs = programs::build()?;
    for program in [
        &programs.rinit,
        &programs.rinit_plan,
        &programs.rinit_helper,
        &programs.rinit_boot,
        &programs.rootctl,
    ] {
        let wanted = wanted(program)?;
        ensure!(wanted.is_empty(), "{}: {wanted:?}", program.display());
    }
    Ok(Outcome::Passed)
}

fn broker() -> Result<Outcome> {
    let wanted = wanted(&programs::build()?.rootctld)?.join("\n");
    for library in ["INTERP", "libkmod.so", "libbtrfsutil.so"] {
        ensure!(wanted.contains(library), "no {library} in\n{wanted}");
    }
    Ok(Outcome::Passed)
}

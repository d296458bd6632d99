//! Units that a page shows under the name of their file are taken by `rinit-plan`, without an error or a warning.

use crate::house::Answer;
use crate::pages::{self, Page};
use anyhow::{Context, Result, ensure};
use rootspec::protocol::units::Checked;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tests::paths::{Scratch, workspace};
use tests::tier::Outcome;
use tests::{programs, run};

/// Users and groups that the pages name, and Debian has.
const ACCOUNTS: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n";
const GROUPS: &str = "root:x:0:\nadm:x:4:\nwww-data:x:33:\n";

/// The files of a page: blocks that begin with a comment that is nothing but a path.
fn files(page: &Page) -> Vec<(&str, &str)> {
    let blocks = page.blocks.iter();
    let named = blocks.filter_map(|(_, block)| {
        let first = block.lines().next()?.strip_prefix("# ")?;
        let is_ours = first.starts_with("/etc/rinit/") && first.ends_with(".toml");
        is_ours.then_some((first, block.as_str()))
    });
    named.collect()
}

pub(crate) fn taken() -> Result<Outcome> {
    let mut count = 0;
    for page in pages::all()? {
        let files = files(&page);
        if !files.is_empty() {
            check(&files).with_context(|| page.name.clone())?;
        }
        count += files.len();
    }
    ensure!(
        count >= 5,
        "only {count} were found: have the pages another form now?"
    );
    Ok(Outcome::Passed)
}

/// A root with these files, the shipped units, and everything that they execute.
fn check(files: &[(&str, &str)]) -> Result<()> {
    let folder = Scratch::new("shown")?;
    let root = folder.path();
    let shipped = root.join("usr/lib/rinit");
    std::fs::create_dir_all(&shipped).context("cannot make the root")?;
    run::quiet(
        run::command("cp", ["-r"])
            .arg(workspace().join("services"))
            .arg(&shipped),
    )?;
    write(root, "/etc/passwd", ACCOUNTS)?;
    write(root, "/etc/group", GROUPS)?;
    for (path, text) in files {
        write(root, path, text)?;
        let name = Path::new(path).file_stem().and_then(|name| name.to_str());
        let is_unit = Path::new(path)
            .parent()
            .is_some_and(|dir| dir.ends_with("services"));
        if let Some(name) = name.filter(|name| is_unit && !name.ends_with('@')) {
            write(root, &format!("/etc/rinit/groups/default.d/{name}"), "")?;
        }
        for program in programs_in(text) {
            let file = write(root, program, "")?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot make {program} executable"))?;
        }
    }
    let plan = programs::planner()?;
    let answer = Answer::of(
        Command::new(plan)
            .args(["--check", "--json", "--root"])
            .arg(root),
    )?;
    let checked: Checked = serde_json::from_str(&answer.out).with_context(|| answer.all.clone())?;
    // Programs of shipped units are absent here.
    let shipped = |file: &str| file.starts_with("/usr/lib/");
    let ours = checked.problems.iter();
    let ours = ours.filter(|problem| !problem.file.as_deref().is_some_and(shipped));
    let ours: Vec<_> = ours.map(|problem| &problem.shown).collect();
    ensure!(ours.is_empty(), "{ours:#?}");
    Ok(())
}

/// Texts of the file that are paths of programs.
fn programs_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('"').skip(1).step_by(2);
    let words = words.filter_map(|text| text.split(' ').next());
    words.filter(|word| word.contains("bin/") && word.starts_with('/'))
}

fn write(root: &Path, path: &str, text: &str) -> Result<std::path::PathBuf> {
    let file = root.join(path.trim_start_matches('/'));
    let dir = file.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

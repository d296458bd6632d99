//! Man pages and completions, made from the same definition as the help and compared with it.

use crate::house::Answer;
use crate::shown::has;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use tests::paths::Scratch;
use tests::programs;
use tests::tier::Outcome;

/// What `--help` says of a verb.
fn help(verb: &[String]) -> Result<String> {
    let answer = Answer::of(
        Command::new(programs::build()?.rootctl)
            .args(verb)
            .arg("--help"),
    )?;
    ensure!(
        answer.code == 0,
        "rootctl {} --help: {}",
        verb.join(" "),
        answer.all
    );
    Ok(answer.out)
}

/// The verbs below one, from its help.
fn below(text: &str) -> Vec<String> {
    let list = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| line.starts_with("  "));
    let names = list
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Long options in a help text.
fn options(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| {
        line.split([' ', ',', '='])
            .take_while(|word| !word.starts_with(char::is_alphabetic))
    });
    words.filter(|word| word.starts_with("--")).collect()
}

/// All verbs as their words, `rootctl` itself first, each with its help.
fn verbs() -> Result<Vec<(Vec<String>, String)>> {
    let mut all = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(verb) = open.pop() {
        let text = help(&verb)?;
        open.extend(
            below(&text)
                .into_iter()
                .map(|name| [verb.clone(), vec![name]].concat()),
        );
        all.push((verb, text));
    }
    Ok(all)
}

/// The verbs that do something themselves.
pub(crate) fn leaves() -> Result<Vec<Vec<String>>> {
    let all = verbs()?.into_iter();
    let leaves = all.filter(|(_, text)| below(text).is_empty());
    Ok(leaves.map(|(verb, _)| verb).collect())
}

pub(crate) fn man() -> Result<Outcome> {
    let folder = Scratch::new("man")?;
    let answer = Answer::of(
        Command::new(programs::build()?.rootctl)
            .args(["man", "--dir"])
            .arg(folder.path()),
    )?;
    ensure!(answer.code == 0, "rootctl man --dir: {}", answer.all);
    let verbs = verbs()?;
    for (verb, text) in &verbs {
        let name = std::iter::once("rootctl")
            .chain(verb.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("-");
        let page = folder.join(&format!("{name}.1"));
        let page_text = std::fs::read_to_string(&page)
            .with_context(|| format!("there is no man page {name}.1"))?;
        // In roff a dash that can be copied is written with a backslash.
        let plain = page_text.replace("\\-", "-");
        let options = options(text);
        ensure!(
            options.contains(&"--json"),
            "{name}: its help names no --json:\n{text}"
        );
        for option in options {
            ensure!(plain.contains(option), "{name}.1 does not name {option}");
        }
    }
    let count = verbs.len();
    ensure!(count > 25, "only {count} verbs were found");
    Ok(Outcome::Passed)
}

/// The manual as packages get it: every page in the form that the readers of pages expect.
pub(crate) fn manual() -> Result<Outcome> {
    let folder = Scratch::new("manual")?;
    tests::manual::write(folder.path())?;
    let entries = std::fs::read_dir(folder.path()).context("cannot read the manual")?;
    let pages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    ensure!(pages.len() > 30, "only {} pages were written", pages.len());
    if !has("man") || !has("groff") {
        return Ok(Outcome::Skipped(
            "man-db and groff are not here: the pages were made, and nobody read them".to_owned(),
        ));
    }
    for page in &pages {
        let read = Answer::of(
            Command::new("man")
                .args([
                    "--warnings",
                    "--encoding=UTF-8",
                    "--troff-device=utf8",
                    "--ditroff",
                    "--local-file",
                ])
                .arg(page)
                .env("LC_ALL", "C.UTF-8")
                .stdout(std::process::Stdio::null()),
        )?;
        let words = read
            .all
            .lines()
            .filter(|line| line.contains("warning"))
            .collect::<Vec<_>>();
        ensure!(
            read.code == 0 && words.is_empty(),
            "{}: {}",
            page.display(),
            words.join("\n")
        );
    }
    Ok(Outcome::Passed)
}

pub(crate) fn completions(shell: &str) -> Result<Outcome> {
    let answer = Answer::of(Command::new(programs::build()?.rootctl).args(["completion", shell]))?;
    ensure!(
        answer.code == 0,
        "rootctl completion {shell}: {}",
        answer.all
    );
    for word in ["deploy", "rollback", "dry-run"] {
        ensure!(
            answer.out.contains(word),
            "the completion for {shell} does not know {word}"
        );
    }
    if !has(shell) {
        return Ok(Outcome::Skipped(format!(
            "there is no {shell} here: its script was made, and nobody read it"
        )));
    }
    let folder = Scratch::new("completion")?;
    let file = folder.join(shell);
    std::fs::write(&file, &answer.out)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let read = Answer::of(Command::new(shell).arg("-n").arg(&file))?;
    ensure!(
        read.code == 0,
        "{shell} cannot read its completion: {}",
        read.all
    );
    Ok(Outcome::Passed)
}

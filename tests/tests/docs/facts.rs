//! What can be read off the pages and held against the code without running anything.

use crate::pages;
use anyhow::{Context, Result, bail, ensure};
use rootspec::cmdline::Cmdline;
use rootspec::compile::{Source, compile};
use rootspec::plan::Plan;
use rootspec::units;
use std::collections::{BTreeMap, BTreeSet};
use tests::paths::workspace;
use tests::run;
use tests::tier::Outcome;

/// A key that no table will ever have.
const NO_KEY: &str = "zzzzzzzzzzzz";
/// Keys that a table must have, so that another one of it can be shown.
const MUST: [(&str, &[&str]); 11] = [
    ("mount", &["what = \"/x\"", "where = \"/m\""]),
    ("swap", &["what = \"/x\""]),
    ("exec", &["start = \"/x\""]),
    ("container", &["bundle = \"/b\""]),
    ("socket", &["listen = \"stream:/s\""]),
    (
        "path",
        &["exists = \"/a\"", "changed = \"/a\"", "mkdir = true"],
    ),
    ("timer", &["calendar = \"daily\""]),
    ("tty", &["path = \"/t\""]),
    ("watchdog", &["interval = \"30s\""]),
    ("health", &["tcp = \"80\""]),
    ("restart.limit", &["count = 5", "window = \"60s\""]),
];

pub(crate) fn links() -> Result<Outcome> {
    for page in pages::all()? {
        let folder = workspace().join(&page.name);
        let folder = folder.parent().context("a page lies in a folder")?;
        for link in &page.links {
            ensure!(
                folder.join(link).exists(),
                "{}: the link {link} leads nowhere",
                page.name
            );
        }
    }
    Ok(Outcome::Passed)
}

pub(crate) fn paths() -> Result<Outcome> {
    // Elsewhere a path below `rootctl/` may be one of the store.
    const OURS: [&str; 9] = [
        "docs/",
        "initramfs-hook/",
        "limine/",
        "rinit/src/",
        "rootctl/src/",
        "rootspec/",
        "services/",
        "sys/src/",
        "tests/",
    ];
    for page in pages::all()? {
        let ours = |span: &&(usize, String)| {
            OURS.iter().any(|start| span.1.starts_with(start)) && !span.1.contains(' ')
        };
        for (number, span) in page.spans.iter().filter(ours) {
            ensure!(
                workspace().join(span).exists(),
                "{}:{number}: there is no {span}",
                page.name
            );
        }
    }
    let page = pages::read("docs/architecture.md")?;
    let mut count = 0;
    for (heading, cells) in &page.rows {
        for span in cells.iter().flat_map(|cell| pages::spans(cell)) {
            // Files of this checkout, not of a running system; plain names are programs and functions.
            if !span.contains('/') || span.starts_with('/') {
                continue;
            }
            count += 1;
            ensure!(
                workspace().join(span).exists(),
                "under {heading:?}: there is no {span}"
            );
        }
    }
    ensure!(
        count > 60,
        "only {count} paths were found: has the page another form now?"
    );
    for dir in [
        "rootspec",
        "sys",
        "initramfs-hook",
        "rinit",
        "rootctl",
        "services",
        "limine",
        "tests",
    ] {
        let named = page.rows.iter().any(|(heading, cells)| {
            heading == "Parts"
                && cells
                    .first()
                    .is_some_and(|cell| *cell == format!("`{dir}/`"))
        });
        ensure!(named, "the parts do not name {dir}/");
    }
    Ok(Outcome::Passed)
}

/// One documented key.
struct Key {
    table: String,
    name: String,
    default: String,
    example: String,
}

fn documented() -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for (heading, cells) in pages::read("docs/units.md")?.rows {
        let table = match heading.trim_matches('`') {
            "Top of the file" => String::new(),
            other if other.starts_with('[') => other.trim_matches(['[', ']']).to_owned(),
            _ => continue,
        };
        let [name, _kind, default, example, meaning] = cells.as_slice() else {
            bail!(
                "under {heading:?}: a row with {} cells: {cells:?}",
                cells.len()
            );
        };
        let Some(name) = pages::spans(name).first().copied().map(str::to_owned) else {
            continue;
        };
        ensure!(!meaning.is_empty(), "{table}.{name} has no meaning");
        let example = pages::spans(example).first().copied();
        keys.push(Key {
            example: example
                .with_context(|| format!("{table}.{name} has no example"))?
                .to_owned(),
            table,
            name,
            default: default.clone(),
        });
    }
    Ok(keys)
}

/// A unit with these lines in this table, and what the table must have beside them.
pub(crate) fn unit(table: &str, lines: &[String]) -> String {
    let own = |line: &str| line.split(" =").next().unwrap_or_default().to_owned();
    let must = |wanted: &str| {
        let found = MUST.iter().find(|(name, _)| *name == wanted);
        found.map_or(&[][..], |(_, lines)| *lines)
    };
    // Of these three one alone may stand there.
    let asked = ["cmd", "http", "tcp"];
    let is_asked = table == "health" && lines.iter().any(|line| asked.contains(&&*own(line)));
    let mut inside: Vec<String> = must(table)
        .iter()
        .filter(|_| !is_asked)
        .filter(|line| !lines.iter().any(|other| own(other) == own(line)))
        .map(|line| (*line).to_owned())
        .collect();
    // These make sense of connections only.
    if table == "socket" && lines.iter().any(|line| line.starts_with("max_")) {
        inside.push("accept = true".to_owned());
    }
    inside.extend(lines.iter().cloned());
    let inside = inside.join("\n");
    let exec = must("exec").join("\n");
    match table {
        "" => {
            let schema = if lines.iter().any(|line| own(line) == "schema") {
                ""
            } else {
                "schema = 1\n"
            };
            format!("{schema}{inside}\n[exec]\n{exec}\n")
        }
        "exec" => format!("schema = 1\n[exec]\n{inside}\n"),
        "container" | "mount" | "swap" => {
            format!("schema = 1\nkind = \"{table}\"\n[{table}]\n{inside}\n")
        }
        "socket" | "timer" | "path" => {
            format!("schema = 1\n[exec]\n{exec}\n[[{table}]]\n{inside}\n")
        }
        inner if inner.starts_with("socket.") || inner.starts_with("path.") => {
            let outer = inner.split('.').next().unwrap_or_default();
            let own = must(outer).join("\n");
            format!("schema = 1\n[exec]\n{exec}\n[[{outer}]]\n{own}\n[{inner}]\n{inside}\n")
        }
        _ => format!("schema = 1\n[exec]\n{exec}\n[{table}]\n{inside}\n"),
    }
}

/// The keys the parser itself names when it meets one it does not know.
pub(crate) fn known(table: &str) -> Result<BTreeSet<String>> {
    let text = unit(table, &[format!("{NO_KEY} = 1")]);
    let wrong = units::parse("a.toml", &text)
        .err()
        .context("an unknown key was accepted")?;
    let said = wrong
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    let list = said
        .lines()
        .find_map(|line| line.split_once("known here: "))
        .with_context(|| format!("[{table}]: the parser names no keys: {said}"))?
        .1;
    Ok(list.split(", ").map(|key| key.trim().to_owned()).collect())
}

pub(crate) fn keys() -> Result<Outcome> {
    let mut documented_keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in documented()? {
        documented_keys
            .entry(key.table)
            .or_default()
            .insert(key.name);
    }
    // Keys of the top that are tables have sections of their own.
    let top = known("")?;
    let plain = documented_keys
        .get("")
        .context("the top of the file is not documented")?;
    for key in &top {
        ensure!(
            plain.contains(key) || documented_keys.contains_key(key),
            "docs/units.md: {key} is not documented"
        );
    }
    for (table, keys) in &documented_keys {
        if table.is_empty() {
            let unknown: Vec<_> = keys.difference(&top).collect();
            ensure!(
                unknown.is_empty(),
                "docs/units.md: no such keys: {unknown:?}"
            );
            continue;
        }
        let first = table.split('.').next().unwrap_or_default();
        ensure!(
            top.contains(first),
            "docs/units.md: there is no table [{table}]"
        );
        let known = known(table)?;
        ensure!(
            *keys == known,
            "docs/units.md, [{table}]: not documented: {:?}; no such keys: {:?}",
            known.difference(keys).collect::<Vec<_>>(),
            keys.difference(&known).collect::<Vec<_>>()
        );
    }
    Ok(Outcome::Passed)
}

pub(crate) fn examples() -> Result<Outcome> {
    for key in documented()? {
        let text = unit(&key.table, &[format!("{} = {}", key.name, key.example)]);
        if let Err(wrong) = units::parse("a.toml", &text) {
            bail!(
                "docs/units.md: the example of [{}] {} is refused: {wrong:?}\n{text}",
                key.table,
                key.name
            );
        }
    }
    Ok(Outcome::Passed)
}

fn plan(text: &str) -> Result<Plan> {
    let source = |name: &str, text: &str| -> Result<Source> {
        Ok(Source {
            name: name.parse().map_err(anyhow::Error::new)?,
            file: format!("{name}.toml"),
            text: text.to_owned(),
        })
    };
    let basic = source("basic", "schema = 1\nkind = \"group\"\n")?;
    let plan = compile(&[basic, source("a", text)?], &[]);
    ensure!(plan.problems.is_empty(), "{:?}\n{text}", plan.problems);
    Ok(plan)
}

/// A unit that says the default makes the same plan as one that says nothing.
pub(crate) fn defaults() -> Result<Outcome> {
    let mut count = 0;
    for key in documented()?
        .iter()
        .filter(|key| key.default.starts_with('`'))
    {
        let value = pages::spans(&key.default)
            .first()
            .copied()
            .unwrap_or_default()
            .to_owned();
        let said = unit(&key.table, &[format!("{} = {value}", key.name)]);
        ensure!(
            plan(&said)? == plan(&unit(&key.table, &[]))?,
            "docs/units.md: {value} is not the default of [{}] {}",
            key.table,
            key.name
        );
        count += 1;
    }
    ensure!(
        count > 30,
        "only {count} defaults were found: has the page another form now?"
    );
    Ok(Outcome::Passed)
}

/// The words the boot stage matches, taken from the source: nothing but the source has the list.
fn matched_words() -> Result<BTreeSet<String>> {
    let file = workspace().join("rootspec/src/cmdline.rs");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let body = text
        .split_once("match key {")
        .context("cmdline.rs has no table of words")?
        .1;
    let body = body
        .split_once("starts_with(\"rootctl.\")")
        .context("cmdline.rs has no end of words")?
        .0;
    let arms = body
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("=>"));
    let words =
        arms.filter_map(|line| line.strip_prefix('"')?.split('"').next().map(str::to_owned));
    Ok(words
        .filter(|word| word.starts_with("rootctl.") || word == "root" || word == "init")
        .collect())
}

pub(crate) fn words() -> Result<Outcome> {
    let mut documented = BTreeSet::new();
    let page = pages::read("docs/boot.md")?;
    for (_, cells) in page
        .rows
        .iter()
        .filter(|(heading, _)| heading == "Words on the kernel command line")
    {
        let [word, values, _default, _meaning] = cells.as_slice() else {
            bail!("docs/boot.md: a row with {} cells: {cells:?}", cells.len());
        };
        let Some(word) = pages::spans(word)
            .first()
            .map(|word| word.trim_end_matches('='))
        else {
            continue;
        };
        documented.insert(word.to_owned());
        let mut changes = false;
        for value in pages::spans(values) {
            ensure!(
                value == word || value.starts_with(&format!("{word}=")),
                "docs/boot.md: {value} stands in the row of {word}"
            );
            let line = Cmdline::parse(value);
            ensure!(
                line.warnings.is_empty(),
                "docs/boot.md: {value}: {:?}",
                line.warnings
            );
            changes |= line != Cmdline::default();
        }
        ensure!(
            changes,
            "docs/boot.md: none of the values of {word} makes a difference"
        );
    }
    let matched = matched_words()?;
    ensure!(
        matched.len() > 10,
        "only {matched:?} were found in the source"
    );
    ensure!(
        documented == matched,
        "docs/boot.md: not documented: {:?}; not understood: {:?}",
        matched.difference(&documented).collect::<Vec<_>>(),
        documented.difference(&matched).collect::<Vec<_>>()
    );
    Ok(Outcome::Passed)
}

/// Every page of `docs/` can be found from the README.
pub(crate) fn index() -> Result<Outcome> {
    let readme = pages::read("README.md")?;
    for page in pages::all()? {
        let is_indexed = readme.links.contains(&page.name);
        let is_page = page.name.starts_with("docs/") && !page.name.starts_with("docs/decisions/");
        ensure!(
            is_indexed || !is_page,
            "README.md does not link {}",
            page.name
        );
    }
    Ok(Outcome::Passed)
}

/// Tests that the page about stability names for its promises: each row has some, and all of them exist.
pub(crate) fn promises() -> Result<Outcome> {
    let page = pages::read("docs/stability.md")?;
    let rows = page.rows.iter().filter(|(_, cells)| cells.len() == 3);
    let mut count = 0;
    for (_, cells) in rows.skip(1) {
        let names = cells.last().map(|cell| pages::spans(cell));
        let names = names.unwrap_or_default();
        ensure!(!names.is_empty(), "nothing holds this promise: {cells:?}");
        for name in names {
            count += 1;
            ensure!(exists(name), "docs/stability.md: there is no test {name}");
        }
    }
    ensure!(count > 10, "only {count} tests are named");
    Ok(Outcome::Passed)
}

/// A function of that name, or a test that is told its name as text.
fn exists(test: &str) -> bool {
    let pattern = format!("(fn {test}\\(|\"{test}\")");
    let mut grep = run::command("grep", ["-rqE", "--include=*.rs", &pattern]);
    let packages = [
        "initramfs-hook",
        "rinit",
        "rootctl",
        "rootspec",
        "sys",
        "tests",
    ];
    grep.args(packages.map(|package| workspace().join(package)));
    run::succeeds(&mut grep)
}

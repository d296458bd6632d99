//! The pages for people who come from elsewhere: whole, and true. What each of them must explain stands in a list of names,
//! `docs/elsewhere/*.txt`.

use crate::facts;
use crate::pages::{self, Page};
use crate::shown;
use anyhow::{Context, Result, bail, ensure};
use rootspec::units::{self, Facts, Layers};
use std::collections::{BTreeMap, BTreeSet};
use tests::paths::workspace;
use tests::tier::Outcome;

/// Pages, each with its list.
const PAGES: [(&str, &str); 4] = [
    ("docs/from-systemd.md", "systemd.txt"),
    ("docs/from-dinit.md", "dinit.txt"),
    ("docs/from-others.md", "others.txt"),
    ("docs/from-astos.md", "astos.txt"),
];
/// What stands in the place of a counterpart where there is none.
const NONE: &str = "none";

/// Headings of a list, each with the names below it.
type List = BTreeMap<String, BTreeSet<String>>;

fn list(name: &str) -> Result<List> {
    let file = workspace().join("tests/tests/docs/elsewhere").join(name);
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let mut all = List::new();
    let mut heading = String::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        match line.strip_prefix("  ") {
            Some(name) => {
                let names = all.entry(heading.clone()).or_default();
                ensure!(names.insert(name.to_owned()), "{name} is listed twice");
            }
            None => line.clone_into(&mut heading),
        }
    }
    ensure!(!all.is_empty(), "{name} lists nothing");
    Ok(all)
}

/// Rows of one section: what systemd calls it, what it is here, what to know.
fn rows<'a>(page: &'a Page, section: &str) -> Result<Vec<[&'a str; 3]>> {
    let all = page.rows.iter().filter(|(heading, _)| {
        heading
            .trim_matches('`')
            .eq_ignore_ascii_case(section.trim_matches('`'))
    });
    let rows: Result<Vec<_>> = all
        .map(|(_, cells)| match cells.as_slice() {
            [theirs, ours, remark] => Ok([theirs.as_str(), ours.as_str(), remark.as_str()]),
            _ => bail!("a row with {} cells: {cells:?}", cells.len()),
        })
        .collect();
    let mut rows = rows?;
    ensure!(!rows.is_empty(), "there is no table");
    // The first row is the head of the table.
    Ok(rows.split_off(1))
}

pub(crate) fn whole() -> Result<Outcome> {
    for (page, names) in PAGES {
        let page = pages::read(page)?;
        for (section, names) in list(names)? {
            explains_all(&page, &section, &names)
                .with_context(|| format!("{}, {section}", page.name))?;
        }
    }
    Ok(Outcome::Passed)
}

/// Each name stands in one row of the section, with a counterpart or the word that there is none.
fn explains_all(page: &Page, section: &str, names: &BTreeSet<String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for [theirs, ours, remark] in rows(page, section)? {
        for name in pages::spans(theirs) {
            let name = name.trim_end_matches('=');
            ensure!(seen.insert(name.to_owned()), "{name} stands in two rows");
        }
        ensure!(
            ours == NONE || ours.contains('`'),
            "{theirs}: {ours:?} is neither a counterpart nor {NONE:?} (to know: {remark})"
        );
    }
    let missing: Vec<_> = names.difference(&seen).collect();
    let unknown: Vec<_> = seen.difference(names).collect();
    ensure!(
        missing.is_empty() && unknown.is_empty(),
        "not named: {missing:?}; on the page, and not in the list: {unknown:?}"
    );
    Ok(())
}

/// The keys of the schema and of `rinit.toml`, asked for once each.
struct Keys {
    tables: BTreeMap<String, BTreeSet<String>>,
    settings: BTreeMap<String, Vec<String>>,
}

impl Keys {
    fn read() -> Result<Self> {
        let page = pages::read("docs/units.md")?;
        let mut tables = BTreeMap::from([(String::new(), facts::known("")?)]);
        for (heading, _) in &page.rows {
            let name = heading.trim_matches(['`', '[', ']']);
            if heading.starts_with("`[") && !tables.contains_key(name) {
                tables.insert(name.to_owned(), facts::known(name)?);
            }
        }
        Ok(Self {
            tables,
            settings: shown::documented_settings(&page),
        })
    }

    /// Whether a span means a key: `table.key`, or a key of the top.
    fn is_meant(&self, span: &str) -> bool {
        let path = span.split(" = ").next().unwrap_or_default();
        let (table, _) = path.split_once('.').unwrap_or((path, ""));
        let plain = path
            .chars()
            .all(|c| c.is_ascii_lowercase() || "._".contains(c));
        // There are tables whose names targets of systemd have too.
        let is_path =
            plain && !table.is_empty() && path.contains('.') && !path.ends_with(".target");
        is_path && self.tables.contains_key(table) || span.contains(" = ")
    }

    /// Checks `table.key`, or `table.key = value`, with the real parser.
    fn check(&self, span: &str) -> Result<()> {
        let (path, value) = span
            .split_once(" = ")
            .map_or((span, None), |(path, value)| (path, Some(value)));
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        if self
            .settings
            .get(table)
            .is_some_and(|keys| keys.iter().any(|known| known == key))
        {
            return Ok(());
        }
        let known = self
            .tables
            .get(table)
            .with_context(|| format!("there is no table [{table}]"))?;
        ensure!(known.contains(key), "[{table}] has no {key}");
        let Some(value) = value else { return Ok(()) };
        let line = format!("{key} = {value}");
        let texts = match path {
            "kind" => [
                "",
                "[exec]\nstart = \"/x\"\n",
                "[container]\nbundle = \"/x\"\n",
                "[mount]\nwhat = \"/x\"\nwhere = \"/m\"\n",
                "[swap]\nwhat = \"/x\"\n",
            ]
            .map(|rest| format!("schema = 1\n{line}\n{rest}"))
            .to_vec(),
            _ => vec![facts::unit(table, &[line])],
        };
        let all: Vec<_> = texts
            .iter()
            .map(|text| units::parse("a.toml", text))
            .collect();
        ensure!(all.iter().any(Result::is_ok), "it is refused: {all:?}");
        Ok(())
    }
}

/// Every key that a page names exists, and every value is one that it takes. Commands are checked with all others.
pub(crate) fn counterparts() -> Result<Outcome> {
    let keys = Keys::read()?;
    let mut count = 0;
    for (page, names) in PAGES {
        let page = pages::read(page)?;
        for section in list(names)?.keys() {
            for [theirs, ours, _] in rows(&page, section)? {
                for span in pages::spans(ours).into_iter().filter(|span| is_key(span)) {
                    keys.check(span)
                        .with_context(|| format!("{}, {section}: {theirs}: `{span}`", page.name))?;
                    count += 1;
                }
            }
        }
        for (number, span) in page.spans.iter().filter(|(_, span)| keys.is_meant(span)) {
            keys.check(span)
                .with_context(|| format!("{}:{number}: `{span}`", page.name))?;
        }
    }
    ensure!(count > 150, "only {count} counterparts were found");
    Ok(Outcome::Passed)
}

/// The other way round: no key of a unit is unknown to people from systemd. A new one belongs to the directive that it is
/// like, or to the section about what systemd has no word for.
pub(crate) fn own_keys() -> Result<Outcome> {
    let page = pages::read("docs/from-systemd.md")?;
    let paths = page
        .spans
        .iter()
        .filter_map(|(_, span)| span.split(" = ").next());
    let named: BTreeSet<&str> = paths.collect();
    let keys = Keys::read()?;
    let mut missing = Vec::new();
    for (table, names) in &keys.tables {
        for name in names {
            let path = format!("{table}.{name}");
            let path = path.trim_start_matches('.');
            // Tables have keys of their own.
            let is_table = keys.tables.contains_key(path);
            if !is_table && !named.contains(path) {
                missing.push(path.to_owned());
            }
        }
    }
    ensure!(
        missing.is_empty(),
        "{} says nothing about {missing:?}",
        page.name
    );
    Ok(Outcome::Passed)
}

/// A counterpart that is no command, path or word in braces.
fn is_key(span: &str) -> bool {
    !span.starts_with(['{', '/']) && !span.starts_with("rootctl ")
}

pub(crate) fn specifiers() -> Result<Outcome> {
    let page = pages::read("docs/from-systemd.md")?;
    for [theirs, ours, _] in rows(&page, "specifiers")? {
        for word in pages::spans(ours) {
            let text = format!("schema = 1\ndescription = \"{word}\"\n[exec]\nstart = \"/x\"\n");
            let unit = "web@1".parse().map_err(anyhow::Error::new)?;
            let unit = units::read(
                &Layers::new("a.toml", &text),
                Some((&unit, &Facts::default())),
            );
            let unit = unit.map_err(|wrong| anyhow::anyhow!("{theirs}: {wrong:?}"))?;
            ensure!(
                unit.description != word,
                "{theirs}: {word} stands for nothing"
            );
        }
    }
    Ok(Outcome::Passed)
}

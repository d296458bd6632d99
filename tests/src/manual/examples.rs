//! Examples of a verb: the command lines of `docs/`, which the tests run.

use super::source;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Pages whose command lines are taken, in this order.
const PAGES: [&str; 4] = ["store.md", "units.md", "control.md", "boot.md"];
/// So many are enough for one page.
const MOST: usize = 8;
const BEFORE: &str = "\n.SH \"SEE ALSO\"\n";

/// Puts them into the pages of the verbs that lie in a folder.
pub(super) fn add(dir: &Path) -> Result<()> {
    for (page, lines) in by_page(dir)? {
        let file = dir.join(&page);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let (start, end) = text
            .split_once(BEFORE)
            .with_context(|| format!("{page} has no section SEE ALSO"))?;
        let lines: Vec<String> = lines.iter().map(|line| super::roff::code(line)).collect();
        let text = format!(
            "{start}\n.SH EXAMPLES\n.nf\n{}\n.fi{BEFORE}{end}",
            lines.join("\n")
        );
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn by_page(dir: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in PAGES {
        let text = source(name)?;
        let lines = text.lines().filter(|line| line.starts_with("rootctl "));
        // What is shown as wrong is no example.
        for line in lines.filter(|line| !line.contains("# exit")) {
            let Some(page) = page_of(line, dir) else {
                continue;
            };
            let lines = all.entry(page).or_default();
            if lines.len() < MOST && !lines.iter().any(|known| known == line) {
                lines.push(line.to_owned());
            }
        }
    }
    Ok(all)
}

/// The page of the verb of a command line. Options may stand before the verb.
fn page_of(line: &str, dir: &Path) -> Option<String> {
    let words: Vec<&str> = line
        .split(' ')
        .skip(1)
        .take_while(|word| *word != "--")
        .collect();
    let pages = (0..words.len()).flat_map(|start| {
        let rest = words.get(start..).unwrap_or_default();
        [2, 1].map(|count| {
            rest.iter()
                .take(count)
                .copied()
                .collect::<Vec<_>>()
                .join("-")
        })
    });
    let mut pages = pages.map(|verb| format!("rootctl-{verb}.1"));
    pages.find(|page| !page.contains('/') && dir.join(page).exists())
}

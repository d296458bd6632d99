//! Markdown, as far as our own pages use it.

use anyhow::{Context, Result};
use std::path::Path;
use tests::paths;

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Relative to the workspace.
    pub(crate) name: String,
    /// Lines of code blocks, with their line numbers.
    pub(crate) code: Vec<(usize, String)>,
    /// Fenced code blocks as a whole, with the number of their first line.
    pub(crate) blocks: Vec<(usize, String)>,
    /// Text between single backticks, with the number of the line it begins on.
    pub(crate) spans: Vec<(usize, String)>,
    /// Rows of tables: the last heading above, then the cells.
    pub(crate) rows: Vec<(String, Vec<String>)>,
    /// Targets of links that lead to files.
    pub(crate) links: Vec<String>,
}

/// All pages whose words are checked.
pub(crate) fn all() -> Result<Vec<Page>> {
    let mut names: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "limine/README.md",
        "services/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for folder in ["docs", "docs/decisions"] {
        let dir = paths::workspace().join(folder);
        let entries =
            std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut found: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        found.sort();
        names.append(&mut found);
    }
    names.iter().map(|name| read(name)).collect()
}

/// One page.
pub(crate) fn read(name: &str) -> Result<Page> {
    let path = paths::workspace().join(name);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(parse(name, &text))
}

fn parse(name: &str, text: &str) -> Page {
    let mut page = Page {
        name: name.to_owned(),
        code: Vec::new(),
        blocks: Vec::new(),
        spans: Vec::new(),
        rows: Vec::new(),
        links: Vec::new(),
    };
    let (mut fenced, mut heading) = (false, String::new());
    // A span may go over a line break: text is collected by paragraphs.
    let (mut paragraph, mut began) = (String::new(), 1);
    let mut number = 0;
    for line in text.lines().chain([""]) {
        number += 1;
        if line.starts_with("```") {
            fenced = !fenced;
            if fenced {
                page.blocks.push((number + 1, String::new()));
            }
        } else if fenced {
            page.code.push((number, line.to_owned()));
            if let Some((_, block)) = page.blocks.last_mut() {
                block.push_str(line);
                block.push('\n');
            }
        } else if let Some(code) = line.strip_prefix("    ").filter(|_| paragraph.is_empty()) {
            page.code.push((number, code.to_owned()));
        } else if let Some(cells) = line.strip_prefix('|') {
            if !cells.starts_with("---") {
                let cells = cells.trim_end().trim_end_matches('|').split('|');
                page.rows.push((
                    heading.clone(),
                    cells.map(|cell| cell.trim().to_owned()).collect(),
                ));
            }
            collect(&mut page, number, line);
        } else if line.trim().is_empty() {
            collect(&mut page, began, &paragraph);
            paragraph.clear();
        } else {
            if let Some(title) = line.strip_prefix('#') {
                title
                    .trim_start_matches('#')
                    .trim()
                    .clone_into(&mut heading);
            }
            if paragraph.is_empty() {
                began = number;
            }
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    page
}

fn collect(page: &mut Page, line: usize, text: &str) {
    page.spans.extend(
        spans(text)
            .into_iter()
            .map(|span| (line, span.split_whitespace().collect::<Vec<_>>().join(" "))),
    );
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    page.links.extend(
        targets
            .filter(|target| !target.is_empty() && !target.contains("://"))
            .map(str::to_owned),
    );
}

/// What stands between backticks.
pub(crate) fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

//! Markdown to `man(7)`, as far as our own pages use it. A table becomes a list: the first cell is the term, the last one its
//! explanation, with what the others say behind it.

/// Sections of a page: what stands before the first heading, under no name, then each with its heading.
pub(super) fn sections(page: &str) -> Vec<(String, String)> {
    let mut all = vec![(String::new(), String::new())];
    let mut fenced = false;
    for line in page.lines().filter(|line| !line.starts_with("# ")) {
        fenced ^= line.starts_with("```");
        match line.strip_prefix("## ").filter(|_| !fenced) {
            Some(heading) => all.push((heading.trim_matches('`').to_owned(), String::new())),
            None => {
                if let Some((_, body)) = all.last_mut() {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
    }
    all
}

/// The head of a section.
pub(super) fn heading(text: &str) -> String {
    format!(".SH \"{}\"\n", inline(text).replace('"', "\\(dq"))
}

/// A line that stays as it is.
pub(super) fn code(line: &str) -> String {
    protected(&escaped(line))
}

/// Names of other pages, `NAME(SECTION)`.
pub(super) fn references(names: &[&str]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| match name.split_once('(') {
            Some((name, section)) => format!(".BR {} ({section}", name.replace('-', "\\-")),
            None => format!(".B {name}"),
        })
        .collect();
    names.join(" ,\n") + "\n"
}

/// What is being collected.
enum Block {
    Nothing,
    /// A paragraph, with the request that begins it.
    Text(&'static str, String),
    /// A table, with the heads of its columns.
    Table(Vec<String>),
    /// Lines that stay as they are, between fences.
    Fenced,
    /// The same, indented.
    Indented,
}

/// The text of a section.
pub(super) fn body(text: &str) -> String {
    let mut page = Writer {
        out: String::new(),
        block: Block::Nothing,
        fresh: true,
    };
    for line in text.lines() {
        page.line(line);
    }
    page.end();
    page.out
}

struct Writer {
    out: String,
    block: Block,
    /// Nothing stands below the heading yet: a paragraph needs no request of its own.
    fresh: bool,
}

impl Writer {
    fn line(&mut self, line: &str) {
        if line.starts_with("```") {
            let closes = matches!(self.block, Block::Fenced);
            self.end();
            if !closes {
                self.open_code(Block::Fenced);
            }
        } else if matches!(self.block, Block::Fenced) {
            self.code(line);
        } else if line.trim().is_empty() {
            self.end();
        } else if let Some(row) = line.strip_prefix('|') {
            self.row(row);
        } else if let Some(title) = line.strip_prefix("### ") {
            self.end();
            self.out.push_str(&heading(title).replacen(".SH", ".SS", 1));
            self.fresh = true;
        } else if let Some(item) = line.strip_prefix("- ") {
            self.begin(".IP \\(bu 2", item);
        } else if let Some((_, item)) = line
            .split_once(". ")
            .filter(|(number, _)| is_number(number))
        {
            self.begin(".IP \\(bu 2", item);
        } else if let Block::Text(_, text) = &mut self.block {
            text.push(' ');
            text.push_str(line.trim());
        } else if let Some(code) = line.strip_prefix("    ") {
            if !matches!(self.block, Block::Indented) {
                self.end();
                self.open_code(Block::Indented);
            }
            self.code(code);
        } else {
            self.begin(".PP", line);
        }
    }

    fn begin(&mut self, request: &'static str, text: &str) {
        self.end();
        self.block = Block::Text(request, text.to_owned());
    }

    fn open_code(&mut self, block: Block) {
        if !self.fresh {
            self.out.push_str(".PP\n");
        }
        self.out.push_str(".RS 4\n.nf\n");
        self.block = block;
        self.fresh = false;
    }

    fn code(&mut self, line: &str) {
        self.out.push_str(&code(line));
        self.out.push('\n');
    }

    fn row(&mut self, row: &str) {
        let cells: Vec<String> = row
            .trim_end()
            .trim_end_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        let Block::Table(heads) = &self.block else {
            self.end();
            self.block = Block::Table(cells);
            return;
        };
        if row.starts_with("---") {
            return;
        }
        let Some((term, rest)) = cells.split_first() else {
            return;
        };
        let mut text = rest.last().map(|cell| inline(cell)).unwrap_or_default();
        for (head, cell) in heads
            .iter()
            .skip(1)
            .zip(rest)
            .take(rest.len().saturating_sub(1))
        {
            if !cell.is_empty() {
                text.push_str(&format!("\n.br\n{head}: {}", inline(cell)));
            }
        }
        let text = if text.is_empty() {
            "\\&".to_owned()
        } else {
            protected(&text)
        };
        self.out
            .push_str(&format!(".TP\n{}\n{text}\n", protected(&inline(term))));
        self.fresh = false;
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.block, Block::Nothing) {
            Block::Nothing => return,
            Block::Text(request, text) => {
                if !(self.fresh && request == ".PP") {
                    self.out.push_str(request);
                    self.out.push('\n');
                }
                self.out.push_str(&protected(&inline(&text)));
                self.out.push('\n');
            }
            Block::Table(_) => {}
            Block::Fenced | Block::Indented => self.out.push_str(".fi\n.RE\n"),
        }
        self.fresh = false;
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// A line that begins with a point or a quote would be a request.
fn protected(line: &str) -> String {
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}

/// Text that means itself, also when it is copied.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
}

/// Spans, bold words and links of one paragraph.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            out.push_str(&format!("\\fB{}\\fR", escaped(part)));
        } else {
            let plain = without_targets(part).replace('\\', "\\e");
            for (number, part) in plain.split("**").enumerate() {
                out.push_str(if number == 0 {
                    ""
                } else if number % 2 == 1 {
                    "\\fB"
                } else {
                    "\\fR"
                });
                out.push_str(part);
            }
        }
    }
    out.replace("[\\fB", "\\fB")
}

/// `[words](target)` becomes `words`.
fn without_targets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, behind)) = after.split_once(')') else {
            break;
        };
        let (start, words) = before.rsplit_once('[').unwrap_or((before, ""));
        out.push_str(start);
        out.push_str(words);
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_lists_and_code_become_requests() {
        let text = "One\ntwo.\n\n- a `b-c`\n- [d](e.md)\n\n```\n.x -y\n```\n";
        let wanted = "One two.\n.IP \\(bu 2\na \\fBb\\-c\\fR\n.IP \\(bu 2\nd\n.PP\n.RS 4\n.nf\n\\&.x \\-y\n.fi\n.RE\n";
        assert_eq!(body(text), wanted);
    }

    #[test]
    fn a_row_of_a_table_is_a_term_and_what_is_said_of_it() {
        let text =
            "| key | kind | meaning |\n|---|---|---|\n| `a` | text | what\\it is |\n| `b` | | |\n";
        let wanted = ".TP\n\\fBa\\fR\nwhat\\eit is\n.br\nkind: text\n.TP\n\\fBb\\fR\n\\&\n";
        assert_eq!(body(text), wanted);
    }

    #[test]
    fn a_page_is_cut_at_its_headings_and_not_within_code() {
        let page = "# Title\n\nintro\n\n## `[exec]`\n\n```\n## no\n```\n";
        let all = sections(page);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[1].0, "[exec]");
        assert!(all[1].1.contains("## no"));
    }
}

//! Errors that point at a place in a text: file, line, column, the line itself and a caret.

use std::fmt;
use std::ops::Range;

/// A message about one place of a text file.
///
/// Displays as `FILE:LINE:COLUMN: MESSAGE`, the source line below it and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    file: String,
    line: usize,
    column: usize,
    source: String,
    width: usize,
    message: String,
}

impl Spot {
    /// Points at the byte range `span` of `text`, which is the content of `file`.
    ///
    /// Ranges outside the text, or inside a character, are moved to the nearest place that exists.
    #[must_use]
    pub fn new(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let floor = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at = at.saturating_sub(1);
            }
            at
        };
        let (start, end) = (floor(span.start), floor(span.end));
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let rest = text.get(line_start..).unwrap_or_default();
        let source: String = rest
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        let column = before
            .get(line_start..)
            .unwrap_or_default()
            .chars()
            .count()
            .saturating_add(1);
        let marked = text.get(start..end.max(start)).unwrap_or_default();
        let width = marked
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            .max(1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count().saturating_add(1),
            column,
            source,
            width,
            message: message.into(),
        }
    }

    /// A message about the file as a whole: shown without line and caret.
    #[must_use]
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        let nothing = String::new();
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source: nothing,
            width: 0,
            message: message.into(),
        }
    }

    /// Turns an error of the `toml` crate into a message with our layout.
    #[must_use]
    pub fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().replace('\n', " ");
        match error.span() {
            Some(span) => Self::new(file, text, span, message),
            None => Self::whole(file, message),
        }
    }

    /// The file the message is about.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.file, self.message);
        }
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        writeln!(f, "{:>5} | {}", self.line, self.source)?;
        let indent: String = self
            .source
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "      | {indent}{}", "^".repeat(self.width.min(80)))
    }
}

impl std::error::Error for Spot {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_word() {
        let text = "schema = 1\nkind = \"robot\"\n";
        let spot = Spot::new("a.toml", text, 18..25, "unknown kind");
        assert_eq!(
            spot.to_string(),
            "a.toml:2:8: unknown kind\n    2 | kind = \"robot\"\n      |        ^^^^^^^"
        );
    }

    #[test]
    fn impossible_ranges_do_not_panic() {
        for span in [900..901, 1..2, Range { start: 1, end: 0 }] {
            let shown = Spot::new("f", "é", span, "m").to_string();
            assert!(shown.starts_with("f:1:"), "{shown}");
        }
    }
}

//! Errors that point at a place in a text: file, line, column, the line itself and a caret.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::nearest::nearest;
use crate::toml_value::{self, Mistake};

/// Reads `text`, the content of `file`, whose key `schema` must be `version`: a newer format is named as one, whatever else
/// it changed.
///
/// # Errors
/// The text is damaged or has a newer format.
pub fn read_toml<T: DeserializeOwned>(file: &str, text: &str, version: u32) -> Result<T, Spot> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    let spot = |mistake| Spot::from_toml(file, text, &mistake);
    let found: Version = toml_value::from_text(text).map_err(spot)?;
    if found.schema != version {
        let words = format!(
            "it has format {}, this version knows {version} only: update rootctl",
            found.schema
        );
        return Err(Spot::whole(file, words));
    }
    toml_value::from_text(text).map_err(spot)
}

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

    /// A message about the file as a whole: shown without line and caret. An empty name is no file at all.
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

    /// Gives a mistake our layout.
    #[must_use]
    pub fn from_toml(file: &str, text: &str, mistake: &Mistake) -> Self {
        let message = sentence(&mistake.message);
        match mistake.span.clone() {
            Some(span) => Self::new(file, text, span, message),
            None => Self::whole(file, message),
        }
    }

    /// Line and column of the place, both from 1 on; `None`: the message is about the file as a whole.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        (self.line > 0).then_some((self.line, self.column))
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
        if self.file.is_empty() {
            return f.write_str(&self.message);
        }
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

/// The parser's message in our words: what is unknown gets the nearest known thing.
pub(crate) fn sentence(message: &str) -> String {
    let quoted = |known: &[&str]| known.join(", ");
    if let Some((unknown, known)) = unknown("unknown field `", message) {
        return match nearest(unknown, &known) {
            Some(best) => format!("unknown key \"{unknown}\", did you mean \"{best}\"?"),
            None if known.is_empty() => format!("unknown key \"{unknown}\""),
            None => format!("unknown key \"{unknown}\", known here: {}", quoted(&known)),
        };
    }
    if let Some((unknown, known)) = unknown("unknown variant `", message) {
        return match nearest(unknown, &known) {
            Some(best) => format!("unknown value \"{unknown}\", did you mean \"{best}\"?"),
            None => format!(
                "unknown value \"{unknown}\", expected one of: {}",
                quoted(&known)
            ),
        };
    }
    let missing = message.strip_prefix("missing field `");
    match missing.and_then(|rest| rest.strip_suffix('`')) {
        Some(key) => format!("the key \"{key}\" is missing"),
        None => message.replace('\n', " "),
    }
}

/// Takes serde's sentence "unknown … `x`, expected one of `a`, `b`" apart.
fn unknown<'a>(start: &str, message: &'a str) -> Option<(&'a str, Vec<&'a str>)> {
    let (unknown, rest) = message.strip_prefix(start)?.split_once('`')?;
    Some((unknown, rest.split('`').skip(1).step_by(2).collect()))
}

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
    fn the_parsers_words_become_ours() {
        for (theirs, ours) in [
            (
                "unknown field `usr`, expected `user` or `group`",
                "unknown key \"usr\", did you mean \"user\"?",
            ),
            (
                "unknown field `zzz`, expected one of `a`, `b`",
                "unknown key \"zzz\", known here: a, b",
            ),
            (
                "unknown field `a`, there are no fields",
                "unknown key \"a\"",
            ),
            (
                "unknown variant `alway`, expected one of `no`, `always`",
                "unknown value \"alway\", did you mean \"always\"?",
            ),
            ("missing field `start`", "the key \"start\" is missing"),
            ("two\nlines", "two lines"),
        ] {
            assert_eq!(sentence(theirs), ours);
        }
    }

    #[test]
    fn impossible_ranges_do_not_panic() {
        for span in [900..901, 1..2, Range { start: 1, end: 0 }] {
            let shown = Spot::new("f", "é", span, "m").to_string();
            assert!(shown.starts_with("f:1:"), "{shown}");
        }
    }
}

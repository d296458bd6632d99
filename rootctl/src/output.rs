//! What the person sees: tables, colours where they help, JSON where it is asked for, progress on stderr.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result};
use rootspec::protocol::store::Progress;
use serde::Serialize;

use crate::cli::Global;
use crate::client::Failure;

/// How to print.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    yes: bool,
    level: Level,
    colour: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// What a piece of text means; decides its colour on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Look at this.
    Warning,
    /// Something is broken.
    Bad,
}

impl Tone {
    /// The SGR parameters (ECMA-48).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
        }
    }
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Text with a meaning.
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: clean(&text.into()),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Text from files and from other programs must not steer the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
        .collect()
}

impl Output {
    /// As the options and the terminal say.
    pub(crate) fn new(global: &Global) -> Self {
        let level = match (global.quiet, global.verbose) {
            (true, _) => Level::Quiet,
            (false, true) => Level::Verbose,
            (false, false) => Level::Normal,
        };
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json: global.json,
            yes: global.yes,
            level,
            colour: wanted && !global.json && std::io::stdout().is_terminal(),
        }
    }

    /// True when the answer is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer as JSON, or else as `human` shows it.
    pub(crate) fn answer<T: Serialize>(
        &self,
        answer: &T,
        human: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if !self.json {
            return human();
        }
        let text = serde_json::to_string_pretty(answer).context("cannot write the answer")?;
        self.line(&text)
    }

    /// Prints a line of the answer.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Prints bytes of the answer as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // The reader has seen enough (`rootctl snap list | head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write to the terminal"),
        }
    }

    /// Prints rows in aligned columns; empty columns at the end leave no blanks.
    pub(crate) fn table(&self, rows: &[Vec<Cell>]) -> Result<()> {
        let mut text = self.aligned(rows).join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        self.raw(text.as_bytes())
    }

    fn aligned(&self, rows: &[Vec<Cell>]) -> Vec<String> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|c| c.text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let shown = rows.iter().map(|row| {
            let mut line = String::new();
            let mut blanks = 0;
            for (cell, width) in row.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    line.push_str(&" ".repeat(blanks));
                    line.push_str(&self.paint(&cell.text, cell.tone));
                    blanks = 0;
                }
                blanks += width + 2 - cell.text.chars().count();
            }
            line
        });
        shown.collect()
    }

    /// Colours a piece of text, on a terminal only.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour && tone != Tone::Plain {
            format!("\x1b[{}m{text}\x1b[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// A remark beside the answer, on stderr.
    pub(crate) fn remark(&self, text: &str) {
        if self.level != Level::Quiet {
            to_stderr(format!("{}\n", clean(text)).as_bytes());
        }
    }

    /// A remark for those who asked for more.
    pub(crate) fn detail(&self, text: &str) {
        if self.level == Level::Verbose {
            self.remark(text);
        }
    }

    /// A step of long work on stderr; a command's own output where it belongs.
    pub(crate) fn progress(&self, progress: &Progress) {
        match progress.stream.as_str() {
            // With --json stdout holds the answer alone.
            "stdout" if !self.json => drop(self.raw(progress.text.as_bytes())),
            "stdout" | "stderr" => to_stderr(progress.text.as_bytes()),
            _ => self.remark(&format!("- {}", progress.text)),
        }
    }

    /// Asks for a yes. Without a terminal there is nobody to ask, and the command itself was the wish.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool> {
        let input = std::io::stdin();
        if self.yes || self.json || !input.is_terminal() {
            return Ok(true);
        }
        to_stderr(format!("{question} [y/N] ").as_bytes());
        let mut answer = String::new();
        input
            .lock()
            .read_line(&mut answer)
            .context("cannot read the answer")?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Asks which of some words it is to be, each with its first letter; a bare line means `default`. `None`: there is nobody
    /// to ask.
    pub(crate) fn choose(&self, question: &str, words: &[&str], default: &str) -> Option<String> {
        let input = std::io::stdin();
        if self.json || !input.is_terminal() {
            return None;
        }
        loop {
            to_stderr(format!("{question} [{}] ({default}) ", words.join("/")).as_bytes());
            let mut answer = String::new();
            if input.lock().read_line(&mut answer).ok()? == 0 {
                return None;
            }
            let answer = answer.trim().to_ascii_lowercase();
            let answer = if answer.is_empty() { default } else { &answer };
            if let Some(word) = words.iter().find(|word| word.starts_with(answer)) {
                return Some((*word).to_owned());
            }
        }
    }

    /// Where the output of a terminal goes: with --json stdout holds the answer alone.
    pub(crate) fn terminal(&self) -> Box<dyn Write> {
        if self.json {
            Box::new(std::io::stderr())
        } else {
            Box::new(std::io::stdout())
        }
    }

    /// Whether questions are answered with yes.
    pub(crate) fn says_yes(&self) -> bool {
        self.yes
    }

    /// Prints an error with its causes, and the next command where one is known.
    pub(crate) fn failure(&self, error: &anyhow::Error) {
        let next = error
            .downcast_ref::<Failure>()
            .and_then(|failure| failure.next.as_deref());
        to_stderr(format!("rootctl: {}\n", clean(&sys::chain(error.as_ref()))).as_bytes());
        if let Some(next) = next {
            to_stderr(format!("next: {}\n", clean(next)).as_bytes());
        }
    }
}

/// A terminal that went away must not end the program.
fn to_stderr(bytes: &[u8]) {
    let mut out = std::io::stderr().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Seconds since 1970 as `2026-11-21 09:02` (UTC).
pub(crate) fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = rootspec::civil::date_of(days);
    let (hour, minute) = (rest / 3600, rest % 3600 / 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Output {
        Output {
            json: false,
            yes: true,
            level: Level::Normal,
            colour: false,
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_the_end() {
        let rows = vec![
            vec![Cell::from("1"), "base".into(), "".into()],
            vec![Cell::from("12"), "".into(), "trial".into()],
        ];
        assert_eq!(plain().aligned(&rows), ["1   base", "12        trial"]);
    }

    #[test]
    fn colours_are_for_terminals_only_and_do_not_count_as_width() {
        assert_eq!(plain().paint("x", Tone::Bad), "x");
        let coloured = Output {
            colour: true,
            ..plain()
        };
        let rows = vec![vec![Cell::new("x", Tone::Bad), "y".into()]];
        assert_eq!(coloured.aligned(&rows), ["\x1b[31mx\x1b[0m  y"]);
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(Cell::from("a\x1b[2Jb\u{9b}").text, "a?[2Jb?");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_709_251_199, "2024-02-29 23:59"),
            (1_767_225_600, "2026-01-01 00:00"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}

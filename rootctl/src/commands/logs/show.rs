//! What a record looks like: columns for a person, the line as it stands in the file for other programs, or JSON.

use std::io::{BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};

use anyhow::{Context as _, Result};
use rootspec::protocol::logs::LogRecord;
use rootspec::record::Record;

use super::Context;
use crate::output::Tone;

/// The column of units is at most so wide.
const WIDEST: usize = 24;

/// How records are printed.
pub(super) struct Show<'a> {
    context: Context<'a>,
    how: How,
    out: BufWriter<StdoutLock<'static>>,
    /// The boot of the last record.
    boot: String,
    /// Nobody reads any more.
    over: bool,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Columns { width: usize },
    Plain,
    Json,
}

impl<'a> Show<'a> {
    /// For records of these units.
    pub(super) fn new<'b>(context: Context<'a>, units: impl Iterator<Item = &'b str>) -> Self {
        let how = if context.out.is_json() {
            How::Json
        } else if std::io::stdout().is_terminal() {
            let width = units.map(str::len).max().unwrap_or(0).min(WIDEST);
            How::Columns { width }
        } else {
            How::Plain
        };
        Self {
            context,
            how,
            out: BufWriter::new(std::io::stdout().lock()),
            boot: String::new(),
            over: false,
        }
    }

    /// Nobody reads any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Prints one record, given as its line.
    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        let Some(record) = Record::parse(line) else {
            return Ok(());
        };
        let text = match self.how {
            How::Plain => line.to_owned(),
            How::Json => {
                let record = LogRecord::from(&record);
                serde_json::to_string(&record).context("cannot write a record")?
            }
            How::Columns { width } => {
                let heading = self.heading(&record);
                heading + &self.columns(&record, width)
            }
        };
        let written = writeln!(self.out, "{text}");
        self.seen(written)
    }

    /// Puts all of it in front of the reader.
    pub(super) fn flush(&mut self) -> Result<()> {
        let written = self.out.flush();
        self.seen(written)
    }

    fn seen(&mut self, written: std::io::Result<()>) -> Result<()> {
        match written {
            // The reader has seen enough (`rootctl logs | head`).
            Err(why) if why.kind() == ErrorKind::BrokenPipe => {
                self.over = true;
                Ok(())
            }
            other => other.context("cannot write to the terminal"),
        }
    }

    /// A line between boots.
    fn heading(&mut self, record: &Record<'_>) -> String {
        if self.boot == record.boot {
            return String::new();
        }
        self.boot = record.boot.to_owned();
        let heading = heading(record);
        self.context.out.paint(&heading, Tone::Strong) + "\n"
    }

    fn columns(&self, record: &Record<'_>, width: usize) -> String {
        let tone = match record.priority {
            Some(0..=3) => Tone::Bad,
            Some(4) => Tone::Warning,
            _ => Tone::Plain,
        };
        let text = self.context.out.paint(record.text, tone);
        format!("{}{text}", columns(record, width))
    }
}

fn heading(record: &Record<'_>) -> String {
    let mut text = format!("boot {}", record.boot);
    if record.snapshot != "-" {
        text.push_str(&format!(", snapshot {}", record.snapshot));
    }
    if record.try_number != "-" {
        text.push_str(&format!(", try {}", record.try_number));
    }
    text
}

/// All but the text.
fn columns(record: &Record<'_>, width: usize) -> String {
    let time = record.time.replace('T', " ");
    let time = time.trim_end_matches('Z');
    let mark = if record.continued { "+" } else { " " };
    let unit = record.unit;
    format!("{time}  {unit:width$} {mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_columns_and_which_boot_it_was() {
        let line = "2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=1 sshd[-]: text";
        let record = Record::parse(line).unwrap();
        assert_eq!(heading(&record), "boot 1f00c0de, snapshot 7, try 1");
        assert_eq!(columns(&record, 6), "2026-11-21 08:45:59.123  sshd    ");
        let plain = line.replace("snap=7 try=1", "snap=- try=-");
        assert_eq!(heading(&Record::parse(&plain).unwrap()), "boot 1f00c0de");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let json = |line: &str| {
            let record = Record::parse(line).map(|record| LogRecord::from(&record));
            serde_json::to_string(&record).unwrap()
        };
        assert_eq!(
            json("2026-11-21T08:45:59.123Z boot=1f00c0de snap=- try=- sshd[-]: \"x\""),
            r#"{"time":"2026-11-21T08:45:59.123Z","boot":"1f00c0de","unit":"sshd","text":"\"x\""}"#
        );
        assert_eq!(
            json("2026-11-21T08:45:59.123Z boot=1f00c0de snap=7 try=2 pri=3 sshd[-]+: x"),
            r#"{"time":"2026-11-21T08:45:59.123Z","boot":"1f00c0de","snapshot":7,"try":2,"priority":3,"unit":"sshd","continued":true,"text":"x"}"#
        );
    }
}

//! How single values are written in a unit file.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// A duration in milliseconds, written `"250ms"`, `"90s"`, `"5m"`, `"1h"` or `"off"` (no limit, [`Millis::OFF`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Millis(pub u64);

impl Millis {
    /// No limit.
    pub const OFF: Self = Self(u64::MAX);
}

fn parse_millis(text: &str) -> Option<u64> {
    if text == "off" {
        return Some(Millis::OFF.0);
    }
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A number of bytes, written as a number or `"64K"`, `"64M"`, `"2G"` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size(pub u64);

pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) = match text.as_bytes().last()? {
        b'K' => (text.strip_suffix('K')?, 1 << 10),
        b'M' => (text.strip_suffix('M')?, 1 << 20),
        b'G' => (text.strip_suffix('G')?, 1 << 30),
        _ => (text, 1_u64),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size as it is written in a comparison.
pub(crate) fn parse_size_value(text: &str) -> Option<Size> {
    parse_size(text).map(Size)
}

/// Percent of one CPU, written `"150%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percent(pub u32);

fn parse_percent(text: &str) -> Option<u32> {
    text.strip_suffix('%')?
        .parse()
        .ok()
        .filter(|percent| *percent > 0)
}

/// A signal by its name without `SIG`, or by number.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Signal(pub i32);

/// Numbers of Linux on all architectures we run on (`signal(7)`).
const SIGNALS: [(&str, i32); 17] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("WINCH", 28),
    ("PWR", 30),
];

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIGNALS.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn parse_signal(text: &str) -> Option<i32> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    SIGNALS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

macro_rules! text_value {
    ($name:ident, $parse:path, $expected:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct TextVisitor;

                impl Visitor<'_> for TextVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        let unexpected = || E::invalid_value(Unexpected::Str(text), &self);
                        $parse(text).map($name).ok_or_else(unexpected)
                    }
                }

                from.deserialize_str(TextVisitor)
            }
        }
    };
}

text_value!(
    Millis,
    parse_millis,
    "a duration such as \"250ms\", \"90s\", \"5m\", \"1h\" or \"off\""
);
text_value!(
    Percent,
    parse_percent,
    "a share of one CPU such as \"150%\""
);
text_value!(
    Size,
    parse_size,
    "a size such as \"512K\", \"64M\" or \"2G\""
);
text_value!(Signal, parse_signal, "a signal such as \"TERM\" or \"HUP\"");

/// A command: program and arguments, never a shell.
pub type Argv = Vec<String>;

/// One command or a list of commands. Written as an array of strings, an array of such arrays, or a string that is
/// split at blanks (quotes protect them, no shell is involved).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArgvList(pub Vec<Argv>);

impl<'de> Deserialize<'de> for ArgvList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = ArgvList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: [\"/path\", \"argument\"], a list of these, or one string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ArgvList, E> {
                let argv = split(text).filter(|argv| !argv.is_empty());
                let argv = argv.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(ArgvList(vec![argv]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ArgvList, A::Error> {
                let mut words = Vec::new();
                let mut commands = Vec::new();
                while let Some(item) = seq.next_element::<Item>()? {
                    match item {
                        Item::Word(word) => words.push(word),
                        Item::Command(argv) => commands.push(argv),
                    }
                }
                let mixed = !words.is_empty() && !commands.is_empty();
                if mixed || commands.iter().any(Vec::is_empty) {
                    return Err(A::Error::invalid_value(Unexpected::Seq, &self));
                }
                if !words.is_empty() {
                    commands.push(words);
                }
                Ok(ArgvList(commands))
            }
        }

        from.deserialize_any(ListVisitor)
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ArgvList")]
pub struct Command(pub Argv);

impl TryFrom<ArgvList> for Command {
    type Error = &'static str;

    fn try_from(list: ArgvList) -> Result<Self, Self::Error> {
        let mut commands = list.0.into_iter();
        match (commands.next(), commands.next()) {
            (Some(argv), None) => Ok(Self(argv)),
            _ => Err("expected one command such as [\"/path\", \"argument\"]"),
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text, or a command such as [\"/path\", \"argument\"]"
)]
enum Item {
    Word(String),
    Command(Argv),
}

/// Splits at blanks; `'…'` and `"…"` protect, a backslash protects one character outside `'…'`.
/// `None` when a quote is not closed.
pub(super) fn split(text: &str) -> Option<Argv> {
    let mut argv = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, c) if c.is_ascii_whitespace() => argv.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    argv.extend(word);
    quote.is_none().then_some(argv)
}

/// One text or a list of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Names(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Names {
    fn from(value: OneOrMany) -> Self {
        match value {
            OneOrMany::One(name) => Self(vec![name]),
            OneOrMany::Many(names) => Self(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_shares_read_as_written() {
        for (text, millis) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("off", u64::MAX),
        ] {
            assert_eq!(parse_millis(text), Some(millis), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert_eq!(parse_millis(bad), None, "{bad}");
        }
        assert_eq!(parse_size("64M"), Some(64 << 20));
        assert_eq!(
            (parse_size(""), parse_size("M"), parse_size("1T")),
            (None, None, None)
        );
        assert_eq!(
            (parse_percent("150%"), parse_percent("0%")),
            (Some(150), None)
        );
    }

    #[test]
    fn command_strings_are_split_without_a_shell() {
        let argv = split(r#"/bin/x "a b" 'c "d"' e\ f $HOME "" ;"#).unwrap();
        assert_eq!(argv, ["/bin/x", "a b", "c \"d\"", "e f", "$HOME", "", ";"]);
        assert_eq!((split("'open"), split("end\\")), (None, None));
    }
}

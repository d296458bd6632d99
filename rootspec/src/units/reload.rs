//! `[exec] reload`: how a unit is told to read its settings again.

use serde::Deserialize;

use super::value::{Argv, Signal, split};

/// How it is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum Reload {
    /// By a signal to its main process.
    Signal(Signal),
    /// By SIGHUP, and it answers `READY=1` when it is through.
    Notify,
    /// By a command.
    Command(Argv),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a command, \"notify\", or a signal such as { signal = \"HUP\" }"
)]
enum Written {
    Signal(SignalTable),
    Text(String),
    Words(Argv),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalTable {
    signal: Signal,
}

impl TryFrom<Written> for Reload {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let argv = match written {
            Written::Signal(table) => return Ok(Self::Signal(table.signal)),
            Written::Text(text) if text == "notify" => return Ok(Self::Notify),
            Written::Text(text) => split(&text).unwrap_or_default(),
            Written::Words(words) => words,
        };
        if argv.is_empty() {
            return Err(
                "expected a command: quotes must be closed, and it needs a program".to_owned(),
            );
        }
        Ok(Self::Command(argv))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_a_signal_a_word_or_a_command() {
        #[derive(Deserialize)]
        struct Table {
            reload: Reload,
        }
        let read = |text: &str| {
            toml::from_str::<Table>(&format!("reload = {text}")).map(|table| table.reload)
        };
        assert_eq!(
            read("{ signal = \"HUP\" }").unwrap(),
            Reload::Signal(Signal(1))
        );
        assert_eq!(read("\"notify\"").unwrap(), Reload::Notify);
        let command = Reload::Command(vec!["/bin/kill".into(), "-HUP".into()]);
        assert_eq!(read("\"/bin/kill -HUP\"").unwrap(), command);
        assert_eq!(read("[\"/bin/kill\", \"-HUP\"]").unwrap(), command);
        for bad in [
            "{ signal = \"FOO\" }",
            "\"\"",
            "[]",
            "1",
            "{ sig = \"HUP\" }",
            "\"'open\"",
        ] {
            let why = read(bad).unwrap_err().to_string();
            assert!(why.contains("expected a command"), "{bad}: {why}");
        }
    }
}

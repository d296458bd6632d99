//! Runs other programs so that a failure says which command, how it ended and its last words.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, ExitStatus, Output, Stdio};

/// How many lines of a failed command's output go into the error.
const LAST_LINES: usize = 25;

/// A command with its arguments; a short way to write what the functions below take.
pub fn command<I, S>(program: &str, args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// The command as a person would type it, for messages.
pub fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or does not end with status 0: the command and the last lines it said.
pub fn output(command: &mut Command) -> Result<String> {
    let text = shown(command);
    let done = command
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    judge(&text, &done)?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command to its end; its output is shown only in the error.
///
/// # Errors
/// As [`output`].
pub fn quiet(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command with `input` on its standard input.
///
/// # Errors
/// As [`output`]; a command that stops reading early is judged by its status only.
pub fn feed(command: &mut Command, input: &[u8]) -> Result<String> {
    let text = shown(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let stdin = child.stdin.take();
    let done = std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        child.wait_with_output()
    })
    .with_context(|| format!("cannot wait for `{text}`"))?;
    judge(&text, &done)?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command whose output goes straight to our terminal; says how it ended.
///
/// # Errors
/// When it cannot be started.
pub fn shown_live(command: &mut Command) -> Result<ExitStatus> {
    let text = shown(command);
    command
        .status()
        .with_context(|| format!("cannot start `{text}`"))
}

/// Whether a command can be started and ends with status 0.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|end| end.success())
}

fn judge(text: &str, done: &Output) -> Result<()> {
    if done.status.success() {
        return Ok(());
    }
    let said = if done.stderr.is_empty() {
        &done.stdout
    } else {
        &done.stderr
    };
    bail!(
        "`{text}` ended with {}: {}",
        done.status,
        last_lines(&String::from_utf8_lossy(said))
    )
}

/// The last lines of a text, as many as an error should carry.
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines
        .get(lines.len().saturating_sub(LAST_LINES)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_with_its_last_words() {
        let error = quiet(&mut command("sh", ["-c", "echo broken pump >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("sh -c") && text.contains("3") && text.contains("broken pump"),
            "{text}"
        );
    }

    #[test]
    fn input_reaches_the_command() {
        assert_eq!(feed(&mut command("cat", ["-"]), b"words").unwrap(), "words");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_kept() {
        let long: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(last_lines(&long).starts_with("75\n"));
    }
}

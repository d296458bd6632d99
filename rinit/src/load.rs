//! What a boot starts from, made by `rinit-plan` in a process of its own, so that no file, however odd, can hurt or hold
//! PID 1.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

use rootspec::kept::Kept;
use rootspec::paths::program::PLANNER;
use rootspec::paths::{KEPT_PLAN, run};
use rootspec::plan::{Plan, Work};
use sys::process::Worker;

use crate::reuse;

/// How long it may take, in milliseconds.
pub(crate) const DEADLINE: u64 = 10_000;
/// Largest answer, in bytes.
const ANSWER: usize = 64 << 20;
/// Before words that say why there is no answer; no answer begins with it.
const NONE: u8 = b'!';
/// Before an answer that was kept.
const KEPT: u8 = b'=';

/// Whether what was kept may be the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// If nothing has changed since: the one of the last good boot, or of the deploy.
    IfUnchanged,
    /// The files are read.
    Never,
}

/// What a boot starts from, and where that came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loaded {
    pub(crate) kept: Kept,
    /// It was kept, and nothing has changed since.
    pub(crate) unchanged: bool,
}

/// A child at work.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) worker: Worker,
    answer: Vec<u8>,
}

impl Loading {
    /// Starts the child.
    ///
    /// # Errors
    /// No process to be had.
    pub(crate) fn start(reuse: Reuse) -> sys::error::Result<Self> {
        let worker = sys::process::fork_worker(|mut output| {
            // Whatever is wrong with the one that was kept: the files have everything.
            let kept = match reuse {
                Reuse::IfUnchanged => reuse::unchanged(KEPT_PLAN)
                    .or_else(|_| reuse::unchanged(run::PLAN))
                    .ok(),
                Reuse::Never => None,
            };
            if let Some(bytes) = kept {
                return u8::from(send(&mut output, &bytes).is_err());
            }
            let told = output.try_clone();
            let error = sys::process::become_program(&mut planner(), output);
            if let Ok(mut told) = told {
                told.write_all(&refusal(&sys::chain(&error))).ok();
            }
            1
        })?;
        Ok(Self {
            worker,
            answer: Vec::new(),
        })
    }

    /// Reads what is there. `None`: the child is still at work.
    pub(crate) fn poll(&mut self) -> Option<Result<Loaded, String>> {
        let mut bytes = [0; 65536];
        loop {
            match self.worker.output.read(&mut bytes) {
                Ok(0) => return Some(decode(&self.answer)),
                Ok(length) => {
                    self.answer
                        .extend_from_slice(bytes.get(..length).unwrap_or_default());
                    if self.answer.len() > ANSWER {
                        return Some(Err("rinit-plan sent too much".to_owned()));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(format!("rinit-plan cannot be heard: {error}"))),
            }
        }
    }
}

/// How `rinit-plan` is asked. It keeps our standard input, from which it reads nothing: `/dev/null` may not be there yet,
/// as file systems are mounted meanwhile.
fn planner() -> Command {
    let mut command = Command::new(PLANNER);
    command.args(["--output", "-"]).env_clear();
    command
}

/// Sends what was kept.
fn send(output: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    // At once, if that may be: who reads it has other things to do meanwhile.
    sys::peek::make_room(&*output, bytes.len().saturating_add(1));
    output.write_all(&[KEPT])?;
    output.write_all(bytes)
}

fn refusal(words: &str) -> Vec<u8> {
    let mut bytes = vec![NONE];
    bytes.extend(words.as_bytes());
    bytes
}

/// What the child has sent until its end.
fn decode(bytes: &[u8]) -> Result<Loaded, String> {
    match bytes {
        [] => Err("rinit-plan died before it was done".to_owned()),
        [NONE, words @ ..] => Err(String::from_utf8_lossy(words).into_owned()),
        _ => {
            let kept = bytes.strip_prefix(&[KEPT]);
            let (bytes, unchanged) = (kept.unwrap_or(bytes), kept.is_some());
            let kept = started_from(bytes).map_err(|why| format!("rinit-plan: {why}"))?;
            Ok(Loaded { kept, unchanged })
        }
    }
}

/// What a boot starts from, from its binary form.
///
/// # Errors
/// In words: it is none, damaged, or of another version.
pub(crate) fn started_from(bytes: &[u8]) -> Result<Kept, String> {
    let mut kept = Kept::from_bytes(bytes).map_err(|why| why.to_string())?;
    pass_on(&mut kept.plan, |name| std::env::var(name).ok());
    Ok(kept)
}

/// Variables of our own environment that units ask for; what a unit says itself counts more.
fn pass_on(plan: &mut Plan, value: impl Fn(&str) -> Option<String>) {
    for unit in &mut plan.units {
        let (Work::Service(exec) | Work::Oneshot(exec)) = &mut unit.work else {
            continue;
        };
        for name in &exec.env_pass {
            let said = exec
                .env
                .iter()
                .any(|entry| entry.split('=').next() == Some(&**name));
            if let (Some(value), false) = (value(name), said) {
                exec.env.push(format!("{name}={value}").into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::compile::{Source, compile};

    #[test]
    fn no_answer_is_told_from_a_bad_one_in_words() {
        let bytes = Kept::default().to_bytes().unwrap();
        for (bytes, unchanged) in [(bytes.clone(), false), ([&[KEPT], &*bytes].concat(), true)] {
            let kept = Kept::default();
            assert_eq!(decode(&bytes), Ok(Loaded { kept, unchanged }));
        }
        for (bytes, words) in [
            (Vec::new(), "died before it was done"),
            (bytes[..bytes.len() - 1].to_vec(), "is damaged"),
            (b"Usage: rinit-plan".to_vec(), "is no boot plan"),
            (refusal("cannot execute it"), "cannot execute it"),
        ] {
            let why = decode(&bytes).unwrap_err();
            assert!(why.ends_with(words), "{why}");
        }
    }

    #[test]
    fn a_variable_is_passed_on_unless_the_unit_says_it_itself() {
        let source = Source {
            name: "a".parse().unwrap(),
            file: "a.toml".into(),
            text: "schema = 1\n[exec]\nstart = \"/x\"\nenv = { B = \"own\" }\nenv_pass = [\"A\", \"B\", \"C\"]\n"
                .into(),
        };
        let mut plan = compile(&[source], &[]);
        pass_on(&mut plan, |name| (name != "C").then(|| "ours".to_owned()));
        let env: Vec<&str> = plan.units[0]
            .exec()
            .unwrap()
            .env
            .iter()
            .map(|e| &**e)
            .collect();
        assert_eq!(env, ["B=own", "A=ours"]);
    }
}

//! Runs what the pages show, page by page, in the order of the page: a page tells a story.

use crate::house::{Answer, Machine, Store};
use crate::pages::{self, Page};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use tests::ns::End;
use tests::tier::Outcome;
use tests::{programs, run};

/// The places that pages write for a store mounted by hand.
const TOP: &str = "/mnt";
const ESP: &str = "/esp";

/// A store and a machine, each made when the page first needs it.
#[derive(Default)]
struct Stage {
    store: Option<Store>,
    machine: Option<Machine>,
}

pub(crate) fn run_all() -> Result<Outcome> {
    let mut count = 0;
    for page in pages::all()? {
        let mut stage = Stage::default();
        for (number, line) in &page.code {
            let done = stage
                .play(line)
                .with_context(|| format!("{}:{number}: {line}", page.name))?;
            count += u32::from(done);
        }
    }
    ensure!(
        count > 50,
        "only {count} command lines were found: have the pages another form now?"
    );
    Ok(Outcome::Passed)
}

impl Stage {
    /// Runs one line of a code block; false: it is none of ours.
    fn play(&mut self, line: &str) -> Result<bool> {
        // A drawing, not a command.
        if line.contains(" -> ") {
            return Ok(false);
        }
        let line = line.trim_start_matches("$ ").trim_start_matches("# ");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["rootctl", "power", ..] => self.power(line, &words)?,
            ["rootctl", "svc" | "boot", ..] | ["rinit", ..] => {
                expect(line, &self.machine()?.type_line(line)?)?;
            }
            ["rootctl", rest @ ..] if rest.contains(&"init") && rest.contains(&"store") => {
                init(line)?;
            }
            ["rootctl", ..] => self.store_line(line, &words)?,
            ["varlinkctl", verb, socket, rest @ ..] => self.varlink(verb, socket, rest)?,
            ["cargo", "xtask", rest @ ..] => xtask(rest)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn store(&mut self) -> Result<&Store> {
        if self.store.is_none() {
            self.store = Some(Store::new()?);
        }
        self.store.as_ref().context("there is a store")
    }

    fn machine(&mut self) -> Result<&Machine> {
        if self.machine.is_none() {
            self.machine = Some(Machine::start()?);
        }
        self.machine.as_ref().context("there is a machine")
    }

    fn store_line(&mut self, line: &str, words: &[&str]) -> Result<()> {
        let reboots = words.contains(&"--reboot");
        if reboots {
            self.machine()?;
        }
        self.store()?;
        let store = self.store.as_ref().context("there is a store")?;
        let line = here(line, store);
        let machine = self.machine.as_ref().filter(|_| reboots);
        expect(&line, &store.type_line(&line, machine)?)?;
        if reboots {
            store.reboot()?;
            self.machine
                .take()
                .context("there is a machine")?
                .must_end(End::Restart)?;
        }
        Ok(())
    }

    fn power(&mut self, line: &str, words: &[&str]) -> Result<()> {
        expect(line, &self.machine()?.power(line)?)?;
        let end = if words.contains(&"reboot") {
            End::Restart
        } else {
            End::PowerOff
        };
        self.machine
            .take()
            .context("there is a machine")?
            .must_end(end)?;
        match &self.store {
            Some(store) => store.reboot(),
            None => Ok(()),
        }
    }

    /// What varlinkctl would ask; it is in few distributions so far, so it is asked for it.
    fn varlink(&mut self, verb: &str, socket: &str, rest: &[&str]) -> Result<()> {
        let (method, parameters): (&str, Value) = match (verb, rest) {
            ("introspect", [interface]) => (
                "org.varlink.service.GetInterfaceDescription",
                json!({ "interface": interface }),
            ),
            ("call", [method, parameters @ ..]) => {
                let text = parameters.join(" ");
                (
                    method,
                    serde_json::from_str(text.trim_matches('\''))
                        .context("the parameters are no JSON")?,
                )
            }
            _ => bail!("varlinkctl {verb} is not known to this test"),
        };
        let answer = match socket {
            rootspec::paths::run::INIT_SOCKET => self.machine()?.call(method, &parameters)?,
            rootspec::paths::run::STORE_SOCKET => self.store()?.call(method, &parameters)?,
            _ => bail!("{socket} is none of our sockets"),
        };
        ensure!(answer.is_object(), "the answer is {answer}");
        Ok(())
    }
}

/// The line with the folders of this store instead of those that pages write.
fn here(line: &str, store: &Store) -> String {
    let line = line.replace(
        &format!("--root {TOP} "),
        &format!("--root {} ", store.top().display()),
    );
    line.replace(
        &format!("--esp {ESP} "),
        &format!("--esp {} ", store.esp().display()),
    )
}

/// Making a store needs an empty file system and something to import.
fn init(line: &str) -> Result<()> {
    let store = Store::empty()?;
    let (before, after) = line
        .split_once("--import ")
        .context("nothing is imported")?;
    let after = after.split_once(' ').map_or("", |(_, after)| after);
    let line = format!("{before}--import {} {after}", store.root().display());
    let line = here(&line, &store);
    expect(&line, &store.type_line(&line, None)?)
}

/// Parsed by the real definition: with `--help` behind it nothing is done.
fn xtask(words: &[&str]) -> Result<()> {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .take_while(|word| *word != "#")
        .collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    expect("", &Answer::of(command.args(&words).arg("--help"))?)
}

/// The exit code the line itself states behind `# exit`, else 0.
fn expect(line: &str, answer: &Answer) -> Result<()> {
    let stated = line
        .split_once("# exit ")
        .and_then(|(_, code)| code.trim().parse().ok());
    let wanted = stated.unwrap_or(0);
    ensure!(
        answer.code == wanted,
        "it ended with {} instead of {wanted}:\n{}",
        answer.code,
        answer.all
    );
    Ok(())
}

/// Commands in running text: their verbs and options must exist.
pub(crate) fn named() -> Result<Outcome> {
    let rootctl = programs::build()?.rootctl;
    let mut count = 0;
    for page in pages::all()? {
        for (number, span) in &page.spans {
            let words: Vec<&str> = span.split(' ').take_while(|word| *word != "--").collect();
            let (program, rest) = match words.as_slice() {
                // A title in a menu looks like a command without a verb.
                ["rootctl", verb, ..] if verb.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    continue;
                }
                ["rootctl", rest @ ..] if !rest.is_empty() => (rootctl.as_path(), rest),
                ["cargo", "xtask", rest @ ..] => {
                    (std::path::Path::new(env!("CARGO_BIN_EXE_xtask")), rest)
                }
                _ => continue,
            };
            count += 1;
            let first = rest.iter().position(|word| word.starts_with('-'));
            let (verbs, options) = rest.split_at(first.unwrap_or(rest.len()));
            let help = if verbs.contains(&"help") {
                &[][..]
            } else {
                &["--help"][..]
            };
            let answer = Answer::of(Command::new(program).args(verbs).args(help))?;
            ensure!(
                answer.code == 0,
                "{}:{number}: `{span}`:\n{}",
                page.name,
                answer.all
            );
            for option in options.iter().filter(|word| word.starts_with('-')) {
                let known = answer
                    .out
                    .split([' ', ',', '\n', '='])
                    .any(|word| word == *option);
                ensure!(
                    known,
                    "{}:{number}: `{span}`: there is no {option}\n{}",
                    page.name,
                    answer.out
                );
            }
        }
    }
    ensure!(
        count > 20,
        "only {count} were found: have the pages another form now?"
    );
    Ok(Outcome::Passed)
}

/// Tables and keys of rinit.toml, from the page.
fn documented_settings(page: &Page) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (heading, cells) in &page.rows {
        if heading.trim_matches('`') != "/etc/rinit/rinit.toml" {
            continue;
        }
        let span = |at: usize| {
            cells
                .get(at)
                .and_then(|cell| pages::spans(cell).first().copied().map(str::to_owned))
        };
        if let (Some(table), Some(key)) = (span(0), span(1)) {
            all.entry(table).or_default().push(key);
        }
    }
    all
}

/// rinit's own linter names the keys it knows when it meets one it does not.
pub(crate) fn settings() -> Result<Outcome> {
    let documented = documented_settings(&pages::read("docs/units.md")?);
    let machine = Machine::start()?;
    let file = machine.inside_path("/etc/rinit/rinit.toml")?;
    let known = |text: &str| -> Result<Vec<String>> {
        std::fs::write(&file, text).with_context(|| format!("cannot write {file}"))?;
        let answer = machine.type_line("rinit --check")?;
        let list = answer
            .all
            .lines()
            .find_map(|line| line.split_once(", known here: "));
        let list = list
            .with_context(|| format!("no keys are named:\n{}", answer.all))?
            .1;
        Ok(list.split(", ").map(str::to_owned).collect())
    };
    let tables: Vec<String> = documented.keys().cloned().collect();
    let mut found = known("zzzz = 1\n")?;
    found.sort();
    ensure!(
        found == tables,
        "docs/units.md names the tables {tables:?}, rinit knows {found:?}"
    );
    for (table, keys) in documented {
        let mut found = known(&format!("[{table}]\nzzzz = 1\n"))?;
        let mut keys = keys;
        found.sort();
        keys.sort();
        ensure!(
            found == keys,
            "docs/units.md, [{table}]: {keys:?}, rinit knows {found:?}"
        );
    }
    std::fs::write(&file, "").with_context(|| format!("cannot write {file}"))?;
    let answer = machine.type_line("rinit --check")?;
    ensure!(answer.code == 0, "with empty settings: {}", answer.all);
    Ok(Outcome::Passed)
}

/// Only for the message when a helper program is absent.
pub(crate) fn has(program: &str) -> bool {
    run::succeeds(&mut run::command(
        "sh",
        ["-c", &format!("command -v {program} > /dev/null")],
    ))
}

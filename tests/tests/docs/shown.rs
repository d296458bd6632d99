//! Runs what the pages show, page by page, in the order of the page: a page tells a story.

use crate::cli;
use crate::house::{Answer, Machine, Store};
use crate::pages::{self, Page};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use tests::ns::End;
use tests::tier::Outcome;
use tests::{paths, programs, run};

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
    let played = play_all(str::to_owned)?;
    ensure!(
        played.len() > 50,
        "only {} command lines were found: have the pages another form now?",
        played.len()
    );
    Ok(Outcome::Passed)
}

/// The same once more with `--json`: every verb answers in it, or the pages do not show the verb.
pub(crate) fn run_all_in_json() -> Result<Outcome> {
    /// They print what is no answer: text for other programs, or what a program of the person's prints.
    const TEXT: [&str; 3] = ["completion", "man", "run"];
    let with_json = |line: &str| match line.strip_prefix("rootctl ") {
        Some(rest) if !line.contains("--json") => format!("rootctl --json {rest}"),
        _ => line.to_owned(),
    };
    let leaves = cli::leaves()?;
    // Options, some with values, may stand before the verb. A line of another program may hold any word.
    let verb_of = |line: &str| {
        let words: Vec<&str> = line.strip_prefix("rootctl ")?.split_whitespace().collect();
        let stands_at = |verb: &&Vec<String>| {
            words
                .windows(verb.len())
                .position(|window| window == verb.as_slice())
        };
        let first = leaves.iter().filter(|verb| stands_at(verb).is_some());
        first.min_by_key(stands_at).map(|verb| verb.join(" "))
    };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (place, line, out) in play_all(with_json)? {
        let Some(verb) = verb_of(&line).filter(|verb| !TEXT.contains(&verb.as_str())) else {
            continue;
        };
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&out)
            .into_iter()
            .collect();
        let values = values.with_context(|| format!("{place}: {line}: this is no JSON:\n{out}"))?;
        // What is refused is said on standard error, in words; logs are an object per record, of which there may be none.
        if values.is_empty() && (line.contains("# exit") || verb == "logs") {
            continue;
        }
        ensure!(!values.is_empty(), "{place}: {line}: no answer");
        seen.insert(verb);
    }
    let all = leaves.iter().map(|verb| verb.join(" "));
    let missing: Vec<String> = all
        .filter(|verb| !seen.contains(verb) && !TEXT.contains(&verb.as_str()))
        .collect();
    ensure!(missing.is_empty(), "no page shows {}", missing.join(", "));
    Ok(Outcome::Passed)
}

/// Runs every command line of all pages, changed by `change`, and gives where it stands, the line that was run and what it
/// printed.
fn play_all(change: impl Fn(&str) -> String) -> Result<Vec<(String, String, String)>> {
    let mut played = Vec::new();
    for page in pages::all()? {
        let mut stage = Stage::default();
        for (number, line) in &page.code {
            let line = line.trim_start_matches("$ ").trim_start_matches("# ");
            let line = change(line);
            let place = format!("{}:{number}", page.name);
            let out = stage
                .play(&line)
                .with_context(|| format!("{place}: {line}"))?;
            played.extend(out.map(|out| (place, line, out)));
        }
    }
    Ok(played)
}

impl Stage {
    /// Runs one line of a code block and gives what it printed; `None`: it is none of ours.
    fn play(&mut self, line: &str) -> Result<Option<String>> {
        // A drawing, not a command.
        if line.contains(" -> ") {
            return Ok(None);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let plain: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| *word != "--json")
            .collect();
        Ok(Some(match plain.as_slice() {
            ["rootctl", "power", ..] => self.power(line, &words)?,
            ["rootctl", "svc" | "boot" | "logs", ..] | ["rinit" | "rinit-plan", ..] => {
                expect(line, self.machine()?.type_line(line)?)?
            }
            ["rootctl", rest @ ..] if rest.contains(&"init") && rest.contains(&"store") => {
                init(line)?
            }
            ["rootctl", ..] => self.store_line(line, &words)?,
            ["varlinkctl", verb, socket, rest @ ..] => self.varlink(verb, socket, rest)?,
            ["cargo", "xtask", rest @ ..] => xtask(rest)?,
            _ => return Ok(None),
        }))
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

    fn store_line(&mut self, line: &str, words: &[&str]) -> Result<String> {
        let reboots = words.contains(&"--reboot");
        if reboots {
            self.machine()?;
        }
        self.store()?;
        let store = self.store.as_ref().context("there is a store")?;
        let line = here(line, store);
        let machine = self.machine.as_ref().filter(|_| reboots);
        let out = expect(&line, store.type_line(&line, machine)?)?;
        if reboots {
            store.reboot()?;
            self.machine
                .take()
                .context("there is a machine")?
                .must_end(End::Restart)?;
        }
        Ok(out)
    }

    fn power(&mut self, line: &str, words: &[&str]) -> Result<String> {
        let out = expect(line, self.machine()?.power(line)?)?;
        let end = if words.contains(&"reboot") {
            End::Restart
        } else {
            End::PowerOff
        };
        self.machine
            .take()
            .context("there is a machine")?
            .must_end(end)?;
        if let Some(store) = &self.store {
            store.reboot()?;
        }
        Ok(out)
    }

    /// What varlinkctl would ask; it is in few distributions so far, so it is asked for it.
    fn varlink(&mut self, verb: &str, socket: &str, rest: &[&str]) -> Result<String> {
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
        Ok(answer.to_string())
    }
}

/// The line with the folders of this store instead of those that pages write.
fn here(line: &str, store: &Store) -> String {
    let (top, esp) = (store.top().display(), store.esp());
    let word = |word: &str| match word.strip_prefix(TOP) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{top}{rest}"),
        _ if word == ESP => esp.display().to_string(),
        _ => word.to_owned(),
    };
    let words: Vec<String> = line.split(' ').map(word).collect();
    words.join(" ")
}

/// Making a store needs an empty file system and something to import.
fn init(line: &str) -> Result<String> {
    let store = Store::empty()?;
    let (before, after) = line
        .split_once("--import ")
        .context("nothing is imported")?;
    let after = after.split_once(' ').map_or("", |(_, after)| after);
    let line = format!("{before}--import {} {after}", store.root().display());
    let line = here(&line, &store);
    expect(&line, store.type_line(&line, None)?)
}

/// Parsed by the real definition: with `--help` behind it nothing is done.
fn xtask(words: &[&str]) -> Result<String> {
    let words: Vec<&str> = words
        .iter()
        .copied()
        .take_while(|word| *word != "#")
        .collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    expect("", Answer::of(command.args(&words).arg("--help"))?)
}

/// Holds the exit code against the one that the line states behind `# exit`, else 0; gives what was printed.
fn expect(line: &str, answer: Answer) -> Result<String> {
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
    Ok(answer.out)
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

/// Commands that messages name (`next: rootctl …`): the literals of the programs that begin with one.
pub(crate) fn named_in_messages() -> Result<Outcome> {
    let leaves = cli::leaves()?;
    let mut count = 0;
    let mut grep = run::command(
        "grep",
        ["-rhoE", "--include=*.rs", "\"rootctl [a-z-][^\"]*"],
    );
    grep.args(
        ["rinit", "rootctl", "rootspec"]
            .map(|package| paths::workspace().join(package).join("src")),
    );
    for line in run::output(&mut grep)?.lines() {
        // `a, then rootctl b` and `a; rootctl b` name two.
        for part in line.trim_start_matches('"').split("rootctl ").skip(1) {
            let words: Vec<&str> = part
                .split([' ', ',', ';'])
                .skip_while(|word| word.starts_with('-') || word.chars().all(char::is_uppercase))
                .collect();
            let is_it = |verb: &Vec<String>| {
                let verb: Vec<&str> = verb.iter().map(String::as_str).collect();
                words.starts_with(&verb)
            };
            ensure!(
                words.first() == Some(&"…") || leaves.iter().any(is_it),
                "{line:?} names a verb that does not exist"
            );
            count += 1;
        }
    }
    ensure!(
        count > 20,
        "only {count} were found: do messages look otherwise now?"
    );
    Ok(Outcome::Passed)
}

/// Tables and keys of rinit.toml, from the page.
pub(crate) fn documented_settings(page: &Page) -> BTreeMap<String, Vec<String>> {
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
        let answer = machine.type_line("rinit-plan --check")?;
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
    let answer = machine.type_line("rinit-plan --check")?;
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

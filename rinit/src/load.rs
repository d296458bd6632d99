//! From unit files to a plan. The work is done in a child, so that no file, however odd, can hurt or hold PID 1.
//!
//! Parent: [`Loading`], which reads what the child sends without waiting, until a deadline.
//! Child: [`load`], which reads the folders, compiles, and puts numbers beside user names.

use std::io::{Read, Write};

use rootspec::compile::{Compiled, Files, Problem, Source, compile};
use rootspec::plan::{Plan, Work};
use sys::process::Worker;

use crate::accounts::{self, Accounts};
use crate::config::{self, Config};
use crate::filter;
use crate::folders::{self, FILE, Places};

/// How long the child may take, in milliseconds.
pub(crate) const DEADLINE: u64 = 10_000;
/// Largest answer of the child, in bytes.
const ANSWER: usize = 64 << 20;
/// What a boot without a usable plan runs: somebody must be able to log in.
const RESCUE: &str = include_str!("rescue.toml");

/// What a boot starts from.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The units.
    pub(crate) plan: Plan,
    /// The settings.
    pub(crate) config: Config,
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
    pub(crate) fn start() -> sys::error::Result<Self> {
        let worker = sys::process::fork_worker(|mut output| {
            let bytes = encode(&load(&Places::default()));
            u8::from(output.write_all(&bytes).is_err())
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
                        return Some(Err("the loader sent too much".to_owned()));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Some(Err(format!("the loader cannot be heard: {error}"))),
            }
        }
    }
}

/// Length of the settings, settings, plan.
fn encode(loaded: &Loaded) -> Vec<u8> {
    let config = serde_json::to_vec(&loaded.config).unwrap_or_default();
    let length = u32::try_from(config.len()).unwrap_or_default();
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(config);
    // An empty plan is told from none by its first bytes.
    bytes.extend(loaded.plan.to_bytes().unwrap_or_default());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Loaded, String> {
    let cut = || "the loader died before it was done".to_owned();
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (config, plan) = rest.split_at_checked(length).ok_or_else(cut)?;
    let config = serde_json::from_slice(config).map_err(|error| error.to_string())?;
    let plan = Plan::from_bytes(plan).map_err(|error| error.to_string())?;
    Ok(Loaded { plan, config })
}

/// The unit that stands in for everything when there is no usable plan.
pub(crate) const RESCUE_UNIT: &str = "rescue";

/// The built-in unit file of [`RESCUE_UNIT`].
fn rescue_source() -> Option<Source> {
    Some(Source {
        name: RESCUE_UNIT.parse().ok()?,
        file: "the built-in rescue.toml".to_owned(),
        text: RESCUE.to_owned(),
    })
}

/// A plan with nothing but a way to log in, because of `why`.
pub(crate) fn rescue(why: String) -> Loaded {
    let sources: Vec<Source> = rescue_source().into_iter().collect();
    let mut plan = compile(&sources, &[]);
    plan.problems.push(why.clone());
    let config = Config {
        default_group: RESCUE_UNIT.to_owned(),
        rescue: Some(why),
        ..Config::default()
    };
    Loaded { plan, config }
}

/// Reads everything and compiles it.
pub(crate) fn load(places: &Places) -> Loaded {
    let read = gather(places);
    Loaded {
        plan: read.compiled.into_plan(),
        config: read.config,
    }
}

/// Everything that was read, and what was made of it.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) files: Files,
    pub(crate) compiled: Compiled,
    pub(crate) config: Config,
}

/// Reads everything and compiles it, and keeps what the linter wants to know.
pub(crate) fn gather(places: &Places) -> Gathered {
    let mut problems = Vec::new();
    let text = |path: &str| sys::fs::read_text(path, 16 << 20).unwrap_or_default();
    let accounts = Accounts::parse(&text("/etc/passwd"), &text("/etc/group"));
    let config = match sys::fs::read_text(config::PATH, FILE) {
        Ok(text) => config::parse(&text, |name| accounts.gid(name)),
        Err(error) if error.is_absent() => Ok(Config::default()),
        Err(error) => Err(sys::chain(&error)),
    };
    let mut config = config.unwrap_or_else(|problem| {
        problems.push(Problem::of("", problem));
        Config::default()
    });
    let mut files = folders::read(places, &mut problems);
    let mut compiled = files.compile();
    if places.boots && compiled.plan.find(&config.default_group).is_none() {
        // The rest stays usable, so that a snapshot on trial can still be rejected.
        let group = &config.default_group;
        let why = format!("there is no usable group {group}; only a rescue login is started");
        problems.push(Problem::of("", why.clone()));
        config.default_group = RESCUE_UNIT.to_owned();
        config.rescue = Some(why);
        files
            .sources
            .retain(|source| source.name.as_str() != RESCUE_UNIT);
        files.sources.extend(rescue_source());
        compiled = files.compile();
    }
    accounts::resolve(&mut compiled, &accounts);
    filter::compile_all(&mut compiled);
    pass_on(&mut compiled.plan, |name| std::env::var(name).ok());
    compiled.problems.append(&mut problems);
    Gathered {
        files,
        compiled,
        config,
    }
}

/// Variables of our own environment that units ask for (we are a copy of PID 1); what a unit says itself counts more.
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

    #[test]
    fn the_answer_of_the_child_round_trips_and_damage_is_an_error() {
        let loaded = rescue("because".to_owned());
        let bytes = encode(&loaded);
        let back = decode(&bytes).unwrap();
        assert_eq!((back.plan, back.config), (loaded.plan, loaded.config));
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn the_rescue_plan_is_usable() {
        let loaded = rescue("because".to_owned());
        let group = loaded.plan.find(&loaded.config.default_group);
        assert_eq!((group, loaded.plan.problems.len()), (Some(0), 1));
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

    #[test]
    fn the_first_folder_wins_and_a_bad_file_is_only_a_problem() {
        let dir = std::env::temp_dir().join(format!("rinit-load-{}", std::process::id()));
        let at = |path: &str| dir.join(path).display().to_string();
        for folder in ["etc", "usr", "groups/default.d"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let unit = |program: &str| format!("schema = 1\n[exec]\nstart = \"{program}\"\n");
        std::fs::write(at("etc/a.toml"), unit("/etc")).unwrap();
        std::fs::write(at("usr/a.toml"), unit("/usr")).unwrap();
        std::fs::write(at("usr/b.toml"), "schema = 1\nnonsense = 1\n").unwrap();
        std::fs::write(at("usr/masked.toml"), unit("/usr")).unwrap();
        std::fs::write(at("etc/masked.toml"), "").unwrap();
        std::fs::write(at("usr/default.toml"), "schema = 1\nkind = \"group\"\n").unwrap();
        std::fs::write(at("groups/default.d/a"), "").unwrap();
        let places = Places {
            units: vec![at("etc"), at("usr")],
            groups: vec![at("groups")],
            boots: true,
        };
        let plan = load(&places).plan;
        let names: Vec<&str> = plan.units.iter().map(|unit| &*unit.name).collect();
        assert_eq!(names, ["a", "default"]);
        assert_eq!(plan.units[0].exec().unwrap().start, [["/etc"]]);
        assert_eq!(plan.units[1].wants, [0]);
        assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
        std::fs::write(at("etc/default.toml"), "schema = 9\n").unwrap();
        let loaded = load(&places);
        assert_eq!(loaded.config.default_group, "rescue");
        assert!(loaded.config.rescue.is_some() && loaded.plan.find("a").is_some());
        std::fs::remove_dir_all(dir).unwrap();
    }
}

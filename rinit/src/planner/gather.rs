//! Everything read and compiled: what a boot starts from, and what the linter looks at.

use rootspec::compile::{Compiled, Facts, Files, Problem, Source};
use rootspec::kept::Kept;
use rootspec::paths;
use rootspec::plan::{RESCUE, Recourse};
use rootspec::settings::Settings;

use crate::accounts::{self, Accounts};
use crate::filter;
use crate::folders::{self, FILE, Places};
use crate::fstab;
use crate::reader::Reader;
use crate::settings;

/// What a boot without its default group runs: somebody must be able to log in.
const RESCUE_TEXT: &str = include_str!("rescue.toml");

/// Everything that was read, and what was made of it.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) files: Files,
    pub(crate) compiled: Compiled,
    pub(crate) settings: Settings,
    /// Whatever that depends on.
    pub(crate) reader: Reader,
}

impl Gathered {
    /// What a boot starts from.
    pub(crate) fn into_kept(self) -> Kept {
        Kept {
            settings: self.settings,
            plan: self.compiled.into_plan(),
        }
    }
}

/// The built-in unit file of [`RESCUE`].
fn rescue_source() -> Option<Source> {
    Some(Source {
        name: RESCUE.parse().ok()?,
        file: "the built-in rescue.toml".to_owned(),
        text: RESCUE_TEXT.to_owned(),
    })
}

/// A unit wants nothing but that login in some case.
fn asks_for_rescue(compiled: &Compiled) -> bool {
    compiled.plan.units.iter().any(|unit| {
        let conduct = unit.conduct();
        [conduct.on_limit, conduct.on_failure, conduct.on_success].contains(&Recourse::Rescue)
    })
}

/// Reads everything and compiles it. `facts`: what words in braces stand for.
pub(crate) fn gather(places: &Places, facts: Facts) -> Gathered {
    let mut problems = Vec::new();
    let mut reader = Reader::default();
    // Another one may compile otherwise.
    reader.note(paths::program::PLANNER);
    let mut text = |name: &str| {
        let path = format!("{}/{name}", places.accounts);
        reader.text(&path, 16 << 20).unwrap_or_default()
    };
    let accounts = Accounts::parse(&text("passwd"), &text("group"));
    let settings = match reader.text(paths::SETTINGS, FILE) {
        Ok(text) => settings::parse(&text, |name| accounts.gid(name)),
        Err(error) if error.is_absent() => Ok(Settings::default()),
        Err(error) => Err(sys::chain(&error)),
    };
    let mut settings = settings.unwrap_or_else(|problem| {
        problems.push(Problem::of("", problem));
        Settings::default()
    });
    let mut files = folders::read(places, facts, &mut reader, &mut problems);
    if let Some(path) = &places.fstab {
        let late = &settings.default_group;
        fstab::add(&mut files, (path, late), &mut reader, &mut problems);
    }
    let mut compiled = files.compile();
    if places.boots && compiled.plan.find(&settings.default_group).is_none() {
        // The rest stays usable, so that a snapshot on trial can still be rejected.
        let group = &settings.default_group;
        let why = format!("there is no usable group {group}; only a rescue login is started");
        problems.push(Problem::of("", why.clone()));
        settings.default_group = RESCUE.to_owned();
        settings.rescue = Some(why);
        files
            .sources
            .retain(|source| source.name.as_str() != RESCUE);
        files.sources.extend(rescue_source());
        compiled = files.compile();
    }
    if asks_for_rescue(&compiled) && compiled.plan.find(RESCUE).is_none() {
        files.sources.extend(rescue_source());
        compiled = files.compile();
    }
    accounts::resolve(&mut compiled, &accounts);
    filter::compile_all(&mut compiled);
    compiled.problems.append(&mut problems);
    Gathered {
        files,
        compiled,
        settings,
        reader,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_rescue_login_has_one() {
        let dir = std::env::temp_dir().join(format!("rinit-asks-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let places = Places {
            units: vec![dir.display().to_string()],
            groups: Vec::new(),
            accounts: dir.display().to_string(),
            fstab: None,
            boots: true,
        };
        let text = "schema = 1\nkind = \"group\"\n";
        for (more, found) in [("", false), ("[on]\nfailure_action = \"rescue\"\n", true)] {
            std::fs::write(dir.join("default.toml"), format!("{text}{more}")).unwrap();
            let kept = gather(&places, Facts::default()).into_kept();
            assert_eq!(kept.plan.find(RESCUE).is_some(), found, "{more}");
            assert_eq!((kept.settings.rescue, kept.plan.problems.len()), (None, 0));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_first_folder_wins_and_a_bad_file_is_only_a_problem() {
        let dir = std::env::temp_dir().join(format!("rinit-gather-{}", std::process::id()));
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
            accounts: at("etc"),
            fstab: None,
            boots: true,
        };
        let plan = gather(&places, Facts::default()).into_kept().plan;
        let names: Vec<&str> = plan.units.iter().map(|unit| &*unit.name).collect();
        assert_eq!(names, ["a", "default"]);
        assert_eq!(plan.units[0].exec().unwrap().start, [["/etc"]]);
        assert_eq!(plan.units[1].wants, [0]);
        assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
        std::fs::write(at("etc/default.toml"), "schema = 9\n").unwrap();
        let kept = gather(&places, Facts::default()).into_kept();
        assert_eq!(kept.settings.default_group, "rescue");
        assert!(kept.settings.rescue.is_some() && kept.plan.find("a").is_some());
        std::fs::remove_dir_all(dir).unwrap();
    }
}

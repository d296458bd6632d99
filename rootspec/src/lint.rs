//! What a boot would not notice, or too late: programs that are absent, units that nobody brings up, gates that say
//! nothing. Pure: the caller looks at the file system.

use std::collections::BTreeSet;
use std::path::Path;

use crate::UnitName;
use crate::compile::{Compiled, Files, Problem};
use crate::plan::{Ask, Exec, Fact, Plan, Ready, Tie, Unit, UnitIndex, Work};
use crate::setup::What;

/// What there is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file that may be executed.
    Program,
    /// Something else.
    Other,
    /// It cannot be told: the place is filled at boot, or shared with other systems.
    Unknown,
}

/// What the linter is told.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What is at an absolute path.
    pub look: fn(&str) -> Found,
    /// Where programs without a `/` in their name are looked for, with `:` between.
    pub path: &'a str,
    /// The group that is started at boot.
    pub default_group: &'a str,
    /// Folders of units that a package brings: not to enable those is no mistake.
    pub packaged: &'a [String],
    /// Units that `rinit` starts by itself.
    pub started: &'a [&'a str],
}

/// Everything that looks wrong, as warnings; as an error, what must end in a bad verdict.
#[must_use]
pub fn lint(files: &Files, compiled: &Compiled, context: &Context<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    enabled(files, &compiled.plan, &mut found);
    drop_ins(files, &compiled.plan, &mut found);
    let default = compiled.plan.find(context.default_group);
    let brought = brought_up(&compiled.plan, default, context.started);
    for (index, unit) in (0..).zip(&compiled.plan.units) {
        let checks = Checks {
            unit,
            compiled,
            context,
        };
        if brought.contains(&index) {
            checks.files(&mut found);
        } else if default.is_some() && unit.timers.is_empty() && unit.paths.is_empty() {
            checks.unreachable(&mut found);
        }
        checks.gate(&mut found);
    }
    found
}

/// The units that a boot brings up, or would on the first connection, in time, or because of a path.
fn brought_up(plan: &Plan, default: Option<UnitIndex>, started: &[&str]) -> BTreeSet<UnitIndex> {
    let mut todo: Vec<UnitIndex> = default.into_iter().collect();
    todo.extend(started.iter().filter_map(|name| plan.find(name)));
    let sockets = (0..)
        .zip(&plan.units)
        .filter(|(_, u)| u.sockets.iter().any(|socket| socket.lazy));
    todo.extend(sockets.map(|(index, _)| index));
    todo.extend(plan.units.iter().flat_map(|u| &u.timers).map(|t| t.unit));
    todo.extend(plan.units.iter().flat_map(|u| &u.paths).map(|p| p.unit));
    let mut seen = BTreeSet::new();
    while let Some(index) = todo.pop() {
        let unit = usize::try_from(index)
            .ok()
            .and_then(|at| plan.units.get(at));
        let Some(unit) = unit.filter(|_| seen.insert(index)) else {
            continue;
        };
        todo.extend(unit.needs.iter().chain(&unit.wants));
        let later = |tie: &&Tie| tie.kind.starts();
        todo.extend(unit.ties.iter().filter(later).map(|tie| tie.unit));
    }
    seen
}

/// Links to units that do not exist. A masked one was meant.
fn enabled(files: &Files, plan: &Plan, found: &mut Vec<Problem>) {
    let exists = |name: &UnitName| files.sources.iter().any(|source| source.name == *name);
    for link in &files.enabled {
        let template = link.unit.template().and_then(|name| name.parse().ok());
        let known = exists(&link.unit) || template.as_ref().is_some_and(exists);
        if !known && plan.find(link.unit.as_str()).is_none() {
            let words = format!("{} is enabled, but there is no such unit", link.unit);
            found.push(Problem::of(&link.file, words).warning());
        }
    }
}

/// Drop-ins for units that do not exist.
fn drop_ins(files: &Files, plan: &Plan, found: &mut Vec<Problem>) {
    for drop_in in &files.drop_ins {
        let known = files.sources.iter().any(|source| {
            source.name == drop_in.unit || drop_in.unit.template() == Some(source.name.as_str())
        });
        if !known && plan.find(drop_in.unit.as_str()).is_none() {
            let words = format!("this changes {}, and there is no such unit", drop_in.unit);
            found.push(Problem::of(&drop_in.file, words).warning());
        }
    }
}

/// The checks of one unit.
struct Checks<'a> {
    unit: &'a Unit,
    compiled: &'a Compiled,
    context: &'a Context<'a>,
}

impl Checks<'_> {
    fn say(&self, path: &str, words: &str) -> Problem {
        Problem {
            severity: crate::compile::Severity::Warning,
            unit: Some(self.unit.name.clone()),
            spot: self.compiled.spot(&self.unit.name, path, words),
        }
    }

    fn unreachable(&self, found: &mut Vec<Problem>) {
        let name = &*self.unit.name;
        let file = self.compiled.file(name).unwrap_or_default();
        let packaged = |folder: &String| {
            file.strip_prefix(folder.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if self.context.packaged.iter().any(packaged) {
            return;
        }
        let mut words = format!(
            "nothing brings {name} up: no group wants it, and it has no socket, timer or path; enable it with touch /etc/rinit/groups/{}.d/{name}",
            self.context.default_group
        );
        if self.unit.gate.is_some() {
            words.push_str(". Its gate says nothing until then");
        }
        found.push(self.say("", &words));
    }

    fn gate(&self, found: &mut Vec<Problem>) {
        let process = matches!(self.unit.work, Work::Service(_) | Work::Container(_));
        let says_nothing = matches!(self.unit.ready, Ready::Started | Ready::Exec);
        if self.unit.gate.is_some() && process && says_nothing {
            let words = "the verdict asks whether this unit is ready, and ready means only that its program was executed: say [ready] mode = \"notify\" or \"fd\", or how to ask it: socket, check, health";
            found.push(self.say("gate.required", words));
        }
    }

    /// Programs and folders that a start needs.
    fn files(&self, found: &mut Vec<Problem>) {
        if !self.conditions_hold() {
            return;
        }
        let lists = |exec: &Exec| {
            [
                ("exec.condition", exec.condition.clone()),
                ("exec.start_pre", exec.start_pre.clone()),
                ("exec.start", exec.start.clone()),
                ("exec.start_post", exec.start_post.clone()),
                ("exec.stop", exec.stop.clone()),
                ("exec.stop_post", exec.stop_post.clone()),
            ]
        };
        if let (Ready::Asked(question), Some(exec)) = (&self.unit.ready, self.unit.exec()) {
            if let Ask::Command(argv) = &question.ask {
                let program = argv.first().map_or("", String::as_str);
                self.program(exec, program, "ready.check.0", found);
            }
        }
        let health = self
            .unit
            .care
            .as_ref()
            .and_then(|care| care.health.as_ref());
        if let (Some(health), Some(exec)) = (health, self.unit.exec()) {
            if let Ask::Command(argv) = &health.question.ask {
                let program = argv.first().map_or("", String::as_str);
                self.program(exec, program, "health.cmd.0", found);
            }
        }
        match &self.unit.work {
            Work::Group => {}
            Work::Service(exec) | Work::Oneshot(exec) => {
                for (key, commands) in lists(exec) {
                    for (number, argv) in commands.iter().enumerate() {
                        let shown = |program: &&String| !is_bound(exec, program);
                        if let Some(program) = argv.first().filter(shown) {
                            self.program(exec, program, &format!("{key}.{number}.0"), found);
                        }
                    }
                }
                if let Some(dir) = exec.workdir.as_deref() {
                    let own = exec.dirs.iter().any(|made| &**made == dir);
                    if !own && (self.context.look)(dir) == Found::Nothing {
                        let words = format!("the folder {dir} does not exist");
                        found.push(self.fatal(self.say("exec.workdir", &words)));
                    }
                }
            }
            Work::Container(container) => {
                let config = format!("{}/config.json", container.bundle);
                if (self.context.look)(&config) == Found::Nothing {
                    let words = format!("{config} does not exist");
                    found.push(self.fatal(self.say("container.bundle", &words)));
                }
                let key = "container.runtime";
                self.program(&container.exec, &container.runtime, key, found);
            }
        }
    }

    /// A unit that is skipped for want of a file lacks nothing.
    fn conditions_hold(&self) -> bool {
        self.unit.conditions.iter().all(|condition| {
            if condition.fact != Fact::PathExists || condition.must {
                return true;
            }
            match (self.context.look)(&condition.value) {
                Found::Unknown => true,
                found => (found == Found::Nothing) == condition.negated,
            }
        })
    }

    fn program(&self, exec: &Exec, program: &str, key: &str, found: &mut Vec<Problem>) {
        let look = self.context.look;
        let words = if program.contains('/') {
            match look(program) {
                Found::Program | Found::Unknown => return,
                Found::Nothing => format!("the program {program} does not exist"),
                Found::Other => format!("{program} cannot be executed"),
            }
        } else {
            let own = exec
                .env
                .iter()
                .find_map(|entry| entry.strip_prefix("PATH="));
            let path = own.unwrap_or(self.context.path);
            let there = path.split(':').any(|dir| {
                matches!(
                    look(&format!("{dir}/{program}")),
                    Found::Program | Found::Unknown
                )
            });
            if there {
                return;
            }
            format!("there is no program {program} in {path}")
        };
        found.push(self.fatal(self.say(key, &words)));
    }

    /// Where the verdict waits for this unit, a start that must fail is a bad verdict.
    fn fatal(&self, problem: Problem) -> Problem {
        if self.unit.gate.is_some() {
            problem.error()
        } else {
            problem
        }
    }
}

/// True if the program appears only in the unit's own view, where something else is bound over its folder.
fn is_bound(exec: &Exec, program: &str) -> bool {
    let mounts = exec.setup.iter().flat_map(|setup| &setup.sandbox.mounts);
    let mut bound = mounts.filter(|mount| matches!(mount.what, What::Bind { .. }));
    bound.any(|mount| Path::new(program).starts_with(&*mount.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{DropIn, Enabled, Severity, Source};

    struct Case {
        units: Vec<(&'static str, String)>,
        drop_in: Option<&'static str>,
        enabled: Vec<&'static str>,
    }

    fn exec(program: &str) -> String {
        format!("schema = 1\n[exec]\nstart = [\"{program}\", \"-x\"]\n")
    }

    /// Severity, unit and words of each.
    fn found(case: &Case) -> Vec<(Severity, String)> {
        let mut files = Files::default();
        for (name, text) in &case.units {
            let folder = if name.starts_with("pkg") {
                "/usr"
            } else {
                "/etc"
            };
            files.sources.push(Source {
                name: name.parse().unwrap(),
                file: format!("{folder}/{name}.toml"),
                text: text.clone(),
            });
        }
        files.sources.push(Source {
            name: "default".parse().unwrap(),
            file: "/usr/default.toml".into(),
            text: "schema = 1\nkind = \"group\"\n".into(),
        });
        files.enabled = case
            .enabled
            .iter()
            .map(|unit| Enabled {
                group: "default".parse().unwrap(),
                unit: unit.parse().unwrap(),
                file: format!("/etc/default.d/{unit}"),
            })
            .collect();
        files.drop_ins = case
            .drop_in
            .iter()
            .map(|unit| DropIn {
                unit: unit.parse().unwrap(),
                file: format!("/etc/{unit}.toml.d/10.toml"),
                text: String::new(),
            })
            .collect();
        let compiled = files.compile();
        assert_eq!(compiled.problems, Vec::new());
        let look = |path: &str| match path {
            "/bin/there" | "/opt/there" => Found::Program,
            "/bin/text" => Found::Other,
            path if path.starts_with("/run/") => Found::Unknown,
            _ => Found::Nothing,
        };
        let context = Context {
            look,
            path: "/sbin:/bin",
            default_group: "default",
            packaged: &["/usr".to_owned()],
            started: &["pkg-started"],
        };
        lint(&files, &compiled, &context)
            .into_iter()
            .map(|problem| (problem.severity, problem.to_string()))
            .collect()
    }

    fn one(text: String) -> Vec<(Severity, String)> {
        found(&Case {
            units: vec![("a", text)],
            drop_in: None,
            enabled: vec!["a"],
        })
    }

    #[test]
    fn a_program_that_is_not_there_is_shown_where_it_is_named() {
        assert_eq!(one(exec("/bin/there")), []);
        assert_eq!(one(exec("there")), []);
        assert_eq!(one(exec("/run/later")), []);
        let bound = "[sandbox]\nbind = [\"/opt/web:/bin\"]\n";
        assert_eq!(one(format!("{}{bound}", exec("/bin/gone"))), []);
        assert_eq!(
            one(format!("{}env = {{ PATH = \"/opt\" }}\n", exec("there"))),
            []
        );
        for (text, place, words) in [
            (exec("/bin/gone"), "/etc/a.toml:3:10: ", "the program /bin/gone does not exist"),
            (exec("/bin/text"), "/etc/a.toml:3:10: ", "cannot be executed"),
            (exec("gone"), "/etc/a.toml:3:10: ", "no program gone in /sbin:/bin"),
            (
                format!("{}stop = \"/bin/gone\"\n", exec("/bin/there")),
                "/etc/a.toml:4:8: ",
                "/bin/gone",
            ),
            (
                format!("{}start_pre = [[\"/bin/there\"], [\"/bin/gone\"]]\n", exec("/bin/there")),
                "/etc/a.toml:4:31: ",
                "/bin/gone",
            ),
            (
                format!("{}workdir = \"/no\"\n", exec("/bin/there")),
                "/etc/a.toml:4:11: ",
                "the folder /no",
            ),
            (
                "schema = 1\nkind = \"container\"\n[container]\nbundle = \"/no\"\nruntime = \"there\"\n".into(),
                "/etc/a.toml:4:10: ",
                "/no/config.json",
            ),
        ] {
            let all = one(text);
            assert_eq!(all.len(), 1, "{all:?}");
            assert_eq!(all[0].0, Severity::Warning);
            assert!(all[0].1.starts_with(place) && all[0].1.contains(words), "{all:?}");
        }
    }

    #[test]
    fn a_start_that_is_skipped_lacks_nothing() {
        for (condition, count) in [
            ("/bin/gone", 0),
            ("!/bin/gone", 1),
            ("/bin/there", 1),
            ("!/bin/there", 0),
        ] {
            let text = format!(
                "{}[condition]\npath_exists = \"{condition}\"\n",
                exec("/bin/gone")
            );
            assert_eq!(one(text).len(), count, "{condition}");
        }
    }

    #[test]
    fn what_the_verdict_waits_for_and_cannot_start_is_an_error() {
        let gate = "[ready]\nmode = \"notify\"\n[gate]\nrequired = true\n";
        let all = one(format!("{}{gate}", exec("/bin/gone")));
        assert!(matches!(&all[..], [(Severity::Error, _)]), "{all:?}");
    }

    #[test]
    fn a_gate_that_knows_nothing_is_a_warning() {
        let all = one(format!("{}[gate]\nrequired = true\n", exec("/bin/there")));
        assert!(
            matches!(&all[..], [(Severity::Warning, text)] if text.contains("a.toml:5:12: the verdict asks")),
            "{all:?}"
        );
    }

    #[test]
    fn a_unit_of_the_administrator_that_nothing_brings_up_is_said() {
        let case = Case {
            units: vec![
                ("forgotten", exec("/bin/gone")),
                ("pkg-unused", exec("/bin/gone")),
                ("pkg-started", exec("/bin/there")),
                ("wanted", exec("/bin/there")),
                (
                    "lazy",
                    format!("{}[[socket]]\nlisten = \"stream:/s\"\n", exec("/bin/there")),
                ),
                (
                    "on",
                    format!("{}[deps]\nwants = [\"wanted\"]\n", exec("/bin/there")),
                ),
            ],
            drop_in: None,
            enabled: vec!["on"],
        };
        let all = found(&case);
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(
            all[0].1.contains("nothing brings forgotten up")
                && all[0]
                    .1
                    .contains("touch /etc/rinit/groups/default.d/forgotten"),
            "{all:?}"
        );
    }

    #[test]
    fn links_and_drop_ins_without_a_unit_are_named() {
        let case = Case {
            units: vec![("masked", String::new()), ("t@", exec("/bin/there"))],
            drop_in: Some("webb"),
            enabled: vec!["masked", "gone", "t@a"],
        };
        let all = found(&case);
        let words: Vec<&str> = all.iter().map(|(_, text)| &**text).collect();
        assert_eq!(
            words,
            [
                "/etc/default.d/gone: gone is enabled, but there is no such unit",
                "/etc/webb.toml.d/10.toml: this changes webb, and there is no such unit"
            ]
        );
    }
}

//! Unit files to a boot plan. Pure: the caller has read the files.
//!
//! A file that cannot be used takes only its own unit out, with the reason; so does a need that cannot be met, and a
//! cycle takes out its members with the whole loop named. Everything else still boots.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the order of the work |
//! | `gather` | files and drop-ins to units; templates to instances |
//! | `lower` | one unit file to one unit of the plan |
//! | `sandbox` | what its processes may see and do, to mounts and capabilities in their order |
//! | `setup` | attributes of its processes to the work of the executor |
//! | `graph` | needs that are missing, and cycles |
//! | `problem` | what is wrong with which unit |

mod gather;
mod graph;
mod lower;
mod problem;
mod sandbox;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::UnitName;
use crate::plan::{Plan, Unit, UnitIndex};
use crate::spot::Spot;
use crate::units::{Layers, UnitFile};

pub use crate::units::Facts;
pub use problem::{Problem, Severity};

/// One unit file as read by the caller. Of several files with one name, only the first directory's belongs here.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the unit (the file's, without `.toml`); with an `@` at its end it is a template.
    pub name: UnitName,
    /// Path, for messages.
    pub file: String,
    /// The text. An empty text masks the unit: it does not exist.
    pub text: String,
}

/// One drop-in as read by the caller, `UNIT.toml.d/NAME.toml`. Of several with one name, only the first directory's
/// belongs here.
#[derive(Debug, Clone)]
pub struct DropIn {
    /// The unit, or the template whose instances it is for.
    pub unit: UnitName,
    /// Path, for messages.
    pub file: String,
    /// The text.
    pub text: String,
}

/// An enabled unit: `group` wants `unit`.
#[derive(Debug, Clone)]
pub struct Enabled {
    /// The group.
    pub group: UnitName,
    /// The unit; a template stands for its default instance.
    pub unit: UnitName,
    /// Path of the file that says so, for messages.
    pub file: String,
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Unit files, masks and templates.
    pub sources: Vec<Source>,
    /// Drop-ins, those of one unit in the order in which they are laid over it.
    pub drop_ins: Vec<DropIn>,
    /// Enabled units.
    pub enabled: Vec<Enabled>,
    /// What words in braces mean.
    pub facts: Facts,
}

/// A plan, and what is needed to say more about it.
#[derive(Debug)]
pub struct Compiled {
    /// The plan; its own list of problems is still empty.
    pub plan: Plan,
    /// What could not be used.
    pub problems: Vec<Problem>,
    texts: BTreeMap<UnitName, Layers>,
}

impl Compiled {
    /// A message about the value at `path` (keys with dots between) in the file of `unit`.
    #[must_use]
    pub fn spot(&self, unit: &str, path: &str, words: &str) -> Spot {
        let texts = unit.parse::<UnitName>().ok();
        match texts.and_then(|name| self.texts.get(&name)) {
            Some(layers) => layers.spot_at(path, words),
            None => Spot::whole(unit, words),
        }
    }

    /// Path of the unit's own file.
    #[must_use]
    pub fn file(&self, unit: &str) -> Option<&str> {
        Some(self.texts.get(&unit.parse::<UnitName>().ok()?)?.file())
    }

    /// The plan, with its problems in words.
    #[must_use]
    pub fn into_plan(self) -> Plan {
        let mut plan = self.plan;
        plan.problems = self.problems.iter().map(ToString::to_string).collect();
        plan
    }
}

/// A unit on its way into the plan: names not yet resolved.
struct Draft {
    name: UnitName,
    layers: Layers,
    parsed: UnitFile,
    unit: Unit,
    edges: Edges,
}

type Drafts = BTreeMap<UnitName, Draft>;

/// Another unit, and the place where it is named.
type Edge = (UnitName, Option<Range<usize>>);

/// Names of other units.
#[derive(Default)]
struct Edges {
    needs: Vec<Edge>,
    wants: Vec<Edge>,
    after: Vec<Edge>,
    before: Vec<Edge>,
}

/// Makes the plan from unit files alone. Never fails: what cannot be used is in [`Plan::problems`].
#[must_use]
pub fn compile(sources: &[Source], enabled: &[Enabled]) -> Plan {
    let files = Files {
        sources: sources.to_vec(),
        enabled: enabled.to_vec(),
        ..Files::default()
    };
    files.compile().into_plan()
}

impl Files {
    /// Makes the plan. Never fails: what cannot be used is among the problems.
    #[must_use]
    pub fn compile(&self) -> Compiled {
        let mut problems = Vec::new();
        let gathered = gather::gather(self, &mut problems);
        let texts = gathered
            .drafts
            .iter()
            .map(|(name, draft)| (name.clone(), draft.layers.clone()))
            .collect();
        let mut drafts = gathered.drafts;
        add_default_needs(&mut drafts);
        enable(&mut drafts, &gathered.enabled, &mut problems);
        self.want(&mut drafts, &mut problems);
        graph::remove_unmet(&mut drafts, &mut problems);
        graph::remove_cycles(&mut drafts, &mut problems);
        // Members of a cycle are gone now: whoever needs them cannot start either.
        graph::remove_unmet(&mut drafts, &mut problems);
        Compiled {
            plan: Plan {
                units: resolve(drafts),
                problems: Vec::new(),
            },
            problems,
            texts,
        }
    }

    /// Units that say themselves which groups want them.
    fn want(&self, drafts: &mut Drafts, problems: &mut Vec<Problem>) {
        let mut links = Vec::new();
        for draft in drafts.values() {
            for group in &draft.parsed.install.wanted_by {
                let known = |source: &Source| source.name == *group.get_ref();
                if drafts.contains_key(group.get_ref()) {
                    links.push((draft.name.clone(), group.get_ref().clone()));
                } else if !self.sources.iter().any(known) {
                    // One that is there and unusable has a problem of its own.
                    let words = format!("is wanted by {}, which does not exist", group.get_ref());
                    problems.push(spot(draft, Some(&group.span()), words));
                }
            }
        }
        for (unit, group) in links {
            if let Some(group) = drafts.get_mut(&group) {
                group.edges.wants.push((unit, None));
            }
        }
    }
}

fn draft(name: &UnitName, layers: Layers, parsed: UnitFile) -> Draft {
    let names = |list: &[toml::Spanned<UnitName>]| {
        let edge = |name: &toml::Spanned<UnitName>| (name.get_ref().clone(), Some(name.span()));
        list.iter().map(edge).collect()
    };
    let edges = Edges {
        needs: names(&parsed.deps.needs),
        wants: names(&parsed.deps.wants),
        after: names(&parsed.deps.after),
        before: names(&parsed.deps.before),
    };
    Draft {
        name: name.clone(),
        layers,
        unit: lower::lower(name, &parsed),
        parsed,
        edges,
    }
}

/// Units with `default_deps` need `basic`, where there is a unit of that name.
fn add_default_needs(drafts: &mut Drafts) {
    let Ok(basic) = "basic".parse::<UnitName>() else {
        return;
    };
    if !drafts.contains_key(&basic) {
        return;
    }
    for draft in drafts
        .values_mut()
        .filter(|d| d.parsed.default_deps && d.name != basic)
    {
        draft.edges.needs.push((basic.clone(), None));
    }
}

fn enable(drafts: &mut Drafts, enabled: &[Enabled], problems: &mut Vec<Problem>) {
    for link in enabled {
        match drafts.get_mut(&link.group) {
            Some(group) => group.edges.wants.push((link.unit.clone(), None)),
            None => {
                let words = format!(
                    "{} is enabled in the group {}, which does not exist: remove this file",
                    link.unit, link.group
                );
                problems.push(Problem::about(&link.unit, Spot::whole(&link.file, words)));
            }
        }
    }
}

/// Names to numbers. Wants and orderings about units that do not exist are dropped: they are soft.
fn resolve(drafts: Drafts) -> Vec<Unit> {
    let mut numbers = BTreeMap::new();
    for (number, name) in (0..).zip(drafts.keys()) {
        numbers.insert(name.clone(), number);
    }
    let all = |edges: &[Edge]| -> Vec<UnitIndex> {
        let found = edges.iter().filter_map(|(name, _)| numbers.get(name));
        let found: BTreeSet<_> = found.copied().collect();
        found.into_iter().collect()
    };
    let mut after: BTreeMap<UnitIndex, BTreeSet<UnitIndex>> = BTreeMap::new();
    for (index, draft) in (0..).zip(drafts.values()) {
        after
            .entry(index)
            .or_default()
            .extend(all(&draft.edges.after));
        for later in all(&draft.edges.before) {
            after.entry(later).or_default().insert(index);
        }
    }
    let mut units = Vec::with_capacity(drafts.len());
    for (index, draft) in (0..).zip(drafts.into_values()) {
        let mut unit = draft.unit;
        unit.needs = all(&draft.edges.needs);
        unit.wants = all(&draft.edges.wants);
        unit.after = after
            .remove(&index)
            .unwrap_or_default()
            .into_iter()
            .collect();
        units.push(unit);
    }
    units
}

/// A message about the place where `draft` names another unit.
fn spot(draft: &Draft, span: Option<&Range<usize>>, words: String) -> Problem {
    let spot = match span {
        Some(span) => draft.layers.spot(span.clone(), words),
        None => Spot::whole(draft.layers.file(), words),
    };
    Problem::about(&draft.name, spot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(units: &[(&str, &str)], enabled: &[(&str, &str)]) -> Plan {
        let sources: Vec<_> = units
            .iter()
            .map(|(name, deps)| Source {
                name: name.parse().unwrap(),
                file: format!("{name}.toml"),
                text: format!("schema = 1\n[exec]\nstart = \"/bin/{name}\"\n[deps]\n{deps}\n"),
            })
            .collect();
        let enabled: Vec<_> = enabled
            .iter()
            .map(|(g, u)| Enabled {
                group: g.parse().unwrap(),
                unit: u.parse().unwrap(),
                file: format!("{g}.d/{u}"),
            })
            .collect();
        compile(&sources, &enabled)
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.units.iter().map(|u| &*u.name).collect()
    }

    #[test]
    fn names_become_numbers_and_before_becomes_after() {
        let plan = plan(
            &[
                ("a", "needs = [\"b\"]"),
                ("b", ""),
                ("c", "before = [\"b\"]\nwants = [\"gone\"]"),
            ],
            &[],
        );
        let [a, b, c] = plan.units.as_slice() else {
            panic!("{plan:?}")
        };
        assert_eq!(
            (&a.needs, &b.after, &c.wants),
            (&vec![1], &vec![2], &vec![])
        );
        assert_eq!(plan.problems, Vec::<String>::new());
        assert_eq!((plan.find("b"), plan.find("x")), (Some(1), None));
    }

    #[test]
    fn a_bad_file_takes_only_itself_and_what_needs_it_out() {
        let plan = plan(
            &[("a", "needs = [\"b\"]"), ("b", "nedes = []"), ("c", "")],
            &[],
        );
        assert_eq!(names(&plan), ["c"]);
        assert!(
            plan.problems[0].contains("b.toml:5:1: unknown key \"nedes\", did you mean \"needs\"?")
        );
        assert!(
            plan.problems[1].contains("a.toml:5:10: needs b, which"),
            "{}",
            plan.problems[1]
        );
    }

    #[test]
    fn a_missing_need_travels_up_the_chain() {
        let plan = plan(
            &[
                ("a", "needs = [\"b\"]"),
                ("b", "needs = [\"c\"]"),
                ("d", "wants = [\"a\"]"),
            ],
            &[],
        );
        assert_eq!((names(&plan), plan.problems.len()), (vec!["d"], 2));
    }

    #[test]
    fn a_cycle_is_named_whole_and_the_rest_boots() {
        let plan = plan(
            &[
                ("a", "needs = [\"b\"]"),
                ("b", "after = [\"c\"]"),
                ("c", "wants = [\"a\"]"),
                ("d", "needs = [\"a\"]"),
                ("e", ""),
            ],
            &[],
        );
        assert_eq!(names(&plan), ["e"]);
        assert!(
            plan.problems[0].contains("a -> b -> c -> a"),
            "{}",
            plan.problems[0]
        );
    }

    #[test]
    fn a_unit_that_needs_itself_is_a_cycle() {
        let plan = plan(&[("a", "needs = [\"a\"]")], &[]);
        assert!(plan.problems[0].contains("a -> a"), "{:?}", plan.problems);
    }

    #[test]
    fn enabling_adds_to_what_the_group_wants() {
        let plan = plan(&[("g", ""), ("s", "")], &[("g", "s"), ("nogroup", "s")]);
        assert_eq!(plan.units[0].wants, [1]);
        assert!(plan.problems[0].contains("nogroup"), "{:?}", plan.problems);
    }

    #[test]
    fn a_unit_that_names_its_group_is_wanted_by_it() {
        let plan = plan(
            &[
                ("g", ""),
                ("s", "[install]\nwanted_by = [\"g\"]"),
                ("t", "[install]\nwanted_by = [\"gone\"]"),
            ],
            &[],
        );
        assert_eq!(
            (names(&plan), &plan.units[0].wants),
            (vec!["g", "s", "t"], &vec![1])
        );
        assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
        assert!(
            plan.problems[0].starts_with("t.toml:6:14: is wanted by gone, which does not exist"),
            "{}",
            plan.problems[0]
        );
    }

    #[test]
    fn an_empty_file_masks_a_unit() {
        let masked = Source {
            name: "m".parse().unwrap(),
            file: "m".into(),
            text: "\n".into(),
        };
        assert_eq!(compile(&[masked], &[]), Plan::default());
    }

    #[test]
    fn the_binary_form_round_trips_and_damage_is_an_error() {
        let whole = plan(&[("a", "needs = [\"b\"]"), ("b", "")], &[]);
        let bytes = whole.to_bytes().unwrap();
        assert_eq!(Plan::from_bytes(&bytes).unwrap(), whole);
        for length in 0..bytes.len() {
            assert!(
                Plan::from_bytes(&bytes[..length]).is_err(),
                "cut at {length}"
            );
        }
        let mut dangling = whole;
        dangling.units[0].needs = vec![9];
        assert!(Plan::from_bytes(&dangling.to_bytes().unwrap()).is_err());
    }

    #[test]
    fn a_long_chain_neither_overflows_the_stack_nor_takes_for_ever() {
        let deps: Vec<_> = (0..3000)
            .map(|n| (format!("u{n:04}"), format!("needs = [\"u{:04}\"]", n + 1)))
            .chain([("u3000".to_owned(), String::new())])
            .collect();
        let units: Vec<_> = deps.iter().map(|(n, d)| (n.as_str(), d.as_str())).collect();
        assert_eq!(plan(&units, &[]).units.len(), 3001);
    }
}

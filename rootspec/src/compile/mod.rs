//! Unit files to a boot plan. Pure: the caller has read the files.
//!
//! A file that cannot be used takes only its own unit out, with the reason; so does a need that cannot be met, and a
//! cycle takes out its members with the whole loop named. Everything else still boots.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the order of the work |
//! | `gather` | files and drop-ins to units; templates to instances |
//! | `edge` | what the files say about other units |
//! | `lower` | one unit file to one unit of the plan |
//! | `accept` | places for the connections of a unit that serves each by a run of its own |
//! | `condition` | what must be so when it starts |
//! | `ready`, `care`, `conduct` | when it is ready, whether it is well, how it ends |
//! | `sandbox` | what its processes may see and do, to mounts and capabilities in their order |
//! | `mounts` | mounts, swap and devices to the work of `rinit-helper mount`; paths to needs
//! | `setup` | attributes of its processes to the work of the executor |
//! | `graph` | needs that are missing, and cycles |
//! | `problem` | what is wrong with which unit |

mod accept;
mod care;
mod condition;
mod conduct;
mod edge;
mod gather;
mod graph;
mod lower;
mod mounts;
mod problem;
mod ready;
mod sandbox;
mod setup;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::UnitName;
use crate::plan::{Plan, Tie, TieKind, Unit, UnitIndex};
use crate::spot::Spot;
use crate::units::{Layers, UnitFile};
use edge::{Edge, Says};

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
        let errors = self
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Error);
        let names: BTreeSet<Box<str>> = errors.filter_map(|problem| problem.unit.clone()).collect();
        plan.unusable = names
            .into_iter()
            .filter(|name| plan.find(name).is_none())
            .collect();
        accept::add_places(&mut plan);
        plan
    }
}

/// A unit on its way into the plan: names not yet resolved.
struct Draft {
    name: UnitName,
    layers: Layers,
    parsed: UnitFile,
    unit: Unit,
    edges: Vec<Edge>,
}

type Drafts = BTreeMap<UnitName, Draft>;

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
        mounts::connect(&mut drafts);
        enable(&mut drafts, &gathered.enabled, &mut problems);
        self.install(&mut drafts, &mut problems);
        graph::follow_names(&mut drafts);
        graph::remove_contradictions(&mut drafts, &mut problems);
        graph::remove_unmet(&mut drafts, &mut problems);
        graph::remove_cycles(&mut drafts, &mut problems);
        graph::remove_endless(&mut drafts, &mut problems);
        // Members of a cycle are gone now: whoever needs them cannot start either.
        graph::remove_unmet(&mut drafts, &mut problems);
        Compiled {
            plan: Plan {
                units: resolve(drafts),
                ..Plan::default()
            },
            problems,
            texts,
        }
    }

    /// Units that say themselves who wants, needs or upholds them.
    fn install(&self, drafts: &mut Drafts, problems: &mut Vec<Problem>) {
        let mut links = Vec::new();
        for draft in drafts.values() {
            let install = &draft.parsed.install;
            for (says, names, words) in [
                (Says::Wants, &install.wanted_by, "is wanted by"),
                (Says::Needs, &install.required_by, "is required by"),
                (Says::Upholds, &install.upheld_by, "is upheld by"),
            ] {
                for other in names {
                    let known = |source: &Source| source.name == *other.get_ref();
                    if drafts.contains_key(other.get_ref()) {
                        let says = draft.wanted(says);
                        links.push((other.get_ref().clone(), says, draft.name.clone()));
                    } else if !self.sources.iter().any(known) {
                        // One that is there and unusable has a problem of its own.
                        let words = format!("{words} {}, which does not exist", other.get_ref());
                        problems.push(spot(draft, Some(&other.span()), words));
                    }
                }
            }
        }
        for (from, says, to) in links {
            if let Some(draft) = drafts.get_mut(&from) {
                draft.add(says, to);
            }
        }
    }
}

impl Draft {
    fn new(name: &UnitName, layers: Layers, parsed: UnitFile) -> Self {
        Self {
            name: name.clone(),
            layers,
            unit: lower::lower(name, &parsed),
            edges: edge::edges(&parsed),
            parsed,
        }
    }

    /// Gives timers and paths the number of the unit that they start: its own, or the one named there.
    fn aim(&mut self, own: UnitIndex, numbers: &BTreeMap<UnitName, UnitIndex>) {
        let named = |says: Says| {
            let edges = self.edges.iter().filter(move |edge| edge.says == says);
            edges.map(|edge| numbers.get(&edge.to).copied().unwrap_or(own))
        };
        let (mut timed, mut watched) = (named(Says::Times), named(Says::Watches));
        for (timer, file) in self.unit.timers.iter_mut().zip(&self.parsed.timer) {
            let other = file.unit.as_ref().and_then(|_| timed.next());
            timer.unit = other.unwrap_or(own);
        }
        for (path, file) in self.unit.paths.iter_mut().zip(&self.parsed.path) {
            let other = file.unit.as_ref().and_then(|_| watched.next());
            path.unit = other.unwrap_or(own);
        }
    }

    /// How those that want it do so: what they cannot do without they need.
    fn wanted(&self, says: Says) -> Says {
        match says {
            Says::Wants if mounts::is_vital(&self.parsed) => Says::Needs,
            says => says,
        }
    }

    /// Adds what another file says about it.
    fn add(&mut self, says: Says, to: UnitName) {
        self.edges.push(Edge {
            says,
            to,
            span: None,
        });
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
        .filter(|d| d.parsed.needs_basic() && d.name != basic)
    {
        draft.add(Says::Needs, basic.clone());
    }
}

fn enable(drafts: &mut Drafts, enabled: &[Enabled], problems: &mut Vec<Problem>) {
    for link in enabled {
        let says = drafts.get(&link.unit).map(|unit| unit.wanted(Says::Wants));
        match drafts.get_mut(&link.group) {
            Some(group) => group.add(says.unwrap_or(Says::Wants), link.unit.clone()),
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

/// Names to numbers. What is said about units that do not exist is dropped: it is soft.
fn resolve(mut drafts: Drafts) -> Vec<Unit> {
    let mut numbers = BTreeMap::new();
    for (number, name) in (0..).zip(drafts.keys()) {
        numbers.insert(name.clone(), number);
    }
    // Who needs them goes round with them, as if it were bound to them.
    let gripping: BTreeSet<UnitName> = drafts
        .values()
        .filter(|draft| !draft.parsed.restart.hold_dependents)
        .map(|draft| draft.name.clone())
        .collect();
    let mut links: BTreeMap<UnitIndex, Links> = BTreeMap::new();
    for (index, draft) in (0..).zip(drafts.values_mut()) {
        draft.aim(index, &numbers);
        for edge in &draft.edges {
            let Some(other) = numbers.get(&edge.to).copied() else {
                continue;
            };
            let own = links.entry(index).or_default();
            if edge.says.is_need() {
                own.needs.insert(other);
                let kind = TieKind::Follows;
                let follows = gripping.contains(&edge.to);
                own.ties
                    .extend(follows.then_some(Tie { kind, unit: other }));
            }
            if edge.says == Says::Wants {
                own.wants.insert(other);
            }
            if edge.says.is_order() {
                own.after.insert(other);
            }
            own.ties
                .extend(edge.says.tie().map(|kind| Tie { kind, unit: other }));
            let theirs = links.entry(other).or_default();
            match edge.says {
                Says::Before => _ = theirs.after.insert(index),
                Says::Conflicts => {
                    theirs.ties.insert(Tie {
                        kind: TieKind::Conflicts,
                        unit: index,
                    });
                }
                _ => {}
            }
        }
    }
    let mut units = Vec::with_capacity(drafts.len());
    for (index, draft) in (0..).zip(drafts.into_values()) {
        let links = links.remove(&index).unwrap_or_default();
        units.push(Unit {
            needs: links.needs.into_iter().collect(),
            wants: links.wants.into_iter().collect(),
            after: links.after.into_iter().collect(),
            ties: links.ties.into_iter().collect(),
            ..draft.unit
        });
    }
    units
}

/// One unit's links to others, by number.
#[derive(Default)]
struct Links {
    needs: BTreeSet<UnitIndex>,
    wants: BTreeSet<UnitIndex>,
    after: BTreeSet<UnitIndex>,
    ties: BTreeSet<Tie>,
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

    fn ties(plan: &Plan, unit: usize) -> Vec<(TieKind, UnitIndex)> {
        let ties = plan.units[unit].ties.iter();
        ties.map(|tie| (tie.kind, tie.unit)).collect()
    }

    #[test]
    fn ties_bring_their_needs_and_orders_along() {
        let plan = plan(
            &[
                ("a", "bound_to = [\"d\"]\nconflicts = [\"b\"]"),
                ("b", "milestone = [\"d\"]\npart_of = [\"d\"]"),
                ("c", "prepared_by = [\"d\"]\nconflicts = [\"gone\"]"),
                ("d", "upholds = [\"e\"]"),
                ("e", "[install]\nrequired_by = [\"b\"]\nupheld_by = [\"a\"]"),
            ],
            &[],
        );
        assert_eq!(plan.problems, Vec::<String>::new());
        let [a, b, c, ..] = plan.units.as_slice() else {
            panic!("{plan:?}")
        };
        assert_eq!(
            (&a.needs, &b.needs, &c.needs),
            (&vec![3], &vec![4], &vec![3])
        );
        assert_eq!((&a.after, &b.after), (&vec![], &vec![3]));
        let kinds = |unit| ties(&plan, unit);
        assert_eq!(
            kinds(0),
            [
                (TieKind::Follows, 3),
                (TieKind::Upholds, 4),
                (TieKind::Conflicts, 1)
            ]
        );
        assert_eq!(
            kinds(1),
            [
                (TieKind::Milestone, 3),
                (TieKind::Follows, 3),
                (TieKind::Conflicts, 0)
            ]
        );
        assert_eq!(kinds(2), [(TieKind::Prepared, 3)]);
    }

    #[test]
    fn a_name_that_is_provided_stands_for_its_unit_unless_there_is_one_of_that_name() {
        let plan = plan(
            &[
                ("a", "needs = [\"mail\", \"web\"]"),
                ("exim", "provides = [\"mail\", \"web\"]"),
                ("postfix", "provides = [\"mail\"]"),
                ("web", ""),
            ],
            &[],
        );
        assert_eq!(plan.units[0].needs, [1, 3]);
        assert_eq!(plan.problems, Vec::<String>::new());
    }

    #[test]
    fn a_circle_is_broken_at_a_soft_order_and_said_all_the_same() {
        let plan = plan(
            &[
                ("a", "soft_after = [\"b\", \"c\"]"),
                ("b", "needs = [\"a\"]"),
                ("c", ""),
            ],
            &[],
        );
        assert_eq!(names(&plan), ["a", "b", "c"]);
        assert_eq!(
            (&plan.units[0].after, &plan.units[1].needs),
            (&vec![2], &vec![0])
        );
        assert!(
            plan.problems[0].contains("a -> b -> a; this soft order is left out"),
            "{:?}",
            plan.problems
        );
    }

    #[test]
    fn a_soft_order_that_is_a_hard_one_as_well_breaks_nothing() {
        let deps = "soft_after = [\"b\"]\nafter = [\"b\"]";
        let plan = plan(&[("a", deps), ("b", "needs = [\"a\"]")], &[]);
        assert_eq!(names(&plan), Vec::<&str>::new());
    }

    #[test]
    fn what_cannot_be_meant_takes_its_unit_out() {
        for (deps, words) in [
            (
                "needs = [\"b\"]\nconflicts = [\"b\"]",
                "conflicts with b, and needs it",
            ),
            ("conflicts = [\"a\"]", "conflicts with itself"),
            (
                "milestone = [\"gone\"]",
                "has the milestone gone, which does not exist",
            ),
            (
                "[on]\nfailure = [\"a\"]",
                "for ever, one end after the other: a -> a",
            ),
        ] {
            let plan = plan(&[("a", deps), ("b", "")], &[]);
            assert_eq!(names(&plan), ["b"], "{deps}");
            assert!(plan.problems[0].contains(words), "{:?}", plan.problems);
        }
    }

    #[test]
    fn who_is_started_by_a_failure_does_not_need_what_failed() {
        let plan = plan(
            &[
                ("a", "[on]\nfailure = [\"b\"]"),
                ("b", "needs = [\"a\"]"),
                ("c", ""),
            ],
            &[],
        );
        assert_eq!(names(&plan), ["c"]);
        let words = "which starts that again, for ever: a -> b -> a";
        assert!(plan.problems[0].contains(words), "{:?}", plan.problems);
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

    #[test]
    fn a_timer_starts_its_own_unit_or_the_one_it_names() {
        let a =
            "[[timer]]\ncalendar = \"daily\"\n[[timer]]\nafter_boot = \"1m\"\nunit = \"mail\"\n";
        let plan = plan(&[("a", a), ("b", "provides = [\"mail\"]")], &[]);
        let units: Vec<_> = plan.units[0]
            .timers
            .iter()
            .map(|timer| timer.unit)
            .collect();
        assert_eq!((units, plan.problems), (vec![0, 1], vec![]));
    }

    #[test]
    fn a_timer_for_nothing_makes_its_unit_unusable() {
        let a = "[[timer]]\nafter_boot = \"1m\"\nunit = \"gone\"\n";
        let plan = plan(&[("a", a)], &[]);
        assert_eq!(names(&plan), Vec::<&str>::new());
        let said = "a.toml:7:8: has a timer for gone, which does not exist";
        assert!(plan.problems[0].starts_with(said), "{:?}", plan.problems);
    }

    #[test]
    fn a_timer_is_no_order_and_no_circle() {
        let of = |other: &str| format!("[[timer]]\nafter_boot = \"1m\"\nunit = \"{other}\"\n");
        let (a, b) = (of("b"), of("a"));
        let plan = plan(&[("a", &a), ("b", &b)], &[]);
        assert_eq!((names(&plan), plan.problems.len()), (vec!["a", "b"], 0));
    }
}

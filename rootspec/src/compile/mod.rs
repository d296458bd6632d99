//! Unit files to a boot plan. Pure: the caller has read the files.
//!
//! A file that cannot be used takes only its own unit out, with the reason; so does a need that cannot be met, and a
//! cycle takes out its members with the whole loop named. Everything else still boots.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the order of the work |
//! | `lower` | one unit file to one unit of the plan |
//! | `graph` | needs that are missing, and cycles |

mod graph;
mod lower;

use std::collections::{BTreeMap, BTreeSet};

use crate::UnitName;
use crate::plan::{Plan, Unit, UnitIndex};
use crate::spot::Spot;
use crate::units::{self, UnitFile};

/// One unit file as read by the caller. Of several files with one name, only the first directory's belongs here.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the unit (the file's, without `.toml`).
    pub name: UnitName,
    /// Path, for messages.
    pub file: String,
    /// The text. An empty text masks the unit: it does not exist.
    pub text: String,
}

/// An enabled unit: `group` wants `unit`.
#[derive(Debug, Clone)]
pub struct Enabled {
    /// The group.
    pub group: UnitName,
    /// The unit.
    pub unit: UnitName,
}

/// A unit on its way into the plan: names not yet resolved.
struct Draft {
    name: UnitName,
    file: String,
    text: String,
    parsed: UnitFile,
    unit: Unit,
    edges: Edges,
}

/// Names of other units; the position in the text is kept for messages.
#[derive(Default)]
struct Edges {
    needs: Vec<(UnitName, Option<std::ops::Range<usize>>)>,
    wants: Vec<UnitName>,
    after: Vec<UnitName>,
    before: Vec<UnitName>,
}

/// Makes the plan. Never fails: what cannot be used is in [`Plan::problems`].
#[must_use]
pub fn compile(sources: &[Source], enabled: &[Enabled]) -> Plan {
    let mut problems = Vec::new();
    let mut drafts = BTreeMap::new();
    for source in sources.iter().filter(|s| !s.text.trim().is_empty()) {
        match units::parse(&source.file, &source.text) {
            Ok(parsed) => {
                let draft = draft(source, parsed);
                drafts.insert(source.name.clone(), draft);
            }
            Err(spots) => problems.extend(spots.iter().map(ToString::to_string)),
        }
    }
    add_default_needs(&mut drafts);
    enable(&mut drafts, enabled, &mut problems);
    graph::remove_unmet(&mut drafts, &mut problems);
    graph::remove_cycles(&mut drafts, &mut problems);
    // Members of a cycle are gone now: whoever needs them cannot start either.
    graph::remove_unmet(&mut drafts, &mut problems);
    Plan {
        units: resolve(drafts),
        problems,
    }
}

fn draft(source: &Source, parsed: UnitFile) -> Draft {
    let names =
        |list: &[toml::Spanned<UnitName>]| list.iter().map(|n| n.get_ref().clone()).collect();
    let edges = Edges {
        needs: parsed
            .deps
            .needs
            .iter()
            .map(|n| (n.get_ref().clone(), Some(n.span())))
            .collect(),
        wants: names(&parsed.deps.wants),
        after: names(&parsed.deps.after),
        before: names(&parsed.deps.before),
    };
    Draft {
        name: source.name.clone(),
        file: source.file.clone(),
        text: source.text.clone(),
        unit: lower::lower(&source.name, &parsed),
        parsed,
        edges,
    }
}

/// Units with `default_deps` need `basic`, where there is a unit of that name.
fn add_default_needs(drafts: &mut BTreeMap<UnitName, Draft>) {
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

fn enable(drafts: &mut BTreeMap<UnitName, Draft>, enabled: &[Enabled], problems: &mut Vec<String>) {
    for link in enabled {
        match drafts.get_mut(&link.group) {
            Some(group) => group.edges.wants.push(link.unit.clone()),
            None => problems.push(format!(
                "{} is enabled in the group {}, which does not exist: remove it from {}.d",
                link.unit, link.group, link.group
            )),
        }
    }
}

/// Names to numbers. Wants and orderings about units that do not exist are dropped: they are soft.
fn resolve(drafts: BTreeMap<UnitName, Draft>) -> Vec<Unit> {
    let mut numbers = BTreeMap::new();
    for (number, name) in (0..).zip(drafts.keys()) {
        numbers.insert(name.clone(), number);
    }
    let all = |names: &mut dyn Iterator<Item = &UnitName>| -> Vec<UnitIndex> {
        let found: BTreeSet<_> = names.filter_map(|n| numbers.get(n).copied()).collect();
        found.into_iter().collect()
    };
    let mut after: BTreeMap<UnitIndex, BTreeSet<UnitIndex>> = BTreeMap::new();
    for (index, draft) in (0..).zip(drafts.values()) {
        after
            .entry(index)
            .or_default()
            .extend(all(&mut draft.edges.after.iter()));
        for later in all(&mut draft.edges.before.iter()) {
            after.entry(later).or_default().insert(index);
        }
    }
    let mut units = Vec::with_capacity(drafts.len());
    for (index, draft) in (0..).zip(drafts.into_values()) {
        let mut unit = draft.unit;
        unit.needs = all(&mut draft.edges.needs.iter().map(|(name, _)| name));
        unit.wants = all(&mut draft.edges.wants.iter());
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
fn spot(draft: &Draft, span: Option<&std::ops::Range<usize>>, words: String) -> String {
    match span {
        Some(span) => Spot::new(&draft.file, &draft.text, span.clone(), words).to_string(),
        None => Spot::whole(&draft.file, words).to_string(),
    }
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

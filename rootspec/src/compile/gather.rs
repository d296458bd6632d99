//! Which units there are: files with their drop-ins, and the instances of templates that something asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, Drafts, DropIn, Enabled, Facts, Files, Problem, Source};
use crate::UnitName;
use crate::spot::Spot;
use crate::units::{self, Layers};

/// Most instances of all templates together: one that needs further instances of itself must come to an end.
const INSTANCES: usize = 1000;

/// What was found.
pub(super) struct Gathered {
    /// The units.
    pub(super) drafts: Drafts,
    /// What is enabled, default instances in the place of templates.
    pub(super) enabled: Vec<Enabled>,
}

/// Everything that was read, by name.
struct Shelf<'a> {
    sources: BTreeMap<&'a UnitName, &'a Source>,
    drop_ins: BTreeMap<&'a UnitName, Vec<&'a DropIn>>,
    facts: &'a Facts,
}

pub(super) fn gather(files: &Files, problems: &mut Vec<Problem>) -> Gathered {
    let shelf = Shelf::new(files);
    let enabled = shelf.enabled(&files.enabled, problems);
    let mut drafts = Drafts::new();
    let mut instances = 0_usize;
    let mut seen: BTreeSet<UnitName> = BTreeSet::new();
    let mut todo: BTreeSet<UnitName> = shelf.sources.keys().map(|name| (*name).clone()).collect();
    todo.extend(enabled.iter().map(|link| link.unit.clone()));
    while let Some(name) = todo.pop_first() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(layers) = shelf.layers(&name) else {
            continue;
        };
        if name.instance().is_some() {
            instances = instances.saturating_add(1);
            if instances > INSTANCES {
                let words =
                    format!("more than {INSTANCES} instances of templates; no more are made");
                problems.push(Problem::about(&name, Spot::whole(layers.file(), words)));
                break;
            }
        }
        if let Some(draft) = read(&name, layers, shelf.facts, problems) {
            let others = draft.edges.iter().filter(|edge| edge.says.starts());
            let instances = others.filter(|edge| edge.to.instance().is_some());
            todo.extend(instances.map(|edge| edge.to.clone()));
            drafts.insert(name, draft);
        }
    }
    shelf.check_unused(&seen, problems);
    Gathered { drafts, enabled }
}

fn read(
    name: &UnitName,
    layers: Layers,
    facts: &Facts,
    problems: &mut Vec<Problem>,
) -> Option<Draft> {
    match units::read(&layers, Some((name, facts))) {
        Ok(parsed) => Some(Draft::new(name, layers, parsed)),
        Err(spots) => {
            for spot in spots {
                // Instances of one template share its mistakes: one of them says it.
                if !problems.iter().any(|known| known.spot == spot) {
                    problems.push(Problem::about(name, spot));
                }
            }
            None
        }
    }
}

impl<'a> Shelf<'a> {
    fn new(files: &'a Files) -> Self {
        let mut drop_ins: BTreeMap<&UnitName, Vec<&DropIn>> = BTreeMap::new();
        for drop_in in &files.drop_ins {
            drop_ins.entry(&drop_in.unit).or_default().push(drop_in);
        }
        Self {
            sources: files.sources.iter().map(|s| (&s.name, s)).collect(),
            drop_ins,
            facts: &files.facts,
        }
    }

    /// File and drop-ins of a unit: its own file's, else its template's, and the drop-ins for the instance last.
    /// `None`: there is no such unit, it is masked, or it is a template.
    fn layers(&self, name: &UnitName) -> Option<Layers> {
        if name.is_template() {
            return None;
        }
        let template: Option<UnitName> = name.template().and_then(|text| text.parse().ok());
        let own = self.sources.get(name);
        let source = match (own, &template) {
            (Some(own), _) => own,
            (None, Some(template)) => self.sources.get(template)?,
            (None, None) => return None,
        };
        let shared = template.as_ref().filter(|_| own.is_none());
        self.stacked(source, shared.into_iter().chain([name]))
    }

    /// File and drop-ins of a template that is not masked.
    fn template(&self, name: &UnitName) -> Option<Layers> {
        self.stacked(self.sources.get(name)?, [name])
    }

    /// A file under the drop-ins for `units`; `None`: it is a mask.
    fn stacked<'n>(
        &self,
        source: &Source,
        units: impl IntoIterator<Item = &'n UnitName>,
    ) -> Option<Layers> {
        if source.text.trim().is_empty() {
            return None;
        }
        let mut layers = Layers::new(&source.file, &source.text);
        for unit in units {
            for drop_in in self.drop_ins.get(unit).into_iter().flatten() {
                layers.add(&drop_in.file, &drop_in.text);
            }
        }
        Some(layers)
    }

    /// The links, with the default instance where a template is enabled.
    fn enabled(&self, links: &[Enabled], problems: &mut Vec<Problem>) -> Vec<Enabled> {
        let mut enabled = Vec::with_capacity(links.len());
        for link in links {
            if !link.unit.is_template() {
                enabled.push(link.clone());
                continue;
            }
            let Some(layers) = self.template(&link.unit) else {
                continue;
            };
            match default_instance(&link.unit, &layers) {
                Ok(Some(unit)) => enabled.push(Enabled {
                    unit,
                    ..link.clone()
                }),
                Ok(None) => {
                    let words = format!(
                        "{0} is a template without [install] default_instance: enable an instance, {0}NAME",
                        link.unit
                    );
                    problems.push(Problem::about(&link.unit, Spot::whole(&link.file, words)));
                }
                Err(spot) => problems.push(Problem::about(&link.unit, spot)),
            }
        }
        enabled
    }

    /// Templates that nothing asks for are read for their mistakes only.
    fn check_unused(&self, seen: &BTreeSet<UnitName>, problems: &mut Vec<Problem>) {
        for name in self.sources.keys().filter(|name| name.is_template()) {
            let used = |unit: &UnitName| {
                unit.template() == Some(name.as_str())
                    && unit.instance().is_some()
                    && !self.sources.contains_key(unit)
            };
            if seen.iter().any(used) {
                continue;
            }
            let Some(layers) = self.template(name) else {
                continue;
            };
            let instance = match default_instance(name, &layers) {
                Ok(Some(instance)) => Some(instance),
                Ok(None) => format!("{name}i").parse().ok(),
                Err(spot) => {
                    problems.push(Problem::about(name, spot));
                    continue;
                }
            };
            if let Some(instance) = instance {
                read(&instance, layers, self.facts, problems);
            }
        }
    }
}

/// The instance that is meant when the template itself is enabled.
fn default_instance(template: &UnitName, layers: &Layers) -> Result<Option<UnitName>, Spot> {
    let Some(text) = layers.text_at("install.default_instance")? else {
        return Ok(None);
    };
    let unit = format!("{template}{text}").parse::<UnitName>();
    let unit = unit.ok().filter(|unit| unit.instance().is_some());
    unit.map(Some).ok_or_else(|| {
        layers.spot_at(
            "install.default_instance",
            "expected what stands behind the @ of an instance, such as \"tty1\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    const GETTY: &str = "schema = 1\ndescription = \"Login on {i}\"\n[condition]\npath_exists = \"/dev/{i}\"\n[exec]\nstart = [\"/sbin/getty\", \"{i}\"]\n";

    fn source(name: &str, text: &str) -> Source {
        Source {
            name: name.parse().unwrap(),
            file: format!("{name}.toml"),
            text: text.to_owned(),
        }
    }

    fn files(sources: &[(&str, &str)], drop_ins: &[(&str, &str)], enabled: &[&str]) -> Files {
        let mut all = vec![source("default", "schema = 1\nkind = \"group\"\n")];
        all.extend(sources.iter().map(|(name, text)| source(name, text)));
        Files {
            sources: all,
            drop_ins: drop_ins
                .iter()
                .map(|(unit, text)| DropIn {
                    unit: unit.parse().unwrap(),
                    file: format!("{unit}.toml.d/10-x.toml"),
                    text: (*text).to_owned(),
                })
                .collect(),
            enabled: enabled
                .iter()
                .map(|unit| Enabled {
                    group: "default".parse().unwrap(),
                    unit: unit.parse().unwrap(),
                    file: format!("default.d/{unit}"),
                })
                .collect(),
            facts: Facts::default(),
        }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.units.iter().map(|unit| &*unit.name).collect()
    }

    fn start(plan: &Plan, unit: &str) -> Vec<String> {
        let unit = plan.units.iter().find(|other| &*other.name == unit);
        unit.unwrap().exec().unwrap().start[0].clone()
    }

    #[test]
    fn enabled_instances_of_a_template_are_units_of_their_own() {
        let plan = files(&[("getty@", GETTY)], &[], &["getty@tty1", "getty@tty2"])
            .compile()
            .into_plan();
        assert_eq!(names(&plan), ["default", "getty@tty1", "getty@tty2"]);
        assert_eq!(plan.units[0].wants, [1, 2]);
        assert_eq!(start(&plan, "getty@tty2"), ["/sbin/getty", "tty2"]);
        assert_eq!(&*plan.units[1].description, "Login on tty1");
        assert_eq!(&*plan.units[1].conditions[0].value, "/dev/tty1");
        assert_eq!(plan.problems, Vec::<String>::new());
    }

    #[test]
    fn a_template_alone_is_no_unit() {
        let plan = files(&[("getty@", GETTY)], &[], &[]).compile().into_plan();
        assert_eq!((names(&plan), plan.problems.len()), (vec!["default"], 0));
    }

    #[test]
    fn an_enabled_template_is_its_default_instance() {
        let with = format!("{GETTY}[install]\ndefault_instance = \"tty1\"\n");
        let plan = files(&[("getty@", &with)], &[], &["getty@"])
            .compile()
            .into_plan();
        assert_eq!(names(&plan), ["default", "getty@tty1"]);
        assert_eq!(plan.units[0].wants, [1]);

        let without = files(&[("getty@", GETTY)], &[], &["getty@"])
            .compile()
            .into_plan();
        assert!(
            without.problems[0].starts_with("default.d/getty@: getty@ is a template without"),
            "{:?}",
            without.problems
        );
        let odd = format!("{GETTY}[install]\ndefault_instance = \"a/b\"\n");
        for enabled in [&["getty@"][..], &[]] {
            let plan = files(&[("getty@", &odd)], &[], enabled)
                .compile()
                .into_plan();
            assert!(
                plan.problems[0].contains("getty@.toml:8:20: expected what stands"),
                "{:?}",
                plan.problems
            );
        }
    }

    #[test]
    fn instances_are_made_for_whoever_needs_or_wants_them() {
        let disk = "schema = 1\n[exec]\nstart = \"/bin/check {i}\"\n[deps]\nneeds = [\"key@{i}\"]\nafter = [\"never@made\"]\n";
        let key = "schema = 1\n[exec]\nstart = \"/bin/key {unit}\"\n";
        let a = "schema = 1\n[exec]\nstart = \"/bin/a\"\n[deps]\nwants = [\"disk@sda\"]\n";
        let plan = files(
            &[("disk@", disk), ("key@", key), ("never@", key), ("a", a)],
            &[],
            &[],
        )
        .compile()
        .into_plan();
        assert_eq!(names(&plan), ["a", "default", "disk@sda", "key@sda"]);
        assert_eq!(start(&plan, "key@sda"), ["/bin/key", "key@sda"]);
        assert_eq!(plan.units[2].needs, [3]);
    }

    #[test]
    fn an_instance_may_have_a_file_or_a_mask_of_its_own() {
        let own = "schema = 1\n[exec]\nstart = \"/bin/own {i}\"\n";
        let plan = files(
            &[("getty@", GETTY), ("getty@tty1", own), ("getty@tty2", "")],
            &[("getty@", "[exec]\nstart = \"/bin/shared\"\n")],
            &["getty@tty1", "getty@tty2", "getty@tty3"],
        )
        .compile()
        .into_plan();
        assert_eq!(names(&plan), ["default", "getty@tty1", "getty@tty3"]);
        assert_eq!(start(&plan, "getty@tty1"), ["/bin/own", "tty1"]);
        assert_eq!(start(&plan, "getty@tty3"), ["/bin/shared"]);
    }

    #[test]
    fn drop_ins_of_the_instance_are_laid_over_those_of_the_template() {
        let plan = files(
            &[("getty@", GETTY)],
            &[
                ("getty@tty2", "[exec]\nuser = \"special\"\n"),
                ("getty@", "[exec]\nuser = \"all\"\n"),
            ],
            &["getty@tty1", "getty@tty2"],
        )
        .compile()
        .into_plan();
        let user = |n: usize| plan.units[n].exec().unwrap().user.clone().unwrap();
        assert_eq!((&*user(1), &*user(2)), ("all", "special"));
    }

    #[test]
    fn a_mask_stays_a_mask_whatever_is_dropped_in() {
        let plan = files(
            &[("web", "\n")],
            &[("web", "[exec]\nstart = \"/bin/web\"\n")],
            &["web"],
        )
        .compile()
        .into_plan();
        assert_eq!((names(&plan), plan.problems.len()), (vec!["default"], 0));
    }

    #[test]
    fn a_broken_drop_in_takes_its_unit_out_rather_than_half_of_it() {
        let plan = files(
            &[("web", "schema = 1\n[exec]\nstart = \"/bin/web\"\n")],
            &[("web", "[exec]\nusr = \"web\"\n")],
            &["web"],
        )
        .compile()
        .into_plan();
        assert_eq!(names(&plan), ["default"]);
        assert!(
            plan.problems[0].starts_with("web.toml.d/10-x.toml:2:1: unknown key \"usr\""),
            "{:?}",
            plan.problems
        );
    }

    #[test]
    fn a_mistake_in_a_template_is_said_once_whether_it_is_used_or_not() {
        let bad = format!("{GETTY}usr = \"x\"\n");
        for enabled in [&[][..], &["getty@a", "getty@b", "getty@c"]] {
            let plan = files(&[("getty@", &bad)], &[], enabled)
                .compile()
                .into_plan();
            assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
        }
    }

    #[test]
    fn instances_that_ask_for_instances_for_ever_are_stopped() {
        let endless =
            "schema = 1\n[exec]\nstart = \"/x\"\n[deps]\nwants = [\"a@{i}x\", \"a@{i}y\"]\n";
        let plan = files(&[("a@", endless)], &[], &["a@1"])
            .compile()
            .into_plan();
        assert!(plan.units.len() <= INSTANCES + 1);
        assert!(
            plan.problems.iter().any(|p| p.contains("more than 1000")),
            "{:?}",
            plan.problems.len()
        );
    }

    #[test]
    fn the_argument_of_no_instance_is_an_error() {
        let plan = files(&[("getty", GETTY)], &[], &[]).compile().into_plan();
        assert!(
            plan.problems[0].contains("getty.toml:2:25: {i} is what"),
            "{}",
            plan.problems[0]
        );
    }
}

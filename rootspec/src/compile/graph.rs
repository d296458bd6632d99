//! Names that stand for others, needs that cannot be met, and cycles. No recursion: chains may be long.

use std::collections::{BTreeMap, BTreeSet};

use super::edge::Edge;
use super::{Draft, Drafts, Problem, Says, spot};
use crate::UnitName;

/// Puts the unit that provides a name in its place, where no unit has this name. Of several the first by name counts.
pub(super) fn follow_names(drafts: &mut Drafts) {
    let mut providers: BTreeMap<UnitName, UnitName> = BTreeMap::new();
    for draft in drafts.values() {
        for name in &draft.parsed.deps.provides {
            if !drafts.contains_key(name.get_ref()) {
                let provider = || draft.name.clone();
                providers
                    .entry(name.get_ref().clone())
                    .or_insert_with(provider);
            }
        }
    }
    if providers.is_empty() {
        return;
    }
    for draft in drafts.values_mut() {
        for edge in &mut draft.edges {
            if let Some(provider) = providers.get(&edge.to) {
                edge.to = provider.clone();
            }
        }
    }
}

/// Takes out units that cannot be with themselves, or not with what they cannot be without.
pub(super) fn remove_contradictions(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    drafts.retain(|name, draft| {
        let conflicts = |edge: &&Edge| edge.says == Says::Conflicts;
        for conflict in draft.edges.iter().filter(conflicts) {
            let mut edges = draft.edges.iter();
            let hard = edges.find(|edge| edge.says.is_hard() && edge.to == conflict.to);
            let words = match hard {
                Some(edge) => format!(
                    "conflicts with {}, and {} it: one of these must go",
                    edge.to,
                    edge.says.words()
                ),
                None if conflict.to == *name => "conflicts with itself".to_owned(),
                None => continue,
            };
            problems.push(spot(draft, conflict.span.as_ref(), words));
            return false;
        }
        true
    });
}

/// Takes out every unit that needs one which is not there, until none is left.
pub(super) fn remove_unmet(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    let mut needed_by: BTreeMap<UnitName, Vec<UnitName>> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for draft in drafts.values() {
        for edge in draft.edges.iter().filter(|edge| edge.says.is_vital()) {
            needed_by
                .entry(edge.to.clone())
                .or_default()
                .push(draft.name.clone());
            if !drafts.contains_key(&edge.to) {
                missing.insert(edge.to.clone());
            }
        }
    }
    while let Some(gone) = missing.pop_first() {
        for name in needed_by.get(&gone).into_iter().flatten() {
            let Some(draft) = drafts.remove(name) else {
                continue;
            };
            let hard = |edge: &&Edge| edge.says.is_vital() && edge.to == gone;
            if let Some(edge) = draft.edges.iter().find(hard) {
                let words = format!(
                    "{} {gone}, which does not exist or cannot be used",
                    edge.says.words()
                );
                problems.push(spot(&draft, edge.span.as_ref(), words));
            }
            missing.insert(name.clone());
        }
    }
}

/// Breaks every cycle of the starting order at its soft orders, as a warning; without one its members are taken out.
pub(super) fn remove_cycles(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    remove_each(drafts, problems, &ORDER);
}

/// Takes out units that would start each other for ever, one end after the other.
pub(super) fn remove_endless(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    remove_each(drafts, problems, &CHAIN);
    remove_each(drafts, problems, &HANDLER);
}

/// A kind of circle that must not be.
struct Circle {
    /// What runs in it.
    what: &'static str,
    /// The unit that says so is behind the other one in it.
    along: fn(Says) -> bool,
    /// It is in front of the other one.
    against: fn(Says) -> bool,
}

const ORDER: Circle = Circle {
    what: "starting order runs in a circle",
    along: Says::is_later,
    against: |says| says == Says::Before,
};

const CHAIN: Circle = Circle {
    what: "units start each other for ever, one end after the other",
    along: |says| matches!(says, Says::OnFailure | Says::OnSuccess),
    against: |_| false,
};

/// Circles of needs alone are gone when this is looked for: there is a failure in each.
const HANDLER: Circle = Circle {
    what: "a unit is started when what it needs has failed, which starts that again, for ever",
    along: |says| says == Says::OnFailure || says.is_need(),
    against: |_| false,
};

fn remove_each(drafts: &mut Drafts, problems: &mut Vec<Problem>, circle: &Circle) {
    while let Some(cycle) = circle.find(drafts) {
        let mut names: Vec<_> = cycle.iter().map(UnitName::as_str).collect();
        names.extend(names.first().copied());
        let whole = format!("{}: {}", circle.what, names.join(" -> "));
        let pairs = cycle.iter().zip(cycle.iter().cycle().skip(1));
        let pairs: Vec<_> = pairs
            .map(|(name, next)| (name, next, circle.why(drafts, name, next)))
            .collect();
        let soft = pairs.iter().find_map(|(name, next, reasons)| {
            let all = reasons.iter().all(|r| r.edge.says == Says::SoftAfter);
            Some((*name, *next, reasons.first().filter(|_| all)?))
        });
        if let Some((name, next, reason)) = soft {
            let words = format!("{whole}; this soft order is left out");
            problems.push(spot(reason.by, reason.edge.span.as_ref(), words).warning());
            let (name, next) = (name.clone(), next.clone());
            if let Some(draft) = drafts.get_mut(&name) {
                let kept = |edge: &Edge| edge.says != Says::SoftAfter || edge.to != next;
                draft.edges.retain(kept);
            }
            continue;
        }
        let firsts: Vec<_> = pairs.iter().filter_map(|(.., r)| r.first()).collect();
        let words: Vec<_> = firsts.iter().map(|reason| reason.words()).collect();
        let words = format!("{whole} ({}); one of these must go", words.join(", "));
        if let Some(reason) = firsts.first() {
            problems.push(spot(reason.by, reason.edge.span.as_ref(), words));
        }
        for name in &cycle {
            drafts.remove(name);
        }
    }
}

/// Why one unit is behind another.
struct Reason<'a> {
    /// The unit whose file says so.
    by: &'a Draft,
    /// What it says.
    edge: &'a Edge,
}

impl Reason<'_> {
    fn words(&self) -> String {
        let (says, to) = (self.edge.says.words(), &self.edge.to);
        format!("{} {says} {to}", self.by.name)
    }
}

impl Circle {
    fn why<'a>(&self, drafts: &'a Drafts, name: &UnitName, other: &UnitName) -> Vec<Reason<'a>> {
        let says = |by: &UnitName, to: &UnitName, counts: fn(Says) -> bool| -> Vec<Reason<'a>> {
            let Some(by) = drafts.get(by) else {
                return Vec::new();
            };
            let all = by.edges.iter();
            all.filter(|edge| edge.to == *to && counts(edge.says))
                .map(|edge| Reason { by, edge })
                .collect()
        };
        let mut reasons = says(name, other, self.along);
        reasons.extend(says(other, name, self.against));
        reasons
    }

    /// Whom each unit is behind.
    fn behind<'a>(&self, drafts: &'a Drafts) -> BTreeMap<&'a UnitName, BTreeSet<&'a UnitName>> {
        let mut behind: BTreeMap<&UnitName, BTreeSet<&UnitName>> = BTreeMap::new();
        for (name, draft) in drafts {
            behind.entry(name).or_default();
            for edge in &draft.edges {
                let Some((other, _)) = drafts.get_key_value(&edge.to) else {
                    continue;
                };
                if (self.along)(edge.says) {
                    behind.entry(name).or_default().insert(other);
                }
                if (self.against)(edge.says) {
                    behind.entry(other).or_default().insert(name);
                }
            }
        }
        behind
    }

    /// The members of one cycle, each behind the next; beginning with the first by name.
    fn find(&self, drafts: &Drafts) -> Option<Vec<UnitName>> {
        let mut behind = self.behind(drafts);
        // Kahn's way: whoever is behind nobody is fine and leaves; what remains has a cycle in it.
        let mut followers: BTreeMap<&UnitName, Vec<&UnitName>> = BTreeMap::new();
        for (name, firsts) in &behind {
            for first in firsts {
                followers.entry(*first).or_default().push(*name);
            }
        }
        let mut free: Vec<_> = behind
            .iter()
            .filter(|(_, firsts)| firsts.is_empty())
            .map(|(name, _)| *name)
            .collect();
        while let Some(name) = free.pop() {
            behind.remove(name);
            for follower in followers.get(name).into_iter().flatten() {
                if let Some(firsts) = behind.get_mut(*follower) {
                    firsts.remove(name);
                    if firsts.is_empty() {
                        free.push(*follower);
                    }
                }
            }
        }
        // Following "is behind" among the rest must come round.
        let mut path: Vec<&UnitName> = Vec::new();
        let mut at = *behind.keys().next()?;
        while !path.contains(&at) {
            path.push(at);
            at = behind.get(at)?.first().copied()?;
        }
        let start = path.iter().position(|name| *name == at)?;
        let mut cycle: Vec<UnitName> = path.into_iter().skip(start).cloned().collect();
        let smallest = (0..cycle.len()).min_by_key(|i| cycle.get(*i).cloned())?;
        cycle.rotate_left(smallest);
        Some(cycle)
    }
}

//! Needs that cannot be met, and cycles. No recursion: chains may be long.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Draft, Drafts, Edge, Problem, spot};
use crate::UnitName;

/// Takes out every unit that needs one which is not there, until none is left.
pub(super) fn remove_unmet(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    let mut needed_by: BTreeMap<UnitName, Vec<UnitName>> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for draft in drafts.values() {
        for (need, _) in &draft.edges.needs {
            needed_by
                .entry(need.clone())
                .or_default()
                .push(draft.name.clone());
            if !drafts.contains_key(need) {
                missing.insert(need.clone());
            }
        }
    }
    while let Some(gone) = missing.pop_first() {
        for name in needed_by.get(&gone).into_iter().flatten() {
            let Some(draft) = drafts.remove(name) else {
                continue;
            };
            let span = draft.edges.needs.iter().find(|(need, _)| *need == gone);
            let words = format!("needs {gone}, which does not exist or cannot be used");
            problems.push(spot(
                &draft,
                span.and_then(|(_, span)| span.as_ref()),
                words,
            ));
            missing.insert(name.clone());
        }
    }
}

/// Takes out the members of every cycle of needs, wants and orderings.
pub(super) fn remove_cycles(drafts: &mut Drafts, problems: &mut Vec<Problem>) {
    while let Some(cycle) = find_cycle(drafts) {
        let mut names: Vec<_> = cycle.iter().map(UnitName::as_str).collect();
        names.extend(names.first().copied());
        let whole = names.join(" -> ");
        let mut reasons = Vec::with_capacity(cycle.len());
        let mut place = None;
        for (name, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
            if let Some(reason) = why(drafts, name, next) {
                place.get_or_insert((reason.by, reason.span));
                reasons.push(reason.words);
            }
        }
        let words = format!(
            "starting order runs in a circle: {whole} ({}); one of these must go",
            reasons.join(", ")
        );
        if let Some((draft, span)) = place {
            problems.push(spot(draft, span, words));
        }
        for name in &cycle {
            drafts.remove(name);
        }
    }
}

/// Why one unit waits for another.
struct Reason<'a> {
    /// In words.
    words: String,
    /// The unit whose file says so.
    by: &'a Draft,
    /// The place in it.
    span: Option<&'a Range<usize>>,
}

fn why<'a>(drafts: &'a Drafts, name: &UnitName, other: &UnitName) -> Option<Reason<'a>> {
    let (draft, later) = (drafts.get(name)?, drafts.get(other)?);
    let says = |by: &'a Draft, edges: &'a [Edge], named: &UnitName, words: String| {
        let edge = edges.iter().find(|(to, _)| to == named)?;
        Some(Reason {
            words,
            by,
            span: edge.1.as_ref(),
        })
    };
    let edges = &draft.edges;
    says(draft, &edges.needs, other, format!("{name} needs {other}"))
        .or_else(|| says(draft, &edges.wants, other, format!("{name} wants {other}")))
        .or_else(|| {
            says(
                draft,
                &edges.after,
                other,
                format!("{name} is after {other}"),
            )
        })
        .or_else(|| {
            says(
                later,
                &later.edges.before,
                name,
                format!("{other} is before {name}"),
            )
        })
}

/// Whom each unit waits for.
fn waits_for(drafts: &Drafts) -> BTreeMap<&UnitName, BTreeSet<&UnitName>> {
    let mut waits: BTreeMap<&UnitName, BTreeSet<&UnitName>> = BTreeMap::new();
    for (name, draft) in drafts {
        let edges = &draft.edges;
        let first = edges.needs.iter().chain(&edges.wants).chain(&edges.after);
        let present = first
            .filter_map(|(other, _)| drafts.get_key_value(other))
            .map(|(key, _)| key);
        waits.entry(name).or_default().extend(present);
        for (later, _) in &edges.before {
            if let Some((later, _)) = drafts.get_key_value(later) {
                waits.entry(later).or_default().insert(name);
            }
        }
    }
    waits
}

/// The members of one cycle, each waiting for the next; beginning with the first by name.
fn find_cycle(drafts: &Drafts) -> Option<Vec<UnitName>> {
    let mut waits = waits_for(drafts);
    // Kahn's way: whoever waits for nobody is fine and leaves; what remains has a cycle in it.
    let mut waiters: BTreeMap<&UnitName, Vec<&UnitName>> = BTreeMap::new();
    for (name, firsts) in &waits {
        for first in firsts {
            waiters.entry(*first).or_default().push(*name);
        }
    }
    let mut free: Vec<_> = waits
        .iter()
        .filter(|(_, firsts)| firsts.is_empty())
        .map(|(name, _)| *name)
        .collect();
    while let Some(name) = free.pop() {
        waits.remove(name);
        for waiter in waiters.get(name).into_iter().flatten() {
            if let Some(firsts) = waits.get_mut(*waiter) {
                firsts.remove(name);
                if firsts.is_empty() {
                    free.push(*waiter);
                }
            }
        }
    }
    // Following "waits for" among the rest must come round.
    let mut path: Vec<&UnitName> = Vec::new();
    let mut at = *waits.keys().next()?;
    while !path.contains(&at) {
        path.push(at);
        at = waits.get(at)?.first().copied()?;
    }
    let start = path.iter().position(|name| *name == at)?;
    let mut cycle: Vec<UnitName> = path.into_iter().skip(start).cloned().collect();
    let smallest = (0..cycle.len()).min_by_key(|i| cycle.get(*i).cloned())?;
    cycle.rotate_left(smallest);
    Some(cycle)
}

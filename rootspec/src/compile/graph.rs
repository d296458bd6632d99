//! Needs that cannot be met, and cycles. No recursion: chains may be long.

use std::collections::{BTreeMap, BTreeSet};

use super::{Draft, spot};
use crate::UnitName;

type Drafts = BTreeMap<UnitName, Draft>;

/// Takes out every unit that needs one which is not there, until none is left.
pub(super) fn remove_unmet(drafts: &mut Drafts, problems: &mut Vec<String>) {
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
pub(super) fn remove_cycles(drafts: &mut Drafts, problems: &mut Vec<String>) {
    while let Some(cycle) = find_cycle(drafts) {
        let mut names: Vec<_> = cycle.iter().map(UnitName::as_str).collect();
        names.extend(names.first().copied());
        let words = format!(
            "starting order runs in a circle: {} (each waits for the next); remove one of these needs, wants, after or before",
            names.join(" -> ")
        );
        if let Some(draft) = cycle.first().and_then(|name| drafts.get(name)) {
            problems.push(spot(draft, None, words));
        }
        for name in &cycle {
            drafts.remove(name);
        }
    }
}

/// Whom each unit waits for.
fn waits_for(drafts: &Drafts) -> BTreeMap<&UnitName, BTreeSet<&UnitName>> {
    let mut waits: BTreeMap<&UnitName, BTreeSet<&UnitName>> = BTreeMap::new();
    for (name, draft) in drafts {
        let edges = &draft.edges;
        let first = edges
            .needs
            .iter()
            .map(|(need, _)| need)
            .chain(&edges.wants)
            .chain(&edges.after);
        let present = first
            .filter_map(|other| drafts.get_key_value(other))
            .map(|(key, _)| key);
        waits.entry(name).or_default().extend(present);
        for later in &edges.before {
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

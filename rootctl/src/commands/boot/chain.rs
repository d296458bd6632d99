//! The chain that a boot waited for: from the default group backwards, always the one that was through last.

use std::collections::{HashMap, HashSet};

use rootspec::protocol::init::{BootTimes, UnitTimes};

/// Names of the units of the chain, the first one first; the group itself is not among them. While the boot goes on, it
/// ends with what is still waited for.
pub(super) fn chain(times: &BootTimes) -> Vec<String> {
    let units: HashMap<&str, &UnitTimes> =
        times.units.iter().map(|unit| (&*unit.name, unit)).collect();
    let mut chain = Vec::new();
    // Nobody twice: a boot that hangs may hold units that wait for each other.
    let mut seen = HashSet::from([&*times.group]);
    let mut last = units.get(&*times.group).copied();
    while let Some(unit) = last {
        let before = unit.waits_for.iter().filter_map(|name| units.get(&**name));
        let new = before.copied().filter(|other| !seen.contains(&*other.name));
        last = blocker(unit, new);
        seen.extend(last.map(|unit| &*unit.name));
        chain.extend(last.map(|unit| unit.name.clone()));
    }
    chain.reverse();
    chain
}

/// Of those before a unit, the one that kept it from starting longest, if any did.
fn blocker<'a>(
    unit: &UnitTimes,
    before: impl Iterator<Item = &'a UnitTimes>,
) -> Option<&'a UnitTimes> {
    let end = |unit: &UnitTimes| unit.settled_ms.unwrap_or(u64::MAX);
    let begin = unit.began_ms.unwrap_or_else(|| end(unit));
    // What was through before this one was wanted cost it nothing; what came later it did not wait for.
    let delaying = before.filter(|other| end(other) > unit.wanted_ms && end(other) <= begin);
    delaying.max_by_key(|other| end(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_goes_back_over_whoever_was_through_last() {
        assert_eq!(super::super::sample().chain, ["udev", "net", "web"]);
    }

    #[test]
    fn while_a_boot_goes_on_its_chain_ends_with_what_is_waited_for() {
        let mut times = super::super::sample().times;
        for unit in &mut times.units {
            if ["default", "db"].contains(&&*unit.name) {
                unit.settled_ms = None;
            }
        }
        assert_eq!(chain(&times), ["udev", "net", "db"]);
    }

    #[test]
    fn units_that_wait_for_each_other_and_unknown_ones_end_the_chain() {
        let mut times = super::super::sample().times;
        for unit in &mut times.units {
            unit.settled_ms = None;
            unit.began_ms = None;
            unit.waits_for = vec!["nobody".to_owned(), "net".to_owned(), "udev".to_owned()];
        }
        assert_eq!(chain(&times).len(), 2);
        times.group = "nobody".to_owned();
        assert_eq!(chain(&times), Vec::<String>::new());
    }
}

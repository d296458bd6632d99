//! `rootctl boot blame`

use anyhow::Result;
use rootspec::protocol::init::UnitTimes;

use super::{Story, ms};
use crate::output::{Cell, Output, Tone};

/// Prints units by the time of their start, longest first, and the chain.
pub(super) fn show(out: &Output, story: &Story) -> Result<()> {
    out.table(&rows(story))?;
    let Some(end) = story.times.through_ms else {
        return out.line(&format!(
            "the group {} is not through; it waits for {}",
            story.times.group,
            story.chain.last().map_or("nothing", |name| name)
        ));
    };
    out.line(&format!(
        "the group {} was through {} after {}; it waited for {}",
        story.times.group,
        ms(end.saturating_sub(story.origin())),
        match story.stage {
            Some(_) => "the kernel began",
            None => "rinit began",
        },
        match &*story.chain {
            [] => "no unit".to_owned(),
            chain => chain.join(", then "),
        }
    ))
}

fn rows(story: &Story) -> Vec<Vec<Cell>> {
    let titles = ["took", "waited", "unit", "state"];
    let mut rows = vec![titles.map(|title| Cell::new(title, Tone::Strong)).to_vec()];
    let mut units: Vec<(&UnitTimes, u64, u64)> = story
        .times
        .units
        .iter()
        .filter_map(|unit| {
            let (began, settled) = (unit.began_ms?, unit.settled_ms?);
            let (took, waited) = (
                settled.saturating_sub(began),
                began.saturating_sub(unit.wanted_ms),
            );
            Some((unit, took, waited))
        })
        .collect();
    units.sort_by(|(a, a_took, _), (b, b_took, _)| b_took.cmp(a_took).then(a.name.cmp(&b.name)));
    rows.extend(units.into_iter().map(|(unit, took, waited)| {
        let tone = match &*unit.outcome {
            "failed" | "backoff" => Tone::Bad,
            _ => Tone::Plain,
        };
        vec![
            ms(took).into(),
            ms(waited).into(),
            unit.name.clone().into(),
            Cell::new(unit.outcome.clone(), tone),
        ]
    }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_start_comes_first_and_groups_are_left_out() {
        let rows = format!("{:?}", rows(&super::super::sample()));
        let places = [
            "1.900 s", "udev", "400 ms", "web", "net", "db", "1 ms", "spare",
        ];
        let found: Vec<_> = places
            .iter()
            .map(|word| rows.find(&format!("{word:?}")))
            .collect();
        assert!(
            found.iter().all(Option::is_some) && found.is_sorted(),
            "{found:?} in {rows}"
        );
        assert!(!rows.contains("default"));
    }
}

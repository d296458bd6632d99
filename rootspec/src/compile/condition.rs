//! `[condition]` and `[assert]` to what is looked at before a start.

use crate::plan::{Condition, Fact};
use crate::units::{self, Size, UnitFile, split_operator};

/// All of both, in the order of the schema; those of `[assert]` last: what is skipped needs no failure.
pub(super) fn lower(file: &UnitFile) -> Vec<Condition> {
    let mut all = Vec::new();
    for (table, must) in [(&file.condition, false), (&file.assert, true)] {
        for (fact, names) in table.texts() {
            all.extend(names.0.iter().map(|text| read(fact, text, must)));
        }
        for (fact, wanted) in table.switches() {
            all.extend(wanted.map(|wanted| Condition {
                fact,
                value: "".into(),
                negated: !wanted,
                must,
            }));
        }
    }
    all
}

fn read(fact: Fact, text: &str, must: bool) -> Condition {
    let (negated, value) = match text.strip_prefix('!') {
        Some(value) => (true, value),
        None => (false, text),
    };
    let value = match (fact, split_operator(value)) {
        // In the kernel's unit; the reader refuses what is no size.
        (Fact::Memory, (operator, size)) => {
            let bytes = units::parse_size(size).map_or(0, |Size(bytes)| bytes);
            format!("{operator}{bytes}").into()
        }
        _ => value.into(),
    };
    Condition {
        fact,
        value,
        negated,
        must,
    }
}

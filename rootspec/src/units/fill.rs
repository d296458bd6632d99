//! Words in braces: `{i}` and its like stand for what differs between instances, snapshots and boots.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::Layers;
use crate::UnitName;
use crate::nearest::nearest;
use crate::spot::Spot;

/// What the words of one boot mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Number of the running snapshot.
    pub snapshot: String,
    /// Id of this boot.
    pub boot: String,
}

impl Default for Facts {
    /// Neither a snapshot nor a boot is known.
    fn default() -> Self {
        Self {
            snapshot: "none".to_owned(),
            boot: "none".to_owned(),
        }
    }
}

/// All words.
const WORDS: [&str; 9] = [
    "i", "name", "unit", "snapshot", "boot", "run", "state", "cache", "logs",
];

/// Puts meanings into all texts of the table.
///
/// # Errors
/// Every text with a word that has no meaning here.
pub(super) fn fill(
    table: &mut DeTable<'_>,
    layers: &Layers,
    unit: &UnitName,
    facts: &Facts,
) -> Result<(), Vec<Spot>> {
    let mut wrong: Vec<(usize, Spot)> = Vec::new();
    for (_, value) in &mut *table {
        each_text(value, &mut |text, span| match filled(text, unit, facts) {
            Ok(Some(new)) => *text = Cow::Owned(new),
            Ok(None) => {}
            Err((word, why)) => {
                let place = place(layers, span, &word);
                wrong.push((place.start, layers.spot(place, why)));
            }
        });
    }
    if wrong.is_empty() {
        return Ok(());
    }
    // In the order of the texts, not of the keys.
    wrong.sort_by_key(|(start, _)| *start);
    Err(wrong.into_iter().map(|(_, spot)| spot).collect())
}

fn each_text<'a>(
    value: &mut Spanned<DeValue<'a>>,
    act: &mut impl FnMut(&mut Cow<'a, str>, Range<usize>),
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) => act(text, span),
        DeValue::Array(items) => items.iter_mut().for_each(|item| each_text(item, act)),
        DeValue::Table(table) => {
            for (_, inner) in table {
                each_text(inner, act);
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// The place of a word inside a text, as far as the text stands in the file as it is.
fn place(layers: &Layers, span: Range<usize>, word: &str) -> Range<usize> {
    let found = layers.source(&span).and_then(|source| source.find(word));
    match found.and_then(|at| span.start.checked_add(at)) {
        Some(start) => start..start.saturating_add(word.len()),
        None => span,
    }
}

/// The text with meanings instead of words; `None`: it has none.
///
/// A brace counts only where a plain word stands in it: `{print $1}`, `{}` and the shell's `${HOME}` stay as they are.
fn filled(text: &str, unit: &UnitName, facts: &Facts) -> Result<Option<String>, (String, String)> {
    if !text.contains('{') {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        rest = after;
        if before.ends_with('$') {
            out.push('{');
            continue;
        }
        if let Some(after) = after.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let word = after.split_once('}').filter(|(word, _)| is_word(word));
        match word {
            Some((word, after)) => {
                out.push_str(
                    meaning(word, unit, facts).map_err(|why| (format!("{{{word}}}"), why))?,
                );
                rest = after;
            }
            None => out.push('{'),
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.len() <= 32 && word.bytes().all(|b| b.is_ascii_lowercase())
}

fn meaning<'a>(word: &str, unit: &'a UnitName, facts: &'a Facts) -> Result<&'a str, String> {
    Ok(match word {
        "i" => unit.instance().ok_or(
            "{i} is what stands behind the @ of an instance: only a template, NAME@.toml, has instances",
        )?,
        "name" => unit.template().map_or(unit.as_str(), |template| template.trim_end_matches('@')),
        "unit" => unit.as_str(),
        "snapshot" => &facts.snapshot,
        "boot" => &facts.boot,
        "run" => "/run",
        "state" => "/var/lib",
        "cache" => "/var/cache",
        "logs" => "/var/log",
        unknown => {
            let meant = nearest(unknown, &WORDS);
            let meant = meant.map_or_else(
                || format!("known here: {}", WORDS.map(|w| format!("{{{w}}}")).join(", ")),
                |word| format!("did you mean {{{word}}}?"),
            );
            return Err(format!(
                "unknown word {{{unknown}}}, {meant} A brace that is meant as such is written {{{{"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::read;

    fn filled_as(unit: &str, text: &str) -> Result<String, String> {
        let unit = unit.parse().unwrap();
        let facts = Facts {
            snapshot: "7".into(),
            boot: "b".into(),
        };
        filled(text, &unit, &facts)
            .map(|new| new.unwrap_or_else(|| text.to_owned()))
            .map_err(|(_, why)| why)
    }

    #[test]
    fn every_word_has_its_meaning() {
        for (text, meaning) in [
            ("/dev/{i}", "/dev/tty1"),
            ("{name} {unit}", "getty getty@tty1"),
            ("{snapshot}.{boot}", "7.b"),
            (
                "{run}/a {state}/b {cache}/c {logs}/d",
                "/run/a /var/lib/b /var/cache/c /var/log/d",
            ),
        ] {
            assert_eq!(filled_as("getty@tty1", text).unwrap(), meaning);
        }
        assert_eq!(filled_as("web", "{name}").unwrap(), "web");
    }

    #[test]
    fn braces_of_shells_and_programs_are_left_alone() {
        for text in [
            "${HOME} ${name}",
            "find -exec {} +",
            "awk '{print $1}'",
            "{ echo; }",
            "{a,b}",
            "{",
            "a{",
            "{Name}",
            "}",
        ] {
            assert_eq!(filled_as("a", text).unwrap(), text);
        }
        assert_eq!(filled_as("a", "{{name} {{{{x}}").unwrap(), "{name} {{x}}");
    }

    #[test]
    fn a_word_without_meaning_is_shown_where_it_stands() {
        let text = "schema = 1\n[exec]\nstart = \"/bin/x --as {nmae}\"\n";
        let unit = "web".parse().unwrap();
        let facts = Facts::default();
        let wrong = read(&Layers::new("web.toml", text), Some((&unit, &facts))).unwrap_err();
        let shown = wrong[0].to_string();
        assert!(
            shown.starts_with("web.toml:3:22: unknown word {nmae}, did you mean {name}?")
                && shown.ends_with("^^^^^^"),
            "{shown}"
        );
        assert!(filled_as("web", "{i}").unwrap_err().contains("NAME@.toml"));
        assert!(
            filled_as("web", "{zzzzzzzzzzz}")
                .unwrap_err()
                .contains("{snapshot}")
        );
    }
}

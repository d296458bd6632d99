//! The texts that make one unit: its file, and its drop-ins laid over it.
//!
//! Tables merge key by key, everything else is replaced. A drop-in may also say `unset = ["table.key"]`, which takes
//! keys away before its own are laid over, and `[append.table]`, whose lists are added behind those that are there.
//!
//! Places in the texts are counted as if they stood one behind the other, so one range of bytes tells text and place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::spot::{Spot, sentence};
use crate::toml_value::Mistake;

/// Keys that only a drop-in has.
const UNSET: &str = "unset";
const APPEND: &str = "append";

/// A unit's file and its drop-ins, in the order in which they are laid over each other.
#[derive(Debug, Clone)]
pub struct Layers {
    texts: Vec<Text>,
}

#[derive(Debug, Clone)]
struct Text {
    file: String,
    text: String,
    /// Where it begins when all texts stand one behind the other.
    base: usize,
}

impl Layers {
    /// A unit's own file.
    #[must_use]
    pub fn new(file: &str, text: &str) -> Self {
        let mut layers = Self { texts: Vec::new() };
        layers.add(file, text);
        layers
    }

    /// One more drop-in, over what is there.
    pub fn add(&mut self, file: &str, text: &str) {
        // One byte apart, so that the end of one text is not the beginning of the next.
        let end = |last: &Text| last.base.saturating_add(last.text.len()).saturating_add(1);
        self.texts.push(Text {
            file: file.to_owned(),
            text: text.to_owned(),
            base: self.texts.last().map_or(0, end),
        });
    }

    /// The unit's own file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.texts.first().map_or("", |text| &text.file)
    }

    /// A message about a place, in the text that it lies in.
    #[must_use]
    pub fn spot(&self, span: Range<usize>, words: impl Into<String>) -> Spot {
        let holds = |text: &&Text| text.base <= span.start;
        match self.texts.iter().rev().find(holds) {
            Some(text) => {
                let local = |at: usize| at.saturating_sub(text.base);
                Spot::new(
                    &text.file,
                    &text.text,
                    local(span.start)..local(span.end),
                    words,
                )
            }
            None => Spot::whole(self.file(), words),
        }
    }

    /// The message of a parser that read all texts as one.
    #[must_use]
    pub(super) fn spot_of(&self, mistake: &Mistake) -> Spot {
        let words = sentence(&mistake.message);
        match mistake.span.clone() {
            Some(span) => self.spot(span, words),
            None => Spot::whole(self.file(), words),
        }
    }

    /// A message about the value at `path`: keys with dots between, numbers for members of lists (`exec.start.0`).
    /// Where there is no such value, the message is about the nearest table around it.
    #[must_use]
    pub fn spot_at(&self, path: &str, words: impl Into<String>) -> Spot {
        let Ok(table) = self.merged() else {
            return Spot::whole(self.file(), words);
        };
        match nearest_to(&table, path) {
            Some(span) => self.spot(span, words),
            None => Spot::whole(self.file(), words),
        }
    }

    /// The text at a path such as `install.default_instance`; `None`: there is nothing, or something else.
    ///
    /// # Errors
    /// The texts cannot be read at all.
    pub(crate) fn text_at(&self, path: &str) -> Result<Option<String>, Spot> {
        let table = self.merged()?;
        let mut steps = path.split('.');
        let mut at = steps.next().and_then(|first| table.get(first));
        for step in steps {
            at = match at.map(Spanned::get_ref) {
                Some(DeValue::Table(inner)) => inner.get(step),
                _ => None,
            };
        }
        Ok(match at.map(Spanned::get_ref) {
            Some(DeValue::String(text)) => Some(text.to_string()),
            _ => None,
        })
    }

    /// The text of a place.
    pub(super) fn source(&self, span: &Range<usize>) -> Option<&str> {
        let text = self.texts.iter().rev().find(|t| t.base <= span.start)?;
        let (start, end) = (
            span.start.checked_sub(text.base)?,
            span.end.checked_sub(text.base)?,
        );
        text.text.get(start..end)
    }

    /// All texts as one table; tables of other programs (`x-…`) are gone.
    ///
    /// # Errors
    /// A text is no TOML, or a drop-in asks for what cannot be done. The place is shown.
    pub(super) fn merged(&self) -> Result<DeTable<'_>, Spot> {
        let mut texts = self.texts.iter();
        let mut merged = texts.next().map_or_else(|| Ok(DeTable::new()), parse)?;
        for key in [UNSET, APPEND] {
            if let Some((key, _)) = merged.get_key_value(key) {
                let words = format!(
                    "{} has its place in a drop-in: {}.d/NN-NAME.toml",
                    key.get_ref(),
                    self.file()
                );
                return Err(self.spot(key.span(), words));
            }
        }
        for text in texts {
            let mut over = parse(text)?;
            let unset = over.remove(UNSET);
            let append = over.remove(APPEND);
            if let Some(paths) = unset {
                self.unset(&mut merged, &paths)?;
            }
            lay(&mut merged, over);
            if let Some(append) = append {
                self.append(&mut merged, append)?;
            }
        }
        Ok(merged)
    }

    fn unset(&self, merged: &mut DeTable<'_>, paths: &Spanned<DeValue<'_>>) -> Result<(), Spot> {
        let wrong = |span| self.spot(span, "expected a list of keys such as [\"exec.user\"]");
        let DeValue::Array(paths) = paths.get_ref() else {
            return Err(wrong(paths.span()));
        };
        for path in paths {
            let DeValue::String(text) = path.get_ref() else {
                return Err(wrong(path.span()));
            };
            remove(merged, text);
        }
        Ok(())
    }

    fn append<'a>(
        &self,
        merged: &mut DeTable<'a>,
        append: Spanned<DeValue<'a>>,
    ) -> Result<(), Spot> {
        let span = append.span();
        let DeValue::Table(tables) = append.into_inner() else {
            return Err(self.spot(span, "expected a table such as [append.deps]"));
        };
        self.append_to(merged, tables)
    }

    fn append_to<'a>(&self, to: &mut DeTable<'a>, from: DeTable<'a>) -> Result<(), Spot> {
        for (key, value) in from {
            let span = value.span();
            match (
                to.get_mut(&**key.get_ref()).map(Spanned::get_mut),
                value.into_inner(),
            ) {
                (None, value) => {
                    to.insert(key, Spanned::new(span, value));
                }
                (Some(DeValue::Table(to)), DeValue::Table(from)) => self.append_to(to, from)?,
                (Some(DeValue::Table(_)), _) | (_, DeValue::Table(_)) => {
                    let words = format!("{} is a table in one place only", key.get_ref());
                    return Err(self.spot(span, words));
                }
                (Some(to), from) => {
                    let old = std::mem::replace(to, DeValue::Boolean(false));
                    *to = DeValue::Array(joined(old, Spanned::new(span, from)));
                }
            }
        }
        Ok(())
    }
}

/// One list out of two values, each a list or a single member. A command among lists of commands stays one.
fn joined<'a>(old: DeValue<'a>, new: Spanned<DeValue<'a>>) -> DeArray<'a> {
    let place = new.span();
    let list = |value: DeValue<'a>| match value {
        DeValue::Array(items) => items,
        single => DeArray::from_iter([Spanned::new(place.clone(), single)]),
    };
    let nested = |list: &DeArray<'_>| {
        list.iter()
            .any(|item| matches!(item.get_ref(), DeValue::Array(_)))
    };
    let (old, new) = (list(old), list(new.into_inner()));
    let wrap = nested(&old) || nested(&new);
    let level = |list: DeArray<'a>| {
        if wrap && !nested(&list) && !list.is_empty() {
            DeArray::from_iter([Spanned::new(place.clone(), DeValue::Array(list))])
        } else {
            list
        }
    };
    level(old).into_iter().chain(level(new)).collect()
}

/// Lays `over` on `merged`.
fn lay<'a>(merged: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        let span = value.span();
        match (
            merged.get_mut(&**key.get_ref()).map(Spanned::get_mut),
            value.into_inner(),
        ) {
            (Some(DeValue::Table(below)), DeValue::Table(above)) => lay(below, above),
            (_, value) => {
                // A map keeps the key it has: the new one must bring its own place.
                merged.remove(&**key.get_ref());
                merged.insert(key, Spanned::new(span, value));
            }
        }
    }
}

/// The place of the value at `path`, or of the last one on the way to it.
fn nearest_to(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut at = table.get(first)?;
    for step in rest.split('.') {
        let inner = match at.get_ref() {
            DeValue::Table(inner) => inner.get(step),
            DeValue::Array(items) => step.parse().ok().and_then(|n: usize| items.get(n)),
            _ => None,
        };
        match inner {
            Some(inner) => at = inner,
            None => break,
        }
    }
    Some(at.span())
}

fn remove(table: &mut DeTable<'_>, path: &str) {
    match path.split_once('.') {
        None => {
            table.remove(path);
        }
        Some((first, rest)) => {
            if let Some(DeValue::Table(inner)) = table.get_mut(first).map(Spanned::get_mut) {
                remove(inner, rest);
            }
        }
    }
}

fn parse(text: &Text) -> Result<DeTable<'_>, Spot> {
    let table = DeTable::parse(&text.text)
        .map_err(|error| Spot::from_toml(&text.file, &text.text, &error.into()))?;
    let entries = moved(table.into_inner(), text.base).into_iter();
    Ok(entries
        .filter(|(key, _)| !key.get_ref().starts_with("x-"))
        .collect())
}

/// The same table, `by` bytes further on.
fn moved(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let entries = table.into_iter().map(|(key, value)| {
        let span = further(&key.span(), by);
        (Spanned::new(span, key.into_inner()), moved_value(value, by))
    });
    entries.collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = further(&value.span(), by);
    let value = match value.into_inner() {
        DeValue::Array(items) => DeValue::Array(
            items
                .into_iter()
                .map(|item| moved_value(item, by))
                .collect(),
        ),
        DeValue::Table(table) => DeValue::Table(moved(table, by)),
        other => other,
    };
    Spanned::new(span, value)
}

fn further(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start.saturating_add(by)..span.end.saturating_add(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{UnitFile, read};

    const BASE: &str = "schema = 1\n[exec]\nstart = [\"/bin/web\", \"-v\"]\nuser = \"web\"\nenv = { A = \"1\", B = \"2\" }\n[deps]\nneeds = [\"db\"]\n[dirs]\nrun = \"web\"\n";

    fn layers(drop_ins: &[&str]) -> Layers {
        let mut layers = Layers::new("web.toml", BASE);
        for (number, text) in drop_ins.iter().enumerate() {
            layers.add(&format!("web.toml.d/{number}.toml"), text);
        }
        layers
    }

    fn unit(drop_ins: &[&str]) -> UnitFile {
        read(&layers(drop_ins), None).unwrap()
    }

    fn complaint(drop_ins: &[&str]) -> String {
        let wrong = read(&layers(drop_ins), None).expect_err("it was accepted");
        wrong
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn tables_merge_key_by_key_and_lists_are_replaced() {
        let unit = unit(&[
            "[exec]\nenv = { B = \"3\" }\n[deps]\nneeds = [\"cache\"]\n[stop]\nsignal = \"INT\"\n",
        ]);
        let exec = unit.exec.as_ref().unwrap().get_ref();
        assert_eq!(
            (exec.user.as_deref(), &*exec.env["A"], &*exec.env["B"]),
            (Some("web"), "1", "3")
        );
        let needs: Vec<&str> = unit
            .deps
            .needs
            .iter()
            .map(|n| n.get_ref().as_str())
            .collect();
        assert_eq!((needs, unit.stop.signal.0), (vec!["cache"], 2));
    }

    #[test]
    fn later_drop_ins_win_over_earlier_ones() {
        let unit = unit(&["[exec]\nuser = \"a\"\n", "[exec]\nuser = \"b\"\n"]);
        assert_eq!(unit.exec.unwrap().get_ref().user.as_deref(), Some("b"));
    }

    #[test]
    fn unset_takes_keys_and_whole_tables_away_before_the_own_keys_count() {
        let unit = unit(&[
            "unset = [\"exec.user\", \"deps\", \"exec.env\", \"stop.signal\"]\n[exec]\nenv = { C = \"9\" }\n",
        ]);
        let exec = unit.exec.as_ref().unwrap().get_ref();
        assert_eq!((exec.user.as_deref(), exec.env.len()), (None, 1));
        assert!(unit.deps.needs.is_empty());
    }

    #[test]
    fn append_adds_to_lists_texts_and_what_is_not_there() {
        let unit = unit(&[
            "[append.deps]\nneeds = [\"cache\"]\nwants = [\"net\"]\n[append.dirs]\nrun = \"more\"\n[append]\ndocs = [\"man:web\"]\n",
        ]);
        let needs: Vec<&str> = unit
            .deps
            .needs
            .iter()
            .map(|n| n.get_ref().as_str())
            .collect();
        assert_eq!((needs, unit.deps.wants.len()), (vec!["db", "cache"], 1));
        assert_eq!(
            (unit.dirs.run.0, unit.docs.len()),
            (vec!["web".to_owned(), "more".to_owned()], 1)
        );
    }

    #[test]
    fn a_command_is_appended_as_a_command_and_words_as_arguments() {
        let start = |text: &str| unit(&[text]).exec.unwrap().get_ref().start.0.clone();
        assert_eq!(
            start("[append.exec]\nstart = [\"-q\"]\n"),
            [["/bin/web", "-v", "-q"]]
        );
        let unit = unit(&[
            "kind = \"oneshot\"\n[append.exec]\nstart = [[\"/bin/other\"]]\n",
            "[append.exec]\nstart = [\"/bin/third\", \"x\"]\n",
        ]);
        assert_eq!(
            unit.exec.unwrap().get_ref().start.0,
            [
                vec!["/bin/web", "-v"],
                vec!["/bin/other"],
                vec!["/bin/third", "x"]
            ]
        );
    }

    #[test]
    fn an_error_points_into_the_drop_in_it_stands_in() {
        assert_eq!(
            complaint(&["", "# why\n[exec]\nusr = \"x\"\n"]),
            "web.toml.d/1.toml:3:1: unknown key \"usr\", did you mean \"user\"?\n    3 | usr = \"x\"\n      | ^^^"
        );
        for (text, place, words) in [
            ("[exec\n", "0.toml:1", "web.toml.d"),
            ("[exec]\numask = \"9\"\n", "0.toml:2:9", "octal"),
            ("unset = \"exec.user\"\n", "0.toml:1:9", "list of keys"),
            ("unset = [1]\n", "0.toml:1:10", "list of keys"),
            ("append = 1\n", "0.toml:1:10", "[append.deps]"),
            ("[append]\nexec = [1]\n", "0.toml:2:8", "exec is a table"),
            ("[append.exec]\nuser = [\"x\"]\n", "web.toml:4:8", "string"),
            ("schema = 7\n", "0.toml:1:10", "schema 7"),
        ] {
            let shown = complaint(&[text]);
            assert!(
                shown.contains(place) && shown.contains(words),
                "{text}\n{shown}"
            );
        }
    }

    #[test]
    fn what_is_unset_may_be_absent() {
        unit(&["unset = [\"exec.nice\", \"nothing.at.all\", \"\", \".\"]\n"]);
    }

    #[test]
    fn a_units_own_file_takes_nothing_away() {
        let text = format!("unset = [\"exec.user\"]\n{BASE}");
        let wrong = read(&Layers::new("web.toml", &text), None).unwrap_err();
        assert!(wrong[0].to_string().contains("web.toml.d/"), "{}", wrong[0]);
    }

    #[test]
    fn places_are_found_by_path() {
        let layers = layers(&["[exec]\nworkdir = \"/srv\"\n"]);
        for (path, place) in [
            ("exec.start.1", "web.toml:3:22: x"),
            ("exec.workdir", "web.toml.d/0.toml:2:11: x"),
            ("exec.nothing", "web.toml:2:1: x"),
            ("nothing", "web.toml: x"),
        ] {
            let shown = layers.spot_at(path, "x").to_string();
            assert!(shown.starts_with(place), "{path}: {shown}");
        }
    }
}

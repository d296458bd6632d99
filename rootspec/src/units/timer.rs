//! `[[timer]]`: when a unit is started by time.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

use super::Millis;
use crate::UnitName;
use crate::calendar::{self, Calendar};

/// Shortest time between the end of a run and the next one, in milliseconds.
const BREATH: Millis = Millis(1_000);
/// Longest jitter, in milliseconds: a week.
const JITTER: Millis = Millis(7 * 24 * 3_600_000);

/// One entry of `[[timer]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timer {
    /// Times of the calendar.
    pub calendar: Calendars,
    /// Since the kernel started.
    pub after_boot: Option<Millis>,
    /// Since `rinit` started.
    pub after_start: Option<Millis>,
    /// Since the unit was last up, or could not be.
    pub after_active: Option<Millis>,
    /// Since the unit last ended.
    pub after_inactive: Option<Millis>,
    /// How much later it may be, so that one wake-up serves several timers.
    pub accuracy: Option<Millis>,
    /// A random delay up to this.
    pub jitter: Option<Millis>,
    /// The same delay each time.
    pub fixed_jitter: bool,
    /// A time of the calendar that was missed is made up for.
    pub persistent: bool,
    /// When the clock is set.
    pub on_clock_change: bool,
    /// The unit that is started; the default is this one.
    pub unit: Option<Spanned<UnitName>>,
}

impl Timer {
    /// What is wrong although every single value is fine: the key (none: the whole), and words.
    pub(super) fn wrong(&self) -> Vec<(&'static str, &'static str)> {
        let mut wrong = Vec::new();
        let spans = [
            ("after_boot", self.after_boot, Millis(0)),
            ("after_start", self.after_start, Millis(0)),
            ("after_active", self.after_active, BREATH),
            ("after_inactive", self.after_inactive, BREATH),
        ];
        for (key, span, least) in spans {
            match span {
                Some(Millis::OFF) => {
                    wrong.push((key, "a time that never comes: leave this key out"));
                }
                Some(span) if span < least => {
                    wrong.push((key, "expected at least 1s: the unit would run all the time"));
                }
                _ => {}
            }
        }
        if self.accuracy == Some(Millis::OFF) {
            wrong.push(("accuracy", "expected a duration: it would never be served"));
        }
        if self.jitter.is_some_and(|jitter| jitter > JITTER) {
            wrong.push(("jitter", "expected at most 168h"));
        }
        if self.persistent && self.calendar.0.is_empty() {
            wrong.push((
                "persistent",
                "only times of a calendar can be made up for: add calendar",
            ));
        }
        let any = spans.iter().any(|(_, span, _)| span.is_some());
        if !any && self.calendar.0.is_empty() && !self.on_clock_change {
            let words = "this timer never elapses: say calendar, after_boot, after_start, after_active, after_inactive or on_clock_change";
            wrong.push(("", words));
        }
        wrong
    }
}

/// One calendar time or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendars(pub Vec<Calendar>);

struct Text;

impl Visitor<'_> for Text {
    type Value = Calendar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a calendar time such as \"daily\" or \"Mon..Fri *-*-* 02:00\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Calendar, E> {
        let wrong = |why| E::custom(format!("\"{text}\" is no calendar time: {why}"));
        calendar::parse(text).map_err(wrong)
    }
}

/// One of a list.
struct One(Calendar);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Text).map(One)
    }
}

impl<'de> Deserialize<'de> for Calendars {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Calendars;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Text.expecting(f)?;
                f.write_str(", or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Calendars, E> {
                Text.visit_str(text).map(|one| Calendars(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Calendars, A::Error> {
                let mut all = Vec::new();
                while let Some(One(calendar)) = seq.next_element()? {
                    all.push(calendar);
                }
                Ok(Calendars(all))
            }
        }
        from.deserialize_any(List)
    }
}

#[cfg(test)]
mod tests {
    use crate::units::parse;

    /// What is said about a unit with this timer, whose first line is the fifth.
    fn complaint(timer: &str) -> String {
        let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[[timer]]\n{timer}\n");
        match parse("a.toml", &text) {
            Ok(_) => String::new(),
            Err(wrong) => wrong.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_mistake_names_its_line_and_the_reason() {
        for (timer, words) in [
            ("", "a.toml:4:1: this timer never elapses"),
            ("calendar = []", "this timer never elapses"),
            (
                "calendar = \"dayly\"",
                "a.toml:5:12: \"dayly\" is no calendar time: \"dayly\" is no weekday",
            ),
            (
                "calendar = [\"daily\",\n\"*-02-30\"]",
                "a.toml:6:1: \"*-02-30\" is no calendar time: there is no such day",
            ),
            ("calendar = 5", "a.toml:5:12: "),
            (
                "after_boot = \"off\"",
                "a.toml:5:14: a time that never comes",
            ),
            (
                "after_active = \"999ms\"",
                "a.toml:5:16: expected at least 1s",
            ),
            ("after_inactive = \"0s\"", "expected at least 1s"),
            (
                "after_boot = \"1s\"\naccuracy = \"off\"",
                "a.toml:6:12: expected a duration",
            ),
            ("after_boot = \"1s\"\njitter = \"off\"", "at most 168h"),
            ("after_boot = \"1s\"\njitter = \"169h\"", "at most 168h"),
            (
                "after_boot = \"1s\"\npersistent = true",
                "a.toml:6:14: only times of a calendar",
            ),
            ("after_boot = \"soon\"", "duration"),
            ("calender = \"daily\"", "did you mean \"calendar\"?"),
            ("calendar = \"daily\"\nunit = \"a/b\"", "no unit name"),
        ] {
            let shown = complaint(timer);
            assert!(shown.contains(words), "{timer}\n{shown}");
        }
    }

    #[test]
    fn the_usual_forms_are_taken() {
        for timer in [
            "calendar = \"daily\"\npersistent = true\njitter = \"1h\"\nfixed_jitter = true",
            "calendar = [\"Mon..Fri 02:00\", \"Sat,Sun 04:00 UTC\"]\naccuracy = \"0s\"",
            "after_boot = \"0s\"\nafter_active = \"1h\"\nunit = \"b\"",
            "on_clock_change = true",
        ] {
            assert_eq!(complaint(timer), "", "{timer}");
        }
    }
}

//! The verdict on a boot, as a pure function of what units did and of the time.
//!
//! A snapshot on trial is good when every unit of the gate was ready in time and stayed so. It is bad as soon as one
//! failed for good, is late, or was restarted too often. Units of soft weight never make it bad: a trial on which they alone
//! failed is confirmed, and called "degraded". An ordinary boot is never bad: what would be is "degraded", and the system
//! stays up.

use std::collections::BTreeSet;

use rootspec::cmdline::Cmdline;
use rootspec::plan::{Gate as Rule, Plan, TieKind, UnitIndex};
use rootspec::report::Numbers;
use serde::{Deserialize, Serialize};

/// With no unit of its own in the gate, the default group must be up within this time, in milliseconds.
const DEFAULT_RULE: Rule = Rule {
    within: 180_000,
    stable: 10_000,
    soft: false,
    max_restarts: None,
};

/// Whether this boot is a try of a new snapshot: as the boot stage reports. Where its report cannot be read, the menu's
/// words count, since a try that is taken for an ordinary boot would stay up however bad it is.
pub(crate) fn is_trial(report: Option<&str>, cmdline: &str) -> bool {
    match report.and_then(Numbers::of_report) {
        Some(numbers) => numbers.is_trial(),
        None => {
            let line = Cmdline::parse(cmdline);
            line.trial && line.count
        }
    }
}

/// Who has a say: the units with a `[gate]` that `group` brings up; if there is none, the group itself. A unit that
/// nobody enabled has no part in this boot, and must not make it a bad one.
pub(crate) fn rules(plan: &Plan, group: &str) -> Vec<(UnitIndex, String, Rule)> {
    let Some(group) = plan.find(group) else {
        return Vec::new();
    };
    let unit = |index: UnitIndex| {
        usize::try_from(index)
            .ok()
            .and_then(|at| plan.units.get(at))
    };
    let mut reached = BTreeSet::from([group]);
    let mut open = vec![group];
    while let Some(definition) = open.pop().and_then(unit) {
        let tied = definition.tied_to(TieKind::Milestone);
        let tied = tied.chain(definition.tied_to(TieKind::Upholds));
        let direct = definition.needs.iter().chain(&definition.wants).copied();
        for other in direct.chain(tied) {
            if reached.insert(other) {
                open.push(other);
            }
        }
    }
    let named = |index: UnitIndex, rule| unit(index).map(|u| (index, u.name.to_string(), rule));
    let gated = |index: &UnitIndex| named(*index, unit(*index)?.gate?);
    let rules: Vec<_> = reached.iter().filter_map(gated).collect();
    if rules.is_empty() {
        named(group, DEFAULT_RULE).into_iter().collect()
    } else {
        rules
    }
}

/// What the gate sees of a unit: its state, and how often it was restarted.
pub(crate) type Seen = (Sight, u32);

/// The state of a unit, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Ready since this time (in milliseconds of the supervisor's clock).
    Up(u64),
    /// On its way, or not wanted yet.
    Pending,
    /// Failed for good, with the reason.
    Failed(String),
    /// Its start was skipped: it has no part in this boot.
    Skipped,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// Not yet. To be asked again at this time at the latest.
    Pending(u64),
    /// All is well, but nobody who chooses what boots knows that yet; with what is in the way. On a trial.
    Unconfirmed(Vec<String>),
    /// All is well.
    Good,
    /// Something is missing, with the reasons; on an ordinary boot, or nothing that would make a trial bad.
    Degraded(Vec<String>),
    /// Something is missing, with the reasons; on a trial.
    Bad(Vec<String>),
}

impl Verdict {
    /// Its word in the protocol.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pending(_) | Self::Unconfirmed(_) => "pending",
            Self::Good => "good",
            Self::Degraded(_) => "degraded",
            Self::Bad(_) => "bad",
        }
    }

    /// Why, in words.
    pub(crate) fn reasons(&self) -> &[String] {
        match self {
            Self::Pending(_) | Self::Good => &[],
            Self::Unconfirmed(reasons) | Self::Degraded(reasons) | Self::Bad(reasons) => reasons,
        }
    }
}

/// Who has a say, and what kind of boot this is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gate<Id> {
    rules: Vec<(Id, String, Rule)>,
    trial: bool,
    began: u64,
}

impl<Id: Copy> Gate<Id> {
    /// `rules`: unit, name, rule. `began`: when `rinit` started.
    pub(crate) fn new(rules: Vec<(Id, String, Rule)>, trial: bool, began: u64) -> Self {
        Self {
            rules,
            trial,
            began,
        }
    }

    /// The same with other numbers for its units; who has none has no say any more.
    pub(crate) fn renumber(&mut self, find: impl Fn(&str) -> Option<Id>) {
        self.rules.retain_mut(|(unit, name, _)| match find(name) {
            Some(found) => {
                *unit = found;
                true
            }
            None => false,
        });
    }

    /// Whether this is a trial.
    pub(crate) fn is_trial(&self) -> bool {
        self.trial
    }

    /// The verdict as things stand.
    pub(crate) fn judge(&self, now: u64, see: impl Fn(Id) -> Seen) -> Verdict {
        let (mut reasons, mut flaws) = (Vec::new(), Vec::new());
        let mut next: Option<u64> = None;
        for (unit, name, rule) in &self.rules {
            let late = self.began.saturating_add(rule.within);
            let (sight, restarts) = see(*unit);
            let step = match sight {
                Sight::Skipped => Ok(None),
                Sight::Failed(why) => Err(format!("{name} failed: {why}")),
                Sight::Up(_) | Sight::Pending
                    if rule.max_restarts.is_some_and(|most| restarts > most) =>
                {
                    let most = rule.max_restarts.unwrap_or_default();
                    Err(format!(
                        "{name} was restarted {restarts} times, at most {most} are allowed"
                    ))
                }
                Sight::Up(since) => {
                    let stable = since.saturating_add(rule.stable);
                    Ok((now < stable).then_some(stable))
                }
                Sight::Pending if now >= late => {
                    let within = crate::words::duration(rule.within);
                    Err(format!("{name} was not ready within {within}"))
                }
                Sight::Pending => Ok(Some(late)),
            };
            let wait = step.unwrap_or_else(|why| {
                let list = if rule.soft { &mut flaws } else { &mut reasons };
                list.push(why);
                None
            });
            next = match (next, wait) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        match (reasons.is_empty(), next) {
            (false, _) => {
                reasons.append(&mut flaws);
                self.not_good(reasons)
            }
            (true, Some(when)) => Verdict::Pending(when),
            (true, None) if flaws.is_empty() => Verdict::Good,
            (true, None) => Verdict::Degraded(flaws),
        }
    }

    /// The verdict when `confirmer` could not make it last: such a trial would be left at the next boot anyway, without
    /// a word, so it is left now, with the reason.
    pub(crate) fn unconfirmed(&self, confirmer: &str, why: &str) -> Verdict {
        self.not_good(vec![format!(
            "it is good, but {confirmer} could not confirm it: {why}"
        )])
    }

    /// The verdict when `rinit` itself keeps crashing.
    pub(crate) fn crashed(&self, count: usize) -> Verdict {
        self.not_good(vec![format!("rinit crashed {count} times within a minute")])
    }

    /// An ordinary boot stays up, whatever is missing: there is nothing better to go back to.
    fn not_good(&self, reasons: Vec<String>) -> Verdict {
        if self.trial {
            Verdict::Bad(reasons)
        } else {
            Verdict::Degraded(reasons)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        within: 100,
        stable: 10,
        soft: false,
        max_restarts: None,
    };

    fn gate(trial: bool) -> Gate<usize> {
        Gate::new(
            vec![(0, "web".into(), RULE), (1, "db".into(), RULE)],
            trial,
            1000,
        )
    }

    fn judge(trial: bool, now: u64, seen: [Sight; 2]) -> Verdict {
        gate(trial).judge(now, |unit| (seen[unit].clone(), 7))
    }

    fn plan(units: &[(&str, &str)]) -> Plan {
        let source = |(name, text): &(&str, &str)| rootspec::compile::Source {
            name: name.parse().unwrap(),
            file: format!("{name}.toml"),
            text: format!("schema = 1\n{text}\n"),
        };
        let sources: Vec<_> = units.iter().map(source).collect();
        rootspec::compile::compile(&sources, &[])
    }

    #[test]
    fn a_required_unit_that_nobody_enabled_has_no_say() {
        const GATED: &str = "[exec]\nstart = \"/x\"\n[gate]\nrequired = true";
        let chain = "kind = \"group\"\n[deps]\nwants = [\"middle\"]";
        let middle = "kind = \"group\"\n[deps]\nneeds = [\"web\"]";
        let plan = plan(&[
            ("default", chain),
            ("middle", middle),
            ("web", GATED),
            ("idle", GATED),
        ]);
        let names = |group| -> Vec<String> {
            rules(&plan, group)
                .into_iter()
                .map(|(_, name, _)| name)
                .collect()
        };
        assert_eq!(
            (names("default"), names("nowhere")),
            (vec!["web".to_owned()], vec![])
        );
    }

    #[test]
    fn without_a_required_unit_the_group_itself_is_judged() {
        let rules = rules(&plan(&[("default", "kind = \"group\"")]), "default");
        assert_eq!(rules, [(0, "default".to_owned(), DEFAULT_RULE)]);
    }

    #[test]
    fn good_means_ready_in_time_and_for_long_enough() {
        let up = |since| Sight::Up(since);
        assert_eq!(
            judge(true, 1050, [Sight::Pending, up(1001)]),
            Verdict::Pending(1100)
        );
        assert_eq!(
            judge(true, 1055, [up(1050), up(1001)]),
            Verdict::Pending(1060)
        );
        assert_eq!(judge(true, 1060, [up(1050), up(1001)]), Verdict::Good);
        assert_eq!(judge(true, 1060, [Sight::Skipped, up(1001)]), Verdict::Good);
    }

    #[test]
    fn a_failure_or_a_delay_is_bad_on_a_trial_and_degraded_otherwise() {
        let seen = [
            Sight::Failed("it exited with code 1".into()),
            Sight::Pending,
        ];
        let words = vec!["web failed: it exited with code 1".to_owned()];
        assert_eq!(judge(true, 1001, seen.clone()), Verdict::Bad(words.clone()));
        assert_eq!(judge(false, 1001, seen), Verdict::Degraded(words));
        let late = judge(true, 1100, [Sight::Up(1001), Sight::Pending]);
        assert_eq!(late.reasons(), ["db was not ready within 100 ms"]);
    }

    #[test]
    fn a_soft_failure_never_makes_a_trial_bad_and_is_told() {
        let soft = Rule { soft: true, ..RULE };
        let rules = vec![(0, "web".into(), RULE), (1, "db".into(), soft)];
        let gate = Gate::new(rules, true, 1000);
        let failed = || Sight::Failed("it is broken".into());
        let judge = |now, seen: [Sight; 2]| gate.judge(now, |unit| (seen[unit].clone(), 0));
        let flaw = "db failed: it is broken".to_owned();
        let cases = [
            // It is not over before the others are through.
            (1001, [Sight::Pending, failed()], Verdict::Pending(1100)),
            (
                1020,
                [Sight::Up(1001), failed()],
                Verdict::Degraded(vec![flaw.clone()]),
            ),
            (
                1001,
                [failed(), failed()],
                Verdict::Bad(vec!["web failed: it is broken".to_owned(), flaw]),
            ),
            (1020, [Sight::Up(1001), Sight::Up(1001)], Verdict::Good),
        ];
        for (now, seen, verdict) in cases {
            assert_eq!(judge(now, seen.clone()), verdict, "{seen:?}");
        }
    }

    #[test]
    fn more_restarts_than_allowed_are_a_failure_even_of_what_is_up() {
        let rule = Rule {
            max_restarts: Some(2),
            ..RULE
        };
        let gate = Gate::new(vec![(0, "web".into(), rule)], true, 1000);
        let judge = |sight: Sight, restarts| gate.judge(1020, |_| (sight.clone(), restarts));
        assert_eq!(judge(Sight::Up(1001), 2), Verdict::Good);
        for sight in [Sight::Up(1001), Sight::Pending] {
            let verdict = judge(sight, 3);
            assert_eq!(
                verdict.reasons(),
                ["web was restarted 3 times, at most 2 are allowed"]
            );
            assert_eq!(verdict.word(), "bad");
        }
    }

    #[test]
    fn what_cannot_be_confirmed_is_left_on_a_trial_and_told_otherwise() {
        let verdict = |trial| gate(trial).unconfirmed("boot-good", "no ESP");
        let words = vec!["it is good, but boot-good could not confirm it: no ESP".to_owned()];
        assert_eq!(verdict(true), Verdict::Bad(words.clone()));
        assert_eq!(verdict(false), Verdict::Degraded(words));
    }

    #[test]
    fn without_a_readable_report_the_command_line_tells_a_trial() {
        const REPORT: &str = "schema = 1\nmode = \"ro\"\n";
        let tried = REPORT.replace("mode", "try_number = 1\nmode");
        let line = "root=/dev/vda rootctl.snap=3 rootctl.trial";
        for (report, line, trial) in [
            (Some(tried.as_str()), "", true),
            (Some(REPORT), line, false),
            (Some("damaged"), line, true),
            (None, line, true),
            (None, "root=/dev/vda rootctl.snap=3", false),
            (None, "rootctl.trial rootctl.count=0", false),
        ] {
            assert_eq!(is_trial(report, line), trial, "{report:?} {line}");
        }
    }

    #[test]
    fn a_restart_begins_the_stable_time_anew() {
        let seen = [Sight::Up(1001), Sight::Pending];
        assert_eq!(judge(true, 1020, seen), Verdict::Pending(1100));
    }
}

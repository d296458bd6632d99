//! One plan takes the place of another while its units run. Pure: what is the same, and what a difference costs.
//!
//! Numbers of units are everywhere in a running supervisor, so they never change: [`align`] gives the new plan the numbers
//! of the old one. What is not there any more leaves a ghost behind, which keeps the number and does nothing.

use crate::plan::{
    Care, Container, Exec, Exits, Path, Plan, Policy, Ready, Restart, Tie, Timer, Unit, UnitIndex,
    Work,
};

/// A plan in the numbers of another one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aligned {
    /// The units; those of the other plan first, in its order.
    pub plan: Plan,
    /// Units whose files are gone. They are ghosts in the plan.
    pub gone: Vec<UnitIndex>,
    /// Units that stay as they were because their files cannot be used now.
    pub kept: Vec<UnitIndex>,
}

/// Gives `new` the numbers of `old`. A unit of `old` that is among `unusable` of `new` stays as it is.
#[must_use]
pub fn align(old: &Plan, new: Plan) -> Aligned {
    let mut next = old.units.len();
    let numbers: Vec<UnitIndex> = new
        .units
        .iter()
        .map(|unit| {
            old.find(&unit.name).unwrap_or_else(|| {
                next += 1;
                UnitIndex::try_from(next - 1).unwrap_or(UnitIndex::MAX)
            })
        })
        .collect();
    let number = |index: UnitIndex| {
        let at = usize::try_from(index).ok();
        at.and_then(|at| numbers.get(at))
            .copied()
            .unwrap_or(UnitIndex::MAX)
    };
    let mut aligned = Aligned::default();
    let mut units: Vec<Unit> = Vec::with_capacity(next);
    for (index, unit) in (0..).zip(&old.units) {
        let unusable = new.unusable.contains(&unit.name);
        if numbers.contains(&index) {
            units.push(ghost(""));
        } else if unusable {
            aligned.kept.push(index);
            units.push(unit.clone());
        } else {
            aligned.gone.push(index);
            units.push(ghost(&unit.name));
        }
    }
    units.resize_with(next, || ghost(""));
    for (from, unit) in new.units.into_iter().enumerate() {
        let place = numbers.get(from).and_then(|to| usize::try_from(*to).ok());
        if let Some(place) = place.and_then(|place| units.get_mut(place)) {
            *place = renumbered(unit, number);
        }
    }
    // The others named what stays, and do so still; their new files could not be held against it.
    for (unit, before) in units.iter_mut().zip(&old.units) {
        for kept in &aligned.kept {
            for (now, then) in [
                (&mut unit.wants, &before.wants),
                (&mut unit.after, &before.after),
            ] {
                if then.contains(kept) && !now.contains(kept) {
                    now.push(*kept);
                    now.sort_unstable();
                }
            }
        }
    }
    // What stays may name what is gone.
    for kept in &aligned.kept {
        let unit = usize::try_from(*kept).ok().and_then(|at| units.get_mut(at));
        if let Some(unit) = unit {
            let stays = |other: &UnitIndex| !aligned.gone.contains(other);
            unit.needs.retain(stays);
            unit.wants.retain(stays);
            unit.after.retain(stays);
            unit.ties = unit
                .ties
                .iter()
                .copied()
                .filter(|tie| stays(&tie.unit))
                .collect();
            let timers = std::mem::take(&mut unit.timers).into_iter();
            unit.timers = timers.filter(|timer| stays(&timer.unit)).collect();
            let paths = std::mem::take(&mut unit.paths).into_iter();
            unit.paths = paths.filter(|path| stays(&path.unit)).collect();
        }
    }
    aligned.plan = Plan {
        units,
        problems: new.problems,
        unusable: new.unusable,
    };
    aligned
}

fn renumbered(unit: Unit, number: impl Fn(UnitIndex) -> UnitIndex) -> Unit {
    let all = |indices: Vec<UnitIndex>| -> Vec<UnitIndex> {
        let mut all: Vec<UnitIndex> = indices.into_iter().map(&number).collect();
        all.sort_unstable();
        all
    };
    let mut ties: Vec<Tie> = unit
        .ties
        .iter()
        .map(|tie| Tie {
            unit: number(tie.unit),
            ..*tie
        })
        .collect();
    ties.sort_unstable();
    let timers = unit.timers.into_iter().map(|timer| Timer {
        unit: number(timer.unit),
        ..timer
    });
    let paths = unit.paths.into_iter().map(|path| Path {
        unit: number(path.unit),
        ..path
    });
    Unit {
        needs: all(unit.needs),
        wants: all(unit.wants),
        after: all(unit.after),
        ties: ties.into(),
        timers: timers.collect(),
        paths: paths.collect(),
        ..unit
    }
}

/// A unit that does nothing.
#[must_use]
pub fn ghost(name: &str) -> Unit {
    Unit {
        name: name.into(),
        description: "".into(),
        work: Work::Group,
        needs: Vec::new(),
        wants: Vec::new(),
        after: Vec::new(),
        ties: Box::default(),
        conditions: Vec::new(),
        ready: Ready::Exec,
        start_timeout: 0,
        restart: Restart {
            policy: Policy::Never,
            delay: 0,
            backoff_percent: 100,
            max_delay: 0,
            reset_after: 0,
            limit: 0,
            window: 0,
            success: Exits::default(),
        },
        conduct: None,
        stop_signal: 15,
        stop_timeout: 0,
        kill: crate::plan::Kill::Main,
        fdstore: crate::plan::FdStore::default(),
        care: None,
        gate: None,
        sockets: Vec::new(),
        timers: Box::default(),
        paths: Box::default(),
    }
}

/// What a difference means for a process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// It takes effect without touching it.
    Nothing,
    /// Only another start brings it about.
    Restart,
}

/// A difference between two definitions of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// What differs, for people: "its command".
    pub what: &'static str,
    /// What that means for a process that runs.
    pub cost: Cost,
}

/// Collects differences.
struct Found(Vec<Difference>);

impl Found {
    fn note<T: PartialEq + ?Sized>(&mut self, old: &T, new: &T, what: &'static str, cost: Cost) {
        let known = self.0.iter().any(|found| found.what == what);
        if old != new && !known {
            self.0.push(Difference { what, cost });
        }
    }
}

/// Everything that differs between two definitions whose numbers mean the same; in the order of the schema. Nothing of a
/// definition may be left out here: it is taken apart whole.
#[must_use]
pub fn differences(old: &Unit, new: &Unit) -> Vec<Difference> {
    let Unit {
        name: _,
        description,
        work,
        needs,
        wants,
        after,
        ties,
        conditions,
        ready,
        start_timeout,
        restart,
        conduct,
        stop_signal,
        stop_timeout,
        kill,
        fdstore,
        care,
        gate,
        sockets,
        timers,
        paths,
    } = old;
    let mut found = Found(Vec::new());
    found.note(
        description,
        &new.description,
        "its description",
        Cost::Nothing,
    );
    note_work(&mut found, work, &new.work);
    found.note(needs, &new.needs, "what it needs", Cost::Nothing);
    found.note(wants, &new.wants, "what it wants", Cost::Nothing);
    found.note(after, &new.after, "its order", Cost::Nothing);
    found.note(ties, &new.ties, "its ties", Cost::Nothing);
    found.note(conditions, &new.conditions, "its conditions", Cost::Nothing);
    found.note(ready, &new.ready, "when it is ready", Cost::Nothing);
    found.note(
        start_timeout,
        &new.start_timeout,
        "its timeouts",
        Cost::Nothing,
    );
    found.note(
        stop_timeout,
        &new.stop_timeout,
        "its timeouts",
        Cost::Nothing,
    );
    found.note(restart, &new.restart, "when it is restarted", Cost::Nothing);
    found.note(conduct, &new.conduct, "how it ends", Cost::Nothing);
    found.note(
        stop_signal,
        &new.stop_signal,
        "how it is stopped",
        Cost::Nothing,
    );
    found.note(kill, &new.kill, "how it is stopped", Cost::Nothing);
    found.note(fdstore, &new.fdstore, "what it may leave", Cost::Nothing);
    let watchdog = |care: &Option<Box<Care>>| care.as_ref().and_then(|c| c.watchdog.clone());
    let health = |care: &Option<Box<Care>>| care.as_ref().and_then(|c| c.health.clone());
    found.note(
        &watchdog(care),
        &watchdog(&new.care),
        "its watchdog",
        Cost::Restart,
    );
    found.note(
        &health(care),
        &health(&new.care),
        "how its health is asked",
        Cost::Nothing,
    );
    found.note(gate, &new.gate, "its part in the verdict", Cost::Nothing);
    found.note(sockets, &new.sockets, "its sockets", Cost::Restart);
    found.note(paths, &new.paths, "its paths", Cost::Nothing);
    found.note(timers, &new.timers, "its timers", Cost::Nothing);
    found.0
}

fn note_work(found: &mut Found, old: &Work, new: &Work) {
    match (old, new) {
        (Work::Group, Work::Group) => {}
        (Work::Service(old), Work::Service(new)) | (Work::Oneshot(old), Work::Oneshot(new)) => {
            note_exec(found, old, new);
        }
        (Work::Container(old), Work::Container(new)) => {
            let Container {
                bundle,
                runtime,
                exec,
            } = &**old;
            found.note(bundle, &new.bundle, "its bundle", Cost::Restart);
            found.note(runtime, &new.runtime, "its runtime", Cost::Restart);
            note_exec(found, exec, &new.exec);
        }
        (old, new) => found.note(old, new, "its kind", Cost::Restart),
    }
}

fn note_exec(found: &mut Found, old: &Exec, new: &Exec) {
    let Exec {
        condition,
        start_pre,
        start,
        start_post,
        stop,
        reload,
        stop_post,
        user,
        group,
        groups,
        ids,
        workdir,
        umask,
        env,
        env_pass,
        idle,
        oom_score_adj,
        notify,
        cgroup,
        delegate,
        dirs,
        stdout,
        stderr,
        console,
        log,
        tty,
        setup,
    } = old;
    found.note(start, &new.start, "its command", Cost::Restart);
    let around = "the commands around it";
    found.note(condition, &new.condition, around, Cost::Nothing);
    found.note(start_pre, &new.start_pre, around, Cost::Nothing);
    found.note(start_post, &new.start_post, around, Cost::Nothing);
    found.note(stop, &new.stop, around, Cost::Nothing);
    found.note(stop_post, &new.stop_post, around, Cost::Nothing);
    found.note(reload, &new.reload, "how it is reloaded", Cost::Nothing);
    for (old, new) in [(user, &new.user), (group, &new.group)] {
        found.note(old, new, "its user", Cost::Restart);
    }
    found.note(groups, &new.groups, "its user", Cost::Restart);
    found.note(ids, &new.ids, "its user", Cost::Restart);
    found.note(workdir, &new.workdir, "its directory", Cost::Restart);
    found.note(umask, &new.umask, "its umask", Cost::Restart);
    found.note(env, &new.env, "its environment", Cost::Restart);
    found.note(env_pass, &new.env_pass, "its environment", Cost::Restart);
    found.note(idle, &new.idle, "its order", Cost::Nothing);
    found.note(
        oom_score_adj,
        &new.oom_score_adj,
        "its limits",
        Cost::Restart,
    );
    found.note(notify, &new.notify, "when it is ready", Cost::Restart);
    found.note(cgroup, &new.cgroup, "its limits", Cost::Restart);
    found.note(delegate, &new.delegate, "its limits", Cost::Restart);
    found.note(dirs, &new.dirs, "its directories", Cost::Restart);
    for (old, new) in [(stdout, &new.stdout), (stderr, &new.stderr)] {
        found.note(old, new, "its log", Cost::Restart);
    }
    found.note(console, &new.console, "its log", Cost::Restart);
    found.note(log, &new.log, "its log", Cost::Nothing);
    found.note(tty, &new.tty, "its terminal", Cost::Restart);
    found.note(setup, &new.setup, "its surroundings", Cost::Restart);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Source, compile};

    fn plan(units: &[(&str, &str)]) -> Plan {
        let sources: Vec<Source> = units
            .iter()
            .map(|(name, text)| Source {
                name: name.parse().unwrap(),
                file: format!("{name}.toml"),
                text: format!("schema = 1\n{text}\n"),
            })
            .collect();
        compile(&sources, &[])
    }

    const RUN: &str = "[exec]\nstart = \"/x\"";

    fn names(plan: &Plan, indices: &[UnitIndex]) -> Vec<String> {
        let name = |index: &UnitIndex| plan.units[*index as usize].name.to_string();
        indices.iter().map(name).collect()
    }

    #[test]
    fn numbers_stay_and_what_is_new_comes_behind() {
        let old = plan(&[("b", RUN), ("d", RUN)]);
        let new = plan(&[
            ("a", RUN),
            (
                "b",
                "[exec]\nstart = \"/x\"\n[deps]\nneeds = [\"a\", \"d\"]",
            ),
            ("d", RUN),
        ]);
        let aligned = align(&old, new);
        assert_eq!(names(&aligned.plan, &[0, 1, 2]), ["b", "d", "a"]);
        assert_eq!(aligned.plan.units[0].needs, [1, 2]);
        assert_eq!(
            (aligned.plan.find("a"), aligned.plan.find("d")),
            (Some(2), Some(1))
        );
        assert_eq!((aligned.gone, aligned.kept), (vec![], vec![]));
    }

    #[test]
    fn what_is_gone_leaves_a_ghost_and_comes_back_to_its_number() {
        let old = plan(&[("a", RUN), ("b", RUN)]);
        let without = align(&old, plan(&[("b", RUN)]));
        assert_eq!(names(&without.plan, &without.gone), ["a"]);
        assert_eq!(without.plan.units[0].work, Work::Group);
        let again = align(&without.plan, plan(&[("a", RUN), ("b", RUN)]));
        assert_eq!((again.plan.find("a"), again.gone), (Some(0), vec![]));
        assert_eq!(again.plan.units, old.units);
    }

    #[test]
    fn a_unit_whose_file_was_broken_stays_as_it_was() {
        let old = plan(&[
            ("a", RUN),
            ("b", "[exec]\nstart = \"/x\"\n[deps]\nneeds = [\"c\"]"),
            ("c", RUN),
        ]);
        let new = plan(&[("a", RUN), ("b", "[exec]\nsrart = \"/x\"")]);
        let aligned = align(&old, new);
        assert_eq!(names(&aligned.plan, &aligned.kept), ["b"]);
        assert_eq!(names(&aligned.plan, &aligned.gone), ["c"]);
        assert_eq!(aligned.plan.units[1].exec(), old.units[1].exec());
        // Nothing names a ghost.
        assert_eq!(aligned.plan.units[1].needs, Vec::<UnitIndex>::new());
    }

    #[test]
    fn the_same_text_makes_no_difference_and_each_key_its_own() {
        let unit = |text: &str| plan(&[("a", text)]).units[0].clone();
        let old = unit(RUN);
        assert_eq!(differences(&old, &unit(RUN)), []);
        for (text, what, cost) in [
            ("[exec]\nstart = \"/y\"", "its command", Cost::Restart),
            (
                "[exec]\nstart = \"/x\"\nstop = \"/y\"",
                "the commands around it",
                Cost::Nothing,
            ),
            (
                "[exec]\nstart = \"/x\"\nworkdir = \"/y\"",
                "its directory",
                Cost::Restart,
            ),
            (
                "[exec]\nstart = \"/x\"\n[stop]\ntimeout = \"9s\"",
                "its timeouts",
                Cost::Nothing,
            ),
            (
                "[exec]\nstart = \"/x\"\n[restart]\npolicy = \"always\"",
                "when it is restarted",
                Cost::Nothing,
            ),
            (
                "kind = \"oneshot\"\n[exec]\nstart = \"/x\"",
                "its kind",
                Cost::Restart,
            ),
        ] {
            let found = differences(&old, &unit(text));
            assert!(
                found.contains(&Difference { what, cost }),
                "{text}: {found:?}"
            );
        }
    }
}

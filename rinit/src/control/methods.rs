//! What the methods of `org.rootctl.Init` do.

use std::borrow::Cow;
use std::path::Path;

use rootspec::paths;
use rootspec::plan::Work;
use rootspec::protocol::init::{
    Apply, BootTimes, Change, LogFiles, Overview, Power, Problem, Succeeded, UnitList, UnitStatus,
    UnitTimes, Units, error, method,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use varlink::{Reply, Request};

use super::{Answer, Until, service};
use crate::init::{Init, Phase, VERSION};
use crate::renewal::{Purpose, Renewed};
use crate::shutdown::How;
use crate::supervisor::{Event, Record, State, UnitId};

/// Most units in one request.
const UNITS: usize = 10_000;

fn reply(value: &impl Serialize) -> Reply {
    match serde_json::to_value(value) {
        Ok(value) => Reply::parameters(Some(value)),
        Err(why) => problem(error::FAILED, why.to_string(), None),
    }
}

fn problem(name: &'static str, reason: String, next: Option<String>) -> Reply {
    Reply::error(name, serde_json::to_value(Problem { reason, next }).ok())
}

fn parameters<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, Reply> {
    let value = request.parameters.clone();
    let value = value.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    serde_json::from_value(value).map_err(|why| {
        // "missing field `units`": the name is what the standard error wants.
        let words = why.to_string();
        service::invalid(words.split('`').nth(1).unwrap_or(&words))
    })
}

fn may_change(trusted: bool, what: &str) -> Result<(), Reply> {
    if trusted {
        return Ok(());
    }
    let reason = format!("cannot {what}: only root may, and the group of [control] in rinit.toml");
    let next = Some("sudo rootctl …".to_owned());
    Err(problem(error::DENIED, reason, next))
}

fn not_succeeded(why: &str) -> Reply {
    let reason = format!("cannot execute rinit anew: {why}");
    problem(error::FAILED, reason, Some("rootctl svc status".to_owned()))
}

fn unread(why: &str) -> Reply {
    let reason = format!("cannot take the unit files: {why}");
    problem(error::FAILED, reason, Some("rootctl svc plan".to_owned()))
}

impl Init {
    /// Answers one request.
    pub(super) fn call(&mut self, trusted: bool, request: &Request<'static>) -> Answer {
        if let Some(reply) = service::answer(request) {
            return Answer::Now(reply);
        }
        let answer = match &*request.method {
            method::OVERVIEW => Ok(Answer::Now(reply(&self.overview()))),
            method::TIMERS => Ok(Answer::Now(reply(&self.timer_list()))),
            method::BOOT => Ok(Answer::Now(reply(&self.boot_times()))),
            method::STATUS => self.status_of(request),
            method::LOGS => self.logs_of(request),
            method::START => self.change(trusted, request, "start", Event::Start),
            method::STOP => self.change(trusted, request, "stop", Event::Stop),
            method::RESTART => self.change(trusted, request, "restart", Event::Restart),
            method::RELOAD => self.reload(trusted, request),
            method::PLAN => self.plan(trusted),
            method::APPLY => self.apply(trusted, request),
            method::POWER => self.power(trusted, request),
            method::REEXEC => self.reexec(trusted),
            other => Err(service::unknown_method(other)),
        };
        answer.unwrap_or_else(Answer::Now)
    }

    fn overview(&self) -> Overview {
        let count = |wanted: State| {
            let records = self.all.core.records();
            let found = records.filter(|(_, record)| record.state == wanted).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let plan = self.all.core.plan();
        let phase = match self.phase {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
        };
        Overview {
            version: VERSION.to_owned(),
            phase: phase.to_owned(),
            verdict: self.verdict.word().to_owned(),
            reasons: self.verdict.reasons().to_vec(),
            group: self.settings.default_group.clone(),
            up: count(State::Up),
            failed: count(State::Failed),
            units: u32::try_from(self.all.core.records().count()).unwrap_or(u32::MAX),
            problems: plan.problems.clone(),
        }
    }

    /// Numbers of units by name.
    fn find(&self, names: &[String]) -> Result<Vec<UnitId>, Reply> {
        if names.len() > UNITS {
            return Err(service::invalid("units"));
        }
        let find = |name: &String| {
            self.all.core.find(name).ok_or_else(|| {
                let reason = match self
                    .all
                    .core
                    .plan()
                    .problems
                    .iter()
                    .find(|p| p.contains(name.as_str()))
                {
                    Some(why) => format!("the unit {name} cannot be used: {why}"),
                    None => format!("there is no unit {name}"),
                };
                problem(
                    error::UNKNOWN_UNIT,
                    reason,
                    Some("rootctl svc status".to_owned()),
                )
            })
        };
        names.iter().map(find).collect()
    }

    fn list(&self, units: &[UnitId]) -> UnitList {
        let now = sys::timer::now();
        let starts = self.timed_starts();
        let status = |unit: &UnitId| {
            let (definition, record) = (self.all.core.unit(*unit), self.all.core.record(*unit));
            let kind = match definition.work {
                Work::Group => "group",
                Work::Service(_) => "service",
                Work::Oneshot(_) => "oneshot",
                Work::Container(_) => "container",
            };
            let said = self.all.hands.status(*unit);
            let watches = self.watchers.of(*unit, &definition.paths);
            UnitStatus {
                name: definition.name.to_string(),
                kind: kind.to_owned(),
                state: record.state_word().to_owned(),
                reason: record.reason.clone(),
                status: (!said.is_empty()).then_some(said),
                pid: self.all.hands.main_pid(*unit),
                since_ms: now.saturating_sub(record.since),
                restarts: record.restarts,
                description: definition.description.to_string(),
                next_start_ms: starts.get(unit).copied(),
                watches: (!watches.is_empty()).then_some(watches),
                stored: u32::try_from(self.all.hands.stored(*unit))
                    .ok()
                    .filter(|count| *count > 0),
            }
        };
        UnitList {
            units: units.iter().map(status).collect(),
        }
    }

    fn boot_times(&self) -> BootTimes {
        let core = &self.all.core;
        let name = |unit: &UnitId| core.unit(*unit).name.to_string();
        let times = |(unit, record): (UnitId, &Record)| {
            let (definition, first) = (core.unit(unit), record.first);
            let edges = [&definition.needs, &definition.wants, &definition.after];
            Some(UnitTimes {
                name: name(&unit),
                wanted_ms: first.wanted?,
                began_ms: first.began,
                settled_ms: first.settled.map(|(when, _)| when),
                outcome: first
                    .settled
                    .map_or(record.state, |(_, state)| state)
                    .word()
                    .to_owned(),
                waits_for: edges.into_iter().flatten().map(name).collect(),
            })
        };
        BootTimes {
            began_ms: self.times.began,
            group: self.settings.default_group.clone(),
            through_ms: self.times.through,
            units: core.records().filter_map(times).collect(),
        }
    }

    fn status_of(&self, request: &Request<'_>) -> Result<Answer, Reply> {
        let asked: Units = parameters(request)?;
        let units = if asked.units.is_empty() {
            self.all.core.records().map(|(unit, _)| unit).collect()
        } else {
            self.find(&asked.units)?
        };
        Ok(Answer::Now(reply(&self.list(&units))))
    }

    fn logs_of(&self, request: &Request<'_>) -> Result<Answer, Reply> {
        let asked: Units = parameters(request)?;
        // Our own log has no unit, nor have the kernel's and that of syslog.
        let units: Vec<String> = asked
            .units
            .iter()
            .filter(|name| {
                ![
                    crate::voice::NAME,
                    crate::logs::KERNEL,
                    crate::logs::MESSAGES,
                ]
                .contains(&name.as_str())
            })
            .cloned()
            .collect();
        self.find(&units)?;
        let file = |name: &String| {
            // Only where we may look: below /run. The logger takes that one away when it has brought it home.
            let other = format!("{}/{name}.log", paths::EARLY_LOG_DIR);
            let misplaced = Path::new(&other).exists();
            if misplaced {
                other
            } else {
                format!("{}/{name}.log", paths::LOG_DIR)
            }
        };
        Ok(Answer::Now(reply(&LogFiles {
            files: asked.units.iter().map(file).collect(),
        })))
    }

    fn change(
        &mut self,
        trusted: bool,
        request: &Request<'_>,
        verb: &'static str,
        event: fn(UnitId) -> Event,
    ) -> Result<Answer, Reply> {
        let asked: Change = parameters(request)?;
        may_change(trusted, &format!("{verb} {}", asked.units.join(", ")))?;
        if asked.units.is_empty() {
            return Err(service::invalid("units"));
        }
        let units = self.find(&asked.units)?;
        if self.phase == Phase::Stopping {
            let reason = format!(
                "cannot {verb} {}: the system goes down",
                asked.units.join(", ")
            );
            return Err(problem(error::BUSY, reason, None));
        }
        for unit in &units {
            let definition = self.all.core.unit(*unit);
            let manual = definition.conduct().manual;
            if !manual.allows(verb) {
                let (name, word) = (&definition.name, manual.word());
                let reason = format!(
                    "cannot {verb} {name}: its file does not allow that (manual = \"{word}\")"
                );
                return Err(problem(error::FAILED, reason, None));
            }
        }
        for unit in &units {
            self.all.handle(event(*unit));
        }
        if asked.no_wait.unwrap_or_default() {
            return Ok(Answer::Now(reply(&self.list(&units))));
        }
        Ok(self.outcome(verb.into(), units))
    }

    /// A reload is for what is up; anything else would start it, which nobody asked for.
    fn reload(&mut self, trusted: bool, request: &Request<'_>) -> Result<Answer, Reply> {
        let asked: Change = parameters(request)?;
        may_change(trusted, &format!("reload {}", asked.units.join(", ")))?;
        for unit in self.find(&asked.units)? {
            let record = self.all.core.record(unit);
            if record.state != State::Up {
                let (name, state) = (&self.all.core.unit(unit).name, record.state_word());
                let reason = format!("cannot reload {name}: it is {state}");
                let next = format!("rootctl svc start {name}");
                return Err(problem(error::FAILED, reason, Some(next)));
            }
        }
        self.change(trusted, request, "reload", Event::Reload)
    }

    /// The reply, if all units have settled.
    pub(super) fn outcome(&self, verb: Cow<'static, str>, units: Vec<UnitId>) -> Answer {
        let core = &self.all.core;
        if !units.iter().all(|unit| core.record(*unit).is_settled()) {
            return Answer::Later(Until::Settled(verb, units));
        }
        let stuck = |unit: &&UnitId| {
            let record = core.record(**unit);
            // A unit whose reload failed stays up, and says why.
            let reload = verb == "reload" && record.state == State::Up && !record.reason.is_empty();
            record.state == State::Failed || reload
        };
        if let Some(unit) = units.iter().find(stuck) {
            let (name, why) = (&core.unit(*unit).name, &core.record(*unit).reason);
            let reason = format!("cannot {verb} {name}: {why}");
            let next = format!("rootctl svc logs {name}");
            return Answer::Now(problem(error::FAILED, reason, Some(next)));
        }
        Answer::Now(reply(&self.list(&units)))
    }

    /// Reading the files starts a process: not for everybody.
    fn plan(&mut self, trusted: bool) -> Result<Answer, Reply> {
        may_change(trusted, "read the unit files")?;
        self.read_units(Purpose::Plan)
    }

    fn apply(&mut self, trusted: bool, request: &Request<'_>) -> Result<Answer, Reply> {
        let asked: Apply = parameters(request)?;
        may_change(trusted, "take the unit files")?;
        if self.phase != Phase::Running {
            let reason = "cannot take the unit files: the system is still coming up, or goes down";
            let next = Some("rootctl svc status".to_owned());
            return Err(problem(error::BUSY, reason.to_owned(), next));
        }
        self.read_units(Purpose::Apply(asked.digest))
    }

    fn read_units(&mut self, purpose: Purpose) -> Result<Answer, Reply> {
        match self.renew(purpose) {
            Ok(true) => Ok(Answer::Later(Until::Read)),
            Ok(false) => {
                let reason = "cannot read the unit files: somebody else has them read; try again";
                Err(problem(error::BUSY, reason.to_owned(), None))
            }
            Err(why) => Err(unread(&why)),
        }
    }

    /// The answer to who waited for the unit files.
    pub(super) fn renewed(&mut self) -> Option<Answer> {
        Some(match self.take_renewed()? {
            Ok(Renewed::Planned(planned)) => Answer::Now(reply(&planned)),
            Ok(Renewed::Applied(units)) => self.outcome("apply the change of".into(), units),
            Err(why) => Answer::Now(unread(&why)),
        })
    }

    /// The answer comes from the program that takes this one's place.
    fn reexec(&mut self, trusted: bool) -> Result<Answer, Reply> {
        may_change(trusted, "execute rinit anew")?;
        match self.begin_reexec() {
            Ok(()) => Ok(Answer::Later(Until::Succeeded)),
            Err(why) => Err(not_succeeded(&why)),
        }
    }

    /// The answer to who waited for another program in this one's place.
    pub(super) fn succeeded(&mut self) -> Answer {
        match self.outcome_of_reexec() {
            None => Answer::Later(Until::Succeeded),
            Some(Err(why)) => Answer::Now(not_succeeded(&why)),
            Some(Ok(units)) => Answer::Now(reply(&Succeeded {
                version: VERSION.to_owned(),
                units,
            })),
        }
    }

    fn power(&mut self, trusted: bool, request: &Request<'_>) -> Result<Answer, Reply> {
        let asked: Power = parameters(request)?;
        may_change(trusted, &asked.action)?;
        let how = How::of_word(&asked.action).ok_or_else(|| service::invalid("action"))?;
        if let Err(why) = self.can_end(how) {
            let reason = format!("cannot {}: {why}", how.word());
            return Err(problem(error::FAILED, reason, None));
        }
        // The reply is written at the end of this turn, before anything is stopped in earnest.
        self.go_down(how, "on request");
        if let (Some(true), Some(shutdown)) = (asked.force, &mut self.shutdown) {
            shutdown.hurry();
        }
        Ok(Answer::Now(Reply::parameters(Some(Value::Object(
            serde_json::Map::new(),
        )))))
    }
}

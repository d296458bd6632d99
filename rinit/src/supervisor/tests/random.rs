//! Random graphs of units under random events. Whatever happens, nothing starts before what it needs, nobody is left
//! behind, no step is forgotten, and the system can be shut down.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use rootspec::compile::{Source, compile};
use rootspec::held::Definitions;
use rootspec::kept::Kept;
use rootspec::plan::{Plan, Ready, TieKind};
use rootspec::protocol::init::{Deed, Step};
use sys::process::Exit;

use super::super::{Action, Command, Core, Event, Found, Role, State, UnitId, Wish, Word};

/// Graphs that are tried.
const GRAPHS: u64 = 2_000;
/// Events for each.
const EVENTS: usize = 80;

/// Marsaglia's xorshift: the same numbers everywhere, for a seed other than 0.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const KEYS: [&str; 12] = [
    "needs",
    "wants",
    "after",
    "before",
    "milestone",
    "prepared_by",
    "requires_active",
    "bound_to",
    "part_of",
    "upholds",
    "conflicts",
    "soft_after",
];

fn unit_file(dice: &mut Dice, count: usize) -> String {
    let mut text = "schema = 1\n".to_owned();
    let kind = *dice.of(&["service", "service", "oneshot", "group"]);
    writeln!(text, "kind = \"{kind}\"").unwrap();
    if dice.percent(10) {
        text.push_str("stop_when_unneeded = true\n");
    }
    if kind == "service" && dice.percent(10) {
        text.push_str("max_runtime = \"20s\"\n");
    }
    let by_cgroup = kind == "service" && dice.percent(10);
    if by_cgroup {
        text.push_str("alive = \"cgroup\"\n");
    }
    if matches!(kind, "service" | "oneshot") && dice.percent(20) {
        writeln!(text, "remain = {}", dice.percent(50)).unwrap();
    }
    text.push_str("[deps]\n");
    for key in KEYS {
        if dice.percent(15) {
            writeln!(text, "{key} = [\"u{}\"]", dice.below(count)).unwrap();
        }
    }
    if dice.percent(15) {
        writeln!(text, "[on]\nfailure = [\"u{}\"]", dice.below(count)).unwrap();
    }
    if kind != "group" {
        text.push_str("[exec]\nstart = \"/x\"\n");
        for key in ["condition", "start_pre", "start_post", "stop", "stop_post"] {
            if dice.percent(15) {
                writeln!(text, "{key} = \"/y\"").unwrap();
            }
        }
        let policy = dice.of(&[
            "no",
            "always",
            "on-success",
            "on-failure",
            "on-abnormal",
            "on-abort",
            "on-watchdog",
        ]);
        let kill = dice.of(&["cgroup", "mixed", "group", "main"]);
        let kill = if by_cgroup { &"cgroup" } else { kill };
        let last = dice.of(&["KILL", "KILL", "QUIT", "none"]);
        let late = dice.of(&["kill", "abort"]);
        writeln!(
            text,
            "[stop]\nkill = \"{kill}\"\nfinal_signal = \"{last}\"\non_timeout = \"{late}\"\n[restart]\npolicy = \"{policy}\""
        )
        .unwrap();
        if dice.percent(20) {
            text.push_str("hold_dependents = false\n");
        }
        if dice.percent(20) {
            text.push_str("never_on = [1]\nalways_on = [0, \"SEGV\"]\n");
        }
        if dice.percent(20) {
            text.push_str("[condition]\npath_exists = \"/z\"\n");
        }
        if kind == "service" && dice.percent(70) {
            let ready = dice.of(&[
                "mode = \"started\"",
                "mode = \"notify\"",
                "pidfile = \"/run/x\"",
                "check = \"/w\"",
                "socket = \"stream:1\"",
            ]);
            writeln!(text, "[ready]\n{ready}").unwrap();
        }
        if kind == "service" && dice.percent(20) {
            let remedy = dice.of(&["restart", "mark", "stop"]);
            writeln!(text, "[health]\ncmd = \"/v\"\non_fail = \"{remedy}\"").unwrap();
            writeln!(text, "[watchdog]\ninterval = \"9s\"\naction = \"{remedy}\"").unwrap();
        }
    }
    text
}

/// What there is of a unit in this world.
#[derive(Debug, Default, Clone, Copy)]
struct Alive {
    main: bool,
    helper: bool,
    asker: bool,
    left: bool,
    /// By a definition that it had, what is left of it may stay.
    spares: bool,
}

fn plan(files: &BTreeMap<usize, String>) -> Plan {
    let source = |(n, text): (&usize, &String)| Source {
        name: format!("u{n}").parse().unwrap(),
        file: format!("u{n}.toml"),
        text: text.clone(),
    };
    compile(&files.iter().map(source).collect::<Vec<_>>(), &[])
}

struct Sim {
    dice: Dice,
    core: Core,
    /// Text of the file of each unit that has one.
    files: BTreeMap<usize, String>,
    now: u64,
    alive: BTreeMap<UnitId, Alive>,
    asked: Vec<UnitId>,
    /// What follows from deeds, in order; it comes before time passes.
    due: VecDeque<Event>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let count = dice.below(8) + 2;
        let files = (0..count)
            .map(|n| (n, unit_file(&mut dice, count)))
            .collect();
        Self {
            core: Core::new(plan(&files), 0),
            files,
            dice,
            now: 0,
            alive: BTreeMap::new(),
            asked: Vec::new(),
            due: VecDeque::new(),
        }
    }

    fn units(&self) -> UnitId {
        UnitId::try_from(self.core.plan().units.len()).unwrap()
    }

    fn handle(&mut self, event: Event) {
        let shown = format!("{event:?}");
        for (unit, alive) in &mut self.alive {
            alive.spares |= self.core.unit(*unit).kill.spares_others();
        }
        self.core.handle(event, self.now);
        self.perform(&shown);
        self.check(&shown);
        self.poke(&shown);
    }

    fn perform(&mut self, after: &str) {
        for news in self.core.take_news() {
            assert!(!news.reason.contains("circle"), "{after}: {news:?}");
        }
        for action in self.core.take_actions() {
            let unit = action.unit();
            let alive = self.alive.entry(unit).or_default();
            match action {
                Action::Run(_, role, command) => self.run(unit, role, command, after),
                Action::Check(_) => {
                    let found = match self.dice.below(5) {
                        4 => Found::Wrong("it must".into()),
                        0 => Found::Unmet("not there".into()),
                        1 => Found::Unknown("who knows".into()),
                        _ => Found::Met,
                    };
                    self.due.push_back(Event::Conditions(unit, found));
                }
                Action::Ask(_) => self.asked.push(unit),
                Action::KillGroup(_) => {
                    alive.left = false;
                    self.end_all(unit);
                    self.due.push_back(Event::Emptied(unit));
                }
                Action::KillMain(_) | Action::KillSession(_) => self.end_all(unit),
                Action::Last(..) => self.asked.push(unit),
                // It may have ended by itself, and that be on its way.
                Action::EndAsking(_) => alive.asker = false,
                Action::Adopt(_) => self.adopt(unit, after),
                Action::KillHelper(_) => self.end(unit, Role::Helper, Exit::Signal(9)),
                Action::Signal(..)
                | Action::EndCheck(_)
                | Action::Release(_)
                | Action::Arm(_)
                | Action::Disarm(_)
                | Action::Listen(_)
                | Action::Forget(_)
                | Action::Accept(_) => {}
            }
        }
    }

    fn run(&mut self, unit: UnitId, role: Role, command: Command, after: &str) {
        let place = match role {
            Role::Main => &mut self.alive.entry(unit).or_default().main,
            Role::Helper => &mut self.alive.entry(unit).or_default().helper,
            Role::Asker => &mut self.alive.entry(unit).or_default().asker,
        };
        assert!(!*place, "{after}: a second {role:?} of {unit}");
        *place = true;
        let definition = self.core.unit(unit).clone();
        self.alive.entry(unit).or_default().spares |= definition.kill.spares_others();
        let exec = definition.exec().unwrap();
        let first = match (exec.condition.is_empty(), exec.start_pre.is_empty()) {
            (false, _) => Command::Condition(0),
            (true, false) => Command::Pre(0),
            (true, true) => Command::Start(0),
        };
        if command == first {
            for need in &definition.needs {
                let record = self.core.record(*need);
                // Skipped just now, which counted, and wanted anew by somebody else in the same breath.
                let was_skipped = after.starts_with(&format!("Conditions({need}, Unmet"));
                assert!(
                    record.state == State::Up || record.skipped || record.done || was_skipped,
                    "{after}: {unit} starts before {need}, which is {}",
                    record.state_word()
                );
            }
            for rival in definition.tied_to(TieKind::Conflicts) {
                let there = self.alive.get(&rival).copied().unwrap_or_default();
                assert!(!there.main, "{after}: {unit} starts while {rival} runs");
            }
        }
        if self.dice.percent(5) {
            *match role {
                Role::Main => &mut self.alive.entry(unit).or_default().main,
                Role::Helper => &mut self.alive.entry(unit).or_default().helper,
                Role::Asker => &mut self.alive.entry(unit).or_default().asker,
            } = false;
            let why = "no program".to_owned();
            self.due.push_back(Event::NotStarted(unit, role, why));
        } else if role == Role::Main {
            let started = definition.ready == Ready::Started;
            let ready = started.then_some(Event::Ready(unit));
            self.due.extend(ready);
            self.due.push_back(Event::Executed(unit));
        }
    }

    /// The process that a command left is found or not.
    fn adopt(&mut self, unit: UnitId, after: &str) {
        let percent = self.dice.below(100);
        let alive = self.alive.entry(unit).or_default();
        assert!(!alive.main, "{after}: {unit} has a main process");
        if alive.left && percent < 50 {
            (alive.main, alive.left) = (true, false);
            self.due.push_back(Event::Adopted(unit));
        } else {
            let why = "no such process".to_owned();
            self.due.push_back(Event::NotAdopted(unit, why));
        }
    }

    fn end_all(&mut self, unit: UnitId) {
        self.end(unit, Role::Main, Exit::Signal(9));
        self.end(unit, Role::Helper, Exit::Signal(9));
    }

    fn end(&mut self, unit: UnitId, role: Role, exit: Exit) {
        let alive = self.alive.entry(unit).or_default();
        let place = match role {
            Role::Main => &mut alive.main,
            Role::Helper => &mut alive.helper,
            Role::Asker => &mut alive.asker,
        };
        if std::mem::take(place) {
            let left = alive.left;
            self.due.push_back(Event::Ended {
                unit,
                role,
                exit,
                left,
            });
        }
    }

    /// What holds after every event.
    fn check(&self, after: &str) {
        for (unit, alive) in &self.alive {
            let record = self.core.record(*unit);
            let rests = matches!(
                record.state,
                State::Down | State::Failed | State::Waiting | State::Backoff
            );
            assert!(!(rests && alive.asker), "{after}: {unit} is asked in vain");
            let known = record.main || record.helper;
            assert!(
                !(rests && (alive.main || alive.helper)),
                "{after}: {unit} is {} and runs",
                record.state_word()
            );
            assert!(!(rests && known), "{after}: {unit} is thought to run");
            if rests && alive.left {
                assert!(alive.spares, "{after}: {unit} has left some: {record:?}");
            }
        }
    }

    /// Whoever could make a step has made it: waking everybody changes nothing.
    fn poke(&mut self, after: &str) {
        let states = |core: &Core| -> Vec<_> {
            let all = core.records();
            all.map(|(_, r)| (r.wish, r.state)).collect()
        };
        let before = states(&self.core);
        for unit in 0..self.units() {
            self.core.enqueue(unit);
        }
        while let Some(unit) = self.core.queue.pop_front() {
            *self.core.queued.at_mut(unit) = false;
            self.core.step(unit);
        }
        assert_eq!(before, states(&self.core), "{after}: a step was forgotten");
        assert_eq!(
            self.core.take_actions(),
            [],
            "{after}: a deed was forgotten"
        );
    }

    fn deliver(&mut self) {
        while let Some(event) = self.due.pop_front() {
            self.handle(event);
        }
    }

    /// Something from outside.
    fn surprise(&mut self) {
        let unit = UnitId::try_from(self.dice.below(8)).unwrap() % self.units().max(1);
        if self.core.gone.contains(&unit) || self.units() == 0 {
            return;
        }
        let exit = *self.dice.of(&[
            Exit::Code(0),
            Exit::Code(1),
            Exit::Signal(11),
            Exit::Code(255),
        ]);
        match self.dice.below(20) {
            16 => self.handle(Event::Isolate(unit)),
            0..=1 => self.handle(Event::Start(unit)),
            2 => self.handle(Event::Elapsed(unit)),
            3 => self.handle(Event::Stop(unit)),
            4 => self.handle(Event::Restart(unit)),
            5 => self.handle(Event::Reload(unit)),
            6 | 7 => {
                let alive = self.alive.entry(unit).or_default();
                alive.left |= alive.main && self.core.now % 3 == 0;
                self.end(unit, Role::Main, exit);
            }
            8 => self.end(unit, Role::Helper, exit),
            9 => self.handle(Event::Ready(unit)),
            10 => {
                if std::mem::take(&mut self.alive.entry(unit).or_default().left) {
                    self.due.push_back(Event::Emptied(unit));
                }
            }
            11 => self.obey(),
            12 => self.edit(),
            13 => self.end(unit, Role::Asker, exit),
            14 => {
                let words = [
                    Word::Reloading,
                    Word::Stopping,
                    Word::Extend(700),
                    Word::Alive,
                    Word::Hangs,
                    Word::Within(300),
                ];
                let word = *self.dice.of(&words);
                self.handle(Event::Said(unit, word));
            }
            15 => self.hand_over(),
            _ => self.pass(),
        }
    }

    /// Somebody changes, adds and takes away unit files, some of them with mistakes, and has them taken. What is done is what
    /// was said: who is not named does not move, and nothing is left to say.
    fn edit(&mut self) {
        if self.core.closing {
            return;
        }
        for _ in 0..=self.dice.below(3) {
            let n = self.dice.below(10);
            match self.dice.below(6) {
                0 => drop(self.files.remove(&n)),
                1 => drop(self.files.insert(n, "schema = 1\nsrart = 1\n".to_owned())),
                _ => {
                    let text = unit_file(&mut self.dice, 10);
                    self.files.insert(n, text);
                }
            }
        }
        let changeover = self.core.changeover(plan(&self.files));
        let shown = format!("adopt {:?}", changeover.steps);
        let moving = changeover.moving();
        let settled = self.core.is_quiet();
        let before: Vec<_> = self
            .core
            .records()
            .map(|(unit, r)| (unit, r.wish, r.state))
            .collect();
        self.core
            .handle(Event::Adopt(Box::new(changeover)), self.now);
        // Who waited for others may wait no longer, or in vain.
        if moving.is_empty() && settled {
            for (unit, wish, state) in before {
                // Who needed it may not do so any more.
                if self.core.unit(unit).conduct().only_if_needed {
                    continue;
                }
                let now = self.core.record(unit);
                assert_eq!((now.wish, now.state), (wish, state), "{shown}: {unit}");
            }
        }
        let again = self.core.changeover(plan(&self.files)).steps;
        let left = again.values().filter(|step| step.deed != Deed::Keep);
        assert_eq!(left.collect::<Vec<_>>(), Vec::<&Step>::new(), "{shown}");
        self.perform(&shown);
        self.check(&shown);
        self.poke(&shown);
    }

    /// rinit becomes another program, which goes on from bytes: it knows the same, and nobody moves.
    fn hand_over(&mut self) {
        let mut held = self.core.hold();
        let successors = self.core.successors();
        let definitions = Definitions {
            kept: Kept {
                plan: self.core.plan().clone(),
                ..Kept::default()
            },
            successors: successors
                .map(|(unit, next)| (unit, next.clone()))
                .collect(),
        };
        let definitions = Definitions::from_bytes(&definitions.to_bytes().unwrap()).unwrap();
        let json = serde_json::to_vec(&held).unwrap();
        let next = definitions.successors.into_iter().collect();
        let core = Core::resume(
            definitions.kept.plan,
            next,
            serde_json::from_slice(&json).unwrap(),
            self.now,
        );
        // Who looked told the program before.
        for (_, record) in held.units.iter_mut().filter(|(_, record)| record.checking) {
            record.checking = false;
            record.deadlines[0] = None;
        }
        assert_eq!(core.hold(), held);
        assert_eq!(core.busy, self.core.busy);
        let states = |core: &Core| -> Vec<_> {
            let all = core.records.iter();
            all.map(|(_, r)| (r.wish, r.state)).collect()
        };
        let before = states(&self.core);
        self.core = core;
        let is_due = self.core.deadline().is_some_and(|due| due <= self.now);
        self.core.handle(Event::Time, self.now);
        assert!(is_due || states(&self.core) == before);
        self.perform("another program");
        self.check("another program");
        self.poke("another program");
    }

    /// Somebody who was asked to end does.
    fn obey(&mut self) {
        if let Some(unit) = self.asked.pop() {
            self.alive.entry(unit).or_default().left = false;
            self.end(unit, Role::Main, Exit::Signal(15));
            self.end(unit, Role::Helper, Exit::Signal(15));
        }
    }

    /// To the next deadline. What has happened is known by then.
    fn pass(&mut self) {
        self.deliver();
        if let Some(due) = self.core.deadline() {
            self.now = self.now.max(due);
            self.handle(Event::Time);
        }
    }
}

#[test]
fn whatever_happens_order_holds_and_the_system_can_be_shut_down() {
    for seed in 1..=GRAPHS {
        let told = std::panic::catch_unwind(|| live(seed));
        assert!(told.is_ok(), "seed {seed}");
    }
}

fn live(seed: u64) {
    // Small seeds give small first numbers.
    let mut sim = Sim::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for _ in 0..EVENTS {
        sim.surprise();
        if sim.dice.percent(70) {
            sim.deliver();
        }
    }
    sim.handle(Event::StopAll);
    for _ in 0..1000 {
        sim.deliver();
        if sim.core.is_quiet() {
            break;
        }
        if sim.dice.percent(30) {
            sim.surprise();
        } else if sim.dice.percent(30) {
            sim.obey();
        } else {
            sim.pass();
        }
    }
    assert!(sim.core.is_quiet(), "the shutdown does not end");
    for (unit, record) in sim.core.records() {
        assert_eq!(record.wish, Wish::Down);
        let alive = sim.alive.get(&unit).copied().unwrap_or_default();
        assert!(
            !alive.main && !alive.helper && !alive.asker,
            "{unit} is left behind"
        );
    }
}

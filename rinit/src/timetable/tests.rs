use super::*;
use rootspec::compile::{Source, compile};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// 2026-12-01 00:00 UTC, in milliseconds.
const DECEMBER: i64 = 1_796_083_200_000;

/// A plan of one service with this timer; unit 0.
fn plan(timer: &str) -> Plan {
    plan_of("service", timer)
}

fn plan_of(kind: &str, timer: &str) -> Plan {
    let text =
        format!("schema = 1\nkind = \"{kind}\"\n[exec]\nstart = \"/x\"\n[[timer]]\n{timer}\n");
    let source = Source {
        name: "a".parse().unwrap(),
        file: "a.toml".into(),
        text,
    };
    let plan = compile(&[source], &[]);
    assert_eq!(plan.problems, Vec::<String>::new());
    plan
}

/// A timetable and the clocks.
struct Story {
    table: Timetable,
    now: Now,
}

impl Story {
    /// `rinit` begins 2 s after the kernel, at the given time on the wall.
    fn begin(plan: &Plan, real: i64) -> Self {
        let now = Now {
            mono: 2 * SECOND,
            boot: 2 * SECOND,
            real,
        };
        let chance = Chance {
            seed: 5,
            machine: 7,
        };
        let table = Timetable::new(plan, chance, now);
        Self { table, now }
    }

    fn at(timer: &str, real: i64) -> Self {
        let mut story = Self::begin(&plan(timer), real);
        story.learn(None);
        story
    }

    fn learn(&mut self, stamp: Option<i64>) {
        self.table.learn(Zone::default(), self.now, |_| stamp);
    }

    fn pass(&mut self, millis: u64) {
        self.now.mono += millis;
        self.now.boot += millis;
        self.now.real += i64::try_from(millis).unwrap();
    }

    fn set_clock(&mut self, by: i64) {
        self.now.real += by;
    }

    fn sleep(&mut self, millis: u64) {
        self.now.boot += millis;
        self.now.real += i64::try_from(millis).unwrap();
    }

    fn elapses(&mut self) -> bool {
        !self.table.run(self.now, false).is_empty()
    }

    /// Wakes up when it asks to, again and again for so long; returns when it elapsed, on the wall.
    fn all_within(&mut self, millis: u64) -> Vec<i64> {
        let end = self.now.mono + millis;
        let mut all = Vec::new();
        for _ in 0..1000 {
            let on_wall = self.table.next_on_wall().map(|real| {
                let ahead = real.saturating_sub(self.now.real).max(0);
                self.now.mono + u64::try_from(ahead).unwrap()
            });
            let next = self.table.next_span().into_iter().chain(on_wall).min();
            let Some(next) = next.filter(|next| *next < end) else {
                self.pass(end - self.now.mono);
                return all;
            };
            self.pass(next.saturating_sub(self.now.mono));
            if self.elapses() {
                all.push(self.now.real);
            }
        }
        panic!("it spins: {all:?}");
    }
}

/// Minutes after the beginning of December.
fn minutes(all: &[i64]) -> Vec<i64> {
    let minute = i64::try_from(MINUTE).unwrap();
    all.iter().map(|real| (real - DECEMBER) / minute).collect()
}

#[test]
fn a_time_of_the_calendar_elapses_at_its_minute_day_by_day() {
    let mut story = Story::at("calendar = \"02:00\"", DECEMBER);
    let all = story.all_within(72 * HOUR);
    assert_eq!(minutes(&all), [120, 120 + 1440, 120 + 2 * 1440]);
    assert_eq!(all[0] % 60_000, 0, "to the second: {all:?}");
}

#[test]
fn nothing_is_due_before_the_zone_is_known() {
    let mut story = Story::begin(&plan("calendar = \"minutely\""), DECEMBER);
    assert_eq!(story.all_within(HOUR), Vec::<i64>::new());
    story.learn(None);
    assert_eq!(story.all_within(10 * MINUTE).len(), 9);
}

#[test]
fn durations_count_from_the_boot_and_from_what_becomes_of_the_unit() {
    let mut story = Story::at("after_boot = \"10m\"\nafter_active = \"1h\"", DECEMBER);
    assert_eq!(story.all_within(5 * HOUR).len(), 1);
    let up = story.now.mono;
    story.table.note(0, Outcome::Up, up, up);
    let first = story.all_within(HOUR + MINUTE);
    assert_eq!(first.len(), 1);
    // It was up all the time: nothing begins that could be counted from.
    assert_eq!(story.all_within(5 * HOUR).len(), 0);
    let failed = story.now.mono;
    story.table.note(0, Outcome::NotStarted, failed, failed);
    assert_eq!(story.all_within(2 * HOUR).len(), 1, "a failure is no end");
}

#[test]
fn after_the_end_of_a_oneshot_is_when_it_is_up() {
    let mut story = Story::begin(&plan_of("oneshot", "after_inactive = \"10s\""), DECEMBER);
    let mut runs = 0;
    for _ in 0..5 {
        let now = story.now.mono;
        story.table.note(0, Outcome::Up, now, now);
        runs += story.all_within(MINUTE).len();
    }
    assert_eq!(runs, 5);
}

#[test]
fn what_is_past_at_the_start_elapses_at_once_and_once() {
    let mut story = Story::at("after_boot = \"1s\"", DECEMBER);
    assert!(story.elapses());
    assert!(!story.elapses());
    assert_eq!(story.table.next_span(), None);
}

#[test]
fn a_wake_up_is_shared_by_whoever_can_wait_for_it() {
    for (timer, at) in [
        ("after_boot = \"61m\"", 61 * MINUTE),
        ("after_boot = \"61m\"\naccuracy = \"0s\"", 61 * MINUTE),
        ("after_boot = \"3601s\"", 61 * MINUTE),
        ("after_boot = \"3607s\"\naccuracy = \"5s\"", 3610 * SECOND),
        ("after_boot = \"3607s\"\naccuracy = \"1h\"", 70 * MINUTE),
        ("after_boot = \"10s\"", 10 * SECOND),
    ] {
        let story = Story::at(timer, DECEMBER);
        assert_eq!(story.table.next_span(), Some(at), "{timer}");
    }
}

#[test]
fn sleep_and_small_corrections_forwards_make_it_elapse_once() {
    for correct in [false, true] {
        let mut story = Story::at("calendar = \"*:00\"", DECEMBER + 1_800_000);
        if correct {
            story.set_clock(i64::try_from(2 * HOUR).unwrap());
        } else {
            story.sleep(26 * HOUR);
        }
        assert!(story.elapses());
        assert!(!story.elapses());
        assert_eq!(story.all_within(HOUR).len(), 1);
    }
}

#[test]
fn a_small_correction_back_makes_nothing_elapse_again() {
    let mut story = Story::at("calendar = \"02:00\"", DECEMBER);
    assert_eq!(minutes(&story.all_within(125 * MINUTE)), [120]);
    story.set_clock(-600_000);
    assert!(!story.elapses());
    assert_eq!(minutes(&story.all_within(25 * HOUR)), [120 + 1440]);
}

#[test]
fn a_clock_that_was_wrong_by_years_makes_nothing_elapse_and_stops_nothing() {
    // Without a clock of its own a machine begins in 1970.
    let mut story = Story::at("calendar = \"02:00\"", 0);
    assert_eq!(story.all_within(3 * HOUR).len(), 1);
    story.now.real = DECEMBER;
    assert!(!story.elapses());
    assert_eq!(minutes(&story.all_within(24 * HOUR)), [120]);
    // And back again.
    story.now.real = 0;
    assert!(!story.elapses());
    assert_eq!(story.all_within(24 * HOUR).len(), 1);
}

#[test]
fn a_missed_time_is_made_up_for_and_written_down() {
    let timer = "calendar = \"02:00\"\npersistent = true";
    for (hours, missed) in [(25, true), (200, true), (22, false), (1, false)] {
        // It is 01:00, and it last elapsed so long ago.
        let mut story = Story::begin(&plan(timer), DECEMBER + 3_600_000);
        let now = story.now.seconds();
        story.learn(Some(now - hours * 3600));
        assert_eq!(story.elapses(), missed, "{hours}");
        let stamps = story.table.take_stamps();
        assert_eq!(stamps.get(&0).copied(), missed.then_some(now));
        assert!(!story.elapses());
        assert_eq!(minutes(&story.all_within(24 * HOUR)), [120]);
    }
}

#[test]
fn without_a_stamp_nothing_was_missed_and_counting_begins() {
    let mut story = Story::begin(&plan("calendar = \"02:00\"\npersistent = true"), DECEMBER);
    story.learn(None);
    assert!(!story.elapses());
    assert_eq!(story.table.take_stamps().len(), 1);
}

#[test]
fn what_was_missed_is_seen_when_the_clock_has_been_put_right() {
    let mut story = Story::begin(&plan("calendar = \"02:00\"\npersistent = true"), 0);
    story.learn(Some((DECEMBER - 5 * 86_400_000) / 1000));
    assert!(!story.elapses());
    story.now.real = DECEMBER;
    assert!(story.elapses());
    assert!(!story.elapses());
}

#[test]
fn a_delay_is_random_or_always_the_same_and_never_too_long() {
    let timer = "calendar = \"02:00\"\naccuracy = \"0s\"\njitter = \"30m\"";
    let early = DECEMBER + 7_200_000;
    for fixed in [false, true] {
        let timer = format!("{timer}\nfixed_jitter = {fixed}");
        let all = Story::at(&timer, DECEMBER).all_within(240 * HOUR);
        assert_eq!(all.len(), 10);
        let delays: Vec<i64> = (0..)
            .zip(&all)
            .map(|(day, at)| at - early - day * 86_400_000)
            .collect();
        assert!(
            delays.iter().all(|delay| (0..=1_800_000).contains(delay)),
            "{delays:?}"
        );
        let same = delays.iter().all(|delay| *delay == delays[0]);
        assert_eq!(same, fixed, "{delays:?}");
    }
}

#[test]
fn a_moment_that_is_only_delayed_is_not_lost_when_the_files_are_read_again() {
    let timer = "calendar = \"02:00\"\naccuracy = \"0s\"\njitter = \"1h\"\nfixed_jitter = true";
    let plan = plan(timer);
    let mut story = Story::at(timer, DECEMBER + 7_190_000);
    story.pass(11 * SECOND);
    assert!(!story.elapses(), "it is delayed");
    let due = story.table.next_on_wall();
    story.table.adopt(&plan, story.now, |_| None);
    story.learn(None);
    assert_eq!(story.table.next_on_wall(), due);
}

#[test]
fn a_new_timer_does_not_make_up_for_the_past_and_counts_from_what_runs() {
    let mut story = Story::at("after_boot = \"1h\"", DECEMBER);
    story.pass(5 * HOUR);
    assert!(story.elapses());
    let new = plan("after_boot = \"2h\"\nafter_active = \"1h\"");
    let up = story.now.mono - 3 * HOUR;
    story
        .table
        .adopt(&new, story.now, |_| Some((Outcome::Up, up)));
    assert!(!story.elapses());
    let all = story.all_within(61 * MINUTE);
    assert_eq!(all.len(), 1);
    story.table.adopt(&Plan::default(), story.now, |_| None);
    assert_eq!(story.table.next_span(), None);
}

#[test]
fn setting_the_clock_is_an_event_where_somebody_minds() {
    let mut story = Story::at("on_clock_change = true", DECEMBER);
    assert!(story.table.is_on_wall() && !story.table.has_calendar());
    assert!(!story.elapses());
    assert_eq!(story.table.run(story.now, true).len(), 1);
    assert!(!story.elapses());
}

#[test]
fn a_timer_may_start_another_unit() {
    let source = |name: &str, text: &str| Source {
        name: name.parse().unwrap(),
        file: format!("{name}.toml"),
        text: format!("schema = 1\n{text}"),
    };
    let plan = compile(
        &[
            source(
                "a",
                "kind = \"group\"\n[[timer]]\nafter_boot = \"1s\"\nunit = \"b\"\n",
            ),
            source("b", "[exec]\nstart = \"/x\"\n"),
        ],
        &[],
    );
    let mut story = Story::begin(&plan, DECEMBER);
    assert_eq!(
        story.table.run(story.now, false),
        [Elapsed { owner: 0, unit: 1 }]
    );
}

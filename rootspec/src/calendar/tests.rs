use super::*;

/// What the calendar time of a text is.
fn of(text: &str) -> Calendar {
    parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// Seconds since 1970 of a date and time on the wall.
fn wall(text: &str) -> i64 {
    let numbers: Vec<u64> = text
        .split(['-', ' ', ':'])
        .map(|number| number.parse().unwrap())
        .collect();
    let days = days_of(numbers[0], numbers[1], numbers[2]);
    let time = numbers[3] * 3600 + numbers[4] * 60 + numbers.get(5).unwrap_or(&0);
    i64::try_from(days * 86_400 + time).unwrap()
}

/// A zone as in the middle of Europe, for 2026: one hour east, two from 03-29 01:00 to 10-25 01:00 UTC.
fn berlin() -> Zone {
    let changes = [("2026-03-29 01:00", 7200), ("2026-10-25 01:00", 3600)];
    Zone::new(
        3600,
        changes.map(|(at, offset)| (wall(at), offset)).to_vec(),
    )
    .unwrap()
}

#[test]
fn the_next_time_is_found() {
    let utc = Zone::default();
    for (text, after, next) in [
        ("daily", "2026-01-31 00:00", "2026-02-01 00:00"),
        ("hourly", "2026-01-31 23:59:59", "2026-02-01 00:00"),
        ("minutely", "2026-12-31 23:59:00", "2027-01-01 00:00"),
        ("weekly", "2026-11-30 00:00", "2026-12-07 00:00"),
        ("monthly", "2026-01-01 00:00", "2026-02-01 00:00"),
        ("quarterly", "2026-04-01 00:00", "2026-07-01 00:00"),
        ("yearly", "2026-01-01 00:00", "2027-01-01 00:00"),
        (
            "Mon..Fri *-*-* 02:00",
            "2026-11-27 02:00",
            "2026-11-30 02:00",
        ),
        ("Sat,Sun 12:30", "2026-11-30 00:00", "2026-12-05 12:30"),
        ("*-*-* *:00/15", "2026-11-30 10:15", "2026-11-30 10:30"),
        ("*:*:00/20", "2026-11-30 10:15:41", "2026-11-30 10:16:00"),
        ("08..18/2:00", "2026-11-30 18:00", "2026-12-01 08:00"),
        ("*-02-29", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("Mon *-02-29", "2026-01-01 00:00", "2044-02-29 00:00"),
        ("*-*~01 23:00", "2026-02-01 00:00", "2026-02-28 23:00"),
        (
            "Fri *-*~01..07 06:00",
            "2026-11-30 00:00",
            "2026-12-25 06:00",
        ),
        ("12-24 18:00", "2026-12-24 18:00", "2027-12-24 18:00"),
        ("2030..2040/5-01-01", "2030-01-01 00:00", "2035-01-01 00:00"),
        (
            "2030-07-04 10:20:30",
            "2026-01-01 00:00",
            "2030-07-04 10:20:30",
        ),
    ] {
        assert_eq!(of(text).next(&utc, wall(after)), Some(wall(next)), "{text}");
    }
    let past = of("2020-01-01");
    assert_eq!(past.next(&utc, wall("2026-01-01 00:00")), None);
    for after in [i64::MIN, i64::MAX, -1, 1 << 50] {
        let next = of("daily").next(&berlin(), after);
        assert!(next.is_none_or(|next| next > after), "{after}: {next:?}");
    }
}

#[test]
fn local_time_is_meant_unless_the_text_says_utc() {
    let after = wall("2026-07-01 12:00");
    let local = of("02:00").next(&berlin(), after);
    assert_eq!(local, Some(wall("2026-07-02 00:00")));
    let utc = of("02:00 UTC").next(&berlin(), after);
    assert_eq!(utc, Some(wall("2026-07-02 02:00")));
}

#[test]
fn what_the_clocks_jump_over_elapses_when_they_have_jumped() {
    // From 02:00 to 03:00 at 01:00 UTC.
    let after = wall("2026-03-28 12:00");
    for text in ["02:30", "02:00", "02:00/10"] {
        let jumped = wall("2026-03-29 01:00");
        assert_eq!(of(text).next(&berlin(), after), Some(jumped), "{text}");
        // And once.
        let then = of(text).next(&berlin(), jumped);
        assert!(then >= Some(wall("2026-03-30 00:00")), "{text}: {then:?}");
    }
}

#[test]
fn what_the_clocks_show_twice_elapses_once_but_every_hour_is_every_hour() {
    // From 03:00 back to 02:00 at 01:00 UTC.
    let first = wall("2026-10-25 00:30");
    assert_eq!(
        of("02:30").next(&berlin(), wall("2026-10-24 12:00")),
        Some(first)
    );
    assert_eq!(
        of("02:30").next(&berlin(), first),
        Some(wall("2026-10-26 01:30"))
    );
    let mut at = wall("2026-10-24 23:59:59");
    let every_hour = of("hourly");
    for hour in 0..4 {
        at = every_hour.next(&berlin(), at).unwrap();
        assert_eq!(at, wall(&format!("2026-10-25 0{hour}:00")));
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (text, words) in [
        ("", "neither a day nor a time"),
        ("UTC", "neither a day nor a time"),
        (
            "dayly",
            "no weekday such as Mon, and none of minutely, hourly, daily",
        ),
        ("Mo", "no weekday"),
        ("Fri..Mon", "run backwards"),
        ("25:00", "the hour 25 is not one from 0 to 23"),
        ("12:60", "the minute 60"),
        ("12:00:60", "the second 60"),
        ("12:00:00.5", "is no second"),
        ("12", "is no date"),
        ("12:", "\"\" is no minute"),
        ("12:00:00:00", "is no time"),
        ("*-13-01", "the month 13"),
        ("*-00-01", "the month 0"),
        ("*-01-32", "the day 32"),
        ("1969-01-01", "the year 1969"),
        ("26-01-01", "the year 26"),
        ("2026-01", "the month 2026"),
        ("*-02-30", "there is no such day"),
        ("2026-02-29", "there is no such day"),
        ("Mon 2026-12-01", "there is no such day"),
        ("*-04-31 02:00", "there is no such day"),
        ("*:00/0", "the step"),
        ("10..8:00", "run backwards"),
        ("+1:00", "is no hour"),
        ("12:00 Europe/Berlin", "out of place"),
        ("02:00 *-*-*", "out of place"),
        ("Mon Tue 02:00", "is no date"),
        ("*-*-* 02:00 UTC UTC", "out of place"),
        ("*-*-1,,2", "\"\" is no day"),
        ("99999999999:00", "is no hour"),
        ("é", "no date"),
    ] {
        let why = parse(text).expect_err(text);
        assert!(why.contains(words), "{text}: {why}");
    }
    assert!(parse(&"1,".repeat(101)).is_err());
    assert!(parse(&format!("{}2026-01-01", "2026,".repeat(37))).is_err());
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// All of these numbers, or some.
    fn some(&mut self, least: u64, most: u64) -> u64 {
        let mut bits = 0;
        match self.below(3) {
            0 => (least..=most).for_each(|number| bits |= 1 << number),
            1 => bits = 1 << (least + self.below(most - least + 1)),
            _ => (0..4).for_each(|_| bits |= 1 << (least + self.below(most - least + 1))),
        }
        bits
    }

    fn calendar(&mut self) -> Calendar {
        Calendar {
            text: "".into(),
            weekdays: u8::try_from(self.some(0, 6)).unwrap(),
            years: vec![(1970, 2199, 1)],
            months: u16::try_from(self.some(1, 12)).unwrap(),
            days: u32::try_from(self.some(1, 31)).unwrap(),
            from_end: self.below(4) == 0,
            hours: u32::try_from(self.some(0, 23)).unwrap(),
            minutes: self.some(0, 59),
            seconds: 1,
            utc: false,
        }
    }
}

/// Whether a minute on the wall fits, looked up without any cleverness.
fn fits(calendar: &Calendar, wall: i64) -> bool {
    let minute = u64::try_from(wall).unwrap() / 60;
    let (mut year, mut day) = (1970, minute / 1440);
    while day >= 365 + u64::from(days_in(year, 2) == 29) {
        day -= 365 + u64::from(days_in(year, 2) == 29);
        year += 1;
    }
    let mut month = 1;
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    let number = if calendar.from_end {
        days_in(year, month) - day
    } else {
        day + 1
    };
    let weekday = (minute / 1440 + 3) % 7;
    let has = |set: u64, number: u64| set >> number & 1 == 1;
    has(calendar.weekdays.into(), weekday)
        && has(calendar.months.into(), month)
        && has(calendar.days.into(), number)
        && has(calendar.hours.into(), minute / 60 % 24)
        && has(calendar.minutes, minute % 60)
}

/// All moments from `begin` to `end` in which it elapses, by a clock on the wall that is looked at every minute.
fn all_between(calendar: &Calendar, zone: &Zone, begin: i64, end: i64) -> Vec<i64> {
    let every_hour = calendar.hours == EVERY_HOUR;
    // Long enough before the begin to know what the clock has shown.
    let early = begin - 3 * DAY;
    let mut shown = early + i64::from(zone.offset_at(early)) - 60;
    let mut all = Vec::new();
    for moment in (early..end).step_by(60) {
        let wall = moment + i64::from(zone.offset_at(moment));
        let first = if every_hour { wall } else { shown + 60 };
        let elapses = (first..=wall).step_by(60).any(|wall| fits(calendar, wall));
        if elapses && moment > begin {
            all.push(moment);
        }
        shown = shown.max(wall);
    }
    all
}

/// Finds the same moments one after the other, from any moment in between.
fn agree(dice: &mut Dice, zone: &Zone, middle: i64) {
    let calendar = dice.calendar();
    let (begin, end) = (middle - 2 * DAY, middle + 2 * DAY);
    let expected = all_between(&calendar, zone, begin, end);
    let mut found = Vec::new();
    let mut at = begin;
    while let Some(next) = calendar.next(zone, at).filter(|next| *next < end) {
        assert!(next > at, "{calendar:?} at {at}");
        found.push(next);
        at = next;
    }
    assert_eq!(found, expected, "{calendar:?} around {middle} in {zone:?}");
    for _ in 0..8 {
        let after = begin + i64::try_from(dice.below(u64::try_from(end - begin).unwrap())).unwrap();
        let next = expected.iter().find(|moment| **moment > after);
        let found = calendar.next(zone, after).filter(|next| *next < end);
        assert_eq!(
            found,
            next.copied(),
            "{calendar:?} after {after} in {zone:?}"
        );
    }
}

#[test]
fn random_calendars_elapse_as_a_clock_on_the_wall_says() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..400 {
        // Jumps by minutes to a day, forwards and backwards, not far from each other.
        let middle = wall("2026-05-01 00:00") + i64::try_from(dice.below(4_000_000)).unwrap() * 60;
        let mut at = middle;
        let mut changes = Vec::new();
        for _ in 0..dice.below(4) {
            let hours = i32::try_from(dice.below(96)).unwrap() - 48;
            changes.push((at, hours * 900));
            at += i64::try_from(1 + dice.below(2000)).unwrap() * 60;
        }
        let first = (i32::try_from(dice.below(96)).unwrap() - 48) * 900;
        let zone = Zone::new(first, changes).unwrap();
        agree(&mut dice, &zone, middle);
    }
}

#[test]
fn zones_of_this_host_are_read_and_their_changes_are_survived() {
    let mut dice = Dice(77);
    for (name, middle) in [
        ("Europe/Berlin", "2027-03-28 01:00"),
        ("Europe/Berlin", "2060-10-31 01:00"),
        ("America/New_York", "2026-11-01 06:00"),
        ("Australia/Lord_Howe", "2027-04-03 15:00"),
        ("Africa/Casablanca", "2026-03-22 02:00"),
        // A day was left out.
        ("Pacific/Apia", "2011-12-30 10:00"),
        ("Asia/Kathmandu", "2026-01-01 00:00"),
    ] {
        let Ok(bytes) = std::fs::read(format!("/usr/share/zoneinfo/{name}")) else {
            println!("skipped: there is no time zone {name} here");
            continue;
        };
        let zone = zone_of(&bytes).unwrap();
        for _ in 0..20 {
            agree(&mut dice, &zone, wall(middle));
        }
    }
}

//! How a calendar time is written: `[WEEKDAYS] [[YEAR-]MONTH-DAY] [HOUR:MINUTE[:SECOND]] [UTC]`, the usual form of
//! `systemd.time(7)`, without fractions of seconds and other time zones.

use super::{Calendar, YEARS};

/// Short words, and what they stand for.
const WORDS: [(&str, &str); 9] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
];

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Longest text, in bytes.
const LONGEST: usize = 200;
/// Most spans of years in one text.
const SPANS: usize = 32;

/// What a number in the text may be.
#[derive(Debug, Clone, Copy)]
struct Part {
    name: &'static str,
    least: u16,
    most: u16,
}

const fn part(name: &'static str, least: u16, most: u16) -> Part {
    Part { name, least, most }
}

const YEAR: Part = part("year", *YEARS.start(), *YEARS.end());
const MONTH: Part = part("month", 1, 12);
const DAY: Part = part("day", 1, 31);
const HOUR: Part = part("hour", 0, 23);
const MINUTE: Part = part("minute", 0, 59);
const SECOND: Part = part("second", 0, 59);

/// Reads a calendar time.
///
/// # Errors
/// What is wrong with the text, in words; also if there is no such day.
pub fn parse(text: &str) -> Result<Calendar, String> {
    if text.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} characters"));
    }
    let short = WORDS.iter().find(|(word, _)| *word == text);
    let long = short.map_or(text, |(_, long)| *long);
    let mut words: Vec<&str> = long.split_ascii_whitespace().collect();
    let utc = words.last() == Some(&"UTC");
    if utc {
        words.pop();
    }
    let mut left = words.into_iter().peekable();
    let weekdays = left.next_if(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()));
    let date = left.next_if(|word| !word.contains(':'));
    let time = left.next_if(|word| word.contains(':'));
    if let Some(word) = left.next() {
        return Err(format!(
            "\"{word}\" is out of place: expected WEEKDAYS YEAR-MONTH-DAY HOUR:MINUTE:SECOND and perhaps UTC, in this order"
        ));
    }
    if weekdays.is_none() && date.is_none() && time.is_none() {
        return Err("there is neither a day nor a time in it".to_owned());
    }
    let weekdays = weekdays.map_or(Ok(0x7f), week)?;
    let (years, months, days, from_end) = day_of_year(date.unwrap_or("*-*-*"))?;
    let (hours, minutes, seconds) = time_of_day(time.unwrap_or("00:00:00"))?;
    let calendar = Calendar {
        text: text.into(),
        weekdays,
        years,
        months: u16::try_from(months).unwrap_or(u16::MAX),
        days: u32::try_from(days).unwrap_or(u32::MAX),
        from_end,
        hours: u32::try_from(hours).unwrap_or(u32::MAX),
        minutes,
        seconds,
        utc,
    };
    if calendar.is_possible() {
        Ok(calendar)
    } else {
        Err(format!(
            "there is no such day in any year from {} to {}",
            YEARS.start(),
            YEARS.end()
        ))
    }
}

/// `Mon`, `Mon..Fri`, `Mon,Wed..Fri`.
fn week(text: &str) -> Result<u8, String> {
    let day = |name: &str| -> Result<usize, String> {
        let lower = name.to_ascii_lowercase();
        let is = |day: &str| day == lower || day.get(..3) == Some(&*lower);
        let found = WEEKDAYS.iter().position(|day| is(day));
        found.ok_or_else(|| {
            let shown = WORDS.map(|(word, _)| word).join(", ");
            format!("\"{name}\" is no weekday such as Mon, and none of {shown}")
        })
    };
    let mut set = 0_u8;
    for item in text.split(',') {
        let (first, last) = item.split_once("..").unwrap_or((item, item));
        let (first, last) = (day(first)?, day(last)?);
        if first > last {
            return Err(format!(
                "the weekdays {item} run backwards: write two spans"
            ));
        }
        for number in first..=last {
            set |= 1 << number;
        }
    }
    Ok(set)
}

type Days = (Vec<(u16, u16, u16)>, u64, u64, bool);

/// `[YEAR-]MONTH-DAY`, or with `~` before a day that is counted from the end.
fn day_of_year(text: &str) -> Result<Days, String> {
    let (front, day, from_end) = match (text.split_once('~'), text.rsplit_once('-')) {
        (Some((front, day)), _) => (front, day, true),
        (None, Some((front, day))) => (front, day, false),
        (None, None) => {
            return Err(format!(
                "\"{text}\" is no date: expected YEAR-MONTH-DAY or MONTH-DAY, such as *-*-01"
            ));
        }
    };
    let (year, month) = front.split_once('-').unwrap_or(("*", front));
    Ok((
        spans(year, YEAR)?,
        set(month, MONTH)?,
        set(day, DAY)?,
        from_end,
    ))
}

/// `HOUR:MINUTE[:SECOND]`.
fn time_of_day(text: &str) -> Result<(u64, u64, u64), String> {
    let mut parts = text.split(':');
    let (hour, minute) = (parts.next().unwrap_or_default(), parts.next());
    let second = parts.next().unwrap_or("00");
    let (Some(minute), None) = (minute, parts.next()) else {
        return Err(format!(
            "\"{text}\" is no time: expected HOUR:MINUTE or HOUR:MINUTE:SECOND"
        ));
    };
    Ok((set(hour, HOUR)?, set(minute, MINUTE)?, set(second, SECOND)?))
}

/// The numbers of a part as bits.
fn set(text: &str, part: Part) -> Result<u64, String> {
    let mut bits = 0_u64;
    for (first, last, step) in spans(text, part)? {
        for number in (first..=last).step_by(usize::from(step)) {
            bits |= 1 << number;
        }
    }
    Ok(bits)
}

/// `*`, `N`, `N..M`, each perhaps with `/STEP`, and lists of these: first, last and step of each.
fn spans(text: &str, part: Part) -> Result<Vec<(u16, u16, u16)>, String> {
    let mut all = Vec::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(number(step, part)?)),
            None => (item, None),
        };
        if step == Some(0) {
            return Err(format!("the step of {item} is 0"));
        }
        let open = if step.is_some() {
            Some(part.most)
        } else {
            None
        };
        let (first, last) = match range.split_once("..") {
            Some((first, last)) => (bounded(first, part)?, bounded(last, part)?),
            None if range == "*" => (part.least, part.most),
            None => {
                let first = bounded(range, part)?;
                (first, open.unwrap_or(first))
            }
        };
        if first > last {
            let name = part.name;
            return Err(format!("the {name}s {item} run backwards: write two spans"));
        }
        all.push((first, last, step.unwrap_or(1)));
    }
    if all.len() > SPANS {
        return Err(format!("there are more than {SPANS} {}s in it", part.name));
    }
    Ok(all)
}

fn bounded(text: &str, part: Part) -> Result<u16, String> {
    let Part { name, least, most } = part;
    let number = number(text, part)?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!(
            "the {name} {text} is not one from {least} to {most}"
        ))
    }
}

fn number(text: &str, part: Part) -> Result<u16, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| plain);
    number.ok_or_else(|| {
        let Part { name, least, most } = part;
        format!("\"{text}\" is no {name}: expected a number from {least} to {most}, or *")
    })
}

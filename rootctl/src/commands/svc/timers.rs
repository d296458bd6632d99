//! `rootctl svc timers`

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rootspec::protocol::init::{TimerList, TimerStatus, method};

use super::{Context, span};
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone, date};

/// Prints all timers, those that elapse first on top.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let mut list: TimerList = Client::init()?.call(method::TIMERS, &())?;
    list.timers
        .sort_by_key(|timer| (timer.next_ms.unwrap_or(i64::MAX), timer.unit.clone()));
    context.out.answer(&list, || {
        if list.timers.is_empty() {
            context.out.remark("no unit has a timer");
            return Ok(());
        }
        context.out.table(&rows(&list, now()))
    })?;
    Ok(Exit::Done)
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// How far a moment is ahead.
pub(super) fn ahead(moment: i64, now: i64) -> String {
    let ahead = u64::try_from(moment.saturating_sub(now)).unwrap_or_default();
    format!("in {}", span(ahead))
}

fn rows(list: &TimerList, now: i64) -> Vec<Vec<Cell>> {
    let titles = ["unit", "next", "", "last", "starts", "when"];
    let mut rows = vec![titles.map(|title| Cell::new(title, Tone::Strong)).to_vec()];
    let shown = |moment: Option<i64>| moment.map_or_else(|| "-".to_owned(), |at| local(at, list));
    rows.extend(list.timers.iter().map(|timer: &TimerStatus| {
        vec![
            timer.unit.clone().into(),
            shown(timer.next_ms).into(),
            timer
                .next_ms
                .map_or_else(String::new, |next| ahead(next, now))
                .into(),
            shown(timer.last_ms).into(),
            timer.starts.clone().into(),
            timer.when.clone().into(),
        ]
    }));
    rows
}

/// A moment as the clocks of the machine show it.
fn local(millis: i64, list: &TimerList) -> String {
    let seconds = millis.div_euclid(1000) + i64::from(list.utc_offset);
    date(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_shown_in_the_time_of_the_machine() {
        let list = TimerList {
            timers: Vec::new(),
            utc_offset: 3600,
        };
        let (now, next) = (1_796_083_200_000, 1_796_090_400_000);
        assert_eq!(local(next, &list), "2026-12-01 03:00");
        assert_eq!(ahead(next, now), "in 2 h 0 min");
        assert_eq!(ahead(now, next), "in 0 ms", "it is due");
    }
}

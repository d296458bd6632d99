//! Timers, for whoever asks.

use std::collections::BTreeMap;

use rootspec::plan::Timer;
use rootspec::protocol::init::{TimerList, TimerStatus};

use crate::init::Init;
use crate::supervisor::UnitId;
use crate::words;

impl Init {
    /// All timers, and when they elapse.
    pub(super) fn timer_list(&self) -> TimerList {
        let core = &self.all.core;
        let (table, now) = self.timers.table();
        let timers = table.outlook(now).filter_map(|outlook| {
            let owner = core.unit(outlook.owner);
            let timer = owner.timers.get(outlook.number)?;
            Some(TimerStatus {
                unit: owner.name.to_string(),
                starts: core.unit(timer.unit).name.to_string(),
                when: when(timer),
                next_ms: outlook.next,
                last_ms: outlook.last,
            })
        });
        TimerList {
            timers: timers.collect(),
            utc_offset: table.offset(now),
        }
    }

    /// When timers start units next, in milliseconds since 1970.
    pub(super) fn timed_starts(&self) -> BTreeMap<UnitId, i64> {
        let (table, now) = self.timers.table();
        let mut all = BTreeMap::new();
        for outlook in table.outlook(now) {
            let timer = self.all.core.unit(outlook.owner).timers.get(outlook.number);
            if let (Some(timer), Some(next)) = (timer, outlook.next) {
                let first = all.entry(timer.unit).or_insert(next);
                *first = next.min(*first);
            }
        }
        all
    }
}

/// What a timer waits for, in words.
fn when(timer: &Timer) -> String {
    let mut all: Vec<String> = timer.calendars.iter().map(|c| c.text.to_string()).collect();
    let spans = [
        (timer.after_boot, "after the boot"),
        (timer.after_start, "after rinit began"),
        (timer.after_active, "after it was up"),
        (timer.after_inactive, "after it ended"),
    ];
    for (span, since) in spans {
        all.extend(span.map(|span| format!("{} {since}", words::duration(span))));
    }
    if timer.on_clock_change {
        all.push("when the clock is set".to_owned());
    }
    all.join(", ")
}

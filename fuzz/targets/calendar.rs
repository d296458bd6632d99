//! Times of a calendar, and the zone file of the machine they are reckoned in: a line of text, then the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::calendar::{Zone, parse, zone_of};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (text, file) = bytes.split_at(end.unwrap_or(bytes.len()));
    let zone = zone_of(file.get(1..).unwrap_or_default()).unwrap_or_else(|_none| Zone::default());
    let Some(Ok(calendar)) = std::str::from_utf8(text).ok().map(parse) else {
        return;
    };
    // A summer and a winter, the end of 32 bits, and a clock that was never set.
    for now in [0, 1_700_000_000, 1_720_000_000, i64::from(i32::MAX)] {
        if let Some(next) = calendar.next(&zone, now) {
            assert!(next > now, "{next} is not after {now}");
        }
    }
});

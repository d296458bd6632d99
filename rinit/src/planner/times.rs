//! What timers depend on: the time zone, and the stamps of timers that make up for missed times.

use std::time::{SystemTime, UNIX_EPOCH};

use rootspec::calendar::{Zone, zone_of};
use rootspec::paths;
use rootspec::times::Times;

/// Largest file of a time zone, in bytes; those of tzdata have a few thousand.
const ZONE: u64 = 1 << 18;
/// Most stamps: as many as a system may have units.
const STAMPS: usize = 10_000;
/// So much of the zone's table is kept, in seconds before and after now: no machine runs as long without a reboot.
const BEFORE: i64 = 400 * 86_400;
const AFTER: i64 = 50 * 366 * 86_400;

/// Reads all of it.
pub(crate) fn read() -> Times {
    let mut times = Times::default();
    match zone(paths::LOCALTIME) {
        Ok(zone) => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or_default();
            times.zone = zone.between(now.saturating_sub(BEFORE), now.saturating_add(AFTER));
        }
        Err(why) => times.problems.push(format!("timers go by UTC: {why}")),
    }
    times.stamps = stamps(paths::STAMPS);
    times
}

/// An absent file means UTC (localtime(5)).
fn zone(path: &str) -> Result<Zone, String> {
    match sys::fs::read(path, ZONE) {
        Ok(bytes) => zone_of(&bytes).map_err(|why| format!("{path}: {why}")),
        Err(error) if error.is_absent() => Ok(Zone::default()),
        Err(error) => Err(sys::chain(&error)),
    }
}

/// A stamp that is none is left out: its timer counts as if it had never elapsed.
fn stamps(dir: &str) -> Vec<(Box<str>, i64)> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let stamp = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let text = sys::fs::read_text(entry.path(), 64).ok()?;
        Some((name.into(), text.trim().parse().ok()?))
    };
    let all = entries.flatten().take(STAMPS);
    all.filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_and_what_is_none_is_left_out() {
        let dir = std::env::temp_dir().join(format!("rinit-stamps-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("folder")).unwrap();
        for (name, text) in [("backup", "1700000000\n"), ("odd", "soon"), ("empty", "")] {
            std::fs::write(dir.join(name), text).unwrap();
        }
        let found = stamps(&dir.display().to_string());
        std::fs::remove_dir_all(dir).unwrap();
        assert_eq!(found, [("backup".into(), 1_700_000_000)]);
        assert_eq!(stamps("/nowhere"), []);
    }

    #[test]
    fn an_absent_zone_is_utc_and_a_bad_one_is_said() {
        assert_eq!(zone("/nowhere"), Ok(Zone::default()));
        let why = zone("/proc/self/status").unwrap_err();
        assert!(why.contains("this is no time zone"), "{why}");
    }
}

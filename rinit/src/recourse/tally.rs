//! How often the machine was started again for one reason: a file that outlives it, one line each time. Pure.

use std::fmt::Write;

/// So often within [`WINDOW`], and the system stays up instead.
pub(super) const MOST: usize = 2;
/// In seconds: 12 hours. What happens less often is no loop.
const WINDOW: u64 = 12 * 3600;
/// Lines that are kept.
const LINES: usize = 32;

/// Times, in seconds since 1970, and reasons; the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(Vec<(u64, String)>);

impl Tally {
    /// From the file. Lines that are none are left out: whatever is wrong with it, the next ones count.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (time, reason) = line.split_once(' ')?;
            Some((time.parse().ok()?, reason.to_owned()))
        });
        Self(lines.collect())
    }

    /// For the file.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (time, reason) in &self.0 {
            // Writing to a text does not fail.
            writeln!(text, "{time} {reason}").ok();
        }
        text
    }

    /// Counts one more, if there may be one. A time in the future counts as just now: a clock that begins anew at each boot
    /// does not make a loop endless.
    pub(super) fn admits(&mut self, now: u64, reason: &str) -> bool {
        self.0
            .retain(|(time, _)| now.saturating_sub(*time) < WINDOW);
        let before = self.0.iter().filter(|(_, known)| known == reason).count();
        if before >= MOST {
            return false;
        }
        self.0.push((now, reason.to_owned()));
        let surplus = self.0.len().saturating_sub(LINES);
        self.0.drain(..surplus);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_time_for_one_reason_is_one_too_many_until_time_has_passed() {
        let mut tally = Tally::default();
        assert!(tally.admits(1000, "web reboot"));
        let mut tally = Tally::parse(&tally.text());
        assert!(tally.admits(2000, "web reboot"));
        assert!(tally.admits(2000, "db reboot"));
        for now in [3000, 500, 0, 1000 + WINDOW - 1] {
            assert!(!tally.clone().admits(now, "web reboot"), "{now}");
        }
        assert!(tally.admits(1000 + WINDOW, "web reboot"));
        assert_eq!(tally.text().lines().count(), 3);
    }

    #[test]
    fn a_clock_that_begins_anew_does_not_make_it_endless() {
        let mut tally = Tally::parse("99999999999 web reboot\n5 web reboot\n");
        assert!(!tally.admits(5, "web reboot"));
    }

    #[test]
    fn damage_is_left_out_and_the_file_stays_small() {
        let mut tally = Tally::parse("\0\nx y\n12\n-3 web\n7 web reboot\n\u{fffd}");
        assert_eq!(tally.text(), "7 web reboot\n");
        for number in 0..100 {
            assert!(tally.admits(8, &format!("u{number} reboot")));
        }
        assert_eq!(tally.text().lines().count(), LINES);
    }
}

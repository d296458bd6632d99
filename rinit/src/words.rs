//! Small wordings.

/// Milliseconds as a person writes them: `250 ms`, `90 s`, `5 min`.
pub(crate) fn duration(millis: u64) -> String {
    let whole = |unit: u64| millis.checked_rem(unit) == Some(0) && millis >= unit;
    let count = |unit: u64| millis.checked_div(unit).unwrap_or_default();
    if millis == u64::MAX {
        "any time".to_owned()
    } else if whole(60_000) && millis > 120_000 {
        format!("{} min", count(60_000))
    } else if whole(1000) {
        format!("{} s", count(1000))
    } else {
        format!("{millis} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_writes_them() {
        let shown: Vec<_> = [250, 90_000, 300_000, 1500, 0].map(duration).to_vec();
        assert_eq!(shown, ["250 ms", "90 s", "5 min", "1500 ms", "0 ms"]);
    }
}

//! Time stamps of services: one line each, in a file of the namespace. Each is written with one write to a file
//! opened for appending, so that lines of services that run at the same time do not mix (write(2), O_APPEND).

/// Where the file is, inside.
pub const BOARD: &str = "/bench/board";
/// Name on the stamp that is taken right before process 1 is executed.
pub const EXEC: &str = "exec";

/// What one service says about itself; times are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its name.
    pub name: String,
    /// When its program began.
    pub begun: u64,
    /// When it was done (a one-shot), or about to say that it is ready (a daemon).
    pub ready: u64,
}

impl Stamp {
    /// Reads one line.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let stamp = Self {
            name: words.next()?.to_owned(),
            begun: words.next()?.parse().ok()?,
            ready: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(stamp)
    }
}

/// All stamps of a board, in the order of their arrival; `None` if a line is none.
pub fn parse(text: &str) -> Option<Vec<Stamp>> {
    text.lines().map(Stamp::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_two_times() {
        let stamp = Stamp {
            name: "d7".to_owned(),
            begun: 5,
            ready: 8,
        };
        assert_eq!(parse("d7 5 8\nd7 5 8\n").unwrap(), [stamp.clone(), stamp]);
    }

    #[test]
    fn a_damaged_board_is_no_board() {
        for text in ["d7 5\n", "d7 5 x\n", "d7 5 8 9\n", "d7 5 8\nd"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}

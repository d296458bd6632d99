//! At which moments, and with how much of what was under way, the power goes. Pure.
//!
//! A disk with a cache keeps what was written before the last flush. Of what was written since, any part may have landed,
//! in any order, and one request may be torn between two blocks.

use super::log::{Entry, Kind};

/// Requests are torn here: the sector size of today's disks. (With 512 bytes btrfs itself may lose the block that it starts
/// from; its own answer to that are copies of it.)
const BLOCK: u64 = 4096;

/// One state of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// So many requests had been made.
    pub issued: usize,
    /// So many of them are on the disk for certain.
    pub durable: usize,
    /// Which of those in between are on the disk too, in order.
    pub landed: Vec<usize>,
    /// Of the last one that landed, only so many first bytes.
    pub torn: Option<u64>,
}

/// What kind of disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// A flush is honoured.
    Honest,
    /// Flushes mean nothing: of the last so many requests any part may be missing.
    Liar(usize),
}

/// Which of all states to look at.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The disk.
    pub disk: Disk,
    /// After every so-manieth write.
    pub every: usize,
    /// Beside "everything has landed", so many random parts.
    pub randoms: usize,
    /// Where the random numbers begin; not 0.
    pub seed: u64,
}

/// The states of a recording, in the order in which they came about.
pub fn cuts(entries: &[Entry], choice: Choice) -> Vec<Cut> {
    let mut random = Random(choice.seed);
    let mut all = Vec::new();
    let (mut durable, mut writes) = (0, 0_usize);
    for (index, entry) in entries.iter().enumerate() {
        let issued = index + 1;
        match (entry.kind, choice.disk) {
            (Kind::Flush, Disk::Honest) => durable = issued,
            (Kind::Flush, Disk::Liar(_)) => {}
            (Kind::Write { .. } | Kind::Discard, disk) => {
                if let Disk::Liar(window) = disk {
                    durable = issued.saturating_sub(window);
                }
                if writes % choice.every == 0 {
                    let pending: Vec<usize> = (durable..issued)
                        .filter(|at| entries.get(*at).is_some_and(|e| e.kind != Kind::Flush))
                        .collect();
                    all.extend((0..choice.randoms).map(|_| {
                        let landed = pending.iter().copied().filter(|_| random.next() % 2 == 0);
                        part(entries, issued, durable, landed.collect(), &mut random)
                    }));
                    all.push(Cut {
                        issued,
                        durable,
                        landed: pending,
                        torn: None,
                    });
                }
                writes += 1;
            }
        }
    }
    all
}

/// A random part; in every second one the last request is torn, if it can be.
fn part(
    entries: &[Entry],
    issued: usize,
    durable: usize,
    landed: Vec<usize>,
    random: &mut Random,
) -> Cut {
    let last = landed.last().and_then(|at| entries.get(*at));
    let blocks = last.map_or(0, |entry| entry.bytes / BLOCK);
    let torn =
        (blocks > 1 && random.next() % 2 == 0).then(|| (1 + random.next() % (blocks - 1)) * BLOCK);
    Cut {
        issued,
        durable,
        landed,
        torn,
    }
}

/// Marsaglia's xorshift64: the same numbers in every run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The lowest bits of neighbours are alike.
        self.0 >> 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(kinds: &str) -> Vec<Entry> {
        let kind = |c| match c {
            'F' => Kind::Flush,
            'D' => Kind::Discard,
            _ => Kind::Write { at: 0 },
        };
        let entry = |c| Entry {
            kind: kind(c),
            offset: 0,
            bytes: 4 * BLOCK,
        };
        kinds.chars().map(entry).collect()
    }

    const ALL: Choice = Choice {
        disk: Disk::Honest,
        every: 1,
        randoms: 0,
        seed: 1,
    };

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_open() {
        let cuts = cuts(&entries("WWFWFFD"), ALL);
        let seen: Vec<(usize, usize, Vec<usize>)> = cuts
            .into_iter()
            .map(|cut| (cut.issued, cut.durable, cut.landed))
            .collect();
        assert_eq!(
            seen,
            [
                (1, 0, vec![0]),
                (2, 0, vec![0, 1]),
                (4, 3, vec![3]),
                (7, 6, vec![6])
            ]
        );
    }

    #[test]
    fn parts_are_parts_of_what_was_open_and_some_are_torn() {
        let choice = Choice { randoms: 50, ..ALL };
        let cuts = cuts(&entries("WFWWWW"), choice);
        assert!(cuts.iter().all(|cut| {
            cut.landed
                .iter()
                .all(|at| (cut.durable..cut.issued).contains(at))
        }));
        let last: Vec<&Cut> = cuts.iter().filter(|cut| cut.issued == 6).collect();
        assert!(last.iter().any(|cut| cut.landed.is_empty()));
        assert!(last.iter().any(|cut| cut.landed == [3, 5]));
        assert!(
            last.iter()
                .any(|cut| cut.torn.is_some_and(|bytes| bytes > 0 && bytes < 4 * BLOCK))
        );
    }

    #[test]
    fn a_disk_that_ignores_flushes_may_lose_what_was_flushed() {
        let choice = Choice {
            disk: Disk::Liar(3),
            ..ALL
        };
        let cuts = cuts(&entries("WWFWF"), choice);
        let last = cuts.last().unwrap();
        assert_eq!((last.durable, last.landed.clone()), (1, vec![1, 3]));
    }

    #[test]
    fn a_sample_is_spread_over_the_whole() {
        let choice = Choice { every: 3, ..ALL };
        let issued: Vec<usize> = cuts(&entries("WWWWWWWW"), choice)
            .iter()
            .map(|c| c.issued)
            .collect();
        assert_eq!(issued, [1, 4, 7]);
    }
}

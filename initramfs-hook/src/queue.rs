//! Which kernel module is inserted next, when several can be at once. Pure.

/// A module that is to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its name.
    pub name: &'a str,
    /// Names of the modules that must be there before it; those that are not in the queue are.
    pub needs: Vec<&'a str>,
    /// Size of its file in bytes.
    pub size: u64,
}

/// How a module is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// All that it needs is there.
    Due,
    /// What it needs is on its way. The kernel first reads a module and verifies its signature, in a time proportional to
    /// its size, and only then looks for what it needs; what is being started by then, it waits for
    /// (`resolve_symbol_wait`). What is not even there yet is an unknown symbol: `ENOENT`.
    Early,
}

/// The modules that are left, and those that are being inserted.
#[derive(Debug)]
pub struct Queue<'a> {
    waiting: Vec<Waiting<'a>>,
    running: Vec<Item<'a>>,
}

#[derive(Debug)]
struct Waiting<'a> {
    item: Item<'a>,
    /// Number of modules in the longest chain that waits for it.
    chain: usize,
    /// False once it was begun too early.
    early: bool,
}

impl<'a> Queue<'a> {
    /// A queue of modules of which each stands behind what it needs.
    #[must_use]
    pub fn new(items: Vec<Item<'a>>) -> Self {
        let mut waiting: Vec<Waiting<'a>> = Vec::with_capacity(items.len());
        // From the end, because a chain grows towards what is needed.
        for item in items.into_iter().rev() {
            let behind = waiting
                .iter()
                .filter(|other| other.item.needs.contains(&item.name));
            let chain = behind.map(|other| other.chain + 1).max().unwrap_or(0);
            waiting.push(Waiting {
                item,
                chain,
                early: true,
            });
        }
        Self {
            waiting,
            running: Vec::new(),
        }
    }

    /// True when there is nothing left to begin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next one: that with the longest chain of others behind it, then the largest. `None` while all must wait.
    pub fn begin(&mut self) -> Option<(&'a str, Turn)> {
        let turns = self.waiting.iter().enumerate().filter_map(|(at, waiting)| {
            let turn = self.turn(waiting)?;
            Some(((waiting.chain, waiting.item.size), at, turn))
        });
        let (at, turn) = match turns.max_by_key(|(rank, ..)| *rank) {
            Some((_, at, turn)) => (at, turn),
            // A circle: then one after the other, and the kernel says what is missing.
            None if self.running.is_empty() => (self.waiting.len().checked_sub(1)?, Turn::Due),
            None => return None,
        };
        let Waiting { item, .. } = self.waiting.remove(at);
        let name = item.name;
        self.running.push(item);
        Some((name, turn))
    }

    fn turn(&self, waiting: &Waiting<'_>) -> Option<Turn> {
        let needed = |name: &str| waiting.item.needs.contains(&name);
        if self.waiting.iter().any(|other| needed(other.item.name)) {
            return None;
        }
        let ahead: Vec<_> = self
            .running
            .iter()
            .filter(|other| needed(other.name))
            .collect();
        if ahead.is_empty() {
            return Some(Turn::Due);
        }
        // The larger one takes longer to read and to verify than they all together.
        let sizes: u64 = ahead.iter().map(|other| other.size).sum();
        (waiting.early && sizes < waiting.item.size).then_some(Turn::Early)
    }

    /// Takes note that an insertion has ended, well or not.
    pub fn end(&mut self, name: &str) {
        self.running.retain(|item| item.name != name);
    }

    /// Takes note that a module was begun too early: it has another turn when all that it needs is there.
    pub fn put_back(&mut self, name: &str) {
        let Some(at) = self.running.iter().position(|item| item.name == name) else {
            return;
        };
        self.waiting.push(Waiting {
            item: self.running.remove(at),
            chain: 0,
            early: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item<'a>(name: &'a str, size: u64, needs: &[&'a str]) -> Item<'a> {
        Item {
            name,
            needs: needs.to_vec(),
            size,
        }
    }

    /// btrfs and what it needs, with the sizes of Debian's.
    fn btrfs() -> Queue<'static> {
        Queue::new(vec![
            item("crc32c_intel", 29, &[]),
            item("libcrc32c", 8, &["crc32c_intel"]),
            item("raid6_pq", 147, &[]),
            item("zstd_compress", 436, &[]),
            item("btrfs", 3872, &["libcrc32c", "raid6_pq", "zstd_compress"]),
        ])
    }

    #[test]
    fn the_longest_chain_goes_first_then_the_largest() {
        let mut queue = btrfs();
        assert_eq!(queue.begin(), Some(("crc32c_intel", Turn::Due)));
        assert_eq!(queue.begin(), Some(("zstd_compress", Turn::Due)));
        assert_eq!(queue.begin(), Some(("raid6_pq", Turn::Due)));
        // The small one must wait: what it needs has not ended. So must the large one: not all has begun.
        assert_eq!(queue.begin(), None);
        queue.end("crc32c_intel");
        assert_eq!(queue.begin(), Some(("libcrc32c", Turn::Due)));
        assert_eq!(queue.begin(), Some(("btrfs", Turn::Early)));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_begun_too_early_has_its_turn_when_all_is_there() {
        let mut queue = btrfs();
        for _ in 0..3 {
            queue.begin();
        }
        queue.end("crc32c_intel");
        queue.begin();
        assert_eq!(queue.begin(), Some(("btrfs", Turn::Early)));
        queue.end("libcrc32c");
        queue.end("zstd_compress");
        queue.put_back("btrfs");
        assert_eq!(queue.begin(), None);
        queue.end("raid6_pq");
        assert_eq!(queue.begin(), Some(("btrfs", Turn::Due)));
        queue.end("btrfs");
        assert!(queue.begin().is_none() && queue.is_empty());
    }

    #[test]
    fn a_circle_is_tried_one_after_the_other() {
        let mut queue = Queue::new(vec![item("b", 1, &["a"]), item("a", 1, &["b"])]);
        assert_eq!(queue.begin(), Some(("b", Turn::Due)));
        assert_eq!(queue.begin(), None);
        queue.end("b");
        assert_eq!(queue.begin(), Some(("a", Turn::Due)));
    }
}

//! In which order kernel modules are inserted, when several can be at once. Pure.

/// A module that is to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Names of the modules that must be there before it; those that are not in the plan are.
    pub(super) needs: Vec<&'a str>,
    /// Size of its file in bytes: the kernel copies it and verifies its signature, which takes time in proportion.
    pub(super) size: u64,
    /// It may be begun when the modules that it needs have begun to initialise themselves: the kernel lets it wait for
    /// them where it must (`resolve_symbol_wait` in `kernel/module/main.c`), after the work on its own file.
    pub(super) early: bool,
    /// It takes longer to initialise itself than others to be there altogether.
    pub(super) slow: bool,
}

/// How far a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nobody has begun it.
    Waiting,
    /// The kernel works on its file.
    Begun,
    /// The kernel lets it initialise itself; others may already refer to it.
    Coming,
    /// It is there, or cannot be.
    Ended,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// Insert this one.
    Begin(&'a str),
    /// Nothing until another one has ended.
    WaitForEnd,
    /// Nothing until another one has ended or has begun to initialise itself.
    WaitForComing,
    /// All have begun.
    AllBegun,
}

/// Modules in the order in which they should begin.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    items: Vec<Ranked<'a>>,
}

#[derive(Debug)]
struct Ranked<'a> {
    item: Item<'a>,
    /// Number of modules in the longest chain that waits for it.
    chain: usize,
    /// Places in the plan of those it needs.
    needs: Vec<usize>,
}

impl<'a> Plan<'a> {
    /// Makes a plan of modules of which each stands behind what it needs. The slow ones come first, then those with the
    /// longest chain behind them, then the largest.
    #[must_use]
    pub(super) fn new(items: Vec<Item<'a>>) -> Self {
        let mut ranked: Vec<Ranked<'a>> = Vec::with_capacity(items.len());
        // From the end, because a chain grows towards what is needed.
        for item in items.into_iter().rev() {
            let behind = ranked
                .iter()
                .filter(|other| other.item.needs.contains(&item.name));
            let chain = behind.map(|other| other.chain + 1).max().unwrap_or(0);
            let needs = Vec::new();
            ranked.push(Ranked { item, chain, needs });
        }
        ranked.sort_by_key(|one| std::cmp::Reverse((one.item.slow, one.chain, one.item.size)));
        let names: Vec<_> = ranked.iter().map(|one| one.item.name).collect();
        for one in &mut ranked {
            let needs = names.iter().enumerate();
            let needs = needs.filter(|(_, name)| one.item.needs.contains(*name));
            one.needs = needs.map(|(at, _)| at).collect();
        }
        Self { items: ranked }
    }

    /// Names in the order of the plan.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.items.iter().map(|one| one.item.name)
    }

    /// What to do now: `progress` has the modules in the order of [`Self::names`]. What nobody waits for stands back until
    /// the others are there: it would take a processor away from them.
    pub(super) fn next(&self, progress: &[Progress]) -> Next<'a> {
        let waiting = || {
            let all = self.items.iter().zip(progress);
            all.filter(|(_, progress)| **progress == Progress::Waiting)
                .map(|(one, _)| one)
        };
        let Some(first) = waiting().next() else {
            return Next::AllBegun;
        };
        if let Some(one) = waiting().find(|one| self.is_due(one, progress)) {
            return Next::Begin(one.item.name);
        }
        let runs = |progress: &Progress| matches!(progress, Progress::Begun | Progress::Coming);
        if !progress.iter().any(runs) {
            // A circle: then one after the other, and the kernel says what is missing.
            return Next::Begin(first.item.name);
        }
        if waiting().any(Ranked::begins_early) {
            return Next::WaitForComing;
        }
        Next::WaitForEnd
    }

    fn is_due(&self, one: &Ranked<'_>, progress: &[Progress]) -> bool {
        let mut needs = one.needs.iter().filter_map(|at| progress.get(*at));
        let ready = needs.all(|need| match need {
            Progress::Ended => true,
            Progress::Coming => one.item.early,
            Progress::Waiting | Progress::Begun => false,
        });
        let all = || self.items.iter().zip(progress);
        let mut waited_for = all().filter(|(other, _)| other.chain > 0);
        ready
            && (one.chain > 0
                || one.begins_early()
                || waited_for.all(|(_, progress)| *progress == Progress::Ended))
    }
}

impl Ranked<'_> {
    /// Somebody else's beginning can be what it waits for.
    fn begins_early(&self) -> bool {
        self.item.early && !self.needs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn item<'a>(name: &'a str, kib: u64, needs: &[&'a str]) -> Item<'a> {
        Item {
            name,
            needs: needs.to_vec(),
            size: kib << 10,
            early: ["btrfs", "overlay"].contains(&name),
            slow: name == "raid6_pq",
        }
    }

    /// btrfs and what it needs, with the sizes of Debian's, and one that it would like to have.
    fn btrfs() -> Plan<'static> {
        Plan::new(vec![
            item("crc32c_intel", 29, &[]),
            item("libcrc32c", 8, &["crc32c_intel"]),
            item("raid6_pq", 147, &[]),
            item("zstd_compress", 436, &[]),
            item("btrfs", 3872, &["libcrc32c", "raid6_pq", "zstd_compress"]),
            item("overlay", 355, &[]),
            item("sha256_ssse3", 46, &[]),
        ])
    }

    #[derive(Default)]
    struct Kernel(HashMap<&'static str, Progress>);

    impl Kernel {
        fn next(&self, plan: &Plan<'static>) -> Next<'static> {
            let known = |name| self.0.get(name).copied().unwrap_or(Progress::Waiting);
            plan.next(&plan.names().map(known).collect::<Vec<_>>())
        }

        fn begin(&mut self, plan: &Plan<'static>) -> &'static str {
            let Next::Begin(name) = self.next(plan) else {
                panic!("nothing can begin: {:?}", self.0);
            };
            self.set(name, Progress::Begun);
            name
        }

        fn set(&mut self, name: &'static str, progress: Progress) {
            self.0.insert(name, progress);
        }
    }

    #[test]
    fn the_slow_one_begins_then_the_longest_chain_and_what_nobody_waits_for_comes_last() {
        let (plan, mut kernel) = (btrfs(), Kernel::default());
        assert_eq!(kernel.begin(&plan), "raid6_pq");
        assert_eq!(kernel.begin(&plan), "crc32c_intel");
        assert_eq!(kernel.begin(&plan), "zstd_compress");
        assert_eq!(kernel.next(&plan), Next::WaitForComing);
        kernel.set("crc32c_intel", Progress::Ended);
        assert_eq!(kernel.begin(&plan), "libcrc32c");
        for name in ["libcrc32c", "zstd_compress", "raid6_pq"] {
            assert_eq!(kernel.next(&plan), Next::WaitForComing);
            kernel.set(name, Progress::Ended);
        }
        assert_eq!(kernel.begin(&plan), "btrfs");
        assert_eq!(kernel.begin(&plan), "overlay");
        assert_eq!(kernel.begin(&plan), "sha256_ssse3");
        assert_eq!(kernel.next(&plan), Next::AllBegun);
    }

    #[test]
    fn only_an_early_one_begins_while_another_initialises_itself() {
        let (plan, mut kernel) = (btrfs(), Kernel::default());
        kernel.set("raid6_pq", Progress::Begun);
        kernel.set("zstd_compress", Progress::Ended);
        kernel.set("crc32c_intel", Progress::Coming);
        assert_eq!(kernel.next(&plan), Next::WaitForComing);
        kernel.set("libcrc32c", Progress::Ended);
        assert_eq!(kernel.next(&plan), Next::WaitForComing);
        kernel.set("raid6_pq", Progress::Coming);
        assert_eq!(kernel.begin(&plan), "btrfs");
        assert_eq!(kernel.next(&plan), Next::WaitForEnd);
    }

    #[test]
    fn without_an_early_one_only_ends_are_waited_for() {
        let plan = Plan::new(vec![item("a", 1, &[]), item("b", 1, &["a"])]);
        let mut kernel = Kernel::default();
        assert_eq!(kernel.begin(&plan), "a");
        kernel.set("a", Progress::Coming);
        assert_eq!(kernel.next(&plan), Next::WaitForEnd);
    }

    #[test]
    fn a_circle_is_tried_one_after_the_other() {
        let plan = Plan::new(vec![item("b", 1, &["a"]), item("a", 1, &["b"])]);
        let mut kernel = Kernel::default();
        let first = kernel.begin(&plan);
        assert_eq!(kernel.next(&plan), Next::WaitForEnd);
        kernel.set(first, Progress::Ended);
        assert_ne!(kernel.begin(&plan), first);
    }
}

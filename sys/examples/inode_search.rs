//! `inode_search DIR SINCE RUNS`: how long the kernel takes to hand over the inodes of a subvolume that were changed in
//! transaction SINCE or later. The limit for `cargo xtask bench diff`: nothing can find changes without that.
//!
//! Prints one line per run: microseconds, and how many inodes there were.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use sys::btrfs_search::{Key, Search};

/// `BTRFS_INODE_ITEM_KEY`
const INODE: u8 = 1;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(dir), Some(since), Some(runs)) = (
        words.next(),
        words.next().and_then(|word| word.parse().ok()),
        words.next().and_then(|word| word.parse().ok()),
    ) else {
        return ExitCode::from(2);
    };
    match search(&dir, since, runs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

fn search(dir: &str, since: u64, runs: u32) -> Result<(), Box<dyn std::error::Error>> {
    let root = sys::btrfs::open(dir)?;
    let mut search = Search::new();
    for _ in 0..runs {
        let (start, mut count) = (Instant::now(), 0u64);
        let all = Key::first(256)..=Key::last(u64::MAX);
        search.each(&root, all, since, |key, data| {
            // The transaction of an inode's last change is its second number.
            let changed = data.get(8..16).and_then(|bytes| bytes.try_into().ok());
            let changed = changed.map_or(0, u64::from_le_bytes);
            count += u64::from(key.kind == INODE && changed >= since);
        })?;
        let time = start.elapsed().as_micros();
        writeln!(std::io::stdout(), "{time} {count}")?;
    }
    Ok(())
}

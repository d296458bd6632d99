//! How many descriptors a process may have open (`RLIMIT_NOFILE`, getrlimit(2)).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Cannot, Result};

/// A process may raise its own bound up to `hard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// What it may be raised to.
    pub hard: u64,
}

/// What programs are started with by other inits too (systemd since 240): 1024, because select(2) knows no larger
/// numbers; whoever knows better raises it.
pub const ORDINARY: Limit = Limit {
    soft: 1024,
    hard: 524_288,
};

/// The largest limit the kernel allows anybody (proc_sys_fs(5)); its default where it cannot be read.
fn most() -> u64 {
    const DEFAULT: u64 = 1 << 20;
    let text = crate::fs::read_text("/proc/sys/fs/nr_open", 64);
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT)
}

/// Lets this process open as many descriptors as the kernel allows; without the right to that, as many as it may.
/// Returns what holds then.
///
/// # Errors
/// None expected: a process may always raise its own bound to the hard one.
pub fn raise() -> Result<Limit> {
    let most = most();
    let all = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    if setrlimit(Resource::Nofile, all).is_err() {
        let own = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current: own.maximum,
            maximum: own.maximum,
        };
        setrlimit(Resource::Nofile, limit).cannot("raise", "the limit of open files")?;
    }
    Ok(own())
}

/// The limit of this process.
#[must_use]
pub fn own() -> Limit {
    let found = getrlimit(Resource::Nofile);
    Limit {
        soft: found.current.unwrap_or(u64::MAX),
        hard: found.maximum.unwrap_or(u64::MAX),
    }
}

impl Limit {
    /// This limit, as far as a process under `bound` can give it to a child without any right.
    #[must_use]
    pub fn within(self, bound: Self) -> Self {
        let hard = self.hard.min(bound.hard);
        Self {
            soft: self.soft.min(hard),
            hard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_given_more_than_we_have() {
        let bound = Limit {
            soft: 100,
            hard: 4096,
        };
        let given = ORDINARY.within(bound);
        assert_eq!((given.soft, given.hard), (1024, 4096));
        assert_eq!(
            Limit { soft: 8, hard: 9 }.within(bound),
            Limit { soft: 8, hard: 9 }
        );
    }
}

//! The fifty services of the benchmark: a chain of one-shots, as early boot is one; a few daemons behind it that
//! others need; and many daemons, each behind one of those.

use super::board::{self, Stamp};
use std::collections::BTreeMap;

const CHAIN: usize = 10;
const HUBS: usize = 4;
const LEAVES: usize = 36;
/// How many one-shots, hubs and leaves.
pub const COUNTS: [usize; 3] = [CHAIN, HUBS, LEAVES];
/// Path of the program that every service is, inside (`sys/bare/bench.rs`).
pub const DUMMY: &str = "/bench/dummy";

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name: `o0`, `d17`.
    pub name: String,
    /// It does something and ends; else it stays and says when it is ready.
    pub oneshot: bool,
    /// The service that must be ready before it starts.
    pub needs: Option<String>,
}

impl Service {
    /// Its unit file. Output goes nowhere: it has none, and no contender is to be timed for its log.
    pub fn unit(&self) -> String {
        let name = &self.name;
        let needs: Vec<String> = self.needs.iter().map(|name| format!("{name:?}")).collect();
        // The descriptor is the one that rinit gives.
        let (kind, role) = if self.oneshot {
            ("kind = \"oneshot\"\n", format!("\"oneshot\", {name:?}"))
        } else {
            (
                "ready.mode = \"fd\"\n",
                format!("\"daemon\", {name:?}, \"3\""),
            )
        };
        format!(
            "schema = 1\n{kind}deps.needs = [{}]\nexec.start = [{DUMMY:?}, {role}]\nlog.stdout = \"null\"\n",
            needs.join(", ")
        )
    }
}

/// All of them, each behind the one it needs.
pub fn services() -> Vec<Service> {
    let chain = (0..CHAIN).map(|number| Service {
        name: format!("o{number}"),
        oneshot: true,
        needs: number.checked_sub(1).map(|before| format!("o{before}")),
    });
    let hubs = (0..HUBS).map(|number| Service {
        name: format!("d{number}"),
        oneshot: false,
        needs: Some(format!("o{}", CHAIN - 1)),
    });
    let leaves = (0..LEAVES).map(|number| Service {
        name: format!("d{}", HUBS + number),
        oneshot: false,
        needs: Some(format!("d{}", number % HUBS)),
    });
    chain.chain(hubs).chain(leaves).collect()
}

/// Unit file of the group that wants all of them.
pub fn group() -> String {
    let names: Vec<String> = services()
        .iter()
        .map(|service| format!("{:?}", service.name))
        .collect();
    format!(
        "schema = 1\nkind = \"group\"\n[deps]\nwants = [{}]\n",
        names.join(", ")
    )
}

/// Nanoseconds from the exec of process 1 until the last service was ready.
///
/// # Errors
/// A service is missing, ran twice, or did not wait for the one it needs: then the time means nothing.
pub fn judge(stamps: &[Stamp]) -> Result<u64, String> {
    let mut seen: BTreeMap<&str, &Stamp> = BTreeMap::new();
    for stamp in stamps {
        if seen.insert(&stamp.name, stamp).is_some() {
            return Err(format!("{} ran twice", stamp.name));
        }
    }
    let of = |name: &str| {
        seen.get(name)
            .copied()
            .ok_or_else(|| format!("{name} did not run"))
    };
    let mut last = 0;
    for service in services() {
        let stamp = of(&service.name)?;
        last = last.max(stamp.ready);
        let Some(needs) = &service.needs else {
            continue;
        };
        if of(needs)?.ready > stamp.begun {
            return Err(format!(
                "{} did not wait for {needs} to be ready",
                service.name
            ));
        }
    }
    Ok(last.saturating_sub(of(board::EXEC)?.ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(name: &str, begun: u64, ready: u64) -> Stamp {
        Stamp {
            name: name.to_owned(),
            begun,
            ready,
        }
    }

    /// Every service takes two units of time, one after the other.
    fn orderly() -> Vec<Stamp> {
        let stamps = (10..).step_by(2).zip(services());
        std::iter::once(stamp(board::EXEC, 7, 7))
            .chain(stamps.map(|(time, service)| stamp(&service.name, time, time + 1)))
            .collect()
    }

    #[test]
    fn the_figure_is_the_time_from_exec_to_the_last_ready_service() {
        assert_eq!(judge(&orderly()).unwrap(), 10 + 49 * 2 + 1 - 7);
    }

    #[test]
    fn a_service_that_does_not_wait_makes_the_figure_void() {
        let mut stamps = orderly();
        stamps.last_mut().unwrap().begun = 9;
        let why = judge(&stamps).unwrap_err();
        assert_eq!(why, "d39 did not wait for d3 to be ready");
    }

    #[test]
    fn a_missing_or_doubled_service_makes_the_figure_void() {
        let mut stamps = orderly();
        let last = stamps.pop().unwrap();
        assert_eq!(judge(&stamps).unwrap_err(), "d39 did not run");
        stamps.extend([last.clone(), last]);
        assert_eq!(judge(&stamps).unwrap_err(), "d39 ran twice");
    }

    #[test]
    fn all_units_can_be_read() {
        for service in services() {
            let unit = rootspec::units::parse("x.toml", &service.unit()).unwrap();
            assert!(unit.exec.is_some());
        }
        rootspec::units::parse("all.toml", &group()).unwrap();
        assert_eq!(services().len(), 50);
    }
}

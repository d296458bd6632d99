//! `[exec]`: the attributes a process is born with, in the words of a unit file.
//!
//! Every value is checked as it is read, so that an error points at it; what is kept are the kernel's numbers.

use serde::Deserialize;

/// Reads a value from a text or a whole number; the parser's sentence becomes the error.
macro_rules! told_value {
    ($name:ident, $parse:path) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct ToldVisitor;

                impl serde::de::Visitor<'_> for ToldVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a text")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map_err(E::custom)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        $parse(&number.to_string()).map_err(E::custom)
                    }
                }

                from.deserialize_any(ToldVisitor)
            }
        }
    };
}
pub(super) use told_value;

type Read<T> = Result<T, String>;

/// An absolute path; with a `-` in front it may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybePath {
    /// The path.
    pub path: String,
    /// It may be missing.
    pub optional: bool,
}

impl MaybePath {
    pub(crate) fn read(text: &str) -> Read<Self> {
        let (optional, path) = match text.strip_prefix('-') {
            Some(path) => (true, path),
            None => (false, text),
        };
        let clean = path.starts_with('/')
            && !path.contains('\0')
            && path.split('/').all(|part| part != ".." && part != ".");
        if !clean {
            return Err(format!(
                "expected an absolute path without \"..\" such as \"/srv/web\" or \"-/srv/web\" (may be missing), found {text:?}"
            ));
        }
        let trimmed = path.trim_end_matches('/');
        let path = if trimmed.is_empty() { "/" } else { trimmed };
        Ok(Self {
            path: path.to_owned(),
            optional,
        })
    }
}
told_value!(MaybePath, MaybePath::read);

/// Added to the process' niceness, -20 (first) to 19 (last).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nice(pub i8);

fn nice(text: &str) -> Read<Nice> {
    let number = text.parse().ok().filter(|n| (-20..=19).contains(n));
    number
        .map(Nice)
        .ok_or_else(|| format!("expected a number from -20 to 19, found {text}"))
}
told_value!(Nice, nice);

/// A scheduling policy and, for the realtime ones, its priority: numbers of `linux/sched.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sched {
    /// `SCHED_…`.
    pub policy: u32,
    /// 1 to 99 for the realtime policies, else 0.
    pub priority: u32,
}

fn sched(text: &str) -> Read<Sched> {
    let plain = |policy| {
        Ok(Sched {
            policy,
            priority: 0,
        })
    };
    let wrong = || {
        let words = "\"other\", \"batch\", \"idle\", \"fifo:PRIORITY\" or \"rr:PRIORITY\"";
        Err(format!(
            "expected {words} with a priority from 1 to 99, found {text:?}"
        ))
    };
    match text.split_once(':') {
        None => match text {
            "other" => plain(0),
            "batch" => plain(3),
            "idle" => plain(5),
            _ => wrong(),
        },
        Some((name @ ("fifo" | "rr"), number)) => {
            let policy = if name == "fifo" { 1 } else { 2 };
            let priority = number.parse().ok().filter(|n| (1..=99).contains(n));
            priority.map_or_else(wrong, |priority| Ok(Sched { policy, priority }))
        }
        Some(_) => wrong(),
    }
}
told_value!(Sched, sched);

/// Numbers of CPUs, written as the kernel does: `"0-3,7"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus(pub Vec<u16>);

/// Most CPUs the kernel's usual mask names.
const CPUS: u16 = 1024;

fn cpus(text: &str) -> Read<Cpus> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|n| *n < CPUS);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => all.extend(first..=last),
            _ => {
                return Err(format!(
                    "expected CPUs below {CPUS} such as \"0-3,7\", found {text:?}"
                ));
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(Cpus(all))
}
told_value!(Cpus, cpus);

/// The kernel's I/O priority: class and level in one number (`linux/ioprio.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority(pub u16);

fn io_priority(text: &str) -> Read<IoPriority> {
    let (class, level) = text.split_once(':').unwrap_or((text, "4"));
    let level = level.parse::<u16>().ok().filter(|n| *n < 8);
    let class: u16 = match class {
        "realtime" => 1,
        "best-effort" => 2,
        "idle" => 3,
        _ => 0,
    };
    match (class, level) {
        (1..=2, Some(level)) => Ok(IoPriority((class << 13) | level)),
        (3, Some(_)) if text == "idle" => Ok(IoPriority(class << 13)),
        _ => Err(format!(
            "expected \"idle\", \"best-effort:LEVEL\" or \"realtime:LEVEL\" with a level from 0 (first) to 7, found {text:?}"
        )),
    }
}
told_value!(IoPriority, io_priority);

/// Nanoseconds, written `"50us"`, `"1ms"`, `"100ns"`, `"1s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nanos(pub u64);

fn nanos(text: &str) -> Read<Nanos> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    let (number, unit) = text.split_at(split);
    let factor: Option<u64> = match unit {
        "ns" => Some(1),
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|nanos| *nanos > 0)
        .map(Nanos)
        .ok_or_else(|| format!("expected a short time such as \"50us\" or \"1ms\", found {text:?}"))
}
told_value!(Nanos, nanos);

/// Which memory a core dump holds, as bits of core(5), written in hexadecimal: `"0x33"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoredumpFilter(pub u32);

fn coredump_filter(text: &str) -> Read<CoredumpFilter> {
    let digits = text.strip_prefix("0x");
    let bits = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    bits.filter(|bits| *bits < 0x200)
        .map(CoredumpFilter)
        .ok_or_else(|| {
            format!(
                "expected bits of /proc/PID/coredump_filter such as \"0x33\", see core(5), found {text:?}"
            )
        })
}
told_value!(CoredumpFilter, coredump_filter);

/// One resource limit, soft and hard: `"1024:524288"`, `"64M"`, `"infinity"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitPair {
    /// In force, and the process may raise it up to the hard one.
    pub soft: u64,
    /// The bound of the soft one.
    pub hard: u64,
}

fn limit_pair(text: &str) -> Read<LimitPair> {
    let number = |text: &str| match text {
        "infinity" => Some(u64::MAX),
        _ => super::value::parse_size(text),
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    match (number(soft), number(hard)) {
        (Some(soft), Some(hard)) if soft <= hard => Ok(LimitPair { soft, hard }),
        (Some(soft), Some(hard)) => Err(format!(
            "the soft limit {soft} is above the hard limit {hard}"
        )),
        _ => Err(format!(
            "expected \"SOFT:HARD\", one value for both, or \"infinity\"; values may end in K, M, G; found {text:?}"
        )),
    }
}
told_value!(LimitPair, limit_pair);

/// `[exec.limits]`: see getrlimit(2).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Address space, bytes.
    pub r#as: Option<LimitPair>,
    /// Core dumps, bytes.
    pub core: Option<LimitPair>,
    /// CPU time, seconds.
    pub cpu: Option<LimitPair>,
    /// Data segment, bytes.
    pub data: Option<LimitPair>,
    /// Files written, bytes.
    pub fsize: Option<LimitPair>,
    /// File locks.
    pub locks: Option<LimitPair>,
    /// Locked memory, bytes.
    pub memlock: Option<LimitPair>,
    /// POSIX message queues, bytes.
    pub msgqueue: Option<LimitPair>,
    /// Highest niceness, as 20 minus niceness.
    pub nice: Option<LimitPair>,
    /// Open files.
    pub nofile: Option<LimitPair>,
    /// Processes of the user.
    pub nproc: Option<LimitPair>,
    /// Resident memory, bytes; without effect in today's kernels.
    pub rss: Option<LimitPair>,
    /// Highest realtime priority.
    pub rtprio: Option<LimitPair>,
    /// CPU time without a pause under realtime scheduling, microseconds.
    pub rttime: Option<LimitPair>,
    /// Signals that wait.
    pub sigpending: Option<LimitPair>,
    /// Stack, bytes.
    pub stack: Option<LimitPair>,
}

/// Names of limits by their numbers (`asm-generic/resource.h`, the same on all machines we run on).
pub const LIMIT_NAMES: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

impl Limits {
    /// Those that are set, by number.
    pub(crate) fn set(&self) -> Vec<(u32, LimitPair)> {
        let all = [
            self.cpu,
            self.fsize,
            self.data,
            self.stack,
            self.core,
            self.rss,
            self.nproc,
            self.nofile,
            self.memlock,
            self.r#as,
            self.locks,
            self.sigpending,
            self.msgqueue,
            self.nice,
            self.rtprio,
            self.rttime,
        ];
        let numbered = (0..).zip(all);
        numbered
            .filter_map(|(number, pair)| pair.map(|pair| (number, pair)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_kernels_numbers() {
        assert_eq!(
            sched("fifo:50").unwrap(),
            Sched {
                policy: 1,
                priority: 50
            }
        );
        assert_eq!(cpus("0-2,7,1").unwrap().0, [0, 1, 2, 7]);
        assert_eq!(io_priority("best-effort:7").unwrap().0, 2 << 13 | 7);
        assert_eq!(io_priority("idle").unwrap().0, 3 << 13);
        assert_eq!(nanos("50us").unwrap().0, 50_000);
        assert_eq!(coredump_filter("0x33").unwrap().0, 0x33);
        let pair = limit_pair("1K:infinity").unwrap();
        assert_eq!((pair.soft, pair.hard), (1024, u64::MAX));
        let path = MaybePath::read("-/srv/").unwrap();
        assert_eq!((path.path.as_str(), path.optional), ("/srv", true));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in ["fifo", "fifo:0", "rr:100", "deadline", ""] {
            assert!(sched(bad).is_err(), "{bad}");
        }
        for bad in ["", "3-1", "1024", "a", "1,,2", "-1"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
        for bad in ["", "idle:3", "realtime:8", "best"] {
            assert!(io_priority(bad).is_err(), "{bad}");
        }
        for bad in ["", "5", "us", "0ns", "99999999999999999999s"] {
            assert!(nanos(bad).is_err(), "{bad}");
        }
        for bad in ["", "33", "0x1000", "0xzz"] {
            assert!(coredump_filter(bad).is_err(), "{bad}");
        }
        for bad in ["", "2:1", "1:", "a", "-1", "1:2:3"] {
            assert!(limit_pair(bad).is_err(), "{bad}");
        }
        for bad in ["", "-", "srv", "/srv/../etc", "/a\0b"] {
            assert!(MaybePath::read(bad).is_err(), "{bad}");
        }
        assert!(nice("-21").is_err() && nice("20").is_err());
    }
}

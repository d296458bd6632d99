//! A boot plan that is kept from one boot to the next, with everything it was compiled from, so that a boot can tell
//! whether compiling would give the same again.
//!
//! Binary form: [`MAGIC`], the version as a little-endian `u16`, the CRC-32C of what follows as a little-endian `u32`, the
//! origin in `postcard`'s encoding, the plan as in `kept`.

use serde::{Deserialize, Serialize};

use crate::kept::{self, KeptError, encoding};
use crate::units::Facts;

/// First bytes.
pub const MAGIC: [u8; 6] = *b"rstor\n";
/// Version of the form; any change of it raises it. The plan in it has a version of its own.
pub const VERSION: u16 = 1;
/// Largest one that is read, in bytes.
pub const MAX_SIZE: u64 = 64 << 20;
/// A file that was changed so recently may be changed again without getting another time: clocks of file systems move in
/// steps of up to 10 ms. In milliseconds.
pub const SETTLED: i64 = 1_000;

/// Times and size of a file or folder, as stat(2) has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Type and permissions.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Content last changed: seconds, nanoseconds.
    pub modified: (i64, u32),
    /// Anything last changed: seconds, nanoseconds. No program can set it.
    pub changed: (i64, u32),
}

impl Stamp {
    /// Whether another content would have another stamp. Where times have no fraction of a second, as in most images of
    /// file systems, they were set by whoever made the image, or are too coarse.
    fn tells(&self) -> bool {
        self.changed.1 != 0
    }

    /// When it was last changed, in milliseconds since 1970.
    fn changed_ms(&self) -> i64 {
        let (seconds, nanos) = self.changed;
        seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(nanos.div_euclid(1_000_000)))
    }
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Nothing.
    Absent,
    /// Something; links are followed.
    There(Stamp),
}

/// One thing that was read for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its path.
    pub path: Box<str>,
    /// What was there.
    pub found: Found,
}

/// What a plan was compiled from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Number of the snapshot that ran, or `none`.
    pub snapshot: Box<str>,
    /// Id of the boot it was compiled in, if that stands in the plan.
    pub boot: Option<Box<str>>,
    /// Files that were read, folders that were listed, and what of both was absent.
    pub inputs: Vec<Input>,
}

impl Origin {
    /// Why compiling might give something else now, in words; `None`: it would not. `look` says what is at a path, `None`
    /// where that cannot be told.
    pub fn change(&self, mut look: impl FnMut(&str) -> Option<Found>) -> Option<String> {
        let same = |input: &Input, now: Option<Found>| match (input.found, now) {
            (Found::Absent, Some(Found::Absent)) => true,
            (Found::There(then), Some(Found::There(now))) => then == now && then.tells(),
            (Found::Absent | Found::There(_), _) => false,
        };
        let changed = self
            .inputs
            .iter()
            .find(|input| !same(input, look(&input.path)))?;
        Some(format!("{} has changed", changed.path))
    }

    /// How long to wait, in milliseconds, until every later change of what was read gets another time than it has; `now`
    /// in milliseconds since 1970. 0: not at all.
    #[must_use]
    pub fn unsettled(&self, now: i64) -> i64 {
        let wait = |input: &Input| match input.found {
            Found::Absent => 0,
            Found::There(stamp) => {
                let age = now.saturating_sub(stamp.changed_ms());
                // One from the future was written before the clock was set back: a change now gets another time.
                if (-SETTLED..SETTLED).contains(&age) {
                    SETTLED.saturating_sub(age)
                } else {
                    0
                }
            }
        };
        self.inputs.iter().map(wait).max().unwrap_or(0)
    }
}

/// A plan and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<'a> {
    /// What it was compiled from.
    pub origin: Origin,
    /// The binary form of [`kept::Kept`].
    pub kept: &'a [u8],
}

impl<'a> Stored<'a> {
    /// The plan of these bytes, compiled with these facts from these inputs.
    #[must_use]
    pub fn new(facts: &Facts, inputs: Vec<Input>, kept: &'a [u8]) -> Self {
        let boot = facts.boot.as_bytes();
        let stands = !boot.is_empty() && kept.windows(boot.len()).any(|part| part == boot);
        let origin = Origin {
            snapshot: facts.snapshot.as_str().into(),
            boot: stands.then(|| facts.boot.as_str().into()),
            inputs,
        };
        Self { origin, kept }
    }

    /// The binary form.
    ///
    /// # Errors
    /// Only if the encoder fails, which memory shortage alone can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeptError> {
        let mut body = postcard::to_allocvec(&self.origin).map_err(encoding)?;
        body.extend(self.kept);
        Ok(kept::sealed(MAGIC, VERSION, &body))
    }

    /// Reads the binary form. The plan in it is not looked into.
    ///
    /// # Errors
    /// The bytes are something else, of another version, or damaged.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, KeptError> {
        let body = kept::unsealed(MAGIC, VERSION, bytes)?;
        let (origin, kept) = postcard::take_from_bytes(body).map_err(encoding)?;
        Ok(Self { origin, kept })
    }

    /// The plan for this boot, if compiling would give the same; else why not, in words. `look` as for [`Origin::change`].
    ///
    /// # Errors
    /// In words: what has changed, or as [`Stored::of_snapshot`].
    pub fn for_boot(
        &self,
        facts: &Facts,
        look: impl FnMut(&str) -> Option<Found>,
    ) -> Result<Vec<u8>, String> {
        match self.origin.change(look) {
            Some(change) => Err(change),
            None => self.of_snapshot(facts),
        }
    }

    /// The plan for this boot, whatever has changed since it was compiled.
    ///
    /// # Errors
    /// In words: it is of another snapshot, or the id of this boot, which stands in the plan, is unknown.
    pub fn of_snapshot(&self, facts: &Facts) -> Result<Vec<u8>, String> {
        if *self.origin.snapshot != *facts.snapshot {
            return Err(format!("it is of snapshot {}", self.origin.snapshot));
        }
        let mut kept = self.kept.to_vec();
        match &self.origin.boot {
            Some(boot) if !kept::move_to_boot(&mut kept, boot, &facts.boot) => {
                Err("the id of this boot is unknown".to_owned())
            }
            Some(_) | None => Ok(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Kept;

    fn stamp() -> Stamp {
        Stamp {
            mode: 0o10_0644,
            size: 40,
            modified: (100, 1),
            changed: (100, 2),
        }
    }

    fn input(path: &str, found: Found) -> Input {
        let path = path.into();
        Input { path, found }
    }

    fn facts(snapshot: &str, boot: &str) -> Facts {
        Facts {
            snapshot: snapshot.to_owned(),
            boot: boot.to_owned(),
        }
    }

    fn origin() -> Origin {
        Origin {
            snapshot: "7".into(),
            boot: None,
            inputs: vec![
                input("/there", Found::There(stamp())),
                input("/absent", Found::Absent),
            ],
        }
    }

    fn look(path: &str) -> Option<Found> {
        Some(match path {
            "/there" => Found::There(stamp()),
            _ => Found::Absent,
        })
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let changes: [fn(&mut Stamp); 6] = [
            |s| s.mode |= 0o100,
            |s| s.size = 41,
            |s| s.modified.0 = 101,
            |s| s.modified.1 = 2,
            |s| s.changed.0 = 101,
            // What an editor leaves that sets the old time again.
            |s| s.changed.1 = 3,
        ];
        assert_eq!(origin().change(look), None);
        for change in changes {
            let mut now = stamp();
            change(&mut now);
            let look = |path: &str| match path {
                "/there" => Some(Found::There(now)),
                _ => look(path),
            };
            let words = origin().change(look);
            assert_eq!(words.as_deref(), Some("/there has changed"), "{now:?}");
        }
        let cases: [(&str, Option<Found>); 4] = [
            ("/there", Some(Found::Absent)),
            ("/there", None),
            ("/absent", Some(Found::There(stamp()))),
            ("/absent", None),
        ];
        for (path, found) in cases {
            let look = |asked: &str| if asked == path { found } else { look(asked) };
            assert!(origin().change(look).is_some(), "{path} {found:?}");
        }
    }

    #[test]
    fn times_without_a_fraction_of_a_second_tell_nothing() {
        let coarse = Stamp {
            changed: (100, 0),
            ..stamp()
        };
        let mut origin = origin();
        origin.inputs = vec![input("/x", Found::There(coarse))];
        assert!(origin.change(|_| Some(Found::There(coarse))).is_some());
    }

    #[test]
    fn what_was_just_changed_is_waited_for() {
        // Changed at 100.000 s.
        for (now, wait) in [
            (100_000, 1_000),
            (100_999, 1),
            (101_000, 0),
            (99_500, 1_500),
            (90_000, 0),
        ] {
            assert_eq!(origin().unsettled(now), wait, "{now}");
        }
        assert_eq!(Origin::default().unsettled(0), 0);
    }

    #[test]
    fn it_round_trips_and_a_cut_or_a_changed_byte_is_an_error() {
        let kept = Kept::default().to_bytes().unwrap();
        let stored = Stored {
            origin: origin(),
            kept: &kept,
        };
        let bytes = stored.to_bytes().unwrap();
        assert_eq!(Stored::from_bytes(&bytes).unwrap(), stored);
        for at in 0..bytes.len() {
            assert!(Stored::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Stored::from_bytes(&damaged).is_err(), "bit {bit} of {at}");
            }
        }
    }

    /// Whoever can compute a checksum can write anything behind it: it may be refused, it may not do harm.
    #[test]
    fn wrong_bytes_behind_a_right_checksum_do_no_harm() {
        let kept = Kept::default().to_bytes().unwrap();
        let stored = Stored::new(&facts("7", "none"), origin().inputs, &kept);
        let bytes = stored.to_bytes().unwrap();
        for at in 12..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut odd = bytes.clone();
                odd[at] = value;
                let sum = crc32c::crc32c(&odd[12..]).to_le_bytes();
                odd[8..12].copy_from_slice(&sum);
                if let Ok(stored) = Stored::from_bytes(&odd) {
                    Kept::from_bytes(stored.kept).ok();
                }
            }
        }
    }

    #[test]
    fn a_plan_that_holds_the_id_of_a_boot_gets_that_of_each() {
        let of = |boot: &str| {
            let mut kept = Kept::default();
            kept.plan.problems.push(boot.to_owned());
            kept
        };
        let bytes = of("b-1").to_bytes().unwrap();
        let stored = Stored::new(&facts("7", "b-1"), Vec::new(), &bytes);
        let moved = stored.for_boot(&facts("7", "b-2"), look).unwrap();
        assert_eq!(Kept::from_bytes(&moved).unwrap(), of("b-2"));
        for (snapshot, boot) in [("7", "none"), ("8", "b-2")] {
            let facts = facts(snapshot, boot);
            assert!(stored.for_boot(&facts, look).is_err(), "{facts:?}");
            assert!(stored.of_snapshot(&facts).is_err(), "{facts:?}");
        }
        let without = Kept::default().to_bytes().unwrap();
        let stored = Stored::new(&facts("7", "b-1"), Vec::new(), &without);
        assert_eq!(stored.for_boot(&facts("7", "none"), look), Ok(without));
    }
}

//! What a running `rinit` hands to the program it becomes, in two parts: the definitions it goes by, and the state of
//! everything.
//!
//! Definitions: [`DEFINITIONS`], version, checksum, the length of what a boot starts from as a little-endian `u32`, that
//! (see [`crate::kept`]), and in `postcard`'s encoding the definitions that wait for their units' processes to end. They
//! are read by a program of the same format only; another one asks its own `rinit-plan`.
//!
//! State: [`STATE`], version, checksum, a JSON object. JSON because the two programs may be of different ages: what the
//! other one does not know is left out or has its default. [`VERSION`] is raised only if an old state would be
//! misunderstood.
//!
//! The version is a little-endian `u16`, the checksum the CRC-32C of what follows as a little-endian `u32`.

use std::fmt;

use crate::kept::{Kept, KeptError, sealed, unsealed};
use crate::plan::{Unit, UnitIndex};

/// First bytes of definitions.
pub const DEFINITIONS: [u8; 6] = *b"rheld\n";
/// First bytes of a state.
pub const STATE: [u8; 6] = *b"rstat\n";
/// Version of both forms.
pub const VERSION: u16 = 1;
/// Largest size of either, in bytes.
pub const MOST: u64 = 256 << 20;

/// The definitions that a running `rinit` goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definitions {
    /// Settings and units.
    pub kept: Kept,
    /// Definitions that count when the units' processes have ended.
    pub successors: Vec<(UnitIndex, Unit)>,
}

/// Why bytes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldError {
    /// They do not begin like it.
    Other,
    /// They have another version.
    Version(u16),
    /// They are not complete, or not what was written.
    Damaged,
    /// What a boot starts from cannot be used.
    Kept(KeptError),
}

impl fmt::Display for HeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("what was handed over is something else"),
            Self::Version(found) => write!(
                f,
                "what was handed over has version {found}, expected {VERSION}"
            ),
            Self::Damaged => f.write_str("what was handed over is damaged"),
            Self::Kept(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for HeldError {}

fn open(magic: [u8; 6], bytes: &[u8]) -> Result<&[u8], HeldError> {
    unsealed(magic, VERSION, bytes).map_err(|why| match why {
        KeptError::Other => HeldError::Other,
        KeptError::Version(found) => HeldError::Version(found),
        KeptError::Damaged | KeptError::Plan(_) => HeldError::Damaged,
    })
}

/// Wraps the JSON text of a state.
#[must_use]
pub fn state_to_bytes(json: &[u8]) -> Vec<u8> {
    sealed(STATE, VERSION, json)
}

/// The JSON text of a state.
///
/// # Errors
/// The bytes are something else, of another version, or damaged.
pub fn state_from_bytes(bytes: &[u8]) -> Result<&[u8], HeldError> {
    open(STATE, bytes)
}

impl Definitions {
    /// The binary form.
    ///
    /// # Errors
    /// Only if the encoder fails, which memory shortage alone can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HeldError> {
        let kept = self.kept.to_bytes().map_err(HeldError::Kept)?;
        let length = u32::try_from(kept.len()).map_err(|_too_long| HeldError::Damaged)?;
        let mut body = length.to_le_bytes().to_vec();
        body.extend(kept);
        let successors = postcard::to_allocvec(&self.successors);
        body.extend(successors.map_err(|_no_memory| HeldError::Damaged)?);
        Ok(sealed(DEFINITIONS, VERSION, &body))
    }

    /// Reads the binary form, and checks that every index points at a unit.
    ///
    /// # Errors
    /// The bytes are something else, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeldError> {
        let body = open(DEFINITIONS, bytes)?;
        let (length, rest) = body.split_first_chunk::<4>().ok_or(HeldError::Damaged)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (kept, rest) = rest.split_at_checked(length).ok_or(HeldError::Damaged)?;
        let kept = Kept::from_bytes(kept).map_err(HeldError::Kept)?;
        let successors: Vec<(UnitIndex, Unit)> =
            postcard::from_bytes(rest).map_err(|_wrong| HeldError::Damaged)?;
        let count = kept.plan.units.len();
        let inside = |index: UnitIndex| usize::try_from(index).is_ok_and(|index| index < count);
        let all_inside = |(index, unit): &(UnitIndex, Unit)| {
            let edges = [&unit.needs, &unit.wants, &unit.after];
            let mut edges = edges.into_iter().flatten().copied();
            let mut ties = unit.ties.iter().map(|tie| tie.unit);
            inside(*index) && edges.all(inside) && ties.all(inside)
        };
        if successors.iter().all(all_inside) {
            Ok(Self { kept, successors })
        } else {
            Err(HeldError::Damaged)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changeover::ghost;

    fn sample() -> Definitions {
        let mut definitions = Definitions::default();
        definitions.kept.plan.units = vec![ghost("a"), ghost("b")];
        let mut next = ghost("a");
        next.needs.push(1);
        definitions.successors.push((0, next));
        definitions
    }

    #[test]
    fn definitions_round_trip_and_a_cut_or_a_changed_byte_is_an_error() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(Definitions::from_bytes(&bytes).unwrap(), sample());
        for at in 0..bytes.len() {
            assert!(
                Definitions::from_bytes(&bytes[..at]).is_err(),
                "cut at {at}"
            );
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert!(
                Definitions::from_bytes(&damaged).is_err(),
                "changed at {at}"
            );
        }
    }

    #[test]
    fn a_definition_that_names_nobody_is_refused() {
        let mut wrong = sample();
        wrong.successors[0].1.wants.push(2);
        let bytes = wrong.to_bytes().unwrap();
        assert_eq!(Definitions::from_bytes(&bytes), Err(HeldError::Damaged));
    }

    #[test]
    fn a_state_is_told_from_definitions_and_from_the_future() {
        let mut bytes = state_to_bytes(b"{}");
        assert_eq!(state_from_bytes(&bytes), Ok(&b"{}"[..]));
        assert_eq!(Definitions::from_bytes(&bytes), Err(HeldError::Other));
        bytes[6] = 9;
        assert_eq!(state_from_bytes(&bytes), Err(HeldError::Version(9)));
        assert_eq!(state_from_bytes(b"rstat\n"), Err(HeldError::Damaged));
    }
}

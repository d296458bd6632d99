//! All that a boot starts from, in the form in which `rinit-plan` hands it to `rinit`.
//!
//! Binary form: [`MAGIC`], the version as a little-endian `u16`, the CRC-32C of what follows as a little-endian `u32`, the
//! settings in `postcard`'s encoding, the plan in its own binary form.

use std::fmt;

use crate::plan::{Plan, PlanError};
use crate::settings::Settings;

/// First bytes.
pub const MAGIC: [u8; 6] = *b"rkept\n";
/// Version of the form; any change of it, or of [`Settings`], raises it.
pub const VERSION: u16 = 5;

/// What a boot starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// The settings.
    pub settings: Settings,
    /// The units.
    pub plan: Plan,
}

/// Why bytes are not what a boot can start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptError {
    /// They do not begin like it.
    Other,
    /// They have another version.
    Version(u16),
    /// They are not complete, or not what was written.
    Damaged,
    /// The plan in them cannot be used.
    Plan(PlanError),
}

impl fmt::Display for KeptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("this is no boot plan"),
            Self::Version(found) => write!(
                f,
                "the boot plan comes from another rinit-plan: version {found}, expected {VERSION}"
            ),
            Self::Damaged => f.write_str("the boot plan is damaged"),
            Self::Plan(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for KeptError {}

pub(crate) fn encoding(error: postcard::Error) -> KeptError {
    KeptError::Plan(PlanError::Damaged(error.to_string()))
}

/// What is stored, behind what it begins with, its version and its checksum.
pub(crate) fn sealed(magic: [u8; 6], version: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// What is stored, if it is whole and of this version.
pub(crate) fn unsealed(magic: [u8; 6], version: u16, bytes: &[u8]) -> Result<&[u8], KeptError> {
    let rest = bytes.strip_prefix(&magic).ok_or(KeptError::Other)?;
    let (found, rest) = rest.split_first_chunk::<2>().ok_or(KeptError::Damaged)?;
    let found = u16::from_le_bytes(*found);
    if found != version {
        return Err(KeptError::Version(found));
    }
    let (sum, body) = rest.split_first_chunk::<4>().ok_or(KeptError::Damaged)?;
    if crc32c::crc32c(body) == u32::from_le_bytes(*sum) {
        Ok(body)
    } else {
        Err(KeptError::Damaged)
    }
}

/// Makes what was compiled in one boot the same for another one, in its binary form: ids of boots are of one length, so
/// that one can stand in the place of the other. False: these are not, or the bytes are nothing that is kept.
pub fn move_to_boot(bytes: &mut [u8], from: &str, to: &str) -> bool {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    if from.is_empty() || from.len() != to.len() {
        return false;
    }
    let head = MAGIC.len().saturating_add(2);
    let Some((sum, body)) = bytes
        .get_mut(head..)
        .and_then(|rest| rest.split_first_chunk_mut::<4>())
    else {
        return false;
    };
    let mut at: usize = 0;
    while let Some(place) = body.get_mut(at..at.saturating_add(from.len())) {
        if place == from {
            place.copy_from_slice(to);
        }
        at = at.saturating_add(1);
    }
    *sum = crc32c::crc32c(body).to_le_bytes();
    true
}

impl Kept {
    /// The binary form.
    ///
    /// # Errors
    /// Only if the encoder fails, which memory shortage alone can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, KeptError> {
        let mut body = postcard::to_allocvec(&self.settings).map_err(encoding)?;
        body.extend(self.plan.to_bytes().map_err(KeptError::Plan)?);
        Ok(sealed(MAGIC, VERSION, &body))
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// The bytes are something else, of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeptError> {
        let body = unsealed(MAGIC, VERSION, bytes)?;
        let (settings, plan) = postcard::take_from_bytes(body).map_err(encoding)?;
        let plan = Plan::from_bytes(plan).map_err(KeptError::Plan)?;
        Ok(Self { settings, plan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Kept {
        let mut kept = Kept::default();
        kept.plan.problems.push("a.toml:1:1: because".to_owned());
        kept.settings.control_gid = Some(4);
        kept
    }

    #[test]
    fn it_round_trips_and_a_cut_or_a_changed_byte_is_an_error() {
        let kept = sample();
        let bytes = kept.to_bytes().unwrap();
        assert_eq!(Kept::from_bytes(&bytes).unwrap(), kept);
        for at in 0..bytes.len() {
            assert!(Kept::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert!(Kept::from_bytes(&damaged).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn the_id_of_a_boot_is_exchanged_wherever_it_stands() {
        let of = |boot: &str| {
            let mut kept = sample();
            kept.plan.problems.push(format!("{boot} and {boot}"));
            kept
        };
        let mut bytes = of("boot-1").to_bytes().unwrap();
        assert!(move_to_boot(&mut bytes, "boot-1", "boot-2"));
        assert_eq!(Kept::from_bytes(&bytes).unwrap(), of("boot-2"));
        for (from, to) in [("boot-2", "boot-10"), ("", "")] {
            assert!(!move_to_boot(&mut bytes, from, to), "{from} to {to}");
        }
        assert!(!move_to_boot(&mut [], "a", "b"));
    }

    #[test]
    fn one_from_the_future_is_told_from_a_damaged_one() {
        let mut bytes = sample().to_bytes().unwrap();
        bytes[MAGIC.len()] = 0xff;
        assert_eq!(Kept::from_bytes(&bytes), Err(KeptError::Version(0xff)));
        assert_eq!(Kept::from_bytes(b"#!/bin/sh"), Err(KeptError::Other));
    }
}

//! What the timers of units depend on beside their files, as `rinit-plan` hands it to `rinit`: the time zone, and when
//! timers that make up for missed times have last elapsed.
//!
//! Binary form: [`MAGIC`], the version as a little-endian `u16`, the CRC-32C of what follows as a little-endian `u32`, the
//! rest in `postcard`'s encoding.

use serde::{Deserialize, Serialize};

use crate::calendar::Zone;

/// First bytes.
pub const MAGIC: [u8; 6] = *b"rtime\n";
/// Version of the form; any change of the types raises it.
pub const VERSION: u16 = 1;

/// What timers depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The time zone of this machine.
    pub zone: Zone,
    /// When a timer of the unit last elapsed that makes up for missed times, in seconds since 1970.
    pub stamps: Vec<(Box<str>, i64)>,
    /// What could not be read, for people.
    pub problems: Vec<String>,
}

impl Times {
    /// The binary form.
    ///
    /// # Errors
    /// Only if the encoder fails, which memory shortage alone can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let body = postcard::to_allocvec(self).map_err(|error| error.to_string())?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32c::crc32c(&body).to_le_bytes());
        bytes.extend(body);
        Ok(bytes)
    }

    /// Reads the binary form. `None`: the bytes are something else, of another version, or damaged.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (sum, body) = rest.split_first_chunk::<4>()?;
        let fits = u16::from_le_bytes(*version) == VERSION
            && crc32c::crc32c(body) == u32::from_le_bytes(*sum);
        let times: Self = postcard::from_bytes(body).ok().filter(|_| fits)?;
        times.zone.is_sound().then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_round_trip_and_whatever_else_is_none() {
        let times = Times {
            zone: Zone::new(3600, vec![(5, 7200)]).unwrap(),
            stamps: vec![("backup".into(), 1_700_000_000)],
            problems: vec!["why".to_owned()],
        };
        let bytes = times.to_bytes().unwrap();
        assert_eq!(Times::from_bytes(&bytes), Some(times));
        for at in 0..bytes.len() {
            assert_eq!(Times::from_bytes(&bytes[..at]), None, "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            assert_eq!(Times::from_bytes(&damaged), None, "changed at {at}");
        }
    }
}

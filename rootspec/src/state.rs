//! The state record: what is good, what is on trial, what was good before.
//!
//! `state.ab` holds two slots of [`SLOT_SIZE`] bytes. A slot is TOML text, filled up with newlines, and its last line
//! is the CRC-32C of everything before it. A change writes one slot in place and syncs; the reader takes the valid slot
//! with the higher `seq`. So a cut leaves the old or the new record, and a damaged block costs one change at most.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SnapshotId;
use crate::toml_value;
use crate::trial::Trial;

/// Bytes of one slot: one block of btrfs and of every disk met so far, so it is written whole or not at all.
pub const SLOT_SIZE: usize = 4096;
/// Bytes of the whole file.
pub const FILE_SIZE: usize = SLOT_SIZE * 2;

/// `crc32c = "xxxxxxxx"` and a newline.
const CRC_LINE: usize = 20;

/// The record itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format.
    pub schema: u32,
    /// Counts changes; the higher valid one counts.
    pub seq: u64,
    /// The next id to give away. Ids are never used twice, so this only grows.
    pub next_id: u32,
    /// The last confirmed good snapshot: what boots by default.
    pub good: Option<SnapshotId>,
    /// The one that was good before it.
    pub previous: Option<SnapshotId>,
    /// Confirmation under way: the menu may name either; whoever runs next rolls it forward.
    pub confirming: Option<SnapshotId>,
    /// BLAKE2b-512 (hex) of the menu that belongs to this record.
    pub menu: Option<String>,
    /// Snapshots that garbage collection must leave alone.
    #[serde(default)]
    pub pins: Vec<SnapshotId>,
    /// The snapshot on trial.
    pub trial: Option<Trial>,
}

impl State {
    /// Version written by this program.
    pub const SCHEMA: u32 = 1;

    /// The record of an empty store.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schema: Self::SCHEMA,
            seq: 0,
            next_id: 1,
            good: None,
            previous: None,
            confirming: None,
            menu: None,
            pins: Vec::new(),
            trial: None,
        }
    }

    /// Ids that must not be deleted: good, previous, confirming, on trial, pinned.
    #[must_use]
    pub fn kept(&self) -> Vec<SnapshotId> {
        let trial = self.trial.as_ref().map(|t| t.id);
        let mut ids: Vec<_> = [self.good, self.previous, self.confirming, trial]
            .into_iter()
            .flatten()
            .collect();
        ids.extend(&self.pins);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The slot for this record's `seq`: its offset in the file and its bytes.
    ///
    /// Does not touch the disk; write the bytes at the offset and sync the data.
    ///
    /// # Errors
    /// [`StateError::TooLarge`] when the text does not fit into a slot.
    pub fn to_slot(&self) -> Result<(u64, [u8; SLOT_SIZE]), StateError> {
        let text = toml::to_string(self).map_err(|e| StateError::Unreadable(e.to_string()))?;
        let room = SLOT_SIZE - CRC_LINE;
        let mut slot = [b'\n'; SLOT_SIZE];
        let Some(body) = slot.get_mut(..text.len()).filter(|_| text.len() <= room) else {
            return Err(StateError::TooLarge {
                bytes: text.len(),
                room,
            });
        };
        body.copy_from_slice(text.as_bytes());
        let (body, tail) = slot.split_at_mut(room);
        tail.copy_from_slice(crc_line(body).as_bytes());
        let offset = if self.seq % 2 == 0 {
            0
        } else {
            SLOT_SIZE as u64
        };
        Ok((offset, slot))
    }
}

fn crc_line(body: &[u8]) -> String {
    format!("crc32c = \"{:08x}\"\n", crc32c::crc32c(body))
}

/// What reading `state.ab` gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRead {
    /// The record that counts; `None` when no slot is valid.
    pub state: Option<State>,
    /// What is wrong with the slots, for people. An unused slot (all zero bytes or newlines) is not wrong.
    pub damage: Vec<String>,
    /// A slot was written by a newer version: nothing may be written over it.
    pub from_the_future: bool,
}

impl StateRead {
    /// Reads both slots of the file's bytes. Never fails: damage is reported beside what could be read.
    #[must_use]
    pub fn from_bytes(file: &[u8]) -> Self {
        let mut read = Self {
            state: None,
            damage: Vec::new(),
            from_the_future: false,
        };
        if file.len() != FILE_SIZE {
            let words = format!("the file has {} bytes, expected {FILE_SIZE}", file.len());
            read.damage.push(words);
        }
        for (number, slot) in file.chunks(SLOT_SIZE).take(2).enumerate() {
            match read_slot(slot) {
                Ok(None) => {}
                Ok(Some(state)) => {
                    if read.state.as_ref().is_none_or(|best| best.seq < state.seq) {
                        read.state = Some(state);
                    }
                }
                Err(error) => {
                    read.from_the_future |= matches!(error, StateError::Future(_));
                    read.damage.push(format!("slot {number}: {error}"));
                }
            }
        }
        read
    }
}

fn read_slot(slot: &[u8]) -> Result<Option<State>, StateError> {
    if slot.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    let Some((body, tail)) = slot.split_at_checked(SLOT_SIZE - CRC_LINE) else {
        return Err(StateError::Unreadable("it is cut short".into()));
    };
    if tail != crc_line(body).as_bytes() {
        return Err(StateError::Checksum);
    }
    let text = std::str::from_utf8(body).map_err(|e| StateError::Unreadable(e.to_string()))?;
    let version: Version =
        toml_value::from_text(text).map_err(|e| StateError::Unreadable(e.message))?;
    if version.schema != State::SCHEMA {
        return Err(StateError::Future(version.schema));
    }
    let state = toml_value::from_text(text).map_err(|e| StateError::Unreadable(e.message))?;
    Ok(Some(state))
}

#[derive(Deserialize)]
struct Version {
    schema: u32,
}

/// Why a slot cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// The checksum does not fit the text.
    Checksum,
    /// The slot was written in a format that this version does not know.
    Future(u32),
    /// The text is damaged in another way.
    Unreadable(String),
    /// The record does not fit into a slot.
    TooLarge {
        /// Bytes of the text.
        bytes: usize,
        /// Bytes there is room for.
        room: usize,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum => f.write_str("the checksum is wrong"),
            Self::Future(schema) => {
                write!(
                    f,
                    "it has format {schema}, this version knows {} only",
                    State::SCHEMA
                )
            }
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::TooLarge { bytes, room } => {
                write!(
                    f,
                    "the record has {bytes} bytes and there is room for {room}: unpin some snapshots"
                )
            }
        }
    }
}

impl std::error::Error for StateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn file_of(states: &[State]) -> Vec<u8> {
        let mut file = vec![0; FILE_SIZE];
        for state in states {
            let (at, slot) = state.to_slot().unwrap();
            let at = usize::try_from(at).unwrap();
            file[at..at + SLOT_SIZE].copy_from_slice(&slot);
        }
        file
    }

    fn state(seq: u64, good: u32) -> State {
        State {
            seq,
            good: Some(id(good)),
            ..State::empty()
        }
    }

    #[test]
    fn the_newer_of_two_valid_slots_counts() {
        let read = StateRead::from_bytes(&file_of(&[state(6, 1), state(7, 2)]));
        assert_eq!((read.state, read.damage), (Some(state(7, 2)), vec![]));
    }

    #[test]
    fn consecutive_changes_go_to_different_slots() {
        assert_ne!(
            state(6, 1).to_slot().unwrap().0,
            state(7, 1).to_slot().unwrap().0
        );
    }

    #[test]
    fn every_flipped_byte_of_the_newer_slot_leaves_the_older_record() {
        let whole = file_of(&[state(6, 1), state(7, 2)]);
        for at in SLOT_SIZE..FILE_SIZE {
            let mut file = whole.clone();
            file[at] ^= 0x11;
            let read = StateRead::from_bytes(&file);
            assert_eq!(read.state, Some(state(6, 1)), "byte {at}");
            assert_eq!(read.damage.len(), 1, "byte {at}");
        }
    }

    #[test]
    fn both_slots_bad_gives_nothing_and_says_so_twice() {
        let mut file = file_of(&[state(6, 1), state(7, 2)]);
        file[5] ^= 1;
        file[SLOT_SIZE + 5] ^= 1;
        let read = StateRead::from_bytes(&file);
        assert_eq!((read.state, read.damage.len()), (None, 2));
    }

    #[test]
    fn a_record_of_the_future_is_recognised_and_protected() {
        let new = State {
            schema: 9,
            ..state(7, 2)
        };
        let read = StateRead::from_bytes(&file_of(&[state(6, 1), new]));
        assert!(
            read.from_the_future && read.state == Some(state(6, 1)),
            "{read:?}"
        );
    }

    #[test]
    fn truncated_files_are_reported_and_do_not_panic() {
        let whole = file_of(&[state(6, 1), state(7, 2)]);
        for length in [0, 1, 20, SLOT_SIZE, SLOT_SIZE + 1, FILE_SIZE - 1] {
            let read = StateRead::from_bytes(&whole[..length]);
            assert!(!read.damage.is_empty(), "length {length}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_is_refused() {
        let pins = (1..2000).map(id).collect();
        let error = State {
            pins,
            ..State::empty()
        }
        .to_slot()
        .unwrap_err();
        assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
    }
}

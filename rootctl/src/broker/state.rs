//! The state record on disk: both slots are read, the other one is written.

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::paths::store as names;
use rootspec::state::{FILE_SIZE, State, StateRead};

use crate::guard::Guard;
use crate::progress::point;
use crate::store::{Store, StoreLock};

/// The record as it was read, and as it is after each write.
#[derive(Debug)]
pub(crate) struct Record {
    read: StateRead,
    store: Store,
}

impl Record {
    /// Reads the file. An absent or damaged one gives a record without state; the damage says why.
    pub(crate) fn load(store: &Store) -> Self {
        let path = store.path(names::STATE);
        let read = match sys::fs::read(&path, FILE_SIZE as u64 * 2) {
            Ok(bytes) => StateRead::from_bytes(&bytes),
            Err(error) => StateRead {
                state: None,
                damage: vec![sys::chain(&error)],
                from_the_future: false,
            },
        };
        Self {
            read,
            store: store.clone(),
        }
    }

    /// The record that counts, if any slot could be read.
    pub(crate) fn state(&self) -> Option<&State> {
        self.read.state.as_ref()
    }

    /// The record, or a no that says what is wrong with it and how to get a new one.
    pub(crate) fn need(&self) -> Result<&State> {
        match &self.read.state {
            Some(state) => Ok(state),
            None => Guard::refused(format!(
                "the state record {} cannot be read: {}",
                self.store.path(names::STATE).display(),
                self.read.damage.join("; ")
            ))
            .next("rootctl rollback N (writes a new record that boots snapshot N)")
            .err(),
        }
    }

    /// What is wrong with it, for people.
    pub(crate) fn damage(&self) -> &[String] {
        &self.read.damage
    }

    /// May it be written at all? Not over a slot of a newer version.
    pub(crate) fn must_be_ours(&self) -> Result<()> {
        if !self.read.from_the_future {
            return Ok(());
        }
        Guard::refused(format!(
            "the state record was written by a newer rootctl ({}); nothing is changed",
            self.read.damage.join("; ")
        ))
        .next("update rootctl, or boot the snapshot that wrote it")
        .err()
    }

    /// Writes a record durably, into the slot that does not hold the present one. Touches the disk.
    pub(crate) fn write(&mut self, new: State, _lock: &StoreLock) -> Result<()> {
        self.must_be_ours()?;
        let seq = self.state().map_or(0, |state| state.seq).saturating_add(1);
        let new = State { seq, ..new };
        let (offset, slot) = new.to_slot()?;
        let path = self.store.path(names::STATE);
        let whole = path.metadata().is_ok_and(|m| m.len() == FILE_SIZE as u64);
        let written = if whole {
            sys::fs::write_slot(&path, offset, &slot)
        } else {
            // Absent or cut: both slots anew, the present record beside the new one.
            let file = whole_file(self.state(), &new)?;
            sys::fs::write_atomic(&path, &file, 0o600)
        };
        written.with_context(|| {
            Guard::failed("the state record was not changed, so what boots by default did not either")
                .next("rootctl status; where no space is left, rootctl snap delete N, then repeat the command")
        })?;
        point("state")?;
        self.read = StateRead {
            state: Some(new),
            damage: Vec::new(),
            from_the_future: false,
        };
        Ok(())
    }
}

/// Both slots: `old` where it was, `new` in the other one.
pub(crate) fn whole_file(old: Option<&State>, new: &State) -> Result<Vec<u8>> {
    let mut file = vec![0; FILE_SIZE];
    for state in old.into_iter().chain([new]) {
        let (offset, slot) = state.to_slot()?;
        let at = usize::try_from(offset).context("the slot's place")?;
        let room = file
            .get_mut(at..at + slot.len())
            .context("the slot's place")?;
        room.copy_from_slice(&slot);
    }
    Ok(file)
}

/// The id for the next snapshot: never one that was used, even if the record or the snapshots were lost.
pub(crate) fn next_id(
    state: Option<&State>,
    used: impl Iterator<Item = SnapshotId>,
) -> Result<SnapshotId> {
    let recorded = state.map_or(1, |state| state.next_id);
    let highest = used.map(SnapshotId::get).max().unwrap_or(0);
    let next = highest.checked_add(1).map(|n| n.max(recorded));
    next.and_then(SnapshotId::new)
        .ok_or_else(|| Guard::refused("all snapshot numbers are used up").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_given_twice() {
        let state = |next_id| State {
            next_id,
            ..State::empty()
        };
        let next = |state: Option<&State>, all: &[u32]| {
            next_id(state, all.iter().filter_map(|n| SnapshotId::new(*n))).map(SnapshotId::get)
        };
        assert_eq!(next(Some(&state(9)), &[3]).unwrap(), 9, "8 was deleted");
        assert_eq!(
            next(Some(&state(2)), &[3]).unwrap(),
            4,
            "the record was not written"
        );
        assert_eq!(next(None, &[7]).unwrap(), 8, "the record was lost");
        assert_eq!(next(None, &[]).unwrap(), 1);
        assert!(next(None, &[u32::MAX]).is_err());
    }

    #[test]
    fn a_new_file_holds_both_records() {
        let old = State {
            seq: 4,
            ..State::empty()
        };
        let new = State {
            seq: 5,
            next_id: 7,
            ..State::empty()
        };
        let read = StateRead::from_bytes(&whole_file(Some(&old), &new).unwrap());
        assert_eq!((read.state, read.damage), (Some(new), vec![]));
    }
}

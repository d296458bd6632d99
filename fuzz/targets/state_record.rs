//! The two slots that say what boots: as they lie on the disk, and as records whose checksum holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::state::{FILE_SIZE, SLOT_SIZE, StateRead};

/// Length of the line with the checksum.
const TAIL: usize = "crc32c = \"00000000\"\n".len();

fuzz_target!(|bytes: &[u8]| {
    let _damaged = StateRead::from_bytes(bytes);
    let mut file = vec![0; FILE_SIZE];
    let (slot, _) = file.split_at_mut(SLOT_SIZE);
    let (body, tail) = slot.split_at_mut(SLOT_SIZE - TAIL);
    let length = bytes.len().min(body.len());
    body.fill(b'\n');
    body[..length].copy_from_slice(&bytes[..length]);
    tail.copy_from_slice(format!("crc32c = \"{:08x}\"\n", crc32c::crc32c(body)).as_bytes());
    let read = StateRead::from_bytes(&file);
    let Some(state) = read.state else {
        return;
    };
    // What was read can be written again, if it fits, and is the same then.
    if let Ok((offset, slot)) = state.to_slot() {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        file.fill(0);
        file[offset..][..SLOT_SIZE].copy_from_slice(&slot);
        assert_eq!(StateRead::from_bytes(&file).state, Some(state));
    }
});

//! What one program of ours hands to another, or to the one it becomes, in binary: a kept plan, what timers depend on, what
//! runs, whose log it is. Where there is a checksum it is put right. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::held::Definitions;
use rootspec::logs::Handover;
use rootspec::record::Record;
use rootspec::stored::{self, Stored};
use rootspec::times::{self, Times};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    match which {
        b's' => {
            let _refused = Stored::from_bytes(&sealed(stored::MAGIC, stored::VERSION, rest));
        }
        b't' => {
            if let Some(times) = Times::from_bytes(&sealed(times::MAGIC, times::VERSION, rest)) {
                assert!(times.zone.is_sound());
            }
        }
        b'd' => {
            let _refused = Definitions::from_bytes(rest);
        }
        b'l' => {
            let _refused = Handover::from_bytes(rest);
        }
        b'r' => {
            if let Ok(text) = std::str::from_utf8(rest) {
                let _record = Record::parse(text);
            }
        }
        _ => {}
    }
});

fn sealed(magic: [u8; 6], version: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
    bytes.extend(body);
    bytes
}

//! Datagrams of `sd_notify(3)`, read by PID 1 itself.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "the file is shared with rinit")]

use libfuzzer_sys::fuzz_target;

#[path = "../../rinit/src/hands/datagram.rs"]
mod datagram;
#[path = "../../rinit/src/supervisor/word.rs"]
mod supervisor;

fuzz_target!(|bytes: &[u8]| {
    let message = datagram::parse(bytes);
    if let Some(status) = message.status {
        assert!(!status.contains(char::is_control), "{status:?}");
        assert!(status.chars().count() <= 200, "{status:?}");
    }
});

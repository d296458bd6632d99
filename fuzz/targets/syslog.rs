//! Datagrams to `/dev/log`. Any bytes are a message, and nothing is made up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::syslog;

fuzz_target!(|bytes: &[u8]| {
    let found = syslog::message(bytes);
    assert!(found.priority.is_none_or(|priority| priority < 8));
    let is_part = |part: &[u8]| part.is_empty() || bytes.windows(part.len()).any(|at| at == part);
    assert!(is_part(found.text));
    let fits = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(
        found
            .name
            .is_none_or(|name| fits(name) && is_part(name.as_bytes()))
    );
});

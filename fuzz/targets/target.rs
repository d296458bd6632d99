//! How people name a snapshot: what is shown is what was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::target::Target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse().as_ref(), Ok(&target), "{text:?}");
    }
});

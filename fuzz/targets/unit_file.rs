//! One unit file. Whatever is wrong with it has a place and words.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(wrong) = rootspec::units::parse("u.toml", text) {
        assert!(!wrong.is_empty(), "refused without a reason");
        for spot in wrong {
            assert!(spot.to_string().starts_with("u.toml"), "{spot}");
        }
    }
});

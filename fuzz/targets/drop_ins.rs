//! A unit file, a line of `---`, and a drop-in for it. Both are instances of a template, so words in braces are filled in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::UnitName;
use rootspec::units::{Facts, Layers, read};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (own, drop_in) = text.split_once("\n---\n").unwrap_or((text, ""));
    let mut layers = Layers::new("u@.toml", own);
    layers.add("u@.toml.d/10-it.toml", drop_in);
    let Ok(name) = "u@instance".parse::<UnitName>() else {
        return;
    };
    if let Err(wrong) = read(&layers, Some((&name, &Facts::default()))) {
        assert!(!wrong.is_empty(), "refused without a reason");
        for spot in wrong {
            assert!(spot.to_string().starts_with("u@.toml"), "{spot}");
        }
    }
});

//! Lines of `/etc/fstab`, down to the plan. What is refused has a place in the file, and what is not can be compiled.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::compile::{Source, compile};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let found = rootspec::fstab::read("fstab", text);
    for spot in found.wrong.iter().chain(&found.ignored) {
        assert!(spot.place().is_some(), "{spot}");
    }
    let sources: Vec<_> = found
        .entries
        .into_iter()
        .map(|entry| Source {
            name: entry.name,
            file: format!("line {}", entry.line),
            text: entry.text,
        })
        .collect();
    for problem in compile(&sources, &[]).problems {
        // Other units, which a line may name, are not there; and lines may need each other in a circle.
        let about_others = ["which", " -> "]
            .iter()
            .any(|words| problem.contains(words));
        assert!(about_others, "{problem}");
    }
});

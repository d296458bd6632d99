//! The kernel command line: nothing on it keeps a machine from booting.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::cmdline::{Cmdline, SnapshotRequest, render};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let line = Cmdline::parse(text);
    // A root device or name with a blank needs quotes, which menus do not write.
    let plain = |text: &str| !text.contains(|c: char| c.is_whitespace() || c == '"');
    if let (Some(root), Some(SnapshotRequest::Id(id))) = (&line.root, &line.snap) {
        if plain(&root.to_string()) && plain(&line.mode.to_string()) {
            let again = Cmdline::parse(&render(root, *id, &line.mode, ""));
            assert_eq!(
                (&again.root, &again.snap, &again.mode),
                (&line.root, &line.snap, &line.mode)
            );
        }
    }
});

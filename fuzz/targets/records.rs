//! Small text files of the store and the ESP. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::meta::Meta;
use rootspec::over::Over;
use rootspec::report::{BootReport, Numbers};
use rootspec::{SnapshotId, limine, path_text};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    if let b'l' = which {
        let _entry = limine::default_entry(rest);
        return;
    }
    if let b'p' = which {
        let text = path_text::escape(rest);
        assert_eq!(path_text::unescape(&text).as_deref(), Some(rest));
        return;
    }
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match which {
        b'm' => meta(text),
        b'o' => {
            if let Err(spot) = Over::from_toml("over.toml", text) {
                assert!(spot.to_string().starts_with("over.toml"), "{spot}");
            }
        }
        b'r' => {
            let _refused = BootReport::from_toml(text);
            let _numbers = Numbers::of_report(text);
        }
        b't' => {
            let _title = limine::default_title(text);
        }
        b'u' => {
            let _path = path_text::unescape(text);
        }
        _ => {}
    }
});

fn meta(text: &str) {
    let Some(id) = SnapshotId::new(7) else {
        return;
    };
    match Meta::from_toml("meta.toml", text, id) {
        Err(spot) => assert!(spot.to_string().starts_with("meta.toml"), "{spot}"),
        Ok(meta) => {
            let Ok(again) = meta.to_toml() else {
                panic!("meta that can be read and not written");
            };
            let read = Meta::from_toml("meta.toml", &again, id).ok();
            assert_eq!(read, Some(meta));
        }
    }
}
